//! Storage accounts, shares, permissions, and what the SMB host of an account needs.

use crate::identities::is_zero;
use crate::{Base64Secret, Identity, IdentityRef};
use crossrealm_types::{
    IdentityKind, KeySlot, ReducedRole, ShareRole, Sid, StorageAccount, Timestamp,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How a storage account is to be deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StorageAccountDelete {
    /// Whether the shares that it still has are deleted with it; else it is refused with `account_has_shares`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub with_shares: bool,
}

/// The key of a storage account to rotate. Refused with `host_lacks_key` while a host that serves lacks the key that would
/// encrypt new tickets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateAccountKey {
    /// The key to replace. The other one encrypts new tickets from then on.
    pub key: KeySlot,
    /// Whether to rotate although a host lacks the key that will encrypt new tickets; these fail there until it has the key.
    #[serde(default)]
    pub force: bool,
}

/// The answer to [`RotateAccountKey`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RotatedAccount {
    /// The account with its keys.
    #[serde(flatten)]
    pub account: StorageAccount,
    /// What the administrator has to do: hosts that may lack the new key, servers with an exported keytab.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// The key of a service principal to rotate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateKey {
    /// The key to replace. The other one encrypts new tickets from then on.
    pub key: KeySlot,
}

/// The keys of a service as an MIT keytab. Audited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Keytab {
    /// The file, MIT keytab format version 2.
    pub keytab: Base64Secret,
    /// What is in it, without secrets.
    pub entries: Vec<KeytabEntry>,
}

/// One entry of a keytab, without its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeytabEntry {
    /// The principal with its realm.
    pub principal: String,
    /// The key version number.
    pub kvno: u32,
    /// The encryption type number (RFC 3961).
    pub enctype: i32,
}

/// A new share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShareCreate {
    /// Its name: 1 to 80 characters as SMB permits them, in the case that is kept. Names are compared without case.
    pub name: String,
    /// How much it may hold, 1 to 102,400 GiB; absent for no limit but the file system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_gib: Option<u32>,
}

/// The quota of a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShareQuota {
    /// How much the share may hold, 1 to 102,400 GiB; `null` for no limit but the file system's. It is required, so
    /// that a body without it removes no quota.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schemars(required, extend("type" = ["integer", "null"]))]
    pub quota_gib: Option<u32>,
}

/// A share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Share {
    /// Its storage account.
    pub account: String,
    /// Its name.
    pub name: String,
    /// How much it may hold, in GiB; absent where nothing but the file system limits it.
    #[serde(default)]
    pub quota_gib: Option<u32>,
    /// The roles granted on it.
    pub grants: Vec<Grant>,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A permission on a share, given to a user or group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Grant {
    /// The SID of the user or group.
    pub sid: Sid,
    /// Its UPN (users) or name (groups).
    pub name: String,
    /// User or group.
    pub kind: IdentityKind,
    /// What it may do.
    pub role: ShareRole,
}

/// A role to grant; replaces the one that the user or group had on the share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantCreate {
    /// The user or group: a UPN, an account or group name, or a SID.
    pub to: String,
    /// What it may do.
    pub role: ShareRole,
}

/// What every user may do on the shares of a storage account without a grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DefaultPermission {
    /// What every user may do without a grant; `null` for nothing.
    pub role: Option<ShareRole>,
}

/// What a user may do on a share, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ShareAccess {
    /// The user.
    pub user: Identity,
    /// What the user may do; absent where nothing, or where the user may not sign in. The file's own ACL restricts it further.
    #[serde(default)]
    pub effective: Option<ShareRole>,
    /// Every role that applies, the highest first; also for a user who may not sign in.
    pub reasons: Vec<AccessReason>,
}

/// A share on which a role applies to a user, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OpenShare {
    /// Its storage account.
    pub account: String,
    /// Its name.
    pub share: String,
    /// What the user may do; absent where the user may not sign in. The file's own ACL restricts it further.
    #[serde(default)]
    pub effective: Option<ShareRole>,
    /// Every role that applies, the highest first.
    pub reasons: Vec<AccessReason>,
}

