//! The last state of the account, sealed on disk, so that a host can start while the API is unreachable.
//!
//! The state contains the account's keys, so it is sealed (AES-256-GCM) with a key that is derived from the host's token and
//! is not stored in the host's directories: the disk, a backup or a shared data directory discloses no keys, and only the
//! same token unseals the cache. The first line names the tenant, the account, the version and the time of the API's last
//! confirmation in clear text; it is the associated data, so that it cannot be changed. A cache that the API has not confirmed
//! for a week is refused: this bounds the replay of an old copy, and how long a host can serve whose token was revoked while
//! it could not reach the API.

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
/// The longest first line.
const MAX_HEADER: usize = 1024;
const NONCE_LEN: usize = 12;
/// The version of the file format.
const FORMAT: u32 = 1;
/// How long a state is usable after its last confirmation, in seconds: a week.
pub(super) const MAX_AGE_S: i64 = 7 * 86_400;
/// How far ahead of this machine's clock a confirmation may be, in seconds.
const MAX_AHEAD_S: i64 = 3_600;
/// How often an unchanged state is confirmed again, in seconds.
const CONFIRM_EVERY_S: i64 = 3_600;

/// The key that a host's cached state is sealed with.
#[derive(Clone)]
pub struct SealKey(Zeroizing<[u8; 32]>);

impl SealKey {
    /// Derives the key from a host's token. A token has 256 random bits, so one hash suffices; the server stores a different
    /// hash of it, which discloses nothing about this one.
    pub fn of_token(token: &SecretText) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"crossrealm: the kept state of a host, 1\0");
        hash.update(token.expose().as_bytes());
        Self(Zeroizing::new(hash.finalize().into()))
    }
}

/// The first line of the file.
#[derive(Serialize, Deserialize)]
struct Header {
    format: u32,
    tenant: String,
    account: String,
    version: String,
    confirmed_at: i64,
}

/// The cached state of one account.
pub(super) struct StateCache {
    path: PathBuf,
    key: SealKey,
}

impl StateCache {
    /// The cache in this state directory.
    pub(super) fn new(state_directory: &Path, key: SealKey) -> Self {
        Self {
            path: state_directory.join("last-state.sealed"),
            key,
        }
    }

    /// Stores a state that the API has just confirmed.
    pub(super) fn save(&self, state: &HostState) -> Result<(), FilesError> {
        file::replace(&self.path, &self.seal(state, now_s())?)
    }

    /// The cached state of this tenant's account; `None` where there is none.
    ///
    /// # Errors
    ///
    /// [`FilesError::BadStateCache`] with the reason, where the cache cannot be used.
    pub(super) fn load(
        &self,
        tenant: &str,
        account: &str,
    ) -> Result<Option<Box<HostState>>, FilesError> {
        let mut bytes = Vec::new();
        let file = match fs::File::open(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file.map_err(|error| FilesError::file("read", &self.path, &error))?,
        };
        file.take(MAX_BYTES)
            .read_to_end(&mut bytes)
            .map_err(|error| FilesError::file("read", &self.path, &error))?;
        self.unseal(&bytes, tenant, account, now_s())
            .map(Some)
            .map_err(|reason| FilesError::BadStateCache {
                path: self.path.clone(),
                reason: reason.to_owned(),
            })
    }

    /// Deletes the cache: the service ends this host.
    pub(super) fn delete(&self) {
        // If this fails, the cache becomes unusable by its age.
        let _ = fs::remove_file(&self.path);
    }

    fn seal(&self, state: &HostState, now: i64) -> Result<Vec<u8>, FilesError> {
        let failed = |reason: &str| FilesError::File {
            verb: "write",
            path: self.path.clone(),
            reason: reason.to_owned(),
        };
        let header = Header {
            format: FORMAT,
            tenant: state.tenant.id.to_string(),
            account: state.account.name.clone(),
            version: state.version.clone(),
            confirmed_at: now,
        };
        let mut out = serde_json::to_vec(&header).map_err(|error| failed(&error.to_string()))?;
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

    fn unseal(
        &self,
        bytes: &[u8],
        tenant: &str,
        account: &str,
        now: i64,
    ) -> Result<Box<HostState>, &'static str> {
        const DAMAGED: &str = "it is damaged";
        let end = bytes
            .iter()
            .take(MAX_HEADER)
            .position(|byte| *byte == b'\n')
            .ok_or(DAMAGED)?;
        let (line, sealed) = bytes.split_at(end + 1);
        let header: Header = serde_json::from_slice(line).map_err(|_| DAMAGED)?;
        if header.format != FORMAT {
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
            .map_err(|_| "it cannot be unsealed: it is damaged, was changed, or was sealed with another token")?;
        let text = Zeroizing::new(text);
        let state: Box<HostState> = serde_json::from_slice(&text).map_err(|_| DAMAGED)?;
        let matches = header.tenant == state.tenant.id.to_string()
            && header.version == state.version
            && is_of_tenant(&state, tenant);
        if !matches || check::state_of(&state, account).is_err() {
            return Err("it belongs to another tenant or account");
        }
        match now - header.confirmed_at {
            age if age > MAX_AGE_S => Err("the service has not confirmed it for more than 7 days"),
            age if age < -MAX_AHEAD_S => Err("it was confirmed in the future: check the clock"),
            _ => Ok(state),
        }
    }

    fn cipher(&self) -> Aes256Gcm {
        Aes256Gcm::new((&*self.key.0).into())
    }
}

/// When the cached state was last confirmed.
pub(super) struct Confirmed(i64);

impl Confirmed {
    /// Just now.
    pub(super) fn now() -> Self {
        Self(now_s())
    }

