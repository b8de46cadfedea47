//! Files that are replaced whole.

use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Puts `bytes` in the place of the file at `path`, with exactly the permissions `mode`.
///
/// No reader and no crash ever meets half of the file: the bytes are written and synced under another name in the same
/// directory, which then takes the place of the old file. The directory is synced too, because a rename that is only in
/// memory is lost with the power, and the old file comes back.
///
/// # Errors
/// What the operating system refused; the file is then as it was.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut prefix = OsString::from(".");
    prefix.push(name);
    let mut fresh = tempfile::Builder::new()
        .prefix(&prefix)
        .tempfile_in(directory)?;
    fresh.write_all(bytes)?;
    fresh
        .as_file()
        .set_permissions(Permissions::from_mode(mode))?;
    fresh.as_file().sync_all()?;
    fresh.persist(path)?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_is_replaced_whole_with_its_permissions() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keytab");
        for (content, mode) in [(&b"old"[..], 0o644), (b"new", 0o600)] {
            replace(&path, content, mode).unwrap();
            assert_eq!(fs::read(&path).unwrap(), content);
            let found = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(found & 0o777, mode);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failure_leaves_everything_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        assert!(replace(&folder.path().join("no/such"), b"x", 0o600).is_err());
        assert!(replace(Path::new("/"), b"x", 0o600).is_err());
        let taken = folder.path().join("taken");
        fs::create_dir(&taken).unwrap();
        fs::write(taken.join("file"), b"x").unwrap();
        assert!(replace(&taken, b"x", 0o600).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
