//! The hands and eyes of the sync's cases.
#![allow(dead_code, reason = "no program of tests needs all of them")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossrealm_lab::story::{CLOUD_REALM, SPN, Story};
use crossrealm_lab::{
    DOMAIN, Failure, Output, PATIENCE, Place, REALM, Run, Service, USER_PASSWORD, need, until,
};
use crossrealm_testkit::json_times::times;
use serde_json::{Value, json};

pub(super) const BASE: &str = "DC=corp,DC=contoso,DC=com";
/// How long anything may take on a loaded machine before it counts as not happening.
pub(super) const LIMIT: Duration = PATIENCE;
/// What a run says that did not compare everything.
pub(super) const BY_CHANGES: &str = "what changed since the last run";
/// "Replicating Directory Changes", [MS-ADTS] 5.1.3.2.1.
const GET_CHANGES: &str = "1131f6aa-9c07-11d1-f79f-00c04fc2dcd2";

/// A name and what it plays.
pub(super) type Case = (&'static str, fn(&mut Play) -> Result<(), Failure>);

pub(super) struct Play {
    pub(super) story: Story,
    /// The token of the domain's connector.
    pub(super) connector: String,
}

/// Plays cases in a world of their own, where there can be one.
pub(super) fn played(cases: &[Case]) {
    if need::skipped() {
        return;
    }
    if let Err(failure) = Play::begin().and_then(|mut play| {
        let outcome = play.play(cases);
        outcome.map_err(|failure| play.story.with_logs(failure))
    }) {
        panic!("{failure}");
    }
}

impl Play {
    /// The story up to a workstation that is configured; nothing is served over SMB.
    pub(super) fn begin() -> Result<Self, Failure> {
        let story = Story::prepared()?;
        let create = ["-o", "json", "connector", "create", "--domain", DOMAIN];
        let made = story.crossrealm(Place::Admin).args(create).ok()?.json()?;
        let connector = made["token"].as_str().unwrap_or_default().to_owned();
        Ok(Self { story, connector })
    }

    /// Plays the cases in order and says how long each took.
    fn play(&mut self, cases: &[Case]) -> Result<(), Failure> {
        for (name, case) in cases {
            let began = Instant::now();
            case(self).map_err(|failure| failure.with(format!("--- in the case: {name}")))?;
            println!("{name}: {:.1} s", began.elapsed().as_secs_f64());
        }
        Ok(())
    }

    pub(super) fn service(&self, name: &str) -> Result<Service, Failure> {
        let run = self.as_agent(&["run", "--interval", "1s"])?;
        self.story.world.service(Place::Admin, name, &run)
    }

    /// Waits for a condition and says how long it took.
    pub(super) fn until(
        &self,
        holds: impl Fn(&Self) -> Result<bool, Failure>,
    ) -> Result<Duration, Failure> {
        let began = Instant::now();
        until("what the case waits for", LIMIT, || {
            Ok(holds(self)?.then_some(()))
        })?;
        Ok(began.elapsed())
    }

    pub(super) fn admin(&self, words: &[&str]) -> Run {
        self.story.crossrealm(Place::Admin).args(words)
    }

    pub(super) fn tool(&self, words: &[&str]) -> Result<(), Failure> {
        self.story.world.samba_tool(words).ok().map(drop)
    }

    pub(super) fn ldif(&self, text: &str) -> Result<(), Failure> {
        self.ldif_with(&[], text)
    }

    pub(super) fn ldif_with(&self, options: &[&str], text: &str) -> Result<(), Failure> {
        self.story
            .world
            .ldbmodify(text)
            .args(options)
            .ok()
            .map(drop)
    }

    /// Changes the database of a domain controller that does not run: what it holds below the head of a partition, past its
    /// checks and its counting.
    pub(super) fn raw_ldif(&self, head: &str, text: &str) -> Result<(), Failure> {
        let world = &self.story.world;
        let run = world.at(Place::Onprem, "ldbmodify").arg("-H");
        run.arg(self.partition(head)).stdin(text).ok().map(drop)
    }

    /// The file that holds a partition of the domain controller's database.
    pub(super) fn partition(&self, head: &str) -> PathBuf {
        let name = format!("private/sam.ldb.d/{}.ldb", head.to_uppercase());
        self.story.world.dc_folder().join(name)
    }

    /// Gives an account the right "Replicating Directory Changes". Says its SID.
    pub(super) fn may_replicate(&self, account: &str) -> Result<String, Failure> {
        let sid = self.story.world.sid_of(account)?;
        let right = format!("(OA;;CR;{GET_CHANGES};;{sid})");
        let grant = ["dsacl", "set", "--action=allow", "--objectdn", BASE];
        self.tool(&[&grant[..], &["--sddl", &right]].concat())?;
        Ok(sid)
    }

    /// Gives Bob another display name in the directory.
    pub(super) fn rename(&self, name: &str) -> Result<(), Failure> {
        self.ldif(&format!(
            "dn: CN=Bob Baker,CN=Users,{BASE}\nchangetype: modify\nreplace: displayName\ndisplayName: {name}\n\n"
        ))
    }

    /// Waits until the tenant knows Bob by this name.
    pub(super) fn knows(&self, name: &str) -> Result<(), Failure> {
        let show = ["user", "show", &format!("bob@{DOMAIN}")];
        let took = self.until(|play| Ok(play.admin(&show).ok()?.both().contains(name)))?;
        println!("`{name}` arrived after {:.1} s", took.as_secs_f64());
        Ok(())
    }

    /// Waits until the log of a service says this behind the mark.
    pub(super) fn logs(&self, service: &Service, mark: u64, text: &str) -> Result<(), Failure> {
        let reported = self.until(|_| Ok(service.log_from(mark).contains(text)));
        reported
            .map(drop)
            .map_err(|failure| failure.with(text).with(service.log_from(mark)))
    }

    pub(super) fn attribute(&self, filter: &str, name: &str) -> Result<String, Failure> {
        let output = self.story.world.ldbsearch(filter, &[name]).ok()?;
        let head = format!("{name}: ");
        let out = output.out();
        let line = out.lines().find_map(|line| line.strip_prefix(&head));
        line.map(str::to_owned)
            .ok_or_else(|| output.failure("was expected to show it"))
    }

    /// `crossrealm sync …` by the domain's administrator.
    pub(super) fn sync(&self, words: &[&str]) -> Run {
        let words = [&["sync"], words].concat();
        match self.story.with_domain_admin(&words) {
            Ok(run) => run,
            Err(failure) => panic!("{failure}"),
        }
    }

    /// `crossrealm sync …` as the agent's account, with the connector's token.
    pub(super) fn as_agent(&self, words: &[&str]) -> Result<Run, Failure> {
        let world = &self.story.world;
        let password = world.write(Place::Admin, "agent.password", USER_PASSWORD)?;
        let run = self.admin(&["sync"]).args(words).args(["--domain", DOMAIN]);
        let run = run.args(["--domain-user", &format!("svc-sync@{DOMAIN}")]);
        let run = run.arg("--domain-password-file").arg(password);
        Ok(run.env("CROSSREALM_TOKEN", &self.connector))
    }

    /// `crossrealm sync status`: a question to the tenant alone.
    pub(super) fn status(&self, words: &[&str]) -> Run {
        let run = self.admin(&["sync", "status", "--domain", DOMAIN]);
        run.args(words)
    }

    pub(super) fn once_with_log(&self, words: &[&str]) -> Result<Output, Failure> {
        let words = [&["once", "-o", "json"], words].concat();
        self.sync(&words).ok()
    }

    pub(super) fn once(&self, words: &[&str]) -> Result<Value, Failure> {
        with_right_times(&self.once_with_log(words)?)
    }

    /// One run that looks at changes alone and makes some of this kind; then both sides agree.
    pub(super) fn follows(&self, kind: &str) -> Result<Value, Failure> {
        let report = self.once(&[])?;
        assert_eq!(report["compared"], BY_CHANGES, "{report}");
        assert!(report[kind].as_u64() > Some(0), "{kind}: {report}");
        self.agrees()?;
        Ok(report)
    }

    /// The tenant holds what the directory holds.
    pub(super) fn agrees(&self) -> Result<(), Failure> {
        let oracle = concat!(env!("CARGO_MANIFEST_DIR"), "/oracles/sync_state.py");
        let database = self.story.world.dc_folder().join("private/sam.ldb");
        let run = self
            .story
            .world
            .at(Place::Onprem, "/usr/bin/python3")
            .arg(oracle);
        let expected = run.arg(database).arg(DOMAIN).ok()?.json()?;
        let held = self.held()?;
        for kind in ["users", "groups"] {
            let (Some(expected), Some(held)) = (expected[kind].as_object(), held[kind].as_object())
            else {
                return Err(Failure::new("the oracle said nothing"));
            };
            for (sid, wanted) in expected {
                if held.get(sid) != Some(wanted) {
                    return Err(Failure::new(format!(
                        "{sid}: AD has {wanted}, the tenant {:?}",
                        held.get(sid)
                    )));
                }
            }
            if let Some((sid, more)) = held.iter().find(|(sid, _)| !expected.contains_key(*sid)) {
                return Err(Failure::new(format!(
                    "the tenant holds {sid}, which it should not: {more}"
                )));
            }
        }
        Ok(())
    }

    /// What the tenant holds of the domain, in the oracle's form.
    pub(super) fn held(&self) -> Result<Value, Failure> {
        let all = self.pages("identities", "identities")?;
        let live = || all.iter().filter(|one| one["state"] != "deleted");
        let text = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
        let sids: BTreeMap<String, String> = live()
            .map(|one| (text(one, "object_guid"), text(one, "sid")))
            .collect();
        let (mut users, mut groups) = (serde_json::Map::new(), serde_json::Map::new());
        for one in live() {
            let (sid, name, display) = (
                text(one, "sid"),
                text(one, "account_name"),
                text(one, "display_name"),
            );
            if one["kind"] == "user" {
                let state = one["disabled_reason"]
                    .as_str()
                    .map_or_else(|| text(one, "state"), str::to_owned);
                let user =
                    json!({"name": name, "display": display, "upn": one["upn"], "state": state});
                users.insert(sid, user);
                continue;
            }
            let mut guids = one["members"].as_array().cloned().unwrap_or_default();
            if one["more_members"] == true {
                let path = format!("identities/{}/members", text(one, "object_guid"));
                guids = self.pages(&path, "items")?;
            }
            let known = guids.iter().filter_map(|guid| sids.get(guid.as_str()?));
            let mut members: Vec<&String> = known.collect();
            members.sort_unstable();
            groups.insert(
                sid,
                json!({"name": name, "display": display, "members": members}),
            );
        }
        Ok(json!({"users": users, "groups": groups}))
    }

    /// All records below a path of the service's interface, page by page.
    fn pages(&self, path: &str, name: &str) -> Result<Vec<Value>, Failure> {
        let mut all = Vec::new();
        let mut after = String::new();
        loop {
            let page = self
                .curl(&format!("{path}?limit=1000{after}"), None)?
                .json()?;
            all.extend(page[name].as_array().cloned().unwrap_or_default());
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => return Ok(all),
            }
        }
    }

    /// Puts another sync cursor in the place of the agent's, as if it had been lost or damaged.
    pub(super) fn store_cursor(&self, cursor: &Value) -> Result<(), Failure> {
        self.write_as_connector(
            json!({"changes": [], "cursor": cursor, "last": true, "incremental": true}),
        )
    }

    /// Writes to the tenant what an agent's request says beside its run and its domain.
    pub(super) fn write_as_connector(&self, mut request: Value) -> Result<(), Failure> {
        let sid = self.attribute("(objectClass=domainDNS)", "objectSid")?;
        request["run_id"] = json!("00000000-0000-4000-8000-000000000001");
        request["domain"] = json!({"dns_name": DOMAIN, "flat_name": "CORP", "sid": sid});
        let written = self.curl("identities", Some(&request))?;
        match written.json()?["refused"] == json!([]) {
            true => Ok(()),
            false => Err(written.failure("was expected to be taken as a whole")),
        }
    }

    /// The service's interface for sync agents, asked with the connector's token.
    pub(super) fn curl(&self, path: &str, body: Option<&Value>) -> Result<Output, Failure> {
        let path = format!("domains/{DOMAIN}/{path}");
        let run = self.request(&self.connector, &path)?;
        let Some(body) = body else {
            return run.ok();
        };
        let file = self
            .story
            .world
            .write(Place::Admin, "body.json", body.to_string())?;
        run.arg("--data").arg(format!("@{}", file.display())).ok()
    }

    pub(super) fn delete_cloud_user(&self, upn: &str) -> Result<(), Failure> {
        let token = std::fs::read_to_string(self.story.cloud_folder().join("admin.token"))?;
        let run = self.request(token.trim(), &format!("users/{upn}"))?;
        run.args(["-X", "DELETE"]).ok().map(drop)
    }

    pub(super) fn request(&self, token: &str, path: &str) -> Result<Run, Failure> {
        let world = &self.story.world;
        let headers = format!("Authorization: Bearer {token}\nContent-Type: application/json\n");
        let headers = world.write(Place::Admin, "headers", headers)?;
        let curl = world
            .at(Place::Admin, "curl")
            .args(["-sS", "--fail-with-body", "--cacert"])
            .arg(self.story.ca());
        let headers = format!("@{}", headers.display());
        let url = format!("https://login.cloud.example/api/v1/tenants/contoso/{path}");
        Ok(curl.arg("-H").arg(headers).arg(url))
    }

    /// Signs in and gets the referral: from then on it is the cloud alone that grants or refuses.
    pub(super) fn sign_in(&self, user: &str) -> Result<(), Failure> {
        let kinit = self
            .story
            .user(user, "kinit")
            .arg(format!("{user}@{REALM}"));
        kinit.stdin(format!("{USER_PASSWORD}\n")).ok()?;
        let referral = format!("krbtgt/{CLOUD_REALM}@{REALM}");
        self.story.user(user, "kvno").arg(referral).ok().map(drop)
    }

    /// A ticket by the referral in the cache, without a word to the domain controller.
    pub(super) fn kvno(&self, user: &str) -> Run {
        let service = format!("{SPN}@{CLOUD_REALM}");
        self.story.user(user, "kvno").args(["--no-store", &service])
    }

    pub(super) fn ticket(&self, user: &str) -> Result<(), Failure> {
        self.kvno(user).ok().map(drop)
    }

    pub(super) fn no_ticket(&self, user: &str) -> Result<(), Failure> {
        let mark = self.story.event_mark()?;
        self.kvno(user).refused(1)?;
        // Events are written beside the path of a ticket.
        let reported = |play: &Self| {
            let events = play
                .admin(&["-o", "json", "events", "--since", "1h"])
                .ok()?
                .json()?;
            let mut fresh = events
                .as_array()
                .into_iter()
                .flatten()
                .filter(|one| one["sequence"].as_i64() > Some(mark));
            Ok(fresh.any(|one| {
                one["reason"]
                    .as_str()
                    .is_some_and(|why| why.starts_with("identity-"))
            }))
        };
        self.until(reported).map(drop)
    }
}

/// What a command printed as JSON. F18: its times are RFC 3339.
pub(super) fn with_right_times(output: &Output) -> Result<Value, Failure> {
    let json = output.json()?;
    let wrong = times(&json).wrong;
    match wrong.is_empty() {
        true => Ok(json),
        false => Err(output.failure(&format!("has times of another form: {wrong:?}"))),
    }
}

/// Unix seconds.
pub(super) fn now_s() -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(0)
}

/// Unix seconds as AD counts time.
pub(super) fn file_time(seconds: i64) -> i64 {
    (seconds + 11_644_473_600) * 10_000_000
}
