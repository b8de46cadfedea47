//! The file of a SQLite database: whether it is still the one that was opened, and whether it is sound after an unclean end.

use crate::db::columns::col;
use crate::db::statement::sql;
use crate::error::{DirectoryError, Result};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sqlx::{AnyConnection, Connection as _};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The file that was opened. It is looked at by its path alone: closing another handle on it would end SQLite's own locks
/// (`fcntl` locks belong to the process).
pub(crate) struct StoreFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl StoreFile {
    /// The file at this path now.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            identity: identity(path)?,
        })
    }

    /// Refuses to go on where the path leads to another file, or to none: what is written goes to a file that nobody will
    /// open again.
    pub(crate) fn check(&self) -> Result<()> {
        match identity(&self.path) {
            Ok(found) if found == self.identity => Ok(()),
            _ => Err(self.replaced()),
        }
    }

    /// The same for the write-ahead log, right after something was written into it.
    pub(crate) fn check_log(&self) -> Result<()> {
        match log_of(&self.path).exists() {
            true => Ok(()),
            false => Err(self.replaced()),
        }
    }

    fn replaced(&self) -> DirectoryError {
        DirectoryError::StoreReplaced {
            path: self.path.clone(),
        }
    }
}

/// What a path keeps in a URL: unreserved characters and the slashes between directories.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'/');

/// The URL of a file, for the driver.
pub(crate) fn url_of(path: &Path) -> String {
    let path = path.to_string_lossy();
    format!("sqlite://{}", utf8_percent_encode(&path, RESERVED))
}

/// Device and inode.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::metadata(path)?;
    Ok((found.dev(), found.ino()))
}

/// The write-ahead log of a database.
fn log_of(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    PathBuf::from(log)
}

/// Checks a database whose write-ahead log was left behind, before anything opens it for writing: a log that belongs to another
/// file, as after a backup was copied over the database alone, would be written into it. The connection that checks cannot
/// write. Returns what is wrong, if anything is.
pub(crate) async fn after_unclean_end(path: &Path) -> sqlx::Result<Option<String>> {
    match fs::metadata(log_of(path)) {
        Ok(log) if log.len() > 0 => {}
        _ => return Ok(None),
    }
    let url = format!("{}?mode=ro", url_of(path));
    let mut conn = AnyConnection::connect(&url).await?;
    let verdict = verdict(&mut conn).await;
    let _ = conn.close().await;
    match verdict {
        Ok(verdict) if verdict == "ok" => Ok(None),
        Ok(verdict) => Ok(Some(verdict)),
        Err(error) => Ok(Some(error.to_string())),
    }
}

/// `ok`, or the first thing that is wrong with the pages, the rows or the indexes.
async fn verdict(conn: &mut AnyConnection) -> Result<String> {
    let row = sql("PRAGMA integrity_check(1)").fetch_one(conn).await?;
    col(&row, "integrity_check")
}
