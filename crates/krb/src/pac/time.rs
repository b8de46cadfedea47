//! FILETIME, the clock of Windows.

/// Seconds from the epoch of FILETIME (1601-01-01) to that of Unix (1970-01-01).
const EPOCH_DIFFERENCE_S: i64 = 11_644_473_600;
/// FILETIME counts in units of 100 ns.
const UNITS_PER_SECOND: i64 = 10_000_000;

/// A FILETIME, [MS-DTYP] 2.3.3: units of 100 ns since 1601-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileTime(pub u64);

impl FileTime {
    /// Not set.
    pub const UNSET: Self = Self(0);
    /// Never, [MS-PAC] 2.5: the greatest signed number.
    pub const NEVER: Self = Self(0x7fff_ffff_ffff_ffff);

    /// A time in Unix seconds. What FILETIME cannot express becomes [`Self::UNSET`] (before 1601) or [`Self::NEVER`].
    pub fn from_unix_seconds(seconds: i64) -> Self {
        let units = seconds
            .checked_add(EPOCH_DIFFERENCE_S)
            .and_then(|s| s.checked_mul(UNITS_PER_SECOND));
        match units {
            Some(units) => Self(u64::try_from(units).unwrap_or(0)),
            None if seconds < 0 => Self::UNSET,
            None => Self::NEVER,
        }
    }

    /// Unix seconds, rounded down; `None` for [`Self::UNSET`], [`Self::NEVER`] and later.
    pub fn unix_seconds(self) -> Option<i64> {
        if self == Self::UNSET || self >= Self::NEVER {
            return None;
        }
        let units = i64::try_from(self.0).ok()?;
        Some(units.div_euclid(UNITS_PER_SECOND) - EPOCH_DIFFERENCE_S)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unix_seconds_round_trip() {
        assert_eq!(FileTime::from_unix_seconds(0).0, 116_444_736_000_000_000);
        for seconds in [0, 1, -1, 1_669_219_320, 4_102_444_800] {
            let time = FileTime::from_unix_seconds(seconds);
            assert_eq!(time.unix_seconds(), Some(seconds));
        }
    }

    #[test]
    fn times_out_of_range_become_unset_or_never() {
        assert_eq!(FileTime::from_unix_seconds(i64::MAX), FileTime::NEVER);
        assert_eq!(FileTime::from_unix_seconds(i64::MIN), FileTime::UNSET);
        assert_eq!(
            FileTime::from_unix_seconds(-EPOCH_DIFFERENCE_S - 1),
            FileTime::UNSET
        );
        for time in [FileTime::UNSET, FileTime::NEVER, FileTime(u64::MAX)] {
            assert_eq!(time.unix_seconds(), None);
        }
    }
}
