//! The life of the trust on a real Active Directory: made, rotated under load and unattended, killed between its steps,
//! removed, and by which account.
//!
//! What the product says is not believed: Active Directory is asked with `ldbsearch`, and the proof that the two sides
//! hold the same keys is a ticket that MIT's `kvno` gets.

mod kill;
mod life;
mod microsoft;
mod rights;
mod unattended;

use crossrealm_lab::story::{CLOUD_REALM, SPN, Story};
use crossrealm_lab::{DOMAIN, Failure, Output, Place, REALM, Run, USER_PASSWORD, need};
use crossrealm_testkit::json_times::times;

const SET: &[&str] = &["kerberos-server", "set"];
const WHOLE: &[&str] = &["kerberos-server", "set", "--setup-cloud-trust"];
const ROTATE: &[&str] = &[
    "kerberos-server",
    "set",
    "--setup-cloud-trust",
    "--rotate-server-key",
    "--force",
];
const REMOVE: &[&str] = &["kerberos-server", "remove"];
const REMOVE_TRUST: &[&str] = &["trusted-domain-object", "remove"];
/// How the line begins that reports a step.
const STEP: &str = "done: ";
/// Where AD has the trust and the two objects.
const TRUST: &str = "(objectClass=trustedDomain)";
const USER: &str = "(cn=krbtgt_Crossrealm)";
const COMPUTER: &str = "(cn=CrossrealmKerberos)";

#[test]
fn a_trust_is_created_rotated_and_removed() {
    if need::skipped() {
        return;
    }
    if let Err(failure) = Play::begin().and_then(|mut play| {
        let outcome = play.all();
        outcome.map_err(|failure| play.story.with_logs(failure))
    }) {
        panic!("{failure}");
    }
}

/// A part of the play.
type Part = fn(&mut Play) -> Result<(), Failure>;

/// The story up to a workstation that is configured, and what is asked of both sides.
struct Play {
    story: Story,
}

impl Play {
    /// Nothing is served over SMB.
    fn begin() -> Result<Self, Failure> {
        Ok(Self {
            story: Story::prepared()?,
        })
    }

    /// One world for all of it; each part leaves the trust as it found it: whole.
    fn all(&mut self) -> Result<(), Failure> {
        let parts: [(&str, Part); 5] = [
            ("life", Self::life),
            ("microsoft", Self::beside_microsoft),
            ("unattended", Self::unattended),
            ("rights", Self::rights),
            ("kill", Self::kill),
        ];
        for (name, part) in parts {
            let began = std::time::Instant::now();
            part(self)?;
            println!("{name}: {:.1} s", began.elapsed().as_secs_f64());
        }
        self.all_of_it_is_removed()
    }

    fn admin(&self, words: &[&str]) -> Result<Run, Failure> {
        self.story.with_domain_admin(words)
    }

    /// A command with the service's administrator and another user of the domain, who has the password all users have.
    fn as_user(&self, user: &str, words: &[&str]) -> Result<Run, Failure> {
        let world = &self.story.world;
        let password = world.write(Place::Admin, "user.password", USER_PASSWORD)?;
        let run = self.story.crossrealm(Place::Admin).args(words);
        let run = run.args(["--domain", DOMAIN, "--domain-user"]);
        let run = run.arg(format!("{user}@{DOMAIN}"));
        Ok(run.arg("--domain-password-file").arg(password))
    }

    fn get(&self) -> Result<Output, Failure> {
        let output = self
            .admin(&["-o", "json", "kerberos-server", "get"])?
            .ok()?;
        // F18.
        let times = times(&output.json()?);
        match times.wrong.is_empty() {
            true => Ok(output),
            false => Err(output.failure(&format!("has times of another form: {:?}", times.wrong))),
        }
    }

    /// What a command prints as JSON. F18: its times are RFC 3339.
    fn json(&self, words: &[&str]) -> Result<serde_json::Value, Failure> {
        let output = self.admin(&[&["-o", "json"], words].concat())?.ok()?;
        let json = output.json()?;
        match times(&json).wrong.is_empty() {
            true => Ok(json),
            false => Err(output.failure("has times of another form")),
        }
    }

    fn nothing_is_left_to_do(&self) -> Result<(), Failure> {
        let output = self.get()?;
        match output.json()?["findings"].as_array() {
            Some(findings) if findings.is_empty() => Ok(()),
            _ => Err(output.failure("was expected to have no findings")),
        }
    }

    /// The version of the trust key that AD last took, as the tenant knows it.
    fn trust_version(&self) -> Result<u64, Failure> {
        let get = self.get()?.json()?;
        let version = get["cloud_trust"]["keys"][0]["version"].as_u64();
        version.ok_or_else(|| Failure::new("the trust has no key"))
    }

    /// The version of the service account's key, as AD itself says.
    fn account_version(&self) -> Result<u64, Failure> {
        let attribute = "msDS-KeyVersionNumber";
        let search = self.story.world.ldbsearch(USER, &[attribute]).ok()?;
        let version = value(&search, attribute)?.parse();
        version.map_err(|_| search.failure("was expected to show a number"))
    }

