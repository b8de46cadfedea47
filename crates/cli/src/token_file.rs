//! New tokens in files: for their owner alone, and never a token that nobody has.

use crate::failure::Failure;
use crossrealm_api::{ClientError, SecretText};
use crossrealm_os::file::replace;
use std::path::Path;
use zeroize::Zeroizing;

/// Writes a new token to a file for its owner alone. Where that fails the token is lost, and `revoke` revokes it.
pub(crate) async fn write_or_revoke(
    token: &SecretText,
    path: &Path,
    revoke: impl Future<Output = Result<(), ClientError>>,
) -> Result<(), Failure> {
    let line = Zeroizing::new(format!("{}\n", token.expose()));
    let Err(error) = replace(path, line.as_bytes(), 0o600) else {
        return Ok(());
    };
    revoke.await?;
    Err(Failure::new(format!(
        "cannot write the token to `{}`: {error}; the token was revoked",
        path.display()
    )))
}
