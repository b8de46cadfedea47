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
mod claimed_names;
mod db;
mod directory;
mod error;
mod event_rates;
mod hosts;
mod identities;
mod kdc_records;
mod master_key_rotation;
mod names;
mod observation;
mod open;
mod page;
mod password_hashing;
mod random;
mod readiness;
mod sealing;
mod service_keys;
mod storage;
mod store_fault;
mod store_observer;
mod sync;
mod tenant_info;
mod tenants;
mod trusts;

pub use administrators::attempts::{
    FREE_FAILURES, FREE_FAILURES_OF_ACCOUNT, FREE_FAILURES_OF_SENDER,
};
pub use administrators::sign_in::{ClaimedIdentity, SESSION_LIFE_S, Session};
pub use administrators::tokens::{NewToken, TokenInfo, TokenRole};
pub use administrators::{AdministratorInfo, CODE_LIFE_S, Enrolment};
pub use audit::events::{Actor, Event, EventFilter, NewEvent, TrustKeySeen};
pub use caches::MAX_CACHED_BYTES;
pub use claimed_names::{InstallationNames, NameScope, is_at_or_below};
pub use db::connect::{SchemaAge, check_new_store, check_store};
pub use db::health::UNWRITABLE_LIMIT;
pub use db::url::{check_store_url, shown_store_url};
pub use directory::Directory;
pub use error::{DirectoryError, RecordKind, Refusal, Result};
pub use hosts::key_rotation::{KeyRotation, KeyRotationWarning};
pub use hosts::model::{
    HostShare, HostState, MAX_REVOKED_USERS, ReducedRoles, RevokedUsers, StoredHostReport,
};
pub use hosts::reports::AccountHost;
pub use identities::cloud_only::NewCloudIdentity;
pub use identities::group_paths::EffectiveGroup;
pub use identities::identity_ref::IdentityRef;
pub use identities::list::IdentityFilter;
pub use identities::provenance::Provenance;
pub use identities::rows::IdentityInfo;
pub use master_key_rotation::Resealed;
pub use observation::{Observation, ObservedDomain, ObservedHost, ObservedTrust};
pub use page::{Page, Paged};
pub use random::RandomError;
pub use sealing::error::SealError;
pub use sealing::master_key::{MasterKey, MasterKeyError};
pub use service_keys::{KeytabMaterial, RealmKeyRotation};
pub use storage::access_lists::OpenShare;
pub use storage::effective_access::{AccessReason, ShareAccess, Via};
pub use storage::model::{Grant, Share, SharePath};
pub use store_fault::StoreFault;
pub use store_observer::{StoreObserver, StoreStep};
pub use sync::connectors::{MAX_LEASE_S, MIN_LEASE_S};
pub use sync::deletion_permits::DeletionPermit;
pub use sync::model::{
    ApplyIdentities, DomainIdentities, IdentityChange, MAX_CURSOR, MAX_MEMBERS_READ, SyncState,
};
pub use tenant_info::TenantInfo;
pub use tenants::domains::{DomainInfo, NewDomain};
pub use tenants::model::NewTenant;
pub use trusts::kerberos_servers::NewKerberosServer;
pub use trusts::model::{HeldSecret, PreparedTrust};
pub use trusts::rotation::{MIN_ROTATION_S, TrustRotation};
pub use trusts::secrets::PREVIOUS_LIFE_S;
pub use uuid::Uuid;
