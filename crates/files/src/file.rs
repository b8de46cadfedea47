//! Files of the host's state, readable by root only.

use crate::error::FilesError;
use std::path::Path;

/// Replaces a file atomically.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), FilesError> {
    crossrealm_os::file::replace(path, bytes, 0o600)
        .map_err(|error| FilesError::file("write", path, &error))
}
