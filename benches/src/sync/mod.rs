//! The sync agent on a real Active Directory: the first sync against `ldapsearch`, what a change costs, and how soon it counts.

mod population;

use std::path::Path;
use std::time::{Duration, Instant};

use crossrealm_krb::ccache::Ccache;
use crossrealm_krb::key_usage;
use crossrealm_krb::keytab::Keytab;
use crossrealm_krb::messages::{AuthorizationDataElement, EncTicketPart, Ticket, ad_type, decode};
use crossrealm_krb::pac::Pac;
use crossrealm_lab::story::{Account, CLOUD_REALM, SPN, Story};
use crossrealm_lab::{
    ADMIN_PASSWORD, DOMAIN, Failure, Output, PATIENCE, Place, REALM, Run, Service, World,
};

use crate::Size;
use crate::report::{Line, Report, Samples, Unit};
use population::{BASE, UNIT};

/// What `sync` asks the domain controller for.
const ATTRIBUTES: &str = "objectGUID objectSid objectClass sAMAccountName sAMAccountType userPrincipalName displayName \
                          userAccountControl accountExpires lockoutTime primaryGroupID groupType isCriticalSystemObject \
                          msDS-SecondaryKrbTgtNumber member name";
/// The users it asks for.
const EVERYBODY: &str = "(|(&(objectClass=user)(!(objectClass=computer)))(objectClass=group))";
/// Objects in a page, of both.
const PAGE: u32 = 1_000;
/// How long one program may take.
const LIMIT: Duration = Duration::from_secs(600);
/// The promise: a change is in the next ticket after two seconds at most, with an interval of one second.
const PROMISED_DELAY_S: f64 = 2.0;

/// Runs it all.
pub(crate) fn run(product: &Path, size: Size) -> Result<Report, String> {
    measure(product, size).map_err(|failure| failure.to_string())
}

fn measure(product: &Path, size: Size) -> Result<Report, Failure> {
    let company = population::Size {
        users: size.of(20_000, 30),
        groups: size.of(2_000, 5),
    };
    eprintln!(
        "a domain with {} users and {} groups; made once, which takes minutes",
        company.users, company.groups
    );
    let world = World::start_populated(&population::company(company))?;
    let mut play = Play {
        story: Story::begin_in(world, product, Account::silent()),
        company,
    };
    let mut report = Report::new(
        "sync",
        format!(
            "a Samba domain controller with {} users and {} nested groups",
            company.users, company.groups
        ),
    );
    let outcome = play.all(size, &mut report);
    outcome.map_err(|failure| play.story.with_logs(failure))?;
    Ok(report)
}

/// What changes, the filter that finds it, and the LDIF that changes it in a round.
type Case<'a> = (String, String, &'a dyn Fn(usize) -> String);

struct Play {
    story: Story,
    company: population::Size,
}

impl Play {
    fn all(&mut self, size: Size, report: &mut Report) -> Result<(), Failure> {
        self.prepare()?;
        let rounds = size.rounds(5);
        self.first_sync(rounds, report)?;
        self.changes(rounds, size.of(1_000, 10), report)?;
        self.delays(size.of(15, 1), report)
    }

    /// The cloud and the trust, and the administrator's tickets for `ldapsearch`.
    fn prepare(&mut self) -> Result<(), Failure> {
        let steps = ["init_and_serve", "tenant_create", "trust_is_set"];
        self.story.play_steps(&steps)?;
        self.ldap_user("kinit")
            .arg(format!("administrator@{REALM}"))
            .stdin(format!("{ADMIN_PASSWORD}\n"))
            .ok()
            .map(drop)
    }

    /// A program of the administrator at the administration host.
    fn ldap_user(&self, program: &str) -> Run {
        let world = &self.story.world;
        let ccache = world.path(Place::Admin, "admin.ccache");
        world
            .at(Place::Admin, program)
            .env("KRB5_CONFIG", world.path(Place::Client, "corp-krb5.conf"))
            .env("KRB5CCNAME", format!("FILE:{}", ccache.display()))
            .timeout(LIMIT)
    }

    /// `ldapsearch` of the same attributes, sealed by GSSAPI, in pages, into a file. Returns how long it took and how many
    /// objects it found.
    fn ldapsearch(&self, filter: &str) -> Result<(Duration, usize), Failure> {
        let out = self.story.world.path(Place::Admin, "ldapsearch.out");
        let script = format!(
            "exec ldapsearch -Q -LLL -Y GSSAPI -O minssf=56 -H ldap://dc1.{DOMAIN} -E pr={PAGE}/noprompt -b '{BASE}' '{filter}' \
             {ATTRIBUTES} >'{}'",
            out.display()
        );
        let done = self.ldap_user("sh").args(["-c", &script]).ok()?;
        let text = std::fs::read_to_string(&out)?;
        let found = text.lines().filter(|line| line.starts_with("dn:")).count();
        Ok((done.took, found))
    }

