//! The lease of a connector: one sync agent works at a time. It is held by renewing it, and ends by itself.

use crate::failure::Failure;
use crossrealm_api::{Client, SyncLease, SyncLeaseRelease, SyncLeaseRequest};
use std::time::Duration;
use tokio::task::JoinHandle;

/// For how long it is taken, in seconds: so long another agent waits for one that died.
const SECONDS: u32 = 30;
/// How often it is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(10);

/// A name under which something is held, of this process alone: people see from it which computer to look at.
pub fn holder() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String = host.trim().chars().take(64).collect();
    let own = uuid::Uuid::new_v4().simple().to_string();
    format!("{host}/{}/{}", std::process::id(), &own[..8])
}

/// A lease that may be held.
pub struct Lease {
    client: Client,
    tenant: String,
    domain: String,
    holder: String,
    renewing: Option<JoinHandle<()>>,
}

impl Lease {
    /// A lease that is not held yet, under a name of this process alone.
    pub fn new(client: Client, tenant: &str, domain: &str) -> Self {
        Self {
            client,
            tenant: tenant.to_owned(),
            domain: domain.to_owned(),
            holder: holder(),
            renewing: None,
        }
    }

    /// The name under which it is held.
    pub fn holder(&self) -> &str {
        &self.holder
    }

    /// Takes it, or goes on holding it; `None` where that worked, else who holds it.
    pub async fn take(&mut self) -> Result<Option<SyncLease>, Failure> {
        if self
            .renewing
            .as_ref()
            .is_some_and(|task| !task.is_finished())
        {
            return Ok(None);
        }
        let wanted = self.request();
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

    /// Gives it back. Where that fails it ends by itself.
    pub async fn release(&mut self) {
        let Some(task) = self.renewing.take() else {
            return;
        };
        task.abort();
        let holder = SyncLeaseRelease {
            holder: self.holder.clone(),
        };
        let released = self
            .client
            .release_sync_lease(&self.tenant, &self.domain, &holder);
        if let Err(error) = released.await {
            tracing::debug!(%error, "the lease was not given back");
        }
    }

    fn request(&self) -> SyncLeaseRequest {
        SyncLeaseRequest {
            holder: self.holder.clone(),
            seconds: SECONDS,
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
