//! Who may open a share, and what a user may open: the same judgement as for one user and one share, over pages of them.

use crate::db::columns::{col, col_sid, col_u32, col_uuid, tenant_blob, uuid_blob};
use crate::db::statement::{placeholders, sql, sql_list};
use crate::directory::Directory;
use crate::error::Result;
use crate::identities::find::find_identity;
use crate::identities::group_paths::GroupWalk;
use crate::identities::list::place_of;
use crate::identities::rows::{SELECT_IDENTITY, identity_info};
use crate::names::invalid;
use crate::page::{Page, Paged};
use crate::storage::account_rows::load_account;
use crate::storage::effective_access::{AccessReason, ShareAccess, ShareRights, effective};
use crate::storage::model::{Share, SharePath};
use crate::storage::share_rows::{load_grants, load_share, share};
use crate::tenants::model::load_tenant;
use crossrealm_kdc::TenantId;
use crossrealm_types::{IdentityKind, ShareRole};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

/// The most users of one page of [`Directory::share_users`]: the groups of each are walked.
const MAX_USERS: u32 = 200;

/// A share that a user may open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenShare {
    /// Its storage account.
    pub account: String,
    /// Its name.
    pub share: String,
    /// The highest role that applies; `None` if the user may not sign in.
    pub role: Option<ShareRole>,
    /// Every role that applies, the highest first.
    pub reasons: Vec<AccessReason>,
}

impl Directory {
    /// The users who may open a share, by account name, and why; at most 200 in a page.
    pub async fn share_users(
        &self,
        tenant: TenantId,
        path: SharePath<'_>,
        page: &Page,
    ) -> Result<Paged<ShareAccess>> {
        let page = Page {
            after: page.after.clone(),
            limit: page.limit.min(MAX_USERS),
        };
        let (after_guid, after_name) = place_of(&page)?;
        // One snapshot: grants, memberships and states belong together.
        let mut conn = self.snapshot().await?;
        let tenant_info = load_tenant(&mut conn, tenant).await?;
        let (_, account) =
            load_account(&mut conn, self.sealer(), &tenant_info, path.account).await?;
        let (id, share) = load_share(&mut conn, self.sealer(), &tenant_info, path).await?;
        let everybody = account.default_role.is_some();
        let rids = match everybody {
            true => BTreeSet::new(),
            false => primary_groups_with_grants(&mut conn, tenant, id).await?,
        };
        let rows = sql_list(candidates(everybody, rids.len()))
            .bind(tenant_blob(tenant))
            .bind(after_name)
            .bind(after_guid)
            .bind(page.limit())
            .bind(uuid_blob(id));
        let rows = rids
            .iter()
            .fold(rows, |rows, rid| rows.bind(i64::from(*rid)));
        let rows = rows.fetch_all(&mut *conn).await?;
        let users = rows.iter().map(identity_info).collect::<Result<Vec<_>>>()?;
        let users = page.paged(users, |user| {
            format!("{}{}", user.guid, user.account_name.to_lowercase())
        });
        let rights = ShareRights::new(account.default_role, share.grants);
        let mut items = Vec::new();
        for user in users.items {
            let walk = GroupWalk::from(&mut conn, tenant, &user).await?;
            let reasons = rights.reasons(&user, &walk);
            let role = effective(&user, &reasons);
            // A candidate may have only the name of its primary group in common with one that has a grant.
            if role.is_some() {
                items.push(ShareAccess {
                    user,
                    role,
                    reasons,
                });
            }
        }
        Ok(Paged {
            items,
            next: users.next,
        })
    }

    /// The shares on which a role applies to a user, by account and share, and why. A page is of the tenant's shares, so
    /// that it may hold fewer than wanted and not be the last.
    pub async fn user_shares(
        &self,
        tenant: TenantId,
        user: &str,
        page: &Page,
    ) -> Result<Paged<OpenShare>> {
        let mut conn = self.snapshot().await?;
        let user = find_identity(&mut conn, tenant, user, Some(IdentityKind::User)).await?;
        let walk = GroupWalk::from(&mut conn, tenant, &user).await?;
        let shares = self.load_tenant_shares(&mut conn, tenant, page).await?;
        let open = |(default_role, share): (Option<ShareRole>, Share)| {
            let rights = ShareRights::new(default_role, share.grants);
            let reasons = rights.reasons(&user, &walk);
            (!reasons.is_empty()).then(|| OpenShare {
                account: share.account,
                share: share.name,
                role: effective(&user, &reasons),
                reasons,
            })
        };
        Ok(Paged {
            items: shares.items.into_iter().filter_map(open).collect(),
            next: shares.next,
        })
    }

    /// The shares of all storage accounts with their grants, by account and share.
    pub async fn tenant_shares(&self, tenant: TenantId, page: &Page) -> Result<Paged<Share>> {
        let mut conn = self.snapshot().await?;
        let shares = self.load_tenant_shares(&mut conn, tenant, page).await?;
        Ok(Paged {
            items: shares.items.into_iter().map(|(_, share)| share).collect(),
            next: shares.next,
        })
    }

