//! A bounded reader and writer of NDR (C706 chapter 14), the wire form of DCE RPC, as far as the PAC and the LSA use it.
//!
//! Little-endian values as RPC stubs hold them, and behind the headers of type serialization version 1 ([MS-RPCE] 2.2.6)
//! as the PAC does, with the two structures that Windows puts everywhere: the counted UTF-16 string ([MS-DTYP] 2.3.10)
//! and the SID ([MS-DTYP] 2.4.2.3). Nothing here knows what the values mean. The reader takes bytes from anyone: a count is believed only when the bytes that it promises
//! are there, so memory is never taken for more than the input itself holds.

use crossrealm_types::{MAX_SUB_AUTHORITIES, Sid};

/// Version 1, little-endian, header length 8, filler: [MS-RPCE] 2.2.6.1.
const COMMON_HEADER: [u8; 8] = [1, 0x10, 8, 0, 0xcc, 0xcc, 0xcc, 0xcc];
/// The first referent id that Windows and Samba give to a pointer; each further one is four more.
const FIRST_REFERENT: u32 = 0x0002_0000;
/// Values are padded to at most this many bytes, so fewer may follow the last one.
const MAX_ALIGNMENT: usize = 8;

/// Why bytes are not the NDR that they should be, or a value cannot be written as NDR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NdrError {
    /// The bytes end before the value does.
    #[error("the data ends early")]
    Truncated,
    /// Not type serialization version 1 in little-endian byte order.
    #[error("not an NDR version 1 little-endian header")]
    Header,
    /// More elements than the caller's limit.
    #[error("{count} elements, more than the limit of {limit}")]
    TooMany {
        /// The count found.
        count: u32,
        /// The limit.
        limit: usize,
    },
    /// Two counts of the same thing differ, or a null pointer has a count.
    #[error("two counts of one array differ")]
    CountMismatch,
    /// A pointer that must not be null is null.
    #[error("a required pointer is null")]
    NullPointer,
    /// A string that is not UTF-16.
    #[error("a string is not valid UTF-16")]
    NotUtf16,
    /// A SID with a wrong revision or number of sub-authorities.
    #[error("malformed SID")]
    Sid,
    /// Bytes other than padding follow the value.
    #[error("unexpected data after the value")]
    Trailing,
    /// A value is too long for the length field that counts it.
    #[error("a value is too long for its length field")]
    TooLong,
}

