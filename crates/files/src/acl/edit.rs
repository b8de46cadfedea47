//! Changes of a security descriptor: entries, owner, inheritance; and the entries that a file inherits.

use super::{Ace, Entry, SecurityDescriptor, flag};
use crossrealm_types::Sid;

/// One change of a security descriptor. Several are made in the given order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AclChange {
    /// Removes every explicit entry of a SID, then adds this one.
    Set(Entry),
    /// Adds an entry to the existing ones.
    Add(Entry),
    /// Removes every explicit entry of a SID.
    Revoke(Sid),
    /// Sets the owner.
    Owner(Sid),
    /// Enables inheritance (`true`), or disables it and converts inherited entries into explicit ones (`false`).
    Inherit(bool),
}

/// Why a change cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// There is no such entry.
    #[error("there is no entry of `{0}` to revoke")]
    NoEntry(Sid),
    /// The entry is inherited.
    #[error("the entry of `{0}` is inherited")]
    Inherited(Sid),
    /// A missing DACL permits everything; adding one entry would deny all the rest.
    #[error("there is no DACL: everyone has full access")]
    NoList,
}

/// Makes the changes. The entries end up in the canonical order of Windows: explicit before inherited, denying before allowing.
///
/// # Errors
///
/// [`EditError`]; then nothing is changed.
pub fn apply(
    descriptor: &SecurityDescriptor,
    changes: &[AclChange],
    parent: Option<&SecurityDescriptor>,
    is_directory: bool,
) -> Result<SecurityDescriptor, EditError> {
    let mut edited = descriptor.clone();
    for change in changes {
        match change {
            AclChange::Owner(sid) => edited.owner = Some(sid.clone()),
            AclChange::Inherit(true) => {
                edited.set_protected(false);
                if let Some(parent) = parent {
                    inherit(&mut edited, parent, is_directory);
                }
            }
            AclChange::Inherit(false) => disable_inheritance(&mut edited),
            AclChange::Set(entry) => {
                remove_explicit(&mut edited, &entry.sid)?;
                add(&mut edited, entry)?;
            }
            AclChange::Add(entry) => add(&mut edited, entry)?,
            AclChange::Revoke(sid) => revoke(&mut edited, sid)?,
        }
    }
    if let Some(aces) = &mut edited.dacl {
        // The sort is stable: entries of the same kind keep their order.
        aces.sort_by_key(order);
    }
    Ok(edited)
}

fn order(ace: &Ace) -> u8 {
    let inherited = ace.flags & flag::INHERITED != 0;
    match (inherited, ace.entry().is_some_and(|entry| entry.deny)) {
        (true, _) => 2,
        (false, false) => 1,
        (false, true) => 0,
    }
}

fn add(descriptor: &mut SecurityDescriptor, entry: &Entry) -> Result<(), EditError> {
    let aces = descriptor.dacl.as_mut().ok_or(EditError::NoList)?;
    let ace = Ace::from(entry.clone());
    if !aces.contains(&ace) {
        aces.push(ace);
    }
    Ok(())
}

/// Removes the explicit entries of a SID and returns their number.
fn remove_explicit(descriptor: &mut SecurityDescriptor, sid: &Sid) -> Result<usize, EditError> {
    let aces = descriptor.dacl.as_mut().ok_or(EditError::NoList)?;
    let before = aces.len();
    aces.retain(|ace| {
        ace.entry()
            .is_none_or(|entry| entry.sid != *sid || entry.has(flag::INHERITED))
    });
    Ok(before - aces.len())
}

fn revoke(descriptor: &mut SecurityDescriptor, sid: &Sid) -> Result<(), EditError> {
    if remove_explicit(descriptor, sid)? > 0 {
        return Ok(());
    }
    match descriptor.entries().any(|entry| entry.sid == *sid) {
        true => Err(EditError::Inherited(sid.clone())),
        false => Err(EditError::NoEntry(sid.clone())),
    }
}

fn disable_inheritance(descriptor: &mut SecurityDescriptor) {
    descriptor.set_protected(true);
    descriptor.set_auto_inherited(false);
    for ace in descriptor.dacl.iter_mut().flatten() {
        ace.flags &= !flag::INHERITED;
    }
}

