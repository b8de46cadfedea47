//! Files of the host's state: replaced in one step, readable by root only.

use crate::error::FilesError;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Puts `bytes` in the place of the file, so that no reader and no crash ever meets half of it.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), FilesError> {
    let fresh = path.with_extension("new");
    // What an interrupted run left is in the way of `create_new`, which keeps the mode ours.
    let _ = fs::remove_file(&fresh);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&fresh)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&fresh, path))
        .map_err(|error| FilesError::file("write", path, &error))
}
