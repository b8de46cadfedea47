//! What a sync agent writes and reads of its AD domain. The JSON is that of the API.

use crate::{DisabledReason, IdentityKind, IdentityState, RefusedChangeCode, Sid};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A user or group of an AD domain as its sync agent sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SyncedIdentity {
    /// Its `objectGUID`, lower case with hyphens: what it is recognised by when it is renamed.
    pub object_guid: Uuid,
    /// User or group.
    pub kind: IdentityKind,
    /// Its SID.
    pub sid: Sid,
    /// Its `sAMAccountName`.
    pub account_name: String,
    /// Its user principal name; empty where it has none.
    #[serde(default)]
    pub upn: String,
    /// Its display name; may be empty.
    #[serde(default)]
    pub display_name: String,
    /// Whether it may sign in. An agent writes enabled or disabled; deletion is a change of its own.
    pub state: IdentityState,
    /// Why it may not, where it is disabled.
    #[serde(default)]
    pub disabled_reason: Option<DisabledReason>,
    /// The RID of its primary group; 0 for a group.
    #[serde(default)]
    pub primary_group_rid: u32,
    /// The `objectGUID`s of a group's direct members, in order. Present when read; ignored when written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Uuid>,
    /// Whether there are more members behind these, to be read from `GET …/identities/{object_guid}/members`: one answer
    /// carries 20,000 of them, over all its groups.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more_members: bool,
}

/// An object that the agent could not make sense of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SyncFailure {
    /// Its `objectGUID`, where that much is known.
    #[serde(default)]
    pub object_guid: Option<Uuid>,
    /// What the agent calls it; cut to 256 characters.
    pub name: String,
    /// What is wrong with it; cut to 256 characters.
    pub reason: String,
    /// Whether the tenant may grant it more than AD does: the tenant keeps what it has of an object whose state in AD
    /// cannot be read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exceeds: bool,
}

/// A change that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RefusedChange {
    /// Which object.
    pub object_guid: Uuid,
    /// Its account name, as far as known.
    pub account_name: String,
    /// Why.
    pub code: RefusedChangeCode,
    /// Why, for people.
    pub message: String,
}

/// The agent that works on the sync of a domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LeaseHolder {
    /// Its name for itself.
    pub holder: String,
    /// When its lease ends unless it renews it, Unix seconds.
    pub expires_at: i64,
}

/// The answer to `ApplyIdentities`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ApplyIdentitiesResult {
    /// Identities created.
    pub created: u64,
    /// Identities changed.
    pub updated: u64,
    /// Identities marked as deleted.
    pub deleted: u64,
    /// Identities that could sign in and no longer can; they are among the changed.
    #[serde(default)]
    pub disabled: u64,
    /// Changes that changed nothing.
    pub unchanged: u64,
    /// Memberships added.
    pub memberships_added: u64,
    /// Memberships removed.
    pub memberships_removed: u64,
    /// Objects that were refused; the rest went on.
    pub refused: Vec<RefusedChange>,
}

/// The most changes of one request.
pub const MAX_CHANGES: usize = 1000;

/// The most failures of one request, and the most that are kept of a domain.
pub const MAX_FAILURES: usize = 1000;

/// The most members that one change adds and removes.
pub const MAX_MEMBER_CHANGES: usize = 5000;