/// Replaces the inherited entries by those that the parent directory passes on.
pub fn inherit(
    descriptor: &mut SecurityDescriptor,
    parent: &SecurityDescriptor,
    is_directory: bool,
) {
    let passed = passed_on(parent, descriptor, is_directory);
    let aces = descriptor.dacl.get_or_insert_default();
    aces.retain(|ace| ace.flags & flag::INHERITED == 0);
    aces.extend(passed.into_iter().map(Ace::from));
    descriptor.set_auto_inherited(true);
}

/// The entries that a directory passes on to a child ([MS-DTYP] 2.5.3.4). An entry for Creator Owner becomes one for the owner,
/// and on a directory also stays for its own children.
fn passed_on(
    parent: &SecurityDescriptor,
    child: &SecurityDescriptor,
    is_directory: bool,
) -> Vec<Entry> {
    const INHERITABLE: u8 = flag::OBJECT_INHERIT | flag::CONTAINER_INHERIT;
    let mut passed = Vec::new();
    for entry in parent.entries() {
        let here = entry.has(match is_directory {
            true => flag::CONTAINER_INHERIT,
            false => flag::OBJECT_INHERIT,
        });
        let further =
            is_directory && !entry.has(flag::NO_PROPAGATE) && entry.flags & INHERITABLE != 0;
        let kept = if further {
            entry.flags & INHERITABLE
        } else {
            0
        };
        let mut pass = |flags: u8, sid: &Sid| {
            passed.push(Entry {
                flags: flags | flag::INHERITED,
                sid: sid.clone(),
                ..entry.clone()
            });
        };
        match creator(&entry.sid, child) {
            Some(person) => {
                if here {
                    pass(0, person);
                }
                if further {
                    pass(kept | flag::INHERIT_ONLY, &entry.sid);
                }
            }
            None if here => pass(kept, &entry.sid),
            None if further => pass(kept | flag::INHERIT_ONLY, &entry.sid),
            None => {}
        }
    }
    passed
}

