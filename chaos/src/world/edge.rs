//! What stands around the nodes: the SMB host on a disk that can be full, and the sync agent.

use std::path::PathBuf;

use crossrealm_lab::story::Story;
use crossrealm_lab::{Clock, DOMAIN, Failure, Place, Run};

use super::clock;
use super::program::Program;

/// The size of the SMB host's disk.
const DISK: &str = "128M";
/// How often the agent looks at AD.
const INTERVAL: &str = "1s";

/// The fields' order is the order of destruction.
pub(crate) struct Edge {
    pub(crate) host: Program,
    pub(crate) agent: Program,
    host_clock: Clock,
    agent_clock: Clock,
    disk: Disk,
}

/// An ext4 on a file; taken away when it is dropped.
struct Disk(PathBuf);

impl Disk {
    fn make(story: &Story) -> Result<Self, Failure> {
        let at = story.world.path(Place::Cloud, "files");
        let image = story.world.path(Place::Cloud, "files.img");
        std::fs::create_dir(&at)?;
        Run::here("truncate").args(["-s", DISK]).arg(&image).ok()?;
        Run::here("mkfs.ext4").arg("-q").arg(&image).ok()?;
        let mount = Run::here("mount").args(["-o", "loop"]).arg(&image);
        mount.arg(&at).ok()?;
        Ok(Self(at))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Run::here("umount").arg("--lazy").arg(&self.0).output();
    }
}

impl Edge {
    pub(crate) fn start(story: &Story) -> Result<Self, Failure> {
        let words = ["-o", "json", "connector", "create", "--domain", DOMAIN];
        let made = story.crossrealm(Place::Admin).args(words).ok()?.json()?;
        let token = made["token"].as_str().unwrap_or_default().to_owned();
        story.world.write(Place::Admin, "connector.token", token)?;
        let own = Self {
            host: Program::default(),
            agent: Program::default(),
            host_clock: clock(&story.world, "host")?,
            agent_clock: clock(&story.world, "agent")?,
            disk: Disk::make(story)?,
        };
        own.start_host(story, None)?;
        own.start_agent(story, None)?;
        Ok(own)
    }

    /// Starts the SMB host in the place of the one that runs; with a clock that is so many seconds ahead.
    pub(crate) fn start_host(&self, story: &Story, ahead_s: Option<i64>) -> Result<(), Failure> {
        let run = story.files_serve("acct1", "files")?;
        let run = run.arg("--data").arg(&self.disk.0);
        let run = set(&self.host_clock, run, ahead_s)?;
        self.host.start(&story.world, "host", &run, "serving acct1")
    }

    /// The same for the agent.
    pub(crate) fn start_agent(&self, story: &Story, ahead_s: Option<i64>) -> Result<(), Failure> {
        self.agent.kill();
        let token = std::fs::read_to_string(story.world.path(Place::Admin, "connector.token"))?;
        let words = ["sync", "run", "--interval", INTERVAL];
        let run = story
            .with_domain_admin(&words)?
            .env("CROSSREALM_TOKEN", token);
        let run = set(&self.agent_clock, run, ahead_s)?;
        let service = story.world.service(Place::Admin, "agent", &run)?;
        self.agent.is(service);
        Ok(())
    }

    /// Sets all clocks right that run programs have.
    pub(crate) fn set_clocks_right(&self) -> Result<(), Failure> {
        self.host_clock.is_ahead(0, 0)?;
        self.agent_clock.is_ahead(0, 0)
    }

    /// Fills the SMB host's disk to the last block that it gives.
    pub(crate) fn fill_disk(&self) -> Result<(), Failure> {
        let fill = Run::here("sh").args(["-c", "cat /dev/zero > \"$1\"", "sh"]);
        fill.arg(self.disk.0.join("filler")).refused(1).map(drop)
    }

    pub(crate) fn free_disk(&self) -> Result<(), Failure> {
        Ok(std::fs::remove_file(self.disk.0.join("filler"))?)
    }
}

/// The command with a clock that is so many seconds ahead, if any.
fn set(clock: &Clock, run: Run, ahead_s: Option<i64>) -> Result<Run, Failure> {
    match ahead_s {
        Some(seconds) => {
            clock.is_ahead(seconds, 0)?;
            Ok(clock.of(run))
        }
        None => Ok(run),
    }
}
