//! Entries and their values, as AD encodes them.

use crate::error::LdapError;
use crossrealm_types::Sid;
use ldap3_proto::LdapSearchResultEntry;
use uuid::Uuid;

/// Seconds between the epoch of FILETIME (1601) and the Unix epoch.
const EPOCH_DIFFERENCE_S: i64 = 11_644_473_600;

/// An object as a search returned it: its DN and the requested attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    dn: String,
    attributes: Vec<(String, Vec<Vec<u8>>)>,
}

impl Entry {
    pub(super) fn new(entry: LdapSearchResultEntry) -> Self {
        Self {
            dn: entry.dn,
            attributes: entry
                .attributes
                .into_iter()
                .map(|attribute| (attribute.atype, attribute.vals))
                .collect(),
        }
    }

    /// An entry from its parts, for tests and recorded responses.
    pub fn from_parts(dn: &str, attributes: &[(&str, &[&[u8]])]) -> Self {
        Self {
            dn: dn.to_owned(),
            attributes: attributes
                .iter()
                .map(|(name, values)| {
                    let values = values.iter().map(|value| value.to_vec()).collect();
                    ((*name).to_owned(), values)
                })
                .collect(),
        }
    }

    /// The distinguished name.
    pub fn dn(&self) -> &str {
        &self.dn
    }

    /// The values of an attribute; none if it is absent. Attribute names are case-insensitive.
    pub fn values(&self, attribute: &str) -> &[Vec<u8>] {
        self.attributes
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(attribute))
            .map(|(_, values)| values.as_slice())
            .unwrap_or_default()
    }

    /// Whether the attribute has a value.
    pub fn has(&self, attribute: &str) -> bool {
        !self.values(attribute).is_empty()
    }

    /// The attribute descriptions as received, with options such as `member;range=0-1499`.
    pub fn attribute_names(&self) -> impl Iterator<Item = &str> {
        self.attributes.iter().map(|(name, _)| name.as_str())
    }

    /// The values under a `;range=` option with the end of the range (`None` if it is the last), [MS-ADTS] 3.1.1.3.1.3.3.
    pub fn ranged(&self, attribute: &str) -> Option<(&[Vec<u8>], Option<u64>)> {
        self.attributes.iter().find_map(|(name, values)| {
            let (base, range) = name.split_once(";range=")?;
            let (_, end) = range.split_once('-')?;
            let end = if end == "*" {
                None
            } else {
                Some(end.parse().ok()?)
            };
            base.eq_ignore_ascii_case(attribute)
                .then_some((values.as_slice(), end))
        })
    }

    /// The first value as text; `None` if it is not UTF-8.
    pub fn text(&self, attribute: &str) -> Option<&str> {
        std::str::from_utf8(self.values(attribute).first()?).ok()
    }

    /// All values that are UTF-8.
    pub fn texts(&self, attribute: &str) -> Vec<&str> {
        self.values(attribute)
            .iter()
            .filter_map(|value| std::str::from_utf8(value).ok())
            .collect()
    }

    /// The first value as an integer.
    pub fn number(&self, attribute: &str) -> Option<i64> {
        self.text(attribute)?.parse().ok()
    }

    /// The first value as unsigned 32 bits, such as flags, which AD prints as a signed integer.
    pub fn flags(&self, attribute: &str) -> Option<u32> {
        let number = self.number(attribute)?;
        match i32::try_from(number) {
            Ok(signed) => Some(u32::from_ne_bytes(signed.to_ne_bytes())),
            Err(_) => u32::try_from(number).ok(),
        }
    }

    /// The first value as a SID.
    pub fn sid(&self, attribute: &str) -> Option<Sid> {
        Sid::from_bytes(self.values(attribute).first()?).ok()
    }

    /// The first value, a GUID.
    pub fn guid(&self, attribute: &str) -> Option<Uuid> {
        let value: &[u8; 16] = self.values(attribute).first()?.as_slice().try_into().ok()?;
        // The first three fields are little-endian, [MS-DTYP] 2.3.4.2.
        Some(Uuid::from_bytes_le(*value))
    }

    /// The first value, a FILETIME, as Unix seconds. `None` also for AD's "never": 0 and the largest integer.
    pub fn file_time(&self, attribute: &str) -> Option<i64> {
        match self.number(attribute)? {
            0 | i64::MAX => None,
            ticks => Some(ticks / 10_000_000 - EPOCH_DIFFERENCE_S),
        }
    }

    /// Like [`Entry::text`]; an absent value is an error that names the object.
    pub fn require_text(&self, attribute: &str) -> Result<&str, LdapError> {
        self.text(attribute).ok_or_else(|| self.bad(attribute))
    }

    /// Like [`Entry::sid`]; an absent value is an error that names the object.
    pub fn require_sid(&self, attribute: &str) -> Result<Sid, LdapError> {
        self.sid(attribute).ok_or_else(|| self.bad(attribute))
    }

    /// Like [`Entry::guid`]; an absent value is an error that names the object.
    pub fn require_guid(&self, attribute: &str) -> Result<Uuid, LdapError> {
        self.guid(attribute).ok_or_else(|| self.bad(attribute))
    }

    fn bad(&self, attribute: &str) -> LdapError {
        LdapError::BadValue {
            dn: self.dn.clone(),
            attribute: attribute.to_owned(),
        }
    }
}

