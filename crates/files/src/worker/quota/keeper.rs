//! The task that keeps the quotas: compares them with Btrfs, counts where Btrfs does not enforce them, and reports.

use super::disk_usage;
use super::share_quota::{QuotaProblem, ShareQuota};
use super::share_size::{share_directory, write_size};
use crate::error::FilesError;
use crate::ipc::WorkerReport;
use crate::paths::SHARES;
use crate::worker::btrfs::{self, DirectoryKind, Usages};
use crate::worker::reports;
use crossrealm_types::{HostQuota, MAX_REPORTED_QUOTAS, QuotaHow};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

/// How often the quotas are compared with Btrfs, and a due count is started.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// The shortest pause between two counts of a share.
const COUNT_INTERVAL: Duration = Duration::from_secs(10);
/// The pause is at least this many times the duration of the count.
const COUNT_REST: u32 = 20;
/// How often a rescan is started, where Btrfs reports inconsistent quotas.
const RESCAN_INTERVAL: Duration = Duration::from_secs(3600);

/// The shares with a quota and their limits in bytes.
pub(super) type Limits = BTreeMap<String, u64>;

/// Keeps the quotas until the sender of the limits is dropped.
pub(super) async fn run(mut limits: watch::Receiver<Limits>) {
    let mut keeper = Keeper::default();
    let mut checks = tokio::time::interval(CHECK_INTERVAL);
    checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            changed = limits.changed() => {
                if changed.is_err() {
                    return;
                }
                keeper.set_limits(&limits.borrow_and_update());
            }
            _ = checks.tick() => {}
            done = keeper.count_done() => keeper.finish_count(done),
        }
        keeper.check().await;
        keeper.start_count();
        keeper.report();
    }
}

/// A running count.
struct Count {
    share: String,
    began: Instant,
    stop: Arc<AtomicBool>,
    task: JoinHandle<io::Result<u64>>,
}

#[derive(Default)]
struct Keeper {
    shares: BTreeMap<String, ShareQuota>,
    counting: Option<Count>,
    rescanned: Option<Instant>,
    reported: Option<WorkerReport>,
    warned: BTreeSet<QuotaProblem>,
}

impl Keeper {
    /// Sets which shares have which limit.
    fn set_limits(&mut self, limits: &Limits) {
        self.shares.retain(|share, _| limits.contains_key(share));
        for (share, limit) in limits {
            let quota = self.shares.entry(share.clone());
            let quota = quota.or_insert_with(|| ShareQuota::new(*limit));
            quota.limit = *limit;
        }
        if let Some(counting) = &self.counting
            && !self.shares.contains_key(&counting.share)
        {
            counting.stop.store(true, Ordering::Relaxed);
        }
    }

    /// Compares each quota with its directory and with Btrfs.
    async fn check(&mut self) {
        let mut fetched: Option<Result<Usages, FilesError>> = None;
        for (share, quota) in &mut self.shares {
            let directory = share_directory(share);
            let (how, problem) = match btrfs::kind(&directory) {
                Err(error) => (
                    QuotaHow::Unknown,
                    QuotaProblem {
                        reason: Some(format!("the directory cannot be read: {error}")),
                        hint: None,
                    },
                ),
                Ok(DirectoryKind::OtherFileSystem(name)) => (
                    QuotaHow::ShownOnly,
                    QuotaProblem::new(
                        format!("this host cannot set limits on {name}"),
                        "put the data on Btrfs",
                    ),
                ),
                Ok(DirectoryKind::Plain) => (
                    QuotaHow::ShownOnly,
                    QuotaProblem::new(
                        "its directory is an ordinary one, and Btrfs limits only subvolumes",
                        "move the files into a subvolume, as the page *Run an SMB host* of the guide shows",
                    ),
                ),
                Ok(DirectoryKind::Subvolume) if !btrfs::is_installed() => (
                    QuotaHow::ShownOnly,
                    QuotaProblem::new(
                        "the program `btrfs` is missing",
                        "install it: `apt-get install btrfs-progs`",
                    ),
                ),
                Ok(DirectoryKind::Subvolume) => {
                    if fetched.is_none() {
                        fetched = Some(btrfs::usages(Path::new(SHARES)).await);
                    }
                    match fetched.as_ref() {
                        Some(Ok(usages)) => quota.compare_with_btrfs(&directory, usages).await,
                        Some(Err(error)) if btrfs::quotas_are_off(error) => (
                            QuotaHow::ShownOnly,
                            QuotaProblem::new(
                                "quotas are off on this file system",
                                format!(
                                    "enable them: `btrfs quota enable {SHARES}`; the limits are then set again"
                                ),
                            ),
                        ),
                        Some(Err(error)) => (QuotaHow::ShownOnly, QuotaProblem::failed(error)),
                        None => continue,
                    }
                }
            };
            quota.update(how, problem);
            let _ = write_size(share, quota.limit, quota.used);
        }
        if let Some(Ok(Usages {
            warning: Some(warning),
            ..
        })) = &fetched
        {
            self.rescan(warning).await;
        }
    }

