//! The handle: a database, a master key and the caches.

use crate::caches::Caches;
use crate::db::columns::col;
use crate::db::pools::{Pools, Tx};
use crate::db::statement::sql;
use crate::error::Result;
use crate::sealing::master_key::MasterKey;
use crate::sealing::seal::{SealContext, Sealer};
use crossrealm_kdc::TenantId;
use sqlx::AnyPool;
use std::sync::Arc;

/// Sealed into a new database, so that opening it proves the master key.
const CHECK: &[u8] = b"crossrealm";
const CHECK_CONTEXT: SealContext<'static> = SealContext {
    tenant: TenantId([0; 16]),
    kind: "master key check",
    id: &[],
    version: 1,
};

/// The directory of an installation. Cheap to clone; every clone is the same directory.
#[derive(Clone)]
pub struct Directory {
    inner: Arc<Inner>,
}

struct Inner {
    pools: Pools,
    sealer: Sealer,
    caches: Caches,
}

impl Directory {
    /// Opens (makes, migrates) the database at `url`: `sqlite:PATH` or `sqlite://PATH`, the path as it is, or
    /// what [`check_store_url`](crate::db::url::check_store_url) says of `postgres://…`. A file that is made can be read by its owner
    /// only. A database that was made under another master key, or holds something else, is refused.
    pub async fn open(url: &str, master_key: MasterKey) -> Result<Self> {
        let pools = Pools::open(url).await?;
        let sealer = Sealer::new(&master_key);
        check_master_key(&pools, &sealer, &master_key).await?;
        let inner = Inner {
            pools,
            sealer,
            caches: Caches::new(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<()> {
        sql("SELECT 1").fetch_one(self.readers()).await?;
        Ok(())
    }

    /// Closes the database after the operations under way.
    pub async fn close(&self) {
        self.inner.pools.close().await;
    }

    pub(crate) fn readers(&self) -> &AnyPool {
        self.inner.pools.readers()
    }

    pub(crate) fn sealer(&self) -> &Sealer {
        &self.inner.sealer
    }

    pub(crate) fn caches(&self) -> &Caches {
        &self.inner.caches
    }

    pub(crate) async fn snapshot(&self) -> Result<Tx> {
        self.inner.pools.snapshot().await
    }

    pub(crate) async fn begin(&self) -> Result<Tx> {
        self.inner.pools.begin().await
    }

    /// Commits, and makes this node's caches read the change counters before they answer again.
    pub(crate) async fn commit(&self, tx: Tx) -> Result<()> {
        let done = tx.commit().await;
        // Also if the commit failed: it may have taken effect.
        self.inner.caches.invalidate();
        Ok(done?)
    }
}

/// Records the master key of a new database, and refuses another one for an old database.
async fn check_master_key(pools: &Pools, sealer: &Sealer, key: &MasterKey) -> Result<()> {
    let mut tx = pools.begin().await?;
    // Two nodes may open a new database at once: the first one's row stays.
    for (name, value) in [
        ("master_key_id", key.id().into_bytes()),
        ("master_key_check", sealer.seal(CHECK_CONTEXT, CHECK)?),
    ] {
        sql("INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
            .bind(name)
            .bind(value)
            .execute(&mut *tx)
            .await?;
    }
    let stored = "SELECT value FROM meta WHERE name = $1";
    let row = sql(stored)
        .bind("master_key_id")
        .fetch_one(&mut *tx)
        .await?;
    let wanted: Vec<u8> = col(&row, "value")?;
    key.check_id(&String::from_utf8_lossy(&wanted))?;
    let row = sql(stored)
        .bind("master_key_check")
        .fetch_one(&mut *tx)
        .await?;
    let sealed: Vec<u8> = col(&row, "value")?;
    sealer.unseal(CHECK_CONTEXT, &sealed)?;
    tx.commit().await?;
    Ok(())
}
