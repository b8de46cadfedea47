//! Files of the host's state: replaced in one step, readable by root only.

use crate::error::FilesError;
use std::path::Path;

/// Puts `bytes` in the place of the file, so that no reader and no crash ever meets half of it.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), FilesError> {
    crossrealm_os::file::replace(path, bytes, 0o600)
        .map_err(|error| FilesError::file("write", path, &error))
}
