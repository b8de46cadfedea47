//! The caller's credential cache, of every kind that MIT krb5 on Linux has: files, folders of files, the kernel's keyrings, and
//! the daemon of KCM.
//!
//! Only reads: nothing is created, renewed or switched. The name is that of `KRB5CCNAME`, else that of krb5.conf, else the
//! traditional file.

mod defaults;
mod kcm;
mod keyring;
mod parts;

use crate::krb5_conf::Krb5Conf;
use crossrealm_krb::ccache::{Ccache, CcacheError, MAX_CCACHE_LEN};
use keyring::KeyringName;
use parts::Parts;
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The file of a folder that names its primary cache.
const PRIMARY_FILE: &str = "primary";
/// How names of caches in a folder begin; the primary cache where no file names one.
const FOLDER_PREFIX: &str = "tkt";
/// The longest line that a primary file may hold, in bytes: a file name.
const MAX_PRIMARY_BYTES: usize = 256;

/// The name of a credential cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheName {
    text: String,
    // Boxed, since errors carry names.
    place: Box<Place>,
}

/// Where a cache is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    File(PathBuf),
    /// A folder, whose file `primary` names the cache.
    Folder(PathBuf),
    /// A name that the daemon knows, `None` for its default; and where krb5.conf says that the daemon listens.
    Kcm {
        name: Option<String>,
        socket: PathBuf,
    },
    Keyring(KeyringName),
}

/// Why a credential cache cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// There is none.
    #[error("there are no Kerberos tickets: `{0}` does not exist")]
    NoTickets(CacheName),
    /// The operating system, or the daemon that holds the cache, refuses.
    #[error("cannot read the credential cache `{cache}`: {source}")]
    Unreadable {
        /// The cache.
        cache: CacheName,
        /// The reason.
        source: io::Error,
    },
    /// What is there is no cache.
    #[error("credential cache `{cache}`: {source}")]
    Damaged {
        /// The cache.
        cache: CacheName,
        /// The cause.
        source: CcacheError,
    },
    /// `KRB5CCNAME` or krb5.conf names a kind of cache that cannot be read from outside, such as `MEMORY`, or none at all.
    #[error("credential caches of type `{0}` cannot be read")]
    Type(String),
    /// krb5.conf names the default cache by something that is not known here.
    #[error("`default_ccache_name` of {place} holds `{parameter}`, which cannot be expanded here")]
    Parameter {
        /// The file and line.
        place: String,
        /// The parameter, such as `%{username}`.
        parameter: String,
    },
}

/// What a user without tickets can do.
pub(crate) const SIGN_IN: &str = "sign in with `kinit`, or give a user of the domain or a keytab; if `klist` shows tickets, set `KRB5CCNAME` to the cache that it names";

impl CacheError {
    /// What the user can do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoTickets(_) => SIGN_IN,
            Self::Parameter { .. } => "set `KRB5CCNAME` to the cache that `klist` names at its top",
            Self::Type(_) => {
                "FILE, DIR, KEYRING and KCM are read: `export KRB5CCNAME=FILE:/path` before `kinit`"
            }
            Self::Unreadable { cache, .. } if matches!(*cache.place, Place::Kcm { .. }) => {
                "start the daemon of KCM (`systemctl start sssd-kcm.socket`), or use a file: `export KRB5CCNAME=FILE:/path` before `kinit`"
            }
            Self::Unreadable { .. } | Self::Damaged { .. } => {
                "see whether `klist` reads it; if not, sign in again with `kinit`"
            }
        }
    }
}

impl CacheName {
    /// The caller's cache: the one that `KRB5CCNAME` names, else `default_ccache_name` of krb5.conf, else the traditional file.
    ///
    /// # Errors
    /// If what names the cache is of a kind that cannot be read, or has a parameter that cannot be expanded.
    pub fn current() -> Result<Self, CacheError> {
        let conf = Krb5Conf::load();
        match std::env::var("KRB5CCNAME") {
            Ok(name) if !name.is_empty() => Self::parse(&name, &conf),
            _ => match defaults::cache_name(&conf)? {
                Some(name) => Self::parse(&name, &conf),
                None => Ok(Self::traditional()),
            },
        }
    }

    /// The cache in a file.
    pub fn file(path: &Path) -> Self {
        Self {
            text: path.display().to_string(),
            place: Box::new(Place::File(path.to_owned())),
        }
    }

    fn traditional() -> Self {
        let uid = defaults::user_ids().real;
        Self::file(Path::new(&format!("/tmp/krb5cc_{uid}")))
    }

    fn parse(name: &str, conf: &Krb5Conf) -> Result<Self, CacheError> {
        let (kind, rest) = name.split_once(':').unwrap_or(("FILE", name));
        let place = match (kind, rest) {
            ("FILE", "") => return Ok(Self::traditional()),
            ("FILE", path) => return Ok(Self::file(Path::new(path))),
            // With a second colon the rest is a file of the folder.
            ("DIR", rest) => match rest.strip_prefix(':') {
                Some(file) => Place::File(PathBuf::from(file)),
                None => Place::Folder(PathBuf::from(rest)),
            },
            ("KCM", rest) => Place::Kcm {
                name: (!rest.is_empty()).then(|| rest.to_owned()),
                socket: defaults::kcm_socket(conf),
            },
            ("KEYRING", rest) => Place::Keyring(KeyringName::parse(rest)),
            (kind, _) => return Err(CacheError::Type(kind.to_owned())),
        };
        Ok(Self {
            text: name.to_owned(),
            place: Box::new(place),
        })
    }

