//! The caches of the answers to the KDC.

use crate::tenants::model::TenantInfo;
use crossrealm_kdc::{Identity, Service, ServiceName, Tenant, TenantId, Trust};
use crossrealm_krb::crypto::Key;
use crossrealm_types::Sid;
use moka::future::Cache;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use uuid::Uuid;

/// How long a counter that was read is trusted. It bounds how late another node's change is seen.
const FRESH_FOR: Duration = Duration::from_millis(500);

/// How long an unused entry is kept.
const IDLE: Duration = Duration::from_secs(600);

/// The change counters of a tenant.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ChangeCounters {
    pub(crate) configuration: i64,
    pub(crate) identities: i64,
}

/// The part of a tenant that its configuration counter covers.
pub(crate) struct Configuration {
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) trusts: Vec<Arc<Trust>>,
    /// The first second in which a retired key must no longer be returned.
    pub(crate) valid_before: i64,
}

/// The caches. All of them are bounded.
pub(crate) struct Caches {
    /// Increases with each change made by this node; part of every key below that has no counter.
    epoch: AtomicU64,
    pub(crate) changes: Cache<(u64, TenantId), ChangeCounters>,
    pub(crate) configurations: Cache<(TenantId, i64), Arc<Configuration>>,
    pub(crate) services: Cache<(TenantId, i64, ServiceName), Option<Arc<Service>>>,
    pub(crate) identities: Cache<(TenantId, i64, Sid), Option<Arc<Identity>>>,
    labels: Cache<(u64, String), Option<Arc<TenantInfo>>>,
    /// Trust keys by trust and version: deriving a key from a password is costly.
    pub(crate) derived: Cache<(Uuid, u32), Arc<[Key]>>,
}

impl Caches {
    pub(crate) fn new() -> Self {
        Self {
            epoch: AtomicU64::new(0),
            changes: Cache::builder()
                .max_capacity(10_000)
                .time_to_live(FRESH_FOR)
                .build(),
            configurations: Cache::builder()
                .max_capacity(10_000)
                .time_to_idle(IDLE)
                .build(),
            services: Cache::builder()
                .max_capacity(100_000)
                .time_to_idle(IDLE)
                .build(),
            identities: Cache::builder()
                .max_capacity(100_000)
                .time_to_idle(IDLE)
                .build(),
            labels: Cache::builder()
                .max_capacity(10_000)
                .time_to_live(Duration::from_secs(1))
                .build(),
            derived: Cache::builder()
                .max_capacity(10_000)
                .time_to_idle(IDLE)
                .build(),
        }
    }

    /// This node changed something: counters that were read before are no longer used.
    pub(crate) fn invalidate(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// The number of changes by this node. Read it before the database, and store it with what was read.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    pub(crate) async fn label(&self, text: &str) -> Option<Option<Arc<TenantInfo>>> {
        self.labels.get(&(self.epoch(), text.to_owned())).await
    }

    pub(crate) async fn keep_label(
        &self,
        epoch: u64,
        text: String,
        found: Option<Arc<TenantInfo>>,
    ) {
        self.labels.insert((epoch, text), found).await;
    }
}
