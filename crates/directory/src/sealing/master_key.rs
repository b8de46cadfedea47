//! The master key: 32 random bytes in a file of its own, under which every other key is sealed.
//!
//! The file is one line, `crossrealm-master-key-v1 <64 hexadecimal digits> <id>`, readable by its owner only. The id is
//! a hash of the key. It detects damage, and the database records it, so that the key of another installation is
//! detected when the database is opened and not when the first ticket fails.

use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

const LABEL: &str = "crossrealm-master-key-v1";
/// Label, 64 digits, 16 digits, two spaces and the newline.
const FILE_LEN: usize = LABEL.len() + 64 + 16 + 3;

/// What the service's unit has systemd put in the place of a credential whose file is missing, so that the start fails here, with a
/// hint, and not in systemd.
const ABSENT: &[u8] = b"absent";

/// The key that seals all others. It has no `Debug`.
pub struct MasterKey {
    bytes: Zeroizing<[u8; 32]>,
}

/// Why a master key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MasterKeyError {
    /// There is no such file.
    #[error("the master key file `{}` does not exist", .0.display())]
    Missing(PathBuf),
    /// The service manager was given no key for the service.
    #[error("the service got no master key: the file of its credential is missing")]
    NoCredential,
    /// There is a file already.
    #[error("the master key file `{}` exists and is not overwritten", .0.display())]
    Exists(PathBuf),
    /// The file cannot be read or written.
    #[error("the master key file `{}` cannot be used: {reason}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        reason: String,
    },
    /// Users other than its owner can read the file.
    #[error("the master key file `{}` can be read by users other than its owner (mode {mode:04o})", .path.display())]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is not what [`MasterKey::create`] writes.
    #[error("the master key file `{}` is damaged: {reason}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The database was created under another master key.
    #[error(
        "this is not the master key of this database: the key is `{found}`, the database expects `{wanted}`"
    )]
    Wrong {
        /// The id of the key given.
        found: String,
        /// The id of the key that the database was created under.
        wanted: String,
    },
}

impl MasterKey {
    /// Reads the key from a file that only its owner can read.
    pub fn load(path: &Path) -> Result<Self, MasterKeyError> {
        Self::load_unless(path, 0o077)
    }

    /// Reads the key from a credential of systemd. Its user gets it by an access list, whose mask stands where the rights of the
    /// group would be.
    pub fn load_credential(path: &Path) -> Result<Self, MasterKeyError> {
        match std::fs::read(path).map(Zeroizing::new) {
            Ok(text) if *text == ABSENT => Err(MasterKeyError::NoCredential),
            _ => Self::load_unless(path, 0o037),
        }
    }

    /// Refuses a file with any of these permissions.
    fn load_unless(path: &Path, refused: u32) -> Result<Self, MasterKeyError> {
        let mut file = File::open(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => MasterKeyError::Missing(path.to_owned()),
            _ => io_error(path, &error),
        })?;
        // Check the open file, not the path: the path may change between check and use.
        let meta = file.metadata().map_err(|error| io_error(path, &error))?;
        if !meta.is_file() {
            return Err(damaged(path, "it is not a regular file"));
        }
        let mode = meta.mode() & 0o7777;
        if mode & refused != 0 {
            return Err(MasterKeyError::TooOpen {
                path: path.to_owned(),
                mode,
            });
        }
        let mut text = Zeroizing::new(Vec::with_capacity(FILE_LEN + 1));
        (&mut file)
            .take(FILE_LEN as u64 + 1)
            .read_to_end(&mut text)
            .map_err(|error| io_error(path, &error))?;
        Self::parse(&text).map_err(|reason| damaged(path, reason))
    }

    /// Creates a random key in a new file with mode 0600, flushed to disk.
    pub fn create(path: &Path) -> Result<Self, MasterKeyError> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(bytes.as_mut()).map_err(|error| MasterKeyError::Io {
            path: path.to_owned(),
            reason: format!("the operating system gave no random bytes: {error}"),
        })?;
        let key = Self { bytes };
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(|error| match error.kind() {
                ErrorKind::AlreadyExists => MasterKeyError::Exists(path.to_owned()),
                _ => io_error(path, &error),
            })?;
        let line = Zeroizing::new(format!("{LABEL} {} {}\n", *key.digits(), key.id()));
        file.write_all(line.as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(|error| io_error(path, &error))?;
        Ok(key)
    }

    /// A key of these bytes, for tests and for keys that are not in a file.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self {
            bytes: Zeroizing::new(bytes),
        }
    }

    /// Identifies this key without revealing it: 16 hexadecimal digits.
    pub fn id(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(LABEL);
        hash.update(self.bytes.as_ref());
        hex::encode(&hash.finalize()[..8])
    }

    /// Refuses the key if the database was created under another id.
    pub(crate) fn check_id(&self, wanted: &str) -> Result<(), MasterKeyError> {
        let found = self.id();
        if found == wanted {
            return Ok(());
        }
        Err(MasterKeyError::Wrong {
            found,
            wanted: wanted.to_owned(),
        })
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    fn digits(&self) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(self.bytes.as_ref()))
    }

    fn parse(text: &[u8]) -> Result<Self, &'static str> {
        if text.len() != FILE_LEN {
            return Err("it does not have the length of a master key file");
        }
        let text = std::str::from_utf8(text).map_err(|_| "it is not text")?;
        let line = text
            .strip_suffix('\n')
            .ok_or("its line does not end with a newline")?;
        let rest = line
            .strip_prefix(LABEL)
            .and_then(|rest| rest.strip_prefix(' '))
            .ok_or("it does not begin with `crossrealm-master-key-v1`")?;
        let (digits, id) = rest
            .split_once(' ')
            .ok_or("it is not three words on one line")?;
        let mut bytes = Zeroizing::new([0; 32]);
        hex::decode_to_slice(digits, bytes.as_mut())
            .map_err(|_| "the key is not 64 hexadecimal digits")?;
        let key = Self { bytes };
        if !bool::from(key.id().as_bytes().ct_eq(id.as_bytes())) {
            return Err("the key does not match its check value");
        }
        Ok(key)
    }
}

