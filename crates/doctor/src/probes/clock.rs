//! Comparison of clocks.

use crate::finding::{Finding, failed, passed};
use crossrealm_krb::credential::MAX_SKEW_S;

/// Judges the difference of a clock from this computer's, in seconds ahead of it.
pub(super) fn skew(whose: &str, ahead_s: i64) -> Finding {
    let side = if ahead_s < 0 { "behind" } else { "ahead" };
    let seen = format!("{whose} is {} s {side}", ahead_s.abs());
    match ahead_s.abs() {
        // Both clocks are read in whole seconds.
        0..=2 => passed(format!("{whose} agrees with this computer's")),
        far if far >= MAX_SKEW_S => failed(seen),
        _ => passed(format!("{seen}, within five minutes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_of_five_minutes_fails() {
        assert!(matches!(skew("x", 0), Finding::Passed(_)));
        assert!(matches!(skew("x", -299), Finding::Passed(_)));
        assert!(matches!(skew("x", 301), Finding::Failed(_)));
        assert!(matches!(skew("x", -301), Finding::Failed(_)));
    }
}
