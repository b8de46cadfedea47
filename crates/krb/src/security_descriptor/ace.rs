//! One entry of a list, [MS-DTYP] 2.4.4.

use super::DescriptorError::{self, Malformed, TooLarge};
use super::{sid_at_start, u16_at, u32_at};
use crossrealm_types::Sid;

/// Types of entries, [MS-DTYP] 2.4.4.1.
pub mod kind {
    /// Permits.
    pub const ALLOWED: u8 = 0x00;
    /// Denies.
    pub const DENIED: u8 = 0x01;
    /// Permits with regard to a property, child or extended right of an object in a directory.
    pub const ALLOWED_OBJECT: u8 = 0x05;
    /// Denies with regard to one.
    pub const DENIED_OBJECT: u8 = 0x06;
    /// The last of the types that begin with [`ALLOWED_OBJECT`] and are built alike: audit, alarm.
    pub(super) const LAST_OBJECT: u8 = 0x08;
}

/// Flags of an entry, [MS-DTYP] 2.4.4.1.
pub mod flag {
    /// Files below inherit it.
    pub const OBJECT_INHERIT: u8 = 0x01;
    /// Folders below inherit it.
    pub const CONTAINER_INHERIT: u8 = 0x02;
    /// What inherits it does not pass it on.
    pub const NO_PROPAGATE: u8 = 0x04;
    /// It does not apply to the directory itself.
    pub const INHERIT_ONLY: u8 = 0x08;
    /// It was inherited.
    pub const INHERITED: u8 = 0x10;
}

/// Bytes of type, flags and length.
const HEAD: usize = 4;
/// Bytes of the mask, with which the body of every known type begins.
const MASK: usize = 4;
/// An object entry's flags say whether the GUID of what it is about is there, and that of what inherits it.
const HAS_TYPE: u32 = 1;
const HAS_INHERITED_TYPE: u32 = 2;

/// An entry of a list. Of the plain types and those for objects the SID is known to be one; of all others nothing is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ace {
    /// Its type, see [`kind`].
    pub kind: u8,
    /// How it is inherited, see [`flag`].
    pub flags: u8,
    /// What is behind the head, as it came: a multiple of four bytes.
    pub(super) body: Vec<u8>,
}

/// The content of an entry of the two plain types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whether it denies.
    pub deny: bool,
    /// How it is inherited, see [`flag`].
    pub flags: u8,
    /// The rights.
    pub mask: u32,
    /// The SID it is about.
    pub sid: Sid,
}

impl Entry {
    /// Whether it has all of these flags.
    pub fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }
}

impl From<Entry> for Ace {
    fn from(entry: Entry) -> Self {
        let kind = match entry.deny {
            true => kind::DENIED,
            false => kind::ALLOWED,
        };
        Self::made(kind, entry.flags, entry.mask, &[], &entry.sid)
    }
}

impl Ace {
    /// An entry that allows `mask` to `trustee`.
    pub fn allow(flags: u8, mask: u32, trustee: &Sid) -> Self {
        Self::made(kind::ALLOWED, flags, mask, &[], trustee)
    }

    /// An entry that allows `trustee` the extended right of this GUID (its bytes as they travel).
    pub fn allow_right(flags: u8, mask: u32, right: &[u8; 16], trustee: &Sid) -> Self {
        let mut object = HAS_TYPE.to_le_bytes().to_vec();
        object.extend(right);
        Self::made(kind::ALLOWED_OBJECT, flags, mask, &object, trustee)
    }

    fn made(kind: u8, flags: u8, mask: u32, object: &[u8], trustee: &Sid) -> Self {
        let mut body = mask.to_le_bytes().to_vec();
        body.extend(object);
        body.extend(trustee.to_bytes());
        Self { kind, flags, body }
    }

    /// What it permits or denies, where its type is one of the two plain ones.
    pub fn entry(&self) -> Option<Entry> {
        let deny = match self.kind {
            kind::ALLOWED => false,
            kind::DENIED => true,
            _ => return None,
        };
        Some(Entry {
            deny,
            flags: self.flags,
            mask: self.mask(),
            sid: self.trustee()?,
        })
    }

    /// The rights; none where the entry is too short for them.
    pub fn mask(&self) -> u32 {
        u32_at(&self.body, 0).unwrap_or_default()
    }

    /// The same entry with other rights.
    #[must_use]
    pub fn with_mask(mut self, mask: u32) -> Self {
        if let Some(own) = self.body.get_mut(..MASK) {
            own.copy_from_slice(&mask.to_le_bytes());
        }
        self
    }

    /// The SID it is about, where its type is a plain one or one for objects.
    pub fn trustee(&self) -> Option<Sid> {
        sid_at_start(self.body.get(self.sid_at()?..)?).ok()
    }

    /// The GUID of the property, child class or extended right that an object entry is about, as it travels.
    pub fn object_type(&self) -> Option<[u8; 16]> {
        let has_type = self.is_for_objects() && self.object_flags()? & HAS_TYPE != 0;
        has_type.then(|| self.body.get(8..24)?.try_into().ok())?
    }

    /// Whether it is allowed only in a list of the revision for directories.
    pub(super) fn is_for_objects(&self) -> bool {
        (kind::ALLOWED_OBJECT..=kind::LAST_OBJECT).contains(&self.kind)
    }

    fn object_flags(&self) -> Option<u32> {
        u32_at(&self.body, MASK)
    }

    /// Where the SID begins in the body.
    fn sid_at(&self) -> Option<usize> {
        match self.kind {
            kind::ALLOWED | kind::DENIED => Some(MASK),
            _ if self.is_for_objects() => {
                let has = |bit| self.object_flags().map(|flags| flags & bit != 0);
                let guids = usize::from(has(HAS_TYPE)?) + usize::from(has(HAS_INHERITED_TYPE)?);
                Some(MASK + 4 + 16 * guids)
            }
            _ => None,
        }
    }

    /// The entry that begins here, and what is behind it.
    pub(super) fn parse(bytes: &[u8]) -> Result<(Self, &[u8]), DescriptorError> {
        let cut = Malformed("an entry is cut off");
        let length = usize::from(u16_at(bytes, 2).ok_or(cut)?);
        if length % 4 != 0 {
            return Err(Malformed("the length of an entry is no multiple of four"));
        }
        let (own, behind) = bytes.split_at_checked(length).ok_or(cut)?;
        let (head, body) = own
            .split_at_checked(HEAD)
            .ok_or(Malformed("an entry is shorter than its head"))?;
        let [kind, flags, ..] = *head else {
            return Err(cut);
        };
        let body = body.to_vec();
        let entry = Self { kind, flags, body };
        if entry.names_somebody() && entry.trustee().is_none() {
            return Err(Malformed("a SID is none"));
        }
        Ok((entry, behind))
    }

    /// Whether it is of a type whose SID is looked at.
    fn names_somebody(&self) -> bool {
        matches!(self.kind, kind::ALLOWED | kind::DENIED) || self.is_for_objects()
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), DescriptorError> {
        let length = u16::try_from(HEAD + self.body.len()).map_err(|_| TooLarge)?;
        out.extend([self.kind, self.flags]);
        out.extend(length.to_le_bytes());
        out.extend(&self.body);
        Ok(())
    }
}
