//! Where the snapshots of shares are, which users see as previous versions. The host makes none and deletes none.

use crate::error::FilesError;
use crate::places::Places;
use crate::tools;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tracing::warn;

/// How Samba's `shadow_copy2` wants a snapshot to be called: by the time in UTC at which it was made, `strftime(3)`.
pub(crate) const FORMAT: &str = "@GMT-%Y.%m.%d-%H.%M.%S";
/// A name of that form; `0` stands for any digit.
const EXAMPLE: &[u8] = b"@GMT-0000.00.00-00.00.00";

/// The folder below `folder` with the snapshots of an account's shares: those of share `s` are in `FOLDER/ACCOUNT/s/`.
///
/// # Errors
///
/// [`FilesError::BadSnapshots`] for a folder that is not there, that local users could enter, that users' files are in, or
/// that smbd could not read as a user; and the missing part of Samba.
pub(crate) fn check(folder: &Path, account: &str, places: &Places) -> Result<PathBuf, FilesError> {
    let (file, package) = ("samba/vfs/shadow_copy2.so", "samba-vfs-modules");
    if !tools::has_library(file) {
        return Err(FilesError::MissingFile { file, package });
    }
    let own = folder.join(account);
    let bad = |path: &Path, reason: &str, hint: String| FilesError::BadSnapshots {
        path: path.to_owned(),
        reason: reason.to_owned(),
        hint,
    };
    for path in [folder, &own] {
        let meta = fs::symlink_metadata(path).map_err(|error| {
            let hint = format!(
                "make it: `install -d -m 700 {0}; install -d -m 755 {0}/{account}`",
                folder.display()
            );
            bad(path, &error.to_string(), hint)
        })?;
        if !meta.is_dir() {
            return Err(bad(
                path,
                "it is no folder",
                "name the folder itself by `--snapshots`".into(),
            ));
        }
    }
    let (outer, inner) = (mode(folder)?, mode(&own)?);
    if outer & 0o077 != 0 {
        let hint = format!("close it: `chmod 700 {}`", folder.display());
        return Err(bad(
            folder,
            "local users can enter it, and snapshots are open to whoever does",
            hint,
        ));
    }
    if inner & 0o005 != 0o005 {
        let hint = format!(
            "open it: `chmod 755 {}`; the folder above keeps local users out",
            own.display()
        );
        return Err(bad(&own, "smbd cannot read it as the user", hint));
    }
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let (snapshots, shares) = (real(&own), real(&places.shares));
    if snapshots.starts_with(&shares) || shares.starts_with(&snapshots) {
        let hint = "choose a folder beside that of the data".into();
        return Err(bad(&own, "the files of the shares are there", hint));
    }
    warn_of_other_names(&own);
    Ok(own)
}

fn mode(path: &Path) -> Result<u32, FilesError> {
    fs::metadata(path)
        .map(|meta| meta.mode())
        .map_err(|error| FilesError::file("read", path, &error))
}

/// Samba passes over what is called otherwise, and nobody would know why.
fn warn_of_other_names(own: &Path) {
    for share in fs::read_dir(own).into_iter().flatten().flatten() {
        let entries = fs::read_dir(share.path()).into_iter().flatten().flatten();
        let other = entries
            .map(|entry| entry.file_name())
            .find(|name| !is_snapshot(name.as_encoded_bytes()));
        if let Some(name) = other {
            warn!(
                "`{}` is not shown as a previous version: snapshots are called by their time in UTC, `{FORMAT}`",
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
    fn a_snapshot_is_called_by_its_time() {
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
