//! Random bytes of the operating system.

use uuid::Uuid;

/// The operating system's random generator failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no random bytes: {0}")]
pub struct RandomError(getrandom::Error);

/// Fills `bytes` from the operating system's generator.
pub(crate) fn random(bytes: &mut [u8]) -> Result<(), RandomError> {
    getrandom::fill(bytes).map_err(RandomError)
}

/// A random number.
pub(crate) fn random_number() -> Result<i64, RandomError> {
    let mut bytes = [0; 8];
    random(&mut bytes)?;
    Ok(i64::from_be_bytes(bytes))
}

/// A random UUID.
pub(crate) fn random_uuid() -> Result<Uuid, RandomError> {
    let mut bytes = [0; 16];
    random(&mut bytes)?;
    Ok(uuid::Builder::from_random_bytes(bytes).into_uuid())
}