/// Reads NDR values in order; alignment counts from the first byte of the body.
pub struct Reader<'a> {
    body: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Starts behind the two headers of type serialization version 1. The whole of `bytes` must be the one value.
    pub fn serialized(bytes: &'a [u8]) -> Result<Self, NdrError> {
        let mut headers = Self::plain(bytes);
        // The filler is ignored, as [MS-RPCE] 2.2.6.1 asks.
        if !headers.take(8)?.starts_with(&[1, 0x10, 8, 0]) {
            return Err(NdrError::Header);
        }
        let len = usize::try_from(headers.u32()?).map_err(|_| NdrError::Truncated)?;
        headers.u32()?;
        let body = headers.take(len)?;
        headers.finish()?;
        Ok(Self::plain(body))
    }

    /// Starts at the first byte: little-endian values without headers.
    pub fn plain(body: &'a [u8]) -> Self {
        Self { body, at: 0 }
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], NdrError> {
        let end = self.at.checked_add(len).ok_or(NdrError::Truncated)?;
        let taken = self.body.get(self.at..end).ok_or(NdrError::Truncated)?;
        self.at = end;
        Ok(taken)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], NdrError> {
        let taken = self.take(N)?;
        taken.first_chunk().copied().ok_or(NdrError::Truncated)
    }

    /// Skips the padding in front of a value that is aligned to `to` bytes.
    pub fn align(&mut self, to: usize) -> Result<(), NdrError> {
        self.take(self.at.next_multiple_of(to) - self.at)
            .map(|_| ())
    }

    /// An octet.
    pub fn u8(&mut self) -> Result<u8, NdrError> {
        self.array().map(u8::from_le_bytes)
    }

    /// A 16-bit number, aligned.
    pub fn u16(&mut self) -> Result<u16, NdrError> {
        self.align(2)?;
        self.array().map(u16::from_le_bytes)
    }

    /// A 32-bit number, aligned.
    pub fn u32(&mut self) -> Result<u32, NdrError> {
        self.align(4)?;
        self.array().map(u32::from_le_bytes)
    }

    /// A 64-bit number, aligned to 8.
    pub fn u64(&mut self) -> Result<u64, NdrError> {
        self.align(8)?;
        self.array().map(u64::from_le_bytes)
    }

    /// A FILETIME ([MS-DTYP] 2.3.3): two 32-bit numbers, the lower first, so aligned to 4 and not to 8.
    pub fn u64_in_halves(&mut self) -> Result<u64, NdrError> {
        let low = self.u32()?;
        let high = self.u32()?;
        Ok(u64::from(high) << 32 | u64::from(low))
    }

    /// Whether the pointer here is not null. What it points to follows later, in the order of the pointers.
    pub fn pointer(&mut self) -> Result<bool, NdrError> {
        self.u32().map(|referent| referent != 0)
    }

    /// A pointer that must not be null.
    pub fn required_pointer(&mut self) -> Result<(), NdrError> {
        self.pointer()?.then_some(()).ok_or(NdrError::NullPointer)
    }

    /// The element count of an array, at most `limit`, of elements of at least `element_len` bytes each.
    pub fn count(&mut self, element_len: usize, limit: usize) -> Result<usize, NdrError> {
        let found = self.u32()?;
        let count = usize::try_from(found).unwrap_or(usize::MAX);
        if count > limit {
            return Err(NdrError::TooMany {
                count: found,
                limit,
            });
        }
        let promised = count.checked_mul(element_len);
        if promised.is_none_or(|len| len > self.body.len().saturating_sub(self.at)) {
            return Err(NdrError::Truncated);
        }
        Ok(count)
    }

    /// A conformant array: its count, which must be `expected`, then each element as `read` reads it.
    ///
    /// `element_len` is the least length of an element in bytes.
    pub fn conformant<T>(
        &mut self,
        expected: u32,
        limit: usize,
        element_len: usize,
        mut read: impl FnMut(&mut Self) -> Result<T, NdrError>,
    ) -> Result<Vec<T>, NdrError> {
        let count = self.count(element_len, limit)?;
        if u32::try_from(count) != Ok(expected) {
            return Err(NdrError::CountMismatch);
        }
        (0..count).map(|_| read(self)).collect()
    }

    /// `len` bytes of UTF-16, little-endian.
    pub fn utf16(&mut self, len: usize) -> Result<String, NdrError> {
        if !len.is_multiple_of(2) {
            return Err(NdrError::NotUtf16);
        }
        let units = self
            .take(len)?
            .as_chunks()
            .0
            .iter()
            .map(|unit| u16::from_le_bytes(*unit));
        let mut text = String::with_capacity(len / 2);
        for character in char::decode_utf16(units) {
            text.push(character.map_err(|_| NdrError::NotUtf16)?);
        }
        Ok(text)
    }

    /// The part of an RPC_UNICODE_STRING that its structure holds; [`Self::string`] reads the characters.
    pub fn string_header(&mut self) -> Result<StringHeader, NdrError> {
        // Aligned like its widest member, the pointer.
        self.align(4)?;
        Ok(StringHeader {
            len: self.u16()?,
            maximum_len: self.u16()?,
            present: self.pointer()?,
        })
    }

    /// The characters of the string with this header.
    pub fn string(&mut self, header: StringHeader) -> Result<UnicodeString, NdrError> {
        if !header.len.is_multiple_of(2) || header.len > header.maximum_len {
            return Err(NdrError::CountMismatch);
        }
        if !header.present {
            return match header.len {
                0 => Ok(UnicodeString {
                    text: None,
                    maximum_len: header.maximum_len,
                }),
                _ => Err(NdrError::NullPointer),
            };
        }
        let (maximum, offset, actual) = (self.u32()?, self.u32()?, self.u32()?);
        if maximum != u32::from(header.maximum_len / 2)
            || offset != 0
            || actual != u32::from(header.len / 2)
        {
            return Err(NdrError::CountMismatch);
        }
        Ok(UnicodeString {
            text: Some(self.utf16(usize::from(header.len))?),
            maximum_len: header.maximum_len,
        })
    }

    /// An RPC_SID: a conformant structure, so its count of sub-authorities comes twice.
    pub fn sid(&mut self) -> Result<Sid, NdrError> {
        let count = self.count(4, MAX_SUB_AUTHORITIES)?;
        let bytes = self.take(count.saturating_mul(4).saturating_add(8))?;
        Sid::from_bytes(bytes).map_err(|_| NdrError::Sid)
    }

    /// How many bytes were read.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Ends reading: nothing but padding may be left.
    pub fn finish(self) -> Result<(), NdrError> {
        let rest = self.body.get(self.at..).unwrap_or_default();
        if rest.len() >= MAX_ALIGNMENT || rest.iter().any(|byte| *byte != 0) {
            return Err(NdrError::Trailing);
        }
        Ok(())
    }
}

