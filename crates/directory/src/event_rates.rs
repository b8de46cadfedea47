//! How many events one credential records: beyond a rate they are counted, and the count is recorded.
//!
//! A refusal costs its sender nothing, and a ticket little. Without a bound, one caller could push the events of all
//! others out of the audit. Events of changes are not bounded here: they belong to the transaction of the change.

use crossrealm_kdc::TenantId;
use crossrealm_os::token_bucket::{Rate, TokenBucket};
use crossrealm_types::{ActorKind, EventKind};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The most credentials that are remembered; the others share one count.
const MAX_CREDENTIALS: usize = 10_000;
/// How often counts of suppressed events are recorded.
const SUMMARY_EVERY: Duration = Duration::from_secs(60);
/// The most counts in one summary; the others follow in the next.
const MAX_SUMMARIES: usize = 100;

/// How many refusals a credential may record.
pub(crate) const REFUSALS: Rate = Rate {
    burst: 100,
    refill: Duration::from_secs(10),
};
/// More than any user needs: a workstation asks for a ticket of a service once in hours.
pub(crate) const TICKETS: Rate = Rate {
    burst: 5_000,
    refill: Duration::from_millis(200),
};

/// Whose events are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Credential {
    pub(crate) tenant: Option<TenantId>,
    pub(crate) kind: Option<ActorKind>,
    pub(crate) name: String,
    pub(crate) of: EventKind,
}

struct Bucket {
    events: TokenBucket,
    suppressed: u64,
}

/// The events that each credential may still record.
pub(crate) struct EventRates {
    state: Mutex<State>,
}

struct State {
    buckets: HashMap<Credential, Bucket>,
    /// Whether some bucket has suppressed events.
    suppressed: bool,
    summarized_at: Instant,
}

impl EventRates {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                buckets: HashMap::new(),
                suppressed: false,
                summarized_at: Instant::now(),
            }),
        }
    }

    /// Whether the event may be recorded. One that may not is counted.
    pub(crate) fn admit(&self, credential: Credential, rate: &Rate, now: Instant) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let credential = state.place_for(credential, now);
        let bucket = state.buckets.entry(credential).or_insert_with(|| Bucket {
            events: TokenBucket::full(rate, now),
            suppressed: 0,
        });
        if bucket.events.take(rate, now) {
            return true;
        }
        bucket.suppressed += 1;
        state.suppressed = true;
        false
    }

    /// Whose events were suppressed, and how many, since this was last asked: at most once a minute, unless the service is
    /// `ending`.
    pub(crate) fn suppressed(&self, now: Instant, ending: bool) -> Vec<(Credential, u64)> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_time = now.saturating_duration_since(state.summarized_at) >= SUMMARY_EVERY;
        if !state.suppressed || !(is_time || ending) {
            return Vec::new();
        }
        state.summarized_at = now;
        let mut counted = state
            .buckets
            .iter_mut()
            .filter(|(_, bucket)| bucket.suppressed > 0);
        let found = counted
            .by_ref()
            .take(MAX_SUMMARIES)
            .map(|(credential, bucket)| {
                (credential.clone(), std::mem::take(&mut bucket.suppressed))
            })
            .collect();
        state.suppressed = counted.next().is_some();
        found
    }
}

impl State {
    /// The credential, or the one shared by all that have no place.
    fn place_for(&mut self, credential: Credential, now: Instant) -> Credential {
        if self.buckets.len() < MAX_CREDENTIALS || self.buckets.contains_key(&credential) {
            return credential;
        }
        // One that was silent for as long as a full refill takes is forgotten.
        self.buckets
            .retain(|_, bucket| bucket.suppressed > 0 || !bucket.events.is_idle(&REFUSALS, now));
        match self.buckets.len() < MAX_CREDENTIALS {
            true => credential,
            false => Credential {
                tenant: None,
                kind: None,
                name: String::new(),
                of: credential.of,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> Credential {
        Credential {
            tenant: Some(TenantId([1; 16])),
            kind: Some(ActorKind::Connector),
            name: name.into(),
            of: EventKind::Change,
        }
    }

    /// S4: one credential does not flood the audit, and what was suppressed is counted.
    #[test]
    fn events_beyond_the_rate_are_counted() {
        let (rates, start) = (EventRates::new(), Instant::now());
        let admit = |name, now| rates.admit(of(name), &REFUSALS, now);
        assert_eq!((0..1_000).filter(|_| admit("mallory", start)).count(), 100);
        assert!(admit("alice", start));
        assert_eq!(rates.suppressed(start, false), []);
        let later = start + SUMMARY_EVERY;
        assert_eq!(rates.suppressed(later, false), [(of("mallory"), 900)]);
        assert_eq!(rates.suppressed(later + SUMMARY_EVERY, true), []);
        // 60 s refill six.
        assert_eq!((0..100).filter(|_| admit("mallory", later)).count(), 6);
        assert_eq!(rates.suppressed(later, true), [(of("mallory"), 94)]);
    }

    #[test]
    fn the_number_of_counts_is_bounded() {
        let (rates, now) = (EventRates::new(), Instant::now());
        for n in 0..MAX_CREDENTIALS * 2 {
            rates.admit(of(&n.to_string()), &REFUSALS, now);
        }
        let state = rates.state.lock().unwrap();
        assert!(state.buckets.len() <= MAX_CREDENTIALS + 1);
    }
}
