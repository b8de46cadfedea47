//! The connections: many that read, few that write, and their transactions.

use crate::db::connect;
use crate::db::connect::{Opened, Purpose};
use crate::db::dialect::Dialect;
use crate::db::file::StoreFile;
use crate::error::Result;
use sqlx::any::AnyPoolOptions;
use sqlx::{Any, AnyConnection, AnyPool, Connection, Executor};
use std::sync::Arc;
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
    /// The file of a SQLite database.
    file: Option<Arc<StoreFile>>,
}

impl Pools {
    /// Opens the database and migrates it to this program's schema. Creates the file for a new installation.
    pub(crate) async fn open(url: &str, purpose: Purpose) -> Result<Self> {
        let Opened {
            dialect,
            connect_url,
            path,
        } = connect::open(url, purpose).await?;
        let file = path.as_deref().map(StoreFile::of).transpose();
        let file = file.map_err(|error| connect::cannot_open(url, &error.into()))?;
        let file = file.map(Arc::new);
        let writer_count = match dialect {
            Dialect::Sqlite => 1,
            Dialect::Postgres => WRITERS,
        };
        let pool = async |size, is_writer| {
            let options = pool_options(dialect, size, is_writer, file.clone());
            let pool = options.connect(&connect_url).await;
            pool.map_err(|error| connect::cannot_open(url, &error))
        };
        Ok(Self {
            dialect,
            writers: pool(writer_count, true).await?,
            readers: pool(READERS, false).await?,
            file,
        })
    }

    /// Whether the file that was opened is still the one at its path.
    pub(crate) fn check_file(&self) -> Result<()> {
        self.file.as_ref().map_or(Ok(()), |file| file.check())
    }

    /// The same, and whether the log is there that was just written into.
    pub(crate) fn check_file_and_log(&self) -> Result<()> {
        match &self.file {
            Some(file) => file.check().and_then(|()| file.check_log()),
            None => Ok(()),
        }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
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
        self.check_file()?;
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

fn pool_options(
    dialect: Dialect,
    size: u32,
    is_writer: bool,
    file: Option<Arc<StoreFile>>,
) -> AnyPoolOptions {
    let own = match is_writer {
        true => dialect.writer(),
        false => dialect.reader(),
    };
    AnyPoolOptions::new()
        .max_connections(size)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(move |conn, _| {
            let file = file.clone();
            Box::pin(async move {
                // A connection that is made later must not open another file in the place of the first.
                if let Some(file) = file {
                    file.check()
                        .map_err(|error| sqlx::Error::Configuration(error.to_string().into()))?;
                }
                for statement in dialect.every().iter().chain(own) {
                    conn.execute(*statement).await?;
                }
                Ok(())
            })
        })
        // A connection that no longer answers must not stay in the pool, nor one whose transaction did not end. SQLite rolls
        // a transaction back by itself where a write fails; the driver's rollback then fails, it goes on counting a
        // transaction, and no other could begin on this connection.
        .after_release(move |conn, _| {
            Box::pin(async move {
                match timeout(ACQUIRE_TIMEOUT, is_usable(conn, dialect, is_writer)).await {
                    Ok(usable) => usable.map(|usable| usable && !conn.is_in_transaction()),
                    Err(_) => Err(sqlx::Error::PoolTimedOut),
                }
            })
        })
}

/// Whether a connection can do its work again. One that was to write may have become one that only reads: SQLite opens a file
/// for reading if its disk refuses to open it for writing, and keeps it so; a server may have become a standby.
async fn is_usable(
    conn: &mut AnyConnection,
    dialect: Dialect,
    is_writer: bool,
) -> sqlx::Result<bool> {
    match (dialect, is_writer) {
        (_, false) => conn.ping().await.map(|()| true),
        // A statement that would write, and finds nothing to: `BEGIN IMMEDIATE` alone succeeds on a file that was opened for
        // reading, and begins a transaction that only reads.
        (Dialect::Sqlite, true) => {
            let nothing = conn.execute("DELETE FROM meta WHERE 0").await;
            nothing.map(|_| true)
        }
        (Dialect::Postgres, true) => {
            let shown = sqlx::query_scalar::<_, String>("SHOW transaction_read_only");
            Ok(shown.fetch_one(conn).await? == "off")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R1: a disk that was read-only for a while left a writer that only reads; all changes were refused until a restart.
    #[tokio::test]
    async fn a_writer_that_only_reads_is_not_kept() {
        sqlx::any::install_default_drivers();
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("store").display());
        let connect =
            async |mode: &str| AnyConnection::connect(&format!("{url}?mode={mode}")).await;
        let mut writer = connect("rwc").await.unwrap();
        for statement in ["PRAGMA journal_mode = WAL", "CREATE TABLE meta (one INT)"] {
            writer.execute(statement).await.unwrap();
        }
        let usable = is_usable(&mut writer, Dialect::Sqlite, true).await;
        assert!(usable.unwrap());
        // As SQLite opens it where the disk refuses to open it for writing.
        let mut reader = connect("ro").await.unwrap();
        let usable = is_usable(&mut reader, Dialect::Sqlite, true).await;
        assert!(!usable.is_ok_and(|usable| usable));
        let usable = is_usable(&mut reader, Dialect::Sqlite, false).await;
        assert!(usable.unwrap());
    }
}
