//! The SMB sessions, as `smbstatus` lists them.

use crate::error::FilesError;
use crate::paths::SMB_CONF;
use crate::tools;
use crossrealm_types::{HostSession, MAX_REPORTED_SESSIONS};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// The parts of the output of `smbstatus --json` that are used.
#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    sessions: BTreeMap<String, Session>,
    #[serde(default)]
    tcons: BTreeMap<String, TreeConnect>,
}

#[derive(Deserialize)]
struct Session {
    session_id: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    remote_machine: String,
    #[serde(default)]
    session_dialect: String,
    #[serde(default)]
    encryption: Encryption,
}

#[derive(Default, Deserialize)]
struct Encryption {
    #[serde(default)]
    cipher: String,
}

#[derive(Deserialize)]
struct TreeConnect {
    session_id: String,
    service: String,
}

/// The number of sessions, and the sessions, sorted and up to the limit of a report.
///
/// # Errors
///
/// [`FilesError::Program`] where `smbstatus` fails or its output cannot be parsed.
pub(super) async fn list() -> Result<(u32, Vec<HostSession>), FilesError> {
    parse(&status().await?).map_err(unparsable)
}

/// The shares with connections.
///
/// # Errors
///
/// As [`list`].
pub(super) async fn shares_in_use() -> Result<BTreeSet<String>, FilesError> {
    let status: Status = serde_json::from_str(&status().await?).map_err(unparsable)?;
    let tcons = status.tcons.into_values();
    Ok(tcons.map(|connect| connect.service).collect())
}

async fn status() -> Result<String, FilesError> {
    tools::run("smbstatus", &["--json", "--configfile", SMB_CONF]).await
}

fn unparsable(error: serde_json::Error) -> FilesError {
    FilesError::Program {
        program: "smbstatus".into(),
        reason: format!("its output cannot be parsed: {error}"),
    }
}

fn parse(text: &str) -> serde_json::Result<(u32, Vec<HostSession>)> {
    let status: Status = serde_json::from_str(text)?;
    let mut shares: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for connect in status.tcons.values() {
        let open = shares.entry(&connect.session_id).or_default();
        if !open.contains(&connect.service) {
            open.push(connect.service.clone());
        }
    }
    let mut sessions: Vec<HostSession> = status
        .sessions
        .values()
        .map(|session| HostSession {
            user: session.username.clone(),
            client: session.remote_machine.clone(),
            shares: {
                let mut open = shares
                    .remove(session.session_id.as_str())
                    .unwrap_or_default();
                open.sort();
                open
            },
            dialect: session.session_dialect.clone(),
            encryption: session.encryption.cipher.clone(),
        })
        .collect();
    let count = u32::try_from(sessions.len()).unwrap_or(u32::MAX);
    sessions.sort();
    sessions.truncate(MAX_REPORTED_SESSIONS);
    Ok((count, sessions))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_listed_with_their_shares() {
        let text = r#"{"timestamp": "x", "version": "4.17.12-Debian", "smb_conf": "/run/samba/conf/smb.conf",
            "sessions": {"77": {"session_id": "77", "server_id": {"pid": "12"}, "uid": 108001104, "gid": 108000513,
                "username": "CORP\\alice", "groupname": "CORP\\domain users", "remote_machine": "10.77.3.1",
                "hostname": "ipv4:10.77.3.1:40000", "session_dialect": "SMB3_11",
                "encryption": {"cipher": "AES-128-GCM", "degree": "full"}, "signing": {"cipher": "AES-128-GMAC", "degree": "partial"}}},
            "tcons": {"1": {"service": "projects", "server_id": {}, "tcon_id": "1", "session_id": "77", "machine": "10.77.3.1"},
                      "2": {"service": "IPC$", "server_id": {}, "tcon_id": "2", "session_id": "77", "machine": "10.77.3.1"}}}"#;
        let (count, sessions) = parse(text).unwrap();
        assert_eq!(count, 1);
        assert_eq!(
            sessions,
            [HostSession {
                user: "CORP\\alice".into(),
                client: "10.77.3.1".into(),
                shares: vec!["IPC$".into(), "projects".into()],
                dialect: "SMB3_11".into(),
                encryption: "AES-128-GCM".into(),
            }]
        );
        let none = r#"{"version": "4.17.12-Debian", "sessions": {}, "tcons": {}}"#;
        assert_eq!(parse(none).unwrap(), (0, vec![]));
        assert!(parse("no").is_err());
    }
}