    /// Whether it has to be confirmed again.
    pub(super) fn is_due(&self) -> bool {
        now_s() - self.0 >= CONFIRM_EVERY_S
    }
}

/// Whether the state is of this tenant, by id, name or domain.
fn is_of_tenant(state: &HostState, tenant: &str) -> bool {
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

    fn cache(folder: &Path, token: &str) -> StateCache {
        StateCache::new(folder, SealKey::of_token(&SecretText::new(token)))
    }

    #[test]
    fn only_the_same_account_and_token_unseal_a_state() {
        let folder = tempfile::tempdir().unwrap();
        let cached = cache(folder.path(), "xr_1");
        assert!(cached.load("contoso", "acct1").unwrap().is_none());
        let state = state(&["projects"]);
        cached.save(&state).unwrap();
        cached.save(&state).unwrap();
        let mode = fs::metadata(&cached.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        for tenant in [
            "contoso",
            "contoso.cloud.example",
            "00000000-0000-0000-0000-000000000000",
        ] {
            let found = cached.load(tenant, "acct1").unwrap();
            assert_eq!(found.as_deref(), Some(&state), "{tenant}");
        }
        let bytes = fs::read(&cached.path).unwrap();
        let seen = String::from_utf8_lossy(&bytes);
        assert!(!seen.contains("projects") && !seen.contains("keytab"));
        for (token, tenant, account) in [
            ("xr_1", "another", "acct1"),
            ("xr_1", "contoso", "acct2"),
            ("xr_2", "contoso", "acct1"),
        ] {
            let error = cache(folder.path(), token)
                .load(tenant, account)
                .unwrap_err();
            assert!(matches!(error, FilesError::BadStateCache { .. }), "{error}");
        }
        cached.delete();
        assert!(cached.load("contoso", "acct1").unwrap().is_none());
    }

    #[test]
    fn a_changed_or_truncated_cache_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let cached = cache(folder.path(), "xr_1");
        let good = cached.seal(&state(&["projects"]), 1_000).unwrap();
        let opens = |bytes: &[u8]| cached.unseal(bytes, "contoso", "acct1", 1_000).is_ok();
        assert!(opens(&good));
        for at in 0..good.len() {
            let mut changed = good.clone();
            changed[at] ^= 1;
            assert!(!opens(&changed), "byte {at}");
            assert!(!opens(&good[..at]), "cut at {at}");
        }
        let hostile = cached.seal(&state(&["../../etc"]), 1_000).unwrap();
        assert!(!opens(&hostile));
    }

    #[test]
    fn a_state_that_was_not_confirmed_for_a_week_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let cached = cache(folder.path(), "xr_1");
        let bytes = cached.seal(&state(&[]), 1_000_000).unwrap();
        let at = |now: i64| cached.unseal(&bytes, "contoso", "acct1", now).map(drop);
        assert_eq!(at(1_000_000 + MAX_AGE_S), Ok(()));
        assert!(at(1_000_001 + MAX_AGE_S).unwrap_err().contains("7 days"));
        assert!(at(900_000).unwrap_err().contains("clock"));
    }

    #[test]
    fn a_writer_that_was_killed_leaves_the_previous_state() {
        let folder = tempfile::tempdir().unwrap();
        let cached = cache(folder.path(), "xr_1");
        let (old, new) = (state(&["old"]), state(&["new"]));
        cached.save(&old).unwrap();
        // A writer that is killed at any byte leaves a temporary file, and the cache itself complete.
        let bytes = cached.seal(&new, now_s()).unwrap();
        for end in [0, 1, bytes.len() / 2, bytes.len()] {
            fs::write(cached.path.with_extension("new"), &bytes[..end]).unwrap();
            let found = cached.load("contoso", "acct1").unwrap();
            assert_eq!(found.as_deref(), Some(&old));
        }
        cached.save(&new).unwrap();
        let found = cached.load("contoso", "acct1").unwrap();
        assert_eq!(found.as_deref(), Some(&new));
    }
}
