//! The world of the fault matrix, and how a fault is tried.

use crossrealm_lab::story::{Account, FILES_HOST, Story, TENANT_STEPS, TRUST_STEPS};
use crossrealm_lab::{DOMAIN, Failure, Output, Place, REALM, Run, USER_PASSWORD, build_product};
use crossrealm_testkit::json_times::times;
use serde_json::Value;

use crate::faults::FAULTS;
use std::path::{Path, PathBuf};

/// The share that should open.
pub(crate) const SHARE: &str = "acct1/projects";
/// What the doctor cannot look at on a workstation without more options.
const UNSEEN: [&str; 1] = ["joined"];

/// A thing to break.
pub(crate) struct Fault {
    /// Its name.
    pub name: &'static str,
    /// The check that must be named first.
    pub cause: &'static str,
    /// The reason of the refused ticket, where there is one; else empty.
    pub reason: &'static str,
    /// Breaks it, and gives the doctor's command line.
    pub breaks: fn(&mut Play) -> Result<Run, Failure>,
    /// Mends it.
    pub mends: fn(&mut Play) -> Result<(), Failure>,
}

pub(crate) struct Play {
    pub story: Story,
    /// The keytab of the account, as exported once.
    pub keytab: PathBuf,
}

impl Play {
    pub(crate) fn begin() -> Result<Self, Failure> {
        let mut story = Story::begin(&build_product()?, Account::silent())?;
        story.play_steps(TENANT_STEPS)?;
        let keytab = story.world.path(Place::Client, "acct1.keytab");
        Ok(Self { story, keytab })
    }

    /// F13: before there is a trust, the doctor prints the table of prerequisites.
    pub(crate) fn prerequisites_before_set_up(&self) -> Result<(), Failure> {
        let doctor = |form: &str| self.story.with_domain_admin(&["doctor", "-o", form]);
        let table = doctor("table")?.refused(1)?;
        for row in [
            "there    A tenant in the service",
            "there    The domain's functional level",
            "missing  A storage account in the tenant\n         the tenant has none",
            "missing  Users and groups of AD",
        ] {
            table.says(row)?;
        }
        table
            .says("NOT SET UP: ")?
            .says("crossrealm storage-account create NAME")?;
        let json = doctor("json")?.refused(1)?.json()?;
        assert_eq!(json["mode"], "prerequisites");
        assert_eq!(verdict(&json, "functional-level"), "passed");
        assert_eq!(verdict(&json, "port-dc-445"), "passed");
        assert_eq!(verdict(&json, "sync"), "failed");
        self.nothing_is_configured_yet()
    }

    /// F13: a computer that knows no service shows the same table, and no list of what was skipped.
    fn nothing_is_configured_yet(&self) -> Result<(), Failure> {
        let bare = self.story.bare(Place::Client).args(["doctor"]);
        let bare = bare.env("KRB5CCNAME", "FILE:/nonexistent");
        let output = bare.env("KRB5_CONFIG", "/dev/null").refused(1)?;
        output
            .says("NOT SET UP: ")?
            .says("unknown  A tenant in the service\n")?
            .says("give `--server https://login.BASE-DOMAIN")?
            .does_not_say("skipped")?
            .does_not_say("error:")?;
        match output.out().lines().count() {
            ..=25 => Ok(()),
            _ => Err(output.failure("was expected to fit a screen")),
        }
    }

