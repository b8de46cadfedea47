//! The user's directory of this program, for sessions and contexts: `crossrealm` below the configuration directory (XDG Base
//! Directory Specification). It and the files in it are for the user alone.

use crate::failure::Failure;
use crossrealm_os::file;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The path of a file in the directory.
pub(crate) fn path(name: &str) -> Result<PathBuf, Failure> {
    let set = |name: &str| {
        let path = PathBuf::from(std::env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    let folder = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")));
    let folder = folder.ok_or_else(|| {
        Failure::new("no directory for sessions and contexts")
            .hint("set `XDG_CONFIG_HOME` or `HOME` to an absolute path")
    })?;
    Ok(folder.join("crossrealm").join(name))
}

/// Replaces a file in the directory, which is created where it is missing; `what` names the kind of file in errors.
pub(crate) fn write(path: &Path, bytes: &[u8], what: &str) -> Result<(), Failure> {
    let create = |folder: &Path| {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
    };
    path.parent()
        .map_or(Ok(()), create)
        .and_then(|()| file::replace(path, bytes, 0o600))
        .map_err(|error| {
            Failure::new(format!(
                "cannot write the {what} file `{}`: {error}",
                path.display()
            ))
        })
}