    /// Starts a rescan where Btrfs reports inconsistent quotas, as after the deletion of a large snapshot.
    async fn rescan(&mut self, warning: &str) {
        let recently = self
            .rescanned
            .is_some_and(|at| at.elapsed() < RESCAN_INTERVAL);
        if warning.contains("inconsistent") && !recently {
            self.rescanned = Some(Instant::now());
            let _ = btrfs::rescan(Path::new(SHARES)).await;
        }
    }

    /// Starts to count the share that has waited longest, where one is due and no count runs.
    fn start_count(&mut self) {
        let now = Instant::now();
        let due = self
            .shares
            .iter()
            .filter(|(_, quota)| quota.how != QuotaHow::Enforced && quota.count_at <= now);
        if self.counting.is_some() {
            return;
        }
        let Some((share, _)) = due.min_by_key(|(_, quota)| quota.count_at) else {
            return;
        };
        let stop = Arc::new(AtomicBool::new(false));
        let (root, flag) = (share_directory(share), Arc::clone(&stop));
        self.counting = Some(Count {
            share: share.clone(),
            began: now,
            stop,
            task: tokio::task::spawn_blocking(move || disk_usage::allocated_bytes(&root, &flag)),
        });
    }

    /// Waits for the end of the running count; forever, where none runs.
    async fn count_done(&mut self) -> io::Result<u64> {
        match &mut self.counting {
            Some(counting) => (&mut counting.task)
                .await
                .unwrap_or_else(|error| Err(io::Error::other(error))),
            None => std::future::pending().await,
        }
    }

    fn finish_count(&mut self, result: io::Result<u64>) {
        let Some(counting) = self.counting.take() else {
            return;
        };
        let took = counting.began.elapsed();
        if let Some(quota) = self.shares.get_mut(&counting.share) {
            quota.count_at = Instant::now() + COUNT_INTERVAL.max(took * COUNT_REST);
            match result {
                Ok(bytes) => {
                    quota.used = Some(bytes);
                    quota.not_counted = None;
                }
                Err(error) => quota.not_counted = Some(format!("cannot count the files: {error}")),
            }
        }
    }

    /// Reports changes, and logs each reason once for which a quota is not enforced.
    fn report(&mut self) {
        let mut all: Vec<HostQuota> = self
            .shares
            .iter()
            .map(|(share, quota)| quota.report(share))
            .collect();
        let count = u32::try_from(all.len()).unwrap_or(u32::MAX);
        all.sort_by_key(|quota| std::cmp::Reverse(per_mille(quota)));
        all.truncate(MAX_REPORTED_QUOTAS);
        let report = WorkerReport::Quotas { count, quotas: all };
        if self.reported.as_ref() != Some(&report) && (count > 0 || self.reported.is_some()) {
            reports::send(&report);
            self.reported = Some(report);
        }
        let mut reasons: BTreeMap<&QuotaProblem, Vec<&str>> = BTreeMap::new();
        for (share, quota) in &self.shares {
            if quota.how != QuotaHow::Enforced && quota.problem.reason.is_some() {
                reasons.entry(&quota.problem).or_default().push(share);
            }
        }
        for (problem, shares) in &reasons {
            if !self.warned.contains(*problem) {
                reports::send(&WorkerReport::Warning(warning(problem, shares)));
            }
        }
        self.warned = reasons.into_keys().cloned().collect();
    }
}

fn per_mille(quota: &HostQuota) -> u128 {
    u128::from(quota.used_bytes.unwrap_or(0)) * 1000 / u128::from(quota.limit_bytes.max(1))
}

fn warning(problem: &QuotaProblem, shares: &[&str]) -> String {
    let mut named: Vec<String> = shares
        .iter()
        .take(5)
        .map(|share| format!("`{share}`"))
        .collect();
    if shares.len() > named.len() {
        named.push(format!("{} more", shares.len() - named.len()));
    }
    let reason = problem.reason.as_deref().unwrap_or_default();
    let hint = problem
        .hint
        .as_ref()
        .map_or(String::new(), |hint| format!("; {hint}"));
    format!(
        "quotas are not enforced on {}: {reason}{hint}",
        named.join(", ")
    )
}
