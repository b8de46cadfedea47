//! The queue of events from requests to the directory: bounded and batched; no ticket waits for it.

use crossrealm_directory::{Actor, Directory, DirectoryError, NewEvent};
use crossrealm_kdc::TenantId;
use crossrealm_os::retry;
use crossrealm_types::{EventOutcome, IdentityKind, Sid};
use prometheus_client::metrics::counter::Counter;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// The capacity of the queue, in events and in bytes: some seconds of the highest load.
const QUEUE: usize = 16_384;
pub(crate) const QUEUE_BYTES: usize = 8 << 20;
/// The most events of one transaction.
const BATCH: usize = 500;
/// How long events are collected before they are written: short, so that administrators see them soon.
const GATHER: Duration = Duration::from_millis(100);
/// How long after the last event the counts of suppressed ones are written.
const SUMMARY_EVERY: Duration = Duration::from_secs(60);
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
    counts: Arc<Counts>,
}

/// What sender and writer count.
#[derive(Default)]
struct Counts {
    /// The bytes of the events in the queue.
    bytes: AtomicUsize,
    /// The events that did not fit.
    lost: AtomicU64,
}

impl Waiting {
    fn bytes(&self) -> usize {
        let event = &self.event;
        let texts = [
            &event.action,
            &event.reason,
            &event.actor,
            &event.user,
            &event.target,
            &event.detail,
        ];
        size_of::<Self>() + texts.iter().map(|text| text.len()).sum::<usize>()
    }
}

/// The writer's task.
pub(crate) struct Writer(JoinHandle<()>);

impl Audit {
    /// Starts the writer, which counts the events that are lost.
    pub(crate) fn start(directory: Directory, lost: Counter) -> (Self, Writer) {
        let (queue, events) = mpsc::channel(QUEUE);
        let counts = Arc::new(Counts::default());
        let writer = tokio::spawn(write(directory, events, Arc::clone(&counts), lost));
        (Self { queue, counts }, Writer(writer))
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

    /// The bytes of the events that wait.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.counts.bytes.load(Ordering::Relaxed)
    }