    /// The story up to a configured workstation where alice, and others, are signed in.
    pub(crate) fn set_up(&mut self) -> Result<(), Failure> {
        self.people()?;
        self.story.play_steps(TRUST_STEPS)?;
        self.story.play_steps(&["files_serve"])?;
        for user in ["alice", "bob", "mallory", "crowd", "svc-sync"] {
            self.sign_in(user)?;
        }
        let admin = |words: &[&str]| {
            self.story
                .crossrealm(Place::Admin)
                .args(words)
                .ok()
                .map(drop)
        };
        for user in ["crowd", "svc-sync"] {
            admin(&["share", "grant", SHARE, "--to", user, "--role", "reader"])?;
        }
        let tool = |words: &[&str]| self.story.world.samba_tool(words).ok().map(drop);
        // The tenant learns that mallory is disabled, and not that she is enabled again; svc-sync is the other way round.
        tool(&["user", "disable", "mallory"])?;
        self.sync()?;
        tool(&["user", "enable", "mallory"])?;
        tool(&["user", "disable", "svc-sync"])?;
        for name in [
            "acct9.file.contoso.cloud.example",
            "files.elsewhere.example",
        ] {
            self.story.world.add_cloud_host(name)?;
        }
        // Ghost is made anew behind the sync's back, and dana came after it.
        tool(&["user", "delete", "ghost"])?;
        tool(&["user", "create", "ghost", USER_PASSWORD])?;
        tool(&["user", "create", "dana", USER_PASSWORD])?;
        self.sign_in("dana")?;
        let export = self.story.crossrealm(Place::Client).args([
            "storage-account",
            "keytab",
            "acct1",
            "--out",
        ]);
        export.arg(&self.keytab).ok().map(drop)
    }

    /// Somebody in more groups than a ticket holds.
    fn people(&self) -> Result<(), Failure> {
        let base = "DC=corp,DC=contoso,DC=com";
        self.story
            .world
            .samba_tool(&["user", "create", "crowd", USER_PASSWORD])
            .ok()?;
        self.story
            .world
            .samba_tool(&["user", "create", "ghost", USER_PASSWORD])
            .ok()?;
        let mut ldif = String::new();
        for number in 0..1011 {
            ldif += &format!(
                "dn: CN=crowd-{number},CN=Users,{base}\nobjectClass: group\nsAMAccountName: crowd-{number}\nmember: CN=crowd,CN=Users,{base}\n\n"
            );
        }
        let file = self.story.world.write(Place::Onprem, "crowd.ldif", ldif)?;
        self.database("ldbadd", &file).ok().map(drop)
    }

    /// A tool on the domain controller's own database.
    pub(crate) fn database(&self, tool: &str, file: &std::path::Path) -> Run {
        let database = self.story.world.dc_folder().join("private/sam.ldb");
        self.story
            .world
            .at(Place::Onprem, tool)
            .arg("--relax")
            .arg("-H")
            .arg(database)
            .arg(file)
    }

    pub(crate) fn sync(&self) -> Result<(), Failure> {
        self.story
            .with_domain_admin(&["sync", "once"])?
            .ok()
            .map(drop)
    }

    pub(crate) fn sign_in(&self, user: &str) -> Result<(), Failure> {
        let conf = self.story.krb5_conf();
        self.story
            .world
            .kinit(user, &format!("{user}.ccache"), &conf)
            .map(drop)
    }

    /// The doctor of a user at the workstation, with a token.
    pub(crate) fn doctor(&self, user: &str) -> Run {
        self.doctor_for(user, SHARE)
    }

    /// The same without any setting: everything has to be found.
    pub(crate) fn bare_doctor(&self, user: &str) -> Run {
        self.bare_doctor_for(user, SHARE)
    }

    /// The doctor about another share.
    pub(crate) fn doctor_for(&self, user: &str, share: &str) -> Run {
        self.with(self.story.crossrealm(Place::Client), user, share)
    }

    /// The same without any setting.
    pub(crate) fn bare_doctor_for(&self, user: &str, share: &str) -> Run {
        self.with(self.story.bare(Place::Client), user, share)
    }

    fn with(&self, run: Run, user: &str, share: &str) -> Run {
        let conf = self.story.krb5_conf();
        let run = self
            .story
            .world
            .as_user(run, &format!("{user}.ccache"), &conf);
        run.args(["doctor", "-o", "json", "--share", share])
    }

    /// The doctor of alice with an edited copy of her Kerberos configuration.
    pub(crate) fn with_conf(&self, edit: impl FnOnce(String) -> String) -> Result<Run, Failure> {
        Ok(self.doctor("alice").env("KRB5_CONFIG", self.edited(edit)?))
    }

