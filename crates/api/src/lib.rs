//! The contract of the REST API: the types of every request and answer, the error codes, and a typed client.
//!
//! The server (`crossrealm-cloud`) and everything that talks to it (the command line, the sync agent, the trust tool, the
//! SMB host) share these types, so that neither can drift. This crate decides nothing, stores nothing and knows no
//! database: it defines what is sent under [`BASE_PATH`], and sends it. Data comes from and goes to HTTPS, as JSON.
//!
//! Conventions: SIDs are text (`S-1-…`), ids are UUIDs in lower case, a time is a [`crossrealm_types::Timestamp`] (RFC 3339) and is
//! absent (`null`) where there is none yet, `…_s` is a length in seconds. `{tenant}` in a path is its name, domain or id.
//!
//! What SMB hosts and sync agents of earlier versions read or write keeps its form: the state and the report of a host, the sync
//! of a domain, the record of a trust and its rotation have times in Unix seconds.

mod administrators;
mod client;
mod declaration;
mod dismissal;
pub mod endpoint;
mod error;
mod events;
mod hosts;
mod identities;
mod openapi;
mod paths;
#[cfg(test)]
mod reference;
mod secret;
mod services;
mod status;
mod storage;
mod tenants;
mod tokens;
mod trusts;

pub use administrators::{
    Administrator, AdministratorCreate, AdministratorEnrolment, AdministratorQuery, EnrolmentBegin,
    EnrolmentBegun, EnrolmentFinish, Session, SignIn,
};
pub use client::{Authority, Client, ClientError, Fingerprint, InvalidFingerprint, Refusal};
pub use dismissal::{Dismissal, DismissalKey};
pub use endpoint::HostStateAnswer;
pub use error::{Code, ErrorBody, ErrorDetails};
pub use events::{Event, EventQuery};
pub use hosts::{
    Host, HostTokenCreate, HostTokenCreated, MAX_RESOLVED, ResolveNames, ResolvedName,
    ResolvedNames,
};
pub use identities::{
    AllowDeletions, ApplyIdentities, AttributeOrigin, DeletionPermit, DomainIdentitiesPage,
    EffectiveGroup, GroupDetails, IdentitiesFound, Identity, IdentityChange, IdentityLookup,
    IdentityRef, MAX_GROUPS, MemberElsewhere, SyncDomain, SyncLease, SyncLeaseRelease,
    SyncLeaseRequest, SyncState, UserCreate, UserDetails,
};
pub use openapi::{OPENAPI_PATH, openapi};
pub use paths::{BASE_PATH, encode_segment};
pub use secret::{Base64Secret, SecretText};
pub use services::ServicePrincipalCreate;
pub use status::{
    AccountStatus, Attention, AttentionCode, DomainStatus, HostStatus, MAX_STATUS_ACCOUNTS,
    ServiceStatus, Severity, TenantStatus, TrustStatus,
};
pub use storage::{
    AccessReason, AccessVia, DefaultPermission, Grant, GrantCreate, HostAccount, HostDomain,
    HostShare, HostState, HostStateQuery, HostTenant, Keytab, KeytabEntry, MAX_REFUSED_USERS,
    OpenShare, RotateAccountKey, RotateKey, RotatedAccount, Share, ShareAccess, ShareAccessQuery,
    ShareCreate, ShareQuota, StorageAccountDelete,
};
pub use tenants::{
    AdRealm, CaCertificate, ClientConfig, Health, RealmKey, RotateRealmKey, Tenant, TenantCreate,
    TenantPolicy, UnmappedHost,
};
pub use tokens::{ConnectorCreate, ConnectorCreated, TokenKind, WhoAmI};
pub use trusts::{
    ConfirmTrust, ConfirmTrustRotation, HeldSecret, PreparedTrust, RecordKerberosServer,
    RetireTrustKeys, TrustRotation,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PageOf{T}")]
pub struct Page<T> {
    /// The records of this page.
    pub items: Vec<T>,
    /// The `after` of the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Which page of a list is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PageQuery {
    /// The `next` of the page before; absent for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// The most records wanted, at most [`MAX_PAGE`]; the server chooses where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// The most records of one page.
pub const MAX_PAGE: u32 = 1000;
