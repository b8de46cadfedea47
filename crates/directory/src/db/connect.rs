//! Connecting to a database, checking what it holds and migrating it to this program's schema; with errors that say why
//! it cannot be used.

use crate::db::columns::col;
use crate::db::dialect::Dialect;
use crate::db::file;
use crate::db::statement::sql;
use crate::db::url::{PASSWORD_HINT, StoreUrl, shown_store_url};
use crate::error::{DirectoryError, Result};
use crate::sealing::master_key::MasterKey;
use crate::store_fault::StoreFault;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{AnyConnection, Connection, Executor};
use std::cmp::Ordering;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout_at};

static SQLITE_MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES_MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// How long to wait for a server that does not answer yet: it may be starting together with this machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// The delay before the next attempt.
const BREATH: Duration = Duration::from_millis(250);

/// Counts what the database holds: tables and views, and among them those that identify this program's schema.
const HOLDS_SQLITE: &str =
    "SELECT COUNT(*) AS things, COUNT(*) FILTER (WHERE name = '_sqlx_migrations') AS marks,
    COUNT(*) FILTER (WHERE name = 'meta') AS metas, 'UTF8' AS encoding, 1 AS may_create
    FROM sqlite_master WHERE type IN ('table', 'view')";
const HOLDS_POSTGRES: &str = "SELECT COUNT(*) AS things, COUNT(*) FILTER (WHERE c.relname = '_sqlx_migrations') AS marks,
    COUNT(*) FILTER (WHERE c.relname = 'meta') AS metas, current_setting('server_encoding') AS encoding,
    CASE WHEN has_schema_privilege(current_schema(), 'CREATE') THEN 1 ELSE 0 END AS may_create
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p', 'v', 'm', 'f')";

/// A database that has this program's schema, and how to connect to it again.
pub(crate) struct Opened {
    pub(crate) dialect: Dialect,
    /// Never logged or shown.
    pub(crate) connect_url: String,
    /// The file of a SQLite database.
    pub(crate) path: Option<PathBuf>,
}

/// What a database holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    Nothing,
    Directory,
}

/// What a database is opened for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A new installation: nothing is there, not even the file.
    Create,
    /// An installation that is there. Where there is none, none is made: an empty database in the place of a full one would
    /// be a new, empty service.
    Use,
    /// The same, to look at it beside a service that may use it.
    Check,
}

/// Opens the database and migrates it to this program's schema. Creates the file for a new installation. On a disk without space
/// it is opened with the space that was kept back, so that tickets are issued until that is used up, and `/readyz` says why.
pub(crate) async fn open(url: &str, purpose: Purpose) -> Result<Opened> {
    let path = match StoreUrl::parse(url) {
        Ok(StoreUrl::Sqlite(path)) if purpose != Purpose::Check => PathBuf::from(path),
        _ => return open_once(url, purpose).await,
    };
    match open_once(url, purpose).await {
        Ok(opened) => {
            file::keep_reserve(&path);
            Ok(opened)
        }
        Err(error)
            if purpose == Purpose::Use
                && file::is_without_space(&path)
                && file::release_reserve(&path) =>
        {
            tracing::error!(
                %error,
                hint = "free space on its disk: what was kept back is soon used up",
                "the disk of the database is full; it is opened with the space that was kept back"
            );
            open_once(url, purpose).await
        }
        refused => refused,
    }
}

async fn open_once(url: &str, purpose: Purpose) -> Result<Opened> {
    let (opened, mut conn) = connect(url, purpose).await?;
    let found = content(url, opened.dialect, &mut conn).await?;
    match (purpose, found) {
        (Purpose::Use | Purpose::Check, Content::Nothing) => return Err(empty(url)),
        (Purpose::Create, Content::Directory) => return Err(in_use(url)),
        (Purpose::Create, Content::Nothing)
        | (Purpose::Use | Purpose::Check, Content::Directory) => {}
    }
    // No timeout: a migration may take long, and another node that starts meanwhile waits for it.
    let migrations = migrations_of(opened.dialect);
    let run = migrations.run(&mut conn).await;
    run.map_err(|error| cannot_migrate(url, migrations, &error))?;
    let _ = conn.close().await;
    Ok(opened)
}

