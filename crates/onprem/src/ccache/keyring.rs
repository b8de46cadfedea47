//! Credential caches in the kernel's keyrings, as MIT krb5 lays them out.
//!
//! An anchor (the session's keyring, the user's persistent one, …) holds a keyring for the collection, that one a key with the name
//! of the primary cache and a keyring for each cache. A cache holds a key with the client's name and a key for each ticket.

use super::parts::Parts;
use crossrealm_krb::ccache::MAX_CREDENTIALS;
use keyutils::keytypes::User;
use keyutils::{Key, Keyring, SpecialKeyring};
use std::io;
use zeroize::Zeroizing;

/// What the name of a collection's keyring begins with.
const COLLECTION_PREFIX: &str = "_krb_";
/// The only collection of a persistent keyring.
const PERSISTENT_COLLECTION: &str = "_krb";
/// The key with the name of the primary cache.
const PRIMARY_KEY: &str = "krb_ccache:primary";
/// The primary cache of a collection that names none.
const DEFAULT_CACHE: &str = "tkt";
/// The key with the client's name.
const PRINCIPAL_KEY: &str = "__krb5_princ__";
/// The key with the offset of the KDC's clock, which is not used here.
const TIME_KEY: &str = "__krb5_time_offsets__";
/// Errors of the kernel: no such key; one that expired; one that was revoked.
const NO_KEY: [i32; 3] = [126, 127, 128];

/// A cache in a keyring, after `KEYRING:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyringName {
    /// Which keyring of the kernel; `None` for a name in the form of older versions, in the session's keyring.
    anchor: Option<String>,
    collection: String,
    cache: Option<String>,
}

impl KeyringName {
    /// `ANCHOR:COLLECTION[:CACHE]`, or a name without an anchor.
    pub(super) fn parse(text: &str) -> Self {
        let (anchor, rest) = match text.split_once(':') {
            None => (None, text),
            Some((anchor, rest)) => (Some(anchor.to_owned()), rest),
        };
        let (collection, cache) = match rest.split_once(':') {
            None => (rest, None),
            Some((collection, cache)) => (collection, Some(cache.to_owned())),
        };
        let collection = collection.to_owned();
        Self {
            anchor,
            collection,
            cache,
        }
    }
}

