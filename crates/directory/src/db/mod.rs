//! How this crate speaks to its database: connections, transactions, and the small conversions between rows and values.
//!
//! Statements keep to what SQLite and PostgreSQL both understand: numbered parameters, `ON CONFLICT`, `WITH RECURSIVE`,
//! 64-bit integers, text and bytes. What differs between the two lives in the migrations, in this file and in
//! `opening`.

pub(crate) mod connect;
pub(crate) mod url;

use crate::db::connect::Opened;
use crate::error::Result;
use crate::error::{DirectoryError, Kind};
use crossrealm_kdc::TenantId;
use crossrealm_types::Sid;
use sqlx::any::{AnyArguments, AnyPoolOptions, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AnyPool, AssertSqlSafe, Connection, Decode, Executor, Row, Type};
use std::time::Duration;
use tokio::time::timeout;
use uuid::Uuid;

/// How long a statement waits for a connection before the directory counts as overloaded.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections that only read.
const READERS: u32 = 8;
/// Connections that write, where the database lets more than one.
const WRITERS: u32 = 4;
/// The most values of one `IN (…)`; both databases take far more.
pub(crate) const CHUNK: usize = 500;

/// A writing transaction. Rolled back where it is dropped.
pub(crate) type Tx = sqlx::Transaction<'static, Any>;
/// A statement of this crate.
pub(crate) type Statement<'q> = Query<'q, Any, AnyArguments>;

/// The two databases that are spoken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// One file, one writer at a time, readers that it never keeps waiting.
    Sqlite,
    /// A server that many nodes share.
    Postgres,
}

/// The connections.
pub(crate) struct Pools {
    dialect: Dialect,
    writers: AnyPool,
    readers: AnyPool,
}

impl Dialect {
    /// What the first connection is told, which looks at the database and brings it to the schema.
    pub(crate) fn first(self) -> &'static [&'static str] {
        match self {
            Self::Sqlite => &["PRAGMA busy_timeout = 10000", "PRAGMA foreign_keys = ON"],
            Self::Postgres => &[],
        }
    }

    /// What each connection is told before it is used. A server ends what takes too long, also where this node has
    /// stopped and holds locks that others wait for.
    fn every(self) -> &'static [&'static str] {
        match self {
            Self::Sqlite => self.first(),
            Self::Postgres => &[
                "SET lock_timeout = '10s'",
                "SET statement_timeout = '30s'",
                "SET idle_in_transaction_session_timeout = '60s'",
            ],
        }
    }

    /// The cache is for the indexes, which a sync writes all over, in KiB; what a statement may have to take back is kept in
    /// memory, since there it costs next to nothing.
    fn writer(self) -> &'static [&'static str] {
        match self {
            Self::Sqlite => &[
                "PRAGMA journal_mode = WAL",
                "PRAGMA synchronous = FULL",
                "PRAGMA cache_size = -65536",
                "PRAGMA temp_store = MEMORY",
            ],
            Self::Postgres => &[],
        }
    }

    /// A reader that could write would be a hole in the promise that a ticket writes nothing.
    fn reader(self) -> &'static [&'static str] {
        match self {
            Self::Sqlite => &["PRAGMA query_only = ON"],
            Self::Postgres => &["SET default_transaction_read_only = on"],
        }
    }
}

impl Pools {
    /// Opens the database, makes the file where there is none, and brings it to this program's schema.
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

    /// For a single read.
    pub(crate) fn readers(&self) -> &AnyPool {
        &self.readers
    }

    /// Begins a reading transaction: all its reads see one moment.
    pub(crate) async fn snapshot(&self) -> Result<Tx> {
        let begin = match self.dialect {
            Dialect::Sqlite => "BEGIN",
            Dialect::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
        };
        Ok(self.readers.begin_with(begin).await?)
    }

    /// Begins a writing transaction; waits for its turn.
    pub(crate) async fn begin(&self) -> Result<Tx> {
        let begin = match self.dialect {
            Dialect::Sqlite => "BEGIN IMMEDIATE",
            // Each statement sees what others committed before it: behind the lock of `touch`, that is everything.
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
        // A connection on which nothing arrives any more must not keep its place in the pool.
        .after_release(|conn, _| {
            Box::pin(async move {
                match timeout(ACQUIRE_TIMEOUT, conn.ping()).await {
                    Ok(answer) => answer.map(|()| true),
                    Err(_) => Err(sqlx::Error::PoolTimedOut),
                }
            })
        })
}

/// A statement of fixed text.
pub(crate) fn sql<'q>(text: &'static str) -> Statement<'q> {
    sqlx::query(text)
}

