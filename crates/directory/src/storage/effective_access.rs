//! What a user may do on a share, and why.

use crate::directory::Directory;
use crate::error::Result;
use crate::identities::find::find_identity;
use crate::identities::group_paths::GroupWalk;
use crate::identities::identity_ref::IdentityRef;
use crate::identities::rows::IdentityInfo;
use crate::storage::account_rows::load_account;
use crate::storage::model::{Grant, SharePath};
use crate::storage::share_rows::load_share;
use crate::tenants::model::load_tenant;
use crossrealm_kdc::TenantId;
use crossrealm_types::{IdentityKind, IdentitySource, IdentityState, ShareRole};
use std::cmp::Reverse;
use std::collections::HashMap;
use uuid::Uuid;

/// A user's effective role on a share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareAccess {
    /// The user.
    pub user: IdentityInfo,
    /// The highest role that applies; `None` if none does or the user may not sign in.
    pub role: Option<ShareRole>,
    /// Every role that applies, the highest first; also for a user who may not sign in.
    pub reasons: Vec<AccessReason>,
}

/// A role that applies, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessReason {
    /// The role.
    pub role: ShareRole,
    /// Why.
    pub via: Via,
}

/// Why a role applies to a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Via {
    /// The account's default share permission.
    Default,
    /// A grant to the user.
    Direct,
    /// A grant to a group the user is in: the user's direct group first, the granted group last.
    Group(Vec<IdentityRef>),
}

impl Directory {
    /// The effective role of a user on a share: the highest of the default role, their own grant and their groups'
    /// grants.
    pub async fn share_access(
        &self,
        tenant: TenantId,
        path: SharePath<'_>,
        user: &str,
    ) -> Result<ShareAccess> {
        // One snapshot: grants, memberships and states belong together.
        let mut conn = self.snapshot().await?;
        let tenant_info = load_tenant(&mut conn, tenant).await?;
        let (_, account_info) =
            load_account(&mut conn, self.sealer(), &tenant_info, path.account).await?;
        let (_, share) = load_share(&mut conn, self.sealer(), &tenant_info, path).await?;
        let user = find_identity(&mut conn, tenant, user, Some(IdentityKind::User)).await?;
        let rights = ShareRights::new(account_info.default_role, share.grants);
        let walk = GroupWalk::from(&mut conn, tenant, &user).await?;
        let reasons = rights.reasons(&user, &walk);
        Ok(ShareAccess {
            role: effective(&user, &reasons),
            user,
            reasons,
        })
    }
}

/// Who has which role on a share.
pub(crate) struct ShareRights {
    default_role: Option<ShareRole>,
    granted: HashMap<Uuid, ShareRole>,
}

impl ShareRights {
    pub(crate) fn new(default_role: Option<ShareRole>, grants: Vec<Grant>) -> Self {
        let granted = grants
            .into_iter()
            .map(|grant| (grant.identity.guid, grant.role));
        Self {
            default_role,
            granted: granted.collect(),
        }
    }

    /// Every role that applies to a user with these groups, the highest first.
    pub(crate) fn reasons(&self, user: &IdentityInfo, walk: &GroupWalk) -> Vec<AccessReason> {
        let mut reasons = Vec::new();
        if let Some(role) = self.default_role {
            reasons.push(AccessReason {
                role,
                via: Via::Default,
            });
        }
        if let Some(role) = self.granted.get(&user.guid) {
            reasons.push(AccessReason {
                role: *role,
                via: Via::Direct,
            });
        }
        for index in walk.indices() {
            let group = walk.group(index);
            if let Some(role) = group.and_then(|group| self.granted.get(&group.guid)) {
                let path = walk.path(index).into_iter().cloned().collect();
                reasons.push(AccessReason {
                    role: *role,
                    via: Via::Group(path),
                });
            }
        }
        reasons.sort_by_key(|reason| Reverse(reason.role));
        reasons
    }
}

/// The highest role that applies; `None` if none does or the user may not sign in.
pub(crate) fn effective(user: &IdentityInfo, reasons: &[AccessReason]) -> Option<ShareRole> {
    let may_sign_in = user.source == IdentitySource::Hybrid && user.state == IdentityState::Enabled;
    reasons.first().map(|r| r.role).filter(|_| may_sign_in)
}
