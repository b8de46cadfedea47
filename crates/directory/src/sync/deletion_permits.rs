//! Permits by which an administrator lets one run delete or disable more identities than the limit. A permit ends by
//! itself, counts for the first run that needs it, and is authenticated: a writer to the database cannot make one.

use crate::audit::events::Actor;
use crate::db::change::ChangeScope;
use crate::db::columns::{col, tenant_blob};
use crate::db::statement::sql;
use crate::directory::Directory;
use crate::error::{DirectoryError, RecordKind, Result};
use crate::names;
use crate::names::invalid;
use crate::sealing::row_tags::{RightsRow, RightsTable, RowTags};
use crate::tenants::domains::find_domain;
use crossrealm_kdc::TenantId;
use crossrealm_os::clock::now_s;
use sqlx::AnyConnection;
use uuid::Uuid;

/// The shortest and the longest life of a permit, in seconds.
const MIN_LIFE_S: u32 = 60;
const MAX_LIFE_S: u32 = 86_400;
/// The most deletions of a permit; more than any domain has.
const MAX_DELETIONS: u64 = 10_000_000;

/// A permit for the deletions of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeletionPermit {
    /// How many identities the run may delete or disable.
    pub deletions: u64,
    /// When it ends, Unix seconds.
    pub expires_at: i64,
}

impl Directory {
    /// Lets the next run of a domain that needs it delete or disable `deletions` identities, for `life_s` seconds.
    /// Replaces an earlier permit.
    pub async fn allow_deletions(
        &self,
        by: &Actor,
        tenant: TenantId,
        domain: &str,
        deletions: u64,
        life_s: u32,
    ) -> Result<DeletionPermit> {
        let domain = names::dns_name("domain", domain)?;
        if !(MIN_LIFE_S..=MAX_LIFE_S).contains(&life_s) {
            let reason = "expected 60 to 86400 seconds";
            return Err(invalid("life of a permit", &life_s.to_string(), reason));
        }
        if !(1..=MAX_DELETIONS).contains(&deletions) {
            let reason = "expected 1 to 10000000";
            return Err(invalid(
                "number of deletions",
                &deletions.to_string(),
                reason,
            ));
        }
        let mut tx = self.change(by, tenant, ChangeScope::Nothing).await?;
        if find_domain(&mut tx, tenant, &domain).await?.is_none() {
            return Err(DirectoryError::not_found(RecordKind::Domain, domain));
        }
        let permit = DeletionPermit {
            deletions,
            expires_at: now_s().saturating_add(i64::from(life_s)),
        };
        write(
            &mut tx,
            self.sealer().rows(),
            tenant,
            &domain,
            &permit,
            None,
        )
        .await?;
        let detail = format!("{deletions} identities, within {life_s} s");
        let action = "sync.allow_deletions";
        tx.audit(action, &domain, &detail).await?;
        tx.commit().await?;
        Ok(permit)
    }
}

/// The permit that a run may use; without `run`, one that no run uses yet.
pub(crate) async fn usable(
    conn: &mut AnyConnection,
    tags: &RowTags,
    tenant: TenantId,
    domain: &str,
    run: Option<Uuid>,
) -> Result<Option<DeletionPermit>> {
    let row = sql(
        "SELECT deletions, expires_at, run_id, tag FROM deletion_permits
                   WHERE tenant_id = $1 AND domain = $2 AND expires_at > $3",
    )
    .bind(tenant_blob(tenant))
    .bind(domain)
    .bind(now_s())
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let deletions: i64 = col(&row, "deletions")?;
    let permit = DeletionPermit {
        deletions: u64::try_from(deletions).unwrap_or_default(),
        expires_at: col(&row, "expires_at")?,
    };
    let user: Option<String> = col(&row, "run_id")?;
    let tag: Option<Vec<u8>> = col(&row, "tag")?;
    let content = permit_row(tenant, domain, &permit, user.as_deref());
    let is_free = user.is_none() || user == run.map(|run| run.to_string());
    Ok((tags.is_authentic(&content, tag.as_deref()) && is_free).then_some(permit))
}

/// Binds a permit to the run that uses it.
pub(crate) async fn bind(
    conn: &mut AnyConnection,
    tags: &RowTags,
    tenant: TenantId,
    domain: &str,
    permit: &DeletionPermit,
    run: Uuid,
) -> Result<()> {
    write(conn, tags, tenant, domain, permit, Some(run)).await
}

async fn write(
    conn: &mut AnyConnection,
    tags: &RowTags,
    tenant: TenantId,
    domain: &str,
    permit: &DeletionPermit,
    run: Option<Uuid>,
) -> Result<()> {
    let run = run.map(|run| run.to_string());
    let tag = tags.tag(&permit_row(tenant, domain, permit, run.as_deref()));
    sql("INSERT INTO deletion_permits (tenant_id, domain, deletions, expires_at, run_id, tag)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (tenant_id, domain) DO UPDATE SET deletions = $3, expires_at = $4, run_id = $5, tag = $6")
        .bind(tenant_blob(tenant))
        .bind(domain)
        .bind(i64::try_from(permit.deletions).unwrap_or(i64::MAX))
        .bind(permit.expires_at)
        .bind(run)
        .bind(tag)
        .execute(conn)
        .await?;
    Ok(())
}

fn permit_row(
    tenant: TenantId,
    domain: &str,
    permit: &DeletionPermit,
    run: Option<&str>,
) -> RightsRow {
    RightsRow::new(
        RightsTable::DeletionPermits,
        Some(tenant),
        domain.as_bytes(),
    )
    .number(i64::try_from(permit.deletions).ok())
    .number(Some(permit.expires_at))
    .optional(run.map(str::as_bytes))
}
