//! A share's quota: what is known of it, and how it stands with Btrfs.

use crate::error::FilesError;
use crate::worker::btrfs::{self, Usage, Usages};
use crossrealm_os::clock;
use crossrealm_types::{HostQuota, QuotaHow};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Instant;

/// A share with less free space than this counts as full, in bytes: clients write in chunks, and the last one does not fit.
const FULL: u64 = 8 << 20;
/// The longest reason in a report, in characters.
const MAX_REASON: usize = 160;

/// The quota of a share.
pub(super) struct ShareQuota {
    pub(super) limit: u64,
    pub(super) used: Option<u64>,
    pub(super) how: QuotaHow,
    pub(super) problem: QuotaProblem,
    pub(super) full_since: Option<i64>,
    /// The device and the id of the subvolume; another device means another subvolume.
    subvolume: Option<(u64, u64)>,
    /// When its files are counted next.
    pub(super) count_at: Instant,
    /// Why the last count failed.
    pub(super) not_counted: Option<String>,
}

/// Why a quota is not enforced, or its numbers are wrong, and what to do.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct QuotaProblem {
    pub(super) reason: Option<String>,
    pub(super) hint: Option<String>,
}

impl QuotaProblem {
    pub(super) fn new(reason: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            reason: Some(reason.into()),
            hint: Some(hint.into()),
        }
    }

    pub(super) fn failed(error: &FilesError) -> Self {
        Self {
            reason: Some(error.to_string()),
            hint: None,
        }
    }
}

impl ShareQuota {
    /// A quota that was not compared with Btrfs yet, of a share that was not counted yet.
    pub(super) fn new(limit: u64) -> Self {
        Self {
            limit,
            used: None,
            how: QuotaHow::Unknown,
            problem: QuotaProblem::default(),
            full_since: None,
            subvolume: None,
            count_at: Instant::now(),
            not_counted: None,
        }
    }

    /// Compares the quota with Btrfs, and sets a limit that differs again.
    pub(super) async fn compare_with_btrfs(
        &mut self,
        directory: &Path,
        usages: &Usages,
    ) -> (QuotaHow, QuotaProblem) {
        let usage = match self.usage(directory, usages).await {
            Ok(usage) => usage,
            Err(error) => return (QuotaHow::Unknown, QuotaProblem::failed(&error)),
        };
        if usage.is_none_or(|usage| usage.limit != Some(self.limit)) {
            let problem = match btrfs::set_limit(directory, Some(self.limit)).await {
                Ok(()) => QuotaProblem {
                    reason: Some("Btrfs had another limit; it was set again just now".to_owned()),
                    hint: None,
                },
                Err(error) => QuotaProblem::failed(&error),
            };
            return (QuotaHow::Unknown, problem);
        }
        if let Some(usage) = usage {
            self.used = Some(usage.used);
        }
        let problem = QuotaProblem {
            reason: usages.warning.clone(),
            hint: None,
        };
        (QuotaHow::Enforced, problem)
    }

    async fn usage(
        &mut self,
        directory: &Path,
        usages: &Usages,
    ) -> Result<Option<Usage>, FilesError> {
        let meta = fs::symlink_metadata(directory);
        let device = meta
            .map_err(|error| FilesError::file("read", directory, &error))?
            .dev();
        let id = match self.subvolume {
            Some((same, id)) if same == device && usages.of.contains_key(&id) => id,
            _ => btrfs::id(directory).await?,
        };
        self.subvolume = Some((device, id));
        Ok(usages.of.get(&id).copied())
    }

    /// Takes over how the quota is enforced, and whether the share is full.
    pub(super) fn update(&mut self, how: QuotaHow, problem: QuotaProblem) {
        (self.how, self.problem) = match (&self.not_counted, how) {
            (Some(reason), QuotaHow::ShownOnly) => {
                self.used = None;
                (
                    QuotaHow::Unknown,
                    QuotaProblem {
                        reason: Some(reason.clone()),
                        hint: None,
                    },
                )
            }
            _ => (how, problem),
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

    /// The quota for the host's report.
    pub(super) fn report(&self, share: &str) -> HostQuota {
        let short = |text: &Option<String>| Some(text.as_ref()?.chars().take(MAX_REASON).collect());
        HostQuota {
            share: share.to_owned(),
            limit_bytes: self.limit,
            used_bytes: self.used,
            how: self.how,
            reason: short(&self.problem.reason),
            hint: short(&self.problem.hint),
            full_since: self.full_since,
        }
    }
}
