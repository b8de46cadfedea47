//! The preconditions of a start, and the directories it needs. A precondition that fails is reported here, by
//! an error that names the remedy, before Samba reports it in its own terms.

use crate::error::FilesError;
use crate::listen::Listen;
use crate::paths::{HostPaths, RUN, STATE_DIRECTORIES};
use crate::tools;
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use tracing::warn;

/// Held while the host runs, so that no second host serves the same files or uses the same state. Two hosts would both grant
/// what only one may: exclusive opens, leases, deletions.
pub(super) struct HostLocks(
    #[allow(
        dead_code,
        reason = "held for their locks, which are released with them"
    )]
    [File; 2],
);

/// Checks that this process is root and that every program is installed.
pub(super) fn system() -> Result<(), FilesError> {
    // The owner of /proc/self is the process's effective user.
    let root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if !root {
        return Err(FilesError::NotRoot);
    }
    tools::check()
}

/// Checks that the address can be bound. Another program may bind it in between; smbd reports that.
pub(super) fn port(listen: Listen) -> Result<(), FilesError> {
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

/// Creates the directories, and takes the locks of the data and the state.
///
/// `tenant` is the id of the account's tenant. Accounts of two tenants may have the same name, and the files of one must never
/// be served to users of the other; so a file in the directory records the tenant.
pub(super) fn directories(paths: &HostPaths, tenant: &str) -> Result<HostLocks, FilesError> {
    directory(&paths.account, 0o700)?;
    claim(&paths.account, tenant)?;
    let data = lock(&paths.account)?;
    directory(&paths.shares, 0o755)?;
    directory(&paths.state, 0o700)?;
    for name in STATE_DIRECTORIES {
        directory(&paths.state.join(name), 0o700)?;
    }
    // The mount point of the host's own `/run/samba`; where Samba never ran it is missing.
    create_directory(Path::new(RUN))?;
    let state = lock(&paths.state)?;
    if paths.share_a_file_system() {
        warn!(
            "the host's state `{}` is on the file system of the users' files: if users fill it, Samba may stop; keep \
             the state on another file system",
            paths.state.display()
        );
    }
    Ok(HostLocks([data, state]))
}

/// Checks that the files of an account below `data` belong to this tenant (by its id). Files that no host ever served belong
/// to no tenant yet.
///
/// # Errors
///
/// [`FilesError::OtherTenant`], or a record that cannot be read.
pub fn check_tenant(data: &Path, account: &str, tenant: &str) -> Result<(), FilesError> {
    let account = HostPaths::new(data, None, account).account;
    match recorded_tenant(&account)?.trim() {
        "" => Ok(()),
        same if same == tenant => Ok(()),
        other => Err(FilesError::OtherTenant {
            path: account,
            tenant: other.chars().take(36).collect(),
        }),
    }
}

/// The tenant that the account's directory belongs to; empty where none is recorded.
fn recorded_tenant(account: &Path) -> Result<String, FilesError> {
    let path = account.join("tenant");
    match fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        found => found.map_err(|error| FilesError::file("read", &path, &error)),
    }
}

/// Records the tenant of the account's directory, or checks it.
fn claim(account: &Path, tenant: &str) -> Result<(), FilesError> {
    let path = account.join("tenant");
    match recorded_tenant(account)?.trim() {
        // An interrupted start may leave an empty file.
        "" => fs::write(&path, format!("{tenant}\n"))
            .map_err(|error| FilesError::file("write", &path, &error)),
        same if same == tenant => Ok(()),
        other => Err(FilesError::OtherTenant {
            path: account.to_owned(),
            tenant: other.chars().take(36).collect(),
        }),
    }
}

fn create_directory(path: &Path) -> Result<(), FilesError> {
    fs::create_dir_all(path).map_err(|error| FilesError::file("create", path, &error))
}

fn directory(path: &Path, mode: u32) -> Result<(), FilesError> {
    create_directory(path)?;
    fs::set_permissions(path, Permissions::from_mode(mode))
        .map_err(|error| FilesError::file("set the permissions of", path, &error))
}

/// Takes the lock of a directory. Between machines it is as good as that of the file system, by `flock(2)`.
///
/// The file is not open for writing, which would keep the file system from being remounted read-only, unless the lock needs
/// it: NFS takes exclusive locks on such files only.
fn lock(directory: &Path) -> Result<File, FilesError> {
    let path = directory.join("in-use");
    let error = |what, error: &io::Error| FilesError::file(what, &path, error);
    let writable = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(|e| error("create", &e))?;
    let read_only = File::open(&path).map_err(|e| error("open", &e))?;
    let mut last = None;
    for file in [read_only, writable] {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {
                return Err(FilesError::AlreadyRunning {
                    path: directory.to_owned(),
                });
            }
            Err(TryLockError::Error(refused)) => last = Some(refused),
        }
    }
    let refused = last.unwrap_or_else(|| ErrorKind::Unsupported.into());
    Err(error("lock", &refused))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_reported_with_its_number() {
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
    fn a_directory_of_another_tenant_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (ours, theirs) = ("0f8fad5b-d9cb-469f-a165-70867728950e", "another");
        claim(folder.path(), ours).unwrap();
        claim(folder.path(), ours).unwrap();
        let error = claim(folder.path(), theirs).unwrap_err();
        assert!(error.to_string().contains(ours), "{error}");
        assert!(error.hint().unwrap().contains("data directory"));
    }

    #[test]
    fn a_second_host_in_the_same_directory_is_refused() {
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
