//! The tenant's directory: tenants, trusts, identities, storage accounts, shares, roles, tokens and events, in SQL.
//!
//! This crate stores tenants and answers the KDC's lookups. It decides which identity is meant (a SID is never
//! reassigned, nested groups count), but never whether a ticket is issued, and it connects to nothing but its database.
//! Data comes in through the administration API and the sync agent; it goes out as [`Records`](crossrealm_kdc::Records)
//! to the exchange and as plain values to the API.
//!
//! Every key and trust password is sealed before it reaches the database, under a [`MasterKey`] that is not in it.
//! Every change of a record and its audit event are one transaction: a process that is killed leaves either both or
//! neither. Nothing is written on the path of a ticket.

mod administrators;
mod audit;
mod caches;
mod db;
mod directory;
mod error;
mod hosts;
mod identities;
mod kdc_records;
mod names;
mod page;
mod random;
mod sealing;
mod service_keys;
mod storage;
mod sync;
mod tenants;
mod trusts;

pub use administrators::attempts::{FREE_FAILURES, FREE_FAILURES_OF_SENDER};
pub use administrators::sign_in::{ClaimedIdentity, SESSION_LIFE_S, Session};
pub use administrators::tokens::{NewToken, TokenInfo, TokenRole};
pub use administrators::{AdministratorInfo, CODE_LIFE_S, Enrolment};
pub use audit::ad_steps::{AdStep, MAX_AD_STEP};
pub use audit::events::{Actor, Event, EventFilter, NewEvent, TrustKeySeen};
pub use db::connect::check_new_store;
pub use db::url::{check_store_url, shown_store_url};
pub use directory::Directory;
pub use error::{DirectoryError, RecordKind, Refusal, Result};
pub use hosts::key_rotation::{KeyRotation, KeyRotationWarning};
pub use hosts::model::{
    HostQuota, HostReport, HostSession, HostShare, HostState, MAX_REVOKED_USERS, QuotaEnforcement,
    ReducedRole, ReducedRoles, RevokedUsers, StoredHostReport,
};
pub use hosts::reports::AccountHost;
pub use hosts::tokens::HostTokenInfo;
pub use identities::cloud_only::NewCloudIdentity;
pub use identities::group_paths::EffectiveGroup;
pub use identities::identity_ref::IdentityRef;
pub use identities::list::IdentityFilter;
pub use identities::provenance::Provenance;
pub use identities::rows::IdentityInfo;
pub use page::{Page, Paged};
pub use random::RandomError;
pub use sealing::error::SealError;
pub use sealing::master_key::{MasterKey, MasterKeyError};
pub use service_keys::{KeyInfo, KeytabMaterial};
pub use storage::effective_access::{AccessReason, ShareAccess, Via};
pub use storage::model::{Grant, NewStorageAccount, Share, SharePath, StorageAccount};
pub use storage::service_principals::ServicePrincipal;
pub use sync::connectors::{ConnectorInfo, MAX_LEASE_S, MIN_LEASE_S};
pub use sync::model::{
    ApplyIdentities, ApplyOutcome, DomainIdentities, IdentityChange, MAX_CHANGES, MAX_CURSOR,
    MAX_FAILURES, MAX_MEMBER_CHANGES, MAX_MEMBERS_READ, RefusedChange, SyncFailure, SyncLease,
    SyncState, SyncedIdentity,
};
pub use tenants::domains::{DomainInfo, NewDomain};
pub use tenants::model::{NewTenant, TenantInfo};
pub use trusts::kerberos_servers::{KerberosServerInfo, NewKerberosServer};
pub use trusts::model::{HeldSecret, PrepareTrust, PreparedTrust, TrustInfo, TrustKeyInfo};
pub use trusts::rotation::{MIN_ROTATION_S, RotateTrust, TrustRotation};
pub use uuid::Uuid;
