//! Drives the exchange: passes it the time, random bytes and the directory's records, and its event to the audit.
//!
//! It is the same for the KDC proxy, TCP and UDP. Each event of an exchange is recorded once.

use crate::app::AppState;
use crate::limits::client_text::ClientText;
use crate::metrics::{LimitHit, Metrics, TicketStage};
use crossrealm_directory::{NewEvent, TrustKeySeen};
use crossrealm_kdc::{self as kdc, EventId, Exchange, ExchangeStep, Now, TenantId};
use crossrealm_krb::kkdcp::EnvelopeError;
use crossrealm_os::clock;
use crossrealm_types::EventOutcome;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long the directory may take to find the tenant of a request.
pub(crate) const LOOKUP: Duration = Duration::from_secs(3);
/// The most rounds of an exchange; the state machine ends after two.
const MAX_ROUNDS: usize = 4;

/// The outcome of a message.
pub(crate) enum Answer {
    /// Send this to the client.
    Reply(Vec<u8>),
    /// It is not Kerberos.
    Dropped,
    /// There is no capacity for it now.
    Overloaded,
}

/// Answers one Kerberos message for `tenant`.
pub(crate) async fn answer(
    app: &AppState,
    tenant: TenantId,
    message: &[u8],
    peer: SocketAddr,
) -> Answer {
    let Some(_pass) = app.tickets.try_acquire(tenant) else {
        app.metrics.limited(LimitHit::TicketRequests);
        return Answer::Overloaded;
    };
    let began = Instant::now();
    let mut entropy = Entropy::default();
    let id = EventId(entropy.id());
    let mut stages = Stages::begin(&app.metrics);
    let mut step = Exchange::begin(tenant, message, now(), id);
    stages.end();
    for _ in 0..MAX_ROUNDS {
        match step {
            ExchangeStep::Need { exchange, lookups } => {
                // The directory bounds the time of its lookups itself.
                let records = app.directory.records(&lookups).await;
                stages.end();
                step = exchange.resume(records, &mut |bytes: &mut [u8]| entropy.fill(bytes));
                stages.end();
            }
            ExchangeStep::Reply { bytes, event } if !entropy.failed => {
                app.metrics.answered(&event.outcome, began.elapsed());
                if let Some(clock) = &event.client_clock {
                    app.client_clocks.note(clock);
                }
                record(app, &event, peer);
                return Answer::Reply(bytes);
            }
            ExchangeStep::Reply { event, .. } | ExchangeStep::Drop { event } => {
                app.metrics
                    .answered(&kdc::TicketOutcome::Dropped, began.elapsed());
                record(app, &event, peer);
                return Answer::Dropped;
            }
        }
    }
    tracing::error!(event = %id, "an exchange did not end");
    Answer::Dropped
}

/// Measures the stages of a request, one after the other.
struct Stages<'a> {
    metrics: &'a Metrics,
    since: Instant,
    coming: std::slice::Iter<'static, TicketStage>,
}

impl<'a> Stages<'a> {
    fn begin(metrics: &'a Metrics) -> Self {
        Self {
            metrics,
            since: Instant::now(),
            coming: TicketStage::ALL.iter(),
        }
    }

    /// A stage ends here, and the next one begins.
    fn end(&mut self) {
        let now = Instant::now();
        if let Some(stage) = self.coming.next() {
            let took = now.saturating_duration_since(self.since);
            self.metrics.passed(*stage, took);
        }
        self.since = now;
    }
}

/// Random bytes of the operating system. If that fails, no reply may be sent.
#[derive(Default)]
struct Entropy {
    failed: bool,
}

impl Entropy {
    fn fill(&mut self, bytes: &mut [u8]) {
        if let Err(error) = getrandom::fill(bytes) {
            tracing::error!(%error, "the operating system gave no random bytes");
            self.failed = true;
        }
    }

    fn id(&mut self) -> [u8; 16] {
        let mut id = [0; 16];
        self.fill(&mut id);
        id
    }
}

/// The time in the form that the exchange and KRB-ERROR need.
pub(crate) fn now() -> Now {
    let since = clock::since_epoch();
    Now {
        unix_s: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        micros: i32::try_from(since.subsec_micros()).unwrap_or(0),
    }
}

