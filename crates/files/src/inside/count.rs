//! How much a folder holds, counted by walking through it: slowly, so that nobody who works there notices.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// After how many files it pauses.
const BATCH: u32 = 512;
/// The pause is this many times what the files before it took: the walk uses at most a fifth of one processor and disk.
const REST: u32 = 4;
/// The longest pause.
const LONGEST_REST: Duration = Duration::from_secs(2);
/// The most folders that may wait to be looked into; a tree that is wider is not counted.
const MAX_WAITING: usize = 250_000;
/// The most files with several names that are remembered, to be counted once; further ones count for each name.
const MAX_LINKED: usize = 100_000;

/// The bytes that the files below `root` occupy on the disk; links are not followed, other file systems not entered.
///
/// # Errors
///
/// A folder that cannot be read, a tree that is too wide, or [`io::ErrorKind::Interrupted`] once `stop` is set.
pub(super) fn occupied(root: &Path, stop: &AtomicBool) -> io::Result<u64> {
    let device = fs::symlink_metadata(root)?.dev();
    let mut waiting: Vec<PathBuf> = vec![root.to_owned()];
    let mut linked = HashSet::new();
    let mut bytes: u64 = 0;
    let mut pace = Pace::begin();
    while let Some(folder) = waiting.pop() {
        let entries = match fs::read_dir(&folder) {
            // Removed since it was seen.
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
                    return Err(io::Error::other("too many folders beside each other"));
                }
                waiting.push(entry.path());
            } else if meta.nlink() > 1 && linked.len() < MAX_LINKED && !linked.insert(meta.ino()) {
                continue;
            }
            // `st_blocks` counts in 512 bytes, whatever the file system's own blocks.
            bytes = bytes.saturating_add(meta.blocks().saturating_mul(512));
        }
    }
    Ok(bytes)
}

/// Keeps the walk slow.
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
    fn what_files_occupy_is_counted_once_and_links_are_not_followed() {
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
        let bytes = occupied(folder.path(), &go_on).unwrap();
        assert!((1 << 20..2 << 20).contains(&bytes), "{bytes}");
        let stopped = occupied(folder.path(), &AtomicBool::new(true)).unwrap_err();
        assert_eq!(stopped.kind(), io::ErrorKind::Interrupted);
        assert!(occupied(&folder.path().join("gone"), &go_on).is_err());
    }
}
