//! Users and groups: as an administrator reads them, and as the sync agent writes those of its AD domain.

use crate::Page;
use crossrealm_types::{
    DisabledReason, IdentityKind, IdentitySource, IdentityState, LeaseHolder, RefusedChange, Sid,
    SyncFailure, SyncedIdentity, Timestamp,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A user or group of the tenant, as `GET /tenants/{tenant}/users` and `…/groups` list it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Identity {
    /// Its SID, fixed at the first sync.
    pub sid: Sid,
    /// User or group.
    pub kind: IdentityKind,
    /// Where it comes from.
    pub source: IdentitySource,
    /// Whether it may sign in.
    pub state: IdentityState,
    /// Why it may not, where it is disabled in AD.
    #[serde(default)]
    pub disabled_reason: Option<DisabledReason>,
    /// Its account name (`sAMAccountName`).
    pub account_name: String,
    /// Its user principal name; empty for most groups.
    pub upn: String,
    /// Its display name; may be empty.
    pub display_name: String,
    /// The DNS name of its AD domain; the tenant's domain for a cloud-only identity.
    pub domain: String,
}

/// A user or group, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IdentityRef {
    /// Its SID.
    pub sid: Sid,
    /// User or group.
    pub kind: IdentityKind,
    /// The UPN of a user, the account name of a group.
    pub name: String,
}

/// A user (by UPN, account name or SID) with the groups that its tickets name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UserDetails {
    /// The user.
    pub user: Identity,
    /// Where each of its attributes came from.
    #[serde(default)]
    pub origins: Vec<AttributeOrigin>,
    /// Every group it is in, directly or through other groups, by name; at most [`MAX_GROUPS`].
    pub effective_groups: Vec<EffectiveGroup>,
    /// How many more groups there are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_groups: u64,
}

/// Where an attribute came from, and when it was last written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AttributeOrigin {
    /// Its name: `account_name`, `upn`, `display_name`, `state`, `primary_group`, `domain`, `sid`, `members`.
    pub attribute: String,
    /// The AD domain it was synced from; for a cloud-only identity the tenant's domain.
    pub source: String,
    /// When it was last changed here.
    pub changed_at: Timestamp,
    /// The name of the token that wrote it.
    pub changed_by: String,
    /// The run of the sync agent, where it was one.
    #[serde(default)]
    pub run_id: Option<Uuid>,
}

/// The most groups of one answer.
pub const MAX_GROUPS: usize = 4096;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
pub(crate) fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A group that a user is in, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EffectiveGroup {
    /// The group.
    pub group: IdentityRef,
    /// The shortest way to it: the user's direct group first, `group` last.
    pub path: Vec<IdentityRef>,
    /// How many steps behind the first one are left out of `path`, where all ways of the answer have more than 20,000.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub omitted: u64,
    /// Whether the first step is the user's primary group.
    pub by_primary_group: bool,
}

/// A group (by name or SID) with one page of its direct members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GroupDetails {
    /// The group.
    pub group: Identity,
    /// Where each of its attributes came from; on the first page of its members.
    #[serde(default)]
    pub origins: Vec<AttributeOrigin>,
    /// Every group it is in itself, as for a user; on the first page of its members.
    #[serde(default)]
    pub effective_groups: Vec<EffectiveGroup>,
    /// How many more groups there are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_groups: u64,
    /// Its direct members, by account name.
    pub members: Page<IdentityRef>,
}

/// A cloud-only user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UserCreate {
    /// Its user principal name, `name@<tenant domain>`.
    pub upn: String,
    /// Its display name; may be empty.
    #[serde(default)]
    pub display_name: String,
}

/// An AD domain as its sync agent names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SyncDomain {
    /// Its DNS name, lower case.
    pub dns_name: String,
    /// Its flat (NetBIOS) name.
    pub flat_name: String,
    /// Its domain SID.
    pub sid: Sid,
}

/// How far the sync of a domain has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SyncState {
    /// The sync cursor, opaque to the server: stored with the last request of a run.
    pub cursor: Option<String>,
    /// The id of the last run that ended well.
    pub last_run_id: Option<Uuid>,
    /// When it ended, Unix seconds.
    pub last_success_at: Option<i64>,
    /// Users of the domain that are not deleted.
    pub users: u64,
    /// Groups of the domain that are not deleted.
    pub groups: u64,
    /// Objects that the agent left out in the last run.
    pub skipped: u64,
    /// Objects that the server refuses.
    #[serde(default)]
    pub refused: u64,
    /// Objects that the agent could not make sense of.
    #[serde(default)]
    pub failed: u64,
    /// Whether the tenant's database went back in time: users of the domain get no tickets until a full sync.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub awaits_full_sync: bool,
    /// The agent that works on it now.
    #[serde(default)]
    pub lease: Option<LeaseHolder>,
    /// Why the last agent gave up; absent where a run has succeeded since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// How many identities the next run may delete or disable by an administrator's permit; absent where there is none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub deletions_allowed: u64,
    /// The objects that the server refuses, at most 1000; only from `GET …/sync-state`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<RefusedChange>,
    /// The objects that the agent could not make sense of, at most `MAX_FAILURES`; only from `GET …/sync-state`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<SyncFailure>,
}

/// Lets one run delete or disable identities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AllowDeletions {
    /// How many, at most.
    pub deletions: u64,
    /// For how long the run may begin, in seconds: 60 to 86,400.
    pub expires_in_s: u32,
}

