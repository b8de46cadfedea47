//! Setting the scene: the lab's story as far as the first ticket, then what forgers need: a second tenant, users of every
//! kind, their genuine referrals, the trusts' secrets and the services' keytabs.

use std::path::Path;
use std::time::{Duration, Instant};

use crossrealm_lab::story::{Account, CLOUD_REALM, FILES_HOST, SERVER, Story, TENANT, TRUST_STEPS};
use crossrealm_lab::{ADMIN_PASSWORD, DOMAIN, Failure, Place, REALM, USER_PASSWORD};
use serde_json::{Value, json};

use crate::{Options, forge};

/// The second tenant that the same domain trusts.
pub(crate) const OTHER_TENANT: &str = "other";
/// Its realm.
pub(crate) const OTHER_REALM: &str = "KERBEROS.OTHER.CLOUD.EXAMPLE";

/// Its realm.
const ROTATION_REALM: &str = "KERBEROS.ROTATION.CLOUD.EXAMPLE";
/// The tenant whose keys are rotated; the examiner makes it by the REST interface.
pub(crate) const ROTATION_TENANT: &str = "rotation";

/// A further host name of a storage account, as a company's own domain gives it.
const ALIAS: &str = "files.contoso.com";
/// A service that is no storage account.
const DATABASE: &str = "postgres/db.contoso.cloud.example";

/// The hosts of the web servers; `HTTP/…` is their service.
pub(crate) const APACHE_HOST: &str = "web.contoso.cloud.example";
pub(crate) const GOKRB5_HOST: &str = "go.contoso.cloud.example";

/// Users whose referrals are at hand, and what is special about them.
const USERS: &[&str] = &["alice", "bob", "müller", "mallory", "erin", "crowd"];
/// Born after the last sync.
const UNSYNCED: &str = "dana";

/// A running service with everything that is needed to attack it.
#[derive(Debug)]
pub struct Scene {
    /// The world with the service in it.
    pub story: Story,
    /// How long it took to get here.
    pub took: Duration,
    secrets: Value,
    cloud_only_sid: Value,
    token: String,
}

impl Scene {
    /// Starts a world and prepares it.
    ///
    /// # Errors
    /// When any part of it fails; with all logs.
    pub fn set(binary: &Path) -> Result<Self, Failure> {
        let began = Instant::now();
        let mut story = Story::begin(binary, Account::silent())?;
        let prepared = prepare(&mut story);
        let (secrets, cloud_only_sid) = prepared.map_err(|failure| story.with_logs(failure))?;
        let token = std::fs::read_to_string(story.cloud_folder().join("admin.token"))?
            .trim()
            .to_owned();
        Ok(Self {
            story,
            took: began.elapsed(),
            secrets,
            cloud_only_sid,
            token,
        })
    }

    /// The forger's input, as JSON.
    ///
    /// # Errors
    /// When a SID cannot be read.
    pub fn description(&self, options: &Options) -> Result<Value, Failure> {
        let world = &self.story.world;
        let mut referrals = serde_json::Map::new();
        for user in USERS.iter().chain(&[UNSYNCED, "administrator"]) {
            referrals.insert(
                (*user).into(),
                path(world.path(Place::Client, &ccache(user))),
            );
        }
        let mut sids = serde_json::Map::new();
        for name in [
            "alice",
            "bob",
            "müller",
            "mallory",
            "dana",
            "crowd",
            "Sales",
            "AllStaff",
            "Domain Users",
        ] {
            sids.insert(name.into(), world.sid_of(name)?.into());
        }
        Ok(json!({
            "words": options.words,
            "server": SERVER, "ca": path(self.story.ca()), "token": self.token,
            "addresses": { TENANT: "contoso.cloud.example", OTHER_TENANT: "other.cloud.example", ROTATION_TENANT: "rotation.cloud.example" },
            "tenant": TENANT, "realm": CLOUD_REALM, "other_tenant": OTHER_TENANT, "other_realm": OTHER_REALM,
            "rotation_tenant": ROTATION_TENANT, "rotation_realm": ROTATION_REALM,
            "store": path(self.story.cloud_folder().join("crossrealm.db")),
            "ad_realm": REALM, "domain": DOMAIN, "host": FILES_HOST,
            "keytabs": {
                FILES_HOST: path(world.path(Place::Client, "acct1.keytab")),
                ALIAS: path(world.path(Place::Client, "acct2.keytab")),
                "db.contoso.cloud.example": path(world.path(Place::Client, "postgres.keytab")),
            },
            "referrals": referrals, "sids": sids, "cloud_only_sid": self.cloud_only_sid, "secrets": self.secrets,
            "scratch": path(world.folder(Place::Client)),
        }))
    }
}

impl Scene {
    /// The trusts' passwords and the administrator's token: what must never appear anywhere.
    pub fn secrets(&self) -> Vec<String> {
        let passwords = self
            .secrets
            .as_object()
            .into_iter()
            .flat_map(|map| map.values());
        let passwords = passwords.filter_map(|value| value.as_str().map(str::to_owned));
        passwords.chain([self.token.clone()]).collect()
    }
}

