//! FILE credential caches, format version 4 (bytes 5, 4): the tickets of one client.
//!
//! Reads what MIT krb5 and Heimdal write and writes what they read. Configuration entries (realm `X-CACHECONF:`) are
//! skipped, and so are, as MIT does, tickets that mean nothing here: with a session key of an enctype that this project refuses, or
//! with names that are none, such as the empty realm that MIT writes for a referral. Addresses and
//! authorization data of an entry are stepped over: clients do not need them. The caller reads and writes the file.

use crate::credential::Credential;
use crate::crypto::{Enctype, Key};
use crate::cursor::Cursor;
use crate::principal::{MAX_COMPONENTS, Principal};
use zeroize::Zeroizing;

/// The largest credential cache accepted, in bytes.
pub const MAX_CCACHE_LEN: usize = 8 << 20;

/// The most entries read; a user has a ticket for each service visited.
pub const MAX_CREDENTIALS: usize = 10_000;

/// The most addresses or authorization-data elements in one entry.
const MAX_ELEMENTS: u32 = 1024;

/// The realm of entries that hold settings of the cache instead of tickets.
const CONFIG_REALM: &[u8] = b"X-CACHECONF:";

/// The tickets of one client.
#[derive(Clone, Debug)]
pub struct Ccache {
    /// Whose tickets these are.
    pub principal: Principal,
    /// The tickets, in the order of the file.
    pub credentials: Vec<Credential>,
    /// How many tickets were left out because their names or session keys mean nothing here.
    pub skipped: usize,
}

/// Why bytes are not a credential cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CcacheError {
    /// It does not begin with the bytes 5, 4.
    #[error("not a credential cache of format version 4")]
    NotACcache,
    /// Larger than [`MAX_CCACHE_LEN`], or more than [`MAX_CREDENTIALS`] entries.
    #[error("the credential cache is too large")]
    TooLarge,
    /// It is cut off or breaks the format.
    #[error("the credential cache is damaged")]
    Damaged,
}

impl Ccache {
    /// Reads a whole cache file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CcacheError> {
        if bytes.len() > MAX_CCACHE_LEN {
            return Err(CcacheError::TooLarge);
        }
        let mut cursor = Cursor::new(bytes);
        if cursor.u16() != Some(0x0504) {
            return Err(CcacheError::NotACcache);
        }
        // The header's tags hold the KDC's clock offset; tickets are checked by the local clock here.
        cursor.counted16().ok_or(CcacheError::Damaged)?;
        let principal = read_name(&mut cursor)
            .and_then(Name::principal)
            .ok_or(CcacheError::Damaged)?;
        let mut cache = Self {
            principal,
            credentials: Vec::new(),
            skipped: 0,
        };
        let mut count = 0;
        while !cursor.is_empty() {
            count += 1;
            if count > MAX_CREDENTIALS {
                return Err(CcacheError::TooLarge);
            }
            cache.add(read_credential(&mut cursor).ok_or(CcacheError::Damaged)?);
        }
        Ok(cache)
    }

    /// Puts a cache together from parts in the file's format, as the kernel's keyrings and daemons of KCM hold them: the client's
    /// name, and each entry alone.
    pub fn from_parts<B: AsRef<[u8]>>(
        principal: &[u8],
        entries: &[B],
    ) -> Result<Self, CcacheError> {
        if entries.len() > MAX_CREDENTIALS {
            return Err(CcacheError::TooLarge);
        }
        let principal = whole(principal, read_name)
            .and_then(Name::principal)
            .ok_or(CcacheError::Damaged)?;
        let mut cache = Self {
            principal,
            credentials: Vec::new(),
            skipped: 0,
        };
        for entry in entries {
            cache.add(whole(entry.as_ref(), read_credential).ok_or(CcacheError::Damaged)?);
        }
        Ok(cache)
    }

    fn add(&mut self, entry: Entry) {
        match entry {
            Entry::Ticket(credential) => self.credentials.push(*credential),
            Entry::NotUnderstood => self.skipped += 1,
            Entry::Config => {}
        }
    }

    /// The bytes of the file. They hold session keys: keep the file's mode at 0600, or Samba and MIT refuse it.
    /// Fails only for sizes that the format cannot express.
    pub fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, CcacheError> {
        let mut out = Zeroizing::new(vec![5, 4, 0, 0]);
        write_principal(&mut out, &self.principal).ok_or(CcacheError::TooLarge)?;
        for credential in &self.credentials {
            write_credential(&mut out, credential).ok_or(CcacheError::TooLarge)?;
        }
        Ok(out)
    }

    /// The ticket-granting ticket for `realm` with the latest end, ASCII case aside.
    pub fn tgt(&self, realm: &str) -> Option<&Credential> {
        self.credentials
            .iter()
            .filter(|credential| credential.is_tgt_for(realm))
            .max_by_key(|credential| credential.end_time)
    }
}

