//! Changes of a security descriptor: entries given and taken, the owner, inheritance; and what a file inherits.

use super::{Ace, Entry, SecurityDescriptor, flag};
use crossrealm_types::Sid;

/// One change. Several are made in the order in which they are given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Takes every entry of a principal's own away, then adds this one.
    Set(Entry),
    /// Adds an entry beside those that are there.
    Add(Entry),
    /// Takes every entry of a principal's own away.
    Revoke(Sid),
    /// Makes somebody the owner.
    Owner(Sid),
    /// Inherits from the folder above (`true`), or keeps what was inherited as entries of its own (`false`).
    Inherit(bool),
}

/// Why a change cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// There is nothing to take away.
    #[error("there is no entry of `{0}` to revoke")]
    NoEntry(Sid),
    /// What there is, is inherited.
    #[error("the entry of `{0}` is inherited")]
    Inherited(Sid),
    /// Without a list everything is permitted; one entry would take all the rest away.
    #[error("there is no list of permissions: everything is permitted to everyone")]
    NoList,
}

/// Makes the changes; the entries end up in the order that Windows expects: own before inherited, denying before permitting.
///
/// # Errors
///
/// [`EditError`]; then nothing was changed.
pub fn apply(
    descriptor: &SecurityDescriptor,
    changes: &[Change],
    parent: Option<&SecurityDescriptor>,
    is_folder: bool,
) -> Result<SecurityDescriptor, EditError> {
    let mut edited = descriptor.clone();
    for change in changes {
        match change {
            Change::Owner(sid) => edited.owner = Some(sid.clone()),
            Change::Inherit(true) => {
                edited.set_protected(false);
                if let Some(parent) = parent {
                    inherit(&mut edited, parent, is_folder);
                }
            }
            Change::Inherit(false) => keep_inherited(&mut edited),
            Change::Set(entry) => {
                own_entries(&mut edited, &entry.sid)?;
                add(&mut edited, entry)?;
            }
            Change::Add(entry) => add(&mut edited, entry)?,
            Change::Revoke(sid) => revoke(&mut edited, sid)?,
        }
    }
    if let Some(aces) = &mut edited.dacl {
        // Stable: entries of one kind keep their order.
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

/// Takes the own entries of a principal out and says how many there were.
fn own_entries(descriptor: &mut SecurityDescriptor, sid: &Sid) -> Result<usize, EditError> {
    let aces = descriptor.dacl.as_mut().ok_or(EditError::NoList)?;
    let before = aces.len();
    aces.retain(|ace| {
        ace.entry()
            .is_none_or(|entry| entry.sid != *sid || entry.has(flag::INHERITED))
    });
    Ok(before - aces.len())
}

fn revoke(descriptor: &mut SecurityDescriptor, sid: &Sid) -> Result<(), EditError> {
    if own_entries(descriptor, sid)? > 0 {
        return Ok(());
    }
    match descriptor.entries().any(|entry| entry.sid == *sid) {
        true => Err(EditError::Inherited(sid.clone())),
        false => Err(EditError::NoEntry(sid.clone())),
    }
}

fn keep_inherited(descriptor: &mut SecurityDescriptor) {
    descriptor.set_protected(true);
    descriptor.set_auto_inherited(false);
    for ace in descriptor.dacl.iter_mut().flatten() {
        ace.flags &= !flag::INHERITED;
    }
}

/// Replaces the inherited entries by those that the folder above passes on now.
pub fn inherit(descriptor: &mut SecurityDescriptor, parent: &SecurityDescriptor, is_folder: bool) {
    let passed = passed_on(parent, descriptor, is_folder);
    let aces = descriptor.dacl.get_or_insert_default();
    aces.retain(|ace| ace.flags & flag::INHERITED == 0);
    aces.extend(passed.into_iter().map(Ace::from));
    descriptor.set_auto_inherited(true);
}

/// What a folder passes on to a file or folder in it ([MS-DTYP] 2.5.3.4). An entry for Creator Owner becomes one for the
/// owner, and on a folder also stays for what is below.
fn passed_on(
    parent: &SecurityDescriptor,
    child: &SecurityDescriptor,
    is_folder: bool,
) -> Vec<Entry> {
    const INHERITABLE: u8 = flag::OBJECT_INHERIT | flag::CONTAINER_INHERIT;
    let mut passed = Vec::new();
    for entry in parent.entries() {
        let here = entry.has(match is_folder {
            true => flag::CONTAINER_INHERIT,
            false => flag::OBJECT_INHERIT,
        });
        let further = is_folder && !entry.has(flag::NO_PROPAGATE) && entry.flags & INHERITABLE != 0;
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

/// For whom Creator Owner (`S-1-3-0`) or Creator Group (`S-1-3-1`) stands at a file.
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

    fn edit(text: &str, changes: &[Change]) -> Result<String, EditError> {
        let descriptor = sddl::parse(text).unwrap();
        apply(&descriptor, changes, None, true).map(|edited| sddl::text(&edited))
    }

    #[test]
    fn entries_are_kept_in_the_order_of_windows() {
        let before = "O:BAD:AI(A;;0x001200a9;;;BU)(A;ID;0x001f01ff;;;SY)";
        let after = edit(
            before,
            &[
                Change::Set(entry(false, 3, mask::MODIFY)),
                Change::Add(entry(true, 0, 2)),
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
    fn a_grant_replaces_and_a_second_one_changes_nothing() {
        let grant = [Change::Set(entry(false, 0, mask::READ))];
        let once = edit(
            &format!("D:(A;;0x001f01ff;;;{BOB})(D;;0x1;;;{BOB})"),
            &grant,
        )
        .unwrap();
        assert_eq!(once, format!("D:(A;;0x00120089;;;{BOB})"));
        assert_eq!(edit(&once, &grant).unwrap(), once);
    }

    #[test]
    fn what_cannot_be_revoked_is_said_and_changes_nothing() {
        let revoke = [Change::Revoke(sid(BOB))];
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
    fn inheritance_is_broken_and_taken_up_again() {
        let inherited = format!("O:{BOB}D:AI(A;;0x00120089;;;BU)(A;ID;0x001f01ff;;;SY)");
        let own = edit(&inherited, &[Change::Inherit(false)]).unwrap();
        assert_eq!(
            own,
            format!("O:{BOB}D:P(A;;0x00120089;;;BU)(A;;0x001f01ff;;;SY)")
        );
        let parent = sddl::parse("D:(A;OICI;FA;;;BA)").unwrap();
        let child = sddl::parse(&own).unwrap();
        let again = apply(&child, &[Change::Inherit(true)], Some(&parent), false).unwrap();
        assert_eq!(
            sddl::text(&again),
            format!("O:{BOB}D:AI(A;;0x00120089;;;BU)(A;;0x001f01ff;;;SY)(A;ID;0x001f01ff;;;BA)")
        );
    }

    /// What smbd of Samba 4.17 makes of a file and a folder that bob creates below the root of a new share.
    #[test]
    fn a_file_inherits_as_smbd_lets_it() {
        let root = sddl::parse(&crate::share_permissions::root_sddl()).unwrap();
        for (is_folder, expected) in [
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
            inherit(&mut child, &root, is_folder);
            let text = sddl::text(&child).replace(BOB, "BOB");
            assert_eq!(text, format!("O:BOB{expected}"));
        }
    }

    #[test]
    fn what_is_not_passed_on_stays() {
        let parent = "D:(A;OI;0x1;;;BA)(A;CI;0x2;;;BA)(A;OICINP;0x4;;;BA)(A;;0x8;;;BA)";
        let parent = sddl::parse(parent).unwrap();
        let inherited = |is_folder| {
            let mut child = sddl::parse("D:").unwrap();
            inherit(&mut child, &parent, is_folder);
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
