//! Random bytes of the operating system.

use crate::error::{DirectoryError, Result};
use uuid::Uuid;

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
