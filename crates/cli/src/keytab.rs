//! Exported keytabs: written for their owner only, described without their keys.

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Column, column};
use crossrealm_api::Keytab;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const ENTRIES: &[Column] = &[
    column("Principal", "/principal"),
    column("Kvno", "/kvno"),
    column("Enctype", "/enctype"),
];

/// Writes the keytab to `path` with mode 0600 and lists its entries.
pub fn write(keytab: &Keytab, path: &Path, context: &Context) -> Result<(), Failure> {
    replace(path, keytab.keytab.expose(), 0o600).map_err(|error| {
        Failure::new(format!(
            "cannot write the keytab `{}`: {error}",
            path.display()
        ))
    })?;
    eprintln!("wrote `{}`", path.display());
    let nothing = "the keytab is empty";
    context.output.list(&keytab.entries, ENTRIES, nothing)
}

/// Puts `bytes` in the place of the file at `path` in one step, so that no reader sees half of it.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut name = path
        .file_name()
        .ok_or(io::ErrorKind::IsADirectory)?
        .to_owned();
    name.push(format!(".new-{}", std::process::id()));
    let fresh = path.with_file_name(name);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&fresh)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&fresh, path));
    if written.is_err() {
        // The half-written file is of no use; that it cannot be removed would be no worse than the error at hand.
        let _ = fs::remove_file(&fresh);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_replaced_whole_and_kept_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("k");
        fs::write(&path, "old and longer").unwrap();
        replace(&path, b"new", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(replace(&folder.path().join("no/such"), b"x", 0o600).is_err());
    }
}
