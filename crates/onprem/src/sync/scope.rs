//! The scope: which users and groups are synchronized, by the options of a run.

use crate::ldap::{Filter, parse_filter};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// The most organizational units in a scope.
const MAX_OUS: usize = 64;
/// The longest filter, in bytes.
const MAX_FILTER_LEN: usize = 4096;
/// Attributes that AD computes on reading. Their changes are not changes of the object, so a filter on them would become
/// stale.
const COMPUTED: [&str; 7] = [
    "memberOf",
    "tokenGroups",
    "msDS-User-Account-Control-Computed",
    "msDS-UserPasswordExpiryTimeComputed",
    "canonicalName",
    "lastLogon",
    "logonCount",
];

/// What is synchronized.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Only objects at or below one of these DNs; if empty, all.
    pub ous: Vec<String>,
    /// Only this group (by `sAMAccountName`), and its members, at any depth.
    pub group: Option<String>,
    /// Only users that match this LDAP filter; it does not apply to groups.
    pub filter: Option<UserFilter>,
    /// The attribute that gives the UPN instead of `userPrincipalName`.
    pub upn_attribute: Option<String>,
    /// Whether members of AD's privileged groups are synchronized too.
    pub include_privileged: bool,
}

/// An LDAP filter on users, RFC 4515.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserFilter {
    text: String,
    parsed: Filter,
    attributes: BTreeSet<String>,
}

/// Why the options of a scope are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// Too many organizational units.
    #[error("at most {MAX_OUS} organizational units can be given")]
    TooManyOus,
    /// The filter is malformed.
    #[error("`{0}` is not an LDAP filter; expected something like `(department=Sales)`")]
    BadFilter(String),
    /// The filter uses an attribute that AD computes.
    #[error("the scope filter asks for `{0}`, which AD computes: its changes are not seen")]
    Computed(String),
    /// Not the name of an attribute.
    #[error("`{0}` is not the name of an attribute")]
    BadAttribute(String),
}

impl Scope {
    /// Checks the options.
    pub fn check(&self) -> Result<(), ScopeError> {
        if self.ous.len() > MAX_OUS {
            return Err(ScopeError::TooManyOus);
        }
        match &self.upn_attribute {
            Some(name) if !is_attribute(name) => Err(ScopeError::BadAttribute(name.clone())),
            _ => Ok(()),
        }
    }

    /// A hash of the options: a cursor is valid only under the options with which it was made.
    pub(super) fn fingerprint(&self, more: &str) -> String {
        let mut hash = Sha256::new();
        let mut part = |text: &str| {
            hash.update(text.len().to_be_bytes());
            hash.update(text.as_bytes());
        };
        let ous: BTreeSet<String> = self.ous.iter().map(|ou| ou.to_lowercase()).collect();
        for ou in &ous {
            part(ou);
        }
        part("group");
        part(&self.group.as_deref().unwrap_or_default().to_lowercase());
        part(self.filter.as_ref().map_or("", |filter| &filter.text));
        part(self.upn_attribute.as_deref().unwrap_or_default());
        part(if self.include_privileged { "all" } else { "" });
        part(more);
        hex::encode(hash.finalize())
    }

    /// The attributes that the scope depends on, beyond the usual ones.
    pub(super) fn attributes(&self) -> BTreeSet<String> {
        let mut all = self
            .filter
            .as_ref()
            .map(|filter| filter.attributes.clone())
            .unwrap_or_default();
        all.extend(self.upn_attribute.clone());
        all
    }
}

impl UserFilter {
    /// Parses a filter. A filter on an attribute whose changes cannot be followed is refused.
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        let bad = || ScopeError::BadFilter(text.chars().take(200).collect());
        if text.len() > MAX_FILTER_LEN {
            return Err(bad());
        }
        let parsed = parse_filter(text).ok_or_else(bad)?;
        let mut attributes = BTreeSet::new();
        names(&parsed, &mut attributes);
        for name in &attributes {
            if !is_attribute(name) {
                return Err(ScopeError::BadAttribute(name.clone()));
            }
            if COMPUTED.iter().any(|one| one.eq_ignore_ascii_case(name)) {
                return Err(ScopeError::Computed(name.clone()));
            }
        }
        Ok(Self {
            text: text.to_owned(),
            parsed,
            attributes,
        })
    }

    pub(super) fn filter(&self) -> Filter {
        self.parsed.clone()
    }
}

