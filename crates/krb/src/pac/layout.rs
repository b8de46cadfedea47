//! The container: which buffer lies where, [MS-PAC] 2.3 and 2.4.

use super::{BufferKind, MAX_BUFFERS, MAX_PAC_LEN, PacError};
use std::ops::Range;

/// Count and version.
const HEADER_LEN: usize = 8;
/// Kind, length and offset of one buffer.
const ENTRY_LEN: usize = 16;
/// Where buffers begin.
const ALIGNMENT: usize = 8;

/// A buffer's kind and its bytes' place in the PAC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub kind: BufferKind,
    pub range: Range<usize>,
}

/// Reads the table of buffers. What it gives lies inside `raw`, aligned, without overlaps, each kind once.
///
/// A kind that comes twice is refused even where it is unknown: two readers could believe different ones.
pub(super) fn read(raw: &[u8]) -> Result<Vec<Entry>, PacError> {
    if raw.len() > MAX_PAC_LEN {
        return Err(PacError::TooLarge { len: raw.len() });
    }
    let (count, rest) = number(raw)?;
    let (version, rest) = number(rest)?;
    if version != 0 {
        return Err(PacError::Version(version));
    }
    let count = usize::try_from(count)
        .ok()
        .filter(|count| *count <= MAX_BUFFERS)
        .ok_or(PacError::TooManyBuffers(count))?;
    let data_start = HEADER_LEN + count * ENTRY_LEN;
    let table = rest.get(..count * ENTRY_LEN).ok_or(PacError::Truncated)?;

    let mut entries: Vec<Entry> = Vec::with_capacity(count);
    for row in table.as_chunks::<ENTRY_LEN>().0 {
        let entry = read_entry(row, data_start, raw.len())?;
        if entries.iter().any(|other| other.kind == entry.kind) {
            return Err(PacError::Duplicate(entry.kind));
        }
        entries.push(entry);
    }
    refuse_overlaps(&entries)?;
    Ok(entries)
}

fn read_entry(row: &[u8; ENTRY_LEN], data_start: usize, end: usize) -> Result<Entry, PacError> {
    let (kind, rest) = number(row)?;
    let (len, rest) = number(rest)?;
    let (offset_low, rest) = number(rest)?;
    let (offset_high, _) = number(rest)?;
    let kind = BufferKind(kind);

    let place = |low: u32, high: u32| {
        let offset = usize::try_from(low).ok().filter(|_| high == 0)?;
        let range = offset..offset.checked_add(usize::try_from(len).ok()?)?;
        (range.start >= data_start && range.end <= end).then_some(range)
    };
    let range = place(offset_low, offset_high).ok_or(PacError::OutOfRange(kind))?;
    if !range.start.is_multiple_of(ALIGNMENT) {
        return Err(PacError::Misaligned(kind));
    }
    Ok(Entry { kind, range })
}

fn refuse_overlaps(entries: &[Entry]) -> Result<(), PacError> {
    let mut by_place: Vec<&Entry> = entries.iter().collect();
    by_place.sort_by_key(|entry| (entry.range.start, entry.range.end));
    for pair in by_place.windows(2) {
        if let [first, second] = pair
            && second.range.start < first.range.end
        {
            return Err(PacError::Overlap(first.kind, second.kind));
        }
    }
    Ok(())
}

/// The little-endian number at the beginning, and what follows it.
fn number(bytes: &[u8]) -> Result<(u32, &[u8]), PacError> {
    let (number, rest) = bytes.split_first_chunk().ok_or(PacError::Truncated)?;
    Ok((u32::from_le_bytes(*number), rest))
}