    /// An edited copy of the Kerberos configuration.
    pub(crate) fn edited(&self, edit: impl FnOnce(String) -> String) -> Result<PathBuf, Failure> {
        let text = std::fs::read_to_string(self.story.krb5_conf())?;
        let edited = edit(text.clone());
        assert_ne!(text, edited, "the edit changes nothing");
        self.story.world.write(Place::Client, "edited.conf", edited)
    }

    /// With nothing broken, everything that can be looked at passes, with a token and without.
    pub(crate) fn nothing_is_found(&self) -> Result<(), Failure> {
        let whole = self
            .doctor("alice")
            .arg("--keytab")
            .arg(&self.keytab)
            .ok()?;
        for check in checks(&whole.json()?) {
            let id = check["id"].as_str().unwrap_or_default();
            let wanted = if UNSEEN.contains(&id) {
                "skipped"
            } else {
                "passed"
            };
            if check["verdict"] != wanted {
                return Err(whole.failure(&format!("was expected to have `{id}` {wanted}")));
            }
        }
        let bare = self.bare_doctor("alice").ok()?;
        let json = bare.json()?;
        for id in [
            "kdc-proxy",
            "tdo",
            "spn-shadow",
            "referral",
            "service-ticket",
            "smb-session",
            "file-acl",
        ] {
            if verdict(&json, id) != "passed" {
                return Err(bare.failure(&format!(
                    "was expected to have `{id}` passed without a token"
                )));
            }
        }
        Ok(())
    }

    /// The configuration as a drop-in, with a mapping for every host: MIT's own tools get the ticket by it as well, and the
    /// doctor sees which file says so.
    pub(crate) fn as_a_drop_in_with_mappings(&self) -> Result<(), Failure> {
        let folder = self.story.world.path(Place::Client, "krb5.conf.d");
        std::fs::create_dir_all(&folder)?;
        let out = folder.join("crossrealm.conf");
        let words = [
            "client",
            "config",
            "--format",
            "krb5.conf",
            "--map-hosts",
            "--out",
        ];
        self.story
            .crossrealm(Place::Client)
            .args(words)
            .arg(&out)
            .ok()?;
        let main = format!(
            "includedir {}\n[logging]\n kdc = SYSLOG\n",
            folder.display()
        );
        let main = self
            .story
            .world
            .write(Place::Client, "with-drop-in.conf", main)?;
        self.story.world.kinit("alice", "drop-in.ccache", &main)?;
        let kvno = self
            .story
            .world
            .at(Place::Client, "kvno")
            .arg(format!("cifs/{HOST}"));
        self.story
            .world
            .as_user(kvno, "drop-in.ccache", &main)
            .ok()?;
        let doctor = self.doctor("drop-in").env("KRB5_CONFIG", &main).ok()?;
        let json = doctor.json()?;
        let mapping = checks(&json).find(|check| check["id"] == "realm-mapping");
        let seen = mapping
            .and_then(|check| check["seen"].as_str())
            .unwrap_or_default();
        if !seen.contains("is mapped to") || !seen.contains("krb5.conf.d/crossrealm.conf") {
            return Err(doctor.failure("was expected to see the mapping in the drop-in"));
        }
        Ok(())
    }

    /// The doctor finds out where it runs: at the administration host it reads AD with the credentials given, and has no
    /// tickets of a person; the cloud needs no domain controller.
    pub(crate) fn other_places(&self) -> Result<(), Failure> {
        let alice = ["--user", "alice@corp.contoso.com", "--share", SHARE];
        let words = [&["doctor", "-o", "json"][..], &alice].concat();
        let admin = self.story.with_domain_admin(&words)?.ok()?;
        let json = admin.json()?;
        assert_eq!(json["places"], serde_json::json!(["administration-host"]));
        for (id, wanted) in [
            ("krb5-conf", "skipped"),
            ("tgt", "skipped"),
            ("port-dc-389", "passed"),
            ("port-dc-445", "passed"),
            ("tdo", "passed"),
            ("trust-keys", "passed"),
            ("user-sid", "passed"),
            ("role", "passed"),
            ("referral", "passed"),
            ("service-ticket", "skipped"),
        ] {
            if verdict(&json, id) != wanted {
                return Err(admin.failure(&format!("was expected to have `{id}` {wanted}")));
            }
        }
        let cloud = self.story.crossrealm(Place::Cloud).args(&words).ok()?;
        let json = cloud.json()?;
        assert_eq!(json["places"], serde_json::json!(["cloud", "file-host"]));
        for (id, wanted) in [
            ("dns-dc", "skipped"),
            ("service-health", "passed"),
            ("user-enabled", "passed"),
            ("role", "passed"),
        ] {
            if verdict(&json, id) != wanted {
                return Err(cloud.failure(&format!("was expected to have `{id}` {wanted}")));
            }
        }
        self.the_cloud_is_no_workstation()?;
        self.the_file_host(&words)
    }

