//! Security descriptors, [MS-DTYP] 2.4.6, in the self-relative form: who owns a file or an object, who may do what.
//!
//! What is not understood is kept: entries of any type with every byte behind their head, the auditing list, the control
//! bits, the revision of the list. A well-formed descriptor that lies in the order in which Samba writes it (owner, group,
//! auditing list, list) is written as it was read. Unused space behind the last entry of a list is dropped.

mod ace;

pub use ace::{Ace, Entry, flag, kind};

use crossrealm_types::Sid;

/// Control bits, [MS-DTYP] 2.4.6.
mod control {
    pub(super) const DACL_PRESENT: u16 = 0x0004;
    pub(super) const SACL_PRESENT: u16 = 0x0010;
    pub(super) const SACL_AUTO_INHERIT_REQUIRED: u16 = 0x0200;
    pub(super) const DACL_AUTO_INHERITED: u16 = 0x0400;
    pub(super) const SACL_AUTO_INHERITED: u16 = 0x0800;
    pub(super) const DACL_PROTECTED: u16 = 0x1000;
    pub(super) const SACL_PROTECTED: u16 = 0x2000;
    pub(super) const SELF_RELATIVE: u16 = 0x8000;
    /// What belongs to the auditing list.
    pub(super) const OF_SACL: u16 =
        SACL_PRESENT | SACL_AUTO_INHERIT_REQUIRED | SACL_AUTO_INHERITED | SACL_PROTECTED;
}

/// The most bytes of a list: its length has 16 bits, [MS-DTYP] 2.4.5.
pub const MAX_ACL_BYTES: usize = 0xffff;
/// Bytes of the fixed part of a descriptor.
const HEADER: usize = 20;
/// Bytes of the fixed part of a list.
const ACL_HEADER: usize = 8;
/// The revisions of a list: with ordinary entries, and with those for objects of a directory. 3 is between them.
const REVISION: u8 = 2;
const REVISION_DS: u8 = 4;

/// A security descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecurityDescriptor {
    /// Whose it is.
    pub owner: Option<Sid>,
    /// The owner's primary group; of no meaning but to POSIX applications.
    pub group: Option<Sid>,
    /// The entries in their order; absent where everything is permitted to everyone ([MS-DTYP] 2.5.3).
    pub dacl: Option<Vec<Ace>>,
    /// The revision that the list came with.
    revision: u8,
    /// The auditing list, not looked into.
    sacl: Option<Vec<u8>>,
    /// All control bits; those that say which list is there are set when it is written.
    control: u16,
    /// The byte in front of them, which belongs to the resource manager.
    resource_manager: u8,
}

/// The bytes are no security descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DescriptorError {
    /// A length or offset leads outside, or a part is none of its kind.
    #[error("the permissions are damaged: {0}")]
    Malformed(&'static str),
    /// A list has no more space.
    #[error("more entries than a list of permissions can hold (64 KiB)")]
    TooLarge,
}

use DescriptorError::{Malformed, TooLarge};

impl SecurityDescriptor {
    /// A descriptor without auditing entries, which inherits.
    pub fn new(owner: Option<Sid>, group: Option<Sid>, dacl: Option<Vec<Ace>>) -> Self {
        Self {
            owner,
            group,
            dacl,
            revision: REVISION,
            sacl: None,
            control: control::SELF_RELATIVE | control::DACL_PRESENT,
            resource_manager: 0,
        }
    }

    /// This descriptor with these entries in its list, or without a list.
    #[must_use]
    pub fn with_dacl(mut self, entries: Option<Vec<Ace>>) -> Self {
        self.dacl = entries;
        self
    }

