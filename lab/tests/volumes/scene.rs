//! The world of these tests: `acct1` is served from Btrfs, `acct2` from the ordinary scratch folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crossrealm_lab::story::Story;
use crossrealm_lab::{Disk, Failure, Output, PATIENCE, Place, Run, Service, until};
use serde_json::Value;

use super::snapshots;

/// Patience for a loaded machine; what is measured is printed.
pub(crate) const LIMIT: Duration = PATIENCE;
const PEOPLE: [&str; 2] = ["alice", "bob"];
/// The loop device's size: sparse, so that only what is written takes space.
const BTRFS_SIZE: &str = "6G";

/// The fields' order is the order of destruction.
pub(crate) struct Scene {
    pub hosts: Vec<Service>,
    pub disk: Disk,
    pub story: Story,
}

impl Scene {
    /// Cloud, trust, sync, workstation; two accounts, each with a host; people with tickets.
    pub(crate) fn set() -> Result<Self, Failure> {
        let story = Story::prepared()?;
        let path = |file| story.world.path(Place::Cloud, file);
        let disk = Disk::mount("btrfs", &[], BTRFS_SIZE, path("btrfs.img"), path("btrfs"))?;
        let mut scene = Self {
            hosts: Vec::new(),
            disk,
            story,
        };
        let world = &scene.story.world;
        world.add_cloud_host("acct2.file.contoso.cloud.example")?;
        scene.admin(&["storage-account", "create", "acct2"])?;
        for user in PEOPLE {
            let ccache = format!("{user}.ccache");
            world.kinit(user, &ccache, &scene.story.krb5_conf())?;
            for account in ["acct1", "acct2"] {
                let spn = format!("cifs/{account}.file.contoso.cloud.example");
                scene.story.user(user, "kvno").arg(spn).ok()?;
            }
        }
        let btrfs = scene.disk.at.clone();
        // What is there before the host ever ran is an ordinary folder.
        let old = scene.folder("old");
        fs::create_dir_all(&old)?;
        fs::write(old.join("before.txt"), "before")?;
        snapshots::prepare(&scene.snapshots(), "acct1")?;
        snapshots::prepare(&scene.ordinary_snapshots(), "acct2")?;
        fs::create_dir_all(scene.ordinary_snapshots().join("acct2/docs/daily.0"))?;
        for (account, data, port, snapshots) in [
            ("acct1", btrfs, 445, scene.snapshots()),
            ("acct2", scene.ordinary(), 1445, scene.ordinary_snapshots()),
        ] {
            let run = scene.server(account, &data, port)?;
            let run = run.arg("--snapshots").arg(snapshots);
            scene.start(account, &run)?;
        }
        Ok(scene)
    }

    /// The data of `acct2`.
    pub(crate) fn ordinary(&self) -> PathBuf {
        self.path("ordinary")
    }

    /// The snapshots of `acct1`, on the Btrfs of its data.
    pub(crate) fn snapshots(&self) -> PathBuf {
        self.disk.at.join("snapshots")
    }

    /// The snapshots of `acct2`.
    pub(crate) fn ordinary_snapshots(&self) -> PathBuf {
        self.path("ordinary-snapshots")
    }

    /// The folder of a share of `acct1`.
    pub(crate) fn folder(&self, share: &str) -> PathBuf {
        self.disk.at.join("acct1/shares").join(share)
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.story.world.path(Place::Cloud, file)
    }

    /// The command that serves an account.
    ///
    /// # Errors
    /// When its token cannot be created.
    pub(crate) fn server(&self, account: &str, data: &Path, port: u16) -> Result<Run, Failure> {
        let run = self.story.files_serve(account, "files")?;
        Ok(run
            .arg("--listen")
            .arg(format!("10.77.2.1:{port}"))
            .arg("--data")
            .arg(data))
    }

    /// A command where the program `btrfs` is not to be found. Other programs meet it as ever: the mount is in the name space
    /// of the one that `ip netns exec` makes.
    pub(crate) fn without_btrfs(&self, run: &Run) -> Run {
        let hide = "mount --bind /dev/null \"$(command -v btrfs)\"";
        let shell = self.story.world.at(Place::Cloud, "sh");
        let shell = shell
            .arg("-c")
            .arg(format!("{hide} && exec {}", run.line()));
        // The program that is hidden must be the host's.
        self.story.with_settings(shell.on_host_samba())
    }

