//! `crossrealm serve --check`: everything that the start reads is read, and nothing is opened to clients or changed, so that it can
//! be run beside the running service.

use crate::config::Config;
use crate::key_file::{self, is_credential};
use crate::serve_error::ServeError;
use crate::tls;
use crossrealm_directory::{MasterKeyError, SchemaAge, check_store, shown_store_url};
use std::path::Path;

/// What was checked, each in one line.
pub struct Checked {
    /// What is right.
    pub lines: Vec<String>,
}

/// Checks the configuration file, the certificate and its key, the master key and the database; without the latter two where the key is a
/// credential that this process may not read.
///
/// # Errors
///
/// [`ServeError`], as a start would end with it.
pub async fn check(path: &Path) -> Result<Checked, ServeError> {
    let config = Config::load(path)?;
    let mut lines = vec![format!("the configuration `{}`", path.display())];
    tls::load(&config)?;
    let certificate = config.tls.certificate.display();
    lines.push(format!("the certificate `{certificate}` and its key"));
    let key = match key_file::load(&config) {
        Err(ServeError::MasterKey(MasterKeyError::Io { path, reason })) if is_credential(&path) => {
            // systemd lets only the service itself read it, and not what it runs before a reload.
            lines.push(format!(
                "but neither the master key nor the database: `{}`: {reason}",
                path.display()
            ));
            return Ok(Checked { lines });
        }
        key => key?,
    };
    lines.push(format!("the master key `{}`", config.master_key.display()));
    let age = match check_store(&config.store, &key).await? {
        SchemaAge::Current => "",
        SchemaAge::Older => "; its schema is older and is migrated at the start",
    };
    let store = shown_store_url(&config.store);
    lines.push(format!("the database `{store}`{age}"));
    Ok(Checked { lines })
}
