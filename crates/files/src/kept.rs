//! The last state of the account, kept beside the keytab, so that a host that starts while the API is away can serve.
//!
//! It holds what the state folder holds anyway (keys, names, permissions) and is as well guarded: a file for root only in
//! a folder for root only. Whoever may change it may change the keytab and the configuration too.

use crate::check;
use crate::error::FilesError;
use crate::file;
use crossrealm_api::HostState;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// More than the largest state that the API's client takes.
const MAX_BYTES: u64 = 64 << 20;

/// Where the state is kept.
pub(crate) fn path(state_folder: &Path) -> PathBuf {
    state_folder.join("last-state.json")
}

/// Keeps the state.
pub(crate) fn save(path: &Path, state: &HostState) -> Result<(), FilesError> {
    let json = serde_json::to_vec(state).map_err(|error| FilesError::File {
        verb: "write",
        path: path.to_owned(),
        reason: error.to_string(),
    })?;
    file::replace(path, &Zeroizing::new(json))
}

/// The state that was kept of this tenant's account; `None` where there is none that can be used.
pub(crate) fn load(path: &Path, tenant: &str, account: &str) -> Option<Box<HostState>> {
    let mut bytes = Zeroizing::new(Vec::new());
    let file = fs::File::open(path).ok()?;
    file.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    let state: Box<HostState> = serde_json::from_slice(&bytes).ok()?;
    let of_tenant = is_called(&state, tenant);
    (of_tenant && check::state_of(&state, account).is_ok()).then_some(state)
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

    #[test]
    fn a_state_is_kept_for_its_account_and_root_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = path(folder.path());
        assert!(load(&path, "contoso", "acct1").is_none());
        let state = state(&["projects"]);
        save(&path, &state).unwrap();
        save(&path, &state).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        for tenant in [
            "contoso",
            "contoso.cloud.example",
            "00000000-0000-0000-0000-000000000000",
        ] {
            assert_eq!(
                load(&path, tenant, "acct1").as_deref(),
                Some(&state),
                "{tenant}"
            );
        }
        assert!(load(&path, "another", "acct1").is_none());
        assert!(load(&path, "contoso", "acct2").is_none());
    }

    #[test]
    fn a_damaged_or_hostile_copy_is_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = path(folder.path());
        save(&path, &state(&["projects"])).unwrap();
        let mut text = fs::read_to_string(&path).unwrap();
        text.truncate(text.len() / 2);
        fs::write(&path, &text).unwrap();
        assert!(load(&path, "contoso", "acct1").is_none());
        save(&path, &state(&["../../etc"])).unwrap();
        assert!(load(&path, "contoso", "acct1").is_none());
    }
}
