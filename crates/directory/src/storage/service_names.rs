//! The names that services answer to; each belongs to one service of a tenant.

use crate::claimed_names::{Claim, InstallationNames, NameScope, claim};
use crate::db::columns::{col, tenant_blob, uuid_blob};
use crate::db::statement::sql;
use crate::error::{DirectoryError, RecordKind, Result};
use crate::service_keys::{Owner, OwnerKind};
use sqlx::AnyConnection;
use uuid::Uuid;

/// Gives a service the names `class/host` of these classes. Refused if the tenant may not claim the host, or if another
/// of its services has one of the names.
pub(crate) async fn insert_names(
    conn: &mut AnyConnection,
    installation: &InstallationNames,
    owner: &Owner,
    classes: &[&str],
    host: &str,
    scope: NameScope,
) -> Result<()> {
    for class in classes {
        refuse_taken(conn, owner, class, host).await?;
    }
    claim(
        conn,
        installation,
        owner.tenant,
        host,
        Claim::Service(scope),
    )
    .await?;
    for class in classes {
        sql("INSERT INTO service_names (tenant_id, class, host, owner_kind, owner_id) VALUES ($1, $2, $3, $4, $5)")
            .bind(tenant_blob(owner.tenant))
            .bind(*class)
            .bind(host)
            .bind(owner.kind.as_str())
            .bind(uuid_blob(owner.id))
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

async fn refuse_taken(
    conn: &mut AnyConnection,
    owner: &Owner,
    class: &str,
    host: &str,
) -> Result<()> {
    let holder = sql("SELECT owner_id, COALESCE(
          (SELECT name FROM storage_accounts a WHERE a.id = n.owner_id),
          (SELECT spn FROM service_principals p WHERE p.id = n.owner_id)) AS holder
        FROM service_names n WHERE tenant_id = $1 AND class = $2 AND host = $3")
    .bind(tenant_blob(owner.tenant))
    .bind(class)
    .bind(host)
    .fetch_optional(&mut *conn)
    .await?;
    if let Some(row) = holder {
        let holder: Option<String> = col(&row, "holder")?;
        let name = format!("{class}/{host}");
        return Err(DirectoryError::Exists {
            kind: RecordKind::ServicePrincipal,
            by: holder
                .filter(|holder| *holder != name)
                .map(|holder| format!("`{holder}`")),
            name,
        });
    }
    Ok(())
}

/// Deletes the names of a service that have this host, and returns how many there were.
pub(crate) async fn delete_host(
    conn: &mut AnyConnection,
    owner: &Owner,
    host: &str,
) -> Result<u64> {
    let done = sql(
        "DELETE FROM service_names WHERE tenant_id = $1 AND owner_kind = $2 AND owner_id = $3 AND host = $4",
    )
    .bind(tenant_blob(owner.tenant))
    .bind(owner.kind.as_str())
    .bind(uuid_blob(owner.id))
    .bind(host)
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

/// Deletes every name of a service.
pub(crate) async fn delete_names(conn: &mut AnyConnection, owner: &Owner) -> Result<()> {
    sql("DELETE FROM service_names WHERE tenant_id = $1 AND owner_kind = $2 AND owner_id = $3")
        .bind(tenant_blob(owner.tenant))
        .bind(owner.kind.as_str())
        .bind(uuid_blob(owner.id))
        .execute(conn)
        .await?;
    Ok(())
}

/// The name of the service with this id, for events.
pub(crate) async fn service_name(
    conn: &mut AnyConnection,
    kind: OwnerKind,
    id: Uuid,
) -> Result<String> {
    let text = match kind {
        OwnerKind::Account => "SELECT name FROM storage_accounts WHERE id = $1",
        _ => "SELECT spn AS name FROM service_principals WHERE id = $1",
    };
    let row = sql(text).bind(uuid_blob(id)).fetch_one(conn).await?;
    col(&row, "name")
}
