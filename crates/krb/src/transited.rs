//! The transited field of a ticket: DOMAIN-X500-COMPRESS, RFC 4120 §3.3.3.2.
//!
//! A ticket lists the realms it passed through, in a form that may be shortened against the realm before (`MIT.` after
//! `EDU` is `MIT.EDU`, `/HP` after `/COM` is `/COM/HP`) or leave realms out between two commas. [`expand`] writes all of
//! them out, so that each can be checked; [`encode`] writes a list without shortening, which every reader understands.

/// The tr-type of DOMAIN-X500-COMPRESS, RFC 4120 §7.5.8.
pub const DOMAIN_X500_COMPRESS: i32 = 1;
/// The most realms of one path. A forest is not deeper than this; a longer path is no path to be trusted.
pub const MAX_REALMS: usize = 32;

/// Why a transited field was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransitedError {
    /// Not UTF-8, a lone backslash, or a shortened realm with none before it.
    #[error("the transited field is malformed")]
    Malformed,
    /// More than [`MAX_REALMS`].
    #[error("the ticket passed through more than {MAX_REALMS} realms")]
    TooLong,
    /// Realms are left out between two that are not above and below each other.
    #[error("realms are left out between `{0}` and `{1}`, which are not in one hierarchy")]
    Gap(String, String),
}

/// One comma-separated part of the field, its escapes undone.
struct Part {
    text: String,
    /// Whether the part begins with an unescaped `/`, or ends with an unescaped `.`.
    slash: bool,
    dot: bool,
    /// A leading blank: the realm is not compressed, even if it begins with a `/`.
    whole: bool,
}

/// Every realm of the field in order. `client` and `issuer` are the realms at both ends, which the field leaves out.
pub fn expand(field: &[u8], client: &str, issuer: &str) -> Result<Vec<String>, TransitedError> {
    let text = std::str::from_utf8(field).map_err(|_| TransitedError::Malformed)?;
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let mut realms: Vec<String> = Vec::new();
    let mut gap = false;
    for part in parts(text)? {
        if part.text.is_empty() && !part.whole {
            gap = true;
            continue;
        }
        let previous = realms.last().map_or("", String::as_str);
        let realm = match (part.whole, part.slash, part.dot) {
            (false, true, _) => format!("{previous}{}", part.text),
            (false, false, true) if !previous.is_empty() => format!("{}{previous}", part.text),
            (false, false, true) => return Err(TransitedError::Malformed),
            _ => part.text,
        };
        if gap {
            let from = realms.last().map_or(client, String::as_str).to_owned();
            realms.extend(between(&from, &realm)?);
            gap = false;
        }
        realms.push(realm);
        if realms.len() > MAX_REALMS {
            return Err(TransitedError::TooLong);
        }
    }
    if gap {
        let from = realms.last().map_or(client, String::as_str).to_owned();
        realms.extend(between(&from, issuer)?);
    }
    if realms.len() > MAX_REALMS {
        return Err(TransitedError::TooLong);
    }
    Ok(realms)
}

/// The field for these realms, none of them shortened.
pub fn encode<S: AsRef<str>>(realms: &[S]) -> String {
    let escaped: Vec<String> = realms
        .iter()
        .map(|realm| {
            let realm = realm.as_ref().replace('\\', "\\\\").replace(',', "\\,");
            let shortened_look = realm.starts_with(['/', ' ']) || realm.ends_with('.');
            if shortened_look {
                format!(" {realm}")
            } else {
                realm
            }
        })
        .collect();
    escaped.join(",")
}

fn parts(text: &str) -> Result<Vec<Part>, TransitedError> {
    let mut parts = Vec::new();
    let mut part = Part::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ',' => {
                parts.push(std::mem::replace(&mut part, Part::new()));
                if parts.len() > MAX_REALMS {
                    return Err(TransitedError::TooLong);
                }
            }
            '\\' => part.push(chars.next().ok_or(TransitedError::Malformed)?, true),
            c => part.push(c, false),
        }
    }
    parts.push(part);
    Ok(parts)
}

impl Part {
    fn new() -> Self {
        Self {
            text: String::new(),
            slash: false,
            dot: false,
            whole: false,
        }
    }

