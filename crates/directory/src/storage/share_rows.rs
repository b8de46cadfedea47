//! Shares and grants as the database has them.

use crate::db::columns::{col, col_tenant, col_uuid, col_word, uuid_blob};
use crate::db::statement::{sql, sql_list};
use crate::error::{DirectoryError, RecordKind, Result};
use crate::identities::identity_ref::identity_ref;
use crate::names;
use crate::sealing::row_tags::{NewTags, RightsRow, RightsTable, RowTags};
use crate::sealing::seal::Sealer;
use crate::storage::account_rows::load_account;
use crate::storage::model::{Grant, Share, SharePath};
use crate::tenant_info::TenantInfo;
use crossrealm_kdc::TenantId;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;
use std::collections::HashMap;
use uuid::Uuid;

/// The shares of an account that are not deleted, with their grants, by name.
pub(crate) async fn load_shares(
    conn: &mut AnyConnection,
    sealer: &Sealer,
    account_id: Uuid,
    account: &str,
) -> Result<Vec<Share>> {
    let rows = sql("SELECT id, name, spelling, created_at, quota_gib FROM shares WHERE account_id = $1 AND removed_at IS NULL ORDER BY name")
        .bind(uuid_blob(account_id))
        .fetch_all(&mut *conn)
        .await?;
    let which = "g.share_id IN (SELECT id FROM shares WHERE account_id = $1)";
    let mut grants = load_grants(conn, sealer.rows(), which, account_id).await?;
    rows.iter()
        .map(|row| {
            let mut share = share(row, account)?;
            share.grants = grants.remove(&col_uuid(row, "id")?).unwrap_or_default();
            Ok(share)
        })
        .collect()
}

/// The share of this path with its id and grants.
pub(crate) async fn load_share(
    conn: &mut AnyConnection,
    sealer: &Sealer,
    tenant: &TenantInfo,
    path: SharePath<'_>,
) -> Result<(Uuid, Share)> {
    let (owner, _) = load_account(conn, sealer, tenant, path.account).await?;
    let row = match names::share_key(path.share) {
        Some(key) => {
            sql(
                "SELECT id, name, spelling, created_at, quota_gib FROM shares
                 WHERE account_id = $1 AND name = $2 AND removed_at IS NULL",
            )
            .bind(uuid_blob(owner.id))
            .bind(key)
            .fetch_optional(&mut *conn)
            .await?
        }
        None => None,
    };
    let Some(row) = row else {
        let shown = format!("{}/{}", path.account, names::shown(path.share));
        return Err(DirectoryError::not_found(RecordKind::Share, shown));
    };
    let id = col_uuid(&row, "id")?;
    let mut share = share(&row, path.account)?;
    let mut grants = load_grants(conn, sealer.rows(), "g.share_id = $1", id).await?;
    share.grants = grants.remove(&id).unwrap_or_default();
    Ok((id, share))
}

/// A share without its grants.
pub(crate) fn share(row: &AnyRow, account: &str) -> Result<Share> {
    let quota: Option<i64> = col(row, "quota_gib")?;
    let quota = quota.map(u32::try_from).transpose();
    let spelling: String = col(row, "spelling")?;
    Ok(Share {
        account: account.to_owned(),
        name: match spelling.is_empty() {
            true => col(row, "name")?,
            false => spelling,
        },
        quota_gib: quota.map_err(|_| DirectoryError::damaged("quota_gib", "out of range"))?,
        created_at: col(row, "created_at")?,
        grants: Vec::new(),
    })
}

/// What the tag of a grant covers.
pub(crate) fn grant_row(tenant: TenantId, share: Uuid, identity: Uuid, role: &str) -> RightsRow {
    let id = [*share.as_bytes(), *identity.as_bytes()].concat();
    RightsRow::new(RightsTable::Grants, Some(tenant), &id).text(role)
}

fn rights_of(row: &AnyRow) -> Result<RightsRow> {
    let role: String = col(row, "role")?;
    let (share, identity) = (col_uuid(row, "share_id")?, col_uuid(row, "guid")?);
    Ok(grant_row(col_tenant(row)?, share, identity, &role))
}

/// Tags all grants anew.
pub(crate) async fn tag_grants(conn: &mut AnyConnection, tags: NewTags<'_>) -> Result<()> {
    let found = sql("SELECT share_id, tenant_id, guid, role, tag FROM grants")
        .fetch_all(&mut *conn)
        .await?;
    for row in &found {
        let tag: Option<Vec<u8>> = col(row, "tag")?;
        sql("UPDATE grants SET tag = $3 WHERE share_id = $1 AND guid = $2")
            .bind(uuid_blob(col_uuid(row, "share_id")?))
            .bind(uuid_blob(col_uuid(row, "guid")?))
            .bind(tags.of(&rights_of(row)?, tag.as_deref()))
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// The grants for which a condition on `$1` holds, to identities that are not deleted, by share; those of a share by name. A
/// grant without its tag is left out.
pub(crate) async fn load_grants(
    conn: &mut AnyConnection,
    tags: &RowTags,
    which: &str,
    id: Uuid,
) -> Result<HashMap<Uuid, Vec<Grant>>> {
    let rows = sql_list(format!(
        "SELECT g.share_id, g.tenant_id, i.guid, i.sid, i.kind, i.upn, i.account_name, g.role, g.tag, g.created_at
         FROM grants g
         JOIN identities i ON i.tenant_id = g.tenant_id AND i.guid = g.guid
         WHERE {which} AND i.state <> 'deleted' ORDER BY i.name_key, i.guid"
    ))
    .persistent(true)
    .bind(uuid_blob(id))
    .fetch_all(conn)
    .await?;
    let mut grants: HashMap<Uuid, Vec<Grant>> = HashMap::new();
    for row in &rows {
        let share = col_uuid(row, "share_id")?;
        let tag: Option<Vec<u8>> = col(row, "tag")?;
        if !tags.is_authentic(&rights_of(row)?, tag.as_deref()) {
            continue;
        }
        grants.entry(share).or_default().push(Grant {
            identity: identity_ref(row)?,
            role: col_word(row, "role")?,
            created_at: col(row, "created_at")?,
        });
    }
    Ok(grants)
}