    /// Starts a host, and waits until it serves.
    pub(crate) fn start(&mut self, account: &str, run: &Run) -> Result<(), Failure> {
        let mut host = self.story.world.service(Place::Cloud, account, run)?;
        let outcome = host.wait_for_line(&format!("serving {account}.file"), LIMIT);
        self.hosts.push(host);
        outcome.map(drop)
    }

    /// Stops the host of an account.
    pub(crate) fn stop(&mut self, account: &str) -> Result<(), Failure> {
        let at = self.hosts.iter().position(|host| host.name() == account);
        let at = at.ok_or_else(|| Failure::new(format!("no host of {account} runs")))?;
        self.hosts.remove(at).stop(PATIENCE)
    }

    /// What the hosts of an account wrote.
    pub(crate) fn said(&self, account: &str) -> String {
        let own = self.hosts.iter().filter(|host| host.name() == account);
        own.map(|host| host.log_from(0)).collect()
    }

    /// Runs an administrator's command, which must succeed.
    pub(crate) fn admin(&self, words: &[&str]) -> Result<Output, Failure> {
        self.story.crossrealm(Place::Admin).args(words).ok()
    }

    /// Makes a share for everybody who is given, who may do everything there.
    pub(crate) fn share(&self, name: &str, more: &[&str], people: &[&str]) -> Result<(), Failure> {
        let words = ["share", "create", name];
        self.admin(&[&words, more].concat())?;
        for user in people {
            let role = "elevated-contributor";
            self.admin(&["share", "grant", name, "--to", user, "--role", role])?;
        }
        Ok(())
    }

    /// `smbclient` of a user on `ACCOUNT/SHARE`.
    pub(crate) fn smb(&self, user: &str, share: &str, commands: &str) -> Run {
        let (account, name) = share.split_once('/').unwrap_or((share, ""));
        let port = if account == "acct1" { "445" } else { "1445" };
        let world = &self.story.world;
        let ccache = world.path(Place::Client, &format!("{user}.ccache"));
        let run = self.story.user(user, "smbclient");
        run.arg(format!("//{account}.file.contoso.cloud.example/{name}"))
            .arg("--use-kerberos=required")
            .arg(format!("--use-krb5-ccache={}", ccache.display()))
            .args(["-p", port, "-c", commands])
    }

    /// What the hosts say of the quota of a share, as `share list` reports it.
    pub(crate) fn listed(&self, share: &str) -> Result<Value, Failure> {
        let (account, name) = share.split_once('/').unwrap_or((share, ""));
        let list = self
            .admin(&["-o", "json", "share", "list", account])?
            .json()?;
        let found = list.as_array().into_iter().flatten();
        let mut found = found.filter(|share| share["name"] == name);
        found
            .next()
            .cloned()
            .ok_or_else(|| Failure::new(format!("no share {share} in {list}")))
    }

    /// Waits until the first host of the account says of the share's quota what is wanted.
    pub(crate) fn until_reported(
        &self,
        share: &str,
        is: impl Fn(&Value) -> bool,
    ) -> Result<Value, Failure> {
        let mut last = Value::Null;
        let reported = self.until("the host reports the quota", |scene| {
            last = scene.listed(share)?;
            let said = last["quota_on_hosts"][0].clone();
            Ok(is(&said).then_some(said))
        });
        reported.map_err(|failure| failure.with(last))
    }

    /// Waits until a command says what is expected: changes take a moment to reach the host.
    pub(crate) fn until_says(&self, run: &Run, what: &str) -> Result<Output, Failure> {
        let mut last = None;
        let found = self.until(what, |_| {
            let output = run.output()?;
            let found = output.both().contains(what);
            last = Some(output.both());
            Ok(found.then_some(output))
        });
        found.map_err(|failure| failure.with(last.unwrap_or_default()))
    }

    /// Waits until something is there.
    pub(crate) fn until<T>(
        &self,
        what: &str,
        mut is: impl FnMut(&Self) -> Result<Option<T>, Failure>,
    ) -> Result<T, Failure> {
        until(what, LIMIT, || is(self))
    }

    pub(crate) fn with_logs(&self, failure: Failure) -> Failure {
        let tails = self.hosts.iter().map(Service::log_tail);
        let failure = tails.fold(self.story.with_logs(failure), Failure::with);
        let log = self.path("acct1-files.state").join("log/samba.log");
        let samba = String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned();
        let lines: Vec<&str> = samba.lines().collect();
        failure.with(lines[lines.len().saturating_sub(40)..].join("\n"))
    }
}
