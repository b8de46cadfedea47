//! Quotas of shares. Where a share is a subvolume of Btrfs, the file system holds users to its quota. Elsewhere they are shown
//! it as the size of the share, and what is left of it as its free space, by a count that is made now and then.
//!
//! What is told of a quota is what was seen: the limit that Btrfs says it has, not that it was once set. Nothing here keeps a
//! share from being served.

use super::btrfs::{self, Kind, Usage, Usages};
use super::count;
use crate::error::FilesError;
use crate::file;
use crate::pipe::Report;
use crate::places::{HOST, QUOTA_SIZES, SHARES};
use crossrealm_api::{HostQuota, HostState, MAX_REPORTED_QUOTAS, QuotaHow};
use crossrealm_os::clock;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

/// How often it is looked what Btrfs says, and whether a count is due.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// The shortest pause between two counts of a share.
const COUNT_EVERY: Duration = Duration::from_secs(10);
/// The pause is at least this many times what the count took.
const COUNT_REST: u32 = 20;
/// How often Btrfs is asked to count anew, where it says that it lost count.
const RESCAN_EVERY: Duration = Duration::from_secs(3600);
/// A share with less room than this is called full, in bytes: clients write in pieces, and the last one does not fit.
const FULL: u64 = 8 << 20;
/// The longest reason in a report, in characters.
const MAX_REASON: usize = 160;

/// The shares with a quota and how much each may hold, in bytes.
type Wanted = BTreeMap<String, u64>;

/// The quotas in effect.
pub(super) struct Quotas {
    wanted: watch::Sender<Wanted>,
    /// The shares whose folders have a limit that this host set, in this life or one before.
    limited: BTreeSet<String>,
}

impl Quotas {
    /// Begins to look after quotas, of which there are none yet.
    pub fn begin() -> Self {
        let (wanted, wanted_now) = watch::channel(Wanted::new());
        tokio::spawn(keep(wanted_now));
        Self {
            wanted,
            limited: load_limited(),
        }
    }

    /// Puts the quotas of the shares into effect, whose folders are there. What does not succeed is tried again, and told
    /// of, by the task that looks after them.
    pub async fn put(&mut self, state: &HostState) {
        let with_quota = state.shares.iter().filter_map(|share| {
            let gib = share.quota_gib?;
            Some((share.name.clone(), u64::from(gib) << 30))
        });
        let wanted: Wanted = with_quota.collect();
        let before = self.wanted.borrow().clone();
        let changed: Vec<(&String, u64)> = wanted
            .iter()
            .filter(|(share, limit)| before.get(*share) != Some(limit))
            .map(|(share, limit)| (share, *limit))
            .collect();
        if !changed.is_empty() {
            turn_on().await;
        }
        for (share, limit) in changed {
            if is_subvolume(share) {
                self.remember(|limited| limited.insert(share.clone()));
                let _ = btrfs::set_limit(&folder(share), Some(limit)).await;
            }
            // Before the share comes into view: smbd asks for it with the first look at its size.
            let _ = write_size(share, limit, None);
        }
        for share in state.shares.iter().map(|share| &share.name) {
            if !wanted.contains_key(share) && self.limited.contains(share) {
                let gone = !is_subvolume(share);
                if gone || btrfs::set_limit(&folder(share), None).await.is_ok() {
                    self.remember(|limited| limited.remove(share));
                }
            }
        }
        if wanted != before {
            self.wanted.send_replace(wanted);
        }
    }

    /// Changes what this host remembers of the limits it set. Without that memory a quota that is taken away while the host
    /// is down would stay; that is no reason not to serve.
    fn remember(&mut self, change: impl FnOnce(&mut BTreeSet<String>) -> bool) {
        if change(&mut self.limited)
            && let Ok(json) = serde_json::to_vec(&self.limited)
        {
            let _ = file::replace(&limited_path(), &json);
        }
    }
}

fn limited_path() -> PathBuf {
    Path::new(HOST).join("quota-limits.json")
}

fn load_limited() -> BTreeSet<String> {
    let known = fs::read(limited_path())
        .ok()
        .and_then(|json| serde_json::from_slice(&json).ok());
    let mut known: BTreeSet<String> = known.unwrap_or_default();
    // Of a share that was deleted the folder is kept, and its limit with it, until either is wanted no more.
    known.retain(|share| crate::check::is_share_name(share) && folder(share).is_dir());
    known
}

