//! Puts a state of the account into effect: keys, directories, permissions, configuration, in an order that never permits more
//! than both the previous and the new state.
//!
//! The permissions of a share are set before it becomes visible, and a share whose directory or permissions cannot be created is
//! not served. What is unchanged is not touched, so that sessions continue.

use super::btrfs::{self, DirectoryKind};
use super::idmap;
use super::quota::Quotas;
use super::{samba, sessions};
use crate::check;
use crate::error::FilesError;
use crate::paths::{KEYTAB, NEXT_SMB_CONF, SHARES, SMB_CONF, directory_name};
use crate::smbconf::Serving;
use crate::{file, share_permissions, smbconf};
use crossrealm_api::{HostDomain, HostState};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tokio::task::JoinSet;
use zeroize::Zeroizing;

/// The text of `samba-tool` for NT_STATUS_NOT_SUPPORTED.
const NOT_SUPPORTED: &str = "The request is not supported";

/// How many shares are changed concurrently.
const CONCURRENCY: usize = 8;

/// The state in effect.
pub(super) struct Host {
    serving: Serving,
    running: bool,
    configuration: String,
    keytab: Zeroizing<Vec<u8>>,
    /// The permissions of the visible shares.
    permissions: BTreeMap<String, String>,
    /// The domains whose ranges of local ids are reserved, and which ranges could not be.
    domains: Vec<HostDomain>,
    id_problems: Vec<String>,
    quotas: Quotas,
}

/// The result of putting a state into effect.
pub(super) struct ApplyOutcome {
    /// Shares whose names are reserved in `smb.conf`.
    pub left_out: Vec<String>,
    /// Shares that are not served because of an error.
    pub failed: Vec<(String, FilesError)>,
    /// Further problems, as texts.
    pub warnings: Vec<String>,
}

impl Host {
    /// Configures Samba for the account, without shares.
    pub(super) async fn prepare(state: &HostState, serving: Serving) -> Result<Self, FilesError> {
        let mut bare = state.clone();
        bare.shares.clear();
        file::replace(
            Path::new(SMB_CONF),
            smbconf::render(&bare, &serving)?.as_bytes(),
        )?;
        samba::run("net", &["setdomainsid", &state.tenant.sid.to_string()]).await?;
        Ok(Self {
            serving,
            running: false,
            configuration: String::new(),
            keytab: Zeroizing::default(),
            permissions: BTreeMap::new(),
            domains: Vec::new(),
            id_problems: Vec::new(),
            quotas: Quotas::start(),
        })
    }

    /// Reserves the ranges of local ids where the domains changed.
    async fn reserve_id_ranges(&mut self, state: &HostState) -> Result<(), FilesError> {
        if self.has_state() && self.domains == state.domains {
            return Ok(());
        }
        self.id_problems = idmap::reserve(state).await?;
        self.domains.clone_from(&state.domains);
        Ok(())
    }

    /// From now on smbd has to be notified of changes.
    pub(super) fn set_running(&mut self) {
        self.running = true;
    }

    /// Whether any state is in effect.
    pub(super) fn has_state(&self) -> bool {
        !self.configuration.is_empty()
    }

    /// Puts `state` into effect.
    ///
    /// # Errors
    ///
    /// An error of the whole account; the previous state stays. Errors of single shares are in the [`ApplyOutcome`].
    pub(super) async fn apply(&mut self, state: &HostState) -> Result<ApplyOutcome, FilesError> {
        let mut state = state.clone();
        let left_out = check::remove_reserved_shares(&mut state);
        check::state(&state)?;
        if self.keytab.as_slice() != state.keytab.expose() {
            file::replace(Path::new(KEYTAB), state.keytab.expose())?;
            self.keytab = Zeroizing::new(state.keytab.expose().to_vec());
        }
        self.reserve_id_ranges(&state).await?;
        let wanted: BTreeMap<String, String> = share_permissions::all(&state)
            .map(|(name, sddl)| (name.to_owned(), sddl))
            .collect();
        let (mut effective, other): (BTreeMap<_, _>, BTreeMap<_, _>) = wanted
            .into_iter()
            .partition(|(share, sddl)| self.permissions.get(share) == Some(sddl));
        let mut failed = Vec::new();
        if !other.is_empty() {
            let next = smbconf::render(&state, &self.serving)?;
            file::replace(Path::new(NEXT_SMB_CONF), next.as_bytes())?;
        }
        for (share, sddl, done) in self.create_all(other).await {
            match done {
                Ok(()) => drop(effective.insert(share, sddl)),
                // The first affects every share; the second would leave connections open.
                Err(error @ (FilesError::NoAttributes { .. } | FilesError::NotClosed { .. })) => {
                    return Err(error);
                }
                Err(error) => failed.push((share, error)),
            }
        }
        state.shares.retain(|s| effective.contains_key(&s.name));
        self.quotas.apply(&state).await;
        self.configure(smbconf::render(&state, &self.serving)?)
            .await?;
        self.close(&effective).await?;
        self.permissions = effective;
        Ok(ApplyOutcome {
            left_out,
            failed,
            warnings: std::mem::take(&mut self.id_problems),
        })
    }