/// Checks that a PostgreSQL database can be used and is empty, before a new installation writes anything. A SQLite file
/// is not touched.
///
/// # Errors
///
/// [`DirectoryError::Open`] where it cannot be used, [`DirectoryError::StoreInUse`] where it holds a directory.
pub async fn check_new_store(url: &str) -> Result<()> {
    if !matches!(StoreUrl::parse(url), Ok(StoreUrl::Postgres(_))) {
        return Ok(());
    }
    let (opened, mut conn) = connect(url, Purpose::Create).await?;
    let found = content(url, opened.dialect, &mut conn).await?;
    let _ = conn.close().await;
    match found {
        Content::Nothing => Ok(()),
        Content::Directory => Err(in_use(url)),
    }
}

/// How the schema of a database compares with this program's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaAge {
    /// It is the same.
    Current,
    /// It is migrated when the database is opened.
    Older,
}

/// Checks that the database holds an installation of this master key and that its schema is not newer than this program, without
/// a change to it; the service may be running.
///
/// # Errors
///
/// [`DirectoryError`] as [`Directory::open`](crate::Directory::open) would return it.
pub async fn check_store(url: &str, key: &MasterKey) -> Result<SchemaAge> {
    let (opened, mut conn) = connect(url, Purpose::Check).await?;
    let found = content(url, opened.dialect, &mut conn).await?;
    if found == Content::Nothing {
        return Err(empty(url));
    }
    let unreadable = |error| cannot_open(url, &error);
    let row = sql("SELECT MAX(version) AS version FROM _sqlx_migrations");
    let row = row.fetch_one(&mut conn).await.map_err(unreadable)?;
    let version: i64 = col(&row, "version")?;
    let row = sql("SELECT value FROM meta WHERE name = 'master_key_id'");
    let row = row.fetch_one(&mut conn).await.map_err(unreadable)?;
    let id: Vec<u8> = col(&row, "value")?;
    let _ = conn.close().await;
    key.check_id(&String::from_utf8_lossy(&id))?;
    let migrations = migrations_of(opened.dialect);
    let newest = newest_of(migrations);
    match version.cmp(&newest) {
        Ordering::Less => Ok(SchemaAge::Older),
        Ordering::Equal => Ok(SchemaAge::Current),
        Ordering::Greater => {
            let newer = MigrateError::VersionMissing(version);
            Err(cannot_migrate(url, migrations, &newer))
        }
    }
}

fn migrations_of(dialect: Dialect) -> &'static Migrator {
    match dialect {
        Dialect::Sqlite => &SQLITE_MIGRATIONS,
        Dialect::Postgres => &POSTGRES_MIGRATIONS,
    }
}

fn newest_of(migrations: &Migrator) -> i64 {
    migrations
        .iter()
        .map(|m| m.version)
        .max()
        .unwrap_or_default()
}

pub(crate) fn in_use(url: &str) -> DirectoryError {
    DirectoryError::StoreInUse {
        url: shown_store_url(url),
    }
}

pub(crate) fn empty(url: &str) -> DirectoryError {
    DirectoryError::StoreEmpty {
        url: shown_store_url(url),
    }
}

