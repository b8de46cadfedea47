//! Storage accounts, shares, the roles granted on them, and other Kerberos services.

pub(crate) mod access_lists;
pub(crate) mod account_rows;
pub(crate) mod accounts;
pub(crate) mod effective_access;
pub(crate) mod model;
pub(crate) mod service_names;
pub(crate) mod service_principals;
pub(crate) mod share_rows;
pub(crate) mod shares;
