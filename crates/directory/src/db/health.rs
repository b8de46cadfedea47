//! What the last writes said about the database, and for how long tickets are issued while nothing can be written.

use crate::store_fault::StoreFault;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

/// How long tickets are issued while no change can be written. A user who is disabled in AD gets none after this, also if
/// the database can be read but not written.
pub const UNWRITABLE_LIMIT: Duration = Duration::from_secs(60);

/// What the last writes said. The path of every ticket reads it; no lock is held across anything that waits.
#[derive(Default)]
pub(crate) struct StoreHealth(RwLock<State>);

#[derive(Default)]
struct State {
    /// When the first write of a series failed, and why the last one did; nothing while writes succeed.
    failing: Option<(Instant, StoreFault)>,
    /// The number of the last heartbeat that this node wrote.
    beat: Option<i64>,
    /// When it did, in this process.
    beat_at: Option<Instant>,
    /// Whether a page was found damaged.
    is_damaged: bool,
}

/// Writes that fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failing {
    /// For how long they do.
    pub(crate) duration: Duration,
    /// Why the last one did.
    pub(crate) fault: StoreFault,
}

impl StoreHealth {
    /// A write was committed.
    pub(crate) fn wrote(&self) {
        if self.read().failing.is_some() {
            self.change(|state| state.failing = None);
        }
    }

    /// A write failed.
    pub(crate) fn failed(&self, fault: StoreFault, now: Instant) {
        self.change(|state| {
            let since = state.failing.map_or(now, |(since, _)| since);
            state.failing = Some((since, fault));
        });
    }

    /// For how long writes fail, and why; `None` while they succeed.
    pub(crate) fn failing(&self, now: Instant) -> Option<Failing> {
        self.read().failing.map(|(since, fault)| Failing {
            duration: now.saturating_duration_since(since),
            fault,
        })
    }

    /// Why no ticket may be issued: nothing could be written for longer than [`UNWRITABLE_LIMIT`], or what is read is no
    /// longer the database.
    pub(crate) fn forbids_tickets(&self, now: Instant) -> Option<Failing> {
        self.failing(now).filter(|failing| {
            failing.duration > UNWRITABLE_LIMIT || failing.fault == StoreFault::Replaced
        })
    }

    /// This node wrote the heartbeat with this number.
    pub(crate) fn beat(&self, number: i64, now: Instant) {
        self.change(|state| (state.beat, state.beat_at) = (Some(number), Some(now)));
    }

    /// This node wrote the heartbeat with this number before it was restarted.
    pub(crate) fn expect(&self, number: i64) {
        self.change(|state| state.beat = Some(number));
    }

    /// The number of the last heartbeat that is known to have been written.
    pub(crate) fn last_beat(&self) -> Option<i64> {
        self.read().beat
    }

    /// Whether this node wrote no heartbeat for so long.
    pub(crate) fn is_beat_due(&self, now: Instant, every: Duration) -> bool {
        let beat_at = self.read().beat_at;
        beat_at.is_none_or(|at| now.saturating_duration_since(at) >= every)
    }

    /// What the last check of all pages found, or that a read met a damaged one.
    pub(crate) fn set_damaged(&self, is_damaged: bool) {
        self.change(|state| state.is_damaged = is_damaged);
    }

    pub(crate) fn is_damaged(&self) -> bool {
        self.read().is_damaged
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R1: a database that can be read but not written stops tickets after the stated bound, counted from the first failed
    /// write, and one write that succeeds brings them back.
    #[test]
    fn tickets_stop_a_minute_after_the_first_failed_write() {
        let base = Instant::now();
        let at = |seconds| base + Duration::from_secs(seconds);
        let health = StoreHealth::default();
        assert_eq!(health.failing(at(1_000)), None);
        health.failed(StoreFault::Io, at(1_000));
        health.failed(StoreFault::Full, at(1_050));
        assert_eq!(health.forbids_tickets(at(1_060)), None);
        let failing = Failing {
            duration: Duration::from_secs(61),
            fault: StoreFault::Full,
        };
        assert_eq!(health.forbids_tickets(at(1_061)), Some(failing));
        health.wrote();
        assert_eq!(health.failing(at(2_000)), None);
    }
}
