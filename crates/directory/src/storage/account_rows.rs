//! Storage accounts as the database has them.

use crate::db::columns::{col, col_tenant, col_time, col_uuid, tenant_blob, uuid_blob};
use crate::db::statement::sql;
use crate::error::{DirectoryError, RecordKind, Result};
use crate::sealing::row_tags::{NewTags, RightsRow, RightsTable};
use crate::sealing::seal::Sealer;
use crate::service_keys::{KeytabMaterial, Owner, OwnerKind};
use crate::tenant_info::TenantInfo;
use crate::{names, service_keys};
use crossrealm_kdc::TenantId;
use crossrealm_types::StorageAccount;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;
use uuid::Uuid;

/// The service classes a storage account answers to.
pub(crate) const CLASSES: [&str; 2] = ["cifs", "host"];

/// The content of an account's keytab, not audited.
pub(crate) async fn keytab(
    conn: &mut AnyConnection,
    sealer: &Sealer,
    tenant: &TenantInfo,
    owner: &Owner,
    account: &StorageAccount,
) -> Result<KeytabMaterial> {
    let hosts: Vec<&String> = std::iter::once(&account.host)
        .chain(&account.aliases)
        .collect();
    let principals = CLASSES
        .iter()
        .flat_map(|class| hosts.iter().map(move |host| format!("{class}/{host}")))
        .collect();
    Ok(KeytabMaterial {
        realm: tenant.realm.clone(),
        principals,
        keys: service_keys::service_keys(conn, sealer, owner).await?,
    })
}

/// The account with this name, with the owner of its keys.
pub(crate) async fn load_account(
    conn: &mut AnyConnection,
    sealer: &Sealer,
    tenant: &TenantInfo,
    name: &str,
) -> Result<(Owner, StorageAccount)> {
    let row = sql("SELECT id, name, default_role, tag, created_at FROM storage_accounts WHERE tenant_id = $1 AND name = $2")
        .bind(tenant_blob(tenant.id))
        .bind(names::shown(name))
        .fetch_optional(&mut *conn)
        .await?;
    let Some(row) = row else {
        return Err(DirectoryError::not_found(
            RecordKind::StorageAccount,
            names::shown(name),
        ));
    };
    account_of(conn, sealer, tenant, &row).await
}

pub(crate) async fn account_of(
    conn: &mut AnyConnection,
    sealer: &Sealer,
    tenant: &TenantInfo,
    row: &AnyRow,
) -> Result<(Owner, StorageAccount)> {
    let owner = Owner {
        tenant: tenant.id,
        kind: OwnerKind::Account,
        id: col_uuid(row, "id")?,
    };
    let name: String = col(row, "name")?;
    let host = host_of(tenant, &name);
    let names = sql("SELECT host FROM service_names
                     WHERE tenant_id = $1 AND owner_kind = 'account' AND owner_id = $2 AND class = 'cifs' ORDER BY host")
        .bind(tenant_blob(tenant.id))
        .bind(uuid_blob(owner.id))
        .fetch_all(&mut *conn)
        .await?;
    let mut aliases = names
        .iter()
        .map(|row| col::<String>(row, "host"))
        .collect::<Result<Vec<_>>>()?;
    aliases.retain(|alias| *alias != host);
    let tag: Option<Vec<u8>> = col(row, "tag")?;
    let role = col::<Option<String>>(row, "default_role")?.filter(|role| {
        let content = default_role_row(tenant.id, owner.id, role);
        sealer.rows().is_authentic(&content, tag.as_deref())
    });
    let default_role = role
        .map(|word| {
            word.parse()
                .map_err(|_| DirectoryError::damaged("default role", "an unknown word"))
        })
        .transpose()?;
    let account = StorageAccount {
        name,
        host,
        aliases,
        default_role,
        created_at: col_time(row, "created_at")?,
        keys: service_keys::key_infos(conn, &owner).await?,
    };
    Ok((owner, account))
}

/// What the tag of an account's default role covers.
pub(crate) fn default_role_row(tenant: TenantId, account: Uuid, role: &str) -> RightsRow {
    RightsRow::new(RightsTable::DefaultRoles, Some(tenant), account.as_bytes()).text(role)
}

/// Tags the default roles of a database of before.
pub(crate) async fn tag_default_roles(conn: &mut AnyConnection, tags: NewTags<'_>) -> Result<()> {
    let found = sql(
        "SELECT id, tenant_id, default_role, tag FROM storage_accounts WHERE default_role IS NOT NULL",
    )
    .fetch_all(&mut *conn)
    .await?;
    for row in &found {
        let id = col_uuid(row, "id")?;
        let (role, tag): (String, Option<Vec<u8>>) = (col(row, "default_role")?, col(row, "tag")?);
        let rights = default_role_row(col_tenant(row)?, id, &role);
        sql("UPDATE storage_accounts SET tag = $2 WHERE id = $1")
            .bind(uuid_blob(id))
            .bind(tags.of(&rights, tag.as_deref()))
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

pub(crate) fn host_of(tenant: &TenantInfo, account: &str) -> String {
    format!("{account}.file.{}", tenant.domain)
}
