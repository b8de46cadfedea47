//! Security descriptors as values, and their binary form ([MS-DTYP] 2.4.6, self-relative).

use crossrealm_krb::sid::Sid;

/// Control bits, [MS-DTYP] 2.4.6.
mod control {
    pub const DACL_PRESENT: u16 = 0x0004;
    pub const SACL_PRESENT: u16 = 0x0010;
    pub const DACL_AUTO_INHERITED: u16 = 0x0400;
    pub const SACL_AUTO_INHERITED: u16 = 0x0800;
    pub const DACL_PROTECTED: u16 = 0x1000;
    pub const SACL_PROTECTED: u16 = 0x2000;
    pub const SELF_RELATIVE: u16 = 0x8000;
    /// What belongs to the SACL and is kept as it was.
    pub const OF_SACL: u16 = SACL_PRESENT | SACL_AUTO_INHERITED | SACL_PROTECTED;
}

/// The most bytes of an ACL: its length has 16 bits, [MS-DTYP] 2.4.5.
pub const MAX_ACL_BYTES: usize = 0xffff;
/// Bytes of the fixed part of a descriptor.
const HEADER: usize = 20;
/// Bytes of the fixed part of an ACL.
const ACL_HEADER: usize = 8;
const ALLOWED: u8 = 0;
const DENIED: u8 = 1;

/// A security descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Whose the file is.
    pub owner: Option<Sid>,
    /// The owner's primary group; of no meaning but to POSIX applications.
    pub group: Option<Sid>,
    /// Whether nothing is inherited from the folder above.
    pub protected: bool,
    /// Whether the inherited entries are kept up to date by whoever changes the folder above.
    pub auto_inherited: bool,
    /// The entries in their order; absent where everything is permitted to everyone ([MS-DTYP] 2.5.3).
    pub dacl: Option<Vec<Ace>>,
    /// The auditing entries with their control bits, kept as they were.
    sacl: Option<(u16, Vec<u8>)>,
}

/// One element of an ACL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ace {
    /// Permits or denies.
    Entry(Entry),
    /// Of a type that says nothing of files, or that smbd does not look at: kept byte for byte.
    Other(Vec<u8>),
}

/// An entry that permits or denies ([MS-DTYP] 2.4.4.2, 2.4.4.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whether it denies.
    pub deny: bool,
    /// Inheritance, see [`super::flag`].
    pub flags: u8,
    /// Rights, see [`super::mask`].
    pub mask: u32,
    /// Of whom.
    pub sid: Sid,
}

/// The bytes are no security descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DescriptorError {
    /// A length or offset leads outside, or a part is none of its kind.
    #[error("the permissions are damaged: {0}")]
    Malformed(&'static str),
    /// An ACL has no more room.
    #[error("more entries than a list of permissions can hold (64 KiB)")]
    TooLarge,
}

use DescriptorError::Malformed;

impl Entry {
    /// Whether it has all of these flags.
    pub fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }
}

impl Ace {
    /// The entry, where it permits or denies.
    pub fn entry(&self) -> Option<&Entry> {
        match self {
            Self::Entry(entry) => Some(entry),
            Self::Other(_) => None,
        }
    }

    /// Its flags.
    pub fn flags(&self) -> u8 {
        match self {
            Self::Entry(entry) => entry.flags,
            Self::Other(bytes) => bytes.get(1).copied().unwrap_or_default(),
        }
    }

    fn parse(bytes: &[u8]) -> Result<(Self, &[u8]), DescriptorError> {
        let length = usize::from(u16_at(bytes, 2).ok_or(Malformed("an entry is cut off"))?);
        if length < 4 {
            return Err(Malformed("an entry is shorter than its head"));
        }
        let (ace, rest) = bytes
            .split_at_checked(length)
            .ok_or(Malformed("an entry is cut off"))?;
        let deny = match ace.first() {
            Some(&ALLOWED) => false,
            Some(&DENIED) => true,
            _ => return Ok((Self::Other(ace.to_vec()), rest)),
        };
        let mask = u32_at(ace, 4).ok_or(Malformed("an entry is cut off"))?;
        let sid = sid_at(ace, 8)?;
        let entry = Entry {
            deny,
            flags: ace.get(1).copied().unwrap_or_default(),
            mask,
            sid,
        };
        Ok((Self::Entry(entry), rest))
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Other(bytes) => out.extend(bytes),
            Self::Entry(entry) => {
                let sid = entry.sid.to_bytes();
                // A SID has at most 68 bytes.
                let length = u16::try_from(8 + sid.len()).unwrap_or(u16::MAX);
                out.extend([if entry.deny { DENIED } else { ALLOWED }, entry.flags]);
                out.extend(length.to_le_bytes());
                out.extend(entry.mask.to_le_bytes());
                out.extend(sid);
            }
        }
    }
}

