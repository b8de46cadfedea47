//! The handle: a database, a master key and the caches.

use crate::caches::Caches;
use crate::claimed_names::InstallationNames;
use crate::db::dialect::Dialect;
use crate::db::health::StoreHealth;
use crate::db::pools::{Pools, Tx};
use crate::error::{DirectoryError, Result};
use crate::event_rates::EventRates;
use crate::password_hashing::HashingPool;
use crate::sealing::seal::Sealer;
use crate::store_observer::{Observed, StoreObserver, StoreStep};
use sqlx::AnyPool;
use std::sync::Arc;
use std::time::Instant;
use uuid::Uuid;

/// The directory of an installation. Cheap to clone; every clone is the same directory.
#[derive(Clone)]
pub struct Directory {
    inner: Arc<Inner>,
}

struct Inner {
    pools: Pools,
    sealer: Sealer,
    caches: Caches,
    hashing: HashingPool,
    installation: InstallationNames,
    installation_id: Uuid,
    event_rates: EventRates,
    health: StoreHealth,
    observed: Observed,
}

impl Directory {
    /// The directory of an opened database.
    pub(crate) fn new(
        pools: Pools,
        sealer: Sealer,
        installation: InstallationNames,
        installation_id: Uuid,
    ) -> Self {
        let inner = Inner {
            pools,
            sealer,
            caches: Caches::new(),
            hashing: HashingPool::new(),
            installation,
            installation_id,
            event_rates: EventRates::new(),
            health: StoreHealth::default(),
            observed: Observed::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The id of the installation: random, and in no other database but copies of this one.
    pub fn installation_id(&self) -> Uuid {
        self.inner.installation_id
    }

    /// Closes the database after the operations under way.
    pub async fn close(&self) {
        self.inner.pools.close().await;
    }

    /// Reports from now on how long the database takes and how it fails. The first observer of a directory stays.
    pub fn observe_store(&self, observer: Box<dyn StoreObserver>) {
        self.inner.observed.set(observer);
    }

    pub(crate) fn observed(&self) -> &Observed {
        &self.inner.observed
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.inner.pools.dialect()
    }

    pub(crate) fn readers(&self) -> &AnyPool {
        self.inner.pools.readers()
    }

    pub(crate) fn sealer(&self) -> &Sealer {
        &self.inner.sealer
    }

    pub(crate) fn hashing(&self) -> &HashingPool {
        &self.inner.hashing
    }

    pub(crate) fn installation(&self) -> &InstallationNames {
        &self.inner.installation
    }

    pub(crate) fn event_rates(&self) -> &EventRates {
        &self.inner.event_rates
    }

    pub(crate) fn caches(&self) -> &Caches {
        &self.inner.caches
    }

    pub(crate) async fn snapshot(&self) -> Result<Tx> {
        self.inner.pools.snapshot().await
    }

    pub(crate) fn check_file(&self) -> Result<()> {
        self.inner.pools.check_file()
    }

    pub(crate) fn check_file_and_log(&self) -> Result<()> {
        self.inner.pools.check_file_and_log()
    }

    pub(crate) fn health(&self) -> &StoreHealth {
        &self.inner.health
    }

    /// Begins a writing transaction. Every one begins here and ends in [`Self::commit`] or [`Self::commit_events`], so that it
    /// is known how the last write ended.
    pub(crate) async fn begin(&self) -> Result<Tx> {
        let begun = self.inner.pools.begin();
        self.note(self.observed().time(StoreStep::Begin, begun).await)
    }

    /// Commits, and makes this node's caches read the change marks before they answer again.
    pub(crate) async fn commit(&self, tx: Tx) -> Result<()> {
        let done = self.commit_events(tx).await;
        // Also if the commit failed: it may have taken effect.
        self.inner.caches.invalidate();
        done
    }

    /// Commits a transaction that changed nothing that is cached.
    pub(crate) async fn commit_events(&self, tx: Tx) -> Result<()> {
        let committed = self.observed().time(StoreStep::Commit, tx.commit()).await;
        self.note(committed.map_err(DirectoryError::from))?;
        self.health().wrote();
        Ok(())
    }

    /// Remembers the fault of a write that failed.
    pub(crate) fn note<T>(&self, done: Result<T>) -> Result<T> {
        if let Err(error) = &done
            && let Some(fault) = error.fault()
        {
            self.health().failed(fault, Instant::now());
            self.observed().failed(fault);
        }
        done
    }
}
