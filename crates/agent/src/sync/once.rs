//! One sync run, or the plan of one.

use super::lease::Lease;
use super::session::SyncSession;
use crate::comparison::{Comparison, SyncJob};
use crate::error::AgentError;
use crate::progress::Progress;
use crossrealm_onprem::credentials::DomainCredentials;
use crossrealm_onprem::sync::SyncMode;
use crossrealm_types::ApplyIdentitiesResult;

/// Reads both sides and makes the plan; changes nothing.
///
/// # Errors
/// As [`SyncSession::compare`].
pub async fn plan(
    job: &SyncJob<'_>,
    credentials: &DomainCredentials,
    full: bool,
    progress: &dyn Progress,
) -> Result<Comparison, AgentError> {
    SyncSession::default()
        .compare(job, credentials, mode(full), progress)
        .await
}

/// Brings the tenant up to date, under the connector's lease.
///
/// # Errors
/// As [`Lease::wait`], [`SyncSession::compare`], [`Comparison::check_deletions`] and [`SyncSession::apply`].
pub async fn sync(
    job: &SyncJob<'_>,
    credentials: &DomainCredentials,
    full: bool,
    progress: &dyn Progress,
) -> Result<(Comparison, ApplyIdentitiesResult), AgentError> {
    let mut lease = Lease::new(job.client.clone(), job.tenant, job.domain);
    lease.wait(progress).await?;
    let mut session = SyncSession::default();
    let run = async {
        let mut comparison = session
            .compare(job, credentials, mode(full), progress)
            .await?;
        comparison.check_deletions(job).await?;
        let result = session
            .apply(job, lease.holder(), &comparison, progress)
            .await?;
        Ok((comparison, result))
    };
    let outcome = run.await;
    lease.release(None).await;
    outcome
}

fn mode(full: bool) -> SyncMode {
    SyncMode { full, retry: true }
}
