//! Users and groups: those synced from AD and those that exist only in the tenant.

pub(crate) mod closure;
pub(crate) mod cloud_only;
pub(crate) mod find;
pub(crate) mod group_paths;
pub(crate) mod identity_ref;
pub(crate) mod list;
pub(crate) mod memberships;
pub(crate) mod provenance;
pub(crate) mod resolve;
pub(crate) mod rows;