fn folder(share: &str) -> PathBuf {
    Path::new(SHARES).join(share)
}

fn is_subvolume(share: &str) -> bool {
    matches!(btrfs::kind(&folder(share)), Ok(Kind::Subvolume))
}

/// Turns the quotas of the file system on, where it is Btrfs and they are off.
async fn turn_on() {
    let shares = Path::new(SHARES);
    let here = matches!(btrfs::kind(shares), Ok(Kind::Plain | Kind::Subvolume));
    if here
        && btrfs::is_installed()
        && let Err(error) = btrfs::usages(shares).await
        && btrfs::says_off(&error)
    {
        let _ = btrfs::enable_quotas(shares).await;
    }
}

/// Tells smbd what to tell clients of a share, by a program for its `dfree command`, which takes no arguments: the size,
/// what is free of it, and the unit of both, in bytes. Samba takes 0 for a number that is missing and puts 1024 in its place,
/// so that the unit has to be small.
fn write_size(share: &str, limit: u64, used: Option<u64>) -> io::Result<()> {
    let disk = rustix::fs::statvfs(folder(share))?;
    let disk_free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let free = limit.saturating_sub(used.unwrap_or(0)).min(disk_free);
    let path = Path::new(QUOTA_SIZES).join(share);
    let text = format!("#!/bin/sh\necho {limit} {free} 1\n");
    if fs::read_to_string(&path).is_ok_and(|known| known == text) {
        return Ok(());
    }
    // smbd runs it as the user.
    crossrealm_os::file::replace(&path, text.as_bytes(), 0o755)
}

/// Looks after the quotas until nobody wants them any more.
async fn keep(mut wanted: watch::Receiver<Wanted>) {
    let mut keeper = Keeper::default();
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            changed = wanted.changed() => {
                if changed.is_err() {
                    return;
                }
                keeper.want(&wanted.borrow_and_update());
            }
            _ = looks.tick() => {}
            done = keeper.count_done() => keeper.counted(done),
        }
        keeper.look().await;
        keeper.begin_count();
        keeper.tell();
    }
}

/// A share with a quota.
struct Kept {
    limit: u64,
    used: Option<u64>,
    how: QuotaHow,
    why: Why,
    full_since: Option<i64>,
    /// The id of the subvolume, with the device by which it is known that it is still the same one.
    subvolume: Option<(u64, u64)>,
    /// When it is to be counted next.
    count_at: Instant,
    /// Why the last count failed.
    not_counted: Option<String>,
}

/// Why a quota is not enforced, or its numbers not right, and what to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Why {
    reason: Option<String>,
    hint: Option<String>,
}

impl Why {
    fn new(reason: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            reason: Some(reason.into()),
            hint: Some(hint.into()),
        }
    }

    fn failed(error: &FilesError) -> Self {
        Self {
            reason: Some(error.to_string()),
            hint: None,
        }
    }
}

/// A count that goes on.
struct Counting {
    share: String,
    began: Instant,
    stop: Arc<AtomicBool>,
    task: JoinHandle<io::Result<u64>>,
}

#[derive(Default)]
struct Keeper {
    shares: BTreeMap<String, Kept>,
    counting: Option<Counting>,
    rescanned: Option<Instant>,
    told: Option<Report>,
    warned: BTreeSet<Why>,
}

impl Keeper {
    /// Takes over which shares have which quota.
    fn want(&mut self, wanted: &Wanted) {
        self.shares.retain(|share, _| wanted.contains_key(share));
        for (share, limit) in wanted {
            let kept = self.shares.entry(share.clone()).or_insert_with(|| Kept {
                limit: *limit,
                used: None,
                how: QuotaHow::Unknown,
                why: Why::default(),
                full_since: None,
                subvolume: None,
                count_at: Instant::now(),
                not_counted: None,
            });
            kept.limit = *limit;
        }
        if let Some(counting) = &self.counting
            && !self.shares.contains_key(&counting.share)
        {
            counting.stop.store(true, Ordering::Relaxed);
        }
    }

