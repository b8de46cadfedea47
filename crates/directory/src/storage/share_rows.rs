//! Shares and grants as the database has them.

use crate::db::columns::{col, col_uuid, col_word, uuid_blob};
use crate::db::statement::sql;
use crate::error::{DirectoryError, RecordKind, Result};
use crate::identities::identity_ref::identity_ref;
use crate::names;
use crate::storage::account_rows::load_account;
use crate::storage::model::{Grant, Share, ShareRole};
use crate::tenants::model::TenantInfo;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;
use uuid::Uuid;

/// The shares of an account that are in view, by name, with their ids.
pub(crate) async fn load_shares(
    conn: &mut AnyConnection,
    account_id: Uuid,
    account: &str,
) -> Result<Vec<(Uuid, Share)>> {
    let rows = sql("SELECT id, name, created_at, quota_gib FROM shares WHERE account_id = $1 AND removed_at IS NULL ORDER BY name")
        .bind(uuid_blob(account_id))
        .fetch_all(conn)
        .await?;
    let share = |row: &AnyRow| {
        let share = Share {
            account: account.to_owned(),
            name: col(row, "name")?,
            quota_gib: quota(row)?,
            created_at: col(row, "created_at")?,
        };
        Ok((col_uuid(row, "id")?, share))
    };
    rows.iter().map(share).collect()
}

pub(crate) fn quota(row: &AnyRow) -> Result<Option<u32>> {
    let gib: Option<i64> = col(row, "quota_gib")?;
    gib.map(|gib| {
        u32::try_from(gib).map_err(|_| DirectoryError::damaged("quota_gib", "out of range"))
    })
    .transpose()
}

pub(crate) async fn share_id(
    conn: &mut AnyConnection,
    tenant: &TenantInfo,
    account: &str,
    share: &str,
) -> Result<Uuid> {
    let (owner, _) = load_account(conn, tenant, account).await?;
    let row =
        sql("SELECT id FROM shares WHERE account_id = $1 AND name = $2 AND removed_at IS NULL")
            .bind(uuid_blob(owner.id))
            .bind(names::shown(share))
            .fetch_optional(conn)
            .await?;
    let Some(row) = row else {
        return Err(DirectoryError::not_found(
            RecordKind::Share,
            format!("{account}/{}", names::shown(share)),
        ));
    };
    col_uuid(&row, "id")
}

/// The grants on a share to principals that are not deleted, by name.
pub(crate) async fn load_grants(conn: &mut AnyConnection, share: Uuid) -> Result<Vec<Grant>> {
    let rows = sql(
        "SELECT i.guid, i.sid, i.kind, i.upn, i.account_name, g.role, g.created_at FROM grants g
                    JOIN identities i ON i.tenant_id = g.tenant_id AND i.guid = g.guid
                    WHERE g.share_id = $1 AND i.state <> 'deleted' ORDER BY i.name_key, i.guid",
    )
    .bind(uuid_blob(share))
    .fetch_all(conn)
    .await?;
    let grant = |row: &AnyRow| {
        Ok(Grant {
            principal: identity_ref(row)?,
            role: col_word(row, "role", ShareRole::from_word)?,
            created_at: col(row, "created_at")?,
        })
    };
    rows.iter().map(grant).collect()
}
