//! The session that `crossrealm login` keeps: one file per service below the user's configuration folder, which only the
//! user can read. It holds a token that ends by itself.

use crate::failure::Failure;
use crate::input_file::read_bounded;
use crossrealm_api::{SecretText, Session};
use serde::{Deserialize, Serialize};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};
use zeroize::Zeroizing;

const MAX_FILE_BYTES: usize = 16 * 1024;

/// What is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    server: String,
    upn: String,
    expires_at: i64,
    token: SecretText,
}

/// Keeps a session at the service `server` in the place of an older one. Returns the file.
pub fn keep(server: &str, session: &Session) -> Result<PathBuf, Failure> {
    let path = path(server)?;
    let failed = |error: std::io::Error| {
        Failure::new(format!(
            "cannot keep the session in `{}`: {error}",
            path.display()
        ))
    };
    let kept = Kept {
        server: server.to_owned(),
        upn: session.upn.clone(),
        expires_at: session.expires_at,
        token: session.token.clone(),
    };
    let text = Zeroizing::new(
        serde_json::to_vec(&kept)
            .map_err(|error| Failure::new(format!("a session that is no JSON: {error}")))?,
    );
    if let Some(folder) = path.parent() {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(failed)?;
    }
    // Written beside its place and renamed: there is never half a session, and never one that others can read.
    let draft = path.with_extension(format!("draft-{}", std::process::id()));
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&draft, &path));
    if written.is_err() {
        let _ = std::fs::remove_file(&draft);
    }
    written.map_err(failed)?;
    Ok(path)
}

/// The token of the session that is kept for this service.
pub fn token(server: &str) -> Result<SecretText, Failure> {
    let path = path(server)?;
    if !path.exists() {
        return Err(Failure::new("no API token").hint(
            "sign in with `crossrealm login`, give `--token-file FILE` or set `CROSSREALM_TOKEN`; `crossrealm init` leaves the first token in `admin.token`",
        ));
    }
    let bytes = Zeroizing::new(read_bounded(&path, MAX_FILE_BYTES, "session")?);
    let again = "sign in again with `crossrealm login`";
    let kept: Kept = serde_json::from_slice(&bytes).map_err(|_| {
        Failure::new(format!("`{}` is not a session file", path.display())).hint(again)
    })?;
    if kept.server != server {
        let reason = format!("`{}` is a session at another service", path.display());
        return Err(Failure::new(reason).hint(again));
    }
    if kept.expires_at <= now_s() {
        return Err(Failure::new(format!("the session of `{}` has ended", kept.upn)).hint(again));
    }
    Ok(kept.token)
}

/// Forgets the session that is kept for this service.
pub fn forget(server: &str) -> Result<(), Failure> {
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
        Failure::new("there is no folder for the session")
            .hint("set `XDG_CONFIG_HOME` or `HOME`, or give a token by `CROSSREALM_TOKEN`")
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

/// The user's configuration folder (XDG Base Directory Specification).
fn folder() -> Option<PathBuf> {
    let set = |name: &str| {
        let path = PathBuf::from(std::env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))
}

fn now_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs().try_into().unwrap_or(i64::MAX))
}
