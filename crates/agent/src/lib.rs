//! The operations that join an Active Directory (AD) domain to a tenant: the sync agent, the trust with its keys and their
//! scheduled rotation, the Kerberos server object, and the group policy object of the clients.
//!
//! Each operation reads AD through [`crossrealm_onprem`] and the tenant through [`crossrealm_api`], takes a plan that is pure,
//! and carries its steps out; it decides nothing about tickets and keeps no state of its own. A run that ends anywhere is
//! finished by the next one. A step in AD is reported to the tenant's audit before it begins ([`journal`]). This crate parses no
//! options, prompts for nothing and prints nothing: it returns an [`error::AgentError`] and reports through
//! [`progress::Progress`].

#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod comparison;
pub mod connect;
pub mod error;
pub mod finding;
pub mod gpo;
mod holder;
pub mod journal;
pub mod kerberos_server;
pub mod progress;
pub mod records;
pub mod replication;
pub mod sync;
pub mod trust;
