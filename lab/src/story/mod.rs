//! The main job, end to end: a person signed in to Active Directory opens a file share in the cloud.
//!
//! One list of steps ([`STEPS`]) is played by the demo, which explains each hop, and by the end-to-end test, which
//! reports each step under its name. Everything goes through the product's command line, MIT's Kerberos tools and Samba's
//! client; Active Directory is asked with Samba's own tools, as an independent witness.

mod account;
mod cloud_side;
mod steps;
mod trace;
mod user_side;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use account::Account;

use crate::child::Service;
use crate::net::Place;
use crate::product::build_product;
use crate::run::{Failure, Output, Run};
use crate::wait::PATIENCE;
use crate::world::World;

/// The tenant's name.
pub const TENANT: &str = "contoso";
/// The realm the tenant gets.
pub const CLOUD_REALM: &str = "KERBEROS.CONTOSO.CLOUD.EXAMPLE";
/// The service's address.
pub const SERVER: &str = "https://login.cloud.example";
/// The storage account's host.
pub const FILES_HOST: &str = "acct1.file.contoso.cloud.example";
/// What clients ask a ticket for.
pub const SPN: &str = "cifs/acct1.file.contoso.cloud.example";
/// The share as smbclient names it.
pub const SHARE: &str = "//acct1.file.contoso.cloud.example/projects";

/// What makes a service with a tenant, before anything is said to Active Directory.
pub const TENANT_STEPS: &[&str] = &["the_wall", "init_and_serve", "tenant_create"];
/// What leads from there to a share and a workstation that finds it; the SMB host is the step `files_serve`.
pub const TRUST_STEPS: &[&str] = &[
    "trust_is_set",
    "sync_once",
    "share_is_granted",
    "client_config",
];

/// One step of the story.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// The name its test has.
    pub name: &'static str,
    /// What happens, for people.
    pub title: &'static str,
    /// What it means, for people; may be empty.
    pub why: &'static str,
    /// Does it and asserts it.
    pub play: fn(&mut Story) -> Result<(), Failure>,
}

pub use steps::STEPS;

/// The world with the product in it, and how far the story has come.
#[derive(Debug)]
pub struct Story {
    /// The cloud's KDC proxy and API, while it runs.
    pub cloud: Option<Service>,
    /// The SMB host, while it runs.
    pub files: Option<Service>,
    /// The world it all happens in.
    pub world: World,
    /// The account so far.
    pub account: Account,
    binary: PathBuf,
    token: String,
}

impl Story {
    /// Starts a world for this binary. Nothing of the product runs yet.
    ///
    /// # Errors
    /// When the world cannot start.
    pub fn begin(binary: &Path, account: Account) -> Result<Self, Failure> {
        account.say("Starting the test world: four network namespaces and a real Samba AD domain controller …");
        let world = World::start()?;
        account.say(&format!(
            "… it answered after {:.1} s\n",
            world.started_in().as_secs_f64()
        ));
        Ok(Self::begin_in(world, binary, account))
    }

    /// The same in a world that has started.
    pub fn begin_in(world: World, binary: &Path, mut account: Account) -> Self {
        account.leave_out(world.scratch());
        Self {
            cloud: None,
            files: None,
            world,
            account,
            binary: binary.into(),
            token: String::new(),
        }
    }

    /// A world with the product as built, silently played up to a workstation that finds a share in the cloud. The SMB
    /// host is left to the caller.
    ///
    /// # Errors
    /// When the product cannot be built, or anything is not as the story says; with all logs.
    pub fn prepared() -> Result<Self, Failure> {
        let mut story = Self::begin(&build_product()?, Account::silent())?;
        story.play_steps(TENANT_STEPS)?;
        story.play_steps(TRUST_STEPS)?;
        Ok(story)
    }

    /// Plays the steps of these names, in this order.
    ///
    /// # Errors
    /// When a step has another name, or anything is not as the story says; with all logs.
    pub fn play_steps(&mut self, names: &[&str]) -> Result<(), Failure> {
        for name in names {
            let at = STEPS.iter().position(|step| step.name == *name);
            let at = at.ok_or_else(|| Failure::new(format!("the story has no step `{name}`")))?;
            self.play(at + 1, &STEPS[at])?;
        }
        Ok(())
    }

