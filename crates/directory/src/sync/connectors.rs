//! Connectors: the registered link between one AD domain and a tenant. The token of a connector says what it permits.
//! At most one sync agent works for a connector at a time, under a lease that expires.

use crate::administrators::tokens::{NewToken, TokenInfo, TokenRole, add_token, revoke_all};
use crate::audit::events::Actor;
use crate::db::change::{ChangeScope, lock_and_bump};
use crate::db::columns::{col, col_time, col_time_of, tenant_blob};
use crate::db::statement::sql;
use crate::directory::Directory;
use crate::error::{DirectoryError, RecordKind, Refusal, Result};
use crate::names;
use crate::names::invalid;
use crate::tenants::domains::find_domain;
use crossrealm_kdc::TenantId;
use crossrealm_os::clock::now_s;
use crossrealm_types::{Connector, LeaseHolder};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;
use zeroize::Zeroizing;

/// The shortest lease, in seconds.
pub const MIN_LEASE_S: u32 = 10;

/// The longest lease, in seconds.
pub const MAX_LEASE_S: u32 = 300;

/// The longest name of the holder of a lease, in characters.
const MAX_HOLDER: usize = 128;

impl Directory {
    /// Creates the connector of a registered domain and returns its token, this once. Refused with `connector_exists`
    /// if the domain has one.
    pub async fn create_connector(
        &self,
        by: &Actor,
        tenant: TenantId,
        domain: &str,
        rotate_trust: bool,
    ) -> Result<(Zeroizing<String>, TokenInfo)> {
        let domain = names::dns_name("domain", domain)?;
        let mut tx = self.change(by, tenant, ChangeScope::Nothing).await?;
        if find_domain(&mut tx, tenant, &domain).await?.is_none() {
            return Err(DirectoryError::not_found(RecordKind::Domain, domain));
        }
        let known = sql("SELECT id FROM tokens WHERE tenant_id = $1 AND role = 'connector' AND scope = $2 AND revoked_at IS NULL")
            .bind(tenant_blob(tenant))
            .bind(domain.as_str())
            .fetch_optional(&mut *tx)
            .await?;
        if known.is_some() {
            return Err(Refusal::ConnectorExists { domain }.into());
        }
        let new = NewToken {
            tenant: Some(tenant),
            name: format!("connector {domain}"),
            role: TokenRole::Connector {
                domain,
                rotate_trust,
            },
            expires_at: None,
        };
        let made = add_token(
            &mut tx,
            self.sealer(),
            by,
            new,
            None,
            "connector.create",
            now_s(),
        )
        .await?;
        tx.commit().await?;
        Ok(made)
    }

    /// The connectors that are not revoked, by domain.
    pub async fn connectors(&self, tenant: TenantId) -> Result<Vec<Connector>> {
        let rows = sql(
            "SELECT t.scope, t.rotate_trust, t.created_at, d.sync_success_at FROM tokens t
                        LEFT JOIN domains d ON d.tenant_id = t.tenant_id AND d.dns_name = t.scope
                        WHERE t.tenant_id = $1 AND t.role = 'connector' AND t.revoked_at IS NULL
                        ORDER BY t.scope, t.created_at LIMIT 1000",
        )
        .bind(tenant_blob(tenant))
        .fetch_all(self.readers())
        .await?;
        let info = |row: &AnyRow| {
            Ok(Connector {
                domain: col(row, "scope")?,
                rotate_trust: col::<i64>(row, "rotate_trust")? != 0,
                created_at: col_time(row, "created_at")?,
                last_success_at: col_time_of(row, "sync_success_at")?,
            })
        };
        rows.iter().map(info).collect()
    }

    /// Revokes a connector: its token and the lease of its agent.
    pub async fn revoke_connector(&self, by: &Actor, tenant: TenantId, domain: &str) -> Result<()> {
        let domain = names::dns_name("domain", domain)?;
        let mut tx = self.change(by, tenant, ChangeScope::Nothing).await?;
        if revoke_all(&mut tx, tenant, "connector", &domain).await? == 0 {
            return Err(DirectoryError::not_found(RecordKind::Connector, domain));
        }
        sql("DELETE FROM sync_leases WHERE tenant_id = $1 AND domain = $2")
            .bind(tenant_blob(tenant))
            .bind(domain.as_str())
            .execute(&mut *tx)
            .await?;
        tx.audit("connector.revoke", &domain, "").await?;
        tx.commit().await
    }

