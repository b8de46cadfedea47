//! Limits of concurrency: connections and requests in all and per address, ticket requests in all and per tenant.
//!
//! Nothing is queued: a request beyond a limit is refused at once, so that a flood costs little and one address or tenant
//! cannot exhaust the capacity of the others. Refused requests get a response, and so do refused connections, by a bounded
//! overload path: at most [`SHED_CONNECTIONS`], one short response each. Connections beyond that bound are closed at once and
//! counted, since more responses would cost what the limit is meant to save.

pub(crate) mod event_flood;

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Concurrent sign-ins of administrators, in all and per address: each takes 19 MiB while it hashes a password.
pub(crate) const SIGN_INS: usize = 16;
pub(crate) const SIGN_INS_PER_ADDRESS: usize = 4;
/// Connections beyond their limit that are answered concurrently, in all and per address.
pub(crate) const SHED_CONNECTIONS: usize = 128;
pub(crate) const SHED_CONNECTIONS_PER_ADDRESS: usize = 8;
/// How often refused connections are logged.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Bounds what is under way, in all and per key.
pub(crate) struct ConcurrencyLimit<K> {
    total: usize,
    per_key: usize,
    counts: Mutex<Counts<K>>,
}

struct Counts<K> {
    total: usize,
    by_key: HashMap<K, usize>,
}

/// One of the bounded number of permits; returned when dropped.
pub(crate) struct Permit<K: Eq + Hash> {
    limit: Arc<ConcurrencyLimit<K>>,
    key: K,
}

impl<K: Eq + Hash + Copy> ConcurrencyLimit<K> {
    /// Permits `total` at once, `per_key` of them with the same key.
    pub(crate) fn new(total: usize, per_key: usize) -> Arc<Self> {
        Arc::new(Self {
            total,
            per_key,
            counts: Mutex::new(Counts {
                total: 0,
                by_key: HashMap::new(),
            }),
        })
    }

    /// A permit, or `None` if a bound is reached.
    pub(crate) fn try_acquire(self: &Arc<Self>, key: K) -> Option<Permit<K>> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.total >= self.total {
            return None;
        }
        let of_key = counts.by_key.entry(key).or_insert(0);
        if *of_key >= self.per_key {
            return None;
        }
        *of_key += 1;
        counts.total += 1;
        Some(Permit {
            limit: Arc::clone(self),
            key,
        })
    }
}

impl<K: Eq + Hash> Drop for Permit<K> {
    fn drop(&mut self) {
        let counts = &mut *self
            .limit
            .counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        counts.total -= 1;
        if let Some(of_key) = counts.by_key.get_mut(&self.key) {
            *of_key -= 1;
            if *of_key == 0 {
                counts.by_key.remove(&self.key);
            }
        }
    }
}

/// Counts refusals without a response, so that a flood becomes one log line every few seconds.
#[derive(Default)]
pub(crate) struct Tally {
    unlogged: u64,
    logged_at: Option<Instant>,
}

impl Tally {
    /// Counts one more. If a log line is due, returns how many there were since the last one.
    pub(crate) fn add(&mut self, now: Instant) -> Option<u64> {
        self.unlogged += 1;
        let recent = |logged_at| now.saturating_duration_since(logged_at) < LOG_EVERY;
        if self.logged_at.is_some_and(recent) {
            return None;
        }
        self.logged_at = Some(now);
        Some(std::mem::take(&mut self.unlogged))
    }
}

/// The part of an address that counts as one sender: an IPv4 address, or an IPv6 /64, all of whose addresses one host can
/// use.
pub(crate) fn sender(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) >> 64 << 64)),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_bounds_hold_and_dropped_permits_are_returned() {
        let limit = ConcurrencyLimit::new(3, 2);
        let a1 = limit.try_acquire('a').unwrap();
        let _a2 = limit.try_acquire('a').unwrap();
        assert!(limit.try_acquire('a').is_none());
        let _b1 = limit.try_acquire('b').unwrap();
        assert!(limit.try_acquire('b').is_none());
        drop(a1);
        let b2 = limit.try_acquire('b').unwrap();
        assert!(limit.try_acquire('a').is_none());
        drop(b2);
        assert_eq!(limit.counts.lock().unwrap().by_key.len(), 2);
    }

    #[test]
    fn refusals_are_logged_together_every_few_seconds() {
        let (mut tally, start) = (Tally::default(), Instant::now());
        assert_eq!(tally.add(start), Some(1));
        assert_eq!(tally.add(start), None);
        assert_eq!(tally.add(start + LOG_EVERY / 2), None);
        assert_eq!(tally.add(start + LOG_EVERY), Some(3));
        assert_eq!(tally.add(start + LOG_EVERY), None);
    }

    #[test]
    fn an_ipv6_network_is_one_sender() {
        let of = |text: &str| sender(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(of("192.0.2.1"), "192.0.2.1");
    }
}