    /// Plays one step; a failure comes with the logs of everything that runs.
    ///
    /// # Errors
    /// When anything is not as the story says.
    pub fn play(&mut self, number: usize, step: &Step) -> Result<(), Failure> {
        self.account.heading(number, step);
        let outcome = (step.play)(self);
        outcome.map_err(|failure| self.with_logs(failure))
    }

    /// A failure with the tails of all logs.
    pub fn with_logs(&self, failure: Failure) -> Failure {
        let services = [&self.cloud, &self.files];
        let tails = services.into_iter().flatten().map(Service::log_tail);
        tails
            .fold(failure, Failure::with)
            .with(self.world.dc_log_tail())
    }

    /// The product's command at a place, as an administrator who has the bootstrap token.
    pub fn crossrealm(&self, place: Place) -> Run {
        self.with_settings(self.bare(place))
    }

    /// Any command with the product's settings: its address, its authority, the tenant, the bootstrap token.
    pub fn with_settings(&self, run: Run) -> Run {
        run.env("CROSSREALM_SERVER", SERVER)
            .env("CROSSREALM_TENANT", TENANT)
            .env("CROSSREALM_CA", self.ca())
            .env("CROSSREALM_TOKEN", &self.token)
    }

    /// `crossrealm files serve` for an account, with the token of this host, which is created once, and the host's own state.
    ///
    /// # Errors
    /// When the token cannot be created.
    pub fn files_serve(&self, account: &str, host: &str) -> Result<Run, Failure> {
        let name = format!("{account}-{host}.token");
        let token = self.world.path(Place::Cloud, &name);
        if !token.exists() {
            let words = ["storage-account", "host-token", account, "--for", host];
            let make = self.crossrealm(Place::Cloud).args(words);
            make.arg("--out").arg(&token).ok()?;
        }
        let run = self.crossrealm(Place::Cloud).env("CROSSREALM_TOKEN", "");
        let run = run.arg("--token-file").arg(token);
        let run = run.args(["files", "serve", "--account", account]);
        let run = run.on_host_samba();
        let state = format!("{account}-{host}.state");
        Ok(run
            .arg("--state")
            .arg(self.world.path(Place::Cloud, &state)))
    }

    /// The product's command without any of its settings.
    pub fn bare(&self, place: Place) -> Run {
        self.world.at(place, &self.binary)
    }

    /// The product's binary.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// The tenant administrator's command with the credentials of the domain's administrator.
    ///
    /// # Errors
    /// When the password's file cannot be written.
    pub fn with_domain_admin(&self, words: &[&str]) -> Result<Run, Failure> {
        let password =
            self.world
                .write(Place::Admin, "domain-admin.password", crate::ADMIN_PASSWORD)?;
        let run = self
            .crossrealm(Place::Admin)
            .args(words)
            .args(["--domain", crate::DOMAIN]);
        Ok(run
            .arg("--domain-user")
            .arg(format!("administrator@{}", crate::DOMAIN))
            .arg("--domain-password-file")
            .arg(password))
    }

    /// Runs a command that must succeed and adds it to the account.
    ///
    /// # Errors
    /// When it fails.
    pub fn hop(&mut self, to: &str, asks: &str, run: &Run) -> Result<Output, Failure> {
        let output = run.ok()?;
        self.account.hop(to, asks, &output);
        Ok(output)
    }

    /// Runs a command that must be refused with exit code 1 and this text, and adds it to the account.
    ///
    /// # Errors
    /// When it succeeds, or says something else.
    pub fn refusal(
        &mut self,
        to: &str,
        asks: &str,
        run: &Run,
        says: &str,
    ) -> Result<Output, Failure> {
        let output = run.refused(1)?;
        output.says(says)?;
        self.account.hop(to, asks, &output);
        Ok(output)
    }

    /// The newest event's place in the order of recording, 0 where there is none: a mark for [`Story::refused_because`].
    ///
    /// # Errors
    /// When the events cannot be read.
    pub fn event_mark(&self) -> Result<i64, Failure> {
        let events = self.events()?.json()?;
        let last = events.as_array().and_then(|events| events.last());
        Ok(last
            .and_then(|event| event["sequence"].as_i64())
            .unwrap_or(0))
    }

