//! A file system of a test's own, in a file: one that can become full, or that has what the machine's own has not.

use std::fs;
use std::path::PathBuf;

use crate::run::{Failure, Output, Run};

/// A mounted file system, taken away when it is dropped: `umount` frees the loop device that `mount` took.
pub struct Disk {
    /// Where it is mounted.
    pub at: PathBuf,
    image: PathBuf,
}

impl Disk {
    /// Makes a file system in the sparse file `image` and mounts it at the folder `at`, which is made.
    ///
    /// `kind` and `options` are those of `mkfs`; `size` is one of `truncate`, such as `64M`.
    ///
    /// # Errors
    /// When a program fails.
    pub fn mount(
        kind: &str,
        options: &[&str],
        size: &str,
        image: PathBuf,
        at: PathBuf,
    ) -> Result<Self, Failure> {
        fs::create_dir_all(&at)?;
        Run::here("truncate").args(["-s", size]).arg(&image).ok()?;
        let make = Run::here(format!("mkfs.{kind}")).arg("-q");
        make.args(options.iter().copied()).arg(&image).ok()?;
        let mount = Run::here("mount").args(["-o", "loop"]);
        mount.arg(&image).arg(&at).ok()?;
        Ok(Self { at, image })
    }

    /// Has everything written, so that Btrfs counts it.
    ///
    /// # Errors
    /// When it fails.
    pub fn sync(&self) -> Result<(), Failure> {
        self.btrfs(&["filesystem", "sync"], ".").map(drop)
    }

    /// `btrfs` of the machine, on a folder of the disk.
    ///
    /// # Errors
    /// When it fails.
    pub fn btrfs(&self, words: &[&str], folder: &str) -> Result<Output, Failure> {
        Run::here("btrfs")
            .args(words)
            .arg(self.at.join(folder))
            .ok()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Run::here("umount").arg(&self.at).output();
        if unmounted.is_ok_and(|output| output.code != Some(0)) {
            let _ = Run::here("umount").arg("--lazy").arg(&self.at).output();
        }
        let left = Run::here("losetup").arg("-j").arg(&self.image).output();
        let listed = left.map(|output| output.out()).unwrap_or_default();
        for line in listed.lines() {
            let device = line.split(':').next().unwrap_or_default();
            let _ = Run::here("losetup").args(["-d", device]).output();
        }
        let _ = fs::remove_dir(&self.at);
    }
}
