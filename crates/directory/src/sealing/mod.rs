//! Encryption of keys at rest and authentication of rows: the master key, and what is sealed and tagged under it.

pub(crate) mod error;
pub(crate) mod master_key;
pub(crate) mod row_tags;
pub(crate) mod seal;
