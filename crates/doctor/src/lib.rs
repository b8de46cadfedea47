//! Diagnosis of a cloud trust: follows the path of a ticket from this computer to the share, and names the first check that
//! fails, why it matters and what to do next.
//!
//! [`diagnose::run`] takes plain [`options::Options`] and returns a [`diagnose::Report`]. The list of checks is in
//! [`checks`]; the pure [`engine`] decides which of them run and which failure is the cause; the probes observe one thing
//! each and record what they learned in the facts that later probes build on.
//!
//! This crate changes nothing, parses no command line and prints nothing. It reads this computer's Kerberos configuration
//! and tickets, Active Directory through `crossrealm-onprem`, and the tenant's records through `crossrealm-api`; every
//! probe is bounded in time. The next steps in the checks name `crossrealm` commands: an administrator reads them at the
//! command line.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod anchor;
mod bounded;
pub mod checks;
pub mod diagnose;
mod enctypes;
pub mod engine;
mod environment;
mod error;
mod facts;
pub mod finding;
mod https;
mod net;
pub mod options;
mod probes;

pub use environment::Place;