/// Logs and records the event of an exchange; that of an unauthenticated sender at a bounded rate.
fn record(app: &AppState, event: &kdc::Event, peer: SocketAddr) {
    let unrecorded = match event.client_sid {
        Some(_) => Some(0),
        None => app.event_budget.admit(Some(event.tenant), Instant::now()),
    };
    let Some(unrecorded) = unrecorded else {
        return;
    };
    let (outcome, reason) = match event.outcome {
        kdc::TicketOutcome::Issued => (EventOutcome::Done, String::new()),
        kdc::TicketOutcome::Refused(reason) => (EventOutcome::Refused, reason.code().to_owned()),
        kdc::TicketOutcome::Dropped => (EventOutcome::Dropped, "not-kerberos".to_owned()),
    };
    let client = event.client.as_deref().unwrap_or_default();
    let service = event.service.as_deref().unwrap_or_default();
    tracing::info!(
        event = %event.id, tenant = %event.tenant, ?outcome, reason, client = %ClientText(client),
        service = %ClientText(service), %peer, "ticket request"
    );
    let new = NewEvent {
        id: Some(event.id.to_string()),
        outcome,
        reason,
        user: client.to_owned(),
        actor: client.to_owned(),
        target: service.to_owned(),
        address: Some(peer.ip().to_canonical()),
        detail: counted(detail(event), unrecorded),
        trust_key: seen(event),
        ..NewEvent::ticket(event.tenant)
    };
    match &event.client_sid {
        Some(sid) => app.audit.record_about(new, sid.clone()),
        None => app.audit.record(new),
    }
}

/// The detail of an event before which others were not recorded.
fn counted(detail: String, unrecorded: u64) -> String {
    match unrecorded {
        0 => detail,
        _ => format!("{unrecorded} others before it were not recorded; {detail}"),
    }
}

/// Records a request that was refused before the exchange saw it.
pub(crate) fn record_foreign(app: &AppState, tenant: TenantId, realm: &str, peer: SocketAddr) {
    let event = NewEvent {
        outcome: EventOutcome::Refused,
        reason: kdc::Reason::WrongRealm.code().into(),
        detail: format!("the KDC proxy was asked for realm {realm:?}"),
        ..NewEvent::ticket(tenant)
    };
    record_unknown(app, tenant, event, peer);
}

/// Records a request whose envelope cannot be read.
pub(crate) fn record_malformed(
    app: &AppState,
    tenant: TenantId,
    error: &EnvelopeError,
    peer: SocketAddr,
) {
    let event = NewEvent {
        outcome: EventOutcome::Dropped,
        reason: "not-kerberos".into(),
        detail: format!("a request to the KDC proxy: {error}"),
        ..NewEvent::ticket(tenant)
    };
    record_unknown(app, tenant, event, peer);
}

/// Logs and records an event of an unauthenticated sender, at a bounded rate.
fn record_unknown(app: &AppState, tenant: TenantId, event: NewEvent, peer: SocketAddr) {
    let Some(unrecorded) = app.event_budget.admit(Some(tenant), Instant::now()) else {
        return;
    };
    tracing::info!(
        %tenant, outcome = ?event.outcome, reason = event.reason,
        detail = %ClientText(&event.detail), %peer, "ticket request"
    );
    app.audit.record(NewEvent {
        address: Some(peer.ip().to_canonical()),
        detail: counted(event.detail, unrecorded),
        ..event
    });
}

fn detail(event: &kdc::Event) -> String {
    let mut parts = Vec::new();
    if !event.detail.is_empty() {
        parts.push(event.detail.clone());
    }
    if let Some(sid) = &event.client_sid {
        parts.push(format!("SID {sid}"));
    }
    let numbers = [
        ("etype", event.ticket_etype.map(i64::from)),
        ("kvno", event.kvno.map(i64::from)),
        ("ends at", event.ends_at),
    ];
    parts.extend(
        numbers
            .iter()
            .filter_map(|(name, value)| value.map(|v| format!("{name} {v}"))),
    );
    parts.join("; ")
}

fn seen(event: &kdc::Event) -> Option<TrustKeySeen> {
    Some(TrustKeySeen {
        realm: event.issuer.clone()?,
        version: event.trust_key_version?,
    })
}
