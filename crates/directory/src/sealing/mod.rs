//! Encryption of keys at rest: the master key, and what is sealed under it.

pub(crate) mod error;
pub(crate) mod master_key;
pub(crate) mod seal;