/// Whose access to a share is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ShareAccessQuery {
    /// The user: a UPN, an account name or a SID.
    pub user: String,
}

/// A role that applies to a user, and by what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AccessReason {
    /// The role.
    pub role: ShareRole,
    /// By what.
    pub via: AccessVia,
    /// The way to the grant: for [`AccessVia::Group`] the user's direct group first, the granted group last; else empty.
    #[serde(default)]
    pub path: Vec<IdentityRef>,
}

/// By what a role applies to a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccessVia {
    /// The account's default permission.
    Default,
    /// A grant to the user.
    Direct,
    /// A grant to a group that the user is in, directly or through others.
    Group,
}

/// All that the SMB host of an account serves by.
///
/// Carries an `ETag`. With `If-None-Match` and `?wait_s=N` the server answers as soon as there is another state, else 304
/// after N seconds. Only a host token of the account gets it, for it holds the account's keys; administrators export
/// these with the keytab, which is audited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostState {
    /// Changes whenever anything below changes.
    pub version: String,
    /// The tenant.
    pub tenant: HostTenant,
    /// The storage account.
    pub account: HostAccount,
    /// The AD domains whose users may come, for the seeding of id maps.
    pub domains: Vec<HostDomain>,
    /// The versions of the keys in the keytab.
    #[serde(default)]
    pub kvnos: Vec<u32>,
    /// An MIT keytab with both keys for every service name of the account.
    pub keytab: Base64Secret,
    /// What every user may do without a grant.
    #[serde(default)]
    pub default_role: Option<ShareRole>,
    /// The shares.
    pub shares: Vec<HostShare>,
    /// The SIDs of users who may no longer sign in and may still hold a ticket: the host refuses them and closes their
    /// connections. At most [`MAX_REFUSED_USERS`], those of the latest changes.
    #[serde(default, rename = "barred")]
    pub revoked_users: Vec<Sid>,
    /// How many more there are: they keep access until their tickets expire.
    #[serde(default, rename = "barred_beyond")]
    pub revoked_users_beyond: u64,
    /// The installation that the host is served by: only it may dismiss the host. Absent from earlier servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installation: Option<Uuid>,
}

/// How long an SMB host waits for a change of its state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostStateQuery {
    /// For how long, in seconds; the server waits for 25 s at most.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub wait_s: u64,
}

/// The most users in [`HostState::revoked_users`] and one [`HostShare::reduced_roles`] together.
pub const MAX_REFUSED_USERS: usize = 750;

/// The tenant of a [`HostState`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostTenant {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// Its realm.
    pub realm: String,
    /// Its flat (NetBIOS) name.
    pub flat_name: String,
    /// Its domain SID.
    pub sid: Sid,
}

/// The storage account of a [`HostState`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostAccount {
    /// Its name.
    pub name: String,
    /// Its host name.
    pub host: String,
    /// Further host names it answers to.
    pub aliases: Vec<String>,
}

/// An AD domain of a [`HostState`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostDomain {
    /// Its DNS name.
    pub dns_name: String,
    /// Its flat (NetBIOS) name.
    pub flat_name: String,
    /// Its domain SID.
    pub sid: Sid,
    /// The number of its range of local ids, the same on every host of the tenant; absent from older servers.
    #[serde(default)]
    pub id_range: Option<u32>,
}

/// A share of a [`HostState`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostShare {
    /// Its name.
    pub name: String,
    /// How much it may hold, in GiB; absent where nothing but the file system limits it, and from older servers.
    #[serde(default)]
    pub quota_gib: Option<u32>,
    /// The roles granted on it.
    pub grants: Vec<Grant>,
    /// Users whose role is lower than the groups in their tickets may imply: the host denies them the difference. Together
    /// with [`HostState::revoked_users`] at most [`MAX_REFUSED_USERS`], those of the latest changes.
    #[serde(default, rename = "lowered")]
    pub reduced_roles: Vec<ReducedRole>,
    /// How many more there are, at least: they keep the role that their tickets imply until these expire.
    #[serde(default, rename = "lowered_beyond")]
    pub reduced_roles_beyond: u64,
}