    /// F13: the computer of the service is known by what runs on it, also without a setting that names the service, and with
    /// tickets and a Kerberos configuration of somebody.
    fn the_cloud_is_no_workstation(&self) -> Result<(), Failure> {
        let bare = self.story.bare(Place::Cloud).args(["doctor"]);
        let bare = self
            .story
            .world
            .as_user(bare, "alice.ccache", &self.story.krb5_conf());
        bare.output()?
            .says("Checked on the computer of the service")?
            .does_not_say("workstation")
            .map(drop)
    }

    /// Where the share's own name leads to this machine, it serves the share.
    fn the_file_host(&self, words: &[&str]) -> Result<(), Failure> {
        let hosts = |place| {
            let space = self.story.world.namespace(place);
            Path::new("/etc/netns").join(space).join("hosts")
        };
        let names = std::fs::read_to_string(hosts(Place::Client))?;
        let share = names.lines().find(|line| line.ends_with(FILES_HOST));
        let own = std::fs::read_to_string(hosts(Place::Cloud))?;
        let with_share = format!("{own}{}\n", share.unwrap_or_default());
        std::fs::write(hosts(Place::Cloud), with_share)?;
        let output = self.story.crossrealm(Place::Cloud).args(words).output();
        std::fs::write(hosts(Place::Cloud), own)?;
        let output = output?;
        let json = output.json()?;
        assert_eq!(json["places"], serde_json::json!(["cloud", "file-host"]));
        for (id, wanted) in [
            ("dns-share", "passed"),
            ("host-health", "passed"),
            ("role", "passed"),
            ("dns-dc", "skipped"),
        ] {
            if verdict(&json, id) != wanted {
                return Err(output.failure(&format!("was expected to have `{id}` {wanted}")));
            }
        }
        Ok(())
    }

    /// Expects that the doctor finds nothing, and that MIT's own client gets the ticket.
    pub(crate) fn is_harmless(&self, doctor: &Run, conf: &Path) -> Result<(), Failure> {
        let output = doctor.ok()?;
        match verdict(&output.json()?, "file-acl") {
            "passed" => self.witness(conf)?.ok().map(drop),
            _ => Err(output.failure("was expected to open the share")),
        }
    }

    /// MIT's `kvno` for the share, with this configuration and a sign-in that holds no other ticket.
    pub(crate) fn witness(&self, conf: &Path) -> Result<Run, Failure> {
        let path = |name: &str| self.story.world.path(Place::Client, name);
        if !path("plain.ccache").exists() {
            let own = self.story.krb5_conf();
            self.story.world.kinit("alice", "plain.ccache", &own)?;
        }
        std::fs::copy(path("plain.ccache"), path("witness.ccache"))?;
        // By service and host, as programs ask for it: only then `[domain_realm]` counts.
        let kvno = self.story.world.at(Place::Client, "kvno");
        let kvno = kvno.args(["-S", "cifs", HOST]);
        Ok(self.story.world.as_user(kvno, "witness.ccache", conf))
    }

