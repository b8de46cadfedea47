//! The file of a SQLite database: whether it is still the one that was opened, and whether it is sound after an unclean end.

use crate::db::columns::col;
use crate::db::statement::sql;
use crate::error::{DirectoryError, Result};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sqlx::{AnyConnection, Connection as _};
use std::fs;
use std::io::Write as _;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
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

/// SQLITE_CANTOPEN.
pub(crate) const CANNOT_OPEN: &str = "14";

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

/// What is kept back on the disk of a database, in bytes: enough for what SQLite makes beside it, and for some changes.
const RESERVE: usize = 1 << 20;

/// What must be free for SQLite to open a database, in bytes.
const NEEDED: usize = 64 << 10;

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Writes a file that others cannot read, or none.
fn fill(path: &Path, len: usize) -> io::Result<()> {
    let written = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| {
            // Written and not only claimed: a file with a hole takes no space.
            file.write_all(&vec![0xC5; len])?;
            file.sync_all()
        });
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

/// Whether the disk of a database has no space for what SQLite makes beside it.
pub(crate) fn is_without_space(path: &Path) -> bool {
    let probe = beside(path, "-probe");
    let written = fill(&probe, NEEDED);
    let _ = fs::remove_file(&probe);
    written.is_err_and(|error| {
        matches!(
            error.kind(),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded
        )
    })
}

/// Keeps space back beside a database, where there is enough: without any, SQLite cannot make the files that it needs even to
/// read, and the service would not start.
pub(crate) fn keep_reserve(path: &Path) {
    let reserve = beside(path, "-reserve");
    if fs::metadata(&reserve).is_ok_and(|kept| kept.len() == RESERVE as u64) {
        return;
    }
    if let Err(error) = fill(&reserve, RESERVE) {
        tracing::debug!(%error, "no space is kept back beside the database");
    }
}

/// Frees the space that was kept back. Returns whether there was any.
pub(crate) fn release_reserve(path: &Path) -> bool {
    fs::remove_file(beside(path, "-reserve")).is_ok()
}

/// What keeps the file of a database from being opened, and why: the file, or the first folder above it that is missing or
/// closed; `None` where it can be opened. Only for a database that this process has not opened: see [`StoreFile`].
pub(crate) fn obstacle(path: &Path) -> Option<(PathBuf, io::Error)> {
    let mut folders: Vec<&Path> = path.ancestors().skip(1).collect();
    folders.retain(|folder| !folder.as_os_str().is_empty());
    let blocked = folders.into_iter().rev().find_map(|folder| {
        let error = fs::metadata(folder).err()?;
        Some((folder.to_owned(), error))
    });
    blocked.or_else(|| {
        let opened = fs::OpenOptions::new().read(true).write(true).open(path);
        opened.err().map(|error| (path.to_owned(), error))
    })
}

/// The next step after a file that cannot be opened.
pub(crate) fn step_around(obstacle: ErrorKind) -> &'static str {
    match obstacle {
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            "see that its disk is mounted, or correct `store` in the configuration; if the file is gone, restore your backup"
        }
        ErrorKind::PermissionDenied => {
            "let the user that runs the service read and write the file and its folder, in which SQLite makes two more files, and enter the folders above"
        }
        ErrorKind::IsADirectory => "`store` in the configuration must name a file",
        ErrorKind::ReadOnlyFilesystem => {
            "file and folder must be writable: mount the file system for writing"
        }
        _ => {
            "check its disk, and what the kernel logs of it; if the file cannot be read any more, restore your backup"
        }
    }
}

/// The write-ahead log of a database.
fn log_of(path: &Path) -> PathBuf {
    beside(path, "-wal")
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
