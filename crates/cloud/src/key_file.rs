//! The file of the master key, and whether the database that belongs to it is there.

use crate::config::Config;
use crate::serve_error::ServeError;
use crossrealm_directory::MasterKey;
use std::path::{Path, PathBuf};

/// The master key of the installation; the database must be there as well.
pub(crate) fn load(config: &Config) -> Result<MasterKey, ServeError> {
    let path = &config.master_key;
    let key = match is_credential(path) {
        true => MasterKey::load_credential(path)?,
        false => MasterKey::load(path)?,
    };
    match config.database_file() {
        // Where it cannot be looked for, opening it says why.
        Some(path) if matches!(path.try_exists(), Ok(false)) => {
            Err(ServeError::NoDatabase(path.to_owned()))
        }
        _ => Ok(key),
    }
}

/// Whether systemd gave this file to the service.
pub(crate) fn is_credential(path: &Path) -> bool {
    let folder = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    folder.is_some() && path.parent() == folder.as_deref()
}
