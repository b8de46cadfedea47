//! Storage accounts, shares, the roles granted on them, and other Kerberos services.

pub(crate) mod accounts;
pub(crate) mod effective_access;
pub(crate) mod service_principals;
pub(crate) mod shares;
