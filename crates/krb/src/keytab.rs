//! MIT keytabs, format version 2 (bytes 5, 2): long-term keys of principals.
//!
//! Reads what MIT krb5, Samba and Heimdal write, and writes what they read. Keys of enctypes that this project refuses
//! (DES, RC4, Camellia) are skipped and counted, holes left by deleted entries are stepped over. The caller reads and
//! writes the file.

use crate::crypto::{Enctype, Key};
use crate::cursor::Cursor;
use crate::principal::{MAX_COMPONENTS, Principal};
use zeroize::Zeroizing;

/// The largest keytab accepted, in bytes.
pub const MAX_KEYTAB_LEN: usize = 1 << 20;

/// The keys of a keytab.
#[derive(Clone, Debug, Default)]
pub struct Keytab {
    /// The entries, in the order of the file.
    pub entries: Vec<KeytabEntry>,
    /// How many entries were left out because their enctype is not one of 17 to 20.
    pub skipped: usize,
}

/// One key of one principal.
#[derive(Clone, Debug)]
pub struct KeytabEntry {
    /// Whose key it is.
    pub principal: Principal,
    /// The key version number.
    pub kvno: u32,
    /// When the key was set, Unix seconds; zero where unknown.
    pub set_at: u32,
    /// The key.
    pub key: Key,
}

/// Why bytes are not a keytab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeytabError {
    /// It does not begin with the bytes 5, 2.
    #[error("not a keytab of format version 2")]
    NotAKeytab,
    /// Larger than [`MAX_KEYTAB_LEN`].
    #[error("the keytab is larger than {MAX_KEYTAB_LEN} bytes")]
    TooLarge,
    /// An entry is cut off or breaks the format.
    #[error("the keytab is damaged: entry {0} is cut off or malformed")]
    Damaged(usize),
    /// A name or key does not fit the format's 16-bit lengths.
    #[error("entry {0} does not fit into a keytab")]
    DoesNotFit(usize),
}

impl Keytab {
    /// Reads a whole keytab file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeytabError> {
        if bytes.len() > MAX_KEYTAB_LEN {
            return Err(KeytabError::TooLarge);
        }
        let mut cursor = Cursor::new(bytes);
        if cursor.u16() != Some(0x0502) {
            return Err(KeytabError::NotAKeytab);
        }
        let mut keytab = Self::default();
        let mut index = 0;
        while !cursor.is_empty() {
            let damaged = || KeytabError::Damaged(index);
            let size = cursor.i32().ok_or_else(damaged)?;
            if size == 0 {
                // MIT reads a size of zero as the end: some writers pad the file so.
                break;
            }
            let len = usize::try_from(size.unsigned_abs()).map_err(|_| damaged())?;
            let record = cursor.take(len).ok_or_else(damaged)?;
            if size > 0 {
                match read_entry(record).ok_or_else(damaged)? {
                    Some(entry) => keytab.entries.push(entry),
                    None => keytab.skipped += 1,
                }
            }
            index += 1;
        }
        Ok(keytab)
    }

    /// The bytes of the file. They hold keys: keep the file's mode at 0600.
    pub fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, KeytabError> {
        let mut out = Zeroizing::new(vec![5, 2]);
        for (index, entry) in self.entries.iter().enumerate() {
            let record = write_entry(entry).ok_or(KeytabError::DoesNotFit(index))?;
            let size = i32::try_from(record.len()).map_err(|_| KeytabError::DoesNotFit(index))?;
            out.extend(size.to_be_bytes());
            out.extend(record.iter());
        }
        Ok(out)
    }

    /// The keys of `principal`, ASCII case aside: the newest version first, within it the strongest enctype first.
    pub fn keys_of(&self, principal: &Principal) -> Vec<&KeytabEntry> {
        let mut found: Vec<&KeytabEntry> = self
            .entries
            .iter()
            .filter(|entry| entry.principal.matches(principal))
            .collect();
        found.sort_by_key(|entry| {
            std::cmp::Reverse((
                entry.kvno,
                entry.key.enctype().key_len(),
                entry.key.enctype().number(),
            ))
        });
        found
    }
}

/// `None`: malformed. `Some(None)`: an enctype that is not ours.
fn read_entry(record: &[u8]) -> Option<Option<KeytabEntry>> {
    let mut cursor = Cursor::new(record);
    let count = usize::from(cursor.u16()?);
    if count > MAX_COMPONENTS {
        return None;
    }
    let realm = std::str::from_utf8(cursor.counted16()?).ok()?;
    let mut components = Vec::with_capacity(count);
    for _ in 0..count {
        components.push(std::str::from_utf8(cursor.counted16()?).ok()?);
    }
    let name_type = cursor.i32()?;
    let set_at = cursor.u32()?;
    let short_kvno = u32::from(cursor.u8()?);
    let enctype = cursor.u16()?;
    let key = cursor.counted16()?;
    // Newer writers append the whole version number after the old 8-bit one; zero there means "see the short one".
    let kvno = match cursor.u32() {
        Some(kvno) if kvno != 0 => kvno,
        _ => short_kvno,
    };
    let Some(enctype) = Enctype::from_number(i32::from(enctype)) else {
        return Some(None);
    };
    Some(Some(KeytabEntry {
        principal: Principal::new(name_type, components, realm).ok()?,
        kvno,
        set_at,
        key: Key::new(enctype, key).ok()?,
    }))
}

