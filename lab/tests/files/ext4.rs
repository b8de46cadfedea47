//! Permissions on ext4, which keeps one block of extended attributes for a file.

use crossrealm_lab::{Disk, Failure, Run, need};

use super::Test;
use super::scene::Scene;

/// Name and test.
pub(crate) const TESTS: &[(&str, Test)] =
    &[("permissions_that_ext4_cannot_keep_are_explained", explained)];

/// What fits into the block of 4 KiB, and what does not.
const FITS: usize = 90;
const TOO_MANY: usize = 150;
const SHARE: &str = "onext4";
const OTHER: &str = "onext4withinodes";

/// A disk for a share's folder, made with this feature or (`^`) without it.
fn disk(scene: &Scene, share: &str, feature: &str) -> Result<Disk, Failure> {
    let image = scene.data().join(format!("{share}.img"));
    let options = ["-b", "4096", "-O", feature];
    Disk::mount("ext4", &options, "64M", image, scene.on_disk(share, ""))
}

/// F23: more entries than ext4 keeps are refused with the limit and the ways out, and the way out works; a disk that is really full
/// is still called full.
fn explained(scene: &mut Scene) -> Result<(), Failure> {
    if need::skipped_without("ext4") {
        return Ok(());
    }
    let small = disk(scene, SHARE, "^ea_inode")?;
    set(scene, SHARE, FITS).ok()?;
    let refused = set(scene, SHARE, TOO_MANY).refused(1)?;
    refused
        .says("150 entries are")?
        .says("one block (4 KiB on ext4)")?
        .says("ea_inode")?;
    // The permissions of before are still there.
    let shown = scene.on_host(&["-o", "json", "share", "acl", "acct1/onext4", "/"]);
    let sddl = shown.ok()?.json()?["sddl"].to_string();
    let kept = sddl.matches("S-1-5-21-1-2-3-").count();
    if kept != FITS {
        let what = format!("{FITS} entries were expected in {sddl}");
        return Err(Failure::new(what));
    }
    really_full(scene, &small)?;
    let _other = disk(scene, OTHER, "ea_inode")?;
    set(scene, OTHER, TOO_MANY).ok().map(drop)
}

/// The host's administrator gives the root of the share this many entries.
fn set(scene: &Scene, share: &str, entries: usize) -> Run {
    let all: String = (0..entries)
        .map(|rid| format!("(A;OICI;0x001301bf;;;S-1-5-21-1-2-3-{})", 2000 + rid))
        .collect();
    let sddl = format!("O:BAG:BAD:PAI{all}");
    let share = format!("acct1/{share}");
    scene.on_host(&["share", "acl", &share, "/", "--sddl", &sddl])
}

/// Fills the disk, whose error is the same, and frees it again.
fn really_full(scene: &Scene, disk: &Disk) -> Result<(), Failure> {
    let filler = disk.at.join("filler");
    // It ends when there is no space.
    let fill = Run::here("sh").args(["-c", "cat /dev/zero > \"$1\"", "sh"]);
    fill.arg(&filler).refused(1)?;
    let full = set(scene, SHARE, TOO_MANY).refused(1)?;
    full.says("No space left")?.does_not_say("ea_inode")?;
    std::fs::remove_file(filler)?;
    Ok(())
}
