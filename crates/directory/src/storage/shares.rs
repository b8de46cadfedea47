//! Shares and the roles granted on them.

use crate::audit::events::{Actor, NewEvent, record};
use crate::db::change::ChangeScope;
use crate::db::columns::{tenant_blob, uuid_blob};
use crate::db::statement::sql;
use crate::directory::Directory;
use crate::error::{DirectoryError, RecordKind, Result};
use crate::identities::find::find_identity;
use crate::identities::identity_ref::IdentityRef;
use crate::names;
use crate::random::random_uuid;
use crate::storage::account_rows::load_account;
use crate::storage::model::{Grant, Share, SharePath};
use crate::storage::share_rows::{grant_row, load_share, load_shares};
use crate::tenants::model::load_tenant;
use crossrealm_kdc::TenantId;
use crossrealm_os::clock::now_s;
use crossrealm_types::{IdentityState, ShareRole};
use sqlx::AnyConnection;

impl Directory {
    /// Creates a share. One that was deleted under the same name is restored without its grants.
    pub async fn create_share(
        &self,
        by: &Actor,
        tenant: TenantId,
        path: SharePath<'_>,
        quota_gib: Option<u32>,
    ) -> Result<Share> {
        let name = names::share_name(path.share)?;
        let key = name.key();
        let quota_gib = quota_gib.map(names::quota_gib).transpose()?;
        let mut tx = self.change(by, tenant, ChangeScope::Configuration).await?;
        let tenant_info = load_tenant(&mut tx, tenant).await?;
        let (owner, _) = load_account(&mut tx, self.sealer(), &tenant_info, path.account).await?;
        let made = Share {
            account: path.account.to_owned(),
            name: name.into(),
            quota_gib,
            created_at: now_s(),
            grants: Vec::new(),
        };
        let done = sql(
            "INSERT INTO shares (id, account_id, name, spelling, created_at, quota_gib) VALUES ($1, $2, $3, $6, $4, $5)
             ON CONFLICT (account_id, name) DO UPDATE SET created_at = $4, removed_at = NULL, quota_gib = $5, spelling = $6
             WHERE shares.removed_at IS NOT NULL",
        )
        .bind(uuid_blob(random_uuid()?))
        .bind(uuid_blob(owner.id))
        .bind(key)
        .bind(made.created_at)
        .bind(quota_gib.map(i64::from))
        .bind(made.name.as_str())
        .execute(&mut *tx)
        .await?;
        let target = made.path().to_string();
        if done.rows_affected() == 0 {
            return Err(DirectoryError::exists(RecordKind::Share, target));
        }
        let detail = quota_gib.map_or_else(String::new, |gib| format!("quota {gib} GiB"));
        tx.audit("share.create", &target, &detail).await?;
        tx.commit().await?;
        Ok(made)
    }

    /// Sets the quota of a share, in GiB; `None` removes it. An unchanged quota is not audited.
    pub async fn set_share_quota(
        &self,
        by: &Actor,
        tenant: TenantId,
        path: SharePath<'_>,
        quota_gib: Option<u32>,
    ) -> Result<Share> {
        let quota_gib = quota_gib.map(names::quota_gib).transpose()?;
        let mut tx = self.change(by, tenant, ChangeScope::Configuration).await?;
        let tenant_info = load_tenant(&mut tx, tenant).await?;
        let (id, mut found) = load_share(&mut tx, self.sealer(), &tenant_info, path).await?;
        let before = std::mem::replace(&mut found.quota_gib, quota_gib);
        if before == quota_gib {
            return Ok(found);
        }
        sql("UPDATE shares SET quota_gib = $2 WHERE id = $1")
            .bind(uuid_blob(id))
            .bind(quota_gib.map(i64::from))
            .execute(&mut *tx)
            .await?;
        let words = |gib: Option<u32>| gib.map_or("none".to_owned(), |gib| format!("{gib} GiB"));
        let target = found.path().to_string();
        let detail = format!("{}, was {}", words(quota_gib), words(before));
        tx.audit("share.set-quota", &target, &detail).await?;
        tx.commit().await?;
        Ok(found)
    }

    /// The shares of an account, by name. Deleted ones are not returned.
    pub async fn shares(&self, tenant: TenantId, account: &str) -> Result<Vec<Share>> {
        let mut conn = self.snapshot().await?;
        let tenant_info = load_tenant(&mut conn, tenant).await?;
        let (owner, _) = load_account(&mut conn, self.sealer(), &tenant_info, account).await?;
        load_shares(&mut conn, self.sealer(), owner.id, account).await
    }