impl MasterKeyError {
    /// The next step.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Missing(_) => Some(
                "restore it from your backup; without it the keys in the database cannot be opened. A new installation creates its own",
            ),
            Self::NoCredential => Some(
                "restore it from your backup to the file that `LoadCredential=` in the service's unit names, `/etc/crossrealm/master.key` as the packages have it, for root alone",
            ),
            Self::TooOpen { .. } => {
                Some("run `chmod 600` on it, and find out who read it meanwhile")
            }
            Self::Damaged { .. } => Some("restore it from your backup"),
            Self::Wrong { .. } => {
                Some("give the master key and the database of the same installation")
            }
            Self::Exists(_) | Self::Io { .. } => None,
        }
    }
}

fn damaged(path: &Path, reason: &'static str) -> MasterKeyError {
    MasterKeyError::Damaged {
        path: path.to_owned(),
        reason,
    }
}

fn io_error(path: &Path, error: &std::io::Error) -> MasterKeyError {
    MasterKeyError::Io {
        path: path.to_owned(),
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_created_key_loads_and_is_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.key");
        let made = MasterKey::create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(MasterKey::load(&path).unwrap().bytes(), made.bytes());
        assert_eq!(
            MasterKey::create(&path).err(),
            Some(MasterKeyError::Exists(path.clone()))
        );
        assert_eq!(MasterKey::load(&path).unwrap().id(), made.id());
    }

    #[test]
    fn errors_of_a_file_name_the_cause() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("master.key");
        assert_eq!(
            MasterKey::load(&path).err(),
            Some(MasterKeyError::Missing(path.clone()))
        );
        MasterKey::create(&path).unwrap();
        let good = fs::read_to_string(&path).unwrap();

        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = MasterKey::load(&path).err().unwrap();
        assert!(matches!(error, MasterKeyError::TooOpen { mode: 0o640, .. }));
        assert!(error.to_string().contains("mode 0640") && error.hint().is_some());
        assert!(MasterKey::load_credential(&path).is_ok());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
        assert!(MasterKey::load_credential(&path).is_err());
        let absent = dir.path().join("absent");
        fs::write(&absent, ABSENT).unwrap();
        let error = MasterKey::load_credential(&absent).err().unwrap();
        assert!(error.hint().unwrap().contains("/etc/crossrealm/master.key"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();

        let flipped = if good.contains("v1 0") {
            good.replacen("v1 0", "v1 1", 1)
        } else {
            format!("{LABEL} 0{}", &good[LABEL.len() + 2..])
        };
        for (bad, reason) in [
            (String::new(), "length"),
            (good[..good.len() - 1].to_owned(), "length"),
            (format!("{good}\n"), "length"),
            (good.replace("v1", "v9"), "begin"),
            (flipped, "check value"),
            (good.replace('\n', "0"), "end"),
            (
                good.replacen(&good[LABEL.len() + 1..LABEL.len() + 2], "g", 1),
                "",
            ),
        ] {
            fs::write(&path, &bad).unwrap();
            match MasterKey::load(&path).err() {
                Some(MasterKeyError::Damaged { reason: said, .. }) => {
                    assert!(said.contains(reason), "{said} / {reason}");
                }
                other => panic!("{bad:?}: {other:?}"),
            }
        }
        fs::write(&path, [0xff; FILE_LEN]).unwrap();
        assert!(MasterKey::load(&path).is_err());
        assert!(matches!(
            MasterKey::load(dir.path()).err(),
            Some(MasterKeyError::Damaged { .. } | MasterKeyError::TooOpen { .. })
        ));
    }
}