enum Entry {
    Ticket(Box<Credential>),
    NotUnderstood,
    Config,
}

/// What bytes hold, and nothing behind it.
fn whole<'a, T>(bytes: &'a [u8], read: impl FnOnce(&mut Cursor<'a>) -> Option<T>) -> Option<T> {
    let mut cursor = Cursor::new(bytes);
    read(&mut cursor).filter(|_| cursor.is_empty())
}

/// A name as it lies in the file: configuration entries break the rules for principals.
struct Name<'a> {
    name_type: i32,
    realm: &'a [u8],
    components: Vec<&'a [u8]>,
}

impl Name<'_> {
    fn principal(self) -> Option<Principal> {
        let components = self
            .components
            .into_iter()
            .map(std::str::from_utf8)
            .collect::<Result<Vec<_>, _>>()
            .ok()?;
        Principal::new(
            self.name_type,
            components,
            std::str::from_utf8(self.realm).ok()?,
        )
        .ok()
    }
}

fn read_name<'a>(cursor: &mut Cursor<'a>) -> Option<Name<'a>> {
    let name_type = cursor.i32()?;
    let count = usize::try_from(cursor.u32()?).ok()?;
    if count > MAX_COMPONENTS {
        return None;
    }
    let realm = cursor.counted32()?;
    let components = (0..count)
        .map(|_| cursor.counted32())
        .collect::<Option<Vec<_>>>()?;
    Some(Name {
        name_type,
        realm,
        components,
    })
}

fn read_credential(cursor: &mut Cursor<'_>) -> Option<Entry> {
    let client = read_name(cursor)?;
    let server = read_name(cursor)?;
    let enctype = cursor.u16()?;
    let key = cursor.counted32()?;
    let [auth_time, start_time, end_time, renew_until] =
        [cursor.u32()?, cursor.u32()?, cursor.u32()?, cursor.u32()?].map(i64::from);
    let _is_session_key = cursor.u8()?;
    let flags = cursor.u32()?;
    for _ in 0..2 {
        // Addresses, then authorization data: both are (16-bit type, counted bytes).
        let count = cursor.u32()?;
        if count > MAX_ELEMENTS {
            return None;
        }
        for _ in 0..count {
            cursor.u16()?;
            cursor.counted32()?;
        }
    }
    let ticket = cursor.counted32()?;
    let _second_ticket = cursor.counted32()?;
    if server.realm == CONFIG_REALM {
        return Some(Entry::Config);
    }
    let key = Enctype::from_number(i32::from(enctype)).and_then(|one| Key::new(one, key).ok());
    let (Some(client), Some(server), Some(key)) = (client.principal(), server.principal(), key)
    else {
        return Some(Entry::NotUnderstood);
    };
    Some(Entry::Ticket(Box::new(Credential {
        client,
        server,
        key,
        auth_time,
        start_time: if start_time == 0 {
            auth_time
        } else {
            start_time
        },
        end_time,
        renew_until: (renew_until != 0).then_some(renew_until),
        flags,
        ticket: ticket.to_vec(),
    })))
}

fn write_principal(out: &mut Vec<u8>, principal: &Principal) -> Option<()> {
    out.extend(principal.name_type().to_be_bytes());
    out.extend(
        u32::try_from(principal.components().len())
            .ok()?
            .to_be_bytes(),
    );
    counted(out, principal.realm().as_bytes())?;
    principal
        .components()
        .iter()
        .try_for_each(|component| counted(out, component.as_bytes()))
}

