//! Quotas: refused where they are none, enforced by Btrfs, shown elsewhere, and reported as they are. Btrfs's own tool is the
//! witness of what it was given, and `smbclient` of what users meet.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Instant;

use crossrealm_lab::{Failure, Output, Place, Run, Service};

use super::scene::{LIMIT, Scene};

const GIB: u64 = 1 << 30;

/// One session that writes the same file again and again. `$1` ends it.
const WRITES: &str = r#"
( while [ ! -e "$1" ]; do echo "put $LOCAL round.txt"; sleep 0.1; done ) |
  stdbuf -oL smbclient "$SHARE" --use-kerberos=required --use-krb5-ccache="$CCACHE" 2>&1
echo ended
"#;

pub(crate) fn all(scene: &mut Scene) -> Result<(), Failure> {
    what_is_no_quota_is_refused(scene)?;
    a_new_share_is_a_subvolume_with_a_limit(scene)?;
    let stop = scene.story.world.path(Place::Client, "stop");
    let mut writer = writes(scene, &stop)?;
    full_raised_and_lowered(scene)?;
    what_was_there_before_is_not_touched(scene)?;
    numbers_that_btrfs_lost_are_counted_anew(scene)?;
    quotas_turned_off_behind_our_back_are_reported(scene)?;
    elsewhere_the_quota_is_shown(scene)?;
    // Users who wrote to another share meanwhile noticed nothing.
    fs::write(&stop, "")?;
    writer.wait_for_line("ended", LIMIT)?;
    let said = writer.log_from(0);
    if said.contains("NT_STATUS") || !said.contains("putting file") {
        return Err(Failure::new("the other share was disturbed").with(said));
    }
    a_read_only_disk_is_reported(scene)?;
    a_host_without_the_tool_serves_and_says_so(scene)
}

fn what_is_no_quota_is_refused(scene: &Scene) -> Result<(), Failure> {
    for bad in [
        "0GiB",
        "0",
        "102401GiB",
        "101TiB",
        "10GB",
        "10",
        "1.5GiB",
        "none",
        "",
        "99999999999999999999GiB",
    ] {
        let quota = format!("--quota={bad}");
        let run = scene.story.crossrealm(Place::Admin);
        let run = run.args(["share", "create", "acct1/never", &quota]);
        run.refused(2)?.says("--quota")?;
        if bad != "none" {
            let run = scene.story.crossrealm(Place::Admin);
            let run = run.args(["share", "set-quota", "acct1/never", &quota]);
            run.refused(2)?.says("--quota")?;
        }
    }
    let run = scene.story.crossrealm(Place::Admin);
    let run = run.args(["share", "set-quota", "acct1/never", "--quota", "1GiB"]);
    run.refused(1)?
        .says("error: no share `acct1/never`")
        .map(drop)
}

/// What Btrfs says of a share: how much it holds, how much it may, in bytes (`none` where unlimited).
fn of_btrfs(scene: &Scene, share: &str) -> Result<(u64, String), Failure> {
    scene.disk.sync()?;
    let output = scene.disk.btrfs(
        &["qgroup", "show", "--raw", "-rf"],
        &format!("acct1/shares/{share}"),
    )?;
    let text = output.out();
    let row = text.lines().find(|line| line.starts_with("0/"));
    let words: Vec<&str> = row.unwrap_or_default().split_whitespace().collect();
    match words[..] {
        [_, used, _, limit, ..] => Ok((used.parse().unwrap_or(0), limit.to_owned())),
        _ => Err(output.failure("was expected to show a quota")),
    }
}

