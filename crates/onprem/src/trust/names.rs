//! DNS names as top-level names of a forest trust: which are valid, and which of two contains the other.

/// Why a top-level name was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not a DNS name of two or more labels.
    #[error(
        "`{0}` is not a DNS suffix: expected labels of letters, digits and hyphens, as in `contoso.cloud.example`"
    )]
    Malformed(String),
    /// An empty list.
    #[error("no top-level name was given")]
    Empty,
    /// More names than one request carries.
    #[error("{count} top-level names were given; at most {MAX_NAMES} are possible")]
    TooMany {
        /// The number of names.
        count: usize,
    },
}

/// The most top-level names of a trust; more would not fit into one RPC fragment.
pub(super) const MAX_NAMES: usize = 20;
/// The longest DNS name, RFC 1035 §2.3.4, in its text form.
const MAX_NAME_LEN: usize = 253;

/// The names that a trust with `realm` needs for `wanted`: in lower case, sorted, none below another (AD refuses that), with
/// the realm's own name if none of them covers it.
pub fn top_level_names(realm: &str, wanted: &[String]) -> Result<Vec<String>, NameError> {
    let mut names = wanted
        .iter()
        .map(|name| normal(name))
        .collect::<Result<Vec<_>, _>>()?;
    if names.is_empty() {
        return Err(NameError::Empty);
    }
    names.push(normal(realm)?);
    names.sort();
    names.dedup();
    let kept: Vec<String> = names
        .iter()
        .filter(|name| !names.iter().any(|other| is_below(name, other)))
        .cloned()
        .collect();
    if kept.len() > MAX_NAMES {
        return Err(NameError::TooMany { count: kept.len() });
    }
    Ok(kept)
}

/// Whether `name` is a proper subdomain of `suffix`, ignoring case.
pub(super) fn is_below(name: &str, suffix: &str) -> bool {
    let (name, suffix) = (name.to_ascii_lowercase(), suffix.to_ascii_lowercase());
    name.strip_suffix(&suffix)
        .is_some_and(|head| head.len() > 1 && head.ends_with('.'))
}

/// Whether a DNS name equals a suffix or is below it, ignoring case.
pub fn is_at_or_below(name: &str, suffix: &str) -> bool {
    name.eq_ignore_ascii_case(suffix) || is_below(name, suffix)
}

/// Whether two names are equal, or one is below the other.
pub fn overlap(a: &str, b: &str) -> bool {
    is_at_or_below(a, b) || is_below(b, a)
}

/// A DNS suffix (RFC 1123 §2.1) in lower case and without a trailing dot. A single label is refused: it would refer a whole
/// top-level domain to the tenant.
fn normal(name: &str) -> Result<String, NameError> {
    let text = name.trim().trim_end_matches('.').to_ascii_lowercase();
    let label_ok = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let labels = text.split('.').count();
    if labels < 2 || text.len() > MAX_NAME_LEN || !text.split('.').all(label_ok) {
        return Err(NameError::Malformed(name.to_owned()));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(realm: &str, wanted: &[&str]) -> Result<Vec<String>, NameError> {
        let wanted: Vec<String> = wanted.iter().map(|n| (*n).to_owned()).collect();
        top_level_names(realm, &wanted)
    }

    #[test]
    fn a_covered_realm_is_not_named() {
        assert_eq!(
            names("KERBEROS.CONTOSO.CLOUD.EXAMPLE", &["contoso.cloud.example"]).unwrap(),
            ["contoso.cloud.example"]
        );
    }

    #[test]
    fn an_uncovered_realm_is_named() {
        assert_eq!(
            names("KERBEROS.MICROSOFTONLINE.COM", &["windows.net"]).unwrap(),
            ["kerberos.microsoftonline.com", "windows.net"]
        );
    }

    #[test]
    fn names_below_others_and_repeated_ones_vanish() {
        assert_eq!(
            names(
                "KERBEROS.A.EXAMPLE",
                &["B.A.example.", "a.example", "A.EXAMPLE", "xa.example"]
            )
            .unwrap(),
            ["a.example", "xa.example"]
        );
    }

    #[test]
    fn what_is_no_suffix_is_refused() {
        for bad in [
            "",
            "example",
            "a..example",
            "-a.example",
            "a_b.example",
            "a b.example",
            "*.example",
        ] {
            assert_eq!(
                names("KERBEROS.A.EXAMPLE", &[bad]),
                Err(NameError::Malformed(bad.to_owned()))
            );
        }
        assert_eq!(names("KERBEROS.A.EXAMPLE", &[]), Err(NameError::Empty));
        let many: Vec<String> = (0..=MAX_NAMES).map(|i| format!("n{i}.example")).collect();
        assert!(matches!(
            top_level_names("KERBEROS.N0.EXAMPLE", &many),
            Err(NameError::TooMany { .. })
        ));
    }

    #[test]
    fn overlap_is_by_labels() {
        assert!(is_at_or_below(
            "Contoso.cloud.example",
            "contoso.cloud.example"
        ));
        assert!(!is_at_or_below(
            "xcontoso.cloud.example",
            "contoso.cloud.example"
        ));
        assert!(overlap("a.example", "A.EXAMPLE"));
        assert!(overlap("x.a.example", "a.example"));
        assert!(overlap("a.example", "x.a.example"));
        assert!(!overlap("xa.example", "a.example"));
        assert!(!is_below("a.example", "a.example"));
    }
}
