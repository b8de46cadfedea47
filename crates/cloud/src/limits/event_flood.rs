//! Events that anybody can cause: recorded at a bounded rate, so that garbage cannot push real events out of the audit.
//!
//! Until a presented ticket opens, a sender has shown nothing but an address. What such requests leave behind is
//! recorded up to a rate per tenant; the rest is counted, and the next one that is recorded carries the count.

use crossrealm_kdc::TenantId;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Events of unknown senders that are recorded at once for one tenant.
const BURST: u32 = 500;
/// How long it takes until one more may be recorded.
const REFILL: Duration = Duration::from_secs(1);

/// What unknown senders may still cause to be recorded, per tenant. Only tenants that exist get an entry.
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
    /// Whether an event may be recorded now; if so, how many before it were not.
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
    fn a_burst_passes_then_a_rate_and_the_rest_is_counted() {
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
