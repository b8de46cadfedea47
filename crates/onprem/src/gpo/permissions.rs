//! Who may read and apply the object, and what permissions its folder gets from that.

use crossrealm_krb::security_descriptor::flag::{
    CONTAINER_INHERIT, INHERIT_ONLY, INHERITED, OBJECT_INHERIT,
};
use crossrealm_krb::security_descriptor::kind::{ALLOWED, ALLOWED_OBJECT};
use crossrealm_krb::security_descriptor::{Ace, SecurityDescriptor};
use crossrealm_types::Sid;

/// The extended right "Apply Group Policy", edacfd8f-ffb3-11d1-b41d-00a0c968f939 ([MS-ADTS] 5.1.3.2.1), in wire order.
const APPLY: [u8; 16] = [
    0x8f, 0xfd, 0xac, 0xed, 0xb3, 0xff, 0xd1, 0x11, 0xb4, 0x1d, 0x00, 0xa0, 0xc9, 0x68, 0xf9, 0x39,
];
/// Access rights to an object of the directory, [MS-ADTS] 5.1.3.2.
mod ds {
    pub(super) const CREATE_CHILD: u32 = 0x1;
    pub(super) const DELETE_CHILD: u32 = 0x2;
    pub(super) const LIST_CONTENTS: u32 = 0x4;
    pub(super) const READ_PROPERTY: u32 = 0x10;
    pub(super) const WRITE_PROPERTY: u32 = 0x20;
    pub(super) const LIST_OBJECT: u32 = 0x80;
    pub(super) const CONTROL_ACCESS: u32 = 0x100;
    pub(super) const READ_CONTROL: u32 = 0x2_0000;
}
/// Access rights to a file or folder, [MS-SMB2] 2.2.13.1.
mod fs {
    pub(super) const STANDARD: u32 = 0x1f_0000;
    pub(super) const SYNCHRONIZE: u32 = 0x10_0000;
    /// Read data, extended attributes and attributes; traverse.
    pub(super) const READ: u32 = 0x1 | 0x8 | 0x80 | 0x20;
    /// Write and append data, write extended attributes and attributes.
    pub(super) const WRITE: u32 = 0x2 | 0x4 | 0x10 | 0x100;
    pub(super) const ADD: u32 = 0x2 | 0x4;
    pub(super) const DELETE_CHILD: u32 = 0x40;
}

/// Authenticated Users.
pub(super) fn authenticated_users() -> Option<Sid> {
    Sid::new(5, &[11]).ok()
}

/// Whether exactly these accounts apply the object, and each of them may read it.
pub(super) fn is_filtered(security: &SecurityDescriptor, apply_to: &[Sid]) -> bool {
    filtered(security, apply_to) == *security
}

/// The descriptor with which exactly these accounts apply the object (if empty: every authenticated computer). All other
/// entries stay: a computer must be able to read a policy that it does not apply (MS16-072).
pub(super) fn filtered(security: &SecurityDescriptor, apply_to: &[Sid]) -> SecurityDescriptor {
    let everybody: Vec<Sid> = authenticated_users().into_iter().collect();
    let wanted = if apply_to.is_empty() {
        &everybody[..]
    } else {
        apply_to
    };
    let mut entries: Vec<Ace> = security.dacl.clone().unwrap_or_default();
    entries.retain(|entry| {
        !lets_apply(entry) || entry.trustee().is_some_and(|sid| wanted.contains(&sid))
    });
    for sid in wanted {
        let applies = |entry: &Ace| lets_apply(entry) && entry.trustee().as_ref() == Some(sid);
        let read = ds::READ_PROPERTY | ds::LIST_CONTENTS | ds::LIST_OBJECT | ds::READ_CONTROL;
        let reads = |entry: &Ace| {
            entry.kind == ALLOWED
                && entry.mask() & read == read
                && entry.trustee().as_ref() == Some(sid)
        };
        if !entries.iter().any(reads) {
            insert(&mut entries, Ace::allow(CONTAINER_INHERIT, read, sid));
        }
        if !entries.iter().any(applies) {
            let ace = Ace::allow_right(CONTAINER_INHERIT, ds::CONTROL_ACCESS, &APPLY, sid);
            insert(&mut entries, ace);
        }
    }
    security.clone().with_dacl(Some(entries))
}

fn lets_apply(entry: &Ace) -> bool {
    entry.kind == ALLOWED_OBJECT && entry.object_type() == Some(APPLY)
}

/// Behind the explicit entries, before the inherited ones ([MS-DTYP] 2.4.5).
fn insert(entries: &mut Vec<Ace>, ace: Ace) {
    let inherited = |entry: &Ace| entry.flags & INHERITED != 0;
    let at = entries.iter().position(inherited).unwrap_or(entries.len());
    entries.insert(at, ace);
}

