//! Security descriptors, [MS-DTYP] 2.4.6: who owns an object and who may do what with it.
//!
//! An entry's bytes behind its mask (object types, SID, conditions) are kept as they came, so that what is read and written
//! back is never less than it was.

use crossrealm_krb::sid::Sid;

/// An access-allowed entry, [MS-DTYP] 2.4.4.2.
pub const ALLOWED: u8 = 0x00;
/// An access-allowed entry for a property, child or extended right, [MS-DTYP] 2.4.4.3.
pub const ALLOWED_OBJECT: u8 = 0x05;
/// Files inherit the entry.
pub const OBJECT_INHERIT: u8 = 0x01;
/// Folders inherit the entry.
pub const CONTAINER_INHERIT: u8 = 0x02;
/// The entry is for heirs alone.
pub const INHERIT_ONLY: u8 = 0x08;

/// `SE_DACL_PRESENT` of the control bits.
const DACL_PRESENT: u16 = 0x0004;
/// `SE_SELF_RELATIVE` of the control bits: the only form that travels.
const SELF_RELATIVE: u16 = 0x8000;
/// The revision of an access-control list, and of one with object entries.
const REVISION: u8 = 2;
const REVISION_DS: u8 = 4;
/// Size of a descriptor's head, of a list's, of an entry's with its mask.
const HEAD: usize = 20;
const LIST_HEAD: usize = 8;
const ENTRY_HEAD: usize = 8;

/// A security descriptor without its audit list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityDescriptor {
    /// The control bits, [MS-DTYP] 2.4.6.
    pub control: u16,
    /// The owner.
    pub owner: Option<Sid>,
    /// The primary group.
    pub group: Option<Sid>,
    /// The access-control entries in their order; `None` where the descriptor has no list, which lets everybody in.
    pub dacl: Option<Vec<Ace>>,
}

/// An access-control entry, [MS-DTYP] 2.4.4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ace {
    /// Its type: [`ALLOWED`], [`ALLOWED_OBJECT`], …
    pub kind: u8,
    /// How it is inherited.
    pub flags: u8,
    /// The rights.
    pub mask: u32,
    /// What follows the mask: for [`ALLOWED`] the SID; for [`ALLOWED_OBJECT`] flags, up to two GUIDs, the SID.
    pub rest: Vec<u8>,
}

impl Ace {
    /// An entry that allows `mask` to `trustee`.
    pub fn allow(flags: u8, mask: u32, trustee: &Sid) -> Self {
        Self {
            kind: ALLOWED,
            flags,
            mask,
            rest: trustee.to_bytes(),
        }
    }

    /// An entry that allows `trustee` the extended right of this GUID (its bytes as they travel).
    pub fn allow_right(flags: u8, mask: u32, right: &[u8; 16], trustee: &Sid) -> Self {
        let mut rest = 1u32.to_le_bytes().to_vec();
        rest.extend(right);
        rest.extend(trustee.to_bytes());
        Self {
            kind: ALLOWED_OBJECT,
            flags,
            mask,
            rest,
        }
    }

    /// Whom it is about, where it has one of the two forms above.
    pub fn trustee(&self) -> Option<Sid> {
        match self.kind {
            ALLOWED => Sid::from_bytes(&self.rest).ok(),
            ALLOWED_OBJECT => Sid::from_bytes(self.rest.get(self.object_head()?..)?).ok(),
            _ => None,
        }
    }

    /// The GUID of the property, child class or extended right that an object entry is about.
    pub fn object_type(&self) -> Option<[u8; 16]> {
        let has_type = self.kind == ALLOWED_OBJECT && self.object_flags()? & 1 != 0;
        has_type.then(|| self.rest.get(4..20)?.try_into().ok())?
    }

    fn object_flags(&self) -> Option<u32> {
        Some(u32::from_le_bytes(self.rest.get(..4)?.try_into().ok()?))
    }

    /// How many bytes of `rest` come before the SID of an object entry.
    fn object_head(&self) -> Option<usize> {
        let guids = (self.object_flags()? & 3).count_ones();
        Some(4 + 16 * usize::try_from(guids).ok()?)
    }

    fn encode(&self, out: &mut Vec<u8>) -> Option<()> {
        let size = u16::try_from(ENTRY_HEAD + self.rest.len()).ok()?;
        out.extend([self.kind, self.flags]);
        out.extend(size.to_le_bytes());
        out.extend(self.mask.to_le_bytes());
        out.extend(&self.rest);
        Some(())
    }
}

