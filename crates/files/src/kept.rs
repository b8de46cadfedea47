//! The last state of the account, sealed, so that a host that starts while the API is away can serve.
//!
//! The state holds the account's keys, so the copy is sealed (AES-256-GCM) under a key that is made from the host's token
//! and is nowhere in the host's folders: who gets hold of the disk, a backup or the shared data folder learns nothing, and
//! a copy opens only with the token it was made with. Its first line says in clear for which tenant, account and version
//! it was made and when the API confirmed it last; that line is the associated data, so that none of it can be changed.
//! A copy that the API has not confirmed for a week is not used any more: however old a copy somebody puts in its place,
//! it is not older than that, and a host that was revoked while it was away does not go on for longer.

use crate::check;
use crate::error::FilesError;
use crate::file;
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use crossrealm_api::{HostState, SecretText};
use crossrealm_os::clock::now_s;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// More than the largest state that the API's client takes.
const MAX_BYTES: u64 = 64 << 20;
/// The longest first line of a copy.
const MAX_HEAD: usize = 1024;
const NONCE_LEN: usize = 12;
/// The format of a copy, so that another one can follow.
const FORMAT: u32 = 1;
/// The longest that a copy is good for without the API, in seconds: a week.
const MAX_AGE_S: i64 = 7 * 86_400;
/// How far ahead of this machine's clock a copy may have been confirmed, in seconds.
const MAX_AHEAD_S: i64 = 3_600;
/// How often a copy that did not change is confirmed anew, in seconds.
const CONFIRM_EVERY_S: i64 = 3_600;

/// The key that the copy of a host is sealed with.
#[derive(Clone)]
pub struct SealKey(Zeroizing<[u8; 32]>);

impl SealKey {
    /// The key that belongs to a host's token. A token holds 256 random bits, so that one hash makes a key of it; the
    /// server stores another hash of it, which says nothing of this one.
    pub fn of_token(token: &SecretText) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"crossrealm: the kept state of a host, 1\0");
        hash.update(token.expose().as_bytes());
        Self(Zeroizing::new(hash.finalize().into()))
    }
}

/// The first line of a copy.
#[derive(Serialize, Deserialize)]
struct Head {
    format: u32,
    tenant: String,
    account: String,
    version: String,
    confirmed_at: i64,
}

/// The copy of one account's state.
pub(crate) struct Kept {
    path: PathBuf,
    key: SealKey,
}

impl Kept {
    /// The copy in this state folder.
    pub fn new(state_folder: &Path, key: SealKey) -> Self {
        Self {
            path: state_folder.join("last-state.sealed"),
            key,
        }
    }

    /// Keeps the state, which the API has just confirmed.
    pub fn save(&self, state: &HostState) -> Result<(), FilesError> {
        file::replace(&self.path, &self.sealed(state, now_s())?)
    }

    /// The state that was kept of this tenant's account; `None` where none was.
    ///
    /// # Errors
    ///
    /// [`FilesError::BadCopy`] where there is a copy that cannot be used, and why.
    pub fn load(&self, tenant: &str, account: &str) -> Result<Option<Box<HostState>>, FilesError> {
        let mut bytes = Vec::new();
        let file = match fs::File::open(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file.map_err(|error| FilesError::file("read", &self.path, &error))?,
        };
        file.take(MAX_BYTES)
            .read_to_end(&mut bytes)
            .map_err(|error| FilesError::file("read", &self.path, &error))?;
        self.opened(&bytes, tenant, account, now_s())
            .map(Some)
            .map_err(|reason| FilesError::BadCopy {
                path: self.path.clone(),
                reason: reason.to_owned(),
            })
    }

    /// Removes the copy: the service wants this host to serve no more.
    pub fn forget(&self) {
        // Where it cannot be removed, its age ends it.
        let _ = fs::remove_file(&self.path);
    }

    fn sealed(&self, state: &HostState, now: i64) -> Result<Vec<u8>, FilesError> {
        let failed = |reason: &str| FilesError::File {
            verb: "write",
            path: self.path.clone(),
            reason: reason.to_owned(),
        };
        let head = Head {
            format: FORMAT,
            tenant: state.tenant.id.to_string(),
            account: state.account.name.clone(),
            version: state.version.clone(),
            confirmed_at: now,
        };
        let mut out = serde_json::to_vec(&head).map_err(|error| failed(&error.to_string()))?;
        out.push(b'\n');
        let text = serde_json::to_vec(state).map_err(|error| failed(&error.to_string()))?;
        let text = Zeroizing::new(text);
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|error| failed(&error.to_string()))?;
        let payload = Payload {
            msg: &text,
            aad: &out,
        };
        let sealed = self
            .cipher()
            .encrypt(&Nonce::from(nonce), payload)
            .map_err(|_| failed("the state is too long to be sealed"))?;
        out.extend(nonce);
        out.extend(sealed);
        Ok(out)
    }

    fn opened(
        &self,
        bytes: &[u8],
        tenant: &str,
        account: &str,
        now: i64,
    ) -> Result<Box<HostState>, &'static str> {
        const DAMAGED: &str = "it is damaged";
        let end = bytes
            .iter()
            .take(MAX_HEAD)
            .position(|byte| *byte == b'\n')
            .ok_or(DAMAGED)?;
        let (line, sealed) = bytes.split_at(end + 1);
        let head: Head = serde_json::from_slice(line).map_err(|_| DAMAGED)?;
        if head.format != FORMAT {
            return Err("it was written by another version of this program");
        }
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LEN).ok_or(DAMAGED)?;
        let nonce: [u8; NONCE_LEN] = nonce.try_into().map_err(|_| DAMAGED)?;
        let payload = Payload {
            msg: sealed,
            aad: line,
        };
        let text = self
            .cipher()
            .decrypt(&Nonce::from(nonce), payload)
            .map_err(|_| "it does not open: it is damaged, was changed, or was sealed with another token")?;
        let text = Zeroizing::new(text);
        let state: Box<HostState> = serde_json::from_slice(&text).map_err(|_| DAMAGED)?;
        let meant = head.tenant == state.tenant.id.to_string()
            && head.version == state.version
            && is_called(&state, tenant);
        if !meant || check::state_of(&state, account).is_err() {
            return Err("it is of another tenant or account");
        }
        match now - head.confirmed_at {
            age if age > MAX_AGE_S => Err("the service has not confirmed it for more than 7 days"),
            age if age < -MAX_AHEAD_S => Err("it is from the future: is the clock right?"),
            _ => Ok(state),
        }
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new((&*self.key.0).into())
    }
}