/// Lays buffers out in the order given, each at the next multiple of 8 bytes, as Windows does.
pub(super) fn write(buffers: &[(BufferKind, Vec<u8>)]) -> Result<(Vec<u8>, Vec<Entry>), PacError> {
    let too_large = |len| PacError::TooLarge { len };
    if buffers.len() > MAX_BUFFERS {
        return Err(PacError::TooManyBuffers(
            u32::try_from(buffers.len()).unwrap_or(u32::MAX),
        ));
    }
    let data_start = HEADER_LEN + buffers.len() * ENTRY_LEN;
    let mut table = Vec::with_capacity(data_start);
    let mut data = Vec::new();
    let mut entries: Vec<Entry> = Vec::with_capacity(buffers.len());
    table.extend(
        u32::try_from(buffers.len())
            .unwrap_or(u32::MAX)
            .to_le_bytes(),
    );
    table.extend(0u32.to_le_bytes());
    for (kind, bytes) in buffers {
        if entries.iter().any(|other| other.kind == *kind) {
            return Err(PacError::Duplicate(*kind));
        }
        let start = data_start + data.len();
        let len = u32::try_from(bytes.len()).map_err(|_| too_large(bytes.len()))?;
        table.extend(kind.0.to_le_bytes());
        table.extend(len.to_le_bytes());
        table.extend(
            u64::try_from(start)
                .map_err(|_| too_large(start))?
                .to_le_bytes(),
        );
        data.extend_from_slice(bytes);
        data.resize(data.len().next_multiple_of(ALIGNMENT), 0);
        entries.push(Entry {
            kind: *kind,
            range: start..start + bytes.len(),
        });
    }
    table.extend(data);
    if table.len() > MAX_PAC_LEN {
        return Err(too_large(table.len()));
    }
    Ok((table, entries))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: BufferKind = BufferKind(101);
    const B: BufferKind = BufferKind(102);

    fn two_buffers() -> Vec<u8> {
        write(&[(A, vec![1; 12]), (B, vec![2; 8])]).unwrap().0
    }

    fn edited(at: usize, byte: u8) -> Result<Vec<Entry>, PacError> {
        let mut raw = two_buffers();
        raw[at] = byte;
        read(&raw)
    }

    #[test]
    fn encoded_layouts_decode() {
        let (raw, entries) = write(&[(A, vec![1; 12]), (B, vec![])]).unwrap();
        assert_eq!(raw.len(), 40 + 16);
        assert_eq!(read(&raw), Ok(entries));
        assert_eq!(read(&[0; 8]), Ok(vec![]));
    }

    #[test]
    fn each_wrong_table_has_its_own_error() {
        assert_eq!(edited(0, 33), Err(PacError::TooManyBuffers(33)));
        assert_eq!(edited(0, 8), Err(PacError::Truncated));
        assert_eq!(edited(4, 1), Err(PacError::Version(1)));
        assert_eq!(edited(8, 102), Err(PacError::Duplicate(B)));
        assert_eq!(edited(16, 41), Err(PacError::Misaligned(A)));
        assert_eq!(edited(16, 32), Err(PacError::OutOfRange(A)));
        assert_eq!(edited(23, 1), Err(PacError::OutOfRange(A)));
        assert_eq!(edited(12, 25), Err(PacError::OutOfRange(A)));
        assert_eq!(edited(12, 17), Err(PacError::Overlap(A, B)));
        assert_eq!(edited(32, 40), Err(PacError::Overlap(B, A)));
        for len in 0..40 {
            assert_eq!(read(&two_buffers()[..len]), Err(PacError::Truncated));
        }
        assert_eq!(
            read(&vec![0; MAX_PAC_LEN + 1]),
            Err(PacError::TooLarge {
                len: MAX_PAC_LEN + 1
            })
        );
    }

    #[test]
    fn layouts_that_do_not_decode_are_not_encoded() {
        assert_eq!(
            write(&[(A, vec![]), (A, vec![])]),
            Err(PacError::Duplicate(A))
        );
        assert!(matches!(
            write(&[(A, vec![0; MAX_PAC_LEN])]),
            Err(PacError::TooLarge { .. })
        ));
        let many: Vec<_> = (0..33).map(|kind| (BufferKind(kind), vec![])).collect();
        assert_eq!(write(&many), Err(PacError::TooManyBuffers(33)));
    }
}