/// The rootDSE of a server, [MS-ADTS] 3.1.1.3.2. An absent attribute is empty or `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RootDse {
    /// `dnsHostName`.
    pub dns_host_name: String,
    /// `defaultNamingContext`: the DN of its domain.
    pub default_naming_context: String,
    /// `rootDomainNamingContext`: the DN of the forest's root domain.
    pub root_domain_naming_context: String,
    /// `configurationNamingContext`.
    pub configuration_naming_context: String,
    /// `domainFunctionality` ([MS-ADTS] 6.1.4.3).
    pub domain_functionality: Option<i64>,
    /// `forestFunctionality` ([MS-ADTS] 6.1.4.4).
    pub forest_functionality: Option<i64>,
    /// `dsServiceName`: the DN of its NTDS settings object.
    pub ds_service_name: String,
    /// `currentTime`, as the server prints it: `20260101120000.0Z`.
    pub current_time: String,
    /// `highestCommittedUSN`.
    pub highest_committed_usn: Option<i64>,
    /// `supportedSASLMechanisms`.
    pub sasl_mechanisms: Vec<String>,
}

impl RootDse {
    /// The attributes that are read.
    pub(super) const ATTRIBUTES: [&str; 10] = [
        "dnsHostName",
        "defaultNamingContext",
        "rootDomainNamingContext",
        "configurationNamingContext",
        "domainFunctionality",
        "forestFunctionality",
        "dsServiceName",
        "currentTime",
        "highestCommittedUSN",
        "supportedSASLMechanisms",
    ];

    /// The rootDSE in an entry.
    pub fn from_entry(entry: &Entry) -> Self {
        let text = |name| entry.text(name).unwrap_or_default().to_owned();
        Self {
            dns_host_name: text("dnsHostName"),
            default_naming_context: text("defaultNamingContext"),
            root_domain_naming_context: text("rootDomainNamingContext"),
            configuration_naming_context: text("configurationNamingContext"),
            domain_functionality: entry.number("domainFunctionality"),
            forest_functionality: entry.number("forestFunctionality"),
            ds_service_name: text("dsServiceName"),
            current_time: text("currentTime"),
            highest_committed_usn: entry.number("highestCommittedUSN"),
            sasl_mechanisms: entry
                .texts("supportedSASLMechanisms")
                .into_iter()
                .map(str::to_owned)
                .collect(),
        }
    }

    /// The DNS name of the domain, lower case; `None` if the server is not a domain controller.
    pub fn domain(&self) -> Option<String> {
        if self.dns_host_name.is_empty() {
            return None;
        }
        dns_of_dn(&self.default_naming_context)
    }

    /// The DNS name of the forest's root domain, lower case.
    pub fn forest(&self) -> Option<String> {
        dns_of_dn(&self.root_domain_naming_context)
    }

    /// `currentTime` in Unix seconds.
    pub fn time_s(&self) -> Option<i64> {
        generalized_time(&self.current_time)
    }

    /// Whether its domain is the root of its forest.
    pub fn is_forest_root(&self) -> bool {
        !self.default_naming_context.is_empty()
            && self
                .default_naming_context
                .eq_ignore_ascii_case(&self.root_domain_naming_context)
    }
}

