//! Quotas of shares. Where the directory of a share is a Btrfs subvolume, the file system enforces the quota. Elsewhere the quota
//! is only shown, as the size of the share, with the free space from a periodic count of its files.
//!
//! A report states what was observed: the limit that Btrfs has, not the limit that was set once. A failure here never prevents a
//! share from being served.

mod disk_usage;
mod keeper;
mod share_quota;
mod share_size;

use super::btrfs::{self, DirectoryKind};
use crate::check;
use crate::file;
use crate::paths::{HOST, SHARES};
use crossrealm_api::HostState;
use keeper::Limits;
use share_size::{share_directory, write_size};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use tokio::sync::watch;

/// The quotas in effect.
pub(super) struct Quotas {
    wanted: watch::Sender<Limits>,
    /// The shares on whose directories this host set a limit, in this process or an earlier one.
    limited: BTreeSet<String>,
}

impl Quotas {
    /// Starts without quotas.
    pub(super) fn start() -> Self {
        let (wanted, limits) = watch::channel(Limits::new());
        tokio::spawn(keeper::run(limits));
        Self {
            wanted,
            limited: load_limited_shares(),
        }
    }

    /// Puts the quotas of the shares into effect; their directories exist. The keeper repeats and reports what fails.
    pub(super) async fn apply(&mut self, state: &HostState) {
        let with_quota = state.shares.iter().filter_map(|share| {
            let gib = share.quota_gib?;
            Some((share.name.clone(), u64::from(gib) << 30))
        });
        let wanted: Limits = with_quota.collect();
        let before = self.wanted.borrow().clone();
        let changed: Vec<(&String, u64)> = wanted
            .iter()
            .filter(|(share, limit)| before.get(*share) != Some(limit))
            .map(|(share, limit)| (share, *limit))
            .collect();
        if !changed.is_empty() {
            enable_quotas().await;
        }
        for (share, limit) in changed {
            if is_subvolume(share) {
                self.remember(|limited| limited.insert(share.clone()));
                let _ = btrfs::set_limit(&share_directory(share), Some(limit)).await;
            }
            // Before the share becomes visible: smbd runs it at the first request for the share's size.
            let _ = write_size(share, limit, None);
        }
        for share in state.shares.iter().map(|share| &share.name) {
            if !wanted.contains_key(share) && self.limited.contains(share) {
                let is_gone = !is_subvolume(share);
                if is_gone
                    || btrfs::set_limit(&share_directory(share), None)
                        .await
                        .is_ok()
                {
                    self.remember(|limited| limited.remove(share));
                }
            }
        }
        if wanted != before {
            self.wanted.send_replace(wanted);
        }
    }

    /// Changes the persistent set of shares with a limit. It lets a quota be removed that was revoked while the host was down; a
    /// failure to write it does not prevent serving.
    fn remember(&mut self, change: impl FnOnce(&mut BTreeSet<String>) -> bool) {
        if change(&mut self.limited)
            && let Ok(json) = serde_json::to_vec(&self.limited)
        {
            let _ = file::replace(&limited_shares_path(), &json);
        }
    }
}

fn limited_shares_path() -> PathBuf {
    Path::new(HOST).join("quota-limits.json")
}

fn load_limited_shares() -> BTreeSet<String> {
    let known = fs::read(limited_shares_path())
        .ok()
        .and_then(|json| serde_json::from_slice(&json).ok());
    let mut known: BTreeSet<String> = known.unwrap_or_default();
    // A deleted share keeps its directory, and that its limit.
    known.retain(|share| check::share_key(share).is_some() && share_directory(share).is_dir());
    known
}

fn is_subvolume(share: &str) -> bool {
    matches!(
        btrfs::kind(&share_directory(share)),
        Ok(DirectoryKind::Subvolume)
    )
}

/// Enables the quotas of the file system, where it is Btrfs and they are off.
async fn enable_quotas() {
    let shares = Path::new(SHARES);
    let is_btrfs = matches!(
        btrfs::kind(shares),
        Ok(DirectoryKind::Plain | DirectoryKind::Subvolume)
    );
    if is_btrfs
        && btrfs::is_installed()
        && let Err(error) = btrfs::usages(shares).await
        && btrfs::quotas_are_off(&error)
    {
        let _ = btrfs::enable_quotas(shares).await;
    }
}
