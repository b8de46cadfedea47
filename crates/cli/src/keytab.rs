//! Exported keytabs: written for their owner alone, listed without their keys.

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Column, column};
use crate::terminal::say;
use crossrealm_api::Keytab;
use crossrealm_os::file;
use std::path::Path;

const ENTRIES: &[Column] = &[
    column("Principal", "/principal"),
    column("Kvno", "/kvno"),
    column("Enctype", "/enctype"),
];

/// Writes the keytab to `path` with mode 0600 and lists its entries.
pub(crate) fn write(keytab: &Keytab, path: &Path, context: &Context) -> Result<(), Failure> {
    file::replace(path, keytab.keytab.expose(), 0o600).map_err(|error| {
        Failure::new(format!(
            "cannot write the keytab `{}`: {error}",
            path.display()
        ))
    })?;
    say!("wrote `{}`", path.display());
    let nothing = "the keytab is empty";
    context.output.list(&keytab.entries, ENTRIES, nothing)
}