    /// Sees how each quota stands.
    async fn look(&mut self) {
        let mut seen: Option<Result<Usages, FilesError>> = None;
        for (share, kept) in &mut self.shares {
            let folder = folder(share);
            let (how, why) = match btrfs::kind(&folder) {
                Err(error) => (
                    QuotaHow::Unknown,
                    Why {
                        reason: Some(format!("the folder cannot be read: {error}")),
                        hint: None,
                    },
                ),
                Ok(Kind::Elsewhere(name)) => (
                    QuotaHow::ShownOnly,
                    Why::new(
                        format!("{name} has no limit that this host can set"),
                        "put the data on Btrfs",
                    ),
                ),
                Ok(Kind::Plain) => (
                    QuotaHow::ShownOnly,
                    Why::new(
                        "its folder is an ordinary one, and Btrfs limits subvolumes",
                        "docs/guide/smb-host.md tells how to move the files into a subvolume",
                    ),
                ),
                Ok(Kind::Subvolume) if !btrfs::is_installed() => (
                    QuotaHow::ShownOnly,
                    Why::new(
                        "the program `btrfs` is missing",
                        "install it: `apt-get install btrfs-progs`",
                    ),
                ),
                Ok(Kind::Subvolume) => {
                    if seen.is_none() {
                        seen = Some(btrfs::usages(Path::new(SHARES)).await);
                    }
                    match seen.as_ref() {
                        Some(Ok(usages)) => kept.by_btrfs(&folder, usages).await,
                        Some(Err(error)) if btrfs::says_off(error) => (
                            QuotaHow::ShownOnly,
                            Why::new(
                                "quotas are off on this file system",
                                format!(
                                    "turn them on: `btrfs quota enable {SHARES}`; the limits are then set again"
                                ),
                            ),
                        ),
                        Some(Err(error)) => (QuotaHow::ShownOnly, Why::failed(error)),
                        None => continue,
                    }
                }
            };
            kept.seen(how, why);
            let _ = write_size(share, kept.limit, kept.used);
        }
        if let Some(Ok(Usages {
            warning: Some(warning),
            ..
        })) = &seen
        {
            self.count_anew(warning).await;
        }
    }

    /// Has Btrfs count anew where it lost count, as it does when a large snapshot is deleted.
    async fn count_anew(&mut self, warning: &str) {
        let lately = self.rescanned.is_some_and(|at| at.elapsed() < RESCAN_EVERY);
        if warning.contains("inconsistent") && !lately {
            self.rescanned = Some(Instant::now());
            let _ = btrfs::count_anew(Path::new(SHARES)).await;
        }
    }

    /// Begins to count the share that has waited longest, where one is due and no count goes on.
    fn begin_count(&mut self) {
        let now = Instant::now();
        let due = self
            .shares
            .iter()
            .filter(|(_, kept)| kept.how != QuotaHow::Enforced && kept.count_at <= now);
        if self.counting.is_some() {
            return;
        }
        let Some((share, _)) = due.min_by_key(|(_, kept)| kept.count_at) else {
            return;
        };
        let stop = Arc::new(AtomicBool::new(false));
        let (root, flag) = (folder(share), Arc::clone(&stop));
        self.counting = Some(Counting {
            share: share.clone(),
            began: now,
            stop,
            task: tokio::task::spawn_blocking(move || count::occupied(&root, &flag)),
        });
    }

    /// The end of the count that goes on; never, where none does.
    async fn count_done(&mut self) -> io::Result<u64> {
        match &mut self.counting {
            Some(counting) => (&mut counting.task)
                .await
                .unwrap_or_else(|error| Err(io::Error::other(error))),
            None => std::future::pending().await,
        }
    }

    fn counted(&mut self, result: io::Result<u64>) {
        let Some(counting) = self.counting.take() else {
            return;
        };
        let took = counting.began.elapsed();
        if let Some(kept) = self.shares.get_mut(&counting.share) {
            kept.count_at = Instant::now() + COUNT_EVERY.max(took * COUNT_REST);
            match result {
                Ok(bytes) => {
                    kept.used = Some(bytes);
                    kept.not_counted = None;
                }
                Err(error) => kept.not_counted = Some(format!("cannot count the files: {error}")),
            }
        }
    }

