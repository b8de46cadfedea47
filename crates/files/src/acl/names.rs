//! The names of rights, inheritance and well-known SIDs, after those of the permissions dialog of Windows.

use super::{flag, mask};
use crossrealm_types::Sid;

/// Named sets of rights, the largest first.
const RIGHTS: &[(&str, u32)] = &[
    ("full", mask::FULL),
    ("modify", mask::MODIFY),
    ("read-write", mask::READ_EXECUTE | mask::WRITE),
    ("read-execute", mask::READ_EXECUTE),
    ("read", mask::READ),
    ("write", mask::WRITE),
];

const READ_DATA: u32 = 0x0000_0001;
const SYNCHRONIZE: u32 = 0x0010_0000;

/// Single rights, for what no set of [`RIGHTS`] covers.
const SINGLE: &[(&str, u32)] = &[
    ("read-data", READ_DATA),
    ("write-data", 0x0002),
    ("append-data", 0x0004),
    ("read-ea", 0x0008),
    ("write-ea", 0x0010),
    ("execute", 0x0020),
    ("delete-child", mask::DELETE_CHILD),
    ("read-attributes", 0x0080),
    ("write-attributes", 0x0100),
    ("delete", mask::DELETE),
    ("read-permissions", mask::READ_CONTROL),
    ("change-permissions", mask::WRITE_DAC),
    ("take-ownership", mask::WRITE_OWNER),
    ("synchronize", SYNCHRONIZE),
];

/// What an entry applies to, by its flags.
const SCOPES: &[(&str, u8)] = &[
    ("all", flag::OBJECT_INHERIT | flag::CONTAINER_INHERIT),
    ("this", 0),
    ("subfolders", flag::CONTAINER_INHERIT),
    ("files", flag::OBJECT_INHERIT),
    (
        "below",
        flag::OBJECT_INHERIT | flag::CONTAINER_INHERIT | flag::INHERIT_ONLY,
    ),
    (
        "subfolders-only",
        flag::CONTAINER_INHERIT | flag::INHERIT_ONLY,
    ),
    ("files-only", flag::OBJECT_INHERIT | flag::INHERIT_ONLY),
];

/// The well-known SIDs that matter on a share, with their Windows names.
const WELL_KNOWN: &[(&str, &str)] = &[
    ("Everyone", "S-1-1-0"),
    ("Creator Owner", "S-1-3-0"),
    ("Creator Group", "S-1-3-1"),
    ("Owner Rights", "S-1-3-4"),
    ("Network", "S-1-5-2"),
    ("Authenticated Users", "S-1-5-11"),
    ("System", "S-1-5-18"),
    ("BUILTIN\\Administrators", "S-1-5-32-544"),
    ("BUILTIN\\Users", "S-1-5-32-545"),
];

/// The rights of a name in an entry that denies. Denying write must not prevent reading, so the rights that both need are
/// omitted: SYNCHRONIZE always, READ_CONTROL unless reading is denied too.
const fn denying(mask: u32) -> u32 {
    let without = mask & !SYNCHRONIZE;
    match mask & READ_DATA {
        0 => without & !mask::READ_CONTROL,
        _ => without,
    }
}

/// The rights of a name in an entry that denies or allows.
const fn meant(mask: u32, deny: bool) -> u32 {
    if deny { denying(mask) } else { mask }
}

/// The name of a mask: a set such as `modify`, a sum of names, or a number where a bit has no name.
pub fn rights(mask: u32, deny: bool) -> String {
    let mask = mask::specific(mask);
    let known = SINGLE.iter().fold(0, |sum, (_, bit)| sum | bit);
    if mask == 0 || mask & !known != 0 {
        return format!("{mask:#010x}");
    }
    // The largest set that it contains, and the remaining single rights.
    let sets = RIGHTS.iter().map(|(name, set)| (*name, meant(*set, deny)));
    let base = sets.clone().find(|(_, set)| mask & set == *set);
    let rest = mask & !base.map_or(0, |(_, set)| set);
    let single = SINGLE.iter().filter(|(_, bit)| rest & bit != 0);
    let names = base.into_iter().map(|(name, _)| name);
    names
        .chain(single.map(|(name, _)| *name))
        .collect::<Vec<_>>()
        .join("+")
}

/// The mask of a name, of a sum of names, or of a number: `modify`, `read+delete`, `0x001301bf`.
pub fn parse_rights(text: &str, deny: bool) -> Option<u32> {
    if let Some(hex) = text.strip_prefix("0x") {
        let mask = u32::from_str_radix(hex, 16).ok()?;
        return (mask != 0).then_some(mask);
    }
    let mut mask = 0;
    for word in text.split('+') {
        let find = |table: &[(&str, u32)]| {
            table
                .iter()
                .find(|(name, _)| *name == word)
                .map(|(_, bits)| *bits)
        };
        mask |= match find(RIGHTS) {
            Some(set) => meant(set, deny),
            None => find(SINGLE)?,
        };
    }
    Some(mask)
}

