//! The world of these tests: the story up to a configured workstation, with people signed in, and hands for them.

use std::path::PathBuf;
use std::time::Duration;

use crossrealm_lab::story::{FILES_HOST, SPN, Story};
use crossrealm_lab::{Failure, Output, PATIENCE, Place, Run, until};

/// A change is seen within two seconds; the rest is patience for a loaded machine.
pub(crate) const CHANGE_LIMIT: Duration = PATIENCE;
/// Who comes with a ticket. alice is in Sales, which is in AllStaff; bob is in neither.
const PEOPLE: [&str; 2] = ["alice", "bob"];

/// The world.
pub(crate) struct Scene {
    pub story: Story,
}

impl Scene {
    /// Sets up cloud, trust, sync, the account `acct1` with its host, and the workstation; signs people in.
    pub(crate) fn set() -> Result<Self, Failure> {
        let mut story = Story::prepared()?;
        story.play_steps(&["files_serve"])?;
        let scene = Self { story };
        for user in PEOPLE {
            scene.sign_in(user)?;
        }
        Ok(scene)
    }

    /// A fresh sign-in of a user, with a ticket for the host.
    pub(crate) fn sign_in(&self, user: &str) -> Result<(), Failure> {
        let cache = format!("{user}.ccache");
        self.story
            .world
            .kinit(user, &cache, &self.story.krb5_conf())?;
        self.story.user(user, "kvno").arg(SPN).ok().map(drop)
    }

    /// The product's command of an administrator, away from the SMB host.
    pub(crate) fn admin(&self, words: &[&str]) -> Run {
        self.story.crossrealm(Place::Admin).args(words)
    }

    /// The product's command of the SMB host's administrator, on the data of the host.
    pub(crate) fn on_host(&self, words: &[&str]) -> Run {
        let run = self.story.crossrealm(Place::Cloud).args(words);
        run.arg("--data").arg(self.data())
    }

    /// The data of the host.
    pub(crate) fn data(&self) -> PathBuf {
        self.story.world.path(Place::Cloud, "files")
    }

    /// A file of a share, on the host's disk.
    pub(crate) fn on_disk(&self, share: &str, file: &str) -> PathBuf {
        self.data().join("acct1/shares").join(share).join(file)
    }

    /// The permissions on disk, byte for byte.
    pub(crate) fn attribute(&self, share: &str, file: &str) -> Result<String, Failure> {
        let run = Run::here("getfattr").args(["--absolute-names", "-e", "hex", "--only-values"]);
        let run = run.args(["-n", "security.NTACL"]);
        let output = run.arg(self.on_disk(share, file)).ok()?;
        Ok(output.stdout.iter().map(|b| format!("{b:02x}")).collect())
    }

    /// A program of Samba's for a user on a share: encrypted SMB, with their tickets and no password.
    fn with_ticket(&self, user: &str, program: &str, share: &str) -> Run {
        let ccache = self
            .story
            .world
            .path(Place::Client, &format!("{user}.ccache"));
        self.story
            .user(user, program)
            .arg(format!("//{FILES_HOST}/{share}"))
            .arg("--use-kerberos=required")
            .arg(format!("--use-krb5-ccache={}", ccache.display()))
    }

    /// `smbclient` of a user.
    pub(crate) fn smbclient(&self, user: &str, share: &str, commands: &str) -> Run {
        self.with_ticket(user, "smbclient", share)
            .args(["-c", commands])
    }

    /// `smbcacls` of a user.
    pub(crate) fn smbcacls(&self, user: &str, share: &str, words: &[&str]) -> Run {
        self.with_ticket(user, "smbcacls", share).args(words)
    }

    /// `smbtorture` of a user.
    pub(crate) fn smbtorture(&self, user: &str, share: &str, words: &[&str]) -> Run {
        self.with_ticket(user, "smbtorture", share).args(words)
    }

    /// Makes a share and waits until the host serves it to bob, who gets everything there.
    pub(crate) fn share(&self, name: &str) -> Result<(), Failure> {
        let full = format!("acct1/{name}");
        self.admin(&["share", "create", &full]).ok()?;
        self.grant(name, "bob", "elevated-contributor")
    }

    /// Gives a role on a share.
    pub(crate) fn grant(&self, share: &str, to: &str, role: &str) -> Result<(), Failure> {
        let share = format!("acct1/{share}");
        let words = ["share", "grant", &share, "--to", to, "--role", role];
        self.admin(&words).ok().map(drop)
    }

    /// Runs a command again and again until it says what is expected: changes take a moment to reach the host.
    pub(crate) fn until(
        &self,
        run: &Run,
        what: &str,
        expected: impl Fn(&Output) -> bool,
    ) -> Result<Output, Failure> {
        let mut last = None;
        let answer = until(what, CHANGE_LIMIT, || {
            let output = run.output()?;
            if expected(&output) {
                return Ok(Some(output));
            }
            last = Some(output);
            Ok(None)
        });
        answer.map_err(|failure| last.map_or(failure, |output| output.failure(what)))
    }

    /// Waits until the host serves a share to a user.
    pub(crate) fn until_served(&self, user: &str, share: &str) -> Result<(), Failure> {
        let ls = self.smbclient(user, share, "ls");
        let what = "was expected to be served";
        self.until(&ls, what, |output| output.code == Some(0))
            .map(drop)
    }
}
