//! What a user may do on a share, and why.

use crate::db::{col, col_sid, col_uuid, col_word};
use crate::directory::Directory;
use crate::error::Result;
use crate::identities::group_paths::GroupWalk;
use crate::identities::{IdentityInfo, find_principal, kind_from_word};
use crate::storage::accounts::load_account;
use crate::storage::shares::{ShareRole, load_grants, share_id};
use crate::tenants::load_tenant;
use crossrealm_kdc::{IdentityKind, IdentitySource, IdentityState, TenantId};
use crossrealm_types::Sid;
use sqlx::any::AnyRow;
use std::cmp::Reverse;
use std::collections::HashMap;
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
        // One snapshot: grants, memberships and states belong together.
        let mut conn = self.snapshot().await?;
        let tenant_info = load_tenant(&mut conn, tenant).await?;
        let (_, account_info) = load_account(&mut conn, &tenant_info, account).await?;
        let share = share_id(&mut conn, &tenant_info, account, share).await?;
        let user = find_principal(&mut conn, tenant, user, Some(IdentityKind::User)).await?;
        let grants: HashMap<Uuid, ShareRole> = load_grants(&mut conn, share)
            .await?
            .into_iter()
            .map(|grant| (grant.principal.guid, grant.role))
            .collect();
        let mut reasons = Vec::new();
        if let Some(role) = account_info.default_role {
            reasons.push(AccessReason {
                role,
                via: Via::Default,
            });
        }
        if let Some(role) = grants.get(&user.guid) {
            reasons.push(AccessReason {
                role: *role,
                via: Via::Direct,
            });
        }
        let walk = GroupWalk::from(&mut conn, tenant, &user).await?;
        for place in walk.places() {
            let granted = walk.group(place).and_then(|group| grants.get(&group.guid));
            if let Some(role) = granted {
                let path = walk.path(place).into_iter().cloned().collect();
                reasons.push(AccessReason {
                    role: *role,
                    via: Via::Group(path),
                });
            }
        }
        reasons.sort_by_key(|reason| Reverse(reason.role));
        let may_sign_in =
            user.source == IdentitySource::Hybrid && user.state == IdentityState::Enabled;
        Ok(ShareAccess {
            role: reasons.first().map(|r| r.role).filter(|_| may_sign_in),
            user,
            reasons,
        })
    }
}

/// A principal of a row with the columns guid, sid, kind, upn, account_name.
pub(crate) fn principal_ref(row: &AnyRow) -> Result<PrincipalRef> {
    let kind = col_word(row, "kind", kind_from_word)?;
    let upn: String = col(row, "upn")?;
    let account_name: String = col(row, "account_name")?;
    Ok(PrincipalRef {
        guid: col_uuid(row, "guid")?,
        sid: col_sid(row, "sid")?,
        kind,
        name: short_name(kind, &upn, &account_name),
    })
}

/// The UPN of a user that has one, else the account name.
pub(crate) fn short_name(kind: IdentityKind, upn: &str, account_name: &str) -> String {
    match kind {
        IdentityKind::User if !upn.is_empty() => upn.to_owned(),
        _ => account_name.to_owned(),
    }
}
