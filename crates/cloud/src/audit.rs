//! The queue of events from requests to the directory: bounded and batched; no ticket waits for it.

use crossrealm_directory::{Actor, Directory, NewEvent};
use crossrealm_kdc::TenantId;
use crossrealm_os::retry;
use crossrealm_types::{EventOutcome, IdentityKind, Sid};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// The capacity of the queue: some seconds of the highest load, a few MiB.
const QUEUE: usize = 16_384;
/// The most events of one transaction.
const BATCH: usize = 500;
/// How long events are collected before they are written: short, so that administrators see them soon.
const GATHER: Duration = Duration::from_millis(100);
/// How often a write is tried before its events are dropped, unless it fails because the database is unavailable.
const TRIES: u32 = 5;
/// How long a write may take before it is tried again.
const LONGEST_WRITE: Duration = Duration::from_secs(60);
/// The first and the longest pause between two attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How many users' names the writer caches, and for how long.
const NAMES: usize = 10_000;
const NAMES_FRESH: Duration = Duration::from_secs(60);

/// A queued event, and the SID of the user it concerns if the UPN is to be looked up.
struct Waiting {
    event: NewEvent,
    sid: Option<Sid>,
}

/// The sender of the queue. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Audit {
    queue: mpsc::Sender<Waiting>,
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

    /// Queues an event. If the queue is full, the event is lost and counted, and the loss is recorded as an event.
    pub(crate) fn record(&self, event: NewEvent) {
        self.push(Waiting { event, sid: None });
    }

    /// Queues an event about the user with this SID; the writer looks up the UPN, off the ticket path, so that events
    /// are found by it.
    pub(crate) fn record_about(&self, event: NewEvent, sid: Sid) {
        self.push(Waiting {
            event,
            sid: Some(sid),
        });
    }

    fn push(&self, waiting: Waiting) {
        if self.queue.try_send(waiting).is_err() {
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

async fn write(directory: Directory, mut events: mpsc::Receiver<Waiting>, lost: Arc<AtomicU64>) {
    let mut names = Names::new();
    let mut waiting = Vec::with_capacity(BATCH);
    while events.recv_many(&mut waiting, BATCH).await > 0 {
        if waiting.len() < BATCH && !events.is_closed() {
            tokio::time::sleep(GATHER).await;
            while waiting.len() < BATCH {
                let Ok(event) = events.try_recv() else { break };
                waiting.push(event);
            }
        }
        let mut batch = Vec::with_capacity(waiting.len() + 1);
        for Waiting { mut event, sid } in waiting.drain(..) {
            if let (Some(tenant), Some(sid)) = (event.tenant, sid)
                && let Some(upn) = names.upn(&directory, tenant, sid).await
            {
                event.user = upn;
            }
            batch.push(event);
        }
        let count = lost.swap(0, Ordering::Relaxed);
        if count > 0 {
            tracing::error!(
                count,
                "events were lost: more arrived than could be written"
            );
            batch.push(lost_event(count));
        }
        write_batch(&directory, batch).await;
    }
}

/// The UPNs of users, as last read.
struct Names {
    read_at: Instant,
    by_sid: HashMap<(TenantId, Sid), Option<String>>,
}

impl Names {
    fn new() -> Self {
        Self {
            read_at: Instant::now(),
            by_sid: HashMap::new(),
        }
    }

    /// The UPN of the user with this SID, if the tenant has one.
    async fn upn(&mut self, directory: &Directory, tenant: TenantId, sid: Sid) -> Option<String> {
        if self.by_sid.len() >= NAMES || self.read_at.elapsed() > NAMES_FRESH {
            *self = Self::new();
        }
        let key = (tenant, sid);
        if let Some(known) = self.by_sid.get(&key) {
            return known.clone();
        }
        let name = key.1.to_string();
        let user = directory
            .find_identity(tenant, &name, Some(IdentityKind::User))
            .await;
        let upn = user.ok().map(|user| user.upn).filter(|upn| !upn.is_empty());
        self.by_sid.insert(key, upn.clone());
        upn
    }
}

/// Writes the events of a batch, however long the database is unavailable: meanwhile the queue fills, and events that do
/// not fit are counted.
async fn write_batch(directory: &Directory, batch: Vec<NewEvent>) {
    let (mut waits, mut failures) = (0u32, 0);
    loop {
        match timeout(LONGEST_WRITE, directory.record_events(batch.clone())).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) if !error.is_passing() => {
                failures += 1;
                if failures == TRIES {
                    tracing::error!(%error, count = batch.len(), "events were lost: they cannot be written");
                    return;
                }
                tracing::warn!(%error, "events cannot be written, trying again");
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "events wait: the database is away, trying again");
            }
            Err(_) => tracing::warn!("events wait: the database does not answer, trying again"),
        }
        tokio::time::sleep(retry::delay(FIRST_PAUSE, waits, LONGEST_PAUSE)).await;
        waits = waits.saturating_add(1);
    }
}

fn lost_event(count: u64) -> NewEvent {
    NewEvent {
        outcome: EventOutcome::Dropped,
        reason: "overflow".into(),
        detail: format!("{count} events were lost: more arrived than could be written"),
        ..NewEvent::audit(&Actor::local("serve"), None, "events.lost")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossrealm_directory::{EventFilter, MasterKey};

    #[tokio::test]
    async fn events_beyond_the_queue_are_counted_and_the_loss_is_recorded() {
        let folder = tempfile::tempdir().unwrap();
        let key = MasterKey::create(&folder.path().join("master.key")).unwrap();
        let store = format!("sqlite:{}", folder.path().join("test.db").display());
        let directory = Directory::open(&store, key).await.unwrap();
        let (audit, writer) = Audit::start(directory.clone());
        // The writer cannot run before this task waits, so that the queue fills up.
        let event = || NewEvent {
            action: "ticket.issue".into(),
            ..lost_event(0)
        };
        for _ in 0..QUEUE + 7 {
            audit.record(event());
        }
        assert_eq!(audit.lost.load(Ordering::Relaxed), 7);
        drop(audit);
        writer.finish(Duration::from_secs(60)).await;
        // The loss is recorded with the first batch.
        let first = EventFilter {
            after: Some(0),
            limit: 1000,
            ..EventFilter::default()
        };
        let events = directory.events(&first).await.unwrap();
        let lost = events.iter().find(|e| e.event.action == "events.lost");
        assert!(lost.unwrap().event.detail.starts_with("7 events were lost"));
        let flood = events.iter().filter(|e| e.event.action == "ticket.issue");
        assert!(flood.count() > 0);
    }
}
