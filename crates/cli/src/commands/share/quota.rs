//! Quotas of shares: their text form, and their use as the hosts report it.

use crate::output;
use crossrealm_api::{Host, Share};
use crossrealm_types::{HostQuota, Timestamp};
use serde::Serialize;
use serde_json::Value;
use std::str::FromStr;

/// The least and the most that a quota may be, in GiB.
const RANGE: std::ops::RangeInclusive<u64> = 1..=102_400;

/// A quota on the command line: `100GiB`, `2TiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quota {
    /// In GiB, 1 to 102,400.
    pub gib: u32,
}

/// A quota on the command line, or `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QuotaOrNone(pub Option<Quota>);

impl FromStr for Quota {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let each = match unit.trim_start() {
            "GiB" => 1,
            "TiB" => 1024,
            "GB" | "TB" | "G" | "T" | "gb" | "tb" | "" if !number.is_empty() => {
                return Err(format!(
                    "a quota is in GiB (2^30 bytes), written as `{number}GiB`, or in TiB"
                ));
            }
            _ => return Err("expected whole GiB or TiB, e.g. `100GiB`".to_owned()),
        };
        let gib = number.parse::<u64>().ok();
        gib.and_then(|n| n.checked_mul(each))
            .filter(|gib| RANGE.contains(gib))
            .and_then(|gib| u32::try_from(gib).ok())
            .map(|gib| Self { gib })
            .ok_or_else(|| "a quota is 1GiB to 102400GiB (100TiB)".to_owned())
    }
}

impl FromStr for QuotaOrNone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self(None)),
            text => text.parse().map(|quota| Self(Some(quota))),
        }
    }
}

/// A share with the use of its quota on each host.
#[derive(Serialize)]
pub(crate) struct WithUse {
    #[serde(flatten)]
    share: Share,
    quota_on_hosts: Vec<OnHost>,
}

/// The use of a share's quota on one host.
#[derive(Serialize)]
struct OnHost {
    host: String,
    /// When the host reported it.
    reported_at: Timestamp,
    /// Whether the host has not reported for longer than a running host pauses.
    silent: bool,
    #[serde(flatten, serialize_with = "output::with_times")]
    quota: HostQuota,
}

/// Each share with the use of its quota on each host. Reports about shares without a quota are out of date.
pub(super) fn with_use(shares: Vec<Share>, hosts: &[Host]) -> Vec<WithUse> {
    let on_hosts = |share: &Share| {
        let report = hosts.iter().filter_map(|host| {
            let quotas = host.report.quotas.iter();
            let mut own = quotas.filter(|quota| quota.share == share.name);
            Some(OnHost {
                host: host.name.clone(),
                reported_at: host.reported_at,
                silent: host.silent,
                quota: own.next()?.clone(),
            })
        });
        match share.quota_gib {
            Some(_) => report.collect(),
            None => Vec::new(),
        }
    };
    let shares = shares.into_iter().map(|share| WithUse {
        quota_on_hosts: on_hosts(&share),
        share,
    });
    shares.collect()
}

/// A quota as `100 GiB`.
pub(super) fn gib(value: &Value) -> String {
    value.as_u64().map_or(String::new(), |n| format!("{n} GiB"))
}

/// The use of one share as `fs1: 1.50 of 100 GiB used, enforced by btrfs`.
pub(super) fn on_hosts(hosts: &Value) -> String {
    let shown = hosts.as_array().into_iter().flatten().map(|report| {
        let silent = if report["silent"] == true {
            " (silent)"
        } else {
            ""
        };
        format!(
            "{}{silent}: {}",
            output::plain(&report["host"]),
            facts(report)
        )
    });
    shown.collect::<Vec<_>>().join("; ")
}

/// The use of a host's shares as `projects: 1.50 of 100 GiB used, enforced by btrfs`.
pub(crate) fn of_shares(quotas: &Value) -> String {
    let shown = quotas.as_array().into_iter().flatten();
    let shown =
        shown.map(|report| format!("{}: {}", output::plain(&report["share"]), facts(report)));
    shown.collect::<Vec<_>>().join("; ")
}

fn facts(report: &Value) -> String {
    let limit = report["limit_bytes"].as_u64().unwrap_or(0) >> 30;
    let mut text = match report["used_bytes"].as_u64() {
        Some(bytes) => format!("{} of {limit} GiB used", hundredths(bytes)),
        None => format!("use of {limit} GiB unknown"),
    };
    text += match report["how"].as_str() {
        Some("enforced") => ", enforced by btrfs",
        Some("shown-only") => ", shown only, not enforced",
        _ => ", unknown",
    };
    if let Some(reason) = report["reason"].as_str() {
        text += &format!(": {reason}");
    }
    if let Some(hint) = report["hint"].as_str() {
        text += &format!(" ({hint})");
    }
    if !report["full_since"].is_null() {
        text += &format!(", full since {}", output::time(&report["full_since"]));
    }
    text
}

/// Bytes in GiB with two decimals, rounded down, so that no share is shown full that is not.
fn hundredths(bytes: u64) -> String {
    let all = (u128::from(bytes) * 100) >> 30;
    format!("{}.{:02}", all / 100, all % 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_quota_is_whole_gib_in_the_range_of_azure_files() {
        for (text, gib) in [
            ("1GiB", 1),
            ("100 GiB", 100),
            ("102400GiB", 102_400),
            ("100TiB", 102_400),
        ] {
            assert_eq!(text.parse(), Ok(Quota { gib }), "{text}");
        }
        for bad in [
            "0GiB",
            "-1GiB",
            "102401GiB",
            "101TiB",
            "10GB",
            "10",
            "1.5GiB",
            "GiB",
            "",
            "none",
            "1e3GiB",
            "18446744073709551616GiB",
            "18014398509481985TiB",
            "10gib",
            "10MiB",
            "10GiBs",
            "+1GiB",
        ] {
            assert!(bad.parse::<Quota>().is_err(), "{bad}");
        }
        assert!("10GB".parse::<Quota>().unwrap_err().contains("`10GiB`"));
        assert_eq!("none".parse(), Ok(QuotaOrNone(None)));
        assert_eq!("3GiB".parse(), Ok(QuotaOrNone(Some(Quota { gib: 3 }))));
    }

    #[test]
    fn reports_are_shown_with_their_reason() {
        let report = json!([
            {"host": "fs1", "silent": false, "share": "a", "limit_bytes": 1u64 << 30, "used_bytes": (1u64 << 30) - 1,
             "how": "enforced", "reason": null, "full_since": "2023-11-14T22:13:20.000Z"},
            {"host": "fs2", "silent": true, "share": "a", "limit_bytes": 1u64 << 30, "used_bytes": null,
             "how": "shown-only", "reason": "ext4", "hint": "use Btrfs"},
        ]);
        assert_eq!(
            on_hosts(&report),
            "fs1: 0.99 of 1 GiB used, enforced by btrfs, full since 2023-11-14T22:13:20Z; \
             fs2 (silent): use of 1 GiB unknown, shown only, not enforced: ext4 (use Btrfs)"
        );
    }
}