/// The part of an RPC_UNICODE_STRING that its structure holds.
#[derive(Clone, Copy, Debug)]
pub struct StringHeader {
    len: u16,
    maximum_len: u16,
    present: bool,
}

/// An RPC_UNICODE_STRING, [MS-DTYP] 2.3.10: text that may be null, and the size of the sender's memory for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnicodeString {
    text: Option<String>,
    maximum_len: u16,
}

impl UnicodeString {
    /// The text; empty where it is null.
    pub fn as_str(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }

    /// Text whose maximum count includes a terminator that is not sent: some servers require that.
    pub fn with_terminator(text: &str) -> Self {
        let mut string = Self::from(text);
        string.maximum_len = string.maximum_len.saturating_add(2);
        string
    }

    /// The text's length in bytes of UTF-16, and the maximum length to write beside it.
    fn lengths(&self) -> Result<(u16, u16), NdrError> {
        let units = self.as_str().encode_utf16().count();
        let len = u16::try_from(units.saturating_mul(2)).map_err(|_| NdrError::TooLong)?;
        Ok((len, self.maximum_len.max(len)))
    }
}

impl From<&str> for UnicodeString {
    fn from(text: &str) -> Self {
        let units = text.encode_utf16().count();
        Self {
            text: Some(text.to_owned()),
            // A text that is too long is refused when it is written.
            maximum_len: u16::try_from(units.saturating_mul(2)).unwrap_or(0),
        }
    }
}

/// Writes NDR values in order, with the alignment and the referent ids that Windows uses.
#[derive(Default)]
pub struct Writer {
    body: Vec<u8>,
    pointers: u32,
}

impl Writer {
    /// An empty body.
    pub fn new() -> Self {
        Self::default()
    }

    /// Pads for a value that is aligned to `to` bytes.
    pub fn align(&mut self, to: usize) {
        self.body.resize(self.body.len().next_multiple_of(to), 0);
    }