    fn push(&self, waiting: Waiting) {
        let waiting = Waiting {
            event: waiting.event.truncated(),
            ..waiting
        };
        let bytes = waiting.bytes();
        let before = self.counts.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > QUEUE_BYTES || self.queue.try_send(waiting).is_err() {
            self.counts.bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.counts.lost.fetch_add(1, Ordering::Relaxed);
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

async fn write(
    directory: Directory,
    mut events: mpsc::Receiver<Waiting>,
    counts: Arc<Counts>,
    lost: Counter,
) {
    let mut names = Names::new();
    let mut waiting = Vec::with_capacity(BATCH);
    let mut is_open = true;
    while is_open {
        // Counts of suppressed events are written also when no event follows.
        let received = timeout(SUMMARY_EVERY, events.recv_many(&mut waiting, BATCH)).await;
        is_open = received != Ok(0);
        if !waiting.is_empty() && waiting.len() < BATCH && !events.is_closed() {
            tokio::time::sleep(GATHER).await;
            while waiting.len() < BATCH {
                let Ok(event) = events.try_recv() else { break };
                waiting.push(event);
            }
        }
        let mut batch = Vec::with_capacity(waiting.len() + 1);
        let bytes = waiting.iter().map(Waiting::bytes).sum();
        counts.bytes.fetch_sub(bytes, Ordering::Relaxed);
        for Waiting { mut event, sid } in waiting.drain(..) {
            if let (Some(tenant), Some(sid)) = (event.tenant, sid)
                && let Some(upn) = names.upn(&directory, tenant, sid).await
            {
                event.user = upn;
            }
            batch.push(event);
        }
        let count = counts.lost.swap(0, Ordering::Relaxed);
        if count > 0 {
            tracing::error!(count, "events were lost");
            lost.inc_by(count);
            batch.push(lost_event(count));
        }
        let admitted = directory.admit_events(batch, !is_open);
        if !admitted.is_empty() {
            let refused = write_batch(&directory, admitted).await;
            if refused > 0 {
                lost.inc_by(refused);
                write_batch(&directory, vec![lost_event(refused)]).await;
            }
        }
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

/// Writes the events of a batch, however long the database cannot be used: meanwhile the queue fills, and events that do
/// not fit are counted. Where the database refuses what it is given, all but the refused events are written. Returns
/// how many it refused.
async fn write_batch(directory: &Directory, batch: Vec<NewEvent>) -> u64 {
    let (mut parts, mut refused) = (vec![batch], 0);
    while let Some(mut part) = parts.pop() {
        let Err(error) = write_part(directory, &part).await else {
            continue;
        };
        if part.len() > 1 {
            let second = part.split_off(part.len() / 2);
            parts.extend([second, part]);
        } else {
            tracing::error!(%error, "an event was lost: the database refuses it");
            refused += 1;
        }
    }
    refused
}

/// Writes events in one transaction; tries again while the database cannot be used.
///
/// # Errors
///
/// The database refuses what it is given.
async fn write_part(directory: &Directory, part: &[NewEvent]) -> Result<(), DirectoryError> {
    let mut waits = 0u32;
    loop {
        match timeout(LONGEST_WRITE, directory.record_events(part.to_vec())).await {
            Ok(Err(error)) if error.fault().is_some() => {
                tracing::warn!(%error, "events wait: the database cannot be used");
            }
            Ok(done) => return done,
            Err(_) => tracing::warn!("events wait: the database does not answer"),
        }
        tokio::time::sleep(retry::delay(FIRST_PAUSE, waits, LONGEST_PAUSE)).await;
        waits = waits.saturating_add(1);
    }
}

fn lost_event(count: u64) -> NewEvent {
    NewEvent {
        outcome: EventOutcome::Dropped,
        reason: "overflow".into(),
        detail: format!(
            "{count} events were lost: more arrived than could be written, or the database refused them"
        ),
        ..NewEvent::audit(&Actor::local("serve"), None, "events.lost")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossrealm_directory::{Event, EventFilter, InstallationNames, MasterKey};
    use crossrealm_types::ActorKind;
    use sqlx::Connection as _;
    use std::path::Path;

    async fn all_events(directory: &Directory) -> Vec<Event> {
        let all = EventFilter {
            limit: 1000,
            ..EventFilter::default()
        };
        directory.events(&all).await.unwrap()
    }

    async fn directory_in(folder: &Path) -> Directory {
        let key = MasterKey::create(&folder.join("master.key")).unwrap();
        let store = format!("sqlite:{}", folder.join("test.db").display());
        let names = InstallationNames::new("cloud.example", "login.cloud.example");
        Directory::create(&store, key, names).await.unwrap()
    }

    #[tokio::test]
    async fn events_beyond_the_queue_are_counted_and_the_loss_is_recorded() {
        let folder = tempfile::tempdir().unwrap();
        let directory = directory_in(folder.path()).await;
        let (audit, writer) = Audit::start(directory.clone(), Counter::default());
        // The writer cannot run before this task waits, so that the queue fills up.
        let event = || NewEvent {
            action: "ticket.issue".into(),
            ..lost_event(0)
        };
        for _ in 0..QUEUE + 7 {
            audit.record(event());
        }
        assert_eq!(audit.counts.lost.load(Ordering::Relaxed), 7);
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

    /// R10: an event that the database refuses is counted in an event, and those beside it are written.
    #[tokio::test]
    async fn refused_events_are_counted_and_the_others_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let directory = directory_in(folder.path()).await;
        let store = format!("sqlite:{}", folder.path().join("test.db").display());
        let mut raw = sqlx::AnyConnection::connect(&store).await.unwrap();
        sqlx::query(
            "CREATE TRIGGER refuse BEFORE INSERT ON events WHEN NEW.target = 'refused'
             BEGIN SELECT RAISE(ABORT, 'refused'); END",
        )
        .execute(&mut raw)
        .await
        .unwrap();
        let (audit, writer) = Audit::start(directory.clone(), Counter::default());
        for target in ["one", "refused", "two", "refused", "three"] {
            audit.record(NewEvent {
                target: target.into(),
                ..NewEvent::audit(&Actor::local("serve"), None, "tenant.create")
            });
        }
        drop(audit);
        writer.finish(Duration::from_secs(60)).await;
        let events = all_events(&directory).await;
        let (lost, kept): (Vec<_>, Vec<_>) = events
            .into_iter()
            .partition(|e| e.event.action == "events.lost");
        let kept: Vec<_> = kept.into_iter().map(|e| e.event.target).collect();
        assert_eq!(kept, ["one", "two", "three"]);
        assert_eq!(lost.len(), 1);
        assert!(lost[0].event.detail.starts_with("2 events were lost"));
    }

    /// S3, S5: an event is queued no longer than it is recorded, and the queue is bounded in bytes.
    #[tokio::test]
    async fn the_queue_is_bounded_in_bytes() {
        let (queue, mut events) = mpsc::channel(QUEUE);
        let audit = Audit {
            queue,
            counts: Arc::default(),
        };
        let long = "x".repeat(128 * 1024);
        for _ in 0..QUEUE {
            audit.record(NewEvent {
                user: long.clone(),
                target: long.clone(),
                detail: long.clone(),
                ..lost_event(0)
            });
        }
        drop(audit);
        let (mut bytes, mut count) = (0, 0);
        while let Some(waiting) = events.recv().await {
            bytes += waiting.bytes();
            count += 1;
        }
        assert!(bytes <= QUEUE_BYTES, "{count} events of {bytes} bytes");
        assert!(count > 1000);
    }

    /// S4: what one credential floods the audit with is counted, and the count is written with the last events.
    #[tokio::test]
    async fn refusals_of_one_credential_are_bounded_and_the_rest_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let directory = directory_in(folder.path()).await;
        let (audit, writer) = Audit::start(directory.clone(), Counter::default());
        let refusal = |name: &str| NewEvent {
            outcome: EventOutcome::Refused,
            ..NewEvent::audit(
                &Actor {
                    kind: ActorKind::Connector,
                    name: name.into(),
                    address: None,
                },
                None,
                "api.call",
            )
        };
        for _ in 0..1_000 {
            audit.record(refusal("mallory"));
        }
        audit.record(refusal("alice"));
        drop(audit);
        writer.finish(Duration::from_secs(60)).await;
        let events = all_events(&directory).await;
        let of = |name: &str| events.iter().filter(|e| e.event.actor == name).count();
        // One more every 10 s, on a slow machine.
        assert!((100..200).contains(&of("mallory")), "{}", of("mallory"));
        assert_eq!(of("alice"), 1);
        let summaries = events
            .iter()
            .filter(|e| e.event.action == "events.suppressed");
        let counts = summaries.map(|summary| {
            assert_eq!(summary.event.target, "connector mallory");
            let (count, _) = summary.event.detail.split_once(' ').unwrap();
            count.parse::<usize>().unwrap()
        });
        assert_eq!(counts.sum::<usize>() + of("mallory"), 1_000);
    }
}
