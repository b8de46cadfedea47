//! A state of the account put into effect: keys, folders, permissions, configuration, in the order in which no moment is
//! more open than the state before or after it.
//!
//! The permissions of a share are written before the share comes into view, and a share whose folder or permissions
//! cannot be made is not served at all. What stays as it was is not touched, so that sessions go on.

use super::btrfs::{self, Kind};
use super::idmap;
use super::quota::Quotas;
use super::sessions;
use crate::check;
use crate::error::FilesError;
use crate::places::{KEYTAB, SHARES, SMB_CONF};
use crate::smbconf::Serving;
use crate::{file, sharesec, smbconf, tools};
use crossrealm_api::{HostDomain, HostState};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tokio::task::JoinSet;
use zeroize::Zeroizing;

/// How `samba-tool` says NT_STATUS_NOT_SUPPORTED.
const NOT_SUPPORTED: &str = "The request is not supported";

/// How many shares are worked on at once.
const AT_ONCE: usize = 8;

/// What is in effect.
pub(super) struct Host {
    serving: Serving,
    running: bool,
    configuration: String,
    keytab: Zeroizing<Vec<u8>>,
    /// The permissions of the shares in view.
    permissions: BTreeMap<String, String>,
    /// The domains whose ranges of local ids are fixed, and what could not be fixed.
    domains: Vec<HostDomain>,
    id_problems: Vec<String>,
    quotas: Quotas,
}

/// What became of a state.
pub(super) struct Outcome {
    /// Shares whose names Samba cannot serve.
    pub left_out: Vec<String>,
    /// Shares that are not served because of an error.
    pub failed: Vec<(String, FilesError)>,
    /// What else is not as it should be, in words.
    pub warnings: Vec<String>,
}

impl Host {
    /// Prepares Samba for the account, with no share yet.
    pub async fn prepare(state: &HostState, serving: Serving) -> Result<Self, FilesError> {
        let mut bare = state.clone();
        bare.shares.clear();
        file::replace(
            Path::new(SMB_CONF),
            smbconf::render(&bare, &serving)?.as_bytes(),
        )?;
        samba("net", &["setdomainsid", &state.tenant.sid]).await?;
        Ok(Self {
            serving,
            running: false,
            configuration: String::new(),
            keytab: Zeroizing::default(),
            permissions: BTreeMap::new(),
            domains: Vec::new(),
            id_problems: Vec::new(),
            quotas: Quotas::begin(),
        })
    }

    /// Fixes the ranges of local ids where the domains changed.
    async fn seed(&mut self, state: &HostState) -> Result<(), FilesError> {
        if self.has_state() && self.domains == state.domains {
            return Ok(());
        }
        self.id_problems = idmap::seed(state).await?;
        self.domains.clone_from(&state.domains);
        Ok(())
    }

    /// From now on smbd has to be told of changes.
    pub fn is_running(&mut self) {
        self.running = true;
    }

    /// Whether any state is in effect.
    pub fn has_state(&self) -> bool {
        !self.configuration.is_empty()
    }

    /// Puts `state` into effect.
    ///
    /// # Errors
    ///
    /// What concerns the whole account; the state before stays. What concerns one share is in the [`Outcome`].
    pub async fn apply(&mut self, state: &HostState) -> Result<Outcome, FilesError> {
        let mut state = state.clone();
        let left_out = check::take_unservable(&mut state);
        check::state(&state)?;
        if self.keytab.as_slice() != state.keytab.expose() {
            file::replace(Path::new(KEYTAB), state.keytab.expose())?;
            self.keytab = Zeroizing::new(state.keytab.expose().to_vec());
        }
        self.seed(&state).await?;
        let wanted: BTreeMap<String, String> = sharesec::all(&state)
            .map(|(name, sddl)| (name.to_owned(), sddl))
            .collect();
        let (mut effective, other): (BTreeMap<_, _>, BTreeMap<_, _>) = wanted
            .into_iter()
            .partition(|(share, sddl)| self.permissions.get(share) == Some(sddl));
        let mut failed = Vec::new();
        for (share, sddl, done) in self.bring_all(other).await {
            match done {
                Ok(()) => drop(effective.insert(share, sddl)),
                // The first is so for every share; the second would leave connections open.
                Err(error @ (FilesError::NoAttributes { .. } | FilesError::NotClosed { .. })) => {
                    return Err(error);
                }
                Err(error) => failed.push((share, error)),
            }
        }
        state.shares.retain(|s| effective.contains_key(&s.name));
        self.quotas.put(&state).await;
        self.configure(smbconf::render(&state, &self.serving)?)
            .await?;
        self.close(&effective).await?;
        self.permissions = effective;
        Ok(Outcome {
            left_out,
            failed,
            warnings: std::mem::take(&mut self.id_problems),
        })
    }

    async fn configure(&mut self, configuration: String) -> Result<(), FilesError> {
        if configuration != self.configuration {
            file::replace(Path::new(SMB_CONF), configuration.as_bytes())?;
            if self.running {
                samba("smbcontrol", &["all", "reload-config"]).await?;
            }
            self.configuration = configuration;
        }
        Ok(())
    }

