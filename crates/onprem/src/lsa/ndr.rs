//! NDR32 (C706 chapter 14, [MS-RPCE] 2.2.5) as far as the LSA calls need it.
//!
//! The writer is given values in wire order, deferred referents after their pointers, as the caller knows the
//! structure. The reader takes nothing on trust: every length is checked against the bytes that are there, and every
//! count against [`MAX_COUNT`], before memory is taken.

use crossrealm_types::Sid;

/// The most elements of one array, and the most UTF-16 units of one string, that are accepted.
pub(super) const MAX_COUNT: usize = 4096;

/// The bytes are not what the call's definition says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Builds a request stub.
#[derive(Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
    referents: u32,
}

impl Writer {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) fn align(&mut self, to: usize) -> &mut Self {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
        self
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    pub(super) fn u16(&mut self, value: u16) -> &mut Self {
        self.align(2).raw(&value.to_le_bytes())
    }

    pub(super) fn u32(&mut self, value: u32) -> &mut Self {
        self.align(4).raw(&value.to_le_bytes())
    }

    pub(super) fn u64(&mut self, value: u64) -> &mut Self {
        self.align(8).raw(&value.to_le_bytes())
    }

    /// A unique pointer that is not null; its referent is written later.
    pub(super) fn pointer(&mut self) -> &mut Self {
        let referent = 0x0002_0000 + self.referents;
        self.referents += 4;
        self.u32(referent)
    }

    pub(super) fn null(&mut self) -> &mut Self {
        self.u32(0)
    }

    /// The count in front of a conformant array.
    pub(super) fn count(&mut self, elements: usize) -> &mut Self {
        self.u32(u32::try_from(elements).unwrap_or(u32::MAX))
    }

    /// An RPC_UNICODE_STRING ([MS-DTYP] 2.3.10) without its characters: Length, MaximumLength, Buffer. The room in the
    /// buffer is larger than the text by `spare` UTF-16 units (1 where a terminator is reserved).
    pub(super) fn string_header(&mut self, text: &str, spare: usize) -> &mut Self {
        let units = text.encode_utf16().count();
        let bytes = |units: usize| u16::try_from(units * 2).unwrap_or(u16::MAX);
        self.align(4)
            .u16(bytes(units))
            .u16(bytes(units + spare))
            .pointer()
    }

    /// The characters of an RPC_UNICODE_STRING: a conformant varying array.
    pub(super) fn string_body(&mut self, text: &str, spare: usize) -> &mut Self {
        let units: Vec<u16> = text.encode_utf16().collect();
        self.count(units.len() + spare).u32(0).count(units.len());
        for unit in units {
            self.u16(unit);
        }
        self
    }

    /// An RPC_UNICODE_STRING behind a reference pointer: header and characters together.
    pub(super) fn string(&mut self, text: &str, spare: usize) -> &mut Self {
        self.string_header(text, spare).string_body(text, spare)
    }

    /// An RPC_SID ([MS-DTYP] 2.4.2.3): the count of sub-authorities, then the SID.
    pub(super) fn sid(&mut self, sid: &Sid) -> &mut Self {
        self.count(sid.sub_authorities().len()).raw(&sid.to_bytes())
    }
}

/// Reads a reply stub.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// What a string's header said: whether characters follow, and how many UTF-16 units of them count.
#[derive(Clone, Copy)]
pub(super) struct StringHeader {
    units: usize,
    present: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Checks that nothing is left.
    pub(super) fn end(&self) -> Result<(), Malformed> {
        (self.at == self.bytes.len()).then_some(()).ok_or(Malformed)
    }

    pub(super) fn align(&mut self, to: usize) -> &mut Self {
        self.at = self.at.next_multiple_of(to);
        self
    }