    /// Acquires or renews the lease of a domain's sync for `seconds`. If another agent holds it, nothing changes.
    /// Returns the lease that is in force.
    pub async fn take_sync_lease(
        &self,
        tenant: TenantId,
        domain: &str,
        holder: &str,
        seconds: u32,
    ) -> Result<LeaseHolder> {
        let domain = names::dns_name("domain", domain)?;
        names::plain_text("holder", holder, MAX_HOLDER, false)?;
        if !(MIN_LEASE_S..=MAX_LEASE_S).contains(&seconds) {
            return Err(invalid(
                "lease time",
                &seconds.to_string(),
                "expected 10 to 300 seconds",
            ));
        }
        let mut tx = self.begin().await?;
        lock_and_bump(&mut tx, tenant, ChangeScope::Nothing).await?;
        if let Some(other) = sync_lease(&mut tx, tenant, &domain).await?
            && other.holder != holder
        {
            return Ok(other);
        }
        let lease = LeaseHolder {
            holder: holder.to_owned(),
            expires_at: now_s().saturating_add(i64::from(seconds)),
        };
        sql("INSERT INTO sync_leases (tenant_id, domain, holder, expires_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (tenant_id, domain) DO UPDATE SET holder = $3, expires_at = $4")
            .bind(tenant_blob(tenant))
            .bind(domain)
            .bind(lease.holder.as_str())
            .bind(lease.expires_at)
            .execute(&mut *tx)
            .await?;
        self.commit(tx).await?;
        Ok(lease)
    }

    /// Releases the lease; not that of another holder. `problem` is why the agent did not succeed; it stands until a run does.
    pub async fn release_sync_lease(
        &self,
        tenant: TenantId,
        domain: &str,
        holder: &str,
        problem: Option<&str>,
    ) -> Result<()> {
        let domain = names::dns_name("domain", domain)?;
        names::plain_text("holder", holder, MAX_HOLDER, false)?;
        let mut tx = self.begin().await?;
        lock_and_bump(&mut tx, tenant, ChangeScope::Nothing).await?;
        let released =
            sql("DELETE FROM sync_leases WHERE tenant_id = $1 AND domain = $2 AND holder = $3")
                .bind(tenant_blob(tenant))
                .bind(domain.as_str())
                .bind(holder)
                .execute(&mut *tx)
                .await?
                .rows_affected();
        if let Some(problem) = problem.filter(|_| released > 0) {
            sql("UPDATE domains SET sync_problem = $3 WHERE tenant_id = $1 AND dns_name = $2")
                .bind(tenant_blob(tenant))
                .bind(domain)
                .bind(names::shown(problem))
                .execute(&mut *tx)
                .await?;
        }
        self.commit(tx).await
    }
}

/// The lease of a domain's sync that is in force. One that expires later than any could was granted before the clock
/// was set back, and is ignored.
pub(crate) async fn sync_lease(
    conn: &mut AnyConnection,
    tenant: TenantId,
    domain: &str,
) -> Result<Option<LeaseHolder>> {
    let now = now_s();
    let row = sql("SELECT holder, expires_at FROM sync_leases
         WHERE tenant_id = $1 AND domain = $2 AND expires_at > $3 AND expires_at <= $4")
    .bind(tenant_blob(tenant))
    .bind(domain)
    .bind(now)
    .bind(now.saturating_add(i64::from(MAX_LEASE_S)))
    .fetch_optional(conn)
    .await?;
    let lease = |row: &AnyRow| {
        Ok(LeaseHolder {
            holder: col(row, "holder")?,
            expires_at: col(row, "expires_at")?,
        })
    };
    row.as_ref().map(lease).transpose()
}

/// Refuses with `lease_lost` an agent's request while another one holds the lease.
pub(crate) async fn check_lease(
    conn: &mut AnyConnection,
    tenant: TenantId,
    domain: &str,
    holder: Option<&str>,
) -> Result<()> {
    match sync_lease(conn, tenant, domain).await? {
        Some(lease) if Some(lease.holder.as_str()) != holder => Err(Refusal::LeaseLost {
            domain: domain.to_owned(),
            holder: lease.holder,
        }
        .into()),
        _ => Ok(()),
    }
}