    async fn configure(&mut self, configuration: String) -> Result<(), FilesError> {
        if configuration != self.configuration {
            file::replace(Path::new(SMB_CONF), configuration.as_bytes())?;
            if self.running {
                samba::run("smbcontrol", &["all", "reload-config"]).await?;
            }
            self.configuration = configuration;
        }
        Ok(())
    }

    /// Creates the missing directories of these shares, sets their permissions, and closes the connections that these no longer
    /// allow; shares with connections come first.
    async fn create_all(
        &self,
        shares: BTreeMap<String, String>,
    ) -> Vec<(String, String, Result<(), FilesError>)> {
        let in_use = match self.running && shares.len() > CONCURRENCY {
            true => sessions::shares_in_use().await.unwrap_or_default(),
            false => BTreeSet::new(),
        };
        let mut shares: Vec<_> = shares.into_iter().collect();
        shares.sort_by_key(|(share, _)| !in_use.contains(share));
        concurrently(shares, |(share, sddl)| {
            let is_visible = self.running && self.permissions.contains_key(&share);
            async move {
                let mut done = create(&share, &sddl).await;
                if done.is_ok() && is_visible {
                    let order = ["smbd", "close-denied-share", &share];
                    let closed = samba::run("smbcontrol", &order).await;
                    done = closed.map(drop).map_err(|error| FilesError::NotClosed {
                        share: share.clone(),
                        reason: error.to_string(),
                    });
                }
                (share, sddl, done)
            }
        })
        .await
    }

    /// Closes the connections to removed shares. Until this succeeds the state does not count as in effect, and is tried again.
    async fn close(&self, effective: &BTreeMap<String, String>) -> Result<(), FilesError> {
        if !self.running {
            return Ok(());
        }
        for share in self.permissions.keys() {
            if !effective.contains_key(share) {
                samba::run("smbcontrol", &["smbd", "close-share", share]).await?;
            }
        }
        Ok(())
    }
}

/// Processes the items, [`CONCURRENCY`] at a time, since each waits for a program of Samba and that for the disk. The results are
/// in the order of completion.
async fn concurrently<T, R, W>(items: impl IntoIterator<Item = T>, work: impl Fn(T) -> W) -> Vec<R>
where
    R: Send + 'static,
    W: Future<Output = R> + Send + 'static,
{
    let mut items = items.into_iter();
    let mut running = JoinSet::new();
    let mut results = Vec::new();
    loop {
        for item in items.by_ref().take(CONCURRENCY - running.len()) {
            running.spawn(work(item));
        }
        match running.join_next().await {
            Some(Ok(result)) => results.push(result),
            Some(Err(panicked)) => std::panic::resume_unwind(panicked.into_panic()),
            None => return results,
        }
    }
}

/// Creates the directory of a share, where it is missing, and sets the share's permissions.
async fn create(share: &str, sddl: &str) -> Result<(), FilesError> {
    let path = Path::new(SHARES).join(directory_name(share));
    match fs::symlink_metadata(&path) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => {
            let error = io::Error::from(ErrorKind::NotADirectory);
            return Err(FilesError::file("serve", &path, &error));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => create_directory(share, &path).await?,
        Err(error) => return Err(FilesError::file("read", &path, &error)),
    }
    // Samba 4.22 sets no permissions of a share that is in no configuration, with `--force` neither.
    let args = [share, "--setsddl", sddl];
    samba::run_with(NEXT_SMB_CONF, "sharesec", &args)
        .await
        .map(drop)
}

/// Creates a directory under a temporary name and renames it once it has its permissions, so that it never exists without them.
async fn create_directory(share: &str, path: &Path) -> Result<(), FilesError> {
    let fresh = Path::new(SHARES).join(format!(".new-{}", directory_name(share)));
    let failed = |error: io::Error| FilesError::file("create", &fresh, &error);
    // An interrupted attempt leaves an empty directory; anything else is not ours to delete.
    match fs::remove_dir(&fresh) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    if !create_subvolume(&fresh).await {
        fs::create_dir(&fresh).map_err(failed)?;
    }
    // Windows permissions decide; the directory above excludes local users.
    fs::set_permissions(&fresh, Permissions::from_mode(0o777)).map_err(failed)?;
    let target = fresh.to_string_lossy();
    let args = [
        "ntacl",
        "set",
        &share_permissions::root_sddl(),
        &target,
        "--use-s3fs",
    ];
    match samba::run("samba-tool", &args).await {
        Err(FilesError::Program { reason, .. }) if reason.contains(NOT_SUPPORTED) => {
            return Err(FilesError::NoAttributes {
                path: path.to_owned(),
            });
        }
        done => done.map(drop)?,
    }
    fs::rename(&fresh, path).map_err(|error| FilesError::file("create", path, &error))
}

/// Creates the directory as a Btrfs subvolume, so that it can have a quota and snapshots. Returns whether it did; otherwise an
/// ordinary directory serves too.
async fn create_subvolume(path: &Path) -> bool {
    let is_btrfs = matches!(
        btrfs::kind(Path::new(SHARES)),
        Ok(DirectoryKind::Plain | DirectoryKind::Subvolume)
    );
    is_btrfs && btrfs::is_installed() && btrfs::create_subvolume(path).await.is_ok()
}
