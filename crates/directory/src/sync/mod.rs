//! The sync of the hybrid identities of one AD domain: what the agent reads and writes.

pub(crate) mod apply;
pub(crate) mod connectors;
pub(crate) mod deletion_guard;
pub(crate) mod deletion_permits;
pub(crate) mod model;
pub(crate) mod read;

use crate::audit::events::{Actor, NewEvent, record};
use crate::claimed_names::InstallationNames;
use crate::db::change::ChangeScope;
use crate::db::columns::{col, tenant_blob, uuid_blob};
use crate::db::statement::sql;
use crate::directory::Directory;
use crate::error::{DirectoryError, Refusal, Result};
use crate::names;
use crate::sync::apply::Run;
use crate::sync::connectors::check_lease;
use crate::sync::model::{ApplyIdentities, IdentityChange, MAX_CURSOR};
use crate::sync::read::{failures, too_many_changes};
use crate::tenants::domains;
use crate::tenants::domains::{DomainInfo, NewDomain, find_domain};
use crate::tenants::model::load_tenant;
use crossrealm_kdc::TenantId;
use crossrealm_types::{
    ApplyIdentitiesResult, EventOutcome, MAX_CHANGES, MAX_FAILURES, MAX_MEMBER_CHANGES,
};
use sqlx::AnyConnection;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

impl Directory {
    /// Applies a request of the sync agent in one transaction. An object that breaks a rule is refused and audited; the
    /// others are applied.
    ///
    /// Refused as a whole with `domain_sid_mismatch` if the domain is registered with another SID, with
    /// `too_many_changes` beyond [`MAX_CHANGES`], [`MAX_MEMBER_CHANGES`] or [`MAX_FAILURES`], with `lease_lost` while
    /// another agent holds the lease, with `cursor_moved` if the run started from a cursor that is not the stored one,
    /// and with `too_many_deletions` beyond what needs no permit; the last is audited.
    pub async fn apply_identities(
        &self,
        by: &Actor,
        tenant: TenantId,
        wanted: ApplyIdentities,
    ) -> Result<ApplyIdentitiesResult> {
        check_bounds(&wanted)?;
        match self.apply_checked(by, tenant, &wanted).await {
            Err(DirectoryError::Refused(refusal @ Refusal::TooManyDeletions { .. })) => {
                // The transaction was rolled back; the attempt is audited in another one.
                self.audit_refusal(by, tenant, &wanted.domain.dns_name, &refusal)
                    .await?;
                Err(refusal.into())
            }
            done => done,
        }
    }

    async fn apply_checked(
        &self,
        by: &Actor,
        tenant: TenantId,
        wanted: &ApplyIdentities,
    ) -> Result<ApplyIdentitiesResult> {
        let mut tx = self.change(by, tenant, ChangeScope::Identities).await?;
        let domain = register_own(&mut tx, self.installation(), by, tenant, &wanted.domain).await?;
        let holder = wanted.holder.as_deref();
        check_lease(&mut tx, tenant, &domain.dns_name, holder).await?;
        check_cursor(&mut tx, tenant, &domain.dns_name, wanted).await?;
        let policy = load_tenant(&mut tx, tenant).await?.policy;
        let mut run = Run::begin(&mut tx, by, tenant, &domain, wanted.run_id, policy).await?;
        run.apply(&mut tx, &wanted.changes).await?;
        let (outcome, refusals) = run.finish(&mut tx).await?;
        if let Some(event) = refusals.filter(|event| self.admits(event)) {
            record(&mut tx, &event).await?;
        }
        deletion_guard::check(
            &mut tx,
            self.sealer().rows(),
            by,
            tenant,
            &domain.dns_name,
            wanted,
            &outcome,
        )
        .await?;
        if wanted.last {
            end_run(&mut tx, tenant, &domain.dns_name, wanted).await?;
        }
        tx.commit().await?;
        Ok(outcome)
    }

    async fn audit_refusal(
        &self,
        by: &Actor,
        tenant: TenantId,
        domain: &str,
        refusal: &Refusal,
    ) -> Result<()> {
        let event = NewEvent {
            outcome: EventOutcome::Refused,
            reason: refusal.code().to_owned(),
            target: names::shown(domain),
            detail: refusal.to_string(),
            ..NewEvent::audit(by, Some(tenant), "sync.refuse")
        };
        if !self.admits(&event) {
            return Ok(());
        }
        let mut tx = self.change(by, tenant, ChangeScope::Nothing).await?;
        record(&mut tx, &event).await?;
        tx.commit().await
    }
}

/// The checks of a request that need no database.
fn check_bounds(wanted: &ApplyIdentities) -> Result<()> {
    let members = |change: &IdentityChange| match change {
        IdentityChange::Members {
            add,
            remove,
            elsewhere,
            ..
        } => {
            let domains = elsewhere.as_ref().map_or(0, HashMap::len);
            domains.max(add.len() + remove.len())
        }
        _ => 0,
    };
    let crowded = |change: &IdentityChange| members(change) > MAX_MEMBER_CHANGES;
    if wanted.changes.len() > MAX_CHANGES
        || wanted.changes.iter().any(crowded)
        || wanted.failures.len() > MAX_FAILURES
    {
        return Err(too_many_changes());
    }
    let cursors = [&wanted.cursor, &wanted.previous_cursor];
    if cursors
        .into_iter()
        .flatten()
        .any(|c| c.len() > MAX_CURSOR || c.contains('\0'))
    {
        let reason = "expected at most 64 KiB of text";
        return Err(names::invalid("cursor", "…", reason));
    }
    Ok(())
}