fn write_credential(out: &mut Vec<u8>, credential: &Credential) -> Option<()> {
    write_principal(out, &credential.client)?;
    write_principal(out, &credential.server)?;
    out.extend(
        u16::try_from(credential.key.enctype().number())
            .ok()?
            .to_be_bytes(),
    );
    counted(out, credential.key.as_bytes())?;
    for time in [
        credential.auth_time,
        credential.start_time,
        credential.end_time,
        credential.renew_until.unwrap_or_default(),
    ] {
        out.extend(u32::try_from(time).ok()?.to_be_bytes());
    }
    out.push(0);
    out.extend(credential.flags.to_be_bytes());
    out.extend([0; 8]);
    counted(out, &credential.ticket)?;
    counted(out, &[])
}

fn counted(out: &mut Vec<u8>, bytes: &[u8]) -> Option<()> {
    out.extend(u32::try_from(bytes.len()).ok()?.to_be_bytes());
    out.extend(bytes);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> Ccache {
        let client = Principal::parse("müller@CORP.CONTOSO.COM", None).unwrap();
        let credential = |server: &str, end_time| Credential {
            client: client.clone(),
            server: Principal::parse(server, None).unwrap(),
            key: Key::new(Enctype::Aes256Sha1, &[9; 32]).unwrap(),
            auth_time: 1_700_000_000,
            start_time: 1_700_000_001,
            end_time,
            renew_until: None,
            flags: 0x40e1_0000,
            ticket: vec![0x61, 1, 2, 3],
        };
        Ccache {
            principal: client.clone(),
            credentials: vec![
                credential("krbtgt/CORP.CONTOSO.COM@CORP.CONTOSO.COM", 1_700_000_600),
                credential("krbtgt/CORP.CONTOSO.COM@CORP.CONTOSO.COM", 1_700_036_000),
                credential("cifs/a.file.contoso@KERBEROS.CONTOSO", 1_700_036_000),
            ],
            skipped: 0,
        }
    }

    #[test]
    fn a_file_re_encodes_to_the_same_bytes() {
        let cache = cache();
        let read = Ccache::from_bytes(&cache.to_bytes().unwrap()).unwrap();
        assert_eq!(read.principal, cache.principal);
        assert_eq!(read.credentials.len(), 3);
        for (a, b) in read.credentials.iter().zip(&cache.credentials) {
            assert_eq!(
                (&a.client, &a.server, a.flags),
                (&b.client, &b.server, b.flags)
            );
            assert_eq!(
                (a.start_time, a.end_time, a.renew_until),
                (b.start_time, b.end_time, b.renew_until)
            );
            assert_eq!((a.key.as_bytes(), &a.ticket), (b.key.as_bytes(), &b.ticket));
        }
        assert_eq!(
            read.tgt("corp.contoso.com").unwrap().end_time,
            1_700_036_000
        );
        assert!(read.tgt("OTHER").is_none());
    }

    /// F8: the parts of a keyring or of KCM are the same cache; parts that are cut off, or have something behind them, are none.
    #[test]
    fn parts_make_the_same_cache() {
        let cache = cache();
        let mut principal = Vec::new();
        write_principal(&mut principal, &cache.principal).unwrap();
        let entry = |credential: &Credential| {
            let mut bytes = Vec::new();
            write_credential(&mut bytes, credential).unwrap();
            bytes
        };
        let entries: Vec<Vec<u8>> = cache.credentials.iter().map(entry).collect();
        let read = Ccache::from_parts(&principal, &entries).unwrap();
        assert_eq!(read.to_bytes().unwrap(), cache.to_bytes().unwrap());
        let damaged = |principal: &[u8], entry: &[u8]| {
            Ccache::from_parts(principal, &[entry]).unwrap_err() == CcacheError::Damaged
        };
        let first = &entries[0];
        assert!((0..first.len()).all(|cut| damaged(&principal, &first[..cut])));
        assert!((0..principal.len()).all(|cut| damaged(&principal[..cut], first)));
        assert!(damaged(&principal, &[&first[..], &[0]].concat()));
        assert!(damaged(&[&principal[..], &[0]].concat(), first));
        let many = vec![Vec::<u8>::new(); MAX_CREDENTIALS + 1];
        assert_eq!(
            Ccache::from_parts(&principal, &many).unwrap_err(),
            CcacheError::TooLarge
        );
    }

    #[test]
    fn config_entries_and_foreign_enctypes_are_skipped() {
        let mut cache = cache();
        cache.credentials.truncate(1);
        let mut bytes = cache.to_bytes().unwrap().to_vec();
        // `krb5_ccache_conf_data/fast_avail` under its own realm, key of enctype 0 and no length, ticket "yes".
        write_principal(&mut bytes, &cache.principal).unwrap();
        bytes.extend([0, 0, 0, 0, 0, 0, 0, 2]);
        for part in [CONFIG_REALM, b"krb5_ccache_conf_data", b"fast_avail"] {
            counted(&mut bytes, part).unwrap();
        }
        bytes.extend([0; 2 + 4 + 16 + 1 + 4 + 8]);
        counted(&mut bytes, b"yes").unwrap();
        counted(&mut bytes, b"").unwrap();
        // A ticket with an RC4 session key and one address.
        write_principal(&mut bytes, &cache.principal).unwrap();
        write_principal(&mut bytes, &cache.principal).unwrap();
        bytes.extend([0, 23]);
        counted(&mut bytes, &[1; 16]).unwrap();
        bytes.extend([0; 16 + 1 + 4]);
        bytes.extend([0, 0, 0, 1, 0, 2]);
        counted(&mut bytes, &[127, 0, 0, 1]).unwrap();
        bytes.extend([0; 4 + 4 + 4]);
        let read = Ccache::from_bytes(&bytes).unwrap();
        assert_eq!((read.credentials.len(), read.skipped), (1, 1));
    }

    /// F7: what MIT writes after `curl --negotiate`, a service without a realm, hides no other ticket; nor do other names and keys
    /// that mean nothing here.
    #[test]
    fn entries_that_are_not_understood_are_skipped() {
        let mut cache = cache();
        cache.credentials.truncate(1);
        let mut bytes = cache.to_bytes().unwrap().to_vec();
        let services: [(&[u8], &[u8], u16, usize); 4] = [
            (b"", b"HTTP", 18, 32),
            (b"\xff\xfe", b"HTTP", 18, 32),
            (b"CORP.CONTOSO.COM", b"\xff", 18, 32),
            // A key of the wrong length.
            (b"CORP.CONTOSO.COM", b"HTTP", 18, 5),
        ];
        for (realm, class, enctype, length) in services {
            write_principal(&mut bytes, &cache.principal).unwrap();
            bytes.extend([0, 0, 0, 3, 0, 0, 0, 2]);
            for part in [realm, class, b"web.contoso.cloud.example"] {
                counted(&mut bytes, part).unwrap();
            }
            bytes.extend(enctype.to_be_bytes());
            counted(&mut bytes, &vec![7; length]).unwrap();
            bytes.extend([0; 16 + 1 + 4 + 8]);
            counted(&mut bytes, b"ticket").unwrap();
            counted(&mut bytes, b"").unwrap();
        }
        // A ticket behind them is read.
        write_credential(&mut bytes, &cache.credentials[0]).unwrap();
        let read = Ccache::from_bytes(&bytes).unwrap();
        assert_eq!((read.credentials.len(), read.skipped), (2, 4));
    }

    #[test]
    fn damaged_files_are_refused() {
        assert_eq!(
            Ccache::from_bytes(&[]).unwrap_err(),
            CcacheError::NotACcache
        );
        assert_eq!(
            Ccache::from_bytes(&[5, 3, 0, 0]).unwrap_err(),
            CcacheError::NotACcache
        );
        let mut one = cache();
        one.credentials.truncate(1);
        let whole = one.to_bytes().unwrap();
        let head = {
            one.credentials.clear();
            one.to_bytes().unwrap().len()
        };
        for cut in (2..whole.len()).filter(|cut| *cut != head) {
            assert_eq!(
                Ccache::from_bytes(&whole[..cut]).unwrap_err(),
                CcacheError::Damaged,
                "{cut}"
            );
        }
        let mut huge = vec![5, 4, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(Ccache::from_bytes(&huge).unwrap_err(), CcacheError::Damaged);
        huge.resize(MAX_CCACHE_LEN + 1, 0);
        assert_eq!(
            Ccache::from_bytes(&huge).unwrap_err(),
            CcacheError::TooLarge
        );
    }
}