    /// A page of shares, each with the default role of its account.
    async fn load_tenant_shares(
        &self,
        conn: &mut AnyConnection,
        tenant: TenantId,
        page: &Page,
    ) -> Result<Paged<(Option<ShareRole>, Share)>> {
        let tenant_info = load_tenant(conn, tenant).await?;
        let (account, name) = match &page.after {
            None => ("", ""),
            Some(after) => after
                .split_once('/')
                .ok_or_else(|| invalid("page", after, "expected the `next` of the page before"))?,
        };
        let rows = sql("SELECT s.id, s.name, s.spelling, s.created_at, s.quota_gib, a.name AS account FROM shares s
                        JOIN storage_accounts a ON a.id = s.account_id
                        WHERE a.tenant_id = $1 AND s.removed_at IS NULL AND (a.name, s.name) > ($2, $3)
                        ORDER BY a.name, s.name LIMIT $4")
        .bind(tenant_blob(tenant))
        .bind(account.to_owned())
        .bind(name.to_owned())
        .bind(page.limit())
        .fetch_all(&mut *conn)
        .await?;
        // The default role of each account, and the grants on its shares.
        let mut accounts = HashMap::new();
        let mut shares = Vec::new();
        for row in &rows {
            let account: String = col(row, "account")?;
            if !accounts.contains_key(&account) {
                let (owner, info) =
                    load_account(conn, self.sealer(), &tenant_info, &account).await?;
                let which = "g.share_id IN (SELECT id FROM shares WHERE account_id = $1)";
                let grants = load_grants(conn, self.sealer().rows(), which, owner.id).await?;
                accounts.insert(account.clone(), (info.default_role, grants));
            }
            let mut share = share(row, &account)?;
            let mut default_role = None;
            if let Some((role, grants)) = accounts.get_mut(&account) {
                default_role = *role;
                share.grants = grants.remove(&col_uuid(row, "id")?).unwrap_or_default();
            }
            // The name that is compared, and that the pages are ordered by.
            let key: String = col(row, "name")?;
            shares.push((key, default_role, share));
        }
        let paged = page.paged(shares, |(key, _, share)| format!("{}/{key}", share.account));
        let shares = paged.items.into_iter();
        Ok(Paged {
            items: shares.map(|(_, role, share)| (role, share)).collect(),
            next: paged.next,
        })
    }
}

/// The RIDs of groups that are the primary group of a user and, by themselves or by a group above them, have a grant on a
/// share. A primary group is not among the memberships.
async fn primary_groups_with_grants(
    conn: &mut AnyConnection,
    tenant: TenantId,
    share: Uuid,
) -> Result<BTreeSet<u32>> {
    let rows = sql("SELECT DISTINCT primary_group_rid FROM identities
                    WHERE tenant_id = $1 AND primary_group_rid <> 0")
    .bind(tenant_blob(tenant))
    .fetch_all(&mut *conn)
    .await?;
    let rid = |row: &AnyRow| col_u32(row, "primary_group_rid");
    let primary = rows.iter().map(rid).collect::<Result<BTreeSet<u32>>>()?;
    let rows = sql("SELECT i.sid FROM grants g
                    JOIN group_closure c ON c.tenant_id = g.tenant_id AND c.ancestor_guid = g.guid
                    JOIN identities i ON i.tenant_id = c.tenant_id AND i.guid = c.group_guid
                    WHERE g.tenant_id = $1 AND g.share_id = $2")
    .bind(tenant_blob(tenant))
    .bind(uuid_blob(share))
    .fetch_all(conn)
    .await?;
    let rid = |row: &AnyRow| Ok(col_sid(row, "sid")?.rid());
    let granted = rows.iter().map(rid).collect::<Result<BTreeSet<u32>>>()?;
    Ok(primary.intersection(&granted).copied().collect())
}

/// The statement for the users who may have a role on share `$5`: those who may sign in, with a grant of their own, in
/// a group with one, or with one of `rids` primary groups; everybody where the account has a default role.
fn candidates(everybody: bool, rids: usize) -> String {
    let mut text = format!(
        "{SELECT_IDENTITY} WHERE i.tenant_id = $1 AND (i.name_key, i.guid) > ($2, $3)
         AND i.kind = 'user' AND i.state = 'enabled' AND i.source = 'hybrid'"
    );
    if everybody {
        // The parameter stays in the statement.
        text.push_str(" AND $5 IS NOT NULL");
    } else {
        text.push_str(
            " AND (i.guid IN (SELECT g.guid FROM grants g WHERE g.share_id = $5)
              OR i.guid IN (SELECT m.member_guid FROM grants g
                JOIN group_closure c ON c.tenant_id = g.tenant_id AND c.ancestor_guid = g.guid
                JOIN memberships m ON m.tenant_id = c.tenant_id AND m.group_guid = c.group_guid
                WHERE g.tenant_id = $1 AND g.share_id = $5)",
        );
        if rids > 0 {
            let list = placeholders(6, rids);
            text.push_str(&format!(" OR i.primary_group_rid IN ({list})"));
        }
        text.push(')');
    }
    text.push_str(" ORDER BY i.name_key, i.guid LIMIT $4");
    text
}
