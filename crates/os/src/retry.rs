//! The delay before a retry.

use std::time::Duration;

/// The delay after a failure that follows on `failures` others: `first`, doubled with each of them, at most `longest`.
pub fn delay(first: Duration, failures: u32, longest: Duration) -> Duration {
    // 2^31 times anything that is waited for is beyond any bound.
    first.saturating_mul(1 << failures.min(31)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_longest() {
        let second = Duration::from_secs(1);
        let delays = [0, 1, 2, 5, 6, u32::MAX].map(|n| delay(second, n, second * 60).as_secs());
        assert_eq!(delays, [1, 2, 4, 32, 60, 60]);
    }
}