    /// Bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.body.extend_from_slice(bytes);
    }

    /// A 16-bit number, aligned.
    pub fn u16(&mut self, value: u16) {
        self.align(2);
        self.bytes(&value.to_le_bytes());
    }

    /// A 32-bit number, aligned.
    pub fn u32(&mut self, value: u32) {
        self.align(4);
        self.bytes(&value.to_le_bytes());
    }

    /// A 64-bit number, aligned to 8.
    pub fn u64(&mut self, value: u64) {
        self.align(8);
        self.bytes(&value.to_le_bytes());
    }

    /// A FILETIME: two 32-bit numbers, the lower first.
    pub fn u64_in_halves(&mut self, value: u64) {
        self.align(4);
        self.bytes(&value.to_le_bytes());
    }

    /// A count of elements.
    pub fn count(&mut self, count: usize) -> Result<(), NdrError> {
        self.u32(u32::try_from(count).map_err(|_| NdrError::TooLong)?);
        Ok(())
    }

    /// A pointer: a new referent id, or null.
    pub fn pointer(&mut self, present: bool) {
        let referent = match present {
            true => self.next_referents(1),
            false => 0,
        };
        self.u32(referent);
    }

    /// Keeps `count` referent ids for the pointers inside a list whose own pointer was written just now, and gives the
    /// first. Windows numbers pointers depth first, but writes them breadth first; [`Self::kept_pointer`] writes these.
    pub fn next_referents(&mut self, count: usize) -> u32 {
        let first = FIRST_REFERENT.saturating_add(self.pointers.saturating_mul(4));
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.pointers = self.pointers.saturating_add(count);
        first
    }

    /// Writes the pointer with the kept id `referent` and moves on to the next one.
    pub fn kept_pointer(&mut self, referent: &mut u32) {
        self.u32(*referent);
        *referent = referent.saturating_add(4);
    }

    /// Text as UTF-16, little-endian; gives its length in bytes.
    pub fn utf16(&mut self, text: &str) -> usize {
        let before = self.body.len();
        for unit in text.encode_utf16() {
            self.bytes(&unit.to_le_bytes());
        }
        self.body.len() - before
    }

    /// The part of a string that its structure holds; [`Self::string`] writes the characters.
    pub fn string_header(&mut self, string: &UnicodeString) -> Result<(), NdrError> {
        let (len, maximum_len) = string.lengths()?;
        self.align(4);
        self.u16(len);
        self.u16(maximum_len);
        self.pointer(string.text.is_some());
        Ok(())
    }

    /// The characters of a string; nothing for a null one.
    pub fn string(&mut self, string: &UnicodeString) -> Result<(), NdrError> {
        if let Some(text) = &string.text {
            let (len, maximum_len) = string.lengths()?;
            self.u32(u32::from(maximum_len / 2));
            self.u32(0);
            self.u32(u32::from(len / 2));
            self.utf16(text);
        }
        Ok(())
    }

    /// An RPC_SID.
    pub fn sid(&mut self, sid: &Sid) -> Result<(), NdrError> {
        self.count(sid.sub_authorities().len())?;
        self.bytes(&sid.to_bytes());
        Ok(())
    }

    /// How many bytes the body has so far.
    pub fn position(&self) -> usize {
        self.body.len()
    }

    /// Pads the body to a multiple of 8 bytes.
    pub fn pad(&mut self) {
        self.align(MAX_ALIGNMENT);
    }

    /// The body without headers and without padding.
    pub fn into_plain(self) -> Vec<u8> {
        self.body
    }

    /// The body behind the headers of type serialization version 1, padded to a multiple of 8 bytes.
    pub fn into_serialized(mut self) -> Result<Vec<u8>, NdrError> {
        self.pad();
        let len = u32::try_from(self.body.len()).map_err(|_| NdrError::TooLong)?;
        let mut out = COMMON_HEADER.to_vec();
        out.extend(len.to_le_bytes());
        out.extend([0; 4]);
        out.extend(self.body);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Writer) -> Result<(), NdrError>) -> Vec<u8> {
        let mut writer = Writer::new();
        write(&mut writer).unwrap();
        writer.into_plain()
    }

    fn string_bytes(text: &UnicodeString) -> Vec<u8> {
        written(|w| {
            w.string_header(text)?;
            w.string(text)
        })
    }

    fn read_string(bytes: &[u8]) -> Result<UnicodeString, NdrError> {
        let mut reader = Reader::plain(bytes);
        let header = reader.string_header()?;
        let string = reader.string(header)?;
        reader.finish()?;
        Ok(string)
    }

    #[test]
    fn strings_round_trip_in_every_script() {
        for text in ["", "alice", "Strauß", "Иван", "\u{1F511}"] {
            let string = UnicodeString::from(text);
            assert_eq!(read_string(&string_bytes(&string)).unwrap(), string);
        }
        let null = UnicodeString::default();
        assert_eq!(read_string(&string_bytes(&null)).unwrap(), null);
        assert_eq!(null.as_str(), "");
    }

    #[test]
    fn a_string_whose_counts_disagree_is_refused() {
        let good = string_bytes(&UnicodeString::from("abcd"));
        // Length, maximum length, conformant count, offset and actual count, one at a time.
        for (at, wrong) in [(0, 6), (0, 7), (0, 10), (2, 10), (8, 5), (12, 1), (16, 3)] {
            let mut bytes = good.clone();
            bytes[at] = wrong;
            assert_eq!(read_string(&bytes), Err(NdrError::CountMismatch), "{at}");
        }
        let mut null = good.clone();
        null[4..8].fill(0);
        assert_eq!(read_string(&null), Err(NdrError::NullPointer));
        let mut surrogate = good;
        surrogate[20..22].copy_from_slice(&[0x00, 0xd8]);
        assert_eq!(read_string(&surrogate), Err(NdrError::NotUtf16));
    }

    #[test]
    fn a_text_beyond_the_length_field_cannot_be_written() {
        let mut writer = Writer::new();
        let longest = UnicodeString::from("x".repeat(32_767).as_str());
        assert_eq!(writer.string_header(&longest), Ok(()));
        let too_long = UnicodeString::from("x".repeat(32_768).as_str());
        assert_eq!(writer.string_header(&too_long), Err(NdrError::TooLong));
    }

    #[test]
    fn counts_beyond_the_buffer_are_refused() {
        let read = |bytes: &[u8], expected, limit| {
            Reader::plain(bytes).conformant(expected, limit, 4, Reader::u32)
        };
        assert_eq!(read(&[1, 0, 0, 0, 9, 0, 0, 0], 1, 8), Ok(vec![9]));
        assert_eq!(
            read(&[2, 0, 0, 0, 9, 0, 0, 0], 2, 8),
            Err(NdrError::Truncated)
        );
        assert_eq!(
            read(&[1, 0, 0, 0, 9, 0, 0, 0], 2, 8),
            Err(NdrError::CountMismatch)
        );
        assert_eq!(
            read(&[0xff; 8], u32::MAX, 8),
            Err(NdrError::TooMany {
                count: u32::MAX,
                limit: 8
            })
        );
    }

    #[test]
    fn sids_round_trip_and_wrong_counts_are_refused() {
        let sid: Sid = "S-1-5-21-1-2-3-1104".parse().unwrap();
        let bytes = written(|w| w.sid(&sid));
        assert_eq!(Reader::plain(&bytes).sid(), Ok(sid));
        for (at, wrong) in [(0, 4), (4, 2), (5, 4)] {
            let mut bad = bytes.clone();
            bad[at] = wrong;
            assert_eq!(Reader::plain(&bad).sid(), Err(NdrError::Sid), "{at}");
        }
        let mut many = bytes;
        many[0] = 16;
        assert!(matches!(
            Reader::plain(&many).sid(),
            Err(NdrError::TooMany { count: 16, .. })
        ));
    }

    #[test]
    fn headers_are_checked() {
        let mut writer = Writer::new();
        writer.u32(7);
        let good = writer.into_serialized().unwrap();
        assert_eq!(good.len(), 24);
        assert_eq!(Reader::serialized(&good).unwrap().u32(), Ok(7));
        for (at, wrong, expected) in [
            (0, 2, NdrError::Header),
            (1, 0, NdrError::Header),
            (2, 9, NdrError::Header),
            (8, 9, NdrError::Truncated),
            (8, 0, NdrError::Trailing),
        ] {
            let mut bad = good.clone();
            bad[at] = wrong;
            assert_eq!(Reader::serialized(&bad).err(), Some(expected), "{at}");
        }
        assert_eq!(Reader::serialized(&[]).err(), Some(NdrError::Truncated));
    }
}