/// Every name that [`parse_rights`] accepts, the common ones first.
pub fn all_rights() -> String {
    names(RIGHTS.iter().chain(SINGLE).map(|(name, _)| *name))
}

/// The name of what an entry applies to: `all`, `files-only`, with `,once` where it is inherited by direct children only.
pub fn scope(flags: u8) -> String {
    let inheritance = flags & (flag::OBJECT_INHERIT | flag::CONTAINER_INHERIT | flag::INHERIT_ONLY);
    let name = SCOPES.iter().find(|(_, bits)| *bits == inheritance);
    let name = name.map_or("nothing", |(name, _)| name);
    match flags & flag::NO_PROPAGATE {
        0 => name.to_owned(),
        _ => format!("{name},once"),
    }
}

/// The flags of such a name.
pub fn parse_scope(text: &str) -> Option<u8> {
    let (name, once) = match text.strip_suffix(",once") {
        Some(name) => (name, flag::NO_PROPAGATE),
        None => (text, 0),
    };
    let (_, flags) = SCOPES.iter().find(|(known, _)| *known == name)?;
    (*flags != 0 || once == 0).then_some(flags | once)
}

/// Every name that [`parse_scope`] accepts.
pub fn all_scopes() -> String {
    names(SCOPES.iter().map(|(name, _)| *name))
}

/// The name of a well-known SID.
pub fn well_known(sid: &Sid) -> Option<&'static str> {
    let sid = sid.to_string();
    let found = WELL_KNOWN.iter().find(|(_, known)| *known == sid);
    found.map(|(name, _)| *name)
}

/// The SID of a well-known name. `Administrators` and `Users` require `BUILTIN\`, since a domain may have groups of that name.
pub fn parse_well_known(name: &str) -> Option<Sid> {
    let found = WELL_KNOWN
        .iter()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    found.1.parse().ok()
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_rights_is_parsed_back() {
        for deny in [false, true] {
            for (name, set) in RIGHTS {
                assert_eq!(parse_rights(name, deny), Some(meant(*set, deny)));
                assert_eq!(rights(meant(*set, deny), deny), *name);
            }
            for (name, bit) in SINGLE {
                assert_eq!(parse_rights(name, deny), Some(*bit));
                assert_eq!(rights(*bit, deny), *name);
            }
        }
        assert_eq!(rights(mask::READ | mask::DELETE, false), "read+delete");
        assert_eq!(parse_rights("read+delete", false), Some(0x0013_0089));
        assert_eq!(rights(0x1000_0000, false), "full");
        assert_eq!(rights(0x0040_0000, false), "0x00400000");
        assert_eq!(parse_rights("0x001200a9", false), Some(mask::READ_EXECUTE));
        for bad in [
            "",
            "Full",
            "read,write",
            "read+",
            "0x",
            "0x0",
            "0x1ffffffff",
        ] {
            assert_eq!(parse_rights(bad, false), None, "{bad}");
        }
    }

    #[test]
    fn denying_write_does_not_deny_read() {
        let denied = parse_rights("write", true).unwrap();
        assert_eq!(denied, 0x116);
        assert_eq!(denied & mask::READ, 0);
        assert_eq!(parse_rights("full", true), Some(0x000f_01ff));
    }

    #[test]
    fn every_mask_has_a_name_that_is_parsed_back() {
        for deny in [false, true] {
            for mask in (1..0x200_u32).chain((1..0x20).map(|high| high << 16)) {
                let shown = rights(mask, deny);
                assert_eq!(parse_rights(&shown, deny), Some(mask), "{shown}");
            }
        }
    }

    #[test]
    fn every_scope_is_parsed_back() {
        for (name, flags) in SCOPES {
            assert_eq!(parse_scope(name), Some(*flags));
            assert_eq!(scope(*flags | flag::INHERITED), *name);
        }
        let once = flag::CONTAINER_INHERIT | flag::NO_PROPAGATE;
        assert_eq!(parse_scope("subfolders,once"), Some(once));
        assert_eq!(scope(once), "subfolders,once");
        for bad in ["", "everything", "this,once", "ALL"] {
            assert_eq!(parse_scope(bad), None, "{bad}");
        }
    }

    #[test]
    fn well_known_names_ignore_case_and_need_their_prefix() {
        for (name, sid) in WELL_KNOWN {
            let found = parse_well_known(&name.to_uppercase()).unwrap();
            assert_eq!(found.to_string(), *sid);
            assert_eq!(well_known(&found), Some(*name));
        }
        assert_eq!(parse_well_known("Users"), None);
    }
}
