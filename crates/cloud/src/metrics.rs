//! Metrics, in the text format of OpenMetrics, for a monitoring system that fetches them.
//!
//! What happens often is counted in atomic numbers that exist from the start: a ticket's path allocates nothing for them. What is a
//! state (the age of a sync, a certificate's end) is read when it is fetched ([`monitoring`](crate::monitoring)). Names of users, clients and services are
//! in no label, so that the number of series follows the installation and not its use.

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

/// What is counted while the service runs.
pub(crate) struct Metrics {
    registry: Registry,
    issued: Counter,
    dropped: Counter,
    /// In the order of [`Reason::ALL`].
    refused: Vec<Counter>,
    exchanges: Histogram,
    lookups: Histogram,
    /// In the order of [`LimitHit::ALL`].
    limits: Vec<Counter>,
    /// Events that were not recorded, since their queue was full.
    pub(crate) events_lost: Counter,
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
        let (exchanges, lookups) = (Histogram::new(SECONDS), Histogram::new(SECONDS));
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
            "ticket_lookup_duration",
            "Time that the directory took for one of the two lookups of a ticket request",
            Unit::Seconds,
            lookups.clone(),
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
        Self {
            registry,
            issued,
            dropped,
            refused,
            exchanges,
            lookups,
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

    /// The directory answered a lookup of a ticket request.
    pub(crate) fn looked_up(&self, took: Duration) {
        self.lookups.observe(took.as_secs_f64());
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
}
