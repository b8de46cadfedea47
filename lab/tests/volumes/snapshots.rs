//! Previous versions: real snapshots of Btrfs, and folders that are called like snapshots elsewhere. The product makes none;
//! the tests do, as an administrator's timer would.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crossrealm_lab::{Failure, Place, Run};

use super::scene::Scene;

/// When the snapshot is said to have been made.
const WHEN: &str = "@GMT-2026.01.31-23.59.59";

/// Makes the folder for the snapshots of an account, as the documentation says.
pub(crate) fn prepare(folder: &Path, account: &str) -> Result<(), Failure> {
    for (path, mode) in [(folder.to_owned(), 0o700), (folder.join(account), 0o755)] {
        fs::create_dir_all(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
    }
    Ok(())
}

pub(crate) fn all(scene: &mut Scene) -> Result<(), Failure> {
    folders_that_cannot_be_are_refused(scene)?;
    for account in ["acct1", "acct2"] {
        Case::set(scene, account)?.play()?;
    }
    let log = scene.said("acct2");
    assert!(
        log.contains("daily.0` is not shown as a previous version"),
        "{log}"
    );
    Ok(())
}

fn folders_that_cannot_be_are_refused(scene: &Scene) -> Result<(), Failure> {
    let file = scene.path("no-folder");
    fs::write(&file, "")?;
    let open = scene.path("open");
    prepare(&open, "acct1")?;
    fs::set_permissions(&open, Permissions::from_mode(0o755))?;
    let closed = scene.path("closed");
    prepare(&closed, "acct1")?;
    fs::set_permissions(closed.join("acct1"), Permissions::from_mode(0o700))?;
    let empty = scene.path("empty");
    prepare(&empty, "acct9")?;
    let data = scene.path("snapshot-data");
    let inside = data.join("acct1/shares");
    prepare(&inside, "acct1")?;
    for (folder, reason, hint) in [
        (scene.path("gone"), "No such file", "install -d -m 700"),
        (
            empty,
            "acct1` cannot be served: No such file",
            "install -d -m 755",
        ),
        (file, "it is not a directory", "give the directory itself"),
        (open, "local users can enter it", "chmod 700"),
        (closed, "smbd cannot read it", "chmod 755"),
        (
            inside,
            "it overlaps the files of the shares",
            "outside the data directory",
        ),
    ] {
        let run = scene.story.files_serve("acct1", "refused")?;
        let run = run.args(["--listen", "10.77.2.1:2445"]);
        let run = run.arg("--data").arg(&data);
        // The folder of the shares is made open to smbd at each start, and is closed by the one above.
        if folder.ends_with("shares") {
            Run::here("chmod").arg("700").arg(&folder).ok()?;
        }
        let output = run.arg("--snapshots").arg(&folder).refused(1)?;
        let known = folder.ends_with("shares") && output.err().contains("local users can enter it");
        if !known {
            output.says(reason)?.says(hint)?;
        }
    }
    Ok(())
}

/// A share with a file that changed and one that was closed, and a snapshot from before.
struct Case<'a> {
    scene: &'a Scene,
    share: String,
    /// The folder of the share's snapshots.
    snapshots: PathBuf,
}

impl<'a> Case<'a> {
    fn set(scene: &'a Scene, account: &str) -> Result<Self, Failure> {
        let share = format!("{account}/docs");
        scene.share(&share, &[], &["alice", "bob"])?;
        let (data, snapshots) = match account {
            "acct1" => (scene.disk.at.clone(), scene.snapshots()),
            _ => (scene.ordinary(), scene.ordinary_snapshots()),
        };
        let folder = data.join(account).join("shares/docs");
        let case = Self {
            scene,
            share,
            snapshots: snapshots.join(account).join("docs"),
        };
        scene.until_says(&case.smb("alice", "ls"), "blocks available")?;
        case.put("report.txt", "the first version")?;
        case.put("secret.txt", "for alice alone")?;
        let alone = [
            "share",
            "acl",
            &case.share,
            "/secret.txt",
            "--inherit",
            "no",
        ];
        let acl = |words: &[&str]| {
            let run = scene.story.crossrealm(Place::Cloud).args(words);
            run.arg("--data").arg(&data).ok()
        };
        let only = [
            "--grant",
            "alice:full",
            "--revoke",
            "Authenticated Users",
            "--revoke",
            "BUILTIN\\Users",
        ];
        acl(&[&alone[..], &only].concat())?;
        // As the documentation's timer does it.
        Run::here("mkdir").arg("-p").arg(&case.snapshots).ok()?;
        let snapshot = case.snapshots.join(WHEN);
        if account == "acct1" {
            let run = Run::here("btrfs").args(["subvolume", "snapshot", "-r"]);
            run.arg(&folder).arg(&snapshot).ok()?;
        } else {
            Run::here("cp").arg("-a").arg(&folder).arg(&snapshot).ok()?;
            symlink("/etc/passwd", snapshot.join("passwd"))?;
            symlink("/etc", snapshot.join("etc"))?;
            symlink("../../../..", snapshot.join("up"))?;
        }
        case.put("report.txt", "the second version")?;
        acl(&[
            "share",
            "acl",
            &case.share,
            "/secret.txt",
            "--grant",
            "bob:read",
        ])?;
        Ok(case)
    }