    pub(super) fn raw(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(length).ok_or(Malformed)?;
        let bytes = self.bytes.get(self.at..end).ok_or(Malformed)?;
        self.at = end;
        Ok(bytes)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.raw(N)?.try_into().map_err(|_| Malformed)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_le_bytes(self.align(2).array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.align(4).array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.align(8).array()?))
    }

    /// Whether a unique pointer is not null.
    pub(super) fn pointer(&mut self) -> Result<bool, Malformed> {
        Ok(self.u32()? != 0)
    }

    /// A count of elements, bounded.
    pub(super) fn count(&mut self) -> Result<usize, Malformed> {
        usize::try_from(self.u32()?)
            .ok()
            .filter(|count| *count <= MAX_COUNT)
            .ok_or(Malformed)
    }

    /// The count in front of a conformant array, which must be the one the structure named.
    pub(super) fn conformance(&mut self, expected: usize) -> Result<(), Malformed> {
        (self.count()? == expected).then_some(()).ok_or(Malformed)
    }

    /// The header of an RPC_UNICODE_STRING.
    pub(super) fn string_header(&mut self) -> Result<StringHeader, Malformed> {
        self.align(4);
        let length = usize::from(self.u16()?);
        self.u16()?;
        let present = self.pointer()?;
        let units = length / 2;
        if length % 2 != 0 || units > MAX_COUNT || (!present && units != 0) {
            return Err(Malformed);
        }
        Ok(StringHeader { units, present })
    }

    /// The characters that belong to `header`; a null string is the empty one.
    pub(super) fn string_body(&mut self, header: StringHeader) -> Result<String, Malformed> {
        if !header.present {
            return Ok(String::new());
        }
        let (max, offset, actual) = (self.u32()?, self.u32()?, self.count()?);
        if offset != 0 || actual < header.units || usize::try_from(max).is_ok_and(|m| m < actual) {
            return Err(Malformed);
        }
        let bytes = self.raw(actual * 2)?;
        let units: Vec<u16> = bytes
            .chunks_exact(2)
            .take(header.units)
            .map(|pair| pair.iter().rev().fold(0, |sum, b| sum << 8 | u16::from(*b)))
            .collect();
        String::from_utf16(&units).map_err(|_| Malformed)
    }

    /// An RPC_SID.
    pub(super) fn sid(&mut self) -> Result<Sid, Malformed> {
        let subs = self.count()?;
        if subs > crossrealm_types::MAX_SUB_AUTHORITIES {
            return Err(Malformed);
        }
        Sid::from_bytes(self.raw(8 + 4 * subs)?).map_err(|_| Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let sid: Sid = "S-1-5-21-1-2-3".parse().unwrap();
        let mut w = Writer::new();
        w.u16(7).string("Müller", 0).u64(9).sid(&sid).null();
        let bytes = w.finish();
        let mut r = Reader::new(&bytes);
        assert_eq!(r.u16().unwrap(), 7);
        let header = r.string_header().unwrap();
        assert_eq!(r.string_body(header).unwrap(), "Müller");
        assert_eq!(r.u64().unwrap(), 9);
        assert_eq!(r.sid().unwrap(), sid);
        assert!(!r.pointer().unwrap());
        r.end().unwrap();
    }

    #[test]
    fn no_truncation_passes_and_none_panics() {
        let mut w = Writer::new();
        w.string("name", 1).sid(&"S-1-5-32-544".parse().unwrap());
        let whole = w.finish();
        for cut in 0..whole.len() {
            let mut r = Reader::new(&whole[..cut]);
            let read = r
                .string_header()
                .and_then(|h| r.string_body(h))
                .and_then(|_| r.sid());
            assert!(read.is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn lying_lengths_are_refused() {
        let odd = [3, 0, 4, 0, 1, 0, 0, 0];
        assert!(Reader::new(&odd).string_header().is_err());
        let null_with_length = [4, 0, 4, 0, 0, 0, 0, 0];
        assert!(Reader::new(&null_with_length).string_header().is_err());
        let huge = [0xff; 4];
        assert!(Reader::new(&huge).count().is_err());
        let sixteen_subs = [16, 0, 0, 0, 1, 16];
        assert!(Reader::new(&sixteen_subs).sid().is_err());
    }
}