    /// Reads the cache.
    ///
    /// # Errors
    /// `NoTickets` if there is none, `Unreadable` with the reason of the operating system or the daemon, or `Damaged` if what is
    /// there is no cache.
    pub fn read(&self) -> Result<Ccache, CacheError> {
        let cache = match &*self.place {
            Place::File(path) => read_file(path).map(|bytes| Ccache::from_bytes(&bytes)),
            Place::Folder(folder) => primary_of(folder)
                .and_then(|path| read_file(&path))
                .map(|bytes| Ccache::from_bytes(&bytes)),
            Place::Kcm { name, socket } => kcm::read(socket, name.as_deref()).map(Parts::join),
            Place::Keyring(name) => keyring::read(name).map(Parts::join),
        };
        match cache {
            Ok(cache) => cache.map_err(|source| CacheError::Damaged {
                cache: self.clone(),
                source,
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(CacheError::NoTickets(self.clone()))
            }
            Err(source) => Err(CacheError::Unreadable {
                cache: self.clone(),
                source,
            }),
        }
    }
}

impl fmt::Display for CacheName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The primary cache of a folder: the file that `primary` names, a name of that folder and of no other.
fn primary_of(folder: &Path) -> io::Result<PathBuf> {
    let named = match read_bounded(&folder.join(PRIMARY_FILE), MAX_PRIMARY_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => FOLDER_PREFIX.to_owned(),
        other => String::from_utf8_lossy(&other?)
            .trim_end_matches('\n')
            .to_owned(),
    };
    if named.len() <= MAX_PRIMARY_BYTES && named.starts_with(FOLDER_PREFIX) && !named.contains('/')
    {
        return Ok(folder.join(named));
    }
    let what = format!(
        "`{PRIMARY_FILE}` in `{}` names no cache of this folder",
        folder.display()
    );
    Err(io::Error::new(io::ErrorKind::InvalidData, what))
}

fn read_file(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    read_bounded(path, MAX_CCACHE_LEN)
}

/// Reads at most `limit` + 1 bytes: from the extra byte the parser of the format sees that the file is too long.
pub(crate) fn read_bounded(path: &Path, limit: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::new());
    let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let file = std::fs::File::open(path)?;
    file.take(bound).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossrealm_krb::principal::Principal;

    fn parsed(name: &str) -> CacheName {
        CacheName::parse(name, &Krb5Conf::default()).unwrap()
    }

    fn place(name: &str) -> Place {
        *parsed(name).place
    }

    #[test]
    fn names_as_mit_writes_them() {
        assert_eq!(place("FILE:/x/y"), Place::File("/x/y".into()));
        assert_eq!(place("/x/y"), Place::File("/x/y".into()));
        assert_eq!(place("DIR:/x"), Place::Folder("/x".into()));
        assert_eq!(place("DIR::/x/tkt1"), Place::File("/x/tkt1".into()));
        for (text, known) in [("KCM:", None), ("KCM:0:17", Some("0:17".to_owned()))] {
            assert!(matches!(place(text), Place::Kcm { name, .. } if name == known));
        }
        assert!(matches!(place("KEYRING:persistent:0"), Place::Keyring(_)));
        assert!(
            CacheName::traditional()
                .to_string()
                .starts_with("/tmp/krb5cc_")
        );
        for kind in ["MEMORY", "API", "MSLSA", "file"] {
            let refused = CacheName::parse(&format!("{kind}:x"), &Krb5Conf::default()).unwrap_err();
            assert!(matches!(&refused, CacheError::Type(given) if given == kind));
            assert!(refused.hint().contains("KRB5CCNAME"));
        }
    }

    #[test]
    fn a_missing_cache_says_what_to_do() {
        for name in [
            "/nonexistent/cc",
            "DIR:/nonexistent",
            "KEYRING:session:crossrealm-none",
        ] {
            let error = parsed(name).read().unwrap_err();
            assert!(matches!(error, CacheError::NoTickets(_)), "{error:?}");
            assert!(error.hint().contains("kinit"));
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    /// F8: the primary cache of a folder is read, by any name that it has; a name that leads out of the folder is refused.
    #[test]
    fn the_primary_file_of_a_folder_names_its_cache() {
        let folder = tempfile::tempdir().unwrap();
        let cache = |user: &str| Ccache {
            principal: Principal::parse(user, Some("CORP.CONTOSO.COM")).unwrap(),
            credentials: Vec::new(),
            skipped: 0,
        };
        for (file, user) in [("tkt", "alice"), ("tktXy1", "bob")] {
            let bytes = cache(user).to_bytes().unwrap();
            std::fs::write(folder.path().join(file), &bytes).unwrap();
        }
        let name = parsed(&format!("DIR:{}", folder.path().display()));
        let who = || {
            name.read()
                .map(|cache| cache.principal.components().concat())
        };
        assert_eq!(who().unwrap(), "alice");
        let primary = folder.path().join(PRIMARY_FILE);
        std::fs::write(&primary, "tktXy1\n").unwrap();
        assert_eq!(who().unwrap(), "bob");
        std::fs::write(&primary, "tktNone\n").unwrap();
        assert!(matches!(who().unwrap_err(), CacheError::NoTickets(_)));
        let long = format!("tkt{}", "x".repeat(MAX_PRIMARY_BYTES));
        for bad in ["../alice\n", "tkt/../../alice\n", "", "other\n", &long] {
            std::fs::write(&primary, bad).unwrap();
            let refused = who().unwrap_err();
            assert!(
                matches!(refused, CacheError::Unreadable { .. }),
                "{bad}: {refused:?}"
            );
        }
    }
}
