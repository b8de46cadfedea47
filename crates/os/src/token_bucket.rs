//! A token bucket: something may be done so often at once, and then once in a while.

use std::time::{Duration, Instant};

/// How often something may be done.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// How many times at once.
    pub burst: u32,
    /// The time until it may be done once more; not zero.
    pub refill: Duration,
}

/// How often something may still be done.
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    left: u32,
    filled_at: Instant,
}

impl TokenBucket {
    /// A full bucket.
    pub fn full(rate: &Rate, now: Instant) -> Self {
        Self {
            left: rate.burst,
            filled_at: now,
        }
    }

    /// Whether it may be done now; then it counts as done.
    pub fn take(&mut self, rate: &Rate, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.filled_at);
        let gained = elapsed.as_millis() / rate.refill.as_millis().max(1);
        let gained = u32::try_from(gained).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(gained).min(rate.burst);
        self.filled_at += rate.refill.saturating_mul(gained);
        let may = self.left > 0;
        self.left -= u32::from(may);
        may
    }

    /// Whether nothing was taken for as long as it takes to fill an empty bucket.
    pub fn is_idle(&self, rate: &Rate, now: Instant) -> bool {
        now.saturating_duration_since(self.filled_at) >= rate.refill.saturating_mul(rate.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_followed_by_the_rate() {
        let second = Duration::from_secs(1);
        let rate = Rate {
            burst: 3,
            refill: second,
        };
        let start = Instant::now();
        let mut bucket = TokenBucket::full(&rate, start);
        let mut taken = |at| (0..9).filter(|_| bucket.take(&rate, at)).count();
        assert_eq!(taken(start), 3);
        assert_eq!(taken(start + second / 2), 0);
        // The half second before counts.
        assert_eq!(taken(start + second), 1);
        assert_eq!(taken(start + second * 3), 2);
        assert_eq!(taken(start + second * 100_000), 3);
        assert!(!bucket.is_idle(&rate, start + second * 100_002));
        assert!(bucket.is_idle(&rate, start + second * 100_003));
    }
}