    fn sync_once(&self, tenant: &str) -> Result<Output, Failure> {
        let words = ["--tenant", tenant, "-o", "json", "sync", "once"];
        self.story.with_domain_admin(&words)?.timeout(LIMIT).ok()
    }

    fn admin(&self, words: &[&str]) -> Result<Output, Failure> {
        self.story.crossrealm(Place::Admin).args(words).ok()
    }

    /// Rounds of `ldapsearch` and a first sync into a fresh tenant.
    fn first_sync(&self, rounds: usize, report: &mut Report) -> Result<(), Failure> {
        let everybody = self.company.users + self.company.groups;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        // Once unmeasured: the domain controller's caches are then as warm for the first as for the last.
        self.ldapsearch(EVERYBODY)?;
        for round in 0..rounds {
            let (took, found) = self.ldapsearch(EVERYBODY)?;
            if found < everybody {
                return Err(Failure::new(format!(
                    "ldapsearch found {found} objects, at least {everybody} are there"
                )));
            }
            theirs.push(took.as_secs_f64());
            let tenant = format!("round{round}");
            self.admin(&["tenant", "create", &tenant])?;
            let output = self.sync_once(&tenant)?;
            let created = output.json()?["created"].as_u64().unwrap_or_default();
            if created < everybody as u64 {
                return Err(output.failure(&format!("was expected to create {everybody} or more")));
            }
            ours.push(output.took.as_secs_f64());
        }
        report.add(
            Line::new("first sync into an empty tenant", Unit::Seconds, Samples::new(ours))
                .against("ldapsearch, sealed, the same attributes", Samples::new(theirs))
                .bound(2.0)
                .note("ldapsearch has its tickets already and keeps nothing; sync signs in, and writes the tenant over HTTPS"),
        );
        Ok(())
    }

    /// What a run costs after the first, by what changed.
    fn changes(&self, rounds: usize, members: usize, report: &mut Report) -> Result<(), Failure> {
        let cases: [Case<'_>; 3] = [
            (
                "nothing changed".to_owned(),
                "(sAMAccountName=nobody-at-all)".to_owned(),
                &|_| String::new(),
            ),
            (
                "one user changed".to_owned(),
                "(sAMAccountName=user1)".to_owned(),
                &|round| {
                    format!(
                        "dn: CN=user1,{UNIT}\nchangetype: modify\nreplace: displayName\ndisplayName: Round {round}\n\n"
                    )
                },
            ),
            (
                format!("a new group of {members} users"),
                "(sAMAccountName=team*)".to_owned(),
                &|round| population::new_group(&format!("team{round}"), members),
            ),
        ];
        for (what, filter, change) in cases {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for round in 0..rounds {
                let ldif = change(round);
                if !ldif.is_empty() {
                    self.story.world.ldbmodify(&ldif).ok()?;
                }
                theirs.push(self.ldapsearch(&filter)?.0.as_secs_f64());
                let output = self.sync_once("round0")?;
                let json = output.json()?;
                let done = ["created", "updated"].map(|field| json[field].as_u64().unwrap_or(0));
                if done.iter().sum::<u64>() != u64::from(!ldif.is_empty()) {
                    return Err(output.failure("was expected to write just what changed"));
                }
                ours.push(output.took.as_secs_f64());
            }
            report.add(
                Line::new(format!("a run of `sync once`: {what}"), Unit::Seconds, Samples::new(ours))
                    .against("ldapsearch of the changed object alone", Samples::new(theirs))
                    .note("more than half is the controller's search for what changed; ldapsearch does not sign in, is given the name and does no HTTPS"),
            );
        }
        Ok(())
    }

    /// How long after a change in AD the next ticket shows it, with a `sync run` of one second.
    fn delays(&mut self, samples: usize, report: &mut Report) -> Result<(), Failure> {
        self.sync_once("contoso")?;
        self.admin(&["storage-account", "create", "acct1"])?;
        self.story.play_steps(&["client_config"])?;
        let words = ["sync", "run", "--interval", "1s"];
        let agent = self.story.with_domain_admin(&words)?;
        let world = &self.story.world;
        let mut agent = world.service(Place::Admin, "sync run", &agent)?;
        // It has begun when it follows a change.
        self.bob("displayName", "Bob the first")?;
        agent.wait_for_line("synced", PATIENCE)?;
        world.kinit("bob", "bob.ccache", &self.story.krb5_conf())?;
        self.user("kvno")
            .arg(format!("krbtgt/{CLOUD_REALM}"))
            .ok()?;
        let (mut refused, mut granted, mut shown) = (Vec::new(), Vec::new(), Vec::new());
        let ticket = Tickets::of(self)?;
        for sample in 0..samples {
            // At another moment of the agent's second each time.
            std::thread::sleep(Duration::from_millis(137 * (sample as u64 % 8)));
            self.bob("userAccountControl", "514")?;
            refused.push(self.until(&mut agent, || Ok(ticket.get(self)?.is_none()))?);
            self.bob("userAccountControl", "512")?;
            granted.push(self.until(&mut agent, || Ok(ticket.get(self)?.is_some()))?);
            let name = format!("Squad{sample}");
            let ldif = format!(
                "dn: CN={name},{UNIT}\nchangetype: add\nobjectClass: group\nsAMAccountName: {name}\nmember: CN=Bob Baker,CN=Users,{BASE}\n\n"
            );
            world.ldbmodify(&ldif).ok()?;
            let began = Instant::now();
            let sid = world.sid_of(&name)?;
            let known = began.elapsed().as_secs_f64();
            let more = self.until(&mut agent, || {
                Ok(ticket.get(self)?.is_some_and(|sids| sids.contains(&sid)))
            })?;
            shown.push(known + more);
        }
        agent.stop(PATIENCE)?;
        let note = "from the end of the change in AD's database to the end of the kvno that first showed it; kvno itself takes some 10 ms";
        for (what, values) in [
            ("a disabled user gets no ticket any more", refused),
            ("an enabled user gets tickets again", granted),
            ("a new group is in the PAC of the next ticket", shown),
        ] {
            report.add(
                Line::new(what, Unit::Seconds, Samples::new(values))
                    .promised(PROMISED_DELAY_S)
                    .note(note),
            );
        }
        Ok(())
    }

