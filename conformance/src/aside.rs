//! Debian packages unpacked into a folder of their own: some clients cannot be installed beside those the lab needs, and
//! none of them is worth changing a machine for.

use std::path::{Path, PathBuf};

use crossrealm_lab::{Failure, PATIENCE, Run};

/// `$1` is the folder, the rest are packages.
const SCRIPT: &str = "cd \"$1\" && shift && mkdir debs root && cd debs && \
    apt-get download -q -o APT::Sandbox::User=root \"$@\" && for deb in *.deb; do dpkg -x \"$deb\" ../root || exit 1; done";

/// The root of an unpacked set of packages; kept beside the build for the next time.
///
/// # Errors
/// When they cannot be downloaded or unpacked.
pub(crate) fn unpacked(name: &str, packages: &[&str]) -> Result<PathBuf, Failure> {
    let cache = cache_folder();
    let place = cache.join(format!("aside-{name}"));
    if place.join("root").is_dir() {
        return Ok(place.join("root"));
    }
    // Made beside its final place and renamed: what is there is complete.
    let draft = cache.join(format!("aside-{name}-draft-{}", std::process::id()));
    std::fs::create_dir_all(&draft)?;
    let made = Run::here("sh")
        .args(["-c", SCRIPT, "sh"])
        .arg(&draft)
        .args(packages)
        .timeout(PATIENCE)
        .ok();
    let moved = made.and_then(|_| Ok(std::fs::rename(&draft, &place)?));
    if let Err(failure) = moved {
        let _ = std::fs::remove_dir_all(&draft);
        return Err(failure);
    }
    Ok(place.join("root"))
}

/// Where what was made once is kept, beside the build.
pub(crate) fn cache_folder() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target
        .unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"))
        .join("lab-cache")
}

/// The folders with shared libraries in an unpacked root, as `LD_LIBRARY_PATH` takes them.
pub(crate) fn library_path(root: &Path) -> String {
    let folders = std::fs::read_dir(root.join("usr/lib"))
        .map(|entries| entries.flatten().collect::<Vec<_>>());
    let folders = folders
        .unwrap_or_default()
        .into_iter()
        .map(|entry| entry.path())
        .filter(|path| path.is_dir());
    folders
        .map(|path| path.display().to_string())
        .collect::<Vec<_>>()
        .join(":")
}
