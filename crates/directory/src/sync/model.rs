//! What the sync agent sends and reads.

use crate::page::Paged;
use crate::tenants::domains::{DomainInfo, NewDomain};
use crossrealm_types::{LeaseHolder, Sid, SyncFailure, SyncedIdentity};
use std::collections::HashMap;
use uuid::Uuid;

/// The most members in one answer, over all its groups.
pub const MAX_MEMBERS_READ: usize = 20_000;

/// The longest cursor, in bytes.
pub const MAX_CURSOR: usize = 64 << 10;

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
        /// The SIDs of the domains of those to add that are in another domain of the forest; the others are in the
        /// group's. `None` if the agent does not know.
        elsewhere: Option<HashMap<Uuid, Sid>>,
    },
    /// Marks an identity deleted. Its SID stays reserved, its memberships end.
    Delete(Uuid),
}

/// A change of a group's members, as [`IdentityChange::Members`] has it.
#[derive(Clone, Copy)]
pub(crate) struct MemberChange<'a> {
    pub(crate) group: Uuid,
    pub(crate) add: &'a [Uuid],
    pub(crate) remove: &'a [Uuid],
    /// The domains of those to add that are not in the group's domain; `None` if the agent does not know.
    pub(crate) elsewhere: Option<&'a HashMap<Uuid, Sid>>,
}

/// A request of the sync agent, applied in one transaction, except for objects that are refused.
#[derive(Clone, Debug)]
pub struct ApplyIdentities {
    /// The run of the agent this belongs to.
    pub run_id: Uuid,
    /// The domain; registered if it is not.
    pub domain: NewDomain,
    /// At most [`MAX_CHANGES`](crossrealm_types::MAX_CHANGES).
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
    /// Objects that the agent could not process; at most [`MAX_FAILURES`](crossrealm_types::MAX_FAILURES).
    pub failures: Vec<SyncFailure>,
    /// How many objects the agent could not process, including those not listed.
    pub failed: u64,
    /// How many identities the run may delete or disable, if an administrator who makes the request declared it;
    /// otherwise a permit or the domain's limit applies.
    pub accept_deletions: Option<u64>,
    /// Whether the sync was incremental: earlier failures of other objects stand.
    pub incremental: bool,
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
    /// Whether the database went back in time and a full sync must bring back what it lost.
    pub awaits_full_sync: bool,
    /// The lease that is in force.
    pub lease: Option<LeaseHolder>,
    /// Why the last agent gave up, if no run has succeeded since.
    pub problem: Option<String>,
    /// How many identities the next run may delete or disable by an administrator's permit; only from
    /// [`sync_state`](crate::Directory::sync_state).
    pub deletions_allowed: u64,
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