    fn bob(&self, attribute: &str, value: &str) -> Result<(), Failure> {
        let ldif = format!(
            "dn: CN=Bob Baker,CN=Users,{BASE}\nchangetype: modify\nreplace: {attribute}\n{attribute}: {value}\n\n"
        );
        self.story.world.ldbmodify(&ldif).ok().map(drop)
    }

    fn user(&self, program: &str) -> Run {
        self.story.user("bob", program)
    }

    /// Asks again and again; returns after how many seconds it was so.
    fn until(
        &self,
        agent: &mut Service,
        mut probe: impl FnMut() -> Result<bool, Failure>,
    ) -> Result<f64, Failure> {
        let began = Instant::now();
        while !probe()? {
            if began.elapsed() > PATIENCE || agent.ended().is_some() {
                return Err(Failure::new("the change never arrived").with(agent.log_tail()));
            }
        }
        Ok(began.elapsed().as_secs_f64())
    }
}

/// Getting tickets for the share's host, and looking into them with the account's keys.
struct Tickets {
    keytab: Keytab,
}

impl Tickets {
    fn of(play: &Play) -> Result<Self, Failure> {
        let path = play.story.world.path(Place::Admin, "acct1.keytab");
        let words = ["storage-account", "keytab", "acct1", "--out"];
        let run = play.story.crossrealm(Place::Admin).args(words).arg(&path);
        run.ok()?;
        let keytab = Keytab::from_bytes(&std::fs::read(&path)?);
        Ok(Self {
            keytab: keytab.map_err(|error| Failure::new(error.to_string()))?,
        })
    }

    /// The SIDs in the PAC of a new ticket for bob; `None` when he is refused.
    fn get(&self, play: &Play) -> Result<Option<Vec<String>>, Failure> {
        let path = play.story.world.path(Place::Client, "fresh.ccache");
        let _ = std::fs::remove_file(&path);
        let kvno = play.user("kvno").arg("--out-cache").arg(&path);
        let output = kvno.arg(format!("{SPN}@{CLOUD_REALM}")).output()?;
        match output.code {
            Some(0) => {}
            _ if output.both().contains("revoked") => return Ok(None),
            _ => return Err(output.failure("was expected to give a ticket or to say `revoked`")),
        }
        let sids = self.sids(&std::fs::read(&path)?);
        sids.map(Some)
            .ok_or_else(|| output.failure("was expected to leave a ticket that the keytab opens"))
    }

    fn sids(&self, ccache: &[u8]) -> Option<Vec<String>> {
        let ccache = Ccache::from_bytes(ccache).ok()?;
        let service = |name: &str| name.starts_with("cifs/");
        let found = ccache
            .credentials
            .iter()
            .find(|credential| service(&credential.server.to_string()))?;
        let ticket: Ticket = decode(&found.ticket).ok()?;
        let kvno = ticket.enc_part.kvno()?;
        let entries = self.keytab.keys_of(&found.server);
        let entry = entries.into_iter().find(|entry| {
            entry.kvno == kvno && entry.key.enctype().number() == ticket.enc_part.etype
        })?;
        let plain = ticket
            .enc_part
            .decrypt(&entry.key, key_usage::TICKET)
            .ok()?;
        let inside: EncTicketPart = decode(&plain).ok()?;
        let outer = inside.authorization_data?;
        let inner = outer
            .iter()
            .filter(|element| element.ad_type == ad_type::IF_RELEVANT)
            .filter_map(|element| decode::<Vec<AuthorizationDataElement>>(&element.data).ok())
            .flatten()
            .find(|element| element.ad_type == ad_type::WIN2K_PAC)?;
        let pac = Pac::decode(&inner.data).ok()?;
        let sids = pac.logon_info().ok()?.token_sids();
        Some(sids.iter().map(ToString::to_string).collect())
    }
}
