//! Security identifiers, [MS-DTYP] 2.4.2.

use crate::text::serde_as_text;
use std::fmt;
use std::str::FromStr;

/// The most sub-authorities a SID can have, [MS-DTYP] 2.4.2.2.
pub const MAX_SUB_AUTHORITIES: usize = 15;

/// A security identifier: revision 1, an identifier authority of 48 bits, 1 to 15 sub-authorities.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sid {
    authority: u64,
    sub_authorities: Vec<u32>,
}

/// Why a SID was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SidError {
    /// Not of the form `S-1-authority-sub-authority…`.
    #[error("not a SID: expected `S-1-…` with 1 to 15 sub-authorities")]
    Malformed,
}

impl Sid {
    /// A SID from its identifier authority (below 2^48) and its 1 to 15 sub-authorities.
    pub fn new(authority: u64, sub_authorities: &[u32]) -> Result<Self, SidError> {
        if authority >= 1 << 48
            || sub_authorities.is_empty()
            || sub_authorities.len() > MAX_SUB_AUTHORITIES
        {
            return Err(SidError::Malformed);
        }
        Ok(Self {
            authority,
            sub_authorities: sub_authorities.to_vec(),
        })
    }

    /// The binary form of [MS-DTYP] 2.4.2.2: revision, count, authority (big-endian), sub-authorities (little-endian).
    /// The whole of `bytes` must be the SID.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SidError> {
        let (head, tail) = bytes.split_at_checked(8).ok_or(SidError::Malformed)?;
        let [1, count, authority @ ..] = head else {
            return Err(SidError::Malformed);
        };
        if tail.len() != usize::from(*count) * 4 {
            return Err(SidError::Malformed);
        }
        let authority = authority
            .iter()
            .fold(0u64, |sum, b| sum << 8 | u64::from(*b));
        let sub_authorities: Vec<u32> = tail
            .chunks_exact(4)
            .map(|c| c.iter().rev().fold(0u32, |sum, b| sum << 8 | u32::from(*b)))
            .collect();
        Self::new(authority, &sub_authorities)
    }

    /// The binary form of [MS-DTYP] 2.4.2.2.
    pub fn to_bytes(&self) -> Vec<u8> {
        let count = u8::try_from(self.sub_authorities.len()).unwrap_or(u8::MAX);
        let mut out = vec![1, count];
        out.extend(self.authority.to_be_bytes().iter().skip(2));
        for sub in &self.sub_authorities {
            out.extend(sub.to_le_bytes());
        }
        out
    }

    /// The 48-bit identifier authority (5 is the NT authority).
    pub fn authority(&self) -> u64 {
        self.authority
    }

    /// The sub-authorities, the RID last.
    pub fn sub_authorities(&self) -> &[u32] {
        &self.sub_authorities
    }

    /// The last sub-authority: the RID of an account.
    pub fn rid(&self) -> u32 {
        self.sub_authorities.last().copied().unwrap_or_default()
    }

    /// The SID without its last sub-authority, or `None` where only one is left.
    pub fn domain(&self) -> Option<Self> {
        let (_, rest) = self.sub_authorities.split_last()?;
        Self::new(self.authority, rest).ok()
    }

    /// The SID of account `rid` in this domain.
    pub fn with_rid(&self, rid: u32) -> Result<Self, SidError> {
        let mut subs = self.sub_authorities.clone();
        subs.push(rid);
        Self::new(self.authority, &subs)
    }

    /// Whether this is the SID of an account or group domain: `S-1-5-21-a-b-c`.
    pub fn is_account_domain(&self) -> bool {
        self.authority == 5
            && self.sub_authorities.len() == 4
            && self.sub_authorities.first() == Some(&21)
    }

    /// Whether this SID names an account directly in `domain`.
    pub fn is_in_domain(&self, domain: &Sid) -> bool {
        self.authority == domain.authority
            && self
                .sub_authorities
                .split_last()
                .is_some_and(|(_, rest)| rest == domain.sub_authorities)
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S-1-{}", self.authority)?;
        self.sub_authorities
            .iter()
            .try_for_each(|sub| write!(f, "-{sub}"))
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Sid {
    type Err = SidError;

    fn from_str(text: &str) -> Result<Self, SidError> {
        let rest = text
            .strip_prefix("S-1-")
            .or_else(|| text.strip_prefix("s-1-"))
            .ok_or(SidError::Malformed)?;
        let mut parts = rest.split('-');
        let authority = number(parts.next().unwrap_or_default())?;
        let subs = parts
            .take(MAX_SUB_AUTHORITIES + 1)
            .map(|p| number(p).and_then(|n| u32::try_from(n).map_err(|_| SidError::Malformed)))
            .collect::<Result<Vec<u32>, _>>()?;
        Self::new(authority, &subs)
    }
}

serde_as_text!(Sid);

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Sid {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Sid".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^[Ss]-1-[0-9]+(-[0-9]+){1,15}$"})
    }
}

/// A decimal number without sign, blank or leading plus, which `u64::from_str` alone would let pass.
fn number(text: &str) -> Result<u64, SidError> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(SidError::Malformed);
    }
    text.parse().map_err(|_| SidError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_round_trip() {
        let sid: Sid = "S-1-5-21-1-2-4294967295-1104".parse().unwrap();
        assert_eq!(sid.to_string(), "S-1-5-21-1-2-4294967295-1104");
        assert_eq!(Sid::from_bytes(&sid.to_bytes()).unwrap(), sid);
        assert_eq!(sid.rid(), 1104);
        assert!(sid.is_in_domain(&sid.domain().unwrap()));
        assert!(sid.domain().unwrap().is_account_domain());
    }

    #[test]
    fn sids_travel_as_their_text() {
        let sid: Sid = serde_json::from_str("\"s-1-5-21-1-2-3-1104\"").unwrap();
        assert_eq!(
            serde_json::to_string(&sid).unwrap(),
            "\"S-1-5-21-1-2-3-1104\""
        );
        let error = serde_json::from_str::<Sid>("\"nonsense\"").unwrap_err();
        let text = error.to_string();
        // Callers recognise the error by its first words, and people the value.
        assert!(text.starts_with(&SidError::Malformed.to_string()), "{text}");
        assert!(text.contains("`nonsense`"), "{text}");
    }

    #[test]
    fn malformed_is_refused() {
        for text in [
            "",
            "S-1-",
            "S-1-5",
            "S-2-5-21",
            "S-1-5-+1",
            "S-1-5--1",
            "S-1-5-4294967296",
            "S-1-281474976710656-1",
            "S-1-5-1-2-3-4-5-6-7-8-9-10-11-12-13-14-15-16",
        ] {
            assert!(text.parse::<Sid>().is_err(), "{text}");
        }
        for bytes in [
            &[][..],
            &[1, 1, 0, 0, 0, 0, 0, 5],
            &[1, 0, 0, 0, 0, 0, 0, 5],
            &[2, 1, 0, 0, 0, 0, 0, 5, 1, 0, 0, 0],
        ] {
            assert!(Sid::from_bytes(bytes).is_err());
        }
    }
}
