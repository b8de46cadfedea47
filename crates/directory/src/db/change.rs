//! The change marks and the lock of a tenant. Every writing transaction begins with them.
//!
//! A mark is random. A counter that rises by one would have the same value again for another content where a database goes back
//! in time, as after a failover to a replica that is behind, or a restored backup.

use crate::db::columns::tenant_blob;
use crate::db::statement::sql;
use crate::error::{DirectoryError, RecordKind, Result};
use crate::random::random_number;
use crossrealm_kdc::TenantId;
use sqlx::AnyConnection;

/// What a writing transaction changes, for the caches.
#[derive(Clone, Copy)]
pub(crate) enum ChangeScope {
    /// The tenant, its trusts, its services, its shares.
    Configuration,
    /// Its users and groups.
    Identities,
    /// Nothing that is cached.
    Nothing,
}

/// Locks the tenant until the transaction ends and renews its change mark. Comes first in every writing transaction,
/// so that the transactions of a tenant, and with them its events, are serialized. Fails if there is no such tenant.
pub(crate) async fn lock_and_bump(
    conn: &mut AnyConnection,
    tenant: TenantId,
    what: ChangeScope,
) -> Result<()> {
    let statement = match what {
        ChangeScope::Configuration => "UPDATE tenants SET parties_change = $2 WHERE id = $1",
        ChangeScope::Identities => "UPDATE tenants SET identities_change = $2 WHERE id = $1",
        ChangeScope::Nothing => "UPDATE tenants SET name = name WHERE id = $1",
    };
    let statement = sql(statement).bind(tenant_blob(tenant));
    let statement = match what {
        ChangeScope::Nothing => statement,
        ChangeScope::Configuration | ChangeScope::Identities => statement.bind(random_number()?),
    };
    let done = statement.execute(conn).await?;
    if done.rows_affected() == 0 {
        return Err(DirectoryError::not_found(RecordKind::Tenant, tenant));
    }
    Ok(())
}

/// Locks every tenant and renews all its marks.
pub(crate) async fn renew_all(conn: &mut AnyConnection) -> Result<()> {
    // One number for all of them: a mark counts within its tenant.
    sql("UPDATE tenants SET parties_change = $1, identities_change = $1")
        .bind(random_number()?)
        .execute(conn)
        .await?;
    Ok(())
}