impl Descriptor {
    /// A descriptor without auditing entries.
    pub fn new(owner: Option<Sid>, group: Option<Sid>, dacl: Option<Vec<Ace>>) -> Self {
        Self {
            owner,
            group,
            protected: false,
            auto_inherited: false,
            dacl,
            sacl: None,
        }
    }

    /// The entries that permit or deny, in their order; none where there is no list.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.dacl.iter().flatten().filter_map(Ace::entry)
    }

    /// Whether there are auditing entries.
    pub fn has_auditing(&self) -> bool {
        self.sacl.is_some()
    }

    /// This descriptor with the auditing entries of another.
    #[must_use]
    pub fn with_auditing_of(mut self, other: &Self) -> Self {
        self.sacl.clone_from(&other.sacl);
        self
    }

    /// Reads a descriptor that begins at `start` of `bytes`. Its offsets count from `base` ([MS-DTYP]: from its own start;
    /// in Samba's attribute: from the start of the whole).
    ///
    /// # Errors
    ///
    /// [`DescriptorError::Malformed`].
    pub fn parse(bytes: &[u8], start: usize, base: usize) -> Result<Self, DescriptorError> {
        let head = bytes
            .get(start..start.saturating_add(HEADER))
            .ok_or(Malformed("they are cut off"))?;
        if head.first() != Some(&1) {
            return Err(Malformed("unknown revision"));
        }
        let control = u16_at(head, 2).unwrap_or_default();
        let part = |at: usize| -> Result<Option<&[u8]>, DescriptorError> {
            match u32_at(head, at).unwrap_or_default() {
                0 => Ok(None),
                offset => {
                    let offset = usize::try_from(offset).map_err(|_| Malformed("an offset"))?;
                    let from = base.checked_add(offset).ok_or(Malformed("an offset"))?;
                    let part = bytes.get(from..).filter(|_| from >= start + HEADER);
                    part.map(Some).ok_or(Malformed("an offset leads outside"))
                }
            }
        };
        let sid = |at| part(at)?.map(|bytes| sid_at(bytes, 0)).transpose();
        let dacl = match part(16)? {
            Some(acl) if control & control::DACL_PRESENT != 0 => Some(parse_acl(acl)?),
            _ => None,
        };
        let sacl = match part(12)? {
            Some(acl) if control & control::SACL_PRESENT != 0 => {
                Some((control & control::OF_SACL, raw_acl(acl)?.to_vec()))
            }
            _ => None,
        };
        Ok(Self {
            owner: sid(4)?,
            group: sid(8)?,
            protected: control & control::DACL_PROTECTED != 0,
            auto_inherited: control & control::DACL_AUTO_INHERITED != 0,
            dacl,
            sacl,
        })
    }

    /// The binary form, its offsets counted from `base` bytes before it.
    ///
    /// # Errors
    ///
    /// [`DescriptorError::TooLarge`].
    pub fn to_bytes(&self, base: usize) -> Result<Vec<u8>, DescriptorError> {
        let mut control = control::SELF_RELATIVE | control::DACL_PRESENT;
        for (on, bit) in [
            (self.protected, control::DACL_PROTECTED),
            (self.auto_inherited, control::DACL_AUTO_INHERITED),
        ] {
            control |= if on { bit } else { 0 };
        }
        let mut body = Vec::new();
        let mut offsets = [0_u32; 4];
        let parts = [
            self.owner.as_ref().map(Sid::to_bytes),
            self.group.as_ref().map(Sid::to_bytes),
            self.sacl.as_ref().map(|(bits, acl)| {
                control |= bits;
                acl.clone()
            }),
            self.dacl.as_deref().map(write_acl).transpose()?,
        ];
        for (offset, part) in offsets.iter_mut().zip(parts) {
            if let Some(part) = part {
                *offset = u32::try_from(base + HEADER + body.len())
                    .map_err(|_| DescriptorError::TooLarge)?;
                body.extend(part);
                body.resize(body.len().next_multiple_of(4), 0);
            }
        }
        let mut out = vec![1, 0];
        out.extend(control.to_le_bytes());
        for offset in offsets {
            out.extend(offset.to_le_bytes());
        }
        out.extend(body);
        Ok(out)
    }
}

