//! Names, parsed once into their canonical spelling.

use crate::text::serde_as_text;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use unicode_normalization::UnicodeNormalization;

/// The longest name of a share, in units of UTF-16 ([MS-FSCC] 2.1.6).
const MAX_SHARE_NAME: usize = 80;
/// Names of shares that mean something else to Samba, which compares sections of its configuration without spaces.
const RESERVED_SHARES: [&str; 7] = [
    "global", "globals", "homes", "printers", "print$", "ipc$", "admin$",
];
/// What the name of a share may not contain: the characters of [MS-FSCC] 2.1.6, and `%`, which Samba replaces.
const NOT_IN_SHARE_NAMES: &str = "\"\\/[]:|<>+=;,*?%";
/// The longest user principal name, in characters (the limit of AD's `userPrincipalName`).
pub const MAX_UPN: usize = 1024;

/// The longest `sAMAccountName`, in characters (its limit in AD's schema).
const MAX_SAM_ACCOUNT_NAME: usize = 256;
/// The longest display name, in characters (its limit in AD's schema).
const MAX_DISPLAY_NAME: usize = 256;

/// The text is not a name of the expected form. The text itself is left to the caller, who may have to shorten it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{expected}")]
pub struct NameError {
    /// What was expected.
    pub expected: &'static str,
}

/// Declares a name: a text that `$parse` accepts, in the spelling that `$parse` returns.
macro_rules! names {
    ($($(#[$doc:meta])* $name:ident, $parse:path, $expected:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The canonical spelling.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                $parse(text).map(Self).ok_or(NameError { expected: $expected })
            }
        }

        impl Deref for $name {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        serde_as_text!($name);
    )+};
}

names! {
    /// A tenant's name: one DNS label, in lower case.
    TenantName, tenant_name, "expected 1 to 63 letters, digits and hyphens, no hyphen at either end";
    /// A storage account's name: 3 to 24 lower-case letters and digits.
    AccountName, account_name, "expected 3 to 24 lower-case letters and digits";
    /// A share's name as SMB permits it: 1 to 80 characters, in the case given and in Unicode's normal form C. Names are the same if
    /// their [keys](ShareName::key) are.
    ShareName, share_name, "expected 1 to 80 characters, none of `\"\\/[]:|<>+=;,*?%`, no control or invisible characters, no space or dot at an end, no hyphen at the start, no two spaces in a row, and no name of Samba's (`global`, `homes`, `printers`, `print$`, `IPC$`, `ADMIN$`)";
    /// A DNS name of at least two labels, in lower case (RFC 1123 §2.1, RFC 1035 §2.3.4).
    DnsName, domain_name, "expected a DNS name such as `contoso.cloud.example`";
    /// A DNS name of at least one label, in lower case (RFC 1123 §2.1, RFC 1035 §2.3.4).
    HostName, host_name, "expected a DNS name such as `contoso.cloud.example`";
    /// A Kerberos realm of the domain style (RFC 4120 §6.1), in upper case.
    Realm, realm, "expected a realm such as `KERBEROS.CONTOSO.CLOUD.EXAMPLE`";
    /// A NetBIOS domain name: 1 to 15 letters, digits and hyphens, in upper case.
    NetbiosName, netbios_name, "expected 1 to 15 letters, digits and hyphens";
    /// A user principal name of AD: `name@suffix`, at most 1024 characters. AD admits spaces.
    Upn, upn, "expected `name@domain`";
}

impl ShareName {
    /// What names of shares are compared by, without case; also the name of the share's directory on an SMB host. It is a share
    /// name itself, its own key, and at most 240 bytes long.
    pub fn key(&self) -> String {
        self.chars().map(folded).nfc().collect()
    }
}

/// The character without case: as Samba does, by its simple mappings, so that `ß` is not `ss`.
fn folded(c: char) -> char {
    fn single(mut mapped: impl Iterator<Item = char>) -> Option<char> {
        mapped.next().filter(|_| mapped.next().is_none())
    }
    // By way of the upper case, the two small sigmas are the same.
    let upper = single(c.to_uppercase()).unwrap_or(c);
    single(upper.to_lowercase()).unwrap_or(upper)
}

/// Whether the text can be the `sAMAccountName` of a synchronized object: visible, without control characters.
pub fn is_sam_account_name(text: &str) -> bool {
    !text.trim().is_empty()
        && text.chars().count() <= MAX_SAM_ACCOUNT_NAME
        && !text.chars().any(char::is_control)
}

