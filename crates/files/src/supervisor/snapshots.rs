//! The snapshots of shares, which users see as previous versions. The host neither creates nor deletes any.

use crate::error::FilesError;
use crate::paths::HostPaths;
use crate::smbconf::SNAPSHOT_FORMAT;
use crate::tools;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tracing::warn;

/// A name of the form [`SNAPSHOT_FORMAT`]; `0` stands for any digit.
const EXAMPLE: &[u8] = b"@GMT-0000.00.00-00.00.00";

/// The directory with the snapshots of an account's shares: those of share `s` are in `DIRECTORY/ACCOUNT/s/`, the name in
/// lower case.
///
/// # Errors
///
/// [`FilesError::BadSnapshots`] for a directory that does not exist, that local users can enter, that overlaps the shares, or
/// that smbd cannot read as a user; [`FilesError::MissingFile`] where Samba's module is not installed.
pub(super) fn check(
    directory: &Path,
    account: &str,
    paths: &HostPaths,
) -> Result<PathBuf, FilesError> {
    let (file, package) = ("samba/vfs/shadow_copy2.so", "samba-vfs-modules");
    if !tools::has_library(file) {
        return Err(FilesError::MissingFile { file, package });
    }
    let own = directory.join(account);
    let bad = |path: &Path, reason: &str, hint: String| FilesError::BadSnapshots {
        path: path.to_owned(),
        reason: reason.to_owned(),
        hint,
    };
    for path in [directory, &own] {
        let meta = fs::symlink_metadata(path).map_err(|error| {
            let hint = format!(
                "create it: `install -d -m 700 {0}; install -d -m 755 {0}/{account}`",
                directory.display()
            );
            bad(path, &error.to_string(), hint)
        })?;
        if !meta.is_dir() {
            return Err(bad(
                path,
                "it is not a directory",
                "give the directory itself".into(),
            ));
        }
    }
    let (parent_mode, own_mode) = (mode(directory)?, mode(&own)?);
    if parent_mode & 0o077 != 0 {
        let hint = format!("run `chmod 700 {}`", directory.display());
        return Err(bad(
            directory,
            "local users can enter it, and could then read the snapshots",
            hint,
        ));
    }
    if own_mode & 0o005 != 0o005 {
        let hint = format!(
            "run `chmod 755 {}`; the directory above it excludes local users",
            own.display()
        );
        return Err(bad(&own, "smbd cannot read it as a user", hint));
    }
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let (snapshots, shares) = (real(&own), real(&paths.shares));
    if snapshots.starts_with(&shares) || shares.starts_with(&snapshots) {
        let hint = "choose a directory outside the data directory".into();
        return Err(bad(&own, "it overlaps the files of the shares", hint));
    }
    warn_of_other_names(&own);
    Ok(own)
}

fn mode(path: &Path) -> Result<u32, FilesError> {
    fs::metadata(path)
        .map(|meta| meta.mode())
        .map_err(|error| FilesError::file("read", path, &error))
}

/// Samba ignores other names silently.
fn warn_of_other_names(own: &Path) {
    for share in fs::read_dir(own).into_iter().flatten().flatten() {
        let entries = fs::read_dir(share.path()).into_iter().flatten().flatten();
        let other = entries
            .map(|entry| entry.file_name())
            .find(|name| !is_snapshot(name.as_encoded_bytes()));
        if let Some(name) = other {
            warn!(
                "`{}` is not shown as a previous version: snapshots are named by their time in UTC, `{SNAPSHOT_FORMAT}`",
                share.path().join(name).display()
            );
        }
    }
}

fn is_snapshot(name: &[u8]) -> bool {
    name.len() == EXAMPLE.len()
        && name.iter().zip(EXAMPLE).all(|(own, form)| match form {
            b'0' => own.is_ascii_digit(),
            form => own == form,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_named_by_its_time() {
        assert!(is_snapshot(b"@GMT-2026.11.22-21.30.05"));
        for bad in [
            "",
            "@GMT-2026.11.22",
            "@GMT-2026-11-22-21.30.05",
            "daily.0",
            "@GMT-2026.11.22-21.30.05x",
        ] {
            assert!(!is_snapshot(bad.as_bytes()), "{bad}");
        }
    }
}