impl SecurityDescriptor {
    /// Reads the self-relative form; `None` where it is damaged.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let control = u16_at(bytes, 2)?;
        if bytes.first() != Some(&1) || control & SELF_RELATIVE == 0 {
            return None;
        }
        let owner = sid_at(bytes, u32_at(bytes, 4)?)?;
        let group = sid_at(bytes, u32_at(bytes, 8)?)?;
        let dacl = match (control & DACL_PRESENT, u32_at(bytes, 16)?) {
            (0, _) | (_, 0) => None,
            (_, offset) => Some(list(bytes.get(usize::try_from(offset).ok()?..)?)?),
        };
        Some(Self {
            control,
            owner,
            group,
            dacl,
        })
    }

    /// The self-relative form; `None` where the list is too long for it.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let mut tail = Vec::new();
        let mut place = |part: Option<Vec<u8>>| -> Option<u32> {
            let Some(part) = part else { return Some(0) };
            let offset = u32::try_from(HEAD + tail.len()).ok()?;
            tail.extend(part);
            Some(offset)
        };
        let owner = place(self.owner.as_ref().map(Sid::to_bytes))?;
        let group = place(self.group.as_ref().map(Sid::to_bytes))?;
        let list = match &self.dacl {
            Some(entries) => Some(encode_list(entries)?),
            None => None,
        };
        let dacl = place(list)?;
        let present = if self.dacl.is_some() { DACL_PRESENT } else { 0 };
        let control = (self.control & !DACL_PRESENT) | present | SELF_RELATIVE;
        let mut out = vec![1, 0];
        out.extend(control.to_le_bytes());
        for offset in [owner, group, 0, dacl] {
            out.extend(offset.to_le_bytes());
        }
        out.extend(tail);
        Some(out)
    }
}

fn list(bytes: &[u8]) -> Option<Vec<Ace>> {
    let size = usize::from(u16_at(bytes, 2)?);
    let mut rest = bytes.get(LIST_HEAD..size)?;
    let count = u16_at(bytes, 4)?;
    let mut entries = Vec::new();
    for _ in 0..count {
        let size = usize::from(u16_at(rest, 2)?);
        entries.push(Ace {
            kind: *rest.first()?,
            flags: *rest.get(1)?,
            mask: u32_at(rest, 4)?,
            rest: rest.get(ENTRY_HEAD..size)?.to_vec(),
        });
        rest = rest.get(size..)?;
    }
    Some(entries)
}

fn encode_list(entries: &[Ace]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    for entry in entries {
        entry.encode(&mut body)?;
    }
    let size = u16::try_from(LIST_HEAD + body.len()).ok()?;
    let objects = entries.iter().any(|entry| entry.kind == ALLOWED_OBJECT);
    let mut out = vec![if objects { REVISION_DS } else { REVISION }, 0];
    out.extend(size.to_le_bytes());
    out.extend(u16::try_from(entries.len()).ok()?.to_le_bytes());
    out.extend([0, 0]);
    out.extend(body);
    Some(out)
}

/// The SID at an offset; `Some(None)` for the offset 0, which stands for none.
fn sid_at(bytes: &[u8], offset: u32) -> Option<Option<Sid>> {
    if offset == 0 {
        return Some(None);
    }
    let tail = bytes.get(usize::try_from(offset).ok()?..)?;
    let length = 8 + 4 * usize::from(*tail.get(1)?);
    Sid::from_bytes(tail.get(..length)?).ok().map(Some)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sid(text: &str) -> Sid {
        text.parse().unwrap()
    }

    fn descriptor() -> SecurityDescriptor {
        SecurityDescriptor {
            control: SELF_RELATIVE | DACL_PRESENT | 0x1000,
            owner: Some(sid("S-1-5-32-544")),
            group: None,
            dacl: Some(vec![
                Ace::allow(CONTAINER_INHERIT, 0x1f_01ff, &sid("S-1-5-18")),
                Ace::allow_right(0, 0x100, &[7; 16], &sid("S-1-5-11")),
            ]),
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let one = descriptor();
        let back = SecurityDescriptor::parse(&one.encode().unwrap()).unwrap();
        assert_eq!(back, one);
        let entries = back.dacl.unwrap();
        assert_eq!(entries[0].trustee(), Some(sid("S-1-5-18")));
        assert_eq!(entries[1].trustee(), Some(sid("S-1-5-11")));
        assert_eq!(
            (entries[0].object_type(), entries[1].object_type()),
            (None, Some([7; 16]))
        );
        let open = SecurityDescriptor {
            control: SELF_RELATIVE,
            dacl: None,
            ..one
        };
        assert_eq!(
            SecurityDescriptor::parse(&open.encode().unwrap()),
            Some(open)
        );
    }

    #[test]
    fn a_list_that_is_too_long_is_not_written() {
        let mut one = descriptor();
        one.dacl = Some(vec![Ace::allow(0, 1, &sid("S-1-5-18")); 4000]);
        assert_eq!(one.encode(), None);
    }

    proptest! {
        #[test]
        fn damage_is_refused_or_read(at in 0usize..120, byte: u8, cut in 0usize..120) {
            let mut bytes = descriptor().encode().unwrap();
            if let Some(slot) = bytes.get_mut(at) {
                *slot = byte;
            }
            let _ = SecurityDescriptor::parse(&bytes);
            bytes.truncate(cut);
            let _ = SecurityDescriptor::parse(&bytes);
        }
    }
}
