//! Metrics, in the text format of OpenMetrics, for a monitoring system that fetches them.
//!
//! What happens often is counted in atomic numbers that exist from the start: a ticket's path allocates nothing for them. What is a
//! state (the age of a sync, a certificate's end) is read when it is fetched ([`monitoring`](crate::monitoring)). Names of users, clients and services are
//! in no label, so that the number of series follows the installation and not its use.

use crossrealm_directory::{StoreFault, StoreObserver, StoreStep};
use crossrealm_kdc::{Reason, TicketOutcome};
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::time::Duration;

/// The beginning of every name.
pub(crate) const PREFIX: &str = "crossrealm";
/// The upper bounds of the buckets of durations, in seconds.
const SECONDS: [f64; 11] = [
    0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25, 1.0, 3.0,
];

/// A label and its value.
type Labels = Vec<(&'static str, &'static str)>;

/// A limit beyond which a client is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LimitHit {
    /// `limits.connections`, or that of one address.
    Connections,
    /// `limits.requests`, or that of one address.
    Requests,
    /// `limits.ticket_requests`, or that of one tenant.
    TicketRequests,
}

impl LimitHit {
    const ALL: [Self; 3] = [Self::Connections, Self::Requests, Self::TicketRequests];

    fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Requests => "requests",
            Self::TicketRequests => "ticket_requests",
        }
    }
}

/// A stage of a ticket request, in the order in which a request passes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TicketStage {
    /// The message is read.
    Read,
    /// The directory looks up the tenant and the trust.
    FindTrust,
    /// The presented ticket, the authenticator and the PAC are verified.
    Verify,
    /// The directory looks up the user and the service.
    FindIdentity,
    /// The ticket is made.
    Issue,
}

impl TicketStage {
    pub(crate) const ALL: [Self; 5] = [
        Self::Read,
        Self::FindTrust,
        Self::Verify,
        Self::FindIdentity,
        Self::Issue,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::FindTrust => "find_trust",
            Self::Verify => "verify",
            Self::FindIdentity => "find_identity",
            Self::Issue => "issue",
        }
    }
}

/// What is counted while the service runs.
pub(crate) struct Metrics {
    registry: Registry,
    issued: Counter,
    dropped: Counter,
    /// In the order of [`Reason::ALL`].
    refused: Vec<Counter>,
    exchanges: Histogram,
    /// In the order of [`TicketStage::ALL`].
    stages: Vec<Histogram>,
    /// What the directory reports of its database.
    pub(crate) store: StoreMetrics,
    /// In the order of [`LimitHit::ALL`].
    limits: Vec<Counter>,
    /// Events that were not recorded, since their queue was full.
    pub(crate) events_lost: Counter,
}

/// What the directory reports of its database.
#[derive(Clone)]
pub(crate) struct StoreMetrics {
    /// In the order of [`StoreStep::ALL`].
    steps: [Histogram; StoreStep::ALL.len()],
    /// In the order of [`StoreFault::ALL`].
    failures: [Counter; StoreFault::ALL.len()],
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let tickets = Family::<Labels, Counter>::default();
        let ticket = |outcome, reason| {
            let labels = vec![("outcome", outcome), ("reason", reason)];
            tickets.get_or_create(&labels).clone()
        };
        let (issued, dropped) = (ticket("issued", ""), ticket("dropped", "not-kerberos"));
        let refused = Reason::ALL.iter();
        let refused = refused
            .map(|reason| ticket("refused", reason.code()))
            .collect();
        let hits = Family::<Labels, Counter>::default();
        let limits = LimitHit::ALL.iter();
        let limits = limits
            .map(|limit| hits.get_or_create(&vec![("limit", limit.as_str())]).clone())
            .collect();
        let exchanges = Histogram::new(SECONDS);
        let times = durations();
        let stages = TicketStage::ALL.iter();
        let stages = stages
            .map(|stage| {
                let labels = vec![("stage", stage.as_str())];
                times.get_or_create(&labels).clone()
            })
            .collect();
        let events_lost = Counter::default();
        registry.register(
            "ticket_requests",
            "Ticket requests by outcome, and refused ones by reason",
            tickets,
        );
        registry.register_with_unit(
            "ticket_request_duration",
            "Time from a complete ticket request to its reply",
            Unit::Seconds,
            exchanges.clone(),
        );
        registry.register_with_unit(
            "ticket_stage_duration",
            "Time of a stage of a ticket request: read, find_trust, verify, find_identity, issue",
            Unit::Seconds,
            times,
        );
        registry.register(
            "limit_refusals",
            "Clients that were refused by a limit",
            hits,
        );
        registry.register(
            "audit_events_lost",
            "Events that were not recorded, since their queue was full",
            events_lost.clone(),
        );
        let store = StoreMetrics::register(&mut registry);
        Self {
            registry,
            issued,
            dropped,
            refused,
            exchanges,
            stages,
            store,
            limits,
            events_lost,
        }
    }

    /// A ticket request was answered, or dropped.
    pub(crate) fn answered(&self, outcome: &TicketOutcome, took: Duration) {
        match outcome {
            TicketOutcome::Issued => self.issued.inc(),
            TicketOutcome::Dropped => self.dropped.inc(),
            TicketOutcome::Refused(reason) => match self.refused.get(*reason as usize) {
                Some(counter) => counter.inc(),
                None => 0,
            },
        };
        self.exchanges.observe(took.as_secs_f64());
    }

    /// A ticket request passed a stage.
    pub(crate) fn passed(&self, stage: TicketStage, took: Duration) {
        if let Some(times) = self.stages.get(stage as usize) {
            times.observe(took.as_secs_f64());
        }
    }

    /// A client was refused by a limit.
    pub(crate) fn limited(&self, limit: LimitHit) {
        if let Some(counter) = self.limits.get(limit as usize) {
            counter.inc();
        }
    }

    /// All of it with the state, as text.
    pub(crate) fn text(&self, state: &Registry) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode_registry(&mut text, &self.registry)
            .and_then(|()| encode_registry(&mut text, state))
            .and_then(|()| encode_eof(&mut text));
        text
    }
}

