//! The last state of the account, [sealed](super::sealed_state) on disk, so that a host can start while the API is unreachable.

use super::sealed_state::{NONCE_LEN, SealKey};
use crate::error::FilesError;
use crate::file;
use crossrealm_api::HostState;
use crossrealm_os::clock::now_s;
use std::fs;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// More than the largest state that the API's client takes.
const MAX_BYTES: u64 = 64 << 20;
/// How often an unchanged state is confirmed again, in seconds.
const CONFIRM_EVERY_S: i64 = 3_600;

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
        self.key
            .unseal(&bytes, tenant, account, now_s())
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
        let failed = |reason: String| FilesError::File {
            verb: "write",
            path: self.path.clone(),
            reason,
        };
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).map_err(|error| failed(error.to_string()))?;
        self.key.seal(state, nonce, now).map_err(failed)
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

#[cfg(test)]
mod tests {
    use super::super::sealed_state::MAX_AGE_S;
    use super::*;
    use crate::smbconf::tests::state;
    use crossrealm_api::SecretText;
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
        let opens = |bytes: &[u8]| {
            let read = cached.key.unseal(bytes, "contoso", "acct1", 1_000);
            read.is_ok()
        };
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
        let at = |now: i64| {
            let read = cached.key.unseal(&bytes, "contoso", "acct1", now);
            read.map(drop)
        };
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
