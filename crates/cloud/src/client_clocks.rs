//! The clocks of clients, by the authenticators of their requests: a service whose own clock is wrong refuses everybody, and
//! finds the reason nowhere else (R8).

use crossrealm_kdc::ClientClock;
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The clients that were heard last.
const REMEMBERED: usize = 64;
/// As many must be heard before anything is said: some have wrong clocks of their own.
const ENOUGH: usize = 5;
/// By how many seconds the middle one of them may differ: less than what refuses tickets.
const MAY_DIFFER_S: i64 = 120;
/// How often it is said again.
const REPEAT: Duration = Duration::from_secs(600);

/// What the last clients said, one time of each. As long as all agree nothing is noted, so that tickets wait for nothing here.
#[derive(Default)]
pub(crate) struct ClientClocks {
    /// Whether a clock that differs is among those that were heard.
    doubted: AtomicBool,
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    /// A hash of the client's name, and by how many seconds this machine is ahead of it.
    leads: VecDeque<(u64, i64)>,
    said: Option<Instant>,
}

impl ClientClocks {
    /// Notes a client's clock, and logs when this machine's differs from most.
    pub(crate) fn note(&self, clock: &ClientClock) {
        if let Some(lead_s) = self.add(clock, Instant::now()) {
            tracing::error!(
                lead_s,
                hint =
                    "set the clock of this machine by NTP; if it is right, set those of the domain",
                "the clocks of most clients are not this machine's: tickets are refused"
            );
        }
    }

    /// The difference of the middle client, when it is to be logged.
    fn add(&self, clock: &ClientClock, now: Instant) -> Option<i64> {
        if !differs(clock.lead_s) && !self.doubted.load(Ordering::Relaxed) {
            return None;
        }
        let mut hash = DefaultHasher::new();
        clock.client.hash(&mut hash);
        let client = hash.finish();
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.leads.retain(|(other, _)| *other != client);
        heard.leads.push_back((client, clock.lead_s));
        if heard.leads.len() > REMEMBERED {
            heard.leads.pop_front();
        }
        let mut leads: Vec<i64> = heard.leads.iter().map(|(_, lead_s)| *lead_s).collect();
        let doubted = leads.iter().any(|lead_s| differs(*lead_s));
        self.doubted.store(doubted, Ordering::Relaxed);
        if !doubted {
            heard.leads.clear();
            return None;
        }
        leads.sort_unstable();
        let middle = *leads.get(leads.len() / 2)?;
        let is_due = heard.said.is_none_or(|at| now.duration_since(at) >= REPEAT);
        if leads.len() < ENOUGH || !differs(middle) || !is_due {
            return None;
        }
        heard.said = Some(now);
        Some(middle)
    }
}

fn differs(lead_s: i64) -> bool {
    lead_s.unsigned_abs() > MAY_DIFFER_S.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(n: usize, lead_s: i64) -> ClientClock {
        ClientClock {
            client: format!("user{n}@CORP.CONTOSO.COM"),
            lead_s,
        }
    }

    /// R8: many clients know that this machine's clock is wrong, and a few whose own is do not.
    #[test]
    fn r8_a_clock_that_differs_from_most_clients_is_reported() {
        let (clocks, now) = (ClientClocks::default(), Instant::now());
        for n in 0..4 {
            assert_eq!(clocks.add(&clock(n, 0), now), None);
            // One client that asks again and again is one client.
            assert_eq!(clocks.add(&clock(4, -5000), now), None);
        }
        let year = 365 * 86_400;
        let said: Vec<i64> = (10..30)
            .filter_map(|n| clocks.add(&clock(n, year), now))
            .collect();
        assert_eq!(said, [year]);
        assert_eq!(clocks.add(&clock(1, year), now + REPEAT), Some(year));
        for n in 0..1000 {
            clocks.add(&clock(n, year), now);
        }
        assert_eq!(clocks.heard.lock().unwrap().leads.len(), REMEMBERED);
        for n in 0..1000 {
            clocks.add(&clock(n, 0), now);
        }
        assert!(clocks.heard.lock().unwrap().leads.is_empty(), "all agree");
        assert_eq!(clocks.add(&clock(1, year), now + 2 * REPEAT), None);
    }
}