/// The SID that replaces Creator Owner (`S-1-3-0`) or Creator Group (`S-1-3-1`) on a child.
fn creator<'a>(sid: &Sid, child: &'a SecurityDescriptor) -> Option<&'a Sid> {
    match (sid.authority(), sid.sub_authorities()) {
        (3, [0]) => child.owner.as_ref(),
        (3, [1]) => child.group.as_ref(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{mask, sddl};
    use super::*;

    const BOB: &str = "S-1-5-21-1-2-3-1104";

    fn sid(text: &str) -> Sid {
        text.parse().unwrap()
    }

    fn entry(deny: bool, flags: u8, mask: u32) -> Entry {
        Entry {
            deny,
            flags,
            mask,
            sid: sid(BOB),
        }
    }

    fn edit(text: &str, changes: &[AclChange]) -> Result<String, EditError> {
        let descriptor = sddl::parse(text).unwrap();
        apply(&descriptor, changes, None, true).map(|edited| sddl::text(&edited))
    }

    #[test]
    fn entries_are_kept_in_canonical_order() {
        let before = "O:BAD:AI(A;;0x001200a9;;;BU)(A;ID;0x001f01ff;;;SY)";
        let after = edit(
            before,
            &[
                AclChange::Set(entry(false, 3, mask::MODIFY)),
                AclChange::Add(entry(true, 0, 2)),
            ],
        );
        assert_eq!(
            after.unwrap(),
            format!(
                "O:BAD:AI(D;;0x00000002;;;{BOB})(A;;0x001200a9;;;BU)(A;OICI;0x001301bf;;;{BOB})(A;ID;0x001f01ff;;;SY)"
            )
        );
    }

    #[test]
    fn a_grant_replaces_and_a_repeated_one_changes_nothing() {
        let grant = [AclChange::Set(entry(false, 0, mask::READ))];
        let once = edit(
            &format!("D:(A;;0x001f01ff;;;{BOB})(D;;0x1;;;{BOB})"),
            &grant,
        )
        .unwrap();
        assert_eq!(once, format!("D:(A;;0x00120089;;;{BOB})"));
        assert_eq!(edit(&once, &grant).unwrap(), once);
    }

    #[test]
    fn an_entry_that_cannot_be_revoked_is_reported_and_nothing_changes() {
        let revoke = [AclChange::Revoke(sid(BOB))];
        assert_eq!(
            edit("D:(A;;FA;;;BA)", &revoke),
            Err(EditError::NoEntry(sid(BOB)))
        );
        let inherited = format!("D:AI(A;ID;FA;;;{BOB})");
        assert_eq!(
            edit(&inherited, &revoke),
            Err(EditError::Inherited(sid(BOB)))
        );
        assert_eq!(edit("D:NO_ACCESS_CONTROL", &revoke), Err(EditError::NoList));
        let own = format!("D:(A;;FA;;;BA)(A;;FA;;;{BOB})");
        assert_eq!(edit(&own, &revoke).unwrap(), "D:(A;;0x001f01ff;;;BA)");
    }

    #[test]
    fn inheritance_can_be_disabled_and_enabled_again() {
        let inherited = format!("O:{BOB}D:AI(A;;0x00120089;;;BU)(A;ID;0x001f01ff;;;SY)");
        let own = edit(&inherited, &[AclChange::Inherit(false)]).unwrap();
        assert_eq!(
            own,
            format!("O:{BOB}D:P(A;;0x00120089;;;BU)(A;;0x001f01ff;;;SY)")
        );
        let parent = sddl::parse("D:(A;OICI;FA;;;BA)").unwrap();
        let child = sddl::parse(&own).unwrap();
        let again = apply(&child, &[AclChange::Inherit(true)], Some(&parent), false).unwrap();
        assert_eq!(
            sddl::text(&again),
            format!("O:{BOB}D:AI(A;;0x00120089;;;BU)(A;;0x001f01ff;;;SY)(A;ID;0x001f01ff;;;BA)")
        );
    }

    /// The descriptors that smbd of Samba 4.17 gives a file and a directory that bob creates below the root of a new share.
    #[test]
    fn a_child_inherits_the_same_entries_as_under_smbd() {
        let root = sddl::parse(&crate::share_permissions::root_sddl()).unwrap();
        for (is_directory, expected) in [
            (
                false,
                "D:AI(A;ID;0x001f01ff;;;BA)(A;ID;0x001f01ff;;;SY)(A;ID;0x001200a9;;;BU)(A;ID;0x001301bf;;;AU)(A;ID;0x001f01ff;;;BOB)",
            ),
            (
                true,
                "D:AI(A;OICIID;0x001f01ff;;;BA)(A;OICIID;0x001f01ff;;;SY)(A;OICIID;0x001200a9;;;BU)(A;OICIID;0x001301bf;;;AU)(A;ID;0x001f01ff;;;BOB)(A;OICIIOID;0x001f01ff;;;CO)",
            ),
        ] {
            let mut child = sddl::parse(&format!("O:{BOB}D:")).unwrap();
            inherit(&mut child, &root, is_directory);
            let text = sddl::text(&child).replace(BOB, "BOB");
            assert_eq!(text, format!("O:BOB{expected}"));
        }
    }

    #[test]
    fn entries_that_are_not_inheritable_are_not_passed_on() {
        let parent = "D:(A;OI;0x1;;;BA)(A;CI;0x2;;;BA)(A;OICINP;0x4;;;BA)(A;;0x8;;;BA)";
        let parent = sddl::parse(parent).unwrap();
        let inherited = |is_directory| {
            let mut child = sddl::parse("D:").unwrap();
            inherit(&mut child, &parent, is_directory);
            sddl::text(&child)
        };
        assert_eq!(
            inherited(false),
            "D:AI(A;ID;0x00000001;;;BA)(A;ID;0x00000004;;;BA)"
        );
        assert_eq!(
            inherited(true),
            "D:AI(A;OIIOID;0x00000001;;;BA)(A;CIID;0x00000002;;;BA)(A;ID;0x00000004;;;BA)"
        );
    }
}
