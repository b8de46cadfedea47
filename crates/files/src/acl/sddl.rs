//! The text form of security descriptors, SDDL ([MS-DTYP] 2.5.1), as Samba writes it: rights as numbers.

use super::{Ace, Entry, SecurityDescriptor, flag, mask};
use crossrealm_types::Sid;

/// The text is not a security descriptor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a security descriptor in SDDL: {0}")]
pub struct SddlError(String);

/// Aliases of well-known SIDs, [MS-DTYP] 2.5.1.1. Those that depend on a domain (`DU`, `DA`) are omitted: a tenant may have
/// several.
const ALIASES: &[(&str, &str)] = &[
    ("WD", "S-1-1-0"),
    ("CO", "S-1-3-0"),
    ("CG", "S-1-3-1"),
    ("OW", "S-1-3-4"),
    ("NU", "S-1-5-2"),
    ("IU", "S-1-5-4"),
    ("AN", "S-1-5-7"),
    ("AU", "S-1-5-11"),
    ("SY", "S-1-5-18"),
    ("BA", "S-1-5-32-544"),
    ("BU", "S-1-5-32-545"),
    ("BG", "S-1-5-32-546"),
    ("BO", "S-1-5-32-551"),
];

/// Aliases of rights of files.
const RIGHTS: &[(&str, u32)] = &[
    ("FA", mask::FULL),
    ("FR", mask::READ),
    ("FW", mask::WRITE),
    ("FX", mask::EXECUTE),
    ("GA", 0x1000_0000),
    ("GX", 0x2000_0000),
    ("GW", 0x4000_0000),
    ("GR", 0x8000_0000),
    ("SD", mask::DELETE),
    ("RC", mask::READ_CONTROL),
    ("WD", mask::WRITE_DAC),
    ("WO", mask::WRITE_OWNER),
];

const FLAGS: &[(&str, u8)] = &[
    ("OI", flag::OBJECT_INHERIT),
    ("CI", flag::CONTAINER_INHERIT),
    ("NP", flag::NO_PROPAGATE),
    ("IO", flag::INHERIT_ONLY),
    ("ID", flag::INHERITED),
];

/// The text of a descriptor, without its auditing entries and those of unknown types.
pub fn text(descriptor: &SecurityDescriptor) -> String {
    let mut text = String::new();
    for (letter, sid) in [('O', &descriptor.owner), ('G', &descriptor.group)] {
        if let Some(sid) = sid {
            text += &format!("{letter}:{}", short(sid));
        }
    }
    text += "D:";
    text += if descriptor.is_protected() { "P" } else { "" };
    text += if descriptor.is_auto_inherited() {
        "AI"
    } else {
        ""
    };
    if descriptor.dacl.is_none() {
        text += "NO_ACCESS_CONTROL";
    }
    for entry in descriptor.entries() {
        let kind = if entry.deny { 'D' } else { 'A' };
        let flags = FLAGS.iter().filter(|(_, bit)| entry.flags & bit != 0);
        let flags: String = flags.map(|(name, _)| *name).collect();
        let sid = short(&entry.sid);
        text += &format!("({kind};{flags};{:#010x};;;{sid})", entry.mask);
    }
    text
}

/// Parses a descriptor. A part that is not given is absent.
///
/// # Errors
///
/// [`SddlError`] with the part that is wrong.
pub fn parse(text: &str) -> Result<SecurityDescriptor, SddlError> {
    let mut descriptor = SecurityDescriptor::new(None, None, None);
    let mut seen = String::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (letter, behind) = part(rest)?;
        if seen.contains(letter) {
            return Err(SddlError(format!("`{letter}:` is given twice")));
        }
        seen.push(letter);
        let end = end_of_part(behind);
        let (value, next) = behind.split_at(end);
        match letter {
            'O' => descriptor.owner = Some(sid(value)?),
            'G' => descriptor.group = Some(sid(value)?),
            'D' => acl(value, &mut descriptor)?,
            _ => {
                let why = "auditing entries (`S:`) are kept as they are and cannot be given";
                return Err(SddlError(why.into()));
            }
        }
        rest = next;
    }
    match seen.is_empty() {
        true => Err(SddlError("it is empty".into())),
        false => Ok(descriptor),
    }
}

/// The letter of the part at the start of the text, and the rest after its colon.
fn part(text: &str) -> Result<(char, &str), SddlError> {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(letter @ ('O' | 'G' | 'D' | 'S')), Some(':')) => Ok((letter, chars.as_str())),
        _ => Err(SddlError(format!(
            "expected `O:`, `G:` or `D:` at `{}`",
            excerpt(text)
        ))),
    }
}

/// The start of the next part: a letter and a colon outside parentheses.
fn end_of_part(text: &str) -> usize {
    let mut depth = 0_u32;
    let mut before = None;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ':' if depth == 0 => return before.unwrap_or(0),
            _ => {}
        }
        before = Some(at);
    }
    text.len()
}

