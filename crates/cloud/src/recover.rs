//! `crossrealm admin recover`: lets a global administrator enrol anew, for the holder of the machine's master key and
//! database. It needs no running service and no other administrator.

use crate::config::Config;
use crate::key_file;
use crate::serve_error::ServeError;
use crossrealm_directory::Directory;
use crossrealm_types::Timestamp;
use std::path::Path;
use zeroize::Zeroizing;

/// What a recovered administrator needs.
pub struct Recovered {
    /// Their name.
    pub upn: String,
    /// The code to enrol with, shown once.
    pub enrolment_code: Zeroizing<String>,
    /// Until when it works.
    pub code_expires_at: Option<Timestamp>,
}

/// Resets the credentials of a global administrator of the installation of this configuration file, or creates one.
///
/// # Errors
///
/// [`ServeError`] if the installation cannot be opened, or refuses the name.
pub async fn recover(config: &Path, upn: &str) -> Result<Recovered, ServeError> {
    let config = Config::load(config)?;
    let master_key = key_file::load(&config)?;
    let directory = Directory::open(&config.store, master_key, config.names()).await?;
    let recovered = directory.recover_administrator(upn).await;
    directory.close().await;
    let (enrolment_code, info) = recovered?;
    Ok(Recovered {
        upn: info.upn,
        enrolment_code,
        code_expires_at: info.code_expires_at.map(Timestamp::from_unix),
    })
}
