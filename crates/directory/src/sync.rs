//! What the sync agent reads and writes: the hybrid identities of one AD domain.

use crate::domains::{DomainInfo, NewDomain};
use crate::{Actor, Directory, Page, Paged, Result};
use crossrealm_kdc::{IdentityKind, IdentityState, TenantId};
use crossrealm_krb::sid::Sid;
use std::fmt;
use uuid::Uuid;

/// The most changes in one request.
pub const MAX_CHANGES: usize = 1000;
/// The most members added and removed by one change.
pub const MAX_MEMBER_CHANGES: usize = 5000;

/// A user or group as AD has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncedIdentity {
    /// `objectGUID`, the anchor.
    pub object_guid: Uuid,
    /// User or group. Never changes.
    pub kind: IdentityKind,
    /// `objectSid`. Never changes.
    pub sid: Sid,
    /// `sAMAccountName`.
    pub account_name: String,
    /// The user principal name; empty where there is none.
    pub upn: String,
    /// The display name; may be empty.
    pub display_name: String,
    /// Whether it may sign in.
    pub state: IdentityState,
    /// Why it may not: `disabled`, `expired`, `locked`.
    pub disabled_reason: Option<String>,
    /// The RID of a user's primary group; 0 for groups.
    pub primary_group_rid: u32,
    /// A group's direct members, on reading; not looked at on writing.
    pub members: Vec<Uuid>,
}

/// One change; a request's changes are applied in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Makes, updates or revives an identity. `members` is not looked at.
    Upsert(SyncedIdentity),
    /// Adds to and removes from a group's direct members. Adding a present one or removing an absent one is fine.
    Members {
        /// The group.
        group: Uuid,
        /// Identities to add.
        add: Vec<Uuid>,
        /// Identities to remove.
        remove: Vec<Uuid>,
    },
    /// Marks an identity deleted. Its SID stays taken, its memberships go.
    Delete(Uuid),
}

/// A request of the sync agent: all of it, but for objects that are refused, is one transaction.
#[derive(Clone, Debug)]
pub struct ApplyIdentities {
    /// The run of the agent this belongs to.
    pub run_id: Uuid,
    /// The domain; registered where it is not.
    pub domain: NewDomain,
    /// At most [`MAX_CHANGES`].
    pub changes: Vec<Change>,
    /// Objects the agent left out by its own rules.
    pub skipped: u64,
    /// The agent's place in AD's stream of changes; stored only where `last` is set.
    pub cursor: Option<String>,
    /// Whether this ends the run well: cursor, time, run and counts are stored with the changes.
    pub last: bool,
}

/// What became of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApplyOutcome {
    /// Identities made.
    pub created: u64,
    /// Identities changed, revived ones included.
    pub updated: u64,
    /// Identities marked deleted.
    pub deleted: u64,
    /// Identities that were as wanted.
    pub unchanged: u64,
    /// Direct memberships added.
    pub memberships_added: u64,
    /// Direct memberships removed, those of deleted identities included.
    pub memberships_removed: u64,
    /// Objects that were refused, each audited; the rest was applied.
    pub refused: Vec<Refusal>,
}

/// An object that was refused, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The object.
    pub object_guid: Uuid,
    /// Its account name, where known.
    pub account_name: String,
    /// The stable code.
    pub code: RefusalCode,
    /// The reason for people.
    pub message: String,
}

/// Why an object of a sync was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalCode {
    /// The object was synced with another SID before.
    SidChanged,
    /// Another object has, or had, the SID.
    SidDuplicate,
    /// The SID is not one of the connector's domain.
    SidOutsideDomain,
    /// A user with a RID below 1000, which the tenant does not allow.
    RidReserved,
    /// Another identity has the UPN or the account name.
    UpnConflict,
    /// The object is not an identity of this domain, or not one of the kind the change needs.
    UnknownObject,
    /// The object would overwrite an identity that exists only in the tenant.
    CloudOnly,
    /// A value is malformed or too long, or the kind changed.
    Invalid,
}

/// The sync of one domain, as `sync status` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncState {
    /// The agent's place in AD's stream of changes.
    pub cursor: Option<String>,
    /// The last run that ended well.
    pub last_run_id: Option<Uuid>,
    /// When that was, Unix seconds.
    pub last_success_at: Option<i64>,
    /// Hybrid users of the domain that are not deleted.
    pub users: u64,
    /// Hybrid groups of the domain that are not deleted.
    pub groups: u64,
    /// Objects the agent left out in the last run.
    pub skipped: u64,
    /// Objects refused in the last run.
    pub refused: u64,
}

/// A page of a domain's hybrid identities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainIdentities {
    /// The domain; `None` where it was never registered.
    pub domain: Option<DomainInfo>,
    /// The state of its sync.
    pub sync: SyncState,
    /// The identities, tombstones included, by GUID.
    pub identities: Paged<SyncedIdentity>,
}

impl RefusalCode {
    /// The stable text for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SidChanged => "sid_changed",
            Self::SidDuplicate => "sid_duplicate",
            Self::SidOutsideDomain => "sid_outside_domain",
            Self::RidReserved => "rid_reserved",
            Self::UpnConflict => "upn_conflict",
            Self::UnknownObject => "unknown_object",
            Self::CloudOnly => "cloud_only",
            Self::Invalid => "invalid",
        }
    }
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Directory {
    /// A page of the hybrid identities of a domain, and the state of its sync. Empty where it was never synced.
    pub async fn domain_identities(
        &self,
        tenant: TenantId,
        domain: &str,
        page: &Page,
    ) -> Result<DomainIdentities> {
        todo!()
    }

    /// Applies a request of the sync agent in one transaction. An object that breaks a rule is refused and audited,
    /// the rest goes on.
    ///
    /// Refused as a whole with `domain_sid_mismatch` where the domain is registered with another SID, and with
    /// `too_many_changes` beyond [`MAX_CHANGES`] or [`MAX_MEMBER_CHANGES`].
    pub async fn apply_identities(
        &self,
        by: &Actor,
        tenant: TenantId,
        wanted: ApplyIdentities,
    ) -> Result<ApplyOutcome> {
        todo!()
    }

    /// The state of a domain's sync.
    pub async fn sync_state(&self, tenant: TenantId, domain: &str) -> Result<SyncState> {
        todo!()
    }
}
