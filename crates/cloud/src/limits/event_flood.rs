//! Events of unauthenticated senders: recorded at a bounded rate, so that they cannot push other events out of the audit.
//!
//! Until its ticket is decrypted, a sender is unauthenticated. The events of such requests are recorded up to a rate per
//! tenant; the others are counted, and the next recorded event carries the count.

use crossrealm_kdc::TenantId;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The most events of unauthenticated senders that one tenant gets in a burst.
const BURST: u32 = 500;
/// The time until one more event may be recorded.
const REFILL: Duration = Duration::from_secs(1);

/// The events that may still be recorded, per tenant. Only existing tenants get an entry.
#[derive(Default)]
pub(crate) struct Flood {
    by_tenant: Mutex<HashMap<TenantId, Bucket>>,
}

struct Bucket {
    left: u32,
    filled_at: Instant,
    unrecorded: u64,
}

impl Flood {
    /// Whether an event may be recorded now; if so, how many before it were dropped.
    pub(crate) fn admit(&self, tenant: TenantId, now: Instant) -> Option<u64> {
        let mut by_tenant = self
            .by_tenant
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let bucket = by_tenant.entry(tenant).or_insert(Bucket {
            left: BURST,
            filled_at: now,
            unrecorded: 0,
        });
        let elapsed = now.saturating_duration_since(bucket.filled_at);
        let gained = u32::try_from(elapsed.as_secs() / REFILL.as_secs()).unwrap_or(u32::MAX);
        if gained > 0 {
            bucket.left = bucket.left.saturating_add(gained).min(BURST);
            bucket.filled_at += REFILL.saturating_mul(gained);
        }
        if bucket.left == 0 {
            bucket.unrecorded += 1;
            return None;
        }
        bucket.left -= 1;
        Some(std::mem::take(&mut bucket.unrecorded))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_beyond_burst_and_rate_are_counted() {
        let (flood, start) = (Flood::default(), Instant::now());
        let (one, other) = (TenantId([1; 16]), TenantId([2; 16]));
        for _ in 0..BURST {
            assert_eq!(flood.admit(one, start), Some(0));
        }
        for _ in 0..5 {
            assert_eq!(flood.admit(one, start), None);
        }
        assert_eq!(flood.admit(other, start), Some(0));
        let later = start + REFILL * 2;
        assert_eq!(flood.admit(one, later), Some(5));
        assert_eq!(flood.admit(one, later), Some(0));
        assert_eq!(flood.admit(one, later), None);
        let much_later = start + REFILL * 100_000;
        assert_eq!(flood.admit(one, much_later), Some(1));
    }
}
