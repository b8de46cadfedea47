//! The numbers of the id ranges that all hosts of a tenant give to the SIDs of its AD domains, so that one user has one
//! local id on all of them.

use crate::db::columns::{col, col_u32, tenant_blob};
use crate::db::statement::sql;
use crate::error::Result;
use crossrealm_kdc::TenantId;
use crossrealm_types::Sid;
use sqlx::AnyConnection;
use std::collections::BTreeMap;

/// Gives the domain SID the next number of the tenant, unless it has one. The caller holds the tenant's lock.
pub(crate) async fn assign(conn: &mut AnyConnection, tenant: TenantId, sid: &Sid) -> Result<()> {
    sql("INSERT INTO id_ranges (tenant_id, sid, number)
         SELECT $1, $2, COALESCE(MAX(number) + 1, 0) FROM id_ranges WHERE tenant_id = $1
         ON CONFLICT (tenant_id, sid) DO NOTHING")
    .bind(tenant_blob(tenant))
    .bind(sid.to_string())
    .execute(conn)
    .await?;
    Ok(())
}

/// The numbers of the tenant, by domain SID.
pub(crate) async fn load(
    conn: &mut AnyConnection,
    tenant: TenantId,
) -> Result<BTreeMap<String, u32>> {
    let rows = sql("SELECT sid, number FROM id_ranges WHERE tenant_id = $1")
        .bind(tenant_blob(tenant))
        .fetch_all(conn)
        .await?;
    rows.iter()
        .map(|row| Ok((col(row, "sid")?, col_u32(row, "number")?)))
        .collect()
}