/// When a copy has to be confirmed anew.
pub(crate) struct Confirmed(i64);

impl Confirmed {
    /// The copy was saved just now.
    pub fn now() -> Self {
        Self(now_s())
    }

    /// Whether it is time.
    pub fn is_due(&self) -> bool {
        now_s() - self.0 >= CONFIRM_EVERY_S
    }
}

/// Whether the tenant of the state is called so: by its id, name or domain.
fn is_called(state: &HostState, tenant: &str) -> bool {
    let domain = format!("{}.file.{tenant}", state.account.name);
    state.tenant.id.to_string().eq_ignore_ascii_case(tenant)
        || state.tenant.name.eq_ignore_ascii_case(tenant)
        || state.account.host.eq_ignore_ascii_case(&domain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smbconf::tests::state;
    use std::os::unix::fs::PermissionsExt;

    fn kept(folder: &Path, token: &str) -> Kept {
        Kept::new(folder, SealKey::of_token(&SecretText::new(token)))
    }

    #[test]
    fn a_state_is_kept_sealed_for_its_account_and_token() {
        let folder = tempfile::tempdir().unwrap();
        let copy = kept(folder.path(), "xr_1");
        assert!(copy.load("contoso", "acct1").unwrap().is_none());
        let state = state(&["projects"]);
        copy.save(&state).unwrap();
        copy.save(&state).unwrap();
        let mode = fs::metadata(&copy.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        for tenant in [
            "contoso",
            "contoso.cloud.example",
            "00000000-0000-0000-0000-000000000000",
        ] {
            let found = copy.load(tenant, "acct1").unwrap();
            assert_eq!(found.as_deref(), Some(&state), "{tenant}");
        }
        let bytes = fs::read(&copy.path).unwrap();
        let seen = String::from_utf8_lossy(&bytes);
        assert!(!seen.contains("projects") && !seen.contains("keytab"));
        for (token, tenant, account) in [
            ("xr_1", "another", "acct1"),
            ("xr_1", "contoso", "acct2"),
            ("xr_2", "contoso", "acct1"),
        ] {
            let error = kept(folder.path(), token)
                .load(tenant, account)
                .unwrap_err();
            assert!(matches!(error, FilesError::BadCopy { .. }), "{error}");
        }
        copy.forget();
        assert!(copy.load("contoso", "acct1").unwrap().is_none());
    }

    #[test]
    fn any_changed_byte_and_any_cut_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let copy = kept(folder.path(), "xr_1");
        let good = copy.sealed(&state(&["projects"]), 1_000).unwrap();
        let opens = |bytes: &[u8]| copy.opened(bytes, "contoso", "acct1", 1_000).is_ok();
        assert!(opens(&good));
        for at in 0..good.len() {
            let mut changed = good.clone();
            changed[at] ^= 1;
            assert!(!opens(&changed), "byte {at}");
            assert!(!opens(&good[..at]), "cut at {at}");
        }
        let hostile = copy.sealed(&state(&["../../etc"]), 1_000).unwrap();
        assert!(!opens(&hostile));
    }

    #[test]
    fn a_copy_ends_when_nobody_confirms_it() {
        let folder = tempfile::tempdir().unwrap();
        let copy = kept(folder.path(), "xr_1");
        let bytes = copy.sealed(&state(&[]), 1_000_000).unwrap();
        let at = |now: i64| copy.opened(&bytes, "contoso", "acct1", now).map(drop);
        assert_eq!(at(1_000_000 + MAX_AGE_S), Ok(()));
        assert!(at(1_000_001 + MAX_AGE_S).unwrap_err().contains("7 days"));
        assert!(at(900_000).unwrap_err().contains("clock"));
    }

    #[test]
    fn a_writer_that_died_leaves_the_old_copy() {
        let folder = tempfile::tempdir().unwrap();
        let copy = kept(folder.path(), "xr_1");
        let (old, new) = (state(&["old"]), state(&["new"]));
        copy.save(&old).unwrap();
        // What a writer leaves that is killed at any byte: a file beside, never half of the one that is read.
        let bytes = copy.sealed(&new, now_s()).unwrap();
        for end in [0, 1, bytes.len() / 2, bytes.len()] {
            fs::write(copy.path.with_extension("new"), &bytes[..end]).unwrap();
            let found = copy.load("contoso", "acct1").unwrap();
            assert_eq!(found.as_deref(), Some(&old));
        }
        copy.save(&new).unwrap();
        let found = copy.load("contoso", "acct1").unwrap();
        assert_eq!(found.as_deref(), Some(&new));
    }
}