    /// Makes the folders of these shares, where they are missing, sets their permissions, and ends the open connections that
    /// these no longer allow; the shares that somebody is connected to come first.
    async fn bring_all(
        &self,
        shares: BTreeMap<String, String>,
    ) -> Vec<(String, String, Result<(), FilesError>)> {
        let in_use = match self.running && shares.len() > AT_ONCE {
            true => sessions::shares_in_use().await.unwrap_or_default(),
            false => BTreeSet::new(),
        };
        let mut shares: Vec<_> = shares.into_iter().collect();
        shares.sort_by_key(|(share, _)| !in_use.contains(share));
        together(shares, |(share, sddl)| {
            let in_view = self.running && self.permissions.contains_key(&share);
            async move {
                let mut done = bring(&share, &sddl).await;
                if done.is_ok() && in_view {
                    let order = ["smbd", "close-denied-share", &share];
                    let closed = samba("smbcontrol", &order).await;
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

    /// Ends open connections to shares that are gone. What fails here is done again with the next attempt: only then the
    /// state counts as the one in effect.
    async fn close(&self, effective: &BTreeMap<String, String>) -> Result<(), FilesError> {
        if !self.running {
            return Ok(());
        }
        for share in self.permissions.keys() {
            if !effective.contains_key(share) {
                samba("smbcontrol", &["smbd", "close-share", share]).await?;
            }
        }
        Ok(())
    }
}

/// Does the work for each item, for [`AT_ONCE`] of them at once: each waits for a program of Samba, and that for the disk.
/// The results are in the order in which they come.
async fn together<T, R, W>(items: impl IntoIterator<Item = T>, work: impl Fn(T) -> W) -> Vec<R>
where
    R: Send + 'static,
    W: Future<Output = R> + Send + 'static,
{
    let mut items = items.into_iter();
    let mut running = JoinSet::new();
    let mut results = Vec::new();
    loop {
        for item in items.by_ref().take(AT_ONCE - running.len()) {
            running.spawn(work(item));
        }
        match running.join_next().await {
            Some(Ok(result)) => results.push(result),
            Some(Err(ended)) => std::panic::resume_unwind(ended.into_panic()),
            None => return results,
        }
    }
}

/// Makes the folder of a share, where it is missing, and sets the share's permissions.
async fn bring(share: &str, sddl: &str) -> Result<(), FilesError> {
    let path = Path::new(SHARES).join(share);
    match fs::symlink_metadata(&path) {
        Ok(found) if found.is_dir() => {}
        Ok(_) => {
            let error = io::Error::from(ErrorKind::NotADirectory);
            return Err(FilesError::file("serve", &path, &error));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => new_folder(share, &path).await?,
        Err(error) => return Err(FilesError::file("read", &path, &error)),
    }
    // `--force`: the share is not in the configuration yet.
    samba("sharesec", &["--force", share, "--setsddl", sddl])
        .await
        .map(drop)
}

/// A new folder gets its permissions under another name, so that it is never met without them.
async fn new_folder(share: &str, path: &Path) -> Result<(), FilesError> {
    let fresh = Path::new(SHARES).join(format!(".new-{share}"));
    let failed = |error: io::Error| FilesError::file("create", &fresh, &error);
    // What is left of an attempt that was cut short is empty, or is not ours to remove.
    match fs::remove_dir(&fresh) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    if !is_new_subvolume(&fresh).await {
        fs::create_dir(&fresh).map_err(failed)?;
    }
    // Windows permissions decide; the folder above keeps local users out.
    fs::set_permissions(&fresh, Permissions::from_mode(0o777)).map_err(failed)?;
    let target = fresh.to_string_lossy();
    let args = ["ntacl", "set", smbconf::ROOT_SDDL, &target, "--use-s3fs"];
    match samba("samba-tool", &args).await {
        Err(FilesError::Program { reason, .. }) if reason.contains(NOT_SUPPORTED) => {
            return Err(FilesError::NoAttributes {
                path: path.to_owned(),
            });
        }
        done => done.map(drop)?,
    }
    fs::rename(&fresh, path).map_err(|error| FilesError::file("create", path, &error))
}

/// Makes the folder as a subvolume where the file system has them, so that it can have a quota and snapshots of its own.
/// Where that fails, an ordinary folder serves too.
async fn is_new_subvolume(path: &Path) -> bool {
    let here = matches!(
        btrfs::kind(Path::new(SHARES)),
        Ok(Kind::Plain | Kind::Subvolume)
    );
    here && btrfs::is_installed() && btrfs::create_subvolume(path).await.is_ok()
}

/// Runs a program of Samba with the host's configuration and returns what it wrote to stdout.
pub(super) async fn samba(program: &str, args: &[&str]) -> Result<String, FilesError> {
    let mut all = vec!["--configfile", SMB_CONF];
    if program == "samba-tool" {
        // It takes its options behind the command.
        all.splice(0..0, args.iter().copied());
    } else {
        all.extend(args);
    }
    tools::run(program, &all).await
}
