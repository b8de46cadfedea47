//! The way of events from a request to the directory: bounded, batched, never waited for by a ticket.

use crossrealm_directory::{Directory, EventCategory, NewEvent, Outcome};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Events that may wait for the writer: some seconds of the highest load, a few MiB.
const QUEUE: usize = 16_384;
/// Events of one transaction.
const BATCH: usize = 500;
/// How long events gather before they are written: short, so that an administrator who looks sees them.
const GATHER: Duration = Duration::from_millis(100);
/// How often a failed write is tried again before its events are given up.
const TRIES: u32 = 5;

/// Where events go in. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Audit {
    queue: mpsc::Sender<NewEvent>,
    lost: Arc<AtomicU64>,
}

/// The writer's task.
pub(crate) struct Writer(JoinHandle<()>);

impl Audit {
    /// Starts the writer.
    pub(crate) fn start(directory: Directory) -> (Self, Writer) {
        let (queue, events) = mpsc::channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let writer = tokio::spawn(write(directory, events, Arc::clone(&lost)));
        (Self { queue, lost }, Writer(writer))
    }

    /// Hands an event over. Where the queue is full it is lost, counted, and the loss becomes an event itself.
    pub(crate) fn record(&self, event: NewEvent) {
        if self.queue.try_send(event).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Writer {
    /// Waits until everything is written. Ends once every [`Audit`] is dropped.
    pub(crate) async fn finish(self, patience: Duration) {
        if tokio::time::timeout(patience, self.0).await.is_err() {
            tracing::error!("events were not written before the end");
        }
    }
}

async fn write(directory: Directory, mut events: mpsc::Receiver<NewEvent>, lost: Arc<AtomicU64>) {
    let mut batch = Vec::with_capacity(BATCH);
    while events.recv_many(&mut batch, BATCH).await > 0 {
        if batch.len() < BATCH && !events.is_closed() {
            tokio::time::sleep(GATHER).await;
            while batch.len() < BATCH {
                let Ok(event) = events.try_recv() else { break };
                batch.push(event);
            }
        }
        let count = lost.swap(0, Ordering::Relaxed);
        if count > 0 {
            tracing::error!(
                count,
                "events were lost: more arrived than could be written"
            );
            batch.push(lost_event(count));
        }
        write_batch(&directory, std::mem::take(&mut batch)).await;
    }
}

async fn write_batch(directory: &Directory, batch: Vec<NewEvent>) {
    let mut wait = Duration::from_millis(100);
    for attempt in 1..=TRIES {
        match directory.record_events(batch.clone()).await {
            Ok(()) => return,
            Err(error) if attempt == TRIES => {
                tracing::error!(%error, count = batch.len(), "events were lost: they cannot be written");
            }
            Err(error) => {
                tracing::warn!(%error, "events cannot be written, trying again");
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
        }
    }
}

fn lost_event(count: u64) -> NewEvent {
    NewEvent {
        id: None,
        at_ms: now_ms(),
        tenant: None,
        category: EventCategory::Audit,
        outcome: Outcome::Dropped,
        action: "events.lost".into(),
        reason: "overflow".into(),
        actor: "serve".into(),
        user: String::new(),
        target: String::new(),
        address: None,
        detail: format!("{count} events were lost: more arrived than could be written"),
        trust_key: None,
    }
}

/// The time, in Unix milliseconds.
pub(crate) fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
