//! The session of `crossrealm login`: one file per service below the user's configuration directory, readable by the user
//! alone. Its token expires by itself.

use crate::config_dir;
use crate::contexts::address;
use crate::failure::Failure;
use crate::input_file::read_bounded;
use crossrealm_api::{SecretText, Session};
use crossrealm_os::clock::now_s;
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::path::PathBuf;
use zeroize::Zeroizing;

const MAX_FILE_BYTES: usize = 16 * 1024;

/// The content of the session file.
#[derive(Serialize, Deserialize)]
struct StoredSession {
    server: String,
    upn: String,
    /// In Unix seconds; absent for a token that was given, whose end the service alone knows.
    expires_at: Option<i64>,
    token: SecretText,
}

/// Stores a session at the service `server`, replacing an older one. Returns the file.
pub(crate) fn store(server: &str, session: &Session) -> Result<PathBuf, Failure> {
    write(&StoredSession {
        server: server.to_owned(),
        upn: session.upn.clone(),
        expires_at: Some(session.expires_at.unix()),
        token: session.token.clone(),
    })
}

/// Stores a token that was given as the session at the service `server`; `name` is what the service calls its holder.
pub(crate) fn store_token(
    server: &str,
    name: &str,
    token: &SecretText,
) -> Result<PathBuf, Failure> {
    write(&StoredSession {
        server: server.to_owned(),
        upn: name.to_owned(),
        expires_at: None,
        token: token.clone(),
    })
}

fn write(session: &StoredSession) -> Result<PathBuf, Failure> {
    let path = path(&session.server)?;
    let failed = |error| Failure::new(format!("cannot encode the session as JSON: {error}"));
    let text = Zeroizing::new(serde_json::to_vec(session).map_err(failed)?);
    config_dir::write(&path, &text, "session")?;
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
    if address(&stored.server) != address(server) {
        let reason = format!(
            "`{}` is a session at the service `{}`",
            path.display(),
            stored.server
        );
        return Err(Failure::new(reason).hint(again));
    }
    if stored.expires_at.is_some_and(|end| end <= now_s()) {
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
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let name: String = server
        .trim_start_matches("https://")
        .trim_end_matches('/')
        .chars()
        .map(|c| if plain(c) { c } else { '_' })
        .take(200)
        .collect();
    config_dir::path(&format!("session-{name}.json"))
}
