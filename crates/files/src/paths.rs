//! The paths of the host: the directories that the operator chose, and the paths that Samba sees.
//!
//! In its mount namespace the worker has its own `/run/samba` with everything below it. So the paths in `smb.conf` are
//! constants: a directory that the operator chose cannot put a blank, a `%` or a line break into it, the paths of Unix sockets
//! stay short enough, and nothing collides with another Samba on the machine.

use crate::check;
use crate::error::FilesError;
use sha2::{Digest, Sha256};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The default data directory.
pub const DEFAULT_DATA: &str = "/var/lib/crossrealm/files";
/// Where hosts keep their own state by default, each below the name of its account: not among the users' files, since Samba's
/// databases do not survive a full disk.
pub const DEFAULT_STATE: &str = "/var/lib/crossrealm/smb";

/// The directory of a share's files: `DATA/ACCOUNT/shares/SHARE`, with the share's name in lower case.
///
/// # Errors
///
/// Names that are not those of an account or a share; such names never become paths.
pub fn share_folder(data: &Path, account: &str, share: &str) -> Result<PathBuf, FilesError> {
    if !check::is_account_name(account) {
        return Err(FilesError::BadAccountName(account.to_owned()));
    }
    let key = check::share_key(share).ok_or_else(|| FilesError::BadShareName(share.to_owned()))?;
    Ok(HostPaths::new(data, None, account).shares.join(key))
}

/// What the directory of a share is called. The state was checked; of a name that is none, the directory is one that no share has.
pub(crate) fn directory_name(share: &str) -> String {
    check::share_key(share).unwrap_or_else(|| ".none".to_owned())
}

/// What the program is called that smbd runs for the size of a share: letters, digits and hyphens, for any name of a share. It
/// is the directory's name where that has no other characters.
pub(crate) fn program_name(share: &str) -> String {
    let name = directory_name(share);
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    match name.bytes().all(is_plain) {
        true => name,
        // A dot is in no plain name.
        false => format!("sha256.{}", hex::encode(Sha256::digest(name))),
    }
}

/// The directory for sockets that Samba is built with; `libnss_winbind` uses no other.
pub(crate) const RUN: &str = "/run/samba";
/// This host's own state, as the worker sees it: share permissions, id maps.
pub(crate) const HOST: &str = "/run/samba/host";
/// The configuration of every program, written anew by each worker: in memory, so that no disk can be too full for it.
pub(crate) const CONF: &str = "/run/samba/conf";
/// The directories of the shares, as the worker sees them.
pub(crate) const SHARES: &str = "/run/samba/shares";
/// The snapshots of the shares, as the worker sees them: read-only.
pub(crate) const SNAPSHOTS: &str = "/run/samba/snapshots";
/// The configuration of every Samba program.
pub(crate) const SMB_CONF: &str = "/run/samba/conf/smb.conf";
/// The next configuration, with shares that have no permissions yet: smbd does not read it.
pub(crate) const NEXT_SMB_CONF: &str = "/run/samba/conf/next.smb.conf";
/// The account's keys: on a tmpfs, so that they are never on disk.
pub(crate) const KEYTAB: &str = "/run/samba/keytab";
/// The sizes of shares with a quota: one program per share, which smbd runs.
pub(crate) const QUOTA_SIZES: &str = "/run/samba/quota";
/// The log of smbd and winbindd.
pub(crate) const LOG: &str = "/run/samba/host/log/samba.log";
/// Replaces `/etc/nsswitch.conf`.
pub(crate) const NSSWITCH: &str = "/run/samba/conf/nsswitch.conf";
/// Replaces `/etc/resolv.conf`.
pub(crate) const RESOLV: &str = "/run/samba/conf/resolv.conf";
/// The Kerberos configuration of Samba.
pub(crate) const KRB5_CONF: &str = "/run/samba/conf/krb5.conf";
/// Directories of the state that survive a restart.
pub(crate) const STATE_DIRECTORIES: [&str; 4] = ["private", "state", "cache", "log"];
/// Directories that are created at every start.
pub(crate) const VOLATILE_DIRECTORIES: [&str; 5] = ["lock", "pid", "ncalrpc", "winbindd", "quota"];

/// The directories of one account's host, as the operator sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostPaths {
    /// Accessible to root only, so that the directories below are reached through SMB alone. Its file `tenant` records the
    /// tenant.
    pub account: PathBuf,
    /// One directory for each share.
    pub shares: PathBuf,
    /// This host's own state.
    pub state: PathBuf,
}

impl HostPaths {
    /// `DATA/ACCOUNT/shares/…` holds the users' files; the state is below [`DEFAULT_STATE`] unless chosen otherwise.
    pub(crate) fn new(data: &Path, state: Option<&Path>, account: &str) -> Self {
        let directory = data.join(account);
        Self {
            shares: directory.join("shares"),
            account: directory,
            state: state.map_or_else(|| default_state(data, account), Path::to_owned),
        }
    }

    /// Whether the host's state and the users' files share one file system, so that users can fill the state's.
    pub(crate) fn share_a_file_system(&self) -> bool {
        let device = |path: &Path| std::fs::metadata(path).map(|data| data.dev()).ok();
        device(&self.state).is_some_and(|state| device(&self.shares) == Some(state))
    }

    /// A text of the worker, with its paths replaced by those that the operator knows.
    pub(crate) fn outside_view(&self, text: &str) -> String {
        text.replace(SHARES, &self.shares.display().to_string())
            .replace(HOST, &self.state.display().to_string())
    }
}

/// Where the state is if the operator chooses no place. Earlier versions kept it among the users' files, in `DATA/.host`: such
/// a host goes on there.
fn default_state(data: &Path, account: &str) -> PathBuf {
    // An account's name contains letters and digits only, so that no account is called `.host`.
    let earlier = data.join(".host").join(account);
    match earlier.is_dir() {
        true => earlier,
        false => Path::new(DEFAULT_STATE).join(account),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R5: a new host keeps its state off the users' files; one of an earlier version finds its own.
    #[test]
    fn r5_the_state_is_not_among_the_files() {
        let data = tempfile::tempdir().unwrap();
        let state = |account| HostPaths::new(data.path(), None, account).state;
        let earlier = data.path().join(".host/acct1");
        std::fs::create_dir_all(&earlier).unwrap();
        assert_eq!(state("acct1"), earlier);
        assert_eq!(state("acct2"), Path::new("/var/lib/crossrealm/smb/acct2"));
    }

    /// F12: no character of a share's name reaches a program's name, and no two shares have one program.
    #[test]
    fn programs_have_plain_names() {
        assert_eq!(program_name("Projects"), "projects");
        let (a, b) = (program_name("$(reboot) a"), program_name("$(reboot) b"));
        assert_ne!(a, b);
        assert!(
            a.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
        );
    }

    #[test]
    fn paths_are_reported_as_the_operator_knows_them() {
        let paths = HostPaths::new(Path::new("/srv/files"), None, "acct1");
        assert_eq!(
            paths.outside_view("no `/run/samba/shares/x`; see `/run/samba/host/log/samba.log`"),
            "no `/srv/files/acct1/shares/x`; see `/var/lib/crossrealm/smb/acct1/log/samba.log`"
        );
        let paths = HostPaths::new(Path::new("/srv/files"), Some(Path::new("/var/x")), "acct1");
        assert_eq!(paths.outside_view(LOG), "/var/x/log/samba.log");
    }
}