    /// The entries that permit or deny by their two plain types, in their order; none where there is no list.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        self.dacl.iter().flatten().filter_map(Ace::entry)
    }

    /// Whether nothing is inherited from above.
    pub fn is_protected(&self) -> bool {
        self.control & control::DACL_PROTECTED != 0
    }

    /// Stops inheriting from above, or begins.
    pub fn set_protected(&mut self, on: bool) {
        self.set(control::DACL_PROTECTED, on);
    }

    /// Whether a program that changes the parent must update the inherited entries (SE_DACL_AUTO_INHERITED).
    pub fn is_auto_inherited(&self) -> bool {
        self.control & control::DACL_AUTO_INHERITED != 0
    }

    /// Sets whether a program that changes the parent must update the inherited entries.
    pub fn set_auto_inherited(&mut self, on: bool) {
        self.set(control::DACL_AUTO_INHERITED, on);
    }

    fn set(&mut self, bit: u16, on: bool) {
        self.control = (self.control & !bit) | if on { bit } else { 0 };
    }

    /// Whether there is an auditing list.
    pub fn has_auditing(&self) -> bool {
        self.sacl.is_some()
    }

    /// This descriptor with the auditing list of another.
    #[must_use]
    pub fn with_auditing_of(mut self, other: &Self) -> Self {
        self.sacl.clone_from(&other.sacl);
        self.control = (self.control & !control::OF_SACL) | (other.control & control::OF_SACL);
        self
    }

    /// Reads a descriptor.
    ///
    /// # Errors
    /// [`DescriptorError::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, DescriptorError> {
        Self::parse_at(bytes, 0)
    }

    /// Reads the descriptor that begins at `start` and whose offsets count from the first of `bytes`, as in the attribute
    /// in which Samba keeps it.
    ///
    /// # Errors
    /// [`DescriptorError::Malformed`].
    pub fn parse_at(bytes: &[u8], start: usize) -> Result<Self, DescriptorError> {
        let behind = start.saturating_add(HEADER);
        let head = bytes.get(start..behind);
        let head = head.ok_or(Malformed("they are cut off"))?;
        if head.first() != Some(&1) {
            return Err(Malformed("unknown revision"));
        }
        let control = u16_at(head, 2).unwrap_or_default();
        if control & control::SELF_RELATIVE == 0 {
            return Err(Malformed("they are not in the self-relative form"));
        }
        let part = |at: usize| -> Result<Option<&[u8]>, DescriptorError> {
            let offset = u32_at(head, at).unwrap_or_default();
            let outside = Malformed("an offset leads outside");
            match usize::try_from(offset).map_err(|_| outside)? {
                0 => Ok(None),
                from if from < behind => Err(outside),
                from => bytes.get(from..).map(Some).ok_or(outside),
            }
        };
        let sid = |at| part(at)?.map(sid_at_start).transpose();
        let list = |at, present| match part(at)? {
            Some(bytes) if control & present != 0 => acl_at_start(bytes).map(Some),
            _ => Ok(None),
        };
        let acl = list(16, control::DACL_PRESENT)?;
        let dacl = acl.map(parse_entries).transpose()?;
        let own = acl.and_then(|acl| acl.first()).copied();
        let needed = needed_revision(dacl.as_deref().unwrap_or_default());
        Ok(Self {
            owner: sid(4)?,
            group: sid(8)?,
            dacl,
            revision: own.unwrap_or(REVISION).max(needed),
            sacl: list(12, control::SACL_PRESENT)?.map(<[u8]>::to_vec),
            control,
            resource_manager: head.get(1).copied().unwrap_or_default(),
        })
    }

    /// The binary form.
    ///
    /// # Errors
    /// [`DescriptorError::TooLarge`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, DescriptorError> {
        self.to_bytes_at(0)
    }

    /// The binary form with offsets that count from `start` bytes before it.
    ///
    /// # Errors
    /// [`DescriptorError::TooLarge`].
    pub fn to_bytes_at(&self, start: usize) -> Result<Vec<u8>, DescriptorError> {
        let mut control = self.control;
        for (is_there, bit) in [
            (self.dacl.is_some(), control::DACL_PRESENT),
            (self.sacl.is_some(), control::SACL_PRESENT),
        ] {
            // A list that is marked present and is null has a meaning: it permits everything.
            control |= if is_there { bit } else { 0 };
        }
        let dacl = self.dacl.as_deref().map(|entries| self.list(entries));
        let parts = [
            self.owner.as_ref().map(Sid::to_bytes),
            self.group.as_ref().map(Sid::to_bytes),
            self.sacl.clone(),
            dacl.transpose()?,
        ];
        let mut out = vec![1, self.resource_manager];
        out.extend(control.to_le_bytes());
        let mut body = Vec::new();
        for part in parts {
            let offset = match &part {
                Some(_) => start.saturating_add(HEADER).saturating_add(body.len()),
                None => 0,
            };
            out.extend(u32::try_from(offset).map_err(|_| TooLarge)?.to_le_bytes());
            body.extend(part.into_iter().flatten());
        }
        out.extend(body);
        Ok(out)
    }

    fn list(&self, entries: &[Ace]) -> Result<Vec<u8>, DescriptorError> {
        let mut body = Vec::new();
        for entry in entries {
            entry.write(&mut body)?;
        }
        let length = u16::try_from(ACL_HEADER + body.len()).map_err(|_| TooLarge)?;
        let count = u16::try_from(entries.len()).map_err(|_| TooLarge)?;
        let mut out = vec![self.revision.max(needed_revision(entries)), 0];
        out.extend(length.to_le_bytes());
        out.extend(count.to_le_bytes());
        out.extend([0, 0]);
        out.extend(body);
        Ok(out)
    }
}

/// The least revision of a list with these entries.
fn needed_revision(entries: &[Ace]) -> u8 {
    match entries.iter().any(Ace::is_for_objects) {
        true => REVISION_DS,
        false => REVISION,
    }
}

/// The bytes of the list that begins here.
fn acl_at_start(bytes: &[u8]) -> Result<&[u8], DescriptorError> {
    let length = u16_at(bytes, 2).ok_or(Malformed("a list is cut off"))?;
    let acl = bytes.get(..usize::from(length));
    let acl = acl
        .filter(|acl| acl.len() >= ACL_HEADER)
        .ok_or(Malformed("a list is cut off"))?;
    match acl.first() {
        _ if acl.len() % 4 != 0 => Err(Malformed("the length of a list is no multiple of four")),
        Some(&(REVISION..=REVISION_DS)) => Ok(acl),
        _ => Err(Malformed("unknown revision of a list")),
    }
}

fn parse_entries(acl: &[u8]) -> Result<Vec<Ace>, DescriptorError> {
    let count = u16_at(acl, 4).unwrap_or_default();
    let mut rest = acl.get(ACL_HEADER..).unwrap_or_default();
    let mut entries = Vec::new();
    for _ in 0..count {
        let (entry, behind) = Ace::parse(rest)?;
        entries.push(entry);
        rest = behind;
    }
    Ok(entries)
}

/// The SID that begins here; bytes may follow it.
fn sid_at_start(bytes: &[u8]) -> Result<Sid, DescriptorError> {
    let bad = Malformed("a SID is none");
    let count = bytes.get(1).copied().ok_or(bad)?;
    let sid = bytes.get(..8 + 4 * usize::from(count)).ok_or(bad)?;
    Sid::from_bytes(sid).map_err(|_| bad)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let two = bytes.get(at..at.checked_add(2)?)?;
    two.try_into().ok().map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    four.try_into().ok().map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests;
