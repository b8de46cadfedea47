//! The sync agent: reads users, groups and memberships of a domain and writes them to the tenant; never the other way.

mod batches;
mod circles;
pub mod lease;
#[cfg(test)]
mod names_tests;
pub mod once;
pub mod service;
pub mod session;
