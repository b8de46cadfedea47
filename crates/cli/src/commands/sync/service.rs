//! `crossrealm sync run`: one run after the other, until stopped.

use super::show::{Progress, left_out};
use super::{SafetyArgs, accept, compared, dns_name};
use crate::context::Context;
use crate::domain_credentials::DomainArgs;
use crate::failure::Failure;
use crate::output::printable;
use crate::sync_agent::{Comparison, Task, Worker};
use crate::sync_lease::Lease;
use crate::trust_rotation::Rotator;
use crossrealm_api::{ApplyIdentitiesResult, Client};
use crossrealm_onprem::credentials::DomainCredentials;
use crossrealm_onprem::sync::{Ask, Scope};
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// How long a service waits at most between two attempts.
const MAX_BACK_OFF: Duration = Duration::from_secs(60);
/// How often the tenant hears that it is up to date where nothing changes.
const SIGN_OF_LIFE: Duration = Duration::from_secs(60);
/// How often objects that failed are tried again where nothing changes.
const RETRY_EVERY: Duration = Duration::from_secs(60);
/// How long giving the lease back may take at the end.
const GOOD_BYE: Duration = Duration::from_secs(5);

/// Runs again and again. A run that fails is told and tried again, after ever longer pauses: a domain controller or the
/// cloud may be away for a while, and the last state stays in force meanwhile.
pub async fn keep_running(
    domain: &DomainArgs,
    scope: &Scope,
    safety: SafetyArgs,
    interval: Duration,
    rotator: Option<Rotator>,
    context: &Context,
) -> Result<(), Failure> {
    let client = context.client()?;
    let tenant = context.tenant()?;
    let name = dns_name(&domain.domain);
    let cannot = |error| Failure::new(format!("cannot wait for signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let mut service = Service {
        client: &client,
        tenant,
        name: &name,
        domain,
        scope,
        safety,
        credentials: domain.credentials()?,
        lease: Lease::new(client.clone(), tenant, &name),
        worker: Worker::default(),
        told: String::new(),
        applied: None,
        tried: None,
        rotator,
        context,
    };
    // A run that is cut off here is finished by the next one.
    tokio::select! {
        () = service.work(interval) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    // Without an answer the lease ends by itself.
    let _ = tokio::time::timeout(GOOD_BYE, service.lease.release()).await;
    tracing::info!(domain = name, "stopped");
    Ok(())
}

struct Service<'a> {
    client: &'a Client,
    tenant: &'a str,
    name: &'a str,
    domain: &'a DomainArgs,
    scope: &'a Scope,
    safety: SafetyArgs,
    credentials: DomainCredentials,
    lease: Lease,
    worker: Worker,
    /// What was said last of what is left out, or whom the service waits for.
    told: String,
    /// When the tenant heard of us last.
    applied: Option<Instant>,
    /// When objects that failed were tried last.
    tried: Option<Instant>,
    /// Rotates the trust key beside, where that was asked for.
    rotator: Option<Rotator>,
    context: &'a Context,
}

impl Service<'_> {
    async fn work(&mut self, interval: Duration) {
        let mut failures = 0u32;
        loop {
            let pause = match self.turn().await {
                Ok(()) => {
                    failures = 0;
                    interval
                }
                Err(failure) => {
                    failures = failures.saturating_add(1);
                    let pause = back_off(interval, failures);
                    tracing::error!(retry_in_s = pause.as_secs(), "{failure}");
                    self.start_over().await;
                    pause
                }
            };
            if let Some(rotator) = &mut self.rotator {
                rotator
                    .run_if_due(self.domain, &self.credentials, self.context)
                    .await;
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// After a failure nothing is taken for granted: not the connection, not the tenant's state. Another agent may try.
    async fn start_over(&mut self) {
        self.worker = Worker::default();
        self.lease.release().await;
        // A password may have been changed; who was asked at a terminal is not asked again.
        if self.domain.domain_password_file.is_some() {
            match self.domain.credentials() {
                Ok(credentials) => self.credentials = credentials,
                Err(failure) => tracing::error!("{failure}"),
            }
        }
    }

    async fn turn(&mut self) -> Result<(), Failure> {
        if let Some(other) = self.lease.take().await? {
            if self.told != other.holder {
                tracing::info!(
                    holder = %printable(&other.holder),
                    "waiting: another sync agent works for this connector"
                );
                self.told = other.holder;
            }
            return Ok(());
        }
        let task = Task {
            client: self.client,
            tenant: self.tenant,
            domain: self.name,
            dc: self.domain.dc.as_deref(),
            scope: self.scope,
            holder: Some(self.lease.holder()),
            accept_deletions: self.safety.accepted(),
        };
        let retry = self.tried.is_none_or(|at| at.elapsed() >= RETRY_EVERY);
        let ask = Ask {
            everything: false,
            retry,
        };
        if retry {
            self.tried = Some(Instant::now());
        }
        let began = Instant::now();
        let mut progress = Progress::new();
        let mut comparison = self
            .worker
            .compare(&task, &self.credentials, ask, &mut |text| {
                progress.show(text)
            })
            .await?;
        let alive = self.applied.is_some_and(|at| at.elapsed() < SIGN_OF_LIFE);
        if comparison.is_idle() && alive {
            self.worker.go_on_from(&comparison);
            return Ok(());
        }
        accept(self.safety, &mut comparison)?;
        let result = self
            .worker
            .apply(&task, &comparison, &mut |text| progress.show(text))
            .await?;
        drop(progress);
        self.applied = Some(Instant::now());
        self.tell(&comparison, &result, began);
        Ok(())
    }

    fn tell(&mut self, comparison: &Comparison, result: &ApplyIdentitiesResult, began: Instant) {
        // What is left out rarely changes: said again only when it does.
        let left_out = left_out(&comparison.plan.skipped);
        if !left_out.is_empty() && left_out != self.told {
            eprint!("{left_out}");
            self.told = left_out;
        }
        for refused in &result.refused {
            tracing::warn!(
                object = %printable(&refused.account_name),
                code = refused.code,
                "refused: {}",
                printable(&refused.message)
            );
        }
        if comparison.is_idle() {
            return;
        }
        tracing::info!(
            domain = self.name,
            controller = comparison.controller,
            compared = compared(comparison),
            created = result.created,
            updated = result.updated,
            deleted = result.deleted,
            memberships_added = result.memberships_added,
            memberships_removed = result.memberships_removed,
            refused = result.refused.len(),
            took_ms = began.elapsed().as_millis(),
            "synced"
        );
    }
}

/// The pause after so many failures in a row: twice as long each time, never shorter than the interval.
fn back_off(interval: Duration, failures: u32) -> Duration {
    let doubled = 1u64 << failures.saturating_sub(1).min(10);
    Duration::from_secs(doubled).min(MAX_BACK_OFF).max(interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end_growing() {
        let second = Duration::from_secs(1);
        let pauses: Vec<_> = (1..9).map(|n| back_off(second, n).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        let hour = Duration::from_secs(3600);
        assert_eq!(back_off(hour, 1), hour);
        assert_eq!(back_off(second, u32::MAX), MAX_BACK_OFF);
    }
}