/// The display name that is stored for this one: control characters are spaces, and what is too long is cut. A display name is
/// shown and grants nothing, so that no value of it may keep an object from being synchronized. The result stays the same when
/// it is normalized again.
pub fn normalized_display_name(text: &str) -> String {
    let visible = text.replace(char::is_control, " ");
    let cut: String = visible.trim().chars().take(MAX_DISPLAY_NAME).collect();
    cut.trim_end().to_owned()
}

fn tenant_name(text: &str) -> Option<String> {
    is_label(text).then(|| text.to_ascii_lowercase())
}

fn account_name(text: &str) -> Option<String> {
    let valid = (3..=24).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    valid.then(|| text.to_owned())
}

fn share_name(text: &str) -> Option<String> {
    // Composing makes nothing longer; a longer text is not worth composing.
    if text.len() > MAX_SHARE_NAME * 8 {
        return None;
    }
    let name: String = text.nfc().collect();
    let unspaced = name.replace(' ', "").to_lowercase();
    let valid = (1..=MAX_SHARE_NAME).contains(&name.encode_utf16().count())
        && name.chars().all(is_in_share_names)
        // A directory would be hidden or another one, a program would take it for an option, Windows would cut it.
        && !name.starts_with(['.', '-', ' '])
        && !name.ends_with(['.', ' '])
        // Samba reads one space.
        && !name.contains("  ")
        && !RESERVED_SHARES.contains(&unspaced.as_str());
    valid.then_some(name)
}

fn is_in_share_names(c: char) -> bool {
    let blank = c.is_whitespace() && c != ' ';
    !c.is_control() && !blank && !is_invisible(c) && !NOT_IN_SHARE_NAMES.contains(c)
}

/// Whether the character shows nothing, or changes how others show: two names would look the same.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{ffff}' | '\u{e0000}'..='\u{e0fff}')
}

fn host_name(text: &str) -> Option<String> {
    dns_name(text, 1)
}

fn domain_name(text: &str) -> Option<String> {
    dns_name(text, 2)
}

fn realm(text: &str) -> Option<String> {
    dns_name(text, 2).map(|name| name.to_ascii_uppercase())
}

fn netbios_name(text: &str) -> Option<String> {
    (text.len() <= 15 && is_label(text)).then(|| text.to_ascii_uppercase())
}

fn upn(text: &str) -> Option<String> {
    let valid = text.chars().count() <= MAX_UPN
        && !text.trim().is_empty()
        && !text.chars().any(char::is_control)
        && text
            .rsplit_once('@')
            .is_some_and(|(name, suffix)| !name.is_empty() && !suffix.is_empty());
    valid.then(|| text.to_owned())
}

fn dns_name(text: &str, min_labels: usize) -> Option<String> {
    // An IPv4 address is not a name: a name's last label is never all digits (RFC 1123 §2.1).
    let ends_in_number = text
        .rsplit('.')
        .next()
        .is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    let valid = text.len() <= 253
        && text.split('.').count() >= min_labels
        && text.split('.').all(is_label)
        && !ends_in_number;
    valid.then(|| text.to_ascii_lowercase())
}

