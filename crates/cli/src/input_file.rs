//! Files that the user names, read up to a limit.

use crate::failure::Failure;
use crossrealm_api::SecretText;
use std::io::Read;
use std::path::Path;
use zeroize::Zeroizing;

/// A bundle of public authorities has some 200 KiB.
pub(crate) const MAX_CA_BYTES: usize = 1 << 20;
/// A token is short; a longer file was given by mistake.
const MAX_TOKEN_BYTES: usize = 4096;

/// The API token in a file.
pub(crate) fn token_in(path: &Path) -> Result<SecretText, Failure> {
    let text = Zeroizing::new(read_bounded(path, MAX_TOKEN_BYTES, "token")?);
    let text = std::str::from_utf8(&text).unwrap_or_default().trim();
    match text {
        "" => Err(Failure::new(format!(
            "the token file `{}` is empty",
            path.display()
        ))),
        token => Ok(SecretText::new(token)),
    }
}

/// The content of a file, up to `limit` bytes; `what` names its kind in errors.
pub(crate) fn read_bounded(path: &Path, limit: usize, what: &str) -> Result<Vec<u8>, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(format!(
            "cannot read the {what} file `{}`: {error}",
            path.display()
        ))
    };
    let mut bytes = Vec::new();
    let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    std::fs::File::open(path)
        .and_then(|file| file.take(bound).read_to_end(&mut bytes))
        .map_err(failed)?;
    if bytes.len() > limit {
        return Err(Failure::new(format!(
            "the {what} file `{}` is larger than {limit} bytes",
            path.display()
        )));
    }
    Ok(bytes)
}
