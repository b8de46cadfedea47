//! The vocabulary that the other crates share: enumerations with one text form each, parsed names, SIDs, and the records that both
//! the directory and the API have.
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

mod host_report;
mod names;
mod records;
pub mod registry_pol;
mod sid;
mod sync;
mod text;
mod timestamp;
mod vocabulary;

pub use host_report::{
    HostQuota, HostReport, HostSession, MAX_REPORTED_QUOTAS, MAX_REPORTED_SESSIONS, QuotaHow,
};
pub use names::{
    AccountName, DnsName, HostName, MAX_UPN, NameError, NetbiosName, Realm, ShareName, TenantName,
    Upn, is_sam_account_name, normalized_display_name,
};
pub use records::{
    AdObject, AdStep, Connector, HostToken, KerberosKey, KerberosServer, MAX_AD_REASON,
    MAX_AD_STEP, PrepareTrust, ReducedRole, RotateTrust, ServicePrincipal, StorageAccount,
    StorageAccountCreate, Trust, TrustKey,
};
pub use sid::{MAX_SUB_AUTHORITIES, Sid, SidError};
pub use sync::{
    ApplyIdentitiesResult, LeaseHolder, MAX_CHANGES, MAX_FAILURES, MAX_MEMBER_CHANGES,
    RefusedChange, SyncFailure, SyncedIdentity,
};
pub use timestamp::{Timestamp, TimestampError};
pub use vocabulary::{
    ActorKind, AdStepPhase, AdministratorRole, DisabledReason, EventKind, EventOutcome,
    IdentityKind, IdentitySource, IdentityState, KeySlot, RefusedChangeCode, ShareRole,
    TrustKeyState, TrustState, UnknownWord,
};