/// A GeneralizedTime in UTC, `20260101120000.0Z` (RFC 4517 §3.3.13), as Unix seconds; fractions are dropped.
fn generalized_time(text: &str) -> Option<i64> {
    let (digits, rest) = text.split_at_checked(14)?;
    if !rest.ends_with('Z') || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let part = |from: usize, to: usize| digits.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(8, 10)?, part(10, 12)?, part(12, 14)?);
    let usual = (1..=12).contains(&month) && (1..=31).contains(&day);
    if !usual || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Days since 1970 of the proleptic Gregorian calendar, with years that begin in March.
    let (year, month) = match month {
        1 | 2 => (year - 1, month + 9),
        _ => (year, month - 3),
    };
    let of_year = (153 * month + 2) / 5 + day - 1;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + of_year - 719_468;
    Some(days * 86_400 + hour * 3_600 + minute * 60 + second)
}

/// `DC=corp,DC=contoso,DC=com` as `corp.contoso.com`; `None` for any other DN.
fn dns_of_dn(dn: &str) -> Option<String> {
    let labels = dn
        .split(',')
        .map(|part| {
            let (kind, label) = part.split_once('=')?;
            let usable = kind.trim().eq_ignore_ascii_case("DC")
                && !label.is_empty()
                && !label.contains('\\');
            usable.then(|| label.to_lowercase())
        })
        .collect::<Option<Vec<_>>>()?;
    Some(labels.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_ad() {
        let entry = Entry::from_parts(
            "CN=x",
            &[
                (
                    "objectGUID",
                    &[&[
                        0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb,
                        0xcc, 0xdd, 0xee, 0xff,
                    ]],
                ),
                ("objectSid", &[&[1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0]]),
                ("accountExpires", &[b"9223372036854775807"]),
                ("pwdLastSet", &[b"116444736010000000"]),
                ("groupType", &[b"-2147483646"]),
                ("cn", &[b"\xff"]),
                ("member;range=0-1", &[b"a", b"b"]),
            ],
        );
        assert_eq!(
            entry.guid("objectguid").unwrap().to_string(),
            "00112233-4455-6677-8899-aabbccddeeff"
        );
        assert_eq!(entry.sid("objectSid").unwrap().to_string(), "S-1-5-18");
        assert_eq!(entry.file_time("accountExpires"), None);
        assert_eq!(entry.file_time("pwdLastSet"), Some(1));
        assert_eq!(entry.flags("groupType"), Some(0x8000_0002));
        assert_eq!(entry.text("cn"), None);
        assert_eq!(entry.ranged("member").unwrap().1, Some(1));
        assert!(entry.values("member").is_empty());
        assert!(
            entry
                .require_text("mail")
                .unwrap_err()
                .to_string()
                .contains("`mail`")
        );
    }

    #[test]
    fn the_clock_of_a_root_dse() {
        let at = |text: &str| generalized_time(text);
        assert_eq!(at("19700101000000.0Z"), Some(0));
        assert_eq!(at("20231114221320.0Z"), Some(1_700_000_000));
        assert_eq!(at("20240229235959Z"), Some(1_709_251_199));
        assert_eq!(at("20000301000000.0Z"), Some(951_868_800));
        for bad in [
            "",
            "20231114221320",
            "2023111422132xZ",
            "20231314221320.0Z",
            "20231114251320.0Z",
            "日本日本日本日本Z",
        ] {
            assert_eq!(at(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_domain_of_a_root_dse() {
        let root = RootDse {
            dns_host_name: "dc1.corp.contoso.com".into(),
            default_naming_context: "DC=corp,DC=Contoso,DC=com".into(),
            root_domain_naming_context: "dc=corp,dc=contoso,dc=com".into(),
            ..RootDse::default()
        };
        assert_eq!(root.domain().unwrap(), "corp.contoso.com");
        assert!(root.is_forest_root());
        assert_eq!(root.forest().unwrap(), "corp.contoso.com");
        assert_eq!(dns_of_dn("OU=x,DC=corp"), None);
        assert_eq!(dns_of_dn(""), None);
        assert_eq!(RootDse::default().domain(), None);
    }
}