/// The permissions of the folder that correspond to those of the container: the rights to the object as rights to files.
pub(super) fn of_folder(container: &SecurityDescriptor) -> SecurityDescriptor {
    let creator_owner = Sid::new(3, &[0]).ok();
    let entries = container.dacl.iter().flatten();
    let entries = entries.filter(|entry| matches!(entry.kind, ALLOWED | ALLOWED_OBJECT));
    let entries = entries.map(|entry| {
        let mut of_files = entry.clone().with_mask(file_rights(entry.mask()));
        of_files.flags |= OBJECT_INHERIT | CONTAINER_INHERIT;
        if entry.trustee() == creator_owner {
            of_files.flags |= INHERIT_ONLY;
        }
        of_files
    });
    container.clone().with_dacl(Some(entries.collect()))
}

fn file_rights(mask: u32) -> u32 {
    let mut rights = mask & fs::STANDARD;
    let read = ds::READ_PROPERTY | ds::LIST_CONTENTS;
    if mask & read == read {
        rights |= fs::SYNCHRONIZE | fs::READ;
    }
    if mask & ds::WRITE_PROPERTY != 0 {
        rights |= fs::SYNCHRONIZE | fs::WRITE;
    }
    if mask & ds::CREATE_CHILD != 0 {
        rights |= fs::ADD;
    }
    if mask & ds::DELETE_CHILD != 0 {
        rights |= fs::DELETE_CHILD;
    }
    rights
}

/// Whether the permissions of two folders are equivalent: the owner, and the entries in their order. Entries that grant
/// nothing do not count: a file server may drop them.
pub(super) fn same(a: &SecurityDescriptor, b: &SecurityDescriptor) -> bool {
    let granting = |descriptor: &SecurityDescriptor| -> Option<Vec<Ace>> {
        let entries = descriptor.dacl.as_ref()?.iter();
        Some(entries.filter(|entry| entry.mask() != 0).cloned().collect())
    };
    a.owner == b.owner && granting(a) == granting(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sid(text: &str) -> Sid {
        text.parse().unwrap()
    }

    /// The default in AD: administrators, the creator, and all authenticated users.
    fn usual() -> SecurityDescriptor {
        let admins = Some(sid("S-1-5-21-1-2-3-512"));
        let entries = vec![
            Ace::allow(CONTAINER_INHERIT, 0x000f_00ff, &sid("S-1-5-21-1-2-3-512")),
            Ace::allow(CONTAINER_INHERIT, 0x000f_00ff, &sid("S-1-3-0")),
            Ace::allow(CONTAINER_INHERIT, 0x0002_0094, &sid("S-1-5-11")),
            Ace::allow_right(CONTAINER_INHERIT, 0x100, &APPLY, &sid("S-1-5-11")),
        ];
        let mut usual = SecurityDescriptor::new(admins.clone(), admins, Some(entries));
        usual.set_protected(true);
        usual
    }

    fn appliers(descriptor: &SecurityDescriptor) -> Vec<Sid> {
        let entries = descriptor.dacl.iter().flatten();
        let entries = entries.filter(|entry| entry.object_type() == Some(APPLY));
        entries.filter_map(Ace::trustee).collect()
    }

    #[test]
    fn everybody_applies_it_unless_groups_are_named() {
        let usual = usual();
        assert!(is_filtered(&usual, &[]));
        let group = sid("S-1-5-21-1-2-3-1200");
        let narrow = filtered(&usual, std::slice::from_ref(&group));
        assert_eq!(appliers(&narrow), std::slice::from_ref(&group));
        assert!(!is_filtered(&usual, std::slice::from_ref(&group)));
        assert!(is_filtered(&narrow, &[group]));
        // All authenticated users can still read it.
        assert!(
            narrow
                .dacl
                .iter()
                .flatten()
                .any(|entry| entry.kind == ALLOWED && entry.trustee() == authenticated_users())
        );
        assert_eq!(appliers(&filtered(&narrow, &[])), [sid("S-1-5-11")]);
    }

    #[test]
    fn entries_go_in_front_of_inherited_ones() {
        let mut start = usual();
        let mut inherited = Ace::allow(INHERITED, 1, &sid("S-1-5-18"));
        inherited.flags |= INHERITED;
        start.dacl.as_mut().unwrap().push(inherited.clone());
        let narrow = filtered(&start, &[sid("S-1-5-21-1-2-3-1200")]);
        assert_eq!(narrow.dacl.unwrap().last(), Some(&inherited));
    }

    #[test]
    fn readers_of_the_object_read_the_folder_and_writers_write() {
        let folder = of_folder(&usual());
        let entries = folder.dacl.as_ref().unwrap();
        // [MS-DTYP] 2.4.3: full access but for the object's own rights, and read & execute.
        assert_eq!(entries[0].mask(), 0x001f_01ff);
        assert_eq!(entries[2].mask(), 0x0012_00a9);
        assert_eq!(entries[3].mask(), 0);
        assert_eq!(entries[1].flags, 0x0b);
        assert_eq!(entries[2].flags, 0x03);
        let mut without = folder.clone();
        without.dacl.as_mut().unwrap().pop();
        assert!(same(&folder, &without));
        without.dacl.as_mut().unwrap().pop();
        assert!(!same(&folder, &without));
    }
}
