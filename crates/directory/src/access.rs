//! What a user may do on a share, and why.

use crate::identities::IdentityInfo;
use crate::shares::ShareRole;
use crate::{Directory, Result};
use crossrealm_kdc::{IdentityKind, TenantId};
use crossrealm_krb::sid::Sid;
use uuid::Uuid;

/// A user or group, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrincipalRef {
    /// Its anchor.
    pub guid: Uuid,
    /// Its SID.
    pub sid: Sid,
    /// User or group.
    pub kind: IdentityKind,
    /// The UPN of a user, the account name of a group.
    pub name: String,
}

/// A user's effective role on a share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareAccess {
    /// The user.
    pub user: IdentityInfo,
    /// The highest role that applies; `None` where none does or the user may not sign in.
    pub role: Option<ShareRole>,
    /// Every role that applies, the highest first; given for a user that may not sign in too.
    pub reasons: Vec<AccessReason>,
}

/// A role that applies, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessReason {
    /// The role.
    pub role: ShareRole,
    /// By what.
    pub via: Via,
}

/// By what a role applies to a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Via {
    /// The account's default share permission.
    Default,
    /// A grant to the user.
    Direct,
    /// A grant to a group the user is in: the user's direct group first, the granted group last.
    Group(Vec<PrincipalRef>),
}

impl Directory {
    /// The effective role of a user on a share: the highest of the default, their own grant and their groups' grants.
    pub async fn share_access(
        &self,
        tenant: TenantId,
        account: &str,
        share: &str,
        user: &str,
    ) -> Result<ShareAccess> {
        todo!()
    }
}