impl StoreMetrics {
    fn register(registry: &mut Registry) -> Self {
        let (times, faults) = (durations(), Family::<Labels, Counter>::default());
        let steps = StoreStep::ALL.map(|step| {
            let labels = vec![("step", step.as_str())];
            times.get_or_create(&labels).clone()
        });
        let failures = StoreFault::ALL.map(|fault| {
            let labels = vec![("fault", fault.as_str())];
            faults.get_or_create(&labels).clone()
        });
        registry.register_with_unit(
            "store_duration",
            "Time of a step of the database: begin (a writer waits for others), commit, read (a probe at each fetch of the metrics), heartbeat (a small change every 5 s)",
            Unit::Seconds,
            times,
        );
        registry.register(
            "store_failures",
            "Uses of the database that failed, by what was wrong with it",
            faults,
        );
        Self { steps, failures }
    }
}

impl StoreObserver for StoreMetrics {
    fn took(&self, step: StoreStep, time: Duration) {
        if let Some(times) = self.steps.get(step as usize) {
            times.observe(time.as_secs_f64());
        }
    }

    fn failed(&self, fault: StoreFault) {
        if let Some(counter) = self.failures.get(fault as usize) {
            counter.inc();
        }
    }
}

/// Histograms of durations, by labels.
fn durations() -> Family<Labels, Histogram, fn() -> Histogram> {
    Family::new_with_constructor(|| Histogram::new(SECONDS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_is_counted_under_its_own_reason() {
        let metrics = Metrics::new();
        for (times, reason) in Reason::ALL.iter().enumerate() {
            for _ in 0..=times {
                metrics.answered(&TicketOutcome::Refused(*reason), Duration::ZERO);
            }
        }
        let text = metrics.text(&Registry::default());
        for (times, reason) in Reason::ALL.iter().enumerate() {
            let line = format!(
                "crossrealm_ticket_requests_total{{outcome=\"refused\",reason=\"{}\"}} {}\n",
                reason.code(),
                times + 1
            );
            assert!(text.contains(&line), "{line}");
        }
    }

    #[test]
    fn every_limit_has_its_counter() {
        let metrics = Metrics::new();
        for limit in LimitHit::ALL {
            metrics.limited(limit);
            let line = format!("limit_refusals_total{{limit=\"{}\"}} 1\n", limit.as_str());
            assert!(metrics.text(&Registry::default()).contains(&line), "{line}");
        }
    }

    #[test]
    fn every_stage_and_every_fault_of_the_database_has_its_own_series() {
        let metrics = Metrics::new();
        for stage in TicketStage::ALL {
            metrics.passed(stage, Duration::from_millis(3));
        }
        for step in StoreStep::ALL {
            metrics.store.took(step, Duration::from_millis(3));
        }
        for fault in StoreFault::ALL {
            metrics.store.failed(fault);
        }
        let text = metrics.text(&Registry::default());
        let stages = TicketStage::ALL.map(|stage| {
            let stage = stage.as_str();
            format!("ticket_stage_duration_seconds_count{{stage=\"{stage}\"}} 1\n")
        });
        let steps = StoreStep::ALL.map(|step| {
            let step = step.as_str();
            format!("store_duration_seconds_count{{step=\"{step}\"}} 1\n")
        });
        let faults = StoreFault::ALL.map(|fault| {
            let fault = fault.as_str();
            format!("store_failures_total{{fault=\"{fault}\"}} 1\n")
        });
        for line in stages.iter().chain(&steps).chain(&faults) {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
}