/// Whether the text is a DNS label of letters, digits and inner hyphens.
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuses<T: FromStr>(texts: &[&str]) {
        for text in texts {
            assert!(text.parse::<T>().is_err(), "{text}");
        }
    }

    /// F1: any display name of AD can be stored, and is stored once.
    #[test]
    fn every_display_name_has_a_stable_normal_form() {
        let long = "ü".repeat(20_000);
        let shifted = format!("{}\u{85} x", "y".repeat(255));
        for (text, stored) in [
            ("Alice", "Alice"),
            ("", ""),
            ("\n\0\u{9f}", ""),
            ("\tAlice\r\nof Contoso ", "Alice  of Contoso"),
            (&long, &long[..2 * 256]),
            (&shifted, &shifted[..255]),
        ] {
            let normal = normalized_display_name(text);
            assert_eq!(normal, stored, "{text:?}");
            assert_eq!(normalized_display_name(&normal), normal, "{text:?}");
        }
        assert!(is_sam_account_name("müller") && !is_sam_account_name("a\nb"));
        assert!(!is_sam_account_name(" ") && !is_sam_account_name(&"x".repeat(257)));
    }

    #[test]
    fn dns_names_are_lower_cased_and_have_two_labels() {
        let name: DnsName = "Contoso.Cloud.EXAMPLE".parse().unwrap();
        assert_eq!(name.as_str(), "contoso.cloud.example");
        let long_label = format!("{}.example", "a".repeat(64));
        let long_name = format!("{}example", "a23.".repeat(70));
        refuses::<DnsName>(&[
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
            &long_label,
            &long_name,
        ]);
        assert!("files".parse::<HostName>().is_ok());
    }

    #[test]
    fn realms_and_netbios_names_are_upper_cased() {
        let realm: Realm = "kerberos.microsoftonline.com".parse().unwrap();
        assert_eq!(realm.as_str(), "KERBEROS.MICROSOFTONLINE.COM");
        refuses::<Realm>(&["", "A", "A.B@C", "A/B.C", "A.B:C"]);
        let name: NetbiosName = "contoso-krb".parse().unwrap();
        assert_eq!(name.as_str(), "CONTOSO-KRB");
        refuses::<NetbiosName>(&[
            "",
            "SIXTEEN-LETTERS-",
            "ABCDEFGHIJKLMNOP",
            "A.B",
            "A B",
            "-A",
            "Ä",
        ]);
    }

    #[test]
    fn account_names_are_in_lower_case() {
        assert!("acct1".parse::<AccountName>().is_ok());
        refuses::<AccountName>(&["ab", "Acct1", "acct-1", &"a".repeat(25), "../x", ""]);
    }

    /// F12: share names are those of SMB and Azure Files, but for what Samba cannot serve and what no directory can be called.
    #[test]
    fn share_names_are_those_of_smb() {
        let long = "n".repeat(80);
        let wide = "名".repeat(80);
        for good in [
            "HR",
            "it",
            "x",
            "Public",
            "projects-2",
            "a--b",
            "Human Resources",
            "Öffentlich",
            "R&D (new)",
            "it's",
            "backup$",
            "ipc",
            "a.b",
            "#1",
            "$(id)",
            "`id`",
            &long,
            &wide,
        ] {
            let name: ShareName = good.parse().unwrap_or_else(|_| panic!("{good}"));
            assert_eq!(name.as_str(), good);
            assert_eq!(name.key().parse::<ShareName>().unwrap().key(), name.key());
            assert!(name.key().len() <= 240, "{good}");
        }
        let (too_long, too_wide) = ("n".repeat(81), "😀".repeat(41));
        refuses::<ShareName>(&[
            "",
            " ",
            "a ",
            " a",
            "a  b",
            ".",
            "..",
            ".new-x",
            "a.",
            "-x",
            "a/b",
            "a\\b",
            "../etc",
            "a:b",
            "a*",
            "a?",
            "a%S",
            "a\"b",
            "a<b",
            "a>b",
            "a|b",
            "[a]",
            "a;b",
            "a=b",
            "a,b",
            "a+b",
            "a\nb",
            "a\0",
            "a\u{7f}",
            "a\u{85}b",
            "a\u{a0}b",
            "a\u{200b}",
            "a\u{202e}b",
            "a\u{feff}",
            "global",
            "Global",
            "GLO BALS",
            "homes",
            "Printers",
            "print$",
            "IPC$",
            "Admin$",
            &too_long,
            &too_wide,
            &"a\u{301}".repeat(10_000),
        ]);
    }

    #[test]
    fn share_names_are_compared_without_case_and_composition() {
        let key = |text: &str| text.parse::<ShareName>().unwrap().key();
        for (a, b) in [
            ("HR", "hr"),
            ("ÖFFENTLICH", "O\u{308}ffentlich"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
            ("Иван", "ИВАН"),
            // The sign of Kelvin, and Angstrom's.
            ("\u{212a}", "k"),
            ("\u{212b}", "å"),
        ] {
            assert_eq!(key(a), key(b), "{a} {b}");
        }
        assert_ne!(key("straße"), key("strasse"));
        assert_ne!(key("a b"), key("ab"));
        // What was a name before is its own key: directories and rows of older versions stay where they are.
        assert_eq!(key("projects-2"), "projects-2");
    }

    #[test]
    fn user_principal_names_need_a_name_and_a_suffix() {
        for good in ["alice@corp.contoso.com", "Müller@corp", "a@b@c"] {
            assert!(good.parse::<Upn>().is_ok(), "{good}");
        }
        refuses::<Upn>(&["", "alice", "@x", "x@", "a\0@b", "a\n@b"]);
    }

    #[test]
    fn names_travel_as_their_text() {
        let name: TenantName = serde_json::from_str("\"Contoso\"").unwrap();
        assert_eq!(serde_json::to_string(&name).unwrap(), "\"contoso\"");
        assert!(serde_json::from_str::<TenantName>("\"a.b\"").is_err());
    }
}