/// Reads a cache.
pub(super) fn read(name: &KeyringName) -> io::Result<Parts> {
    let collection = collection(name)?;
    let cache = match &name.cache {
        Some(cache) => cache.clone(),
        None => primary_of(&collection, name)?,
    };
    let cache = collection.search_for_keyring(cache.as_str(), None);
    let (keys, _) = cache.and_then(|cache| cache.read()).map_err(failed)?;
    if keys.len() > MAX_CREDENTIALS {
        let what = "the keyring holds too many tickets";
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    let mut principal = None;
    let mut entries = Vec::new();
    for key in keys {
        let description = key.description().map_err(failed)?.description;
        match description.as_str() {
            PRINCIPAL_KEY => principal = Some(payload(&key)?),
            TIME_KEY => {}
            _ => entries.push(payload(&key)?),
        }
    }
    let principal = principal.ok_or(io::ErrorKind::NotFound)?;
    Ok(Parts { principal, entries })
}

/// The keyring of a collection. One that does not confer its rights by itself is linked to the process, as MIT krb5 does.
fn collection(name: &KeyringName) -> io::Result<Keyring> {
    let of = |anchor: SpecialKeyring| Keyring::attach(anchor);
    let process = || Keyring::attach_or_create(SpecialKeyring::Process);
    let anchor = match name.anchor.as_deref() {
        None | Some("session" | "legacy") => of(SpecialKeyring::Session),
        Some("process") => of(SpecialKeyring::Process),
        Some("thread") => of(SpecialKeyring::Thread),
        Some("user") => of(SpecialKeyring::User).and_then(|user| {
            process()?.link_keyring(&user)?;
            Ok(user)
        }),
        Some("persistent") => {
            only_own(&name.collection)?;
            let persistent = process().and_then(|mut process| process.attach_persistent());
            let found =
                persistent.and_then(|all| all.search_for_keyring(PERSISTENT_COLLECTION, None));
            return found.map_err(failed);
        }
        Some(other) => {
            let what = format!("`{other}` is no keyring of MIT krb5");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
    };
    let description = format!("{COLLECTION_PREFIX}{}", name.collection);
    let found = anchor.and_then(|anchor| anchor.search_for_keyring(description.as_str(), None));
    found.map_err(failed)
}

/// The persistent keyring of another user is not ours to open.
fn only_own(uid: &str) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let own = std::fs::metadata("/proc/self")?.uid();
    if uid.is_empty() || uid.parse() == Ok(own) {
        return Ok(());
    }
    let what = format!("`{uid}` is not the user id of this process, {own}");
    Err(io::Error::new(io::ErrorKind::PermissionDenied, what))
}

/// The name of the primary cache: a version, a length and the name.
fn primary_of(collection: &Keyring, name: &KeyringName) -> io::Result<String> {
    let key = match collection.search_for_key::<User, _, _>(PRIMARY_KEY, None) {
        Ok(key) => payload(&key)?,
        Err(error) if NO_KEY.contains(&error.0) => {
            let default = match name.anchor {
                None => name.collection.as_str(),
                Some(_) => DEFAULT_CACHE,
            };
            return Ok(default.to_owned());
        }
        Err(error) => return Err(failed(error)),
    };
    let text = primary_in(&key);
    text.ok_or_else(|| {
        let what = format!("the key `{PRIMARY_KEY}` names no cache");
        io::Error::new(io::ErrorKind::InvalidData, what)
    })
}

fn primary_in(payload: &[u8]) -> Option<String> {
    let rest = payload.strip_prefix(&[0, 0, 0, 1])?;
    let (length, name) = rest.split_first_chunk::<4>()?;
    let whole = usize::try_from(u32::from_be_bytes(*length)).ok()? == name.len();
    whole.then(|| String::from_utf8(name.to_vec()).ok())?
}

fn payload(key: &Key) -> io::Result<Zeroizing<Vec<u8>>> {
    key.read().map(Zeroizing::new).map_err(failed)
}

fn failed(error: keyutils::Error) -> io::Error {
    match NO_KEY.contains(&error.0) {
        true => io::ErrorKind::NotFound.into(),
        false => io::Error::from_raw_os_error(error.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_mit_writes_them() {
        let parts = |text: &str| {
            let name = KeyringName::parse(text);
            (name.anchor, name.collection, name.cache)
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(parts("old"), (None, "old".into(), None));
        assert_eq!(
            parts("persistent:0"),
            (some("persistent"), "0".into(), None)
        );
        assert_eq!(
            parts("session:a:krb_ccache_x"),
            (some("session"), "a".into(), some("krb_ccache_x"))
        );
    }

    #[test]
    fn another_users_persistent_keyring_and_unknown_keyrings_are_refused() {
        let kind = |text: &str| read(&KeyringName::parse(text)).err().unwrap().kind();
        assert_eq!(
            kind("persistent:4294967294"),
            io::ErrorKind::PermissionDenied
        );
        assert_eq!(kind("persistent:x"), io::ErrorKind::PermissionDenied);
        assert_eq!(kind("cellar:x"), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn a_damaged_primary_key_names_nothing() {
        assert_eq!(
            primary_in(&[0, 0, 0, 1, 0, 0, 0, 3, b't', b'k', b't']).unwrap(),
            "tkt"
        );
        for bad in [
            &b""[..],
            &[0, 0, 0, 2, 0, 0, 0, 0],
            &[0, 0, 0, 1, 0, 0, 0, 9, b't'],
            &[0, 0, 0, 1, 0, 0, 0, 1, 0xff],
        ] {
            assert_eq!(primary_in(bad), None);
        }
    }
}
