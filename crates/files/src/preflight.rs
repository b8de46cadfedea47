//! What must hold before the host starts, and the folders it starts in. Everything that can be said clearly is said here,
//! before Samba would say it in its own words.

use crate::error::FilesError;
use crate::listen::Listen;
use crate::places::{Places, RUN, STATE_FOLDERS};
use crate::smbconf::{KRB5_CONF, NSSWITCH_CONF, RESOLV_CONF};
use crate::tools;
use std::fs::{self, File, Permissions, TryLockError};
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// Held while the host runs, so that no second one uses the same state.
pub(crate) struct StateLock(
    #[allow(dead_code, reason = "held for its lock, which ends with it")] File,
);

/// Whether this process is root and everything is installed.
pub(crate) fn system() -> Result<(), FilesError> {
    // The owner of /proc/self is the process's effective user.
    let root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if !root {
        return Err(FilesError::NotRoot);
    }
    tools::check()
}

/// Whether the address can be listened on. The answer may be out of date a moment later; smbd itself binds it.
pub(crate) fn port(listen: Listen) -> Result<(), FilesError> {
    let address = listen.address();
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            Err(FilesError::PortInUse { address })
        }
        Err(error) => Err(FilesError::CannotListen {
            address,
            reason: error.to_string(),
        }),
    }
}

/// Makes the folders and the fixed files, and takes the lock of the state.
///
/// `tenant` is the id of the account's tenant. Accounts of two tenants may have the same name, and one's files must never be
/// served to the other's users; so the folder remembers whose it is.
pub(crate) fn folders(places: &Places, tenant: &str) -> Result<StateLock, FilesError> {
    folder(&places.account, 0o700)?;
    claim(&places.account, tenant)?;
    folder(&places.shares, 0o755)?;
    folder(&places.state, 0o700)?;
    for name in STATE_FOLDERS {
        folder(&places.state.join(name), 0o700)?;
    }
    // The place to mount the host's own on; on a machine whose Samba never ran it is missing.
    folder_if_missing(Path::new(RUN))?;
    let lock = lock(&places.state)?;
    for (name, text) in [
        ("nsswitch.conf", NSSWITCH_CONF),
        ("resolv.conf", RESOLV_CONF),
        ("krb5.conf", KRB5_CONF),
    ] {
        // Samba's libraries read these as the user whose files they open.
        let path = places.state.join(name);
        fs::write(&path, text)
            .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o644)))
            .map_err(|error| FilesError::file("write", &path, &error))?;
    }
    Ok(lock)
}

/// Whether the files of an account below `data` are this tenant's (by its id). Where no host ever served them there is
/// nothing to say.
///
/// # Errors
///
/// [`FilesError::OtherTenant`], and a mark that cannot be read.
pub fn check_tenant(data: &Path, account: &str, tenant: &str) -> Result<(), FilesError> {
    let account = Places::new(data, None, account).account;
    match mark(&account)?.trim() {
        "" => Ok(()),
        same if same == tenant => Ok(()),
        other => Err(FilesError::OtherTenant {
            path: account,
            tenant: other.chars().take(36).collect(),
        }),
    }
}

/// What the folder says whose it is.
fn mark(account: &Path) -> Result<String, FilesError> {
    let path = account.join("tenant");
    match fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        found => found.map_err(|error| FilesError::file("read", &path, &error)),
    }
}

/// Marks the folder as the tenant's, or finds that it is.
fn claim(account: &Path, tenant: &str) -> Result<(), FilesError> {
    let path = account.join("tenant");
    match mark(account)?.trim() {
        // Empty is what is left of a start that was cut short.
        "" => fs::write(&path, format!("{tenant}\n"))
            .map_err(|error| FilesError::file("write", &path, &error)),
        same if same == tenant => Ok(()),
        other => Err(FilesError::OtherTenant {
            path: account.to_owned(),
            tenant: other.chars().take(36).collect(),
        }),
    }
}

fn folder_if_missing(path: &Path) -> Result<(), FilesError> {
    fs::create_dir_all(path).map_err(|error| FilesError::file("create", path, &error))
}

fn folder(path: &Path, mode: u32) -> Result<(), FilesError> {
    folder_if_missing(path)?;
    fs::set_permissions(path, Permissions::from_mode(mode))
        .map_err(|error| FilesError::file("set the permissions of", path, &error))
}

fn lock(state: &Path) -> Result<StateLock, FilesError> {
    let path = state.join("in-use");
    let file = File::create(&path).map_err(|error| FilesError::file("create", &path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(StateLock(file)),
        Err(TryLockError::WouldBlock) => Err(FilesError::AlreadyRunning {
            path: state.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(FilesError::file("lock", &path, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named() {
        let holder = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken: Listen = holder.local_addr().unwrap().to_string().parse().unwrap();
        let error = port(taken).unwrap_err();
        assert!(matches!(error, FilesError::PortInUse { .. }));
        assert!(
            error
                .hint()
                .unwrap()
                .contains(&taken.address().port().to_string())
        );
        let foreign = port("192.0.2.1:44500".parse().unwrap()).unwrap_err();
        assert!(matches!(foreign, FilesError::CannotListen { .. }));
    }

    #[test]
    fn a_folder_stays_its_tenants() {
        let folder = tempfile::tempdir().unwrap();
        let (ours, theirs) = ("0f8fad5b-d9cb-469f-a165-70867728950e", "another");
        claim(folder.path(), ours).unwrap();
        claim(folder.path(), ours).unwrap();
        let error = claim(folder.path(), theirs).unwrap_err();
        assert!(error.to_string().contains(ours), "{error}");
        assert!(error.hint().unwrap().contains("--data"));
    }

    #[test]
    fn a_second_host_on_the_same_state_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let first = lock(folder.path()).unwrap();
        assert!(matches!(
            lock(folder.path()),
            Err(FilesError::AlreadyRunning { .. })
        ));
        drop(first);
        assert!(lock(folder.path()).is_ok());
    }
}