    /// A share of an account.
    pub async fn share(&self, tenant: TenantId, path: SharePath<'_>) -> Result<Share> {
        let mut conn = self.snapshot().await?;
        let tenant_info = load_tenant(&mut conn, tenant).await?;
        Ok(load_share(&mut conn, self.sealer(), &tenant_info, path)
            .await?
            .1)
    }

    /// Marks a share deleted and deletes its grants. Its data on hosts stays.
    pub async fn delete_share(
        &self,
        by: &Actor,
        tenant: TenantId,
        path: SharePath<'_>,
    ) -> Result<()> {
        let mut tx = self.change(by, tenant, ChangeScope::Configuration).await?;
        let tenant_info = load_tenant(&mut tx, tenant).await?;
        let (id, found) = load_share(&mut tx, self.sealer(), &tenant_info, path).await?;
        sql("DELETE FROM grants WHERE share_id = $1")
            .bind(uuid_blob(id))
            .execute(&mut *tx)
            .await?;
        sql("UPDATE shares SET removed_at = $2 WHERE id = $1")
            .bind(uuid_blob(id))
            .bind(now_s())
            .execute(&mut *tx)
            .await?;
        let target = found.path().to_string();
        tx.audit("share.delete", &target, "").await?;
        tx.commit().await
    }

    /// Grants a role on a share to a user or group named as in [`Directory::find_identity`]; replaces an earlier grant.
    pub async fn grant(
        &self,
        by: &Actor,
        tenant: TenantId,
        path: SharePath<'_>,
        principal: &str,
        role: ShareRole,
    ) -> Result<Grant> {
        let mut tx = self.change(by, tenant, ChangeScope::Configuration).await?;
        let tenant_info = load_tenant(&mut tx, tenant).await?;
        let (id, found) = load_share(&mut tx, self.sealer(), &tenant_info, path).await?;
        let info = find_identity(&mut tx, tenant, principal, None).await?;
        if info.state == IdentityState::Deleted {
            return Err(DirectoryError::not_found(RecordKind::Identity, principal));
        }
        let grant = Grant {
            role,
            created_at: now_s(),
            identity: IdentityRef::from(info),
        };
        let row = grant_row(tenant, id, grant.identity.guid, role.as_str());
        sql("INSERT INTO grants (share_id, tenant_id, guid, role, created_at, tag) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (share_id, guid) DO UPDATE SET tenant_id = $2, role = $4, created_at = $5, tag = $6")
            .bind(uuid_blob(id))
            .bind(tenant_blob(tenant))
            .bind(uuid_blob(grant.identity.guid))
            .bind(role.as_str())
            .bind(grant.created_at)
            .bind(self.sealer().rows().tag(&row))
            .execute(&mut *tx)
            .await?;
        audit_grant(&mut tx, by, tenant, "share.grant", found.path(), &grant).await?;
        tx.commit().await?;
        Ok(grant)
    }

    /// Revokes the role of a user or group on a share.
    pub async fn revoke(
        &self,
        by: &Actor,
        tenant: TenantId,
        path: SharePath<'_>,
        principal: &str,
    ) -> Result<()> {
        let mut tx = self.change(by, tenant, ChangeScope::Configuration).await?;
        let tenant_info = load_tenant(&mut tx, tenant).await?;
        let (id, share) = load_share(&mut tx, self.sealer(), &tenant_info, path).await?;
        let info = find_identity(&mut tx, tenant, principal, None).await?;
        let grant = share
            .grants
            .iter()
            .find(|grant| grant.identity.guid == info.guid)
            .ok_or_else(|| {
                DirectoryError::not_found(RecordKind::Grant, format!("{path} to {principal}"))
            })?;
        sql("DELETE FROM grants WHERE share_id = $1 AND guid = $2")
            .bind(uuid_blob(id))
            .bind(uuid_blob(info.guid))
            .execute(&mut *tx)
            .await?;
        audit_grant(&mut tx, by, tenant, "share.revoke", share.path(), grant).await?;
        tx.commit().await
    }
}

async fn audit_grant(
    conn: &mut AnyConnection,
    by: &Actor,
    tenant: TenantId,
    action: &str,
    path: SharePath<'_>,
    grant: &Grant,
) -> Result<()> {
    let event = NewEvent {
        user: grant.identity.name.clone(),
        target: path.to_string(),
        detail: format!("{} {}", grant.role, grant.identity.sid),
        ..NewEvent::audit(by, Some(tenant), action)
    };
    record(conn, &event).await
}
