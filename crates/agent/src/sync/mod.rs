//! The sync agent: reads users, groups and memberships of a domain and writes them to the tenant; never the other way.

mod batches;
pub mod lease;
pub mod once;
pub mod service;
pub mod session;
