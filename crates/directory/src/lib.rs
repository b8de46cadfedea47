//! The tenant's directory: tenants, trusts, identities, storage accounts, shares, roles, tokens and events, in SQL.
//!
//! This room keeps what a tenant is made of and answers the KDC's lookups from it. It decides who is who (a SID never
//! changes hands, a nested group counts), but never whether a ticket is issued, and it never speaks to a network other
//! than its database. Data comes in through the administration API and the sync agent; it goes out as
//! [`Records`](crossrealm_kdc::Records) to the exchange and as plain values to the API.
//!
//! Every key and trust secret is sealed before it reaches the database, under a [`MasterKey`] that is not in it.
//! Every change of a record and its audit event are one transaction: a process killed anywhere leaves either both or
//! neither. Nothing is written on the path of a ticket.

mod access;
mod accounts;
mod ad_steps;
mod administrators;
mod apply;
mod attempts;
mod barred;
mod closure;
mod connectors;
mod db;
mod domains;
mod error;
mod events;
mod host;
mod host_reports;
mod host_tokens;
mod id_ranges;
mod identities;
mod kerberos_servers;
mod keys;
mod losses;
mod lowered;
pub mod master_key;
mod memberships;
pub mod names;
mod opening;
mod origins;
mod paths;
mod principals;
mod records;
mod removals;
mod resolve;
mod rotation;
mod seal;
mod shares;
mod sign_in;
mod store;
mod store_url;
mod sync;
mod tenants;
mod tokens;
mod totp;
mod trusts;

pub use access::{AccessReason, PrincipalRef, ShareAccess, Via};
pub use accounts::{NewStorageAccount, StorageAccount};
pub use ad_steps::{AdStep, AdStepPhase, MAX_AD_STEP};
pub use administrators::{AdministratorInfo, CODE_LIFE_S, Enrolment};
pub use attempts::{FREE_FAILURES, FREE_FAILURES_OF_SENDER};
pub use barred::{Barred, MAX_BARRED};
pub use connectors::{ConnectorInfo, MAX_LEASE_S, MIN_LEASE_S, SyncLease};
pub use domains::{DomainInfo, NewDomain};
pub use error::{DirectoryError, Kind};
pub use events::{Actor, Event, EventCategory, EventFilter, NewEvent, Outcome, TrustKeySeen};
pub use host::{HostShare, HostState};
pub use host_reports::HostReport;
pub use host_tokens::HostTokenInfo;
pub use identities::{IdentityFilter, IdentityInfo, NewCloudIdentity};
pub use kerberos_servers::{KerberosServerInfo, NewKerberosServer};
pub use keys::{KeyInfo, KeySlot, KeytabMaterial};
pub use lowered::{Lowered, LoweredRole};
pub use master_key::{MasterKey, MasterKeyError};
pub use opening::check_new_store;
pub use origins::Origin;
pub use paths::EffectiveGroup;
pub use principals::ServicePrincipal;
pub use rotation::{MIN_ROTATION_S, RotateTrust, TrustRotation};
pub use seal::UnsealError;
pub use shares::{Grant, Share, ShareRole};
pub use sign_in::{SESSION_LIFE_S, Session, SignInAs};
pub use store::Directory;
pub use store_url::{check_store_url, shown_store_url};
pub use sync::{
    ApplyIdentities, ApplyOutcome, Change, DomainIdentities, MAX_CURSOR, MAX_FAILURES,
    MAX_MEMBERS_READ, Refusal, RefusalCode, SyncFailure, SyncState, SyncedIdentity,
};
pub use tenants::{NewTenant, TenantInfo};
pub use tokens::{NewToken, TokenInfo, TokenRole};
pub use trusts::{
    HeldSecret, PrepareTrust, PreparedTrust, TrustInfo, TrustKeyInfo, TrustKeyState, TrustState,
};
pub use uuid::Uuid;

/// The result of everything this crate does.
pub type Result<T> = std::result::Result<T, DirectoryError>;

/// A stretch of a list that may be long: at most `limit` records (1 to 1000) behind the record named `after`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The `next` of the previous stretch; `None` starts at the beginning.
    pub after: Option<String>,
    /// The most records wanted; cut to 1 to [`Page::MAX_LIMIT`].
    pub limit: u32,
}

impl Page {
    /// The most records in one stretch.
    pub const MAX_LIMIT: u32 = 1000;

    /// The first stretch, as long as is allowed.
    pub fn first() -> Self {
        Self {
            after: None,
            limit: Self::MAX_LIMIT,
        }
    }

    pub(crate) fn limit(&self) -> i64 {
        i64::from(self.limit.clamp(1, Self::MAX_LIMIT))
    }

    /// Where the page starts: behind this text. Behind the empty one is everything.
    pub(crate) fn after(&self) -> String {
        self.after.clone().unwrap_or_default()
    }

    /// The page of these items; a full one may have a next.
    pub(crate) fn paged<T>(&self, items: Vec<T>, name: impl Fn(&T) -> String) -> Paged<T> {
        let full = i64::try_from(items.len()).is_ok_and(|len| len >= self.limit());
        let next = items.last().filter(|_| full).map(name);
        Paged { items, next }
    }
}

/// The records of one [`Page`], and where the next one starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paged<T> {
    /// The records, in the order of the list.
    pub items: Vec<T>,
    /// The `after` of the next page; `None` at the end.
    pub next: Option<String>,
}