    /// Reports what changed, and warns once of each reason for which a quota is not enforced.
    fn tell(&mut self) {
        let mut all: Vec<HostQuota> = self
            .shares
            .iter()
            .map(|(share, kept)| kept.told(share))
            .collect();
        let count = u32::try_from(all.len()).unwrap_or(u32::MAX);
        all.sort_by_key(|quota| std::cmp::Reverse(per_mille(quota)));
        all.truncate(MAX_REPORTED_QUOTAS);
        let report = Report::Quotas { count, quotas: all };
        if self.told.as_ref() != Some(&report) && (count > 0 || self.told.is_some()) {
            super::report(&report);
            self.told = Some(report);
        }
        let mut reasons: BTreeMap<&Why, Vec<&str>> = BTreeMap::new();
        for (share, kept) in &self.shares {
            if kept.how != QuotaHow::Enforced && kept.why.reason.is_some() {
                reasons.entry(&kept.why).or_default().push(share);
            }
        }
        for (why, shares) in &reasons {
            if !self.warned.contains(*why) {
                super::report(&Report::Warning(warning(why, shares)));
            }
        }
        self.warned = reasons.into_keys().cloned().collect();
    }
}

impl Kept {
    /// How the quota stands by what Btrfs says. A limit that is another one is set again.
    async fn by_btrfs(&mut self, folder: &Path, usages: &Usages) -> (QuotaHow, Why) {
        let usage = match self.usage(folder, usages).await {
            Ok(usage) => usage,
            Err(error) => return (QuotaHow::Unknown, Why::failed(&error)),
        };
        if usage.is_none_or(|usage| usage.limit != Some(self.limit)) {
            let why = match btrfs::set_limit(folder, Some(self.limit)).await {
                Ok(()) => Why {
                    reason: Some(
                        "Btrfs had another limit, which was set again just now".to_owned(),
                    ),
                    hint: None,
                },
                Err(error) => Why::failed(&error),
            };
            return (QuotaHow::Unknown, why);
        }
        if let Some(usage) = usage {
            self.used = Some(usage.used);
        }
        let why = Why {
            reason: usages.warning.clone(),
            hint: None,
        };
        (QuotaHow::Enforced, why)
    }

    async fn usage(&mut self, folder: &Path, usages: &Usages) -> Result<Option<Usage>, FilesError> {
        let meta = fs::symlink_metadata(folder);
        let device = meta
            .map_err(|error| FilesError::file("read", folder, &error))?
            .dev();
        let id = match self.subvolume {
            Some((same, id)) if same == device && usages.of.contains_key(&id) => id,
            _ => btrfs::id(folder).await?,
        };
        self.subvolume = Some((device, id));
        Ok(usages.of.get(&id).copied())
    }

    fn seen(&mut self, how: QuotaHow, why: Why) {
        (self.how, self.why) = match (&self.not_counted, how) {
            (Some(reason), QuotaHow::ShownOnly) => {
                self.used = None;
                (
                    QuotaHow::Unknown,
                    Why {
                        reason: Some(reason.clone()),
                        hint: None,
                    },
                )
            }
            _ => (how, why),
        };
        let full = self
            .used
            .is_some_and(|used| self.limit.saturating_sub(used) < FULL);
        self.full_since = match (full, self.full_since) {
            (false, _) => None,
            (true, Some(since)) => Some(since),
            (true, None) => Some(clock::now_s()),
        };
    }

    fn told(&self, share: &str) -> HostQuota {
        let short = |text: &Option<String>| Some(text.as_ref()?.chars().take(MAX_REASON).collect());
        HostQuota {
            share: share.to_owned(),
            limit_bytes: self.limit,
            used_bytes: self.used,
            how: self.how,
            reason: short(&self.why.reason),
            hint: short(&self.why.hint),
            full_since: self.full_since,
        }
    }
}

fn per_mille(quota: &HostQuota) -> u128 {
    u128::from(quota.used_bytes.unwrap_or(0)) * 1000 / u128::from(quota.limit_bytes.max(1))
}

fn warning(why: &Why, shares: &[&str]) -> String {
    let mut named: Vec<String> = shares
        .iter()
        .take(5)
        .map(|share| format!("`{share}`"))
        .collect();
    if shares.len() > named.len() {
        named.push(format!("{} more", shares.len() - named.len()));
    }
    let reason = why.reason.as_deref().unwrap_or_default();
    let hint = why
        .hint
        .as_ref()
        .map_or(String::new(), |hint| format!("; {hint}"));
    format!(
        "quotas are not enforced on {}: {reason}{hint}",
        named.join(", ")
    )
}
