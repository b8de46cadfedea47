//! The string representation of search filters, RFC 4515.

use ldap3_proto::LdapFilter;
use ldap3_proto::proto::{LdapMatchingRuleAssertion, LdapSubstringFilter};

/// The deepest nesting that is accepted.
const MAX_DEPTH: usize = 16;

/// Parses a filter such as `(&(department=Field Sales)(!(title=Intern*)))`. `None` if it is malformed or a value is not UTF-8.
pub fn parse(text: &str) -> Option<LdapFilter> {
    let (filter, rest) = filter(text.trim(), MAX_DEPTH)?;
    rest.is_empty().then_some(filter)
}

/// Parses the filter at the beginning of the text, and returns what follows it.
fn filter(text: &str, depth: usize) -> Option<(LdapFilter, &str)> {
    let depth = depth.checked_sub(1)?;
    let inner = text.strip_prefix('(')?;
    let (found, rest) = match inner.chars().next()? {
        '&' => {
            let (parts, rest) = list(&inner[1..], depth)?;
            (LdapFilter::And(parts), rest)
        }
        '|' => {
            let (parts, rest) = list(&inner[1..], depth)?;
            (LdapFilter::Or(parts), rest)
        }
        '!' => {
            let (part, rest) = filter(inner[1..].trim_start(), depth)?;
            (LdapFilter::Not(Box::new(part)), rest)
        }
        _ => {
            let end = inner.find(')')?;
            (item(&inner[..end])?, &inner[end..])
        }
    };
    Some((found, rest.trim_start().strip_prefix(')')?.trim_start()))
}

fn list(text: &str, depth: usize) -> Option<(Vec<LdapFilter>, &str)> {
    let mut parts = Vec::new();
    let mut rest = text.trim_start();
    while rest.starts_with('(') {
        let (part, behind) = filter(rest, depth)?;
        parts.push(part);
        rest = behind;
    }
    (!parts.is_empty()).then_some((parts, rest))
}

/// Parses `attribute=value`, and the other kinds of comparison.
fn item(text: &str) -> Option<LdapFilter> {
    let (left, right) = text.split_once('=')?;
    if right.contains('(') {
        return None;
    }
    if let Some(left) = left.strip_suffix('>') {
        return Some(LdapFilter::GreaterOrEqual(name(left)?, value(right)?));
    }
    if let Some(left) = left.strip_suffix('<') {
        return Some(LdapFilter::LessOrEqual(name(left)?, value(right)?));
    }
    if let Some(left) = left.strip_suffix('~') {
        return Some(LdapFilter::Approx(name(left)?, value(right)?));
    }
    if let Some(left) = left.strip_suffix(':') {
        let (attribute, rule) = left.split_once(':')?;
        return Some(LdapFilter::Extensible(LdapMatchingRuleAssertion {
            matching_rule: Some(rule.to_owned()),
            type_: Some(name(attribute)?),
            match_value: value(right)?,
            dn_attributes: false,
        }));
    }
    let left = name(left)?;
    if right == "*" {
        return Some(LdapFilter::Present(left));
    }
    let parts = right.split('*').map(value).collect::<Option<Vec<_>>>()?;
    let [initial, any @ .., last] = parts.as_slice() else {
        return Some(LdapFilter::Equality(left, value(right)?));
    };
    let some = |part: &String| (!part.is_empty()).then(|| part.clone());
    Some(LdapFilter::Substring(
        left,
        LdapSubstringFilter {
            initial: some(initial),
            any: any.iter().filter_map(some).collect(),
            final_: some(last),
        },
    ))
}

fn name(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Decodes the escapes of a value, such as `\2a` for `*`.
fn value(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('\\');
    bytes.extend_from_slice(parts.next()?.as_bytes());
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn equal(name: &str, value: &str) -> LdapFilter {
        LdapFilter::Equality(name.into(), value.into())
    }

    #[test]
    fn filters_as_people_write_them() {
        assert_eq!(
            parse("(department=Field Sales)"),
            Some(equal("department", "Field Sales"))
        );
        assert_eq!(
            parse(" (& (a=Müller \\28x\\29) (!(manager=CN=b,DC=c)) ) "),
            Some(LdapFilter::And(vec![
                equal("a", "Müller (x)"),
                LdapFilter::Not(Box::new(equal("manager", "CN=b,DC=c"))),
            ]))
        );
        assert_eq!(parse("(mail=*)"), Some(LdapFilter::Present("mail".into())));
        assert_eq!(
            parse("(cn=a*b*)"),
            Some(LdapFilter::Substring(
                "cn".into(),
                LdapSubstringFilter {
                    initial: Some("a".into()),
                    any: vec!["b".into()],
                    final_: None,
                }
            ))
        );
        assert_eq!(
            parse("(|(n>=5)(n<=3)(n~=4))"),
            Some(LdapFilter::Or(vec![
                LdapFilter::GreaterOrEqual("n".into(), "5".into()),
                LdapFilter::LessOrEqual("n".into(), "3".into()),
                LdapFilter::Approx("n".into(), "4".into()),
            ]))
        );
        let Some(LdapFilter::Extensible(rule)) = parse("(uac:1.2.840.113556.1.4.803:=2)") else {
            panic!("an extensible filter");
        };
        assert_eq!(
            rule.matching_rule.as_deref(),
            Some("1.2.840.113556.1.4.803")
        );
    }

    #[test]
    fn malformed_filters_are_refused() {
        for bad in [
            "",
            "a=b",
            "(a=b",
            "(a=b))",
            "(=b)",
            "()",
            "(&)",
            "(!)",
            "(a=\\2)",
            "(a=\\zz)",
            "(a=\\ff)",
            "((a=b))",
            "(a)",
            "(&(a=b)x)",
            "(a=(b)",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        let deep = format!("{}(a=b){}", "(!".repeat(100), ")".repeat(100));
        assert_eq!(parse(&deep), None);
    }
}
