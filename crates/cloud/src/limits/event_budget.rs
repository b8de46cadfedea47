//! Events and log lines of unauthenticated senders: recorded at a bounded rate, so that they can neither push other events out
//! of the audit nor fill the log.
//!
//! Until its ticket is decrypted, or its token found, a sender is unauthenticated. The events of such requests are recorded up
//! to a rate per tenant; the others are counted, and the next recorded event carries the count.

use crossrealm_kdc::TenantId;
use crossrealm_os::token_bucket::{Rate, TokenBucket};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The events of unauthenticated senders that one tenant gets.
const RATE: Rate = Rate {
    burst: 500,
    refill: Duration::from_secs(1),
};

/// Beyond this number of tenants, those without recent events are forgotten.
const REMEMBERED: usize = 1000;

/// The events that may still be recorded, per tenant, and for requests of no tenant. Only existing tenants get an entry.
#[derive(Default)]
pub(crate) struct EventBudget {
    by_tenant: Mutex<HashMap<Option<TenantId>, Bucket>>,
}

struct Bucket {
    events: TokenBucket,
    unrecorded: u64,
}

impl EventBudget {
    /// Whether an event may be recorded now; if so, how many before it were dropped.
    pub(crate) fn admit(&self, tenant: Option<TenantId>, now: Instant) -> Option<u64> {
        let mut by_tenant = self
            .by_tenant
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if by_tenant.len() >= REMEMBERED {
            // Those that are left out would be full again.
            by_tenant
                .retain(|_, bucket| bucket.unrecorded > 0 || !bucket.events.is_idle(&RATE, now));
        }
        let bucket = by_tenant.entry(tenant).or_insert_with(|| Bucket {
            events: TokenBucket::full(&RATE, now),
            unrecorded: 0,
        });
        if !bucket.events.take(&RATE, now) {
            bucket.unrecorded += 1;
            return None;
        }
        Some(std::mem::take(&mut bucket.unrecorded))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_beyond_burst_and_rate_are_counted() {
        let (budget, start) = (EventBudget::default(), Instant::now());
        let (one, other) = (Some(TenantId([1; 16])), None);
        for _ in 0..RATE.burst {
            assert_eq!(budget.admit(one, start), Some(0));
        }
        for _ in 0..5 {
            assert_eq!(budget.admit(one, start), None);
        }
        assert_eq!(budget.admit(other, start), Some(0));
        let later = start + RATE.refill * 2;
        assert_eq!(budget.admit(one, later), Some(5));
        assert_eq!(budget.admit(one, later), Some(0));
        assert_eq!(budget.admit(one, later), None);
        let much_later = start + RATE.refill * 100_000;
        assert_eq!(budget.admit(one, much_later), Some(1));
    }

    #[test]
    fn tenants_without_recent_events_are_forgotten() {
        let (budget, start) = (EventBudget::default(), Instant::now());
        let tenant = |n: usize| Some(TenantId((n as u128).to_be_bytes()));
        for n in 0..REMEMBERED {
            budget.admit(tenant(n), start);
        }
        budget.admit(None, start + RATE.refill * RATE.burst);
        assert_eq!(budget.by_tenant.lock().unwrap().len(), 1);
    }
}