fn a_new_share_is_a_subvolume_with_a_limit(scene: &Scene) -> Result<(), Failure> {
    scene.share("acct1/free", &[], &["alice", "bob"])?;
    scene.share("acct1/small", &["--quota", "1GiB"], &["alice"])?;
    scene.until_says(&scene.smb("alice", "acct1/small", "ls"), "blocks available")?;
    scene.until_says(&scene.smb("bob", "acct1/free", "ls"), "blocks available")?;
    for share in ["small", "free"] {
        let inode = fs::metadata(scene.folder(share))?.ino();
        assert_eq!(inode, 256, "{share} is no subvolume");
    }
    assert_eq!(of_btrfs(scene, "small")?.1, GIB.to_string());
    assert_eq!(of_btrfs(scene, "free")?.1, "none");
    let said = scene.until_reported("acct1/small", |said| {
        said["how"] == "enforced" && said["reason"].is_null()
    })?;
    assert_eq!(said["limit_bytes"], GIB, "{said}");
    assert_eq!(scene.listed("acct1/small")?["quota_gib"], 1);
    let free = scene.listed("acct1/free")?;
    assert!(
        free["quota_gib"].is_null() && free["quota_on_hosts"] == serde_json::json!([]),
        "{free}"
    );
    scene
        .admin(&["share", "list", "acct1"])?
        .says("of 1 GiB used, enforced by btrfs")?;
    scene
        .admin(&["storage-account", "hosts", "acct1"])?
        .says("small: 0.00 of 1 GiB used, enforced by btrfs")?;
    Ok(())
}

/// alice puts a local file; the answer, of either kind.
fn put(scene: &Scene, share: &str, local: &Path, name: &str) -> Result<Output, Failure> {
    scene
        .smb("alice", share, &format!("put {} {name}", local.display()))
        .output()
}

/// Whether the answer says that there is no space.
fn is_full(output: &Output) -> bool {
    let said = output.both();
    said.contains("NT_STATUS_DISK_FULL") || said.contains("NT_STATUS_QUOTA_EXCEEDED")
}

fn holds(scene: &Scene, share: &str, name: &str, content: &[u8]) -> Result<(), Failure> {
    let back = scene.story.world.path(Place::Client, "back");
    let _ = fs::remove_file(&back);
    scene
        .smb("alice", share, &format!("get {name} {}", back.display()))
        .ok()?;
    match fs::read(&back)? == content {
        true => Ok(()),
        false => Err(Failure::new(format!("{name} is not what was put"))),
    }
}

/// Total and free bytes of a share as `smbclient` shows them: `N blocks of size S. M blocks available`.
fn shown_size(scene: &Scene, share: &str) -> Result<(u64, u64), Failure> {
    let output = scene.smb("alice", share, "du").ok()?;
    let text = output.both();
    let line = text
        .lines()
        .find(|line| line.contains("blocks of size"))
        .unwrap_or_default();
    let numbers: Vec<u64> = line
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|word| word.parse().ok())
        .collect();
    match numbers[..] {
        [blocks, size, free] => Ok((blocks * size, free * size)),
        _ => Err(output.failure("was expected to show the size")),
    }
}

