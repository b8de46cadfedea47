//! The master key: 32 random bytes in a file of its own, under which every other key is sealed.

use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The key that seals all others. Never printed.
pub struct MasterKey {
    bytes: Zeroizing<[u8; 32]>,
}

/// Why a master key cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MasterKeyError {
    /// There is no such file.
    #[error("the master key file `{}` does not exist", .0.display())]
    Missing(PathBuf),
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
    /// Others than its owner may read the file.
    #[error("the master key file `{}` is open to others than its owner (mode {mode:04o})", .path.display())]
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
    /// The database was made under another master key.
    #[error("this is not the master key of this database: the key is `{found}`, the database wants `{wanted}`")]
    Wrong {
        /// The id of the key given.
        found: String,
        /// The id of the key that the database was made under.
        wanted: String,
    },
}

impl MasterKey {
    /// Reads the key from a file that only its owner can read.
    pub fn load(path: &Path) -> Result<Self, MasterKeyError> {
        todo!()
    }

    /// Makes a random key in a new file with mode 0600, flushed to disk.
    pub fn create(path: &Path) -> Result<Self, MasterKeyError> {
        todo!()
    }
}

impl MasterKeyError {
    /// The next step.
    pub fn hint(&self) -> Option<&'static str> {
        todo!()
    }
}
