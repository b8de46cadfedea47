//! The forms of names, checked when a record is written. Accepted names are in their canonical spelling.

use crate::error::{DirectoryError, Result};
use crossrealm_types::{
    AccountName, DnsName, HostName, MAX_UPN, NameError, NetbiosName, Realm, ShareName, TenantName,
    Upn,
};
use std::str::FromStr;

/// The most DNS suffixes one tenant or trust may have.
pub(crate) const MAX_TOP_LEVEL_NAMES: usize = 50;

/// The longest class of a service principal name, and the longest host: that of a DNS name (RFC 1035 §2.3.4), in bytes.
const MAX_CLASS: usize = 32;
const MAX_HOST: usize = 253;

/// Service classes that mean the realm's own services.
const RESERVED_CLASSES: [&str; 3] = ["krbtgt", "kadmin", "changepw"];

/// A DNS name of at least two labels, in lower case.
pub(crate) fn dns_name(what: &'static str, text: &str) -> Result<String> {
    parsed::<DnsName>(what, text)
}

/// A DNS name of at least one label, in lower case.
pub(crate) fn host_name(what: &'static str, text: &str) -> Result<String> {
    parsed::<HostName>(what, text)
}

/// A Kerberos realm of the domain style (RFC 4120 §6.1), in upper case.
pub(crate) fn realm(text: &str) -> Result<String> {
    parsed::<Realm>("realm", text)
}

/// A flat (NetBIOS) name, in upper case.
pub(crate) fn flat_name(text: &str) -> Result<String> {
    parsed::<NetbiosName>("flat name", text)
}

/// A tenant's name, in lower case.
pub(crate) fn tenant_name(text: &str) -> Result<String> {
    parsed::<TenantName>("tenant name", text)
}

/// A storage account's name.
pub(crate) fn account_name(text: &str) -> Result<String> {
    parsed::<AccountName>("storage account name", text)
}

/// A share's name.
pub(crate) fn share_name(text: &str) -> Result<ShareName> {
    text.parse()
        .map_err(|error: NameError| invalid("share name", text, error.expected))
}

/// What a share of this name is found by; what is no name finds none.
pub(crate) fn share_key(text: &str) -> Option<String> {
    text.parse().ok().map(|name: ShareName| name.key())
}

/// A quota in GiB: 1 to 102,400, the range of Azure Files.
pub(crate) fn quota_gib(gib: u32) -> Result<u32> {
    (1..=102_400)
        .contains(&gib)
        .then_some(gib)
        .ok_or_else(|| invalid("quota", &format!("{gib} GiB"), "expected 1 to 102,400 GiB"))
}

/// Whether a service principal name of this class and host is short enough to be registered.
pub(crate) fn fits_spn(class: &str, host: &str) -> bool {
    class.len() <= MAX_CLASS && host.len() <= MAX_HOST
}

/// The class and host of a service principal name, in lower case.
pub(crate) fn spn(text: &str) -> Result<(String, String)> {
    let bad = || {
        invalid(
            "service principal name",
            text,
            "expected `class/host` such as `postgres/db1.contoso.cloud.example`, and not the realm's own services",
        )
    };
    let (class, host) = text.split_once('/').ok_or_else(bad)?;
    let class = class.to_ascii_lowercase();
    let good = (1..=MAX_CLASS).contains(&class.len())
        && class
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        && !RESERVED_CLASSES.contains(&class.as_str());
    if !good {
        return Err(bad());
    }
    let host = host_name("service principal name", host).map_err(|_| bad())?;
    Ok((class, host))
}

/// DNS suffixes in lower case. None may lie below another: AD refuses such a trust.
pub(crate) fn top_level_names(names: &[String]) -> Result<Vec<String>> {
    const WHAT: &str = "top-level name";
    let names = names
        .iter()
        .map(|name| dns_name(WHAT, name))
        .collect::<Result<Vec<_>>>()?;
    if names.len() > MAX_TOP_LEVEL_NAMES {
        return Err(invalid(WHAT, &names.len().to_string(), "too many of them"));
    }
    for (index, name) in names.iter().enumerate() {
        if names.iter().enumerate().any(|(other, upper)| {
            other != index && (name == upper || name.ends_with(&format!(".{upper}")))
        }) {
            return Err(invalid(
                WHAT,
                name,
                "another of the names is equal or a suffix of it",
            ));
        }
    }
    Ok(names)
}

/// A text of 1 (or 0 where `may_be_empty`) to `max` characters without control characters.
pub(crate) fn plain_text(
    what: &'static str,
    text: &str,
    max: usize,
    may_be_empty: bool,
) -> Result<()> {
    let good = (may_be_empty || !text.trim().is_empty())
        && text.chars().count() <= max
        && !text.chars().any(char::is_control);
    good.then_some(()).ok_or_else(|| {
        invalid(
            what,
            text,
            "it is empty, too long or contains control characters",
        )
    })
}

/// A user principal name that is set here, not in AD: as [`upn`], but without the spaces that AD permits.
pub(crate) fn new_upn(text: &str) -> Result<()> {
    if text.contains(char::is_whitespace) {
        let expected = "expected `name@domain`, without spaces";
        return Err(invalid("user principal name", text, expected));
    }
    upn(text)
}

/// A user principal name: `name@suffix`, at most 1024 characters.
pub(crate) fn upn(text: &str) -> Result<()> {
    // Control characters are named as such: they do not show in the value.
    plain_text("user principal name", text, MAX_UPN, false)?;
    parsed::<Upn>("user principal name", text).map(drop)
}

/// The text with each control character replaced by U+FFFD.
pub(crate) fn visible(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// A name as an error may show it: it comes from the caller and may be long.
pub(crate) fn shown(name: &str) -> String {
    visible(&name.chars().take(256).collect::<String>())
}

/// The text as a `T`, in its canonical spelling.
fn parsed<T>(what: &'static str, text: &str) -> Result<String>
where
    T: FromStr<Err = NameError> + Into<String>,
{
    let name: T = text
        .parse()
        .map_err(|error: NameError| invalid(what, text, error.expected))?;
    Ok(name.into())
}

/// An error about a value. A long value is shortened, to bound the message.
pub(crate) fn invalid(what: &'static str, value: &str, reason: &'static str) -> DirectoryError {
    let start: String = value.chars().take(64).collect();
    let mut short = visible(&start);
    if start.len() < value.len() {
        short.push('…');
    }
    DirectoryError::Invalid {
        what,
        value: short,
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_principal_names_are_checked_and_lower_cased() {
        assert_eq!(
            spn("Postgres/DB1.contoso.cloud.example").unwrap(),
            ("postgres".into(), "db1.contoso.cloud.example".into())
        );
        for bad in [
            "",
            "cifs",
            "/a.b",
            "cifs/",
            "krbtgt/A.B",
            "KRBTGT/a",
            "a/b/c",
            "a@b/c",
        ] {
            assert!(spn(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_top_level_name_that_covers_another_is_refused() {
        let names = |list: &[&str]| {
            top_level_names(&list.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(
            names(&["B.example", "a.example"]).unwrap(),
            ["b.example", "a.example"]
        );
        assert!(names(&["a.example", "x.a.example"]).is_err());
        assert!(names(&["a.example", "A.EXAMPLE"]).is_err());
        assert!(names(&["a.example", "ba.example"]).is_ok());
        assert!(names(&["example"]).is_err());
    }

    #[test]
    fn errors_quote_a_bounded_part_of_the_value() {
        let error = tenant_name(&"ü".repeat(100_000)).unwrap_err();
        assert!(error.to_string().len() < 400);
    }
}
