//! Files that somebody else wrote, read up to a limit.

use crate::error::ProbeError;
use std::io::Read;
use std::path::Path;

/// A bundle of public authorities has some 200 KiB.
pub(crate) const MAX_CA_BYTES: usize = 1 << 20;

/// A file, up to `limit` bytes.
pub(crate) fn read_bounded(path: &Path, limit: usize) -> Result<Vec<u8>, ProbeError> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    std::fs::File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .map_err(|error| ProbeError::file(path, error))?;
    Ok(bytes)
}