/// The bytes of the ACL that begins here.
fn raw_acl(bytes: &[u8]) -> Result<&[u8], DescriptorError> {
    let length = u16_at(bytes, 2).ok_or(Malformed("a list is cut off"))?;
    let acl = bytes.get(..usize::from(length));
    acl.filter(|acl| acl.len() >= ACL_HEADER)
        .ok_or(Malformed("a list is cut off"))
}

fn parse_acl(bytes: &[u8]) -> Result<Vec<Ace>, DescriptorError> {
    let acl = raw_acl(bytes)?;
    let count = u16_at(acl, 4).unwrap_or_default();
    let mut rest = acl.get(ACL_HEADER..).unwrap_or_default();
    let mut aces = Vec::new();
    for _ in 0..count {
        let (ace, behind) = Ace::parse(rest)?;
        aces.push(ace);
        rest = behind;
    }
    Ok(aces)
}

/// Revision 2 holds the ordinary entries, 4 those for objects of a directory ([MS-DTYP] 2.4.5).
fn write_acl(aces: &[Ace]) -> Result<Vec<u8>, DescriptorError> {
    let ordinary = |ace: &Ace| match ace {
        Ace::Entry(_) => true,
        Ace::Other(bytes) => !bytes.first().is_some_and(|kind| (5..=8).contains(kind)),
    };
    let revision = if aces.iter().all(ordinary) { 2 } else { 4 };
    let mut body = Vec::new();
    for ace in aces {
        ace.write(&mut body);
    }
    let length = ACL_HEADER + body.len();
    let length = u16::try_from(length).map_err(|_| DescriptorError::TooLarge)?;
    let count = u16::try_from(aces.len()).map_err(|_| DescriptorError::TooLarge)?;
    let mut out = vec![revision, 0];
    out.extend(length.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend([0, 0]);
    out.extend(body);
    Ok(out)
}

fn sid_at(bytes: &[u8], at: usize) -> Result<Sid, DescriptorError> {
    let bad = Malformed("a SID is none");
    let count = bytes.get(at + 1).copied().ok_or(bad)?;
    let sid = bytes.get(at..at + 8 + 4 * usize::from(count)).ok_or(bad)?;
    Sid::from_bytes(sid).map_err(|_| bad)
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let two = bytes.get(at..at.checked_add(2)?)?;
    two.try_into().ok().map(u16::from_le_bytes)
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    four.try_into().ok().map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::super::sddl;
    use super::*;

    const TEXT: &str = "O:S-1-5-21-1-2-3-1103G:S-1-5-21-1-2-3-513D:PAI(D;;0x00000002;;;S-1-1-0)(A;OICI;0x001301bf;;;AU)(A;OICIIO;0x001f01ff;;;CO)";

    #[test]
    fn the_binary_form_round_trips_whatever_its_base() {
        let descriptor = sddl::parse(TEXT).unwrap();
        for base in [0_usize, 80] {
            let mut bytes = vec![0xaa; base];
            bytes.extend(descriptor.to_bytes(base).unwrap());
            assert_eq!(Descriptor::parse(&bytes, base, 0).unwrap(), descriptor);
        }
    }

    #[test]
    fn what_is_cut_or_lies_is_refused_and_never_panics() {
        let whole = sddl::parse(TEXT).unwrap().to_bytes(0).unwrap();
        for cut in 0..whole.len() {
            let _ = Descriptor::parse(&whole[..cut], 0, 0);
        }
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] = value;
                if let Ok(read) = Descriptor::parse(&damaged, 0, 0) {
                    let _ = read.to_bytes(0);
                }
            }
        }
        assert!(Descriptor::parse(&[], 0, 0).is_err());
        assert!(Descriptor::parse(&whole, usize::MAX, 0).is_err());
    }

    #[test]
    fn unknown_entries_and_auditing_are_kept() {
        let mut descriptor = sddl::parse(TEXT).unwrap();
        // A callback entry (type 9), which smbd does not look at.
        let mut other = vec![9, 0, 24, 0];
        other.resize(24, 7);
        descriptor.dacl.as_mut().unwrap().push(Ace::Other(other));
        descriptor.sacl = Some((control::SACL_PRESENT, vec![2, 0, 8, 0, 0, 0, 0, 0]));
        let bytes = descriptor.to_bytes(0).unwrap();
        assert_eq!(Descriptor::parse(&bytes, 0, 0).unwrap(), descriptor);
    }

    #[test]
    fn more_than_fits_is_refused() {
        let mut descriptor = sddl::parse(TEXT).unwrap();
        let one = descriptor.dacl.as_ref().unwrap()[0].clone();
        descriptor.dacl = Some(vec![one; 4_000]);
        assert_eq!(descriptor.to_bytes(0), Err(DescriptorError::TooLarge));
    }
}
