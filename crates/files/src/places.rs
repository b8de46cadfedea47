//! Where the host's files are: in the folders that the operator chose, and as Samba sees them.
//!
//! Inside its mount namespace the host has a `/run/samba` of its own with everything below it. So the paths in `smb.conf`
//! are constants: no folder that an operator chose can put a blank, a `%` or a line end into it, unix sockets stay short
//! enough, and another Samba on the machine is never met.

use crate::check;
use crate::error::FilesError;
use std::path::{Path, PathBuf};

/// The folder of the data where the operator names none.
pub const DEFAULT_DATA: &str = "/var/lib/crossrealm/files";

/// The folder of a share's files: `DATA/ACCOUNT/shares/SHARE`.
///
/// # Errors
///
/// Names that cannot be those of an account or a share; they never become paths.
pub fn share_folder(data: &Path, account: &str, share: &str) -> Result<PathBuf, FilesError> {
    if !check::is_account_name(account) {
        return Err(FilesError::BadAccountName(account.to_owned()));
    }
    if !check::is_share_name(share) {
        return Err(FilesError::BadShareName(share.to_owned()));
    }
    Ok(Places::new(data, None, account).shares.join(share))
}

/// The folder of Samba's build for sockets; `libnss_winbind` knows no other.
pub(crate) const RUN: &str = "/run/samba";
/// This host's own state, as the inner process sees it: permissions, id maps.
pub(crate) const HOST: &str = "/run/samba/host";
/// The folders of the shares, as the inner process sees them.
pub(crate) const SHARES: &str = "/run/samba/shares";
/// The snapshots of the shares, as the inner process sees them: read-only.
pub(crate) const SNAPSHOTS: &str = "/run/samba/snapshots";
/// The configuration that every Samba program is given.
pub(crate) const SMB_CONF: &str = "/run/samba/host/smb.conf";
/// The account's keys: in memory, so that they are on no disk.
pub(crate) const KEYTAB: &str = "/run/samba/keytab";
/// What clients are told of the sizes of shares with a quota: one program for each share, which smbd asks.
pub(crate) const QUOTA_SIZES: &str = "/run/samba/quota";
/// The log of smbd and winbindd.
pub(crate) const LOG: &str = "/run/samba/host/log/samba.log";
/// Stands in for `/etc/nsswitch.conf`.
pub(crate) const NSSWITCH: &str = "/run/samba/host/nsswitch.conf";
/// Stands in for `/etc/resolv.conf`.
pub(crate) const RESOLV: &str = "/run/samba/host/resolv.conf";
/// The Kerberos configuration of Samba's own library.
pub(crate) const KRB5_CONF: &str = "/run/samba/host/krb5.conf";
/// Folders of the state that outlive a restart.
pub(crate) const STATE_FOLDERS: [&str; 4] = ["private", "state", "cache", "log"];
/// Folders that are made anew at every start.
pub(crate) const VOLATILE_FOLDERS: [&str; 5] = ["lock", "pid", "ncalrpc", "winbindd", "quota"];

/// The folders of one account's host, as the operator sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Places {
    /// Closed to everyone but root, so that the folders below are met through SMB alone. Its file `tenant` says whose it is.
    pub account: PathBuf,
    /// One folder for each share.
    pub shares: PathBuf,
    /// This host's own state.
    pub state: PathBuf,
}

impl Places {
    /// `DATA/ACCOUNT/shares/…` holds the users' files; the state is in `DATA/.host/ACCOUNT` unless chosen otherwise.
    /// An account's name holds letters and digits only, so that the two never meet.
    pub fn new(data: &Path, state: Option<&Path>, account: &str) -> Self {
        let folder = data.join(account);
        Self {
            shares: folder.join("shares"),
            account: folder,
            state: state.map_or_else(|| data.join(".host").join(account), Path::to_owned),
        }
    }
    /// What the inner process says, with the paths as the operator knows them.
    pub fn seen_outside(&self, text: &str) -> String {
        text.replace(SHARES, &self.shares.display().to_string())
            .replace(HOST, &self.state.display().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_as_the_operator_knows_them() {
        let places = Places::new(Path::new("/srv/files"), None, "acct1");
        assert_eq!(
            places.seen_outside("no `/run/samba/shares/x`; see `/run/samba/host/log/samba.log`"),
            "no `/srv/files/acct1/shares/x`; see `/srv/files/.host/acct1/log/samba.log`"
        );
        let places = Places::new(Path::new("/srv/files"), Some(Path::new("/var/x")), "acct1");
        assert_eq!(places.seen_outside(SMB_CONF), "/var/x/smb.conf");
    }
}
