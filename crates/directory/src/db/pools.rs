//! The connections: many that read, few that write, and their transactions.

use crate::db::connect;
use crate::db::connect::Opened;
use crate::db::dialect::Dialect;
use crate::error::Result;
use sqlx::any::AnyPoolOptions;
use sqlx::{Any, AnyPool, Connection, Executor};
use std::time::Duration;
use tokio::time::timeout;

/// How long a statement waits for a connection before the directory counts as overloaded.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections that only read.
const READERS: u32 = 8;

/// Connections that write, where the database lets more than one.
const WRITERS: u32 = 4;

/// A writing transaction. Rolled back where it is dropped.
pub(crate) type Tx = sqlx::Transaction<'static, Any>;

/// The connections.
pub(crate) struct Pools {
    dialect: Dialect,
    writers: AnyPool,
    readers: AnyPool,
}

impl Pools {
    /// Opens the database, creates the file if there is none, and migrates it to this program's schema.
    pub(crate) async fn open(url: &str) -> Result<Self> {
        let Opened {
            dialect,
            connect_url,
        } = connect::open(url).await?;
        let writer_count = match dialect {
            Dialect::Sqlite => 1,
            Dialect::Postgres => WRITERS,
        };
        let pool = async |size, own| {
            let options = pool_options(dialect, size, own);
            let pool = options.connect(&connect_url).await;
            pool.map_err(|error| connect::cannot_open(url, &error))
        };
        Ok(Self {
            dialect,
            writers: pool(writer_count, dialect.writer()).await?,
            readers: pool(READERS, dialect.reader()).await?,
        })
    }

    /// The connections for single reads.
    pub(crate) fn readers(&self) -> &AnyPool {
        &self.readers
    }

    /// Begins a reading transaction: all its reads see the same state.
    pub(crate) async fn snapshot(&self) -> Result<Tx> {
        let begin = match self.dialect {
            Dialect::Sqlite => "BEGIN",
            Dialect::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
        };
        Ok(self.readers.begin_with(begin).await?)
    }

    /// Begins a writing transaction, when the writers before it have ended.
    pub(crate) async fn begin(&self) -> Result<Tx> {
        let begin = match self.dialect {
            Dialect::Sqlite => "BEGIN IMMEDIATE",
            // Each statement sees what others committed before it. Behind the lock of `lock_and_bump`, nothing else
            // changes.
            Dialect::Postgres => "BEGIN ISOLATION LEVEL READ COMMITTED",
        };
        Ok(self.writers.begin_with(begin).await?)
    }

    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writers.close().await;
    }
}

fn pool_options(dialect: Dialect, size: u32, own: &'static [&'static str]) -> AnyPoolOptions {
    AnyPoolOptions::new()
        .max_connections(size)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(move |conn, _| {
            Box::pin(async move {
                for statement in dialect.every().iter().chain(own) {
                    conn.execute(*statement).await?;
                }
                Ok(())
            })
        })
        // A connection that no longer answers must not stay in the pool.
        .after_release(|conn, _| {
            Box::pin(async move {
                match timeout(ACQUIRE_TIMEOUT, conn.ping()).await {
                    Ok(answer) => answer.map(|()| true),
                    Err(_) => Err(sqlx::Error::PoolTimedOut),
                }
            })
        })
}