/// An administrator's permit for the deletions of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeletionPermit {
    /// How many identities the run may delete or disable.
    pub deletions: u64,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Takes or renews the sync lease of the domain, so that one
/// agent works at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SyncLeaseRequest {
    /// The agent's name for itself, its own alone: at most 128 characters.
    pub holder: String,
    /// For how long, 10 to 300 s.
    pub seconds: u32,
}

/// The answer to [`SyncLeaseRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SyncLease {
    /// Whether the agent that asked holds the lease.
    pub granted: bool,
    /// The agent that holds it.
    pub holder: String,
    /// When it ends unless it is renewed, by the server's clock, Unix seconds.
    pub expires_at: i64,
}

/// Releases the lease. The lease of another holder stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SyncLeaseRelease {
    /// The name it was taken under.
    pub holder: String,
    /// Why the agent did not succeed; cut to 256 characters. It is shown until a run succeeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The objects of a domain to look up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdentityLookup {
    /// Their `objectGUID`s, at most `MAX_CHANGES`.
    pub object_guids: Vec<Uuid>,
}

/// The answer to [`IdentityLookup`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IdentitiesFound {
    /// Those that the tenant holds, deleted ones included, in any order.
    pub identities: Vec<SyncedIdentity>,
}

/// What the tenant holds of a domain, one page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DomainIdentitiesPage {
    /// The domain as registered; absent where it never was.
    pub domain: Option<SyncDomain>,
    /// How far the sync has come.
    pub sync: SyncState,
    /// The hybrid identities of this domain, deleted ones included, in a stable order.
    pub identities: Vec<SyncedIdentity>,
    /// The `after` of the next page; absent on the last one.
    pub next: Option<String>,
}

/// One change by the sync agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum IdentityChange {
    /// Creates, updates, or revives a deleted one.
    Upsert {
        /// As AD holds it now.
        identity: SyncedIdentity,
    },
    /// Changes the direct members of a group. Idempotent.
    Members {
        /// The group's `objectGUID`.
        object_guid: Uuid,
        /// Members to add.
        #[serde(default)]
        add: Vec<Uuid>,
        /// Members to remove.
        #[serde(default)]
        remove: Vec<Uuid>,
        /// Those of `add` that are in other domains of the forest; the others are in this domain. A member that is not synced
        /// yet can then be created by its own domain alone. Absent where the agent does not know.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        elsewhere: Option<Vec<MemberElsewhere>>,
    },
    /// Marks the object as deleted. Its SID stays reserved; its memberships are removed.
    Delete {
        /// Its `objectGUID`.
        object_guid: Uuid,
    },
}

/// A member of a group in another domain of the forest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberElsewhere {
    /// Its `objectGUID`.
    pub object_guid: Uuid,
    /// The SID of its domain.
    pub domain_sid: Sid,
}

/// Changes of one run of the sync agent, in order, in one transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApplyIdentities {
    /// The id of the run.
    pub run_id: Uuid,
    /// The domain; the first request of all registers it.
    pub domain: SyncDomain,
    /// At most `MAX_CHANGES`.
    pub changes: Vec<IdentityChange>,
    /// Objects that the agent left out.
    #[serde(default)]
    pub skipped: u64,
    /// The sync cursor; stored where `last` is set.
    #[serde(default)]
    pub cursor: Option<String>,
    /// Whether this ends the run.
    #[serde(default)]
    pub last: bool,
    /// Under which name the agent holds the lease. Refused with `lease_lost` while another one holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    /// The sync cursor that the run started from; empty where there was none. Refused with `cursor_moved` where the
    /// stored cursor differs, because another run has ended since. Checked in every request that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_cursor: Option<String>,
    /// Objects that the agent could not make sense of, at most `MAX_FAILURES`; stored where `last` is set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<SyncFailure>,
    /// How many those are, where they are more than are listed.
    #[serde(default)]
    pub failed: u64,
    /// How many identities the run may delete or disable, in a request of an administrator; a connector's is refused
    /// with `deletions_not_allowed`. Else what a deletion permit says, or a tenth of the domain's within 24 hours, at
    /// least 50 and at most 500; beyond it, `too_many_deletions`. All are audited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_deletions: Option<u64>,
    /// Whether this is an incremental sync: earlier failures stay until their object is written, deleted or reported
    /// again. In a full sync these failures replace all.
    #[serde(default)]
    pub incremental: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_travels_as_agreed() {
        let change: IdentityChange =
            serde_json::from_str(r#"{"op":"members","object_guid":"00000000-0000-0000-0000-000000000001","add":["00000000-0000-0000-0000-000000000002"]}"#).unwrap();
        assert_eq!(
            change,
            IdentityChange::Members {
                object_guid: Uuid::from_u128(1),
                add: vec![Uuid::from_u128(2)],
                remove: vec![],
                elsewhere: None,
            }
        );
        let upsert = r#"{"op":"upsert","identity":{"object_guid":"00000000-0000-0000-0000-000000000001","kind":"user","sid":"S-1-5-21-1-2-3-4","account_name":"alice","upn":"","display_name":"","state":"disabled","disabled_reason":"locked","primary_group_rid":513}}"#;
        let change: IdentityChange = serde_json::from_str(upsert).unwrap();
        assert_eq!(serde_json::to_string(&change).unwrap(), upsert);
        assert!(serde_json::from_str::<IdentityChange>(r#"{"op":"erase"}"#).is_err());
    }
}