    /// When AD last changed what this is about: the number of the last change of each object, with its name.
    fn changes(&self) -> Result<Vec<String>, Failure> {
        let filter = format!("(|{TRUST}{USER}{COMPUTER}(sAMAccountName=CONTOSO-KRB$))");
        let search = self.story.world.ldbsearch(&filter, &["uSNChanged"]);
        let out = search.ok()?.out();
        let lines = out.lines();
        let reported =
            lines.filter(|line| line.starts_with("dn: ") || line.starts_with("uSNChanged: "));
        Ok(reported.map(str::to_owned).collect())
    }

    /// Whether AD holds an object.
    fn is_there(&self, filter: &str) -> Result<bool, Failure> {
        let search = self.story.world.ldbsearch(filter, &["cn"]).ok()?;
        Ok(search.out().lines().any(|line| line.starts_with("dn: CN=")))
    }

    fn nothing_is_in_ad(&self) -> Result<(), Failure> {
        for filter in [TRUST, USER, COMPUTER] {
            if self.is_there(filter)? {
                return Err(Failure::new(format!("AD still holds {filter}")));
            }
        }
        Ok(())
    }

    fn sign_in(&self, ccache: &str) -> Result<(), Failure> {
        let kinit = self
            .story
            .user(ccache, "kinit")
            .arg(format!("alice@{REALM}"));
        kinit.stdin(format!("{USER_PASSWORD}\n")).ok().map(drop)
    }

    /// Through a fresh referral, by a fresh sign-in.
    fn a_ticket_is_fetched(&self) -> Result<(), Failure> {
        self.sign_in("fresh")?;
        let output = self.story.user("fresh", "kvno").arg(SPN).ok()?;
        output.says(&format!("{SPN}@"))?;
        let tickets = self.story.user("fresh", "klist").ok()?;
        tickets.says(&format!("{SPN}@{CLOUD_REALM}")).map(drop)
    }

    /// Changes the tenant's store behind the service's back: the test's own hand.
    fn sql(&self, statement: &str) -> Result<(), Failure> {
        let script = "import sqlite3, sys\n\
                      store = sqlite3.connect(sys.argv[1], timeout=30)\n\
                      done = store.execute(sys.argv[2])\n\
                      store.commit()\n\
                      sys.exit(0 if done.rowcount > 0 else 'nothing was changed')";
        let store = self.story.cloud_folder().join("crossrealm.db");
        let run = Run::here("python3").args(["-c", script]);
        run.arg(store).arg(statement).ok().map(drop)
    }

    /// Makes the trust's keys some days older (or younger), on both sides: as the tenant recorded them, and as AD shows when it got
    /// the one that it has. A key whose two times differ is another one.
    fn age_trust_key(&self, days: i64) -> Result<(), Failure> {
        let age = |column| format!("{column} = {column} - 86400 * ({days})");
        let (created, confirmed) = (age("created_at"), age("confirmed_at"));
        self.sql(&format!("UPDATE trust_secrets SET {created}, {confirmed}"))?;
        self.age_in_ad("(sAMAccountName=CONTOSO-KRB$)", days)
    }

    /// Makes the service account's key some days older in AD, which nobody but its own database tool may do.
    fn age_account_key(&self, days: i64) -> Result<(), Failure> {
        self.age_in_ad(USER, days)
    }

    fn age_in_ad(&self, filter: &str, days: i64) -> Result<(), Failure> {
        /// Samba's controls that let `pwdLastSet` be written, and let an account of a trust be changed.
        const CONTROLS: &str =
            "--controls=local_oid:1.3.6.1.4.1.7165.4.3.20:0,local_oid:1.3.6.1.4.1.7165.4.3.23:0";
        /// FILETIME units in a day.
        const DAY: i64 = 24 * 3600 * 10_000_000;
        let world = &self.story.world;
        let search = world.ldbsearch(filter, &["pwdLastSet"]).ok()?;
        let set: i64 = value(&search, "pwdLastSet")?.parse().unwrap_or_default();
        let aged = set - days * DAY;
        let dn = value(&search, "dn")?;
        self.ldbmodify(&dn, "pwdLastSet", &aged.to_string(), CONTROLS)
    }

    /// Replaces an attribute in AD, beside the domain controller.
    fn ldbmodify(
        &self,
        dn: &str,
        attribute: &str,
        value: &str,
        control: &str,
    ) -> Result<(), Failure> {
        let change =
            format!("dn: {dn}\nchangetype: modify\nreplace: {attribute}\n{attribute}: {value}\n");
        let modify = self.story.world.ldbmodify(&change).arg(control);
        modify.ok().map(drop)
    }
}

/// The value of an attribute in the output of `ldbsearch`.
fn value(output: &Output, attribute: &str) -> Result<String, Failure> {
    let prefix = format!("{attribute}: ");
    let out = output.out();
    let found = out.lines().find_map(|line| line.strip_prefix(&prefix));
    found
        .map(str::to_owned)
        .ok_or_else(|| output.failure(&format!("was expected to show `{attribute}`")))
}