    fn play(&self) -> Result<(), Failure> {
        let old = |file: &str| format!("{WHEN}\\{file}");
        // Who may read the file sees its versions, and reads each of them.
        let info = self.smb("alice", "allinfo report.txt");
        self.scene.until_says(&info, WHEN)?;
        assert_eq!(self.get("alice", &old("report.txt"))?, "the first version");
        assert_eq!(self.get("bob", &old("report.txt"))?, "the first version");
        assert_eq!(self.get("alice", "report.txt")?, "the second version");
        info.ok()?.does_not_say("daily")?;
        let list = self.smb("alice", &format!("ls {WHEN}\\*"));
        list.ok()?.says("report.txt")?.says("secret.txt")?;
        // The permissions that the file had then hold for what it was then.
        assert_eq!(self.get("bob", "secret.txt")?, "for alice alone");
        assert_eq!(self.get("alice", &old("secret.txt"))?, "for alice alone");
        self.denied("bob", &format!("get {} /dev/null", old("secret.txt")))?;
        self.nothing_is_written()?;
        self.no_link_leads_out()?;
        self.a_role_that_is_gone_is_gone_for_the_past()
    }

    fn nothing_is_written(&self) -> Result<(), Failure> {
        let world = &self.scene.story.world;
        let local = world.write(Place::Client, "late.txt", "late")?;
        let local = local.display();
        for command in [
            format!("put {local} {WHEN}\\report.txt"),
            format!("put {local} {WHEN}\\late.txt"),
            format!("del {WHEN}\\report.txt"),
            format!("mkdir {WHEN}\\late"),
            format!("rename {WHEN}\\report.txt {WHEN}\\other.txt"),
            format!("setmode {WHEN}\\report.txt +h"),
        ] {
            self.denied("alice", &command)?;
        }
        let snapshot = self.snapshots.join(WHEN);
        assert_eq!(
            fs::read_to_string(snapshot.join("report.txt"))?,
            "the first version"
        );
        assert!(!snapshot.join("late.txt").exists() && !snapshot.join("late").exists());
        assert_eq!(self.get("alice", "report.txt")?, "the second version");
        Ok(())
    }

    fn no_link_leads_out(&self) -> Result<(), Failure> {
        for (name, target) in [
            ("@GMT-2001.01.01-00.00.00", "/etc"),
            ("@GMT-2002.01.01-00.00.00", "/run/samba/host"),
            ("@GMT-2003.01.01-00.00.00", "../../.."),
        ] {
            symlink(target, self.snapshots.join(name))?;
        }
        for path in [
            "@GMT-2001.01.01-00.00.00\\passwd",
            "@GMT-2002.01.01-00.00.00\\smb.conf",
            "@GMT-2003.01.01-00.00.00\\samba\\host\\smb.conf",
        ] {
            self.denied("alice", &format!("get {path} /dev/null"))?;
        }
        for path in ["passwd", "etc\\passwd", "up\\host\\smb.conf"] {
            self.denied("alice", &format!("get {WHEN}\\{path} /dev/null"))?;
        }
        Ok(())
    }

    fn a_role_that_is_gone_is_gone_for_the_past(&self) -> Result<(), Failure> {
        let words = ["share", "revoke", &self.share, "--from", "bob"];
        self.scene.admin(&words)?;
        let get = self.smb("bob", &format!("get {WHEN}\\report.txt /dev/null"));
        self.scene
            .until_says(&get, "NT_STATUS_ACCESS_DENIED")
            .map(drop)
    }

    fn smb(&self, user: &str, commands: &str) -> Run {
        self.scene.smb(user, &self.share, commands)
    }

    fn put(&self, name: &str, content: &str) -> Result<(), Failure> {
        let local = self.scene.story.world.write(Place::Client, name, content)?;
        self.smb("alice", &format!("put {} {name}", local.display()))
            .ok()
            .map(drop)
    }

    fn get(&self, user: &str, path: &str) -> Result<String, Failure> {
        let back = self.scene.story.world.path(Place::Client, "version");
        let _ = fs::remove_file(&back);
        self.smb(user, &format!("get {path} {}", back.display()))
            .ok()?;
        Ok(fs::read_to_string(&back)?)
    }

    /// The command is refused by the server.
    fn denied(&self, user: &str, command: &str) -> Result<(), Failure> {
        let output = self.smb(user, command).output()?;
        match output.both().contains("NT_STATUS_") {
            true => Ok(()),
            false => Err(output.failure("was expected to be refused")),
        }
    }
}