/// Refuses a run whose starting cursor was replaced by another run. A request that completed its run may be repeated if
/// its answer was lost.
async fn check_cursor(
    conn: &mut AnyConnection,
    tenant: TenantId,
    domain: &str,
    wanted: &ApplyIdentities,
) -> Result<()> {
    let Some(expected) = &wanted.previous_cursor else {
        return Ok(());
    };
    let row =
        sql("SELECT sync_cursor, sync_run FROM domains WHERE tenant_id = $1 AND dns_name = $2")
            .bind(tenant_blob(tenant))
            .bind(domain)
            .fetch_one(conn)
            .await?;
    let stored: Option<String> = col(&row, "sync_cursor")?;
    let run: Option<String> = col(&row, "sync_run")?;
    if stored.unwrap_or_default() == *expected || run == Some(wanted.run_id.to_string()) {
        return Ok(());
    }
    Err(Refusal::CursorMoved {
        domain: domain.to_owned(),
    }
    .into())
}

/// Registers the agent's domain if it is not registered. An agent cannot rename a registered domain or move it to another
/// forest: by which name and through which trust its users arrive is an administrator's decision.
async fn register_own(
    conn: &mut AnyConnection,
    installation: &InstallationNames,
    by: &Actor,
    tenant: TenantId,
    domain: &NewDomain,
) -> Result<DomainInfo> {
    let name = names::dns_name("domain", &domain.dns_name)?;
    let known = find_domain(conn, tenant, &name).await?;
    if let Some(known) = &known {
        let given = names::flat_name(&domain.flat_name)?;
        if given != known.flat_name {
            return Err(Refusal::FlatNameMismatch {
                domain: name,
                known: known.flat_name.clone(),
                given,
            }
            .into());
        }
    }
    let domain = NewDomain {
        forest_root: domain.forest_root.clone().filter(|_| known.is_none()),
        ..domain.clone()
    };
    domains::register(conn, installation, by, tenant, &domain).await
}

/// Stores the objects that the agent could not process, and how many there are. After an incremental run earlier
/// failures stand too, except for objects that are listed again. Their earlier refusals are deleted.
async fn keep_failures(
    conn: &mut AnyConnection,
    tenant: TenantId,
    domain: &str,
    wanted: &ApplyIdentities,
) -> Result<u64> {
    let mut all = match wanted.incremental {
        true => failures(conn, tenant, domain).await?,
        false => Vec::new(),
    };
    let reported: HashSet<Uuid> = wanted
        .failures
        .iter()
        .filter_map(|f| f.object_guid)
        .collect();
    all.retain(|old| !old.object_guid.is_some_and(|guid| reported.contains(&guid)));
    for guid in &reported {
        sql("DELETE FROM sync_refusals WHERE tenant_id = $1 AND domain = $2 AND guid = $3")
            .bind(tenant_blob(tenant))
            .bind(domain)
            .bind(uuid_blob(*guid))
            .execute(&mut *conn)
            .await?;
    }
    let standing = u64::try_from(all.len()).unwrap_or(u64::MAX);
    let listed = u64::try_from(wanted.failures.len()).unwrap_or(u64::MAX);
    all.extend(wanted.failures.iter().cloned());
    sql("DELETE FROM sync_failures WHERE tenant_id = $1 AND domain = $2")
        .bind(tenant_blob(tenant))
        .bind(domain)
        .execute(&mut *conn)
        .await?;
    for (position, failure) in (0_i64..).zip(all.iter().take(MAX_FAILURES)) {
        sql("INSERT INTO sync_failures (tenant_id, domain, position, guid, name, reason, exceeds) VALUES ($1, $2, $3, $4, $5, $6, $7)")
            .bind(tenant_blob(tenant))
            .bind(domain)
            .bind(position)
            .bind(failure.object_guid.map(uuid_blob))
            .bind(names::shown(&failure.name))
            .bind(names::shown(&failure.reason))
            .bind(i64::from(failure.exceeds))
            .execute(&mut *conn)
            .await?;
    }
    Ok(standing.saturating_add(wanted.failed.max(listed)))
}

/// The cursor is stored with the data it covers: a run that was killed is repeated, never skipped.
async fn end_run(
    conn: &mut AnyConnection,
    tenant: TenantId,
    domain: &str,
    wanted: &ApplyIdentities,
) -> Result<()> {
    let failed = keep_failures(conn, tenant, domain, wanted).await?;
    // A full sync brings back what a database that went back in time had lost.
    sql("UPDATE domains SET sync_cursor = $3, sync_run = $4, sync_success_at = $5, sync_skipped = $6, sync_failed = $7,
         awaits_sync = CASE WHEN $8 = 1 THEN awaits_sync ELSE 0 END, sync_problem = NULL
         WHERE tenant_id = $1 AND dns_name = $2")
        .bind(tenant_blob(tenant))
        .bind(domain)
        .bind(wanted.cursor.as_deref())
        .bind(wanted.run_id.to_string())
        .bind(crossrealm_os::clock::now_s())
        .bind(i64::try_from(wanted.skipped).unwrap_or(i64::MAX))
        .bind(i64::try_from(failed).unwrap_or(i64::MAX))
        .bind(i64::from(wanted.incremental))
        .execute(conn)
        .await?;
    Ok(())
}