    /// Expects that a ticket was refused for this reason since the mark, and returns the event as JSON.
    ///
    /// # Errors
    /// When no such event shows up within some seconds: events are written beside the path of a ticket.
    pub fn refused_because(&self, reason: &str, mark: i64) -> Result<serde_json::Value, Failure> {
        let began = Instant::now();
        loop {
            let output = self.events()?;
            let events = output.json()?;
            let mut fresh = events
                .as_array()
                .into_iter()
                .flatten()
                .filter(|event| event["sequence"].as_i64() > Some(mark));
            if let Some(event) =
                fresh.find(|event| event["outcome"] == "refused" && event["reason"] == reason)
            {
                return Ok(event.clone());
            }
            if began.elapsed() > PATIENCE {
                return Err(output.failure(&format!(
                    "was expected to show a refusal with the reason `{reason}` behind {mark}"
                )));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn events(&self) -> Result<Output, Failure> {
        self.crossrealm(Place::Admin)
            .args(["-o", "json", "events", "--since", "1h"])
            .ok()
    }

    /// The private authority of the service, as `init` left it.
    pub fn ca(&self) -> PathBuf {
        self.cloud_folder().join("tls/ca.pem")
    }

    /// The folder `init` made.
    pub fn cloud_folder(&self) -> PathBuf {
        self.world.path(Place::Cloud, "crossrealm")
    }

    /// The Kerberos configuration of the client, as `client config` wrote it.
    pub fn krb5_conf(&self) -> PathBuf {
        self.world.path(Place::Client, "krb5.conf")
    }

    /// A Kerberos or SMB command of a user at the client.
    pub fn user(&self, user: &str, program: &str) -> Run {
        self.world.as_user(
            self.world.at(Place::Client, program),
            &format!("{user}.ccache"),
            &self.krb5_conf(),
        )
    }

    /// `smbclient` of a user on the share, with their tickets and no password.
    pub fn smbclient(&self, user: &str, commands: &str) -> Run {
        let ccache = self.world.path(Place::Client, &format!("{user}.ccache"));
        let run = self
            .user(user, "smbclient")
            .arg(SHARE)
            .arg("--use-kerberos=required");
        run.arg(format!("--use-krb5-ccache={}", ccache.display()))
            .args(["-c", commands])
    }

    /// Starts the service in the cloud and waits until it answers.
    ///
    /// # Errors
    /// When it ends or does not listen in time.
    pub fn start_cloud(&mut self) -> Result<Duration, Failure> {
        self.start_cloud_with(&|run| run)
    }

    /// The same with its command changed: another environment, say.
    ///
    /// # Errors
    /// As [`Story::start_cloud`].
    pub fn start_cloud_with(&mut self, change: &dyn Fn(Run) -> Run) -> Result<Duration, Failure> {
        let began = Instant::now();
        let run = self
            .bare(Place::Cloud)
            .arg("serve")
            .arg("--config")
            .arg(self.cloud_folder().join("crossrealm.toml"));
        let run = change(run);
        let mut service = self.world.service(Place::Cloud, "crossrealm serve", &run)?;
        service.wait_for_ports(&[443], PATIENCE)?;
        self.cloud = Some(service);
        Ok(began.elapsed())
    }

    /// Reads the bootstrap token that `init` left.
    ///
    /// # Errors
    /// When the file is not there.
    pub fn read_token(&mut self) -> Result<(), Failure> {
        self.token = std::fs::read_to_string(self.cloud_folder().join("admin.token"))?
            .trim()
            .to_owned();
        Ok(())
    }
}

/// Plays the whole story aloud.
///
/// # Errors
/// The first step that is not as expected, with all logs.
pub fn tell(binary: &Path) -> Result<(), Failure> {
    let began = Instant::now();
    let account = Account::aloud();
    account.introduction();
    let mut story = Story::begin(binary, account)?;
    for (index, step) in STEPS.iter().enumerate() {
        story.play(index + 1, step)?;
    }
    let world = story.world.started_in().as_secs_f64();
    let took = began.elapsed().as_secs_f64();
    story.account.say(&format!("\nEvery step was as it should be. {took:.1} s in all, {world:.1} s of it for the test world"));
    Ok(())
}
