//! What the sync agent sends and reads.

use crate::page::Paged;
use crate::tenants::domains::{DomainInfo, NewDomain};
use crossrealm_types::{DisabledReason, IdentityKind, IdentityState, RefusedChangeCode, Sid};
use uuid::Uuid;

/// The lease of a domain's sync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncLease {
    /// The agent's name for itself.
    pub holder: String,
    /// When the lease ends unless it is renewed, Unix seconds.
    pub expires_at: i64,
}

/// The most changes in one request.
pub const MAX_CHANGES: usize = 1000;

/// The most members added and removed by one change.
pub const MAX_MEMBER_CHANGES: usize = 5000;

/// The most members in one answer, over all its groups.
pub const MAX_MEMBERS_READ: usize = 20_000;

/// The most failures in one request, and stored.
pub const MAX_FAILURES: usize = 1000;

/// The longest cursor, in bytes.
pub const MAX_CURSOR: usize = 64 << 10;

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
    /// Why it may not.
    pub disabled_reason: Option<DisabledReason>,
    /// The RID of a user's primary group; 0 for groups.
    pub primary_group_rid: u32,
    /// A group's direct members, by GUID, when read; ignored when written.
    pub members: Vec<Uuid>,
    /// Whether there are more members, to be read with [`Directory::domain_members`](crate::Directory::domain_members).
    pub more_members: bool,
}

/// One change; a request's changes are applied in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityChange {
    /// Creates, updates or restores an identity. `members` is ignored.
    Upsert(SyncedIdentity),
    /// Adds and removes direct members of a group. Adding a present one and removing an absent one are not errors.
    Members {
        /// The group.
        group: Uuid,
        /// Identities to add.
        add: Vec<Uuid>,
        /// Identities to remove.
        remove: Vec<Uuid>,
    },
    /// Marks an identity deleted. Its SID stays reserved, its memberships end.
    Delete(Uuid),
}

/// A request of the sync agent, applied in one transaction, except for objects that are refused.
#[derive(Clone, Debug)]
pub struct ApplyIdentities {
    /// The run of the agent this belongs to.
    pub run_id: Uuid,
    /// The domain; registered if it is not.
    pub domain: NewDomain,
    /// At most [`MAX_CHANGES`].
    pub changes: Vec<IdentityChange>,
    /// Objects that the agent skipped by its own rules.
    pub skipped: u64,
    /// The sync cursor; stored only if `last` is set.
    pub cursor: Option<String>,
    /// Whether this completes the run: cursor, time, run, counts and failures are stored with the changes.
    pub last: bool,
    /// The agent, if it holds a lease.
    pub holder: Option<String>,
    /// The cursor that the run started from, if it depends on it; empty if there was none.
    pub previous_cursor: Option<String>,
    /// Objects that the agent could not process; at most [`MAX_FAILURES`].
    pub failures: Vec<SyncFailure>,
    /// How many objects the agent could not process, including those not listed.
    pub failed: u64,
    /// How many identities the run may delete or disable, if declared; otherwise the domain's limit applies.
    pub accept_deletions: Option<u64>,
    /// Whether the sync was incremental: earlier failures of other objects stand.
    pub incremental: bool,
}

/// An object that the agent could not process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncFailure {
    /// The object's GUID, if known.
    pub object_guid: Option<Uuid>,
    /// The agent's name for it.
    pub name: String,
    /// What is wrong with it.
    pub reason: String,
}

/// The result of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApplyOutcome {
    /// Identities created.
    pub created: u64,
    /// Identities changed, including restored ones.
    pub updated: u64,
    /// Identities marked deleted.
    pub deleted: u64,
    /// Identities that could sign in and no longer can; included in `updated`.
    pub disabled: u64,
    /// Identities that needed no change.
    pub unchanged: u64,
    /// Direct memberships added.
    pub memberships_added: u64,
    /// Direct memberships removed, including those of deleted identities.
    pub memberships_removed: u64,
    /// Objects that were refused, each audited; the rest was applied.
    pub refused: Vec<RefusedChange>,
}

/// An object that was refused, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedChange {
    /// The object.
    pub object_guid: Uuid,
    /// Its account name, where known.
    pub account_name: String,
    /// The stable code.
    pub code: RefusedChangeCode,
    /// The message for people.
    pub message: String,
}

/// The state of a domain's sync.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncState {
    /// The sync cursor.
    pub cursor: Option<String>,
    /// The last run that completed.
    pub last_run_id: Option<Uuid>,
    /// When that was, Unix seconds.
    pub last_success_at: Option<i64>,
    /// Hybrid users of the domain that are not deleted.
    pub users: u64,
    /// Hybrid groups of the domain that are not deleted.
    pub groups: u64,
    /// Objects that the agent skipped in the last run.
    pub skipped: u64,
    /// Objects that were refused the last time they were sent.
    pub refused: u64,
    /// Objects that the agent could not process.
    pub failed: u64,
    /// The lease that is in force.
    pub lease: Option<SyncLease>,
}

/// A page of a domain's hybrid identities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainIdentities {
    /// The domain; `None` if it was never registered.
    pub domain: Option<DomainInfo>,
    /// The state of its sync.
    pub sync: SyncState,
    /// The identities, tombstones included, by GUID.
    pub identities: Paged<SyncedIdentity>,
}
