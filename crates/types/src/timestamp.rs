//! A point in time, as the API and the command line write it: RFC 3339 in UTC, to the millisecond.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The last millisecond of the year 9999, the last one that RFC 3339 can write.
const MAX_MS: i64 = 253_402_300_799_999;

/// A point in time to the millisecond, from 1970 to the end of the year 9999.
///
/// Its text form is always `2026-01-31T08:30:00.000Z`: one length, in UTC, so that texts sort as times do. It is read from any
/// RFC 3339 text, and from a number of Unix seconds, which versions before 0.3 wrote.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp {
    unix_ms: i64,
}

/// Why a time was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// Not a time of RFC 3339.
    #[error("not a time: expected RFC 3339, e.g. `2026-01-31T08:30:00Z`")]
    Malformed,
    /// A time before 1970.
    #[error("the time is before 1970")]
    OutOfRange,
}

impl Timestamp {
    /// From Unix seconds; a time outside the range is its nearest end.
    pub const fn from_unix(seconds: i64) -> Self {
        Self::from_unix_ms(seconds.saturating_mul(1000))
    }

    /// From Unix milliseconds; a time outside the range is its nearest end.
    pub const fn from_unix_ms(ms: i64) -> Self {
        let unix_ms = match ms {
            ms if ms < 0 => 0,
            ms if ms > MAX_MS => MAX_MS,
            ms => ms,
        };
        Self { unix_ms }
    }

    /// In Unix seconds, rounded down.
    pub const fn unix(self) -> i64 {
        self.unix_ms / 1000
    }

    /// In Unix milliseconds.
    pub const fn unix_ms(self) -> i64 {
        self.unix_ms
    }

    fn date_time(self) -> OffsetDateTime {
        let nanoseconds = i128::from(self.unix_ms) * 1_000_000;
        // The range of the type is a part of that of the date.
        OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.date_time();
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute(),
            at.second(),
            at.millisecond(),
        )
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| TimestampError::Malformed)?;
        i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000))
            .ok()
            .filter(|ms| (0..=MAX_MS).contains(ms))
            .map(|unix_ms| Self { unix_ms })
            .ok_or(TimestampError::OutOfRange)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TimestampVisitor)
    }
}

struct TimestampVisitor;

impl serde::de::Visitor<'_> for TimestampVisitor {
    type Value = Timestamp;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time of RFC 3339, or Unix seconds")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Timestamp, E> {
        text.parse().map_err(|error| {
            let value: String = text.chars().take(80).collect();
            E::custom(format_args!("{error}, not `{value}`"))
        })
    }

    fn visit_i64<E: serde::de::Error>(self, seconds: i64) -> Result<Timestamp, E> {
        Ok(Timestamp::from_unix(seconds))
    }

    fn visit_u64<E: serde::de::Error>(self, seconds: u64) -> Result<Timestamp, E> {
        Ok(Timestamp::from_unix(
            i64::try_from(seconds).unwrap_or(i64::MAX),
        ))
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Timestamp {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Timestamp, serde_json::Error> {
        serde_json::from_str(json)
    }

    /// F18: one format, one precision, in UTC.
    #[test]
    fn f18_times_have_one_text_form() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_700_000_000_000, "2023-11-14T22:13:20.000Z"),
            (951_827_696_007, "2000-02-29T12:34:56.007Z"),
            (MAX_MS, "9999-12-31T23:59:59.999Z"),
        ] {
            let at = Timestamp::from_unix_ms(ms);
            assert_eq!(at.to_string(), text);
            assert_eq!(text.parse(), Ok(at));
            assert_eq!(serde_json::to_string(&at).unwrap(), format!("\"{text}\""));
            assert_eq!((at.unix_ms(), at.unix()), (ms, ms / 1000));
        }
        assert_eq!(Timestamp::from_unix(i64::MAX).unix_ms(), MAX_MS);
        assert_eq!(Timestamp::from_unix(-1), Timestamp::default());
    }

    /// F18: what earlier versions wrote is read.
    #[test]
    fn f18_numbers_of_earlier_versions_are_unix_seconds() {
        let at = Timestamp::from_unix(1_700_000_000);
        assert_eq!(read("1700000000").unwrap(), at);
        assert_eq!(read("\"2023-11-14T22:13:20Z\"").unwrap(), at);
        assert_eq!(read("\"2023-11-14T23:13:20.0009+01:00\"").unwrap(), at);
        for bad in [
            "\"\"",
            "\"1700000000\"",
            "\"2023-11-14\"",
            "1.5",
            "null",
            "\"1969-12-31T23:59:59Z\"",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        let long = read(&format!("\"{}\"", "9".repeat(1000))).unwrap_err();
        assert!(long.to_string().len() < 250, "{long}");
    }
}
