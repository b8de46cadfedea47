//! The lease of a connector: one sync agent works at a time. It is held by renewing it, and expires by itself.

use crate::error::AgentError;
use crate::holder::holder_name;
use crate::progress::{Event, Progress};
use crossrealm_api::{Client, SyncLease, SyncLeaseRelease, SyncLeaseRequest};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// The term of the lease, in seconds: for so long another agent waits for one that died.
const TERM_S: u32 = 30;
/// How often it is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(10);
/// How long [`Lease::wait`] waits for another agent.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// How often it asks.
const POLL_EVERY: Duration = Duration::from_secs(1);

/// A lease that may be held.
pub struct Lease {
    client: Client,
    tenant: String,
    domain: String,
    holder: String,
    renewing: Option<JoinHandle<()>>,
}

impl Lease {
    /// A lease that is not held yet.
    pub fn new(client: Client, tenant: &str, domain: &str) -> Self {
        Self {
            client,
            tenant: tenant.to_owned(),
            domain: domain.to_owned(),
            holder: holder_name(),
            renewing: None,
        }
    }

    /// The name under which it is held.
    pub fn holder(&self) -> &str {
        &self.holder
    }

    /// Acquires it, or goes on holding it. Returns `None` where that worked, else the lease of its holder.
    ///
    /// # Errors
    /// The service's.
    pub async fn acquire(&mut self) -> Result<Option<SyncLease>, AgentError> {
        if self
            .renewing
            .as_ref()
            .is_some_and(|task| !task.is_finished())
        {
            return Ok(None);
        }
        let wanted = SyncLeaseRequest {
            holder: self.holder.clone(),
            seconds: TERM_S,
        };
        let lease = self
            .client
            .take_sync_lease(&self.tenant, &self.domain, &wanted)
            .await?;
        if !lease.granted {
            return Ok(Some(lease));
        }
        let (client, tenant, domain) = (
            self.client.clone(),
            self.tenant.clone(),
            self.domain.clone(),
        );
        // Ends when the lease is lost; what is written without it is refused.
        self.renewing = Some(tokio::spawn(async move {
            loop {
                tokio::time::sleep(RENEW_EVERY).await;
                match client.take_sync_lease(&tenant, &domain, &wanted).await {
                    Ok(lease) if lease.granted => {}
                    Ok(_) => return,
                    Err(error) if error.is_transient() => {}
                    Err(_) => return,
                }
            }
        }));
        Ok(None)
    }

    /// Acquires it, and waits for another agent for at most a minute.
    ///
    /// # Errors
    /// [`AgentError::LeaseHeld`] where the other agent goes on, else the service's.
    pub async fn wait(&mut self, progress: &dyn Progress) -> Result<(), AgentError> {
        let began = Instant::now();
        while let Some(other) = self.acquire().await? {
            if began.elapsed() > MAX_WAIT {
                let holder = other.holder;
                return Err(AgentError::LeaseHeld { holder });
            }
            progress.report(Event::Waiting(&other.holder));
            tokio::time::sleep(POLL_EVERY).await;
        }
        Ok(())
    }

    /// Releases it. Where that fails it expires by itself. `problem` is why the agent does not go on, for the tenant's
    /// administrators.
    pub async fn release(&mut self, problem: Option<String>) {
        let Some(task) = self.renewing.take() else {
            return;
        };
        task.abort();
        let holder = SyncLeaseRelease {
            holder: self.holder.clone(),
            problem,
        };
        let released = self
            .client
            .release_sync_lease(&self.tenant, &self.domain, &holder);
        if let Err(error) = released.await {
            tracing::debug!(%error, "the lease was not released");
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(task) = &self.renewing {
            task.abort();
        }
    }
}