fn names(filter: &Filter, found: &mut BTreeSet<String>) {
    match filter {
        Filter::And(parts) | Filter::Or(parts) => parts.iter().for_each(|part| names(part, found)),
        Filter::Not(part) => names(part, found),
        Filter::Equality(name, _)
        | Filter::Substring(name, _)
        | Filter::GreaterOrEqual(name, _)
        | Filter::LessOrEqual(name, _)
        | Filter::Present(name)
        | Filter::Approx(name, _) => {
            found.insert(name.clone());
        }
        Filter::Extensible(rule) => {
            found.insert(rule.type_.clone().unwrap_or_default());
        }
    }
}

fn is_attribute(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || character == '-')
}

/// Whether `dn` equals `above` or is below it; both in the domain controller's spelling.
pub(super) fn is_below(dn: &str, above: &str) -> bool {
    let (dn, above) = (dn.to_lowercase(), above.to_lowercase());
    let Some(head) = dn.strip_suffix(&above) else {
        return false;
    };
    let Some(name) = head.strip_suffix(',') else {
        return head.is_empty();
    };
    // A comma behind a backslash is part of a name, unless the backslash is escaped itself.
    let backslashes = name.chars().rev().take_while(|c| *c == '\\').count();
    backslashes % 2 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dn_is_below_its_ancestors_only() {
        let ou = "OU=Sales,DC=corp,DC=contoso,DC=com";
        assert!(is_below(ou, ou));
        assert!(is_below("CN=a,ou=sales,DC=corp,DC=contoso,DC=com", ou));
        assert!(is_below("CN=a\\\\,OU=Sales,DC=corp,DC=contoso,DC=com", ou));
        assert!(!is_below("CN=a\\,OU=Sales,DC=corp,DC=contoso,DC=com", ou));
        assert!(!is_below("OU=PreSales,DC=corp,DC=contoso,DC=com", ou));
        assert!(!is_below("OU=XOU=Sales,DC=corp,DC=contoso,DC=com", ou));
        assert!(!is_below("CN=é", "OU=x"));
    }

    #[test]
    fn filters() {
        let filter = UserFilter::parse("(&(department=Sales)(!(title=Intern*)))").unwrap();
        assert_eq!(
            filter.attributes.iter().collect::<Vec<_>>(),
            ["department", "title"]
        );
        for bad in ["", "department=Sales", "(department=Sales", "(=x)"] {
            assert!(UserFilter::parse(bad).is_err(), "{bad}");
        }
        let computed = UserFilter::parse("(!(memberof=CN=x,DC=y))").unwrap_err();
        assert_eq!(computed, ScopeError::Computed("memberof".to_owned()));
        let chained = "(memberOf:1.2.840.113556.1.4.1941:=CN=x,DC=y)";
        assert!(UserFilter::parse(chained).is_err());
        assert!(UserFilter::parse(&format!("(cn={})", "x".repeat(5000))).is_err());
    }

    #[test]
    fn the_fingerprint_tells_options_apart() {
        let scope = |ous: &[&str], group: Option<&str>| Scope {
            ous: ous.iter().map(|ou| (*ou).to_owned()).collect(),
            group: group.map(str::to_owned),
            ..Scope::default()
        };
        let fingerprints = BTreeSet::from([
            scope(&[], None).fingerprint(""),
            scope(&["a"], None).fingerprint(""),
            scope(&["a", "b"], None).fingerprint(""),
            scope(&[], Some("a")).fingerprint(""),
            scope(&[], None).fingerprint("x"),
        ]);
        assert_eq!(fingerprints.len(), 5);
        assert_eq!(
            scope(&["a", "b"], None).fingerprint(""),
            scope(&["B", "A"], None).fingerprint("")
        );
        assert!(
            Scope {
                upn_attribute: Some("mail;x".into()),
                ..Scope::default()
            }
            .check()
            .is_err()
        );
    }
}