async fn connect(url: &str, purpose: Purpose) -> Result<(Opened, AnyConnection)> {
    let opened = match StoreUrl::parse(url).map_err(|reason| failed(url, reason, None))? {
        StoreUrl::Postgres(connect_url) => Opened {
            dialect: Dialect::Postgres,
            connect_url,
            path: None,
        },
        StoreUrl::Sqlite(path) => {
            if purpose == Purpose::Create {
                make_private_file(Path::new(&path))
                    .map_err(|error| cannot_open_file(url, Path::new(&path), &error.into()))?;
            }
            Opened {
                dialect: Dialect::Sqlite,
                connect_url: file::url_of(Path::new(&path)),
                path: Some(path.into()),
            }
        }
    };
    sqlx::any::install_default_drivers();
    if let (Some(path), Purpose::Use) = (&opened.path, purpose)
        && let Some(verdict) = file::after_unclean_end(path)
            .await
            .map_err(|error| cannot_open(url, &error))?
    {
        return Err(foreign_log(url, path, &verdict));
    }
    let deadline = Instant::now() + PATIENCE;
    let mut conn = loop {
        match timeout_at(deadline, AnyConnection::connect(&opened.connect_url)).await {
            Ok(Ok(conn)) => break conn,
            Ok(Err(error)) if is_starting(&error) && Instant::now() + BREATH < deadline => {
                sleep(BREATH).await;
            }
            Ok(Err(error)) => return Err(cannot_open(url, &error)),
            Err(_) => return Err(cannot_open(url, &sqlx::Error::PoolTimedOut)),
        }
    };
    for statement in opened.dialect.first() {
        let done = conn.execute(*statement).await;
        done.map_err(|error| cannot_open(url, &error))?;
    }
    Ok((opened, conn))
}

/// The database and the write-ahead log beside it do not belong together, or one of them is damaged.
fn foreign_log(url: &str, path: &Path, verdict: &str) -> DirectoryError {
    let path = path.display();
    failed(
        url,
        format!(
            "with its write-ahead log `{path}-wal` it is not sound ({verdict}); nothing was changed"
        ),
        Some(
            "if a backup was copied there: copy it there again and remove the files `-wal` and `-shm` beside it, which belong to the database before; otherwise restore a backup, as the page *Back up and restore* of the guide shows",
        ),
    )
}

/// Whether a server may only not be there yet.
fn is_starting(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => matches!(
            error.kind(),
            ErrorKind::ConnectionRefused | ErrorKind::NotFound | ErrorKind::ConnectionReset
        ),
        sqlx::Error::Database(error) => error.code().as_deref() == Some("57P03"),
        _ => false,
    }
}

/// Checks what the database holds, and refuses what is not this program's.
async fn content(url: &str, dialect: Dialect, conn: &mut AnyConnection) -> Result<Content> {
    let statement = match dialect {
        Dialect::Sqlite => HOLDS_SQLITE,
        Dialect::Postgres => HOLDS_POSTGRES,
    };
    let row = sql(statement).fetch_one(conn).await;
    let row = row.map_err(|error| cannot_open(url, &error))?;
    let number = |name| col::<i64>(&row, name);
    let (things, marks, metas) = (number("things")?, number("marks")?, number("metas")?);
    let encoding: String = col(&row, "encoding")?;
    if encoding != "UTF8" {
        let hint = "create one with `createdb --encoding UTF8 --template template0 …`";
        return Err(failed(
            url,
            format!("its encoding is {encoding}, not UTF8"),
            Some(hint),
        ));
    }
    if things > marks && (marks == 0 || metas == 0) {
        let reason = "it holds tables of another program; nothing was changed".into();
        return Err(failed(
            url,
            reason,
            Some("give Crossrealm a database of its own"),
        ));
    }
    if things == 0 && number("may_create")? == 0 {
        let reason = "its user may not create tables in it".into();
        return Err(failed(url, reason, Some(RIGHTS_HINT)));
    }
    Ok(match things > marks {
        true => Content::Directory,
        false => Content::Nothing,
    })
}

const RIGHTS_HINT: &str = "the user must own the database: `createdb --owner crossrealm crossrealm`, or `ALTER DATABASE … OWNER TO …`";

fn failed(url: &str, reason: String, hint: Option<&str>) -> DirectoryError {
    DirectoryError::Open {
        url: shown_store_url(url),
        reason,
        hint: hint.map(str::to_owned),
    }
}

