//! SMB hosts: their tokens, the state they serve by, and their reports.

pub(crate) mod key_rotation;
pub(crate) mod model;
pub(crate) mod reduced_roles;
pub(crate) mod reports;
pub(crate) mod revoked_users;
pub(crate) mod state;
pub(crate) mod state_version;
pub(crate) mod tokens;