fn full_raised_and_lowered(scene: &Scene) -> Result<(), Failure> {
    let world = &scene.story.world;
    let keep: Vec<u8> = (0..4_000_000u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let kept = world.write(Place::Client, "keep.bin", &keep)?;
    let piece = world.write(Place::Client, "piece.bin", vec![7; 16 << 20])?;
    put(scene, "acct1/small", &kept, "keep.bin")?;
    // Most of it is filled on the host, which no encryption slows down: 990 MiB.
    let ballast = scene.folder("small").join("ballast");
    Run::here("fallocate")
        .args(["-l", "990M"])
        .arg(&ballast)
        .ok()?;
    let mut refused = None;
    for n in 0..4 {
        let output = put(scene, "acct1/small", &piece, &format!("piece-{n}"))?;
        if is_full(&output) {
            refused = Some(n);
            break;
        }
    }
    let refused = refused.ok_or_else(|| Failure::new("1,058 MiB went into a share of 1 GiB"))?;
    let (used, _) = of_btrfs(scene, "small")?;
    assert!(used <= GIB && used > GIB - (24 << 20), "{used}");
    holds(scene, "acct1/small", "keep.bin", &keep)?;
    // Another share of the same file system has space.
    let other = put(scene, "acct1/free", &piece, "piece")?;
    if is_full(&other) || !other.both().contains("putting file") {
        return Err(other.failure("was expected to have space"));
    }
    let said = scene.until_reported("acct1/small", |said| !said["full_since"].is_null())?;
    assert_eq!(said["how"], "enforced", "{said}");
    scene
        .admin(&["share", "list", "acct1"])?
        .says("full since")?;
    let (total, free) = scene.until("clients are shown no space", |scene| {
        let shown = shown_size(scene, "acct1/small")?;
        Ok((shown.1 < 24 << 20).then_some(shown))
    })?;
    assert_eq!(total, GIB, "free {free}");

    // A full share lets go of files.
    let delete = scene.smb(
        "alice",
        "acct1/small",
        &format!("del piece-{refused}; del piece-0; ls"),
    );
    delete
        .ok()?
        .does_not_say("piece-0")?
        .does_not_say("NT_STATUS_")?;
    scene.disk.sync()?;
    let again = put(scene, "acct1/small", &piece, "piece-0")?;
    assert!(!is_full(&again), "{}", again.both());

    // Raised, it goes on within a moment.
    let over = world.write(Place::Client, "over.bin", vec![9; 64 << 20])?;
    assert!(is_full(&put(scene, "acct1/small", &over, "over")?));
    scene.admin(&["share", "set-quota", "acct1/small", "--quota", "2GiB"])?;
    let began = Instant::now();
    scene.until("a raised quota gives space", |scene| {
        Ok((!is_full(&put(scene, "acct1/small", &over, "over")?)).then_some(()))
    })?;
    println!(
        "a raised quota gave space after {:.1} s",
        began.elapsed().as_secs_f64()
    );
    assert_eq!(of_btrfs(scene, "small")?.1, (2 * GIB).to_string());

    // Lowered below what is there, nothing more goes in, nothing is lost, and deleting helps.
    scene.admin(&["share", "set-quota", "acct1/small", "--quota", "1GiB"])?;
    scene.until("a lowered quota holds", |scene| {
        Ok((of_btrfs(scene, "small")?.1 == GIB.to_string()).then_some(()))
    })?;
    assert!(of_btrfs(scene, "small")?.0 > GIB);
    assert!(is_full(&put(scene, "acct1/small", &piece, "late")?));
    holds(scene, "acct1/small", "keep.bin", &keep)?;
    holds(scene, "acct1/small", "over", &vec![9; 64 << 20])?;
    scene
        .smb("alice", "acct1/small", "del late; del over; del piece-0")
        .output()?;
    fs::remove_file(&ballast)?;
    scene.disk.sync()?;
    let fits = put(scene, "acct1/small", &piece, "fits")?;
    assert!(!is_full(&fits), "{}", fits.both());
    scene.until_reported("acct1/small", |said| said["full_since"].is_null())?;
    holds(scene, "acct1/small", "keep.bin", &keep)?;

    let events = scene.admin(&["-o", "json", "events"])?.out();
    for detail in ["quota 1 GiB", "2 GiB, was 1 GiB", "1 GiB, was 2 GiB"] {
        assert!(
            events.contains(detail),
            "no event says `{detail}`: {events}"
        );
    }
    Ok(())
}

fn what_was_there_before_is_not_touched(scene: &Scene) -> Result<(), Failure> {
    let folder = scene.folder("old");
    let before = fs::metadata(&folder)?;
    assert_ne!(before.ino(), 256);
    scene.share("acct1/old", &["--quota", "3GiB"], &["alice"])?;
    let said = scene.until_reported("acct1/old", |said| {
        said["how"] == "shown-only" && !said["used_bytes"].is_null()
    })?;
    let reason = said["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("ordinary"), "{said}");
    assert!(
        said["hint"]
            .as_str()
            .is_some_and(|hint| hint.contains("subvolume")),
        "{said}"
    );
    let after = fs::metadata(&folder)?;
    assert_eq!(
        (before.ino(), before.dev(), before.mode()),
        (after.ino(), after.dev(), after.mode())
    );
    assert_eq!(fs::read_to_string(folder.join("before.txt"))?, "before");
    let log = scene.said("acct1");
    assert!(
        log.contains("quotas are not enforced on `old`: its directory is an ordinary one"),
        "{log}"
    );
    Ok(())
}

/// Btrfs loses count where a snapshot with a deep tree is deleted; here any tree is deep enough.
fn numbers_that_btrfs_lost_are_counted_anew(scene: &Scene) -> Result<(), Failure> {
    let id = Run::here("findmnt")
        .args(["-no", "UUID"])
        .arg(&scene.disk.at)
        .ok()?;
    let state = Path::new("/sys/fs/btrfs")
        .join(id.out().trim())
        .join("qgroups");
    fs::write(state.join("drop_subtree_threshold"), "0")?;
    // More than fits into one leaf of the tree, of which some then differ from the snapshot's.
    let many = scene.folder("small").join("many");
    fs::create_dir(&many)?;
    for n in 0..2_000 {
        fs::write(many.join(format!("file {n}")), "x")?;
    }
    let snapshot = scene.disk.at.join("gone");
    let make = Run::here("btrfs").args(["subvolume", "snapshot", "-r"]);
    make.arg(scene.folder("small")).arg(&snapshot).ok()?;
    scene.disk.sync()?;
    for n in 1_000..2_000 {
        fs::remove_file(many.join(format!("file {n}")))?;
    }
    scene.disk.btrfs(&["subvolume", "delete", "-c"], "gone")?;
    scene.disk.btrfs(&["subvolume", "sync"], ".")?;
    let lost = || -> Result<bool, Failure> {
        Ok(fs::read_to_string(state.join("inconsistent"))?.trim() == "1")
    };
    // Unless the host was so quick that it helped already.
    println!("Btrfs lost count: {}", lost()?);
    scene.until("Btrfs counts anew", |_| Ok((!lost()?).then_some(())))?;
    scene.until_reported("acct1/small", |said| {
        said["how"] == "enforced" && said["reason"].is_null()
    })?;
    Ok(())
}

fn a_read_only_disk_is_reported(scene: &Scene) -> Result<(), Failure> {
    let remount = |how: &str| {
        let options = format!("remount,{how}");
        Run::here("mount")
            .args(["-o", &options])
            .arg(&scene.disk.at)
            .ok()
    };
    remount("ro")?;
    scene.admin(&["share", "set-quota", "acct1/small", "--quota", "5GiB"])?;
    let reported = scene.until_reported("acct1/small", |said| {
        said["limit_bytes"] == 5 * GIB && said["how"] != "enforced"
    });
    let served = scene.smb("alice", "acct1/small", "ls").output();
    remount("rw")?;
    let said = reported?;
    assert!(
        said["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("Read-only")),
        "{said}"
    );
    served?.says("keep.bin")?;
    scene.until_reported("acct1/small", |said| said["how"] == "enforced")?;
    assert_eq!(of_btrfs(scene, "small")?.1, (5 * GIB).to_string());
    scene.admin(&["share", "set-quota", "acct1/small", "--quota", "1GiB"])?;
    scene.until("the quota is as before", |scene| {
        Ok((of_btrfs(scene, "small")?.1 == GIB.to_string()).then_some(()))
    })
}

fn quotas_turned_off_behind_our_back_are_reported(scene: &Scene) -> Result<(), Failure> {
    scene.disk.btrfs(&["quota", "disable"], ".")?;
    let said = scene.until_reported("acct1/small", |said| said["how"] == "shown-only")?;
    assert!(
        said["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("quotas are off")),
        "{said}"
    );
    // The path in the hint is one that an administrator can use.
    let shares = scene.disk.at.join("acct1/shares").display().to_string();
    assert!(
        said["hint"]
            .as_str()
            .is_some_and(|hint| hint.contains(&shares)),
        "{said}"
    );
    scene
        .smb("alice", "acct1/small", "ls")
        .ok()?
        .says("keep.bin")?;
    scene.disk.btrfs(&["quota", "enable"], ".")?;
    scene.until_reported("acct1/small", |said| said["how"] == "enforced")?;
    assert_eq!(of_btrfs(scene, "small")?.1, GIB.to_string());
    Ok(())
}

fn elsewhere_the_quota_is_shown(scene: &Scene) -> Result<(), Failure> {
    scene.share("acct2/desk", &[], &["alice"])?;
    scene.until_says(&scene.smb("alice", "acct2/desk", "ls"), "blocks available")?;
    let folder = scene.ordinary().join("acct2/shares/desk");
    Run::here("fallocate")
        .args(["-l", "300M"])
        .arg(folder.join("ballast"))
        .ok()?;
    let (least, most) = (300 << 20, 301 << 20);
    scene.admin(&["share", "set-quota", "acct2/desk", "--quota", "1GiB"])?;
    let said = scene.until_reported("acct2/desk", |said| {
        said["used_bytes"]
            .as_u64()
            .is_some_and(|used| used >= least)
    })?;
    assert!(
        said["used_bytes"].as_u64().is_some_and(|used| used < most),
        "{said}"
    );
    assert_eq!(said["how"], "shown-only", "{said}");
    assert!(
        said["hint"]
            .as_str()
            .is_some_and(|hint| hint.contains("Btrfs")),
        "{said}"
    );
    let (total, free) = scene.until("clients are shown what is left", |scene| {
        let shown = shown_size(scene, "acct2/desk")?;
        Ok((shown.1 <= GIB - least).then_some(shown))
    })?;
    assert!(total == GIB && free > GIB - most, "{total} {free}");
    scene
        .admin(&["share", "list", "acct2"])?
        .says("shown only, not enforced: ")?;
    // Without a quota clients are shown the file system.
    scene.admin(&["share", "set-quota", "acct2/desk", "--quota", "none"])?;
    scene.until("clients are shown the file system", |scene| {
        Ok((shown_size(scene, "acct2/desk")?.0 != GIB).then_some(()))
    })
}

fn a_host_without_the_tool_serves_and_says_so(scene: &mut Scene) -> Result<(), Failure> {
    scene.stop("acct1")?;
    // While no host runs: a quota that is taken away, and one that comes.
    scene.admin(&["share", "set-quota", "acct1/small", "--quota", "none"])?;
    scene.admin(&["share", "set-quota", "acct1/free", "--quota", "1GiB"])?;
    let data = scene.disk.at.clone();
    let whole = scene.server("acct1", &data, 445)?;
    // The same command where the tool is not to be found.
    let hidden = scene.without_btrfs(&whole);
    scene.start("acct1", &hidden)?;
    let said = scene.until_reported("acct1/free", |said| {
        said["hint"]
            .as_str()
            .is_some_and(|hint| hint.contains("btrfs-progs"))
    })?;
    assert_eq!(said["how"], "shown-only", "{said}");
    scene.until_says(&scene.smb("alice", "acct1/small", "ls"), "keep.bin")?;
    scene.share("acct1/plain", &[], &["alice"])?;
    scene.until_says(&scene.smb("alice", "acct1/plain", "ls"), "blocks available")?;
    assert_ne!(fs::metadata(scene.folder("plain"))?.ino(), 256);
    scene.stop("acct1")?;
    assert_eq!(of_btrfs(scene, "small")?.1, GIB.to_string());
    scene.start("acct1", &whole)?;
    scene.until_reported("acct1/free", |said| said["how"] == "enforced")?;
    assert_eq!(of_btrfs(scene, "free")?.1, GIB.to_string());
    assert_eq!(of_btrfs(scene, "small")?.1, "none");
    Ok(())
}

/// A session of bob's that writes to another share without pause, once it has begun to.
fn writes(scene: &Scene, stop: &Path) -> Result<Service, Failure> {
    let world = &scene.story.world;
    let local = world.write(Place::Client, "round.txt", "round")?;
    let run = scene.story.user("bob", "sh").args(["-c", WRITES, "sh"]);
    let run = run
        .arg(stop)
        .env("SHARE", "//acct1.file.contoso.cloud.example/free")
        .env("LOCAL", local)
        .env("CCACHE", world.path(Place::Client, "bob.ccache"));
    let mut service = world.service(Place::Client, "bob writes", &run)?;
    service.wait_for_line("putting file", LIMIT)?;
    Ok(service)
}