fn acl(text: &str, descriptor: &mut SecurityDescriptor) -> Result<(), SddlError> {
    let open = text.find('(').unwrap_or(text.len());
    let (mut flags, mut rest) = text.split_at(open);
    if let Some(without) = flags.strip_suffix("NO_ACCESS_CONTROL") {
        if !rest.is_empty() {
            return Err(SddlError("entries after `NO_ACCESS_CONTROL`".into()));
        }
        flags = without;
    } else {
        descriptor.dacl = Some(Vec::new());
    }
    while !flags.is_empty() {
        let known = ["P", "AI", "AR"]
            .into_iter()
            .find(|known| flags.starts_with(known));
        let known =
            known.ok_or_else(|| SddlError(format!("unknown flags `{}`", excerpt(flags))))?;
        match known {
            "P" => descriptor.set_protected(true),
            "AI" => descriptor.set_auto_inherited(true),
            _ => {}
        }
        flags = flags.strip_prefix(known).unwrap_or_default();
    }
    while !rest.is_empty() {
        let bad = || SddlError(format!("expected `(…)` at `{}`", excerpt(rest)));
        let (inner, behind) = rest
            .strip_prefix('(')
            .and_then(|inner| inner.split_once(')'))
            .ok_or_else(bad)?;
        let entry = Ace::from(self::entry(inner)?);
        descriptor.dacl.get_or_insert_default().push(entry);
        rest = behind;
    }
    Ok(())
}

fn entry(text: &str) -> Result<Entry, SddlError> {
    let bad = |what: &str| SddlError(format!("{what} in `({})`", excerpt(text)));
    let fields: Vec<&str> = text.split(';').collect();
    let [kind, flags, rights, "", "", who] = fields.as_slice() else {
        return Err(bad("expected `type;flags;rights;;;SID`"));
    };
    let deny = match *kind {
        "A" => false,
        "D" => true,
        _ => return Err(bad("only the types `A` and `D` are supported for files")),
    };
    let letters = |text: &str| -> Option<u8> {
        pairs(text, FLAGS).map(|all| all.iter().fold(0, |sum, bit| sum | bit))
    };
    let flags = letters(flags).ok_or_else(|| bad("unknown flags"))?;
    let mask = match rights.strip_prefix("0x").or(rights.strip_prefix("0X")) {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => pairs(rights, RIGHTS).map(|all| all.iter().fold(0, |sum, bit| sum | bit)),
    };
    Ok(Entry {
        deny,
        flags,
        mask: mask.ok_or_else(|| bad("unknown rights"))?,
        sid: sid(who)?,
    })
}

/// The values of a sequence of aliases.
fn pairs<T: Copy>(mut text: &str, table: &[(&str, T)]) -> Option<Vec<T>> {
    let mut values = Vec::new();
    while !text.is_empty() {
        let (word, value) = table.iter().find(|(word, _)| text.starts_with(word))?;
        values.push(*value);
        text = text.strip_prefix(word)?;
    }
    Some(values)
}

fn sid(text: &str) -> Result<Sid, SddlError> {
    let text = text.trim();
    let alias = ALIASES.iter().find(|(alias, _)| *alias == text);
    let full = alias.map_or(text, |(_, sid)| sid);
    full.parse().map_err(|_| {
        SddlError(format!(
            "`{}` is not a SID; give users and groups of a domain as `S-1-5-21-…`",
            excerpt(text)
        ))
    })
}

fn short(sid: &Sid) -> String {
    let full = sid.to_string();
    let alias = ALIASES.iter().find(|(_, sid)| *sid == full);
    alias.map_or(full, |(alias, _)| (*alias).to_owned())
}

fn excerpt(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_parsed_is_formatted_the_same() {
        for same in [
            "O:BAG:BAD:PAI(A;OICI;0x001f01ff;;;BA)(A;OICIIO;0x001f01ff;;;CO)",
            "O:S-1-5-21-1-2-3-4G:S-1-5-21-1-2-3-513D:AI(D;ID;0x00000002;;;WD)",
            "D:",
            "D:P",
            "D:NO_ACCESS_CONTROL",
        ] {
            assert_eq!(text(&parse(same).unwrap()), same);
        }
        let by_letters = parse("D:(A;OICI;FA;;;SY)(A;;FRSD;;;AU)").unwrap();
        let numbers = "D:(A;OICI;0x001f01ff;;;SY)(A;;0x00130089;;;AU)";
        assert_eq!(text(&by_letters), numbers);
        assert_eq!(parse("D:").unwrap().dacl, Some(vec![]));
    }

    #[test]
    fn an_error_names_the_wrong_part() {
        for (bad, says) in [
            ("", "empty"),
            ("alice", "expected `O:`"),
            ("O:DUD:", "`DU` is not a SID"),
            ("O:BAO:BA", "`O:` is given twice"),
            ("D:X(A;;FA;;;BA)", "unknown flags `X`"),
            ("D:(A;;FA;;;BA", "expected `(…)`"),
            ("D:(A;;FA;;BA)", "expected `type;flags;rights;;;SID`"),
            ("D:(A;XX;FA;;;BA)", "unknown flags"),
            ("D:(A;;ZZ;;;BA)", "unknown rights"),
            ("D:(A;;0x1ffffffff;;;BA)", "unknown rights"),
            ("D:(AU;;FA;;;BA)", "only the types"),
            ("D:(A;;FA;;;S-1-5)", "is not a SID"),
            ("S:(AU;SA;FA;;;WD)", "auditing"),
            ("D:NO_ACCESS_CONTROL(A;;FA;;;BA)", "entries after"),
        ] {
            let said = parse(bad).unwrap_err().to_string();
            assert!(said.contains(says), "{bad}: {said}");
        }
    }
}
