//! Limits of concurrency: connections, requests and bytes in all and per address, ticket requests in all and per tenant.
//!
//! Nothing is queued: a request beyond a limit is refused at once, so that a flood costs little and one address or tenant
//! cannot exhaust the capacity of the others. Refused requests get a response, and so do refused connections, by a bounded
//! overload path: at most [`SHED_CONNECTIONS`], one short response each. Connections beyond that bound are closed at once and
//! counted, since more responses would cost what the limit is meant to save.

pub(crate) mod client_text;
pub(crate) mod event_budget;
pub(crate) mod held_bytes;
pub(crate) mod open_files;
pub(crate) mod refusal_log;

use crossrealm_krb::kkdcp::MAX_BODY_LEN;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Concurrent sign-ins of administrators, in all and per address. Few of them hash a password at once; the others wait.
pub(crate) const SIGN_INS: usize = 16;
pub(crate) const SIGN_INS_PER_ADDRESS: usize = 4;
/// What the body of a request in flight may take, in bytes, if all others that may be in flight take as much: the usual size.
/// Any one of them may be larger.
const USUAL_BODY: usize = 8 * 1024;
/// What the bodies in flight may take at least, in bytes.
const LEAST_BODIES: usize = 2 * LARGEST_SMALL_BODY;
/// The same for all requests of the endpoints that take larger bodies than [`LARGEST_SMALL_BODY`], all of which need a token;
/// in all and per address.
pub(crate) const LARGE_BODIES: usize = 16 << 20;
pub(crate) const LARGE_BODIES_PER_ADDRESS: usize = 8 << 20;
/// The largest body that anyone may send, in bytes: that of a Kerberos message.
pub(crate) const LARGEST_SMALL_BODY: usize = MAX_BODY_LEN;
/// Connections beyond their limit that are answered concurrently, in all and per address.
pub(crate) const SHED_CONNECTIONS: usize = 128;
pub(crate) const SHED_CONNECTIONS_PER_ADDRESS: usize = 8;
/// How often refused connections are logged.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// What the bodies of so many requests in flight may take together, in bytes.
pub(crate) fn bodies_of(requests: usize) -> usize {
    requests.saturating_mul(USUAL_BODY).max(LEAST_BODIES)
}

/// Bounds what is under way, in all and per key: a number of connections or requests, or of bytes.
pub(crate) struct ConcurrencyLimit<K> {
    counts: Mutex<Counts<K>>,
}

struct Counts<K> {
    /// The bounds, in all and per key.
    most: usize,
    most_per_key: usize,
    total: usize,
    by_key: HashMap<K, usize>,
}

/// A part of what is bounded; returned when dropped.
pub(crate) struct Permit<K: Eq + Hash> {
    limit: Arc<ConcurrencyLimit<K>>,
    key: K,
    amount: usize,
}

impl<K: Eq + Hash + Copy> ConcurrencyLimit<K> {
    /// Permits `total` at once, `per_key` of them with the same key.
    pub(crate) fn new(total: usize, per_key: usize) -> Arc<Self> {
        Arc::new(Self {
            counts: Mutex::new(Counts {
                most: total,
                most_per_key: per_key,
                total: 0,
                by_key: HashMap::new(),
            }),
        })
    }

    /// Other bounds from now on. What is under way beyond them goes on.
    pub(crate) fn set(&self, total: usize, per_key: usize) {
        let counts = &mut *self.counts();
        counts.most = total;
        counts.most_per_key = per_key;
    }

    /// A permit, or `None` if a bound is reached.
    pub(crate) fn try_acquire(self: &Arc<Self>, key: K) -> Option<Permit<K>> {
        let mut permit = self.none(key);
        permit.try_grow(1).then_some(permit)
    }

    /// A permit for nothing yet.
    pub(crate) fn none(self: &Arc<Self>, key: K) -> Permit<K> {
        Permit {
            limit: Arc::clone(self),
            key,
            amount: 0,
        }
    }
}

impl<K: Eq + Hash + Copy> Permit<K> {
    /// Permits `more` at once. If a bound would be exceeded, nothing changes and this is `false`.
    pub(crate) fn try_grow(&mut self, more: usize) -> bool {
        let counts = &mut *self.limit.counts();
        let of_key = counts.by_key.get(&self.key).copied().unwrap_or(0);
        if more > counts.most.saturating_sub(counts.total)
            || more > counts.most_per_key.saturating_sub(of_key)
        {
            return false;
        }
        if more > 0 {
            counts.by_key.insert(self.key, of_key + more);
            counts.total += more;
            self.amount += more;
        }
        true
    }
}

impl<K: Eq + Hash> ConcurrencyLimit<K> {
    /// How much is under way.
    pub(crate) fn in_use(&self) -> usize {
        self.counts().total
    }

    /// Whether half of what may be under way is.
    pub(crate) fn is_half_used(&self) -> bool {
        let counts = self.counts();
        counts.total > counts.most / 2
    }

    fn counts(&self) -> MutexGuard<'_, Counts<K>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Drop for Permit<K> {
    fn drop(&mut self) {
        let counts = &mut *self.limit.counts();
        counts.total -= self.amount;
        if let Some(of_key) = counts.by_key.get_mut(&self.key) {
            *of_key -= self.amount;
            if *of_key == 0 {
                counts.by_key.remove(&self.key);
            }
        }
    }
}

/// Counts refusals without a response, so that a flood becomes one log line every few seconds.
#[derive(Default)]
pub(crate) struct LogThrottle {
    unlogged: u64,
    logged_at: Option<Instant>,
}

impl LogThrottle {
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
    fn amounts_are_bounded_and_returned() {
        let limit = ConcurrencyLimit::new(100, 60);
        let mut a = limit.none('a');
        assert!(a.try_grow(50) && !a.try_grow(11) && a.try_grow(10) && a.try_grow(0));
        let mut b = limit.none('b');
        assert!(!b.try_grow(41) && b.try_grow(40) && !b.try_grow(usize::MAX));
        drop(a);
        assert!(b.try_grow(20));
        drop(b);
        let counts = limit.counts();
        assert_eq!((counts.total, counts.by_key.len()), (0, 0));
    }

    #[test]
    fn refusals_are_logged_together_every_few_seconds() {
        let (mut throttle, start) = (LogThrottle::default(), Instant::now());
        assert_eq!(throttle.add(start), Some(1));
        assert_eq!(throttle.add(start), None);
        assert_eq!(throttle.add(start + LOG_EVERY / 2), None);
        assert_eq!(throttle.add(start + LOG_EVERY), Some(3));
        assert_eq!(throttle.add(start + LOG_EVERY), None);
    }

    #[test]
    fn an_ipv6_network_is_one_sender() {
        let of = |text: &str| sender(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(of("192.0.2.1"), "192.0.2.1");
    }
}
