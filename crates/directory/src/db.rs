//! How this crate speaks to its database: connections, transactions, and the small conversions between rows and values.
//!
//! Statements keep to what SQLite and PostgreSQL both understand: numbered parameters, `ON CONFLICT`, `WITH RECURSIVE`,
//! 64-bit integers, text and bytes. What differs between the two lives in the migrations and in this file.

use crate::error::{DirectoryError, Kind};
use crate::{Result, Uuid};
use crossrealm_kdc::TenantId;
use crossrealm_krb::sid::Sid;
use sqlx::any::{AnyArguments, AnyPoolOptions, AnyRow};
use sqlx::migrate::Migrator;
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AnyPool, AssertSqlSafe, Decode, Executor, Row, Type};
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

static SQLITE_MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES_MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

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
enum Dialect {
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
    /// What each connection is told before it is used.
    fn every(self) -> &'static [&'static str] {
        match self {
            Self::Sqlite => &["PRAGMA busy_timeout = 10000", "PRAGMA foreign_keys = ON"],
            Self::Postgres => &["SET lock_timeout = '10s'"],
        }
    }

    fn writer(self) -> &'static [&'static str] {
        match self {
            Self::Sqlite => &["PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL"],
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
        let failed = |reason: String| DirectoryError::Open {
            url: without_password(url),
            reason,
        };
        let (dialect, connect_url) = dialect_of(url).map_err(failed)?;
        sqlx::any::install_default_drivers();
        let (writer_count, migrations) = match dialect {
            Dialect::Sqlite => (1, &SQLITE_MIGRATIONS),
            Dialect::Postgres => (WRITERS, &POSTGRES_MIGRATIONS),
        };
        let writers = pool_options(dialect, writer_count, dialect.writer())
            .connect(&connect_url)
            .await
            .map_err(|error| failed(error.to_string()))?;
        migrations
            .run(&writers)
            .await
            .map_err(|error| failed(format!("its schema cannot be brought up to date: {error}")))?;
        let readers = pool_options(dialect, READERS, dialect.reader())
            .connect(&connect_url)
            .await
            .map_err(|error| failed(error.to_string()))?;
        Ok(Self {
            dialect,
            writers,
            readers,
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

/// The database that a URL means, and the URL to connect to it with.
fn dialect_of(url: &str) -> std::result::Result<(Dialect, String), String> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return match cfg!(feature = "postgres") {
            true => Ok((Dialect::Postgres, url.to_owned())),
            false => Err("this program was built without PostgreSQL".to_owned()),
        };
    }
    let path = url
        .strip_prefix("sqlite://")
        .or_else(|| url.strip_prefix("sqlite:"))
        .filter(|path| !path.is_empty() && !path.contains('\0'))
        .ok_or("expected `sqlite:` and the path of a file, or `postgres://host/database`")?;
    make_private_file(Path::new(path)).map_err(|error| error.to_string())?;
    Ok((
        Dialect::Sqlite,
        format!("sqlite://{}", percent_encoded(path)),
    ))
}

/// A URL as it may be shown: without the user and password in front of the host.
fn without_password(url: &str) -> String {
    match (url.split_once("://"), url.starts_with("sqlite:")) {
        (Some((scheme, rest)), false) => {
            let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
            let host = host.split('?').next().unwrap_or_default();
            format!("{scheme}://{host}")
        }
        _ => url.to_owned(),
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
}

/// The database holds sealed keys and the names of people: its owner alone may read it, from the first moment on.
fn make_private_file(path: &Path) -> std::io::Result<()> {
    match OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
    {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn percent_encoded(path: &str) -> String {
    path.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
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
    (first..first + count)
        .map(|n| format!("${n}"))
        .collect::<Vec<_>>()
        .join(",")
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

/// Now, Unix seconds.
pub(crate) fn now_s() -> i64 {
    now_ms() / 1000
}

/// Now, Unix milliseconds.
pub(crate) fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or_default()
}

/// Fills `bytes` from the operating system's generator.
pub(crate) fn random(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|error| DirectoryError::Random(error.to_string()))
}

/// A random UUID.
pub(crate) fn random_uuid() -> Result<Uuid> {
    let mut bytes = [0; 16];
    random(&mut bytes)?;
    Ok(uuid::Builder::from_random_bytes(bytes).into_uuid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_url_has_no_password() {
        for (url, shown) in [
            ("postgres://u:p@db.example/x", "postgres://db.example/x"),
            (
                "postgres://u:p@q@db.example/x?password=p",
                "postgres://db.example/x",
            ),
            ("postgres:///x?host=/run", "postgres:///x"),
            ("sqlite:/var/lib/a@b.db", "sqlite:/var/lib/a@b.db"),
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }
}