fn write_entry(entry: &KeytabEntry) -> Option<Zeroizing<Vec<u8>>> {
    let mut out = Zeroizing::new(Vec::with_capacity(256));
    let counted = |out: &mut Vec<u8>, bytes: &[u8]| -> Option<()> {
        out.extend(u16::try_from(bytes.len()).ok()?.to_be_bytes());
        out.extend(bytes);
        Some(())
    };
    let principal = &entry.principal;
    out.extend(
        u16::try_from(principal.components().len())
            .ok()?
            .to_be_bytes(),
    );
    counted(&mut out, principal.realm().as_bytes())?;
    for component in principal.components() {
        counted(&mut out, component.as_bytes())?;
    }
    out.extend(principal.name_type().to_be_bytes());
    out.extend(entry.set_at.to_be_bytes());
    let [.., low] = entry.kvno.to_be_bytes();
    out.push(low);
    out.extend(
        u16::try_from(entry.key.enctype().number())
            .ok()?
            .to_be_bytes(),
    );
    counted(&mut out, entry.key.as_bytes())?;
    out.extend(entry.kvno.to_be_bytes());
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, kvno: u32, enctype: Enctype) -> KeytabEntry {
        KeytabEntry {
            principal: Principal::parse(name, None).unwrap(),
            kvno,
            set_at: 1_700_000_000,
            key: Key::new(enctype, &vec![7; enctype.key_len()]).unwrap(),
        }
    }

    /// One entry as MIT's `ktutil` lays it out: `a@R`, kvno 3, enctype `number` with `len` bytes of key.
    fn record(number: u16, len: u16) -> Vec<u8> {
        let mut body = vec![0, 1, 0, 1, b'R', 0, 1, b'a', 0, 0, 0, 1, 0, 0, 0, 9, 3];
        body.extend(number.to_be_bytes());
        body.extend(len.to_be_bytes());
        body.extend(vec![1; usize::from(len)]);
        let mut out = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
        out.extend(body);
        out
    }

    #[test]
    fn a_file_re_encodes_to_the_same_bytes() {
        let keytab = Keytab {
            entries: vec![
                entry("cifs/acct1.file.contoso@R", 2, Enctype::Aes256Sha1),
                entry("müller@CORP", 70_000, Enctype::Aes128Sha2),
            ],
            skipped: 0,
        };
        let read = Keytab::from_bytes(&keytab.to_bytes().unwrap()).unwrap();
        assert_eq!(read.entries.len(), 2);
        for (a, b) in read.entries.iter().zip(&keytab.entries) {
            assert_eq!(
                (&a.principal, a.kvno, a.set_at),
                (&b.principal, b.kvno, b.set_at)
            );
            assert_eq!(a.key.as_bytes(), b.key.as_bytes());
        }
    }

    #[test]
    fn deleted_entries_are_skipped_and_8_bit_versions_are_read() {
        let mut bytes = vec![5, 2];
        bytes.extend((-6i32).to_be_bytes());
        bytes.extend([0xff; 6]);
        bytes.extend(record(23, 16));
        bytes.extend(record(17, 16));
        let keytab = Keytab::from_bytes(&bytes).unwrap();
        assert_eq!((keytab.entries.len(), keytab.skipped), (1, 1));
        assert_eq!(keytab.entries[0].kvno, 3);
        assert_eq!(keytab.entries[0].principal.to_string(), "a@R");
    }

    #[test]
    fn the_newest_and_strongest_key_comes_first() {
        let keytab = Keytab {
            entries: vec![
                entry("a@R", 1, Enctype::Aes256Sha1),
                entry("a@R", 2, Enctype::Aes128Sha1),
                entry("a@R", 2, Enctype::Aes256Sha1),
                entry("b@R", 9, Enctype::Aes256Sha1),
            ],
            skipped: 0,
        };
        let order: Vec<_> = keytab
            .keys_of(&Principal::parse("A@r", None).unwrap())
            .iter()
            .map(|e| (e.kvno, e.key.enctype().number()))
            .collect();
        assert_eq!(order, [(2, 18), (2, 17), (1, 18)]);
    }

    #[test]
    fn damaged_files_are_refused() {
        assert_eq!(
            Keytab::from_bytes(b"").unwrap_err(),
            KeytabError::NotAKeytab
        );
        assert_eq!(
            Keytab::from_bytes(&[5, 1]).unwrap_err(),
            KeytabError::NotAKeytab
        );
        let mut whole = vec![5, 2];
        whole.extend(record(18, 32));
        for cut in 3..whole.len() {
            assert_eq!(
                Keytab::from_bytes(&whole[..cut]).unwrap_err(),
                KeytabError::Damaged(0),
                "{cut}"
            );
        }
        // A key whose length is not its enctype's.
        let mut wrong = vec![5, 2];
        wrong.extend(record(18, 16));
        assert_eq!(
            Keytab::from_bytes(&wrong).unwrap_err(),
            KeytabError::Damaged(0)
        );
        assert_eq!(
            Keytab::from_bytes(&vec![5; MAX_KEYTAB_LEN + 1]).unwrap_err(),
            KeytabError::TooLarge
        );
        // The most negative size must not overflow.
        assert!(Keytab::from_bytes(&[5, 2, 0x80, 0, 0, 0]).is_err());
    }
}