/// The credential cache with a user's sign-in and referral.
pub(crate) fn ccache(user: &str) -> String {
    format!("{user}.referral.ccache")
}

fn path(path: std::path::PathBuf) -> Value {
    path.display().to_string().into()
}

/// Prepares everything; returns the trusts' secrets and the SID of a cloud-only user.
fn prepare(story: &mut Story) -> Result<(Value, Value), Failure> {
    start_cloud(story)?;
    for user in ["erin", "crowd"] {
        story
            .world
            .samba_tool(&["user", "create", user, USER_PASSWORD])
            .ok()?;
    }
    // The cloud was set up in a way of our own, with a port for Kerberos over TCP.
    story.play_steps(&["tenant_create"])?;
    story.play_steps(TRUST_STEPS)?;
    second_tenant(story)?;
    for user in USERS {
        sign_in(story, user, USER_PASSWORD, CLOUD_REALM)?;
    }
    sign_in(story, "administrator", ADMIN_PASSWORD, CLOUD_REALM)?;
    // They hold their referrals already: only the directory can refuse them now.
    story
        .world
        .samba_tool(&["user", "disable", "mallory"])
        .ok()?;
    story.world.samba_tool(&["user", "delete", "erin"]).ok()?;
    story.with_domain_admin(&["sync", "once"])?.ok()?;
    story
        .world
        .samba_tool(&["user", "create", UNSYNCED, USER_PASSWORD])
        .ok()?;
    sign_in(story, UNSYNCED, USER_PASSWORD, CLOUD_REALM)?;
    services(story)?;
    let secrets = forge::python(story, Place::Onprem)
        .arg("secrets")
        .arg(story.world.dc_folder())
        .ok()?
        .json()?;
    let cloud_only = "carol@contoso.cloud.example";
    story
        .crossrealm(Place::Admin)
        .args(["user", "create", cloud_only])
        .ok()?;
    let shown = story
        .crossrealm(Place::Admin)
        .args(["-o", "json", "user", "show", cloud_only])
        .ok()?
        .json()?;
    Ok((secrets, shown["user"]["sid"].clone()))
}

/// Another storage account with a host name beyond the tenant's domain, other kinds of services, and everybody's keytab.
fn services(story: &Story) -> Result<(), Failure> {
    let admin = |words: &[&str]| story.crossrealm(Place::Admin).args(words);
    admin(&["storage-account", "create", "acct2", "--alias", ALIAS]).ok()?;
    let web = [APACHE_HOST, GOKRB5_HOST].map(|host| format!("HTTP/{host}"));
    for service in [DATABASE, &web[0], &web[1]] {
        admin(&["service-principal", "create", service]).ok()?;
    }
    for host in [APACHE_HOST, GOKRB5_HOST] {
        story.world.add_cloud_host(host)?;
    }
    for (kind, name, file) in [
        ("storage-account", "acct1", "acct1.keytab"),
        ("storage-account", "acct2", "acct2.keytab"),
        ("service-principal", DATABASE, "postgres.keytab"),
        ("service-principal", &web[0], "web.keytab"),
        ("service-principal", &web[1], "go.keytab"),
    ] {
        let keytab = story.world.path(Place::Client, file);
        admin(&[kind, "keytab", name, "--out"]).arg(keytab).ok()?;
    }
    Ok(())
}

/// The cloud as the story has it, and Kerberos over TCP beside the KDC proxy.
fn start_cloud(story: &mut Story) -> Result<(), Failure> {
    let init = [
        "init",
        "--base-domain",
        "cloud.example",
        "--kdc-listen",
        "0.0.0.0:88",
        "--dir",
    ];
    story
        .bare(Place::Cloud)
        .args(init)
        .arg(story.cloud_folder())
        .ok()?;
    story.start_cloud()?;
    story.read_token()
}

fn second_tenant(story: &Story) -> Result<(), Failure> {
    story
        .crossrealm(Place::Admin)
        .args(["tenant", "create", OTHER_TENANT])
        .ok()?;
    let set = story.with_domain_admin(&["kerberos-server", "set", "--setup-cloud-trust"])?;
    set.env("CROSSREALM_TENANT", OTHER_TENANT).ok().map(drop)
}

/// A sign-in at the domain controller, and its referral to the tenant's realm.
fn sign_in(story: &Story, user: &str, password: &str, realm: &str) -> Result<(), Failure> {
    let conf = story.krb5_conf();
    let kinit = story
        .world
        .at(Place::Client, "kinit")
        .args(["-f", "-r", "7d", &format!("{user}@{REALM}")])
        .stdin(format!("{password}\n"));
    story.world.as_user(kinit, &ccache(user), &conf).ok()?;
    let kvno = story
        .world
        .at(Place::Client, "kvno")
        .arg(format!("krbtgt/{realm}"));
    story
        .world
        .as_user(kvno, &ccache(user), &conf)
        .ok()
        .map(drop)
}
