//! The forms of names, checked when a record is written. Accepted names are in their canonical spelling.

use crate::error::{DirectoryError, Result};

/// The most DNS suffixes one tenant or trust may have.
pub const MAX_TOP_LEVEL_NAMES: usize = 50;

/// Section names of smbd's configuration, which cannot be share names.
const RESERVED_SHARES: [&str; 4] = ["global", "homes", "printers", "ipc"];
/// Service classes that mean the realm's own services.
const RESERVED_CLASSES: [&str; 3] = ["krbtgt", "kadmin", "changepw"];

/// A DNS name of at least `min_labels` labels, in lower case (RFC 1123 §2.1, RFC 1035 §2.3.4).
pub fn dns_name(what: &'static str, text: &str, min_labels: usize) -> Result<String> {
    let name = text.to_ascii_lowercase();
    let labels: Vec<&str> = name.split('.').collect();
    let good = name.len() <= 253
        && labels.len() >= min_labels
        && labels.iter().all(|label| is_label(label))
        // An address is not a name; a name's last label is never all digits (RFC 1123 §2.1).
        && !labels.last().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    good.then_some(name).ok_or_else(|| {
        invalid(
            what,
            text,
            "expected a DNS name such as `contoso.cloud.example`",
        )
    })
}

/// A Kerberos realm of the domain style (RFC 4120 §6.1), in upper case.
pub fn realm(text: &str) -> Result<String> {
    dns_name("realm", text, 2)
        .map(|name| name.to_ascii_uppercase())
        .map_err(|_| {
            invalid(
                "realm",
                text,
                "expected a realm such as `KERBEROS.CONTOSO.CLOUD.EXAMPLE`",
            )
        })
}

/// A flat (NetBIOS) name: 1 to 15 letters, digits and hyphens, in upper case.
pub fn flat_name(text: &str) -> Result<String> {
    let name = text.to_ascii_uppercase();
    let good = name.len() <= 15 && is_label(&name.to_ascii_lowercase());
    good.then_some(name).ok_or_else(|| {
        invalid(
            "flat name",
            text,
            "expected 1 to 15 letters, digits and hyphens",
        )
    })
}

/// A tenant's name: one DNS label, in lower case.
pub fn tenant_name(text: &str) -> Result<String> {
    let name = text.to_ascii_lowercase();
    is_label(&name).then_some(name).ok_or_else(|| {
        invalid(
            "tenant name",
            text,
            "expected 1 to 63 letters, digits and hyphens, no hyphen at either end",
        )
    })
}

/// A storage account's name: 3 to 24 letters and digits, in lower case.
pub fn account_name(text: &str) -> Result<String> {
    let good = (3..=24).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    good.then(|| text.to_owned()).ok_or_else(|| {
        invalid(
            "storage account name",
            text,
            "expected 3 to 24 lower-case letters and digits",
        )
    })
}

/// A share's name: 3 to 63 letters, digits and single hyphens, in lower case.
pub fn share_name(text: &str) -> Result<String> {
    let good = (3..=63).contains(&text.len())
        && is_label(text)
        && !text.contains("--")
        && !text.bytes().any(|b| b.is_ascii_uppercase())
        && !RESERVED_SHARES.contains(&text);
    good.then(|| text.to_owned()).ok_or_else(|| {
        invalid(
            "share name",
            text,
            "expected 3 to 63 lower-case letters, digits and single hyphens, and none of `global`, `homes`, `printers`, `ipc`",
        )
    })
}

/// A quota in GiB: 1 to 102,400, the range of Azure Files.
pub fn quota_gib(gib: u32) -> Result<u32> {
    (1..=102_400)
        .contains(&gib)
        .then_some(gib)
        .ok_or_else(|| invalid("quota", &format!("{gib} GiB"), "expected 1 to 102,400 GiB"))
}

/// The class and host of a service principal name, in lower case.
pub fn spn(text: &str) -> Result<(String, String)> {
    let bad = || {
        invalid(
            "service principal name",
            text,
            "expected `class/host` such as `postgres/db1.contoso.cloud.example`, and not the realm's own services",
        )
    };
    let (class, host) = text.split_once('/').ok_or_else(bad)?;
    let class = class.to_ascii_lowercase();
    let good = (1..=32).contains(&class.len())
        && class
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        && !RESERVED_CLASSES.contains(&class.as_str());
    if !good {
        return Err(bad());
    }
    let host = dns_name("service principal name", host, 1).map_err(|_| bad())?;
    Ok((class, host))
}

