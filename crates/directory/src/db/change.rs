//! The change counters and the lock of a tenant. Every writing transaction begins with them.

use crate::db::columns::tenant_blob;
use crate::db::statement::sql;
use crate::error::{DirectoryError, RecordKind, Result};
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

/// Locks the tenant until the transaction ends and bumps its change counter. Comes first in every writing transaction,
/// so that the transactions of a tenant, and with them its events, are serialized. Fails if there is no such tenant.
pub(crate) async fn lock_and_bump(
    conn: &mut AnyConnection,
    tenant: TenantId,
    what: ChangeScope,
) -> Result<()> {
    let statement = match what {
        ChangeScope::Configuration => {
            "UPDATE tenants SET parties_change = parties_change + 1 WHERE id = $1"
        }
        ChangeScope::Identities => {
            "UPDATE tenants SET identities_change = identities_change + 1 WHERE id = $1"
        }
        ChangeScope::Nothing => "UPDATE tenants SET name = name WHERE id = $1",
    };
    let done = sql(statement)
        .bind(tenant_blob(tenant))
        .execute(conn)
        .await?;
    if done.rows_affected() == 0 {
        return Err(DirectoryError::not_found(RecordKind::Tenant, tenant));
    }
    Ok(())
}
