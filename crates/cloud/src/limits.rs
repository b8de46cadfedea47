//! How much is taken at once: connections and requests in all and per address, ticket requests in all and per tenant.
//!
//! Nothing queues here: what is beyond a limit is refused at once, so that a flood costs little and one address or tenant
//! leaves room for the others. A request gets an answer that says so, and so does a connection, by a lane of its own: few at
//! once ([`SHED_CONNECTIONS`]), one short answer each, a short life. What does not fit into that lane either is closed at once
//! and counted, since more answers would cost what the limit is to save.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Sign-ins of administrators at once, and those from one address: each takes 19 MiB while it hashes a password.
pub(crate) const SIGN_INS: usize = 16;
pub(crate) const SIGN_INS_PER_ADDRESS: usize = 4;
/// Connections beyond their limit that are told so at once, and those of one address.
pub(crate) const SHED_CONNECTIONS: usize = 128;
pub(crate) const SHED_CONNECTIONS_PER_ADDRESS: usize = 8;
/// How often refused connections are told of in the log.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Counts what is under way, in all and per key, and refuses what is beyond either bound.
pub(crate) struct Gate<K> {
    total: usize,
    per_key: usize,
    counts: Mutex<Counts<K>>,
}

struct Counts<K> {
    total: usize,
    by_key: HashMap<K, usize>,
}

/// The right to be under way; given back when dropped.
pub(crate) struct Pass<K: Eq + Hash> {
    gate: Arc<Gate<K>>,
    key: K,
}

impl<K: Eq + Hash + Copy> Gate<K> {
    /// A gate that lets `total` pass at once, `per_key` of them with the same key.
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

    /// A pass, or `None` where a bound is reached.
    pub(crate) fn enter(self: &Arc<Self>, key: K) -> Option<Pass<K>> {
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
        Some(Pass {
            gate: Arc::clone(self),
            key,
        })
    }
}

impl<K: Eq + Hash> Drop for Pass<K> {
    fn drop(&mut self) {
        let counts = &mut *self
            .gate
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

/// Counts what gets no answer, so that a flood is one line in the log and not a flood of lines.
#[derive(Default)]
pub(crate) struct Tally {
    untold: u64,
    told_at: Option<Instant>,
}

impl Tally {
    /// Counts one more; where it is time to tell, how many there were since the last time.
    pub(crate) fn add(&mut self, now: Instant) -> Option<u64> {
        self.untold += 1;
        let recent = |told_at| now.saturating_duration_since(told_at) < TELL_EVERY;
        if self.told_at.is_some_and(recent) {
            return None;
        }
        self.told_at = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

/// The part of an address that counts as one sender: an IPv4 address, or an IPv6 network of 64 bits, which one host fills
/// at will.
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
    fn both_bounds_hold_and_passes_come_back() {
        let gate = Gate::new(3, 2);
        let a1 = gate.enter('a').unwrap();
        let _a2 = gate.enter('a').unwrap();
        assert!(gate.enter('a').is_none());
        let _b1 = gate.enter('b').unwrap();
        assert!(gate.enter('b').is_none());
        drop(a1);
        let b2 = gate.enter('b').unwrap();
        assert!(gate.enter('a').is_none());
        drop(b2);
        assert_eq!(gate.counts.lock().unwrap().by_key.len(), 2);
    }

    #[test]
    fn every_refusal_is_told_of_but_not_at_once() {
        let (mut tally, start) = (Tally::default(), Instant::now());
        assert_eq!(tally.add(start), Some(1));
        assert_eq!(tally.add(start), None);
        assert_eq!(tally.add(start + TELL_EVERY / 2), None);
        assert_eq!(tally.add(start + TELL_EVERY), Some(3));
        assert_eq!(tally.add(start + TELL_EVERY), None);
    }

    #[test]
    fn an_ipv6_network_is_one_sender() {
        let of = |text: &str| sender(text.parse().unwrap()).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(of("192.0.2.1"), "192.0.2.1");
    }
}
