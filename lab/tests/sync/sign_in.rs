//! The agent without a password: with a keytab of its account, and with tickets that somebody got before.

use std::path::PathBuf;
use std::time::Duration;

use crossrealm_lab::{Clock, DOMAIN, Failure, Place, REALM, Run, USER_PASSWORD};

use crate::hands::{LIMIT, Play};

impl Play {
    pub(super) fn a_keytab_or_tickets_serve_as_well(&mut self) -> Result<(), Failure> {
        let keytab = self.exported("svc-sync")?;
        let by_keytab = |words: &[&str]| {
            let run = self.admin(&["sync"]).args(words);
            let run = run.args(["--domain", DOMAIN, "--domain-keytab"]);
            run.arg(&keytab).env("CROSSREALM_TOKEN", &self.connector)
        };
        self.rename("Bob by keytab")?;
        let once = by_keytab(&["once", "-o", "json"]).ok()?.json()?;
        assert_eq!(once["updated"], 1, "{once}");
        self.agrees()?;

        let run = by_keytab(&["run", "--interval", "1s"]);
        let mut service = self
            .story
            .world
            .service(Place::Admin, "sync by keytab", &run)?;
        self.rename("Bob by service")?;
        service.wait_for_line("synced", LIMIT)?;
        self.until(|play| Ok(play.agrees().is_ok()))?;
        service.stop(LIMIT)?;

        self.kinit("10h")?;
        self.rename("Bob by tickets")?;
        let once = self.by_tickets(&["once", "-o", "json"]).ok()?.json()?;
        assert_eq!(once["updated"], 1, "{once}");
        self.agrees()
    }

    /// The service works with tickets that end while it runs; somebody gets new ones then.
    pub(super) fn tickets_that_end_are_reported(&mut self) -> Result<(), Failure> {
        self.sign_in("alice")?;
        // Samba takes tickets of two minutes and less for those of a change of password.
        self.kinit("125s")?;
        let run = self.by_tickets(&["run", "--interval", "1s"]);
        let service = self
            .story
            .world
            .service(Place::Admin, "sync by tickets", &run)?;
        self.rename("Bob in time")?;
        self.knows("Bob in time")
            .map_err(|failure| failure.with(service.log_tail()))?;
        let klist = self.with_tickets(self.story.world.at(Place::Admin, "klist"));
        let klist = klist.arg("-s");
        // On a busy machine they may have ended by the time that this sleep is over.
        let mark = service.log_mark();
        std::thread::sleep(Duration::from_secs(100));
        self.until(|_| Ok(klist.output()?.code != Some(0)))?;
        self.logs(&service, mark, "hold no valid ticket-granting ticket")?;
        self.logs(&service, mark, "hint: sign in with `kinit`")?;
        self.ticket("alice")?;
        self.kinit("10h")?;
        self.rename("Bob with new tickets")?;
        self.knows("Bob with new tickets")?;
        self.ticket("alice")?;
        self.agrees()?;
        service.stop(LIMIT)
    }

    /// The tickets are gone, and the connection stands to the end of the one that it was made with.
    pub(super) fn a_connection_lasts_as_long_as_its_ticket(&mut self) -> Result<(), Failure> {
        const LIFE_S: i64 = 300;
        let clock = Clock::make(&self.story.world)?;
        self.kinit(&format!("{LIFE_S}s"))?;
        let run = clock.of(self.by_tickets(&["run", "--interval", "1s"]));
        let service = self
            .story
            .world
            .service(Place::Admin, "sync by a ticket", &run)?;
        self.rename("Bob with a ticket")?;
        self.knows("Bob with a ticket")?;
        let kdestroy = self.story.world.at(Place::Admin, "kdestroy");
        self.with_tickets(kdestroy).ok()?;
        let mark = service.log_mark();
        self.rename("Bob without a ticket")?;
        self.knows("Bob without a ticket")?;
        clock.is_ahead(0, LIFE_S)?;
        self.logs(&service, mark, "hint: sign in with `kinit`")?;
        service.stop(LIMIT)
    }

    fn by_tickets(&self, words: &[&str]) -> Run {
        let run = self.admin(&["sync"]).args(words).args(["--domain", DOMAIN]);
        self.with_tickets(run)
            .env("CROSSREALM_TOKEN", &self.connector)
    }

    fn with_tickets(&self, run: Run) -> Run {
        let world = &self.story.world;
        let ccache = world.path(Place::Admin, "svc-sync.ccache");
        run.env("KRB5_CONFIG", world.path(Place::Client, "corp-krb5.conf"))
            .env("KRB5CCNAME", format!("FILE:{}", ccache.display()))
    }

    /// Signs the agent's account in at the administration host.
    fn kinit(&self, life: &str) -> Result<(), Failure> {
        let kinit = self.with_tickets(self.story.world.at(Place::Admin, "kinit"));
        let kinit = kinit.args(["-l", life, &format!("svc-sync@{REALM}")]);
        kinit.stdin(format!("{USER_PASSWORD}\n")).ok().map(drop)
    }

    /// Samba writes the account's keys into a keytab.
    fn exported(&self, user: &str) -> Result<PathBuf, Failure> {
        let world = &self.story.world;
        let keytab = world.path(Place::Admin, &format!("{user}.keytab"));
        let tool = world.at(Place::Onprem, "samba-tool");
        let tool = tool.args(["domain", "exportkeytab"]).arg(&keytab);
        let tool = tool.arg(format!("--principal={user}")).arg("-s");
        tool.arg(world.dc_folder().join("etc/smb.conf")).ok()?;
        Ok(keytab)
    }
}
