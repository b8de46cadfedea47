//! The directory of a share, and the size that clients are shown of it.

use crate::paths::{QUOTA_SIZES, SHARES, directory_name, program_name};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The directory of a share.
pub(super) fn share_directory(share: &str) -> PathBuf {
    Path::new(SHARES).join(directory_name(share))
}

/// Writes the program that smbd runs as the `dfree command` of a share. The command takes no arguments, so each share has its
/// own program; it prints the size, the free space and their unit, in bytes. Samba replaces a size of 0 by 1024 units, so the unit
/// is 1.
pub(super) fn write_size(share: &str, limit: u64, used: Option<u64>) -> io::Result<()> {
    let disk = rustix::fs::statvfs(share_directory(share))?;
    let disk_free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let free = limit.saturating_sub(used.unwrap_or(0)).min(disk_free);
    let path = Path::new(QUOTA_SIZES).join(program_name(share));
    let text = format!("#!/bin/sh\necho {limit} {free} 1\n");
    if fs::read_to_string(&path).is_ok_and(|known| known == text) {
        return Ok(());
    }
    // smbd runs it as the connected user.
    crossrealm_os::file::replace(&path, text.as_bytes(), 0o755)
}