    fn push(&mut self, c: char, escaped: bool) {
        if self.text.is_empty() && !escaped && !self.whole {
            match c {
                ' ' => {
                    self.whole = true;
                    return;
                }
                '/' => self.slash = true,
                _ => {}
            }
        }
        self.dot = c == '.' && !escaped;
        self.text.push(c);
    }
}

/// The realms strictly between two, of which one must be above the other in the DNS hierarchy.
fn between(from: &str, to: &str) -> Result<Vec<String>, TransitedError> {
    let gap = || TransitedError::Gap(from.to_owned(), to.to_owned());
    let (low, high) = if from.len() >= to.len() {
        (from, to)
    } else {
        (to, from)
    };
    let rest = low
        .strip_suffix(high)
        .and_then(|rest| rest.strip_suffix('.'))
        .filter(|_| !high.is_empty())
        .ok_or_else(gap)?;
    let mut realms: Vec<String> = rest
        .match_indices('.')
        .filter_map(|(at, _)| low.get(at + 1..).map(str::to_owned))
        .take(MAX_REALMS + 1)
        .collect();
    if low == to {
        realms.reverse();
    }
    Ok(realms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_4120_decode() {
        for (field, realms) in [
            (
                "EDU,MIT.,ATHENA.,WASHINGTON.EDU,CS.",
                &[
                    "EDU",
                    "MIT.EDU",
                    "ATHENA.MIT.EDU",
                    "WASHINGTON.EDU",
                    "CS.WASHINGTON.EDU",
                ][..],
            ),
            (
                "/COM,/HP,/APOLLO, COM/DEC",
                &["/COM", "/COM/HP", "/COM/HP/APOLLO", "COM/DEC"][..],
            ),
            ("", &[][..]),
        ] {
            assert_eq!(
                expand(field.as_bytes(), "A.B", "C.D").unwrap(),
                realms,
                "{field}"
            );
        }
    }

    #[test]
    fn realms_left_out_are_named() {
        let all = |field: &[u8], from, to| expand(field, from, to);
        assert_eq!(
            all(b",EXAMPLE", "A.B.C.EXAMPLE", "X").unwrap(),
            ["B.C.EXAMPLE", "C.EXAMPLE", "EXAMPLE"]
        );
        assert_eq!(
            all(b"EXAMPLE,", "X", "A.B.EXAMPLE").unwrap(),
            ["EXAMPLE", "B.EXAMPLE"]
        );
        assert!(matches!(
            all(b",OTHER", "A.EXAMPLE", "X"),
            Err(TransitedError::Gap(..))
        ));
    }

    #[test]
    fn escapes_and_odd_names_round_trip() {
        for realms in [
            &["A,B", "C\\D", "/X", " Y", "Z.", "ÜBER.EXAMPLE"][..],
            &["ONE"][..],
            &[][..],
        ] {
            let field = encode(realms);
            assert_eq!(
                expand(field.as_bytes(), "C", "S").unwrap(),
                realms,
                "{field}"
            );
        }
    }

    #[test]
    fn malformed_and_endless_fields_are_refused() {
        assert_eq!(expand(b"A\\", "C", "S"), Err(TransitedError::Malformed));
        assert_eq!(expand(b"\xFF", "C", "S"), Err(TransitedError::Malformed));
        assert_eq!(expand(b"MIT.", "C", "S"), Err(TransitedError::Malformed));
        let endless = "A,".repeat(100);
        assert_eq!(
            expand(endless.as_bytes(), "C", "S"),
            Err(TransitedError::TooLong)
        );
        let deep = format!(",{}", "B.".repeat(100));
        assert!(expand(deep.as_bytes(), "C", "S").is_err());
        let low = format!("{}EXAMPLE", "A.".repeat(100));
        assert_eq!(expand(b",EXAMPLE", &low, "S"), Err(TransitedError::TooLong));
        // Each part of the path appends to the one before: the growth is bounded by the count.
        let growing = format!("/{}", ",/A".repeat(31));
        assert!(expand(growing.as_bytes(), "C", "S").is_ok());
    }
}
