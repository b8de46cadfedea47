//! The agent without a password: with a keytab of its account, and with tickets that somebody got before.

use std::path::PathBuf;

use crossrealm_lab::{DOMAIN, Failure, Place, REALM, Run, USER_PASSWORD};

use crate::hands::{BASE, LIMIT, Play};

impl Play {
    pub(super) fn a_keytab_or_tickets_serve_as_well(&mut self) -> Result<(), Failure> {
        let keytab = self.exported("svc-sync")?;
        let by_keytab = |words: &[&str]| {
            let run = self.admin(&["sync"]).args(words);
            let run = run.args(["--domain", DOMAIN, "--domain-keytab"]);
            run.arg(&keytab).env("CROSSREALM_TOKEN", &self.connector)
        };
        self.rename_bob("Bob by keytab")?;
        let once = by_keytab(&["once", "-o", "json"]).ok()?.json()?;
        assert_eq!(once["updated"], 1, "{once}");
        self.agrees()?;

        let run = by_keytab(&["run", "--interval", "1s"]);
        let mut service = self
            .story
            .world
            .service(Place::Admin, "sync by keytab", &run)?;
        self.rename_bob("Bob by service")?;
        service.wait_for_line("synced", LIMIT)?;
        self.until(|play| Ok(play.agrees().is_ok()))?;
        service.stop(LIMIT)?;

        let ccache = self.story.world.path(Place::Admin, "svc-sync.ccache");
        let conf = self.story.world.path(Place::Client, "corp-krb5.conf");
        let with_tickets = |run: Run| {
            run.env("KRB5_CONFIG", &conf)
                .env("KRB5CCNAME", format!("FILE:{}", ccache.display()))
        };
        let kinit = self.story.world.at(Place::Admin, "kinit");
        let kinit = with_tickets(kinit).arg(format!("svc-sync@{REALM}"));
        kinit.stdin(format!("{USER_PASSWORD}\n")).ok()?;
        self.rename_bob("Bob by tickets")?;
        let once = with_tickets(self.admin(&["sync", "once", "-o", "json", "--domain", DOMAIN]));
        let once = once.env("CROSSREALM_TOKEN", &self.connector).ok()?.json()?;
        assert_eq!(once["updated"], 1, "{once}");
        self.agrees()
    }

    fn rename_bob(&self, name: &str) -> Result<(), Failure> {
        self.ldif(&format!(
            "dn: CN=Bob Baker,CN=Users,{BASE}\nchangetype: modify\nreplace: displayName\ndisplayName: {name}\n\n"
        ))
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
