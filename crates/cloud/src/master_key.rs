//! `crossrealm master-key rotate`: gives an installation a new master key, for the holder of the old one and the database, while
//! no node runs.
//!
//! The new key is durable before the database needs it, and the old file is kept until after: a run that was interrupted
//! anywhere is finished by the next one.

use crate::config::Config;
use crate::serve_error::ServeError;
use crossrealm_directory::{Directory, DirectoryError, MasterKey, MasterKeyError, Resealed};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// A rotation that was done.
pub struct RotatedMasterKey {
    /// The file with the new key.
    pub master_key: PathBuf,
    /// The file with the earlier one, which backups of before need; `None` if an earlier run put it aside.
    pub earlier: Option<PathBuf>,
    /// What was sealed anew; `None` if an earlier run did.
    pub resealed: Option<Resealed>,
}

/// Rotates the master key of the installation of this configuration file, or finishes a run that was interrupted.
///
/// # Errors
///
/// [`ServeError`] if the installation cannot be opened or is being served, or a file cannot be replaced.
pub async fn rotate_master_key(config: &Path) -> Result<RotatedMasterKey, ServeError> {
    let config = Config::load(config)?;
    let path = config.master_key.clone();
    let next = beside(&path, "next");
    match config.database_file() {
        Some(file) if matches!(file.try_exists(), Ok(false)) => {
            return Err(ServeError::NoDatabase(file.to_owned()));
        }
        _ => {}
    }
    let prepared = match MasterKey::load(&next) {
        Ok(key) => Some(key),
        Err(MasterKeyError::Missing(_)) => None,
        Err(error) => return Err(error.into()),
    };
    if prepared.is_some() && opens(&config, &next).await? {
        let earlier = put_in_place(&path, &next)?;
        return Ok(RotatedMasterKey {
            master_key: path,
            earlier,
            resealed: None,
        });
    }
    let master_key = MasterKey::load(&path)?;
    let directory = Directory::open(&config.store, master_key, config.names()).await?;
    if directory.is_served().await? {
        directory.close().await;
        return Err(ServeError::IsServed);
    }
    let new = match prepared {
        Some(key) => key,
        None => MasterKey::create(&next)?,
    };
    let resealed = directory.rotate_master_key(&new).await?;
    let earlier = put_in_place(&path, &next)?;
    Ok(RotatedMasterKey {
        master_key: path,
        earlier,
        resealed: Some(resealed),
    })
}

/// Whether the key in this file is the database's.
async fn opens(config: &Config, key: &Path) -> Result<bool, ServeError> {
    let key = MasterKey::load(key)?;
    match Directory::open(&config.store, key, config.names()).await {
        Ok(directory) => {
            directory.close().await;
            Ok(true)
        }
        Err(DirectoryError::MasterKey(MasterKeyError::Wrong { .. })) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Puts the file of the earlier key aside, and that of the new one in its place.
fn put_in_place(path: &Path, next: &Path) -> Result<Option<PathBuf>, ServeError> {
    let failed = |error: io::Error| MasterKeyError::Io {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let earlier = match MasterKey::load(path) {
        Ok(key) => {
            let aside = beside(path, &key.id());
            fs::rename(path, &aside).map_err(failed)?;
            Some(aside)
        }
        Err(MasterKeyError::Missing(_)) => None,
        Err(error) => return Err(error.into()),
    };
    fs::rename(next, path).map_err(failed)?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = File::open(folder.unwrap_or(Path::new("."))).map_err(failed)?;
    folder.sync_all().map_err(failed)?;
    Ok(earlier)
}

/// `PATH.WORD`.
fn beside(path: &Path, word: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".");
    name.push(word);
    name.into()
}