/// A statement whose text has a list of parameters; nothing else may be put into it.
pub(crate) fn sql_list<'q>(text: String) -> Statement<'q> {
    sqlx::query(AssertSqlSafe(text)).persistent(false)
}

/// `$first,$first+1,…`: the places of `count` parameters.
pub(crate) fn places(first: usize, count: usize) -> String {
    rows(count, |n| format!("${}", first + n))
}

/// `count` rows with a comma between them, the `n`th made by `row`, which writes places of parameters alone.
pub(crate) fn rows(count: usize, row: impl Fn(usize) -> String) -> String {
    (0..count).map(row).collect::<Vec<_>>().join(",")
}

/// What a writing transaction changes, for the caches.
#[derive(Clone, Copy)]
pub(crate) enum Touch {
    /// The tenant, its trusts, its services, its shares.
    Parties,
    /// Its users and groups.
    Identities,
    /// Nothing that is kept in memory.
    Nothing,
}

/// Notes that the tenant is about to change, and locks it until the transaction ends. Comes first in every writing
/// transaction, so that these come one after the other, their events too; fails where there is no such tenant.
pub(crate) async fn touch(conn: &mut AnyConnection, tenant: TenantId, what: Touch) -> Result<()> {
    let statement = match what {
        Touch::Parties => "UPDATE tenants SET parties_change = parties_change + 1 WHERE id = $1",
        Touch::Identities => {
            "UPDATE tenants SET identities_change = identities_change + 1 WHERE id = $1"
        }
        Touch::Nothing => "UPDATE tenants SET name = name WHERE id = $1",
    };
    let done = sql(statement)
        .bind(tenant_blob(tenant))
        .execute(conn)
        .await?;
    if done.rows_affected() == 0 {
        return Err(DirectoryError::not_found(Kind::Tenant, tenant));
    }
    Ok(())
}

/// A column of a row.
pub(crate) fn col<'r, T>(row: &'r AnyRow, name: &str) -> Result<T>
where
    T: Decode<'r, Any> + Type<Any>,
{
    Ok(row.try_get(name)?)
}

/// A column that holds a number which fits `u32`: a version, a RID, a length in seconds.
pub(crate) fn col_u32(row: &AnyRow, name: &str) -> Result<u32> {
    u32::try_from(col::<i64>(row, name)?).map_err(|_| DirectoryError::damaged(name, "out of range"))
}

/// A column that holds a UUID.
pub(crate) fn col_uuid(row: &AnyRow, name: &str) -> Result<Uuid> {
    let bytes: Vec<u8> = col(row, name)?;
    Uuid::from_slice(&bytes).map_err(|_| DirectoryError::damaged(name, "not a UUID"))
}

/// A column that holds a SID.
pub(crate) fn col_sid(row: &AnyRow, name: &str) -> Result<Sid> {
    let text: String = col(row, name)?;
    text.parse()
        .map_err(|_| DirectoryError::damaged(name, "not a SID"))
}

/// A column that holds a word of a fixed set.
pub(crate) fn col_word<T>(
    row: &AnyRow,
    name: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<T> {
    let text: String = col(row, name)?;
    parse(&text).ok_or_else(|| DirectoryError::damaged(name, "an unknown word"))
}

/// A column that holds names joined by commas.
pub(crate) fn col_names(row: &AnyRow, name: &str) -> Result<Vec<String>> {
    let text: String = col(row, name)?;
    Ok(text
        .split(',')
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect())
}

pub(crate) fn tenant_blob(tenant: TenantId) -> Vec<u8> {
    tenant.as_bytes().to_vec()
}

pub(crate) fn uuid_blob(uuid: Uuid) -> Vec<u8> {
    uuid.as_bytes().to_vec()
}

/// Whether a statement failed because a value that must be unique is taken.
pub(crate) fn is_taken(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|error| error.is_unique_violation())
}
