//! Principals: a name of one or more components in a realm, RFC 4120 §6.
//!
//! The text form is the field's usual one (`alice@REALM`, `cifs/host@REALM`), with `\` escaping `/`, `@` and itself.
//! Nothing here folds case or converts characters: realms and names are compared as they were received.

use crate::messages::name_type;
use std::fmt;

/// The most components a principal may have here. Real ones have one to three.
pub const MAX_COMPONENTS: usize = 16;

/// The longest realm or component accepted, in bytes.
pub const MAX_COMPONENT_LEN: usize = 1024;

/// A name in a realm. Equality ignores the name type, RFC 4120 §6.2: the type is a hint.
#[derive(Clone, Debug)]
pub struct Principal {
    name_type: i32,
    components: Vec<String>,
    realm: String,
}

/// Why a principal was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrincipalError {
    /// There is no `@REALM` and no default realm was given.
    #[error("the principal names no realm")]
    NoRealm,
    /// A component is empty or too long, there are too many, or `\` escapes nothing.
    #[error("not a principal: expected `name@REALM` or `service/host@REALM`")]
    Malformed,
}

impl Principal {
    /// A principal from its parts. A component or realm must not be empty, longer than [`MAX_COMPONENT_LEN`], or
    /// hold a NUL.
    pub fn new<S: Into<String>>(
        name_type: i32,
        components: impl IntoIterator<Item = S>,
        realm: impl Into<String>,
    ) -> Result<Self, PrincipalError> {
        let components: Vec<String> = components
            .into_iter()
            .take(MAX_COMPONENTS + 1)
            .map(Into::into)
            .collect();
        let realm = realm.into();
        if realm.is_empty() {
            return Err(PrincipalError::NoRealm);
        }
        let fits = |part: &String| {
            !part.is_empty() && part.len() <= MAX_COMPONENT_LEN && !part.contains('\0')
        };
        if components.is_empty()
            || components.len() > MAX_COMPONENTS
            || !components.iter().all(fits)
            || !fits(&realm)
        {
            return Err(PrincipalError::Malformed);
        }
        Ok(Self {
            name_type,
            components,
            realm,
        })
    }

    /// Reads the text form. One component becomes NT-PRINCIPAL, more become NT-SRV-INST.
    pub fn parse(text: &str, default_realm: Option<&str>) -> Result<Self, PrincipalError> {
        let mut parts = vec![String::new()];
        let mut in_realm = false;
        let mut realm = String::new();
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            let literal = match character {
                '\\' => characters.next().ok_or(PrincipalError::Malformed)?,
                '@' if in_realm => return Err(PrincipalError::Malformed),
                '@' => {
                    in_realm = true;
                    continue;
                }
                '/' if !in_realm => {
                    parts.push(String::new());
                    continue;
                }
                other => other,
            };
            match parts.last_mut() {
                Some(part) if !in_realm => part.push(literal),
                _ => realm.push(literal),
            }
        }
        let realm = match default_realm {
            Some(default) if !in_realm => default.to_owned(),
            _ => realm,
        };
        let kind = if parts.len() == 1 {
            name_type::PRINCIPAL
        } else {
            name_type::SRV_INST
        };
        Self::new(kind, parts, realm)
    }

    /// `krbtgt/target@realm`: the ticket-granting service for `target`, as `realm` knows it.
    pub fn ticket_granting(target: &str, realm: &str) -> Result<Self, PrincipalError> {
        Self::new(name_type::SRV_INST, ["krbtgt", target], realm)
    }

    /// The name type, RFC 4120 §6.2: a hint.
    pub fn name_type(&self) -> i32 {
        self.name_type
    }

    /// The components of the name; at least one.
    pub fn components(&self) -> &[String] {
        &self.components
    }

    /// The realm.
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// The target realm, where this is a ticket-granting service (`krbtgt/TARGET@REALM`).
    pub fn ticket_granting_for(&self) -> Option<&str> {
        match self.components.as_slice() {
            [service, target] if service == "krbtgt" => Some(target),
            _ => None,
        }
    }

    /// Whether both name the same, ASCII case aside: AD and Samba answer with their own spelling of realm and account.
    pub fn matches(&self, other: &Self) -> bool {
        self.realm.eq_ignore_ascii_case(&other.realm)
            && self.components.len() == other.components.len()
            && self
                .components
                .iter()
                .zip(&other.components)
                .all(|(a, b)| a.eq_ignore_ascii_case(b))
    }
}

impl PartialEq for Principal {
    fn eq(&self, other: &Self) -> bool {
        self.components == other.components && self.realm == other.realm
    }
}

impl Eq for Principal {}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, component) in self.components.iter().enumerate() {
            if index > 0 {
                f.write_str("/")?;
            }
            escape(f, component)?;
        }
        f.write_str("@")?;
        escape(f, &self.realm)
    }
}

/// Writes `part` so that [`Principal::parse`] reads it back; control characters are shown, not sent to a terminal.
fn escape(f: &mut fmt::Formatter<'_>, part: &str) -> fmt::Result {
    for character in part.chars() {
        match character {
            '/' | '@' | '\\' => write!(f, "\\{character}")?,
            control if control.is_control() => write!(f, "{}", control.escape_default())?,
            other => write!(f, "{other}")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        for text in [
            "alice@CORP.CONTOSO.COM",
            "cifs/acct1.file.contoso@R",
            "müller@CORP",
            "a\\@b@R",
            "a\\/b\\\\c/d@R",
        ] {
            let principal = Principal::parse(text, None).unwrap();
            assert_eq!(principal.to_string(), text);
        }
        let default = Principal::parse("alice", Some("R")).unwrap();
        assert_eq!(
            (default.realm(), default.name_type()),
            ("R", name_type::PRINCIPAL)
        );
        assert_eq!(
            Principal::parse("a\\@b@R", None).unwrap().components(),
            ["a@b"]
        );
        assert_eq!(
            Principal::ticket_granting("B", "A")
                .unwrap()
                .ticket_granting_for(),
            Some("B")
        );
    }

    #[test]
    fn malformed_names_are_refused() {
        assert_eq!(
            Principal::parse("alice", None),
            Err(PrincipalError::NoRealm)
        );
        assert_eq!(
            Principal::parse("alice@", None),
            Err(PrincipalError::NoRealm)
        );
        for text in ["", "@R", "a/@R", "a@b@R", "a@R\\", "a\0b@R"] {
            assert!(Principal::parse(text, Some("D")).is_err(), "{text:?}");
        }
        assert!(
            Principal::parse(&format!("{}@R", "x".repeat(MAX_COMPONENT_LEN + 1)), None).is_err()
        );
        assert!(
            Principal::parse(&format!("{}@R", ["x"; MAX_COMPONENTS + 1].join("/")), None).is_err()
        );
    }

    #[test]
    fn matching_ignores_ascii_case_only() {
        let a = Principal::parse("LDAP/dc1@corp", None).unwrap();
        assert!(a.matches(&Principal::parse("ldap/DC1@CORP", None).unwrap()));
        assert!(!a.matches(&Principal::parse("ldap@CORP", None).unwrap()));
        assert_ne!(a, Principal::parse("ldap/DC1@CORP", None).unwrap());
    }
}
