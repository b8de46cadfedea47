//! How long the database takes, and how it fails, for a program that counts both.

use crate::store_fault::StoreFault;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A step whose time is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreStep {
    /// A writing transaction begins, when the writers before it have ended.
    Begin,
    /// It is committed.
    Commit,
    /// The rows are read that show whether the database can be used.
    Read,
    /// A heartbeat is written, from its begin to its commit.
    Heartbeat,
}

impl StoreStep {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 4] = [Self::Begin, Self::Commit, Self::Read, Self::Heartbeat];

    /// The stable word for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::Commit => "commit",
            Self::Read => "read",
            Self::Heartbeat => "heartbeat",
        }
    }
}

/// Counts what it is called with. It must not wait: it is called where the database is used.
pub trait StoreObserver: Send + Sync {
    /// A step ended, well or not.
    fn took(&self, step: StoreStep, time: Duration);
    /// A use of the database failed.
    fn failed(&self, fault: StoreFault);
}

/// The observer, if there is one.
#[derive(Default)]
pub(crate) struct Observed(OnceLock<Box<dyn StoreObserver>>);

impl Observed {
    /// The first one stays.
    pub(crate) fn set(&self, observer: Box<dyn StoreObserver>) {
        let _ = self.0.set(observer);
    }

    pub(crate) async fn time<T>(&self, step: StoreStep, work: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let done = work.await;
        if let Some(observer) = self.0.get() {
            observer.took(step, began.elapsed());
        }
        done
    }

    pub(crate) fn failed(&self, fault: StoreFault) {
        if let Some(observer) = self.0.get() {
            observer.failed(fault);
        }
    }
}
