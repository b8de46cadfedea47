//! The disk usage of a directory, counted by walking it slowly, so that users are not slowed down.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The number of files between two pauses.
const BATCH: u32 = 512;
/// A pause is this many times the duration of the batch before it: the walk uses at most a fifth of one processor and disk.
const REST: u32 = 4;
/// The longest pause.
const LONGEST_REST: Duration = Duration::from_secs(2);
/// The most directories in the queue; a wider tree is not counted.
const MAX_WAITING: usize = 250_000;
/// The most hard-linked files that are remembered, to be counted once; further ones are counted for each name.
const MAX_LINKED: usize = 100_000;

/// The bytes allocated to the files below `root`; symbolic links are not followed, other file systems not entered.
///
/// # Errors
///
/// A directory that cannot be read, a tree that is too wide, or [`io::ErrorKind::Interrupted`] once `stop` is set.
pub(super) fn allocated_bytes(root: &Path, stop: &AtomicBool) -> io::Result<u64> {
    let device = fs::symlink_metadata(root)?.dev();
    let mut waiting: Vec<PathBuf> = vec![root.to_owned()];
    let mut linked = HashSet::new();
    let mut bytes: u64 = 0;
    let mut pace = Pace::begin();
    while let Some(folder) = waiting.pop() {
        let entries = match fs::read_dir(&folder) {
            // Deleted in the meantime.
            Err(error) if error.kind() == io::ErrorKind::NotFound && folder != root => continue,
            entries => entries?,
        };
        for entry in entries {
            if stop.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            pace.step();
            let entry = entry?;
            let meta = match entry.metadata() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                meta => meta?,
            };
            if meta.dev() != device {
                continue;
            }
            if meta.is_dir() {
                if waiting.len() >= MAX_WAITING {
                    return Err(io::Error::other("too many directories side by side"));
                }
                waiting.push(entry.path());
            } else if meta.nlink() > 1 && linked.len() < MAX_LINKED && !linked.insert(meta.ino()) {
                continue;
            }
            // `st_blocks` counts units of 512 bytes on every file system.
            bytes = bytes.saturating_add(meta.blocks().saturating_mul(512));
        }
    }
    Ok(bytes)
}

/// Limits the speed of the walk.
struct Pace {
    since: Instant,
    files: u32,
}

impl Pace {
    fn begin() -> Self {
        Self {
            since: Instant::now(),
            files: 0,
        }
    }

    fn step(&mut self) {
        self.files += 1;
        if self.files == BATCH {
            sleep((self.since.elapsed() * REST).min(LONGEST_REST));
            *self = Self::begin();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn hard_links_count_once_and_symbolic_links_are_not_followed() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("big"), vec![1; 4 << 20]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b");
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("one"), vec![1; 1 << 20]).unwrap();
        fs::hard_link(deep.join("one"), folder.path().join("same")).unwrap();
        symlink(outside.path(), folder.path().join("out")).unwrap();
        symlink(folder.path(), deep.join("round")).unwrap();
        let go_on = AtomicBool::new(false);
        let bytes = allocated_bytes(folder.path(), &go_on).unwrap();
        assert!((1 << 20..2 << 20).contains(&bytes), "{bytes}");
        let stopped = allocated_bytes(folder.path(), &AtomicBool::new(true)).unwrap_err();
        assert_eq!(stopped.kind(), io::ErrorKind::Interrupted);
        assert!(allocated_bytes(&folder.path().join("gone"), &go_on).is_err());
    }
}