    /// Breaks, asks, mends; it is mended in any case.
    pub(crate) fn try_fault(&mut self, fault: &Fault) -> Result<(), Failure> {
        let mark = self.story.event_mark();
        let doctor = (fault.breaks)(self);
        let found = doctor.and_then(|run| run.output());
        let mended = (fault.mends)(self);
        let found = found.and_then(|output| named(fault, &output));
        mended?;
        found?;
        // The same reason stands in the event that the refusal left.
        match fault.reason {
            "" => Ok(()),
            reason => self.story.refused_because(reason, mark?).map(drop),
        }
    }
}

/// Expects that the doctor names exactly this fault, and says what to do.
fn named(fault: &Fault, output: &Output) -> Result<(), Failure> {
    let cause = cause_alone(fault.cause, output)?;
    let text = |field: &str| cause[field].as_str().unwrap_or_default().to_owned();
    if text("reason") != fault.reason {
        return Err(output.failure(&format!(
            "was expected to give the reason `{}`",
            fault.reason
        )));
    }
    Ok(())
}

/// Expects that the doctor names this check first and alone, and says what to do. Returns the cause.
pub(crate) fn cause_alone(id: &str, output: &Output) -> Result<Value, Failure> {
    let json = output.json()?;
    // F18.
    let times = times(&json);
    if !times.wrong.is_empty() {
        return Err(output.failure(&format!("has times of another form: {:?}", times.wrong)));
    }
    let cause = &json["cause"];
    if output.code != Some(1) || cause["id"] != id {
        return Err(output.failure(&format!("was expected to name `{id}` first")));
    }
    let failed: Vec<_> = checks(&json)
        .filter(|check| check["verdict"] == "failed")
        .collect();
    if failed.len() != 1 {
        return Err(output.failure(&format!("was expected to name `{id}` alone")));
    }
    let text = |field: &str| cause[field].as_str().unwrap_or_default().to_owned();
    if text("seen").is_empty() || text("why").is_empty() || text("next").is_empty() {
        return Err(output.failure("was expected to say what, why, and what next"));
    }
    if ["DOMAIN ", "ACCOUNT/SHARE", "--user USER", "docs/"]
        .iter()
        .any(|blank| text("next").contains(blank))
    {
        return Err(output.failure("was expected to fill in what is known"));
    }
    page_is_there(&text("page")).map_err(|missing| output.failure(&missing))?;
    // What is printed as data is not repeated.
    output.does_not_say("error: ")?;
    Ok(cause.clone())
}

/// Whether the page that the doctor names exists, with its section.
fn page_is_there(page: &str) -> Result<(), String> {
    let (title, section) = page
        .split_once(": ")
        .ok_or_else(|| format!("`{page}` names no section"))?;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference");
    let files = std::fs::read_dir(folder).map_err(|error| format!("{folder}: {error}"))?;
    let texts = files
        .flatten()
        .map(|file| std::fs::read_to_string(file.path()));
    let heading = format!("\n## {section}\n");
    let is_meant = |text: &String| text.starts_with(&format!("# {title}\n"));
    match texts.flatten().find(is_meant) {
        Some(text) if text.contains(&heading) => Ok(()),
        Some(_) => Err(format!("`{page}` has no such section")),
        None => Err(format!("there is no page `{title}`")),
    }
}

fn checks(json: &Value) -> impl Iterator<Item = &Value> {
    json["checks"].as_array().into_iter().flatten()
}

/// The faults to try: all, or the one of this name.
pub(crate) fn chosen(only: Option<&str>) -> impl Iterator<Item = &'static Fault> {
    FAULTS
        .iter()
        .filter(move |fault| only.is_none_or(|only| fault.name == only))
}

/// How a check ended.
pub(crate) fn verdict<'j>(json: &'j Value, id: &str) -> &'j str {
    let check = checks(json).find(|check| check["id"] == id);
    check
        .and_then(|check| check["verdict"].as_str())
        .unwrap_or_default()
}

/// Who the workstation's user is, as Kerberos writes it.
pub(crate) fn principal(user: &str) -> String {
    format!("{user}@{REALM}")
}

/// Names that faults need.
pub(crate) const HOST: &str = FILES_HOST;
/// The AD domain.
pub(crate) const AD: &str = DOMAIN;