/// DNS suffixes in lower case. None may lie below another: AD refuses such a trust.
pub fn top_level_names(names: &[String]) -> Result<Vec<String>> {
    const WHAT: &str = "top-level name";
    let names = names
        .iter()
        .map(|name| dns_name(WHAT, name, 2))
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
pub fn plain_text(what: &'static str, text: &str, max: usize, may_be_empty: bool) -> Result<()> {
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
pub fn new_upn(text: &str) -> Result<()> {
    if text.contains(char::is_whitespace) {
        let expected = "expected `name@domain`, without spaces";
        return Err(invalid("user principal name", text, expected));
    }
    upn(text)
}

/// A user principal name: `name@suffix`, at most 1024 characters.
pub fn upn(text: &str) -> Result<()> {
    plain_text("user principal name", text, 1024, false)?;
    let good = text
        .rsplit_once('@')
        .is_some_and(|(name, suffix)| !name.is_empty() && !suffix.is_empty());
    good.then_some(())
        .ok_or_else(|| invalid("user principal name", text, "expected `name@domain`"))
}

/// The text with each control character replaced by U+FFFD.
pub(crate) fn visible(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// A name as an error may show it: it comes from the caller and may be long.
pub(crate) fn shown(name: &str) -> String {
    visible(&name.chars().take(256).collect::<String>())
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
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
    fn dns_names_are_checked_and_lower_cased() {
        assert_eq!(
            dns_name("x", "Contoso.Cloud.EXAMPLE", 2).unwrap(),
            "contoso.cloud.example"
        );
        let long = format!("{}.example", "a".repeat(64));
        let longer = format!("{}example", "a23.".repeat(70));
        for bad in [
            "",
            ".",
            "a",
            "a..b",
            ".a.b",
            "a.b.",
            "-a.b",
            "a-.b",
            "a_b.c",
            "ä.example",
            "a b.c",
            "10.0.0.1",
            "a.b\n",
            "a/b.c",
            &long,
            &longer,
        ] {
            assert!(dns_name("x", bad, 2).is_err(), "{bad}");
        }
    }

    #[test]
    fn realms_and_flat_names_are_checked_and_upper_cased() {
        assert_eq!(
            realm("kerberos.microsoftonline.com").unwrap(),
            "KERBEROS.MICROSOFTONLINE.COM"
        );
        for bad in ["", "A", "A.B@C", "A/B.C", "A.B:C"] {
            assert!(realm(bad).is_err(), "{bad}");
        }
        assert_eq!(flat_name("contoso-krb").unwrap(), "CONTOSO-KRB");
        for bad in [
            "",
            "SIXTEEN-LETTERS-",
            "ABCDEFGHIJKLMNOP",
            "A.B",
            "A B",
            "-A",
            "Ä",
        ] {
            assert!(flat_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_of_accounts_shares_and_services_are_checked() {
        assert!(account_name("acct1").is_ok());
        for bad in ["ab", "Acct1", "acct-1", &"a".repeat(25), "../x", ""] {
            assert!(account_name(bad).is_err(), "{bad}");
        }
        assert!(share_name("projects-2").is_ok());
        for bad in [
            "ab",
            "Projects",
            "a--b",
            "-ab",
            "../etc",
            "global",
            "homes",
            "ipc$",
            "a/b",
            "a\\b",
            "a b",
            &"a".repeat(64),
        ] {
            assert!(share_name(bad).is_err(), "{bad}");
        }
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

    #[test]
    fn user_principal_names_need_a_name_and_a_suffix() {
        for good in ["alice@corp.contoso.com", "Müller@corp", "a@b@c"] {
            assert!(upn(good).is_ok(), "{good}");
        }
        for bad in ["", "alice", "@x", "x@", "a\0@b", "a\n@b"] {
            assert!(upn(bad).is_err(), "{bad}");
        }
    }
}
