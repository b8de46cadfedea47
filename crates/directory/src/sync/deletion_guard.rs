//! How many identities a sync may delete or disable without an administrator. The agent has a limit of its own. This one
//! also holds for a stolen connector token: beyond it only an administrator counts, who makes the request or has given a
//! permit, and what is deleted is audited.

use crate::audit::events::{Actor, audit};
use crate::db::columns::{col, tenant_blob};
use crate::db::statement::sql;
use crate::error::{Refusal, Result};
use crate::sealing::row_tags::RowTags;
use crate::sync::deletion_permits;
use crate::sync::model::ApplyIdentities;
use crossrealm_kdc::TenantId;
use crossrealm_os::clock::now_s;
use crossrealm_types::ApplyIdentitiesResult;
use sqlx::AnyConnection;
use uuid::Uuid;

/// Deletions within this time are added up, in seconds.
const WINDOW_S: i64 = 86_400;
/// This many are always permitted within the window: in a small domain the agent's own limit is what counts.
const FEWEST: i64 = 50;
/// More than this many always need an administrator.
const MOST: i64 = 500;

/// Refuses to delete or disable more than a tenth of the domain's identities within a day, unless an administrator
/// declared it in the request or permitted it. Deletions are audited.
pub(crate) async fn check(
    conn: &mut AnyConnection,
    tags: &RowTags,
    by: &Actor,
    tenant: TenantId,
    domain: &str,
    wanted: &ApplyIdentities,
    outcome: &ApplyIdentitiesResult,
) -> Result<()> {
    let losses = i64::try_from(outcome.deleted + outcome.disabled).unwrap_or(i64::MAX);
    if losses == 0 {
        return Ok(());
    }
    let row = sql(
        "SELECT losses, losses_since, declared_run, declared_losses FROM domains
                   WHERE tenant_id = $1 AND dns_name = $2",
    )
    .bind(tenant_blob(tenant))
    .bind(domain)
    .fetch_one(&mut *conn)
    .await?;
    let (now, run) = (now_s(), wanted.run_id.to_string());
    let mut since: i64 = col(&row, "losses_since")?;
    let mut lost: i64 = col(&row, "losses")?;
    // A time in the future was written before the clock was set back.
    if since > now || now - since >= WINDOW_S {
        (since, lost) = (now, 0);
    }
    let same_run = col::<Option<String>>(&row, "declared_run")?.as_deref() == Some(&run);
    let declared: i64 = if same_run {
        col(&row, "declared_losses")?
    } else {
        0
    };
    let by_run = declared.saturating_add(losses);
    let accepted = wanted
        .accept_deletions
        .map(|n| i64::try_from(n).unwrap_or(i64::MAX));
    let (lost, declared_run, declared) = match accepted {
        Some(accepted) if by_run <= accepted => (lost, Some(run), by_run),
        _ => {
            let before = lost;
            let lost = lost.saturating_add(losses);
            let held = living(conn, tenant, domain).await?.saturating_add(lost);
            let allowed = (held / 10).clamp(FEWEST, MOST);
            if lost <= allowed {
                (lost, None, 0)
            } else if use_permit(conn, tags, tenant, domain, wanted.run_id, by_run).await? {
                (before, Some(run), by_run)
            } else {
                return Err(Refusal::TooManyDeletions {
                    domain: domain.to_owned(),
                    lost,
                    held,
                    allowed,
                    by_run,
                }
                .into());
            }
        }
    };
    sql(
        "UPDATE domains SET losses = $3, losses_since = $4, declared_run = $5, declared_losses = $6
         WHERE tenant_id = $1 AND dns_name = $2",
    )
    .bind(tenant_blob(tenant))
    .bind(domain)
    .bind(lost)
    .bind(since)
    .bind(declared_run)
    .bind(declared)
    .execute(&mut *conn)
    .await?;
    let asked = match accepted {
        Some(accepted) => format!(", {accepted} were declared"),
        None => String::new(),
    };
    let detail = format!(
        "run {}: {} deleted, {} disabled{asked}",
        wanted.run_id, outcome.deleted, outcome.disabled
    );
    audit(conn, by, Some(tenant), "sync.take_away", domain, &detail).await
}

/// Whether an administrator permitted this run its deletions; the permit is then this run's alone.
async fn use_permit(
    conn: &mut AnyConnection,
    tags: &RowTags,
    tenant: TenantId,
    domain: &str,
    run: Uuid,
    by_run: i64,
) -> Result<bool> {
    let permit = deletion_permits::usable(conn, tags, tenant, domain, Some(run)).await?;
    match permit.filter(|permit| u64::try_from(by_run).is_ok_and(|n| n <= permit.deletions)) {
        Some(permit) => {
            deletion_permits::bind(conn, tags, tenant, domain, &permit, run).await?;
            Ok(true)
        }
        None => Ok(false),
    }
}

/// The identities of a domain that are enabled.
async fn living(conn: &mut AnyConnection, tenant: TenantId, domain: &str) -> Result<i64> {
    let row = sql("SELECT COUNT(*) AS held FROM identities WHERE tenant_id = $1 AND domain = $2 AND state = 'enabled'")
        .bind(tenant_blob(tenant))
        .bind(domain)
        .fetch_one(conn)
        .await?;
    col(&row, "held")
}