/// Why a database could not be connected to, and what to do. No message of a server holds a password.
pub(crate) fn cannot_open(url: &str, error: &sqlx::Error) -> DirectoryError {
    if let Ok(StoreUrl::Sqlite(path)) = StoreUrl::parse(url) {
        return cannot_open_file(url, Path::new(&path), error);
    }
    let (reason, hint) = match error {
        sqlx::Error::Database(refusal) => {
            let hint = match refusal.code().as_deref() {
                Some("28P01" | "28000") => Some(PASSWORD_HINT),
                Some("3D000") => Some("create it: `createdb --owner crossrealm crossrealm`"),
                Some("42501" | "3F000") => Some(RIGHTS_HINT),
                Some("25006") => Some("this is a standby; the store must be the primary"),
                Some("53300") => Some(
                    "each node takes up to 13 connections: raise `max_connections` of the server",
                ),
                Some("57P03") => Some("the server is starting or stopping; try again later"),
                _ => None,
            };
            (refusal.message().to_owned(), hint)
        }
        // What is wrong with a certificate comes as invalid data.
        sqlx::Error::Io(error) if error.kind() == ErrorKind::InvalidData => not_proven(error),
        sqlx::Error::Tls(error) => not_proven(error),
        sqlx::Error::Io(error) => (
            format!("the server cannot be reached: {error}"),
            Some(
                "start PostgreSQL, or correct the host, port or socket folder in the URL; `serve` waits 10 s for it and then exits; let its supervisor restart it",
            ),
        ),
        sqlx::Error::PoolTimedOut => (
            "it did not answer within 10 s".to_owned(),
            Some("check that the server responds, and that no firewall drops the packets"),
        ),
        other => (other.to_string(), None),
    };
    failed(url, reason, hint)
}

/// The same for the file of a SQLite database, of which SQLite often says no more than that it cannot be opened.
fn cannot_open_file(url: &str, path: &Path, error: &sqlx::Error) -> DirectoryError {
    if let Some((obstacle, error)) = file::obstacle(path) {
        let reason = format!("`{}`: {error}", obstacle.display());
        return failed(url, reason, Some(file::step_around(error.kind())));
    }
    let (reason, is_refused) = match error {
        sqlx::Error::Database(refusal) => (
            refusal.message().to_owned(),
            refusal.code().as_deref() == Some(file::CANNOT_OPEN),
        ),
        other => (other.to_string(), false),
    };
    let hint = match StoreFault::of(error) {
        _ if file::is_without_space(path) => "free space on its disk",
        _ if is_refused => file::step_around(ErrorKind::PermissionDenied),
        Some(StoreFault::ReadOnly) => file::step_around(ErrorKind::ReadOnlyFilesystem),
        Some(StoreFault::Busy) => {
            "another program keeps the file locked: stop it; several nodes need PostgreSQL"
        }
        Some(StoreFault::Damaged) => {
            "it is damaged or no database: restore your backup, or correct `store` in the configuration"
        }
        _ => file::step_around(ErrorKind::Other),
    };
    failed(url, reason, Some(hint))
}

fn not_proven(error: &dyn std::fmt::Display) -> (String, Option<&'static str>) {
    (
        format!("cannot make an authenticated TLS connection: {error}"),
        Some(
            "the server needs `ssl = on` and a certificate for the host name in the URL; `sslrootcert=/FILE` names the authority that signed it, unless that is a public one",
        ),
    )
}

fn cannot_migrate(url: &str, known: &Migrator, error: &MigrateError) -> DirectoryError {
    let newest = newest_of(known);
    match error {
        MigrateError::VersionMissing(version) if *version > newest => failed(
            url,
            format!(
                "its schema {version} is newer than this program, which knows {newest}; nothing was changed"
            ),
            Some(
                "run the newer `crossrealm`, or restore the backup from before the upgrade: a schema cannot be downgraded",
            ),
        ),
        MigrateError::VersionMissing(version) | MigrateError::VersionMismatch(version) => failed(
            url,
            format!("its schema {version} was not created by this program; nothing was changed"),
            Some("restore the backup, or run the program that created it"),
        ),
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            match cannot_open(url, error) {
                DirectoryError::Open { url, reason, hint } => DirectoryError::Open {
                    url,
                    reason: format!("cannot migrate its schema: {reason}"),
                    hint,
                },
                other => other,
            }
        }
        other => failed(url, format!("cannot migrate its schema: {other}"), None),
    }
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
