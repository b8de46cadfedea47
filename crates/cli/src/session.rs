//! The session of `crossrealm login`: one file per service below the user's configuration directory, readable by the user
//! alone. Its token expires by itself.

use crate::failure::Failure;
use crate::input_file::read_bounded;
use crossrealm_api::{SecretText, Session};
use crossrealm_os::clock::now_s;
use crossrealm_os::file;
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use zeroize::Zeroizing;

const MAX_FILE_BYTES: usize = 16 * 1024;

/// The content of the session file.
#[derive(Serialize, Deserialize)]
struct StoredSession {
    server: String,
    upn: String,
    expires_at: i64,
    token: SecretText,
}

/// Stores a session at the service `server`, replacing an older one. Returns the file.
pub(crate) fn store(server: &str, session: &Session) -> Result<PathBuf, Failure> {
    let path = path(server)?;
    let failed = |error: std::io::Error| {
        Failure::new(format!(
            "cannot write the session file `{}`: {error}",
            path.display()
        ))
    };
    let stored = StoredSession {
        server: server.to_owned(),
        upn: session.upn.clone(),
        expires_at: session.expires_at,
        token: session.token.clone(),
    };
    let text =
        Zeroizing::new(serde_json::to_vec(&stored).map_err(|error| {
            Failure::new(format!("cannot encode the session as JSON: {error}"))
        })?);
    if let Some(folder) = path.parent() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(failed)?;
    }
    file::replace(&path, &text, 0o600).map_err(failed)?;
    Ok(path)
}

/// The token of the session at this service.
pub(crate) fn token(server: &str) -> Result<SecretText, Failure> {
    let path = path(server)?;
    if !path.exists() {
        return Err(Failure::new("no API token").hint(
            "sign in with `crossrealm login`, give `--token-file FILE` or set `CROSSREALM_TOKEN`; `crossrealm init` writes the first token to `admin.token`",
        ));
    }
    let bytes = Zeroizing::new(read_bounded(&path, MAX_FILE_BYTES, "session")?);
    let again = "sign in again with `crossrealm login`";
    let stored: StoredSession = serde_json::from_slice(&bytes).map_err(|_| {
        Failure::new(format!("`{}` is not a session file", path.display())).hint(again)
    })?;
    if stored.server != server {
        let reason = format!(
            "`{}` is a session at the service `{}`",
            path.display(),
            stored.server
        );
        return Err(Failure::new(reason).hint(again));
    }
    if stored.expires_at <= now_s() {
        return Err(
            Failure::new(format!("the session of `{}` has expired", stored.upn)).hint(again),
        );
    }
    Ok(stored.token)
}

/// Deletes the session at this service.
pub(crate) fn delete(server: &str) -> Result<(), Failure> {
    let path = path(server)?;
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Failure::new(format!(
            "cannot remove `{}`: {error}",
            path.display()
        ))),
        _ => Ok(()),
    }
}

/// The file of a service: its address with everything but letters, digits, dots and hyphens replaced.
fn path(server: &str) -> Result<PathBuf, Failure> {
    let folder = folder().ok_or_else(|| {
        Failure::new("no directory for the session")
            .hint("set `XDG_CONFIG_HOME` or `HOME`, or give a token in `CROSSREALM_TOKEN`")
    })?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let name: String = server
        .trim_start_matches("https://")
        .trim_end_matches('/')
        .chars()
        .map(|c| if plain(c) { c } else { '_' })
        .take(200)
        .collect();
    Ok(folder
        .join("crossrealm")
        .join(format!("session-{name}.json")))
}

/// The user's configuration directory (XDG Base Directory Specification).
fn folder() -> Option<PathBuf> {
    let set = |name: &str| {
        let path = PathBuf::from(std::env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))
}
