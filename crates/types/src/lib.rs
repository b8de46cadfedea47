//! The vocabulary that the other crates share: enumerations with one text form each, parsed names, and SIDs.
//!
//! A text from outside is parsed into one of these types once, at the edge. The text forms are those of the REST API and
//! of the database. This crate does no I/O, and no input makes it panic.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions
)]

mod names;
mod sid;
mod text;
mod vocabulary;

pub use names::{
    AccountName, DnsName, HostName, MAX_UPN, NameError, NetbiosName, Realm, ShareName, TenantName,
    Upn,
};
pub use sid::{MAX_SUB_AUTHORITIES, Sid, SidError};
pub use vocabulary::{
    AdStepPhase, AdministratorRole, DisabledReason, EventKind, EventOutcome, IdentityKind,
    IdentitySource, IdentityState, KeySlot, RefusedChangeCode, ShareRole, TrustKeyState,
    TrustState, UnknownWord,
};
