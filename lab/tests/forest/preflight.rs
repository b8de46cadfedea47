//! Each finding of the preflight, on the real domain controller where it can be made there.

use crossrealm_lab::story::CLOUD_REALM;
use crossrealm_lab::{
    ADMIN_PASSWORD, Clock, DOMAIN, Failure, PATIENCE, Place, Run, Service, USER_PASSWORD,
};

use crate::{Forest, GET, JSON, SET, WHOLE, script};

/// Where the stand-ins for domain controllers listen: the client's address in the company's network.
const STAND_IN: &str = "10.77.1.2";
/// Ten minutes: more than Kerberos allows.
const SHIFT_S: i64 = 600;

impl Forest {
    pub(crate) fn preflight(&mut self) -> Result<(), Failure> {
        let before = self.changes()?;
        self.everything_is_reported_at_once()?;
        self.an_account_with_the_trusts_name_is_reported()?;
        self.services_that_hide_the_tenant_are_reported_with_their_owner()?;
        self.closed_ports_are_reported_together()?;
        self.a_child_domain_is_refused_before_anybody_signs_in()?;
        self.clocks_that_are_off_are_reported()?;
        assert_eq!(before, self.changes()?, "nothing may change in AD");
        assert!(self.get()?["cloud_trust"].is_null(), "nor in the tenant");
        Ok(())
    }

    /// An account without rights, at the wrong controller, while another trust has the tenant's flat name, SID and one
    /// of its names: one refusal with seven findings.
    fn everything_is_reported_at_once(&self) -> Result<(), Failure> {
        let show = ["-o", "json", "tenant", "show", "contoso"];
        let tenant = self
            .story
            .crossrealm(Place::Admin)
            .args(show)
            .ok()?
            .json()?;
        let text = |key: &str| tenant[key].as_str().unwrap_or_default().to_owned();
        let (flat_name, sid) = (text("flat_name"), text("sid"));
        let names = ["eu.contoso.cloud.example", "other.example"];
        let other = ["OTHER.EXAMPLE", &flat_name, &sid, names[0], names[1]];
        self.trusts_of_ad("add", &other)?;
        let password = self
            .story
            .world
            .write(Place::Admin, "bob.password", USER_PASSWORD)?;
        let bob = |more: &[&str]| {
            let run = self.story.crossrealm(Place::Admin).args(more).args(WHOLE);
            run.args(["--domain", DOMAIN, "--dc", &format!("dc2.{DOMAIN}")])
                .args(["--domain-user", &format!("bob@{DOMAIN}")])
                .arg("--domain-password-file")
                .arg(&password)
        };
        // The second controller must know of the other trust before it is asked.
        self.second_dc_sees("(trustPartner=OTHER.EXAMPLE)", true)?;
        let refused = bob(&[]).refused(1)?;
        for finding in [
            "error: the account may not create objects of class `user` in `CN=Users,".to_owned(),
            "error: the account may not create objects of class `computer` in `OU=Domain Controllers,".to_owned(),
            "error: the account may not create trusts (`trustedDomain` in `CN=System,".to_owned(),
            format!("error: `dc2.{DOMAIN}` is not the PDC emulator of `{DOMAIN}`; that is `dc1.{DOMAIN}`"),
            format!("error: the flat name `{flat_name}` is taken by the trust with `OTHER.EXAMPLE`"),
            format!("error: the SID {sid} is taken by the trust with `OTHER.EXAMPLE`"),
            "error: the top-level name `contoso.cloud.example` overlaps `eu.contoso.cloud.example` of the trust with `OTHER.EXAMPLE`".to_owned(),
            format!("hint: name it with `--dc dc1.{DOMAIN}`, or leave `--dc` away"),
            "hint: use a member of Domain Admins".to_owned(),
            "hint: create a tenant of another name: its flat name differs".to_owned(),
            "hint: choose `--top-level-names`".to_owned(),
        ] {
            refused.says(&finding)?;
        }
        let refused = bob(JSON).refused(1)?;
        let found = refused.json()?;
        let mut codes: Vec<&str> = found["findings"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|one| one["code"].as_str())
            .collect();
        codes.sort_unstable();
        let expected = [
            "flat_name_taken",
            "missing_right",
            "missing_right",
            "missing_right",
            "not_primary",
            "sid_taken",
            "top_level_name_taken",
        ];
        assert_eq!(codes, expected);
        // Without the trust, the second controller is as good as the first, for somebody with the rights.
        let dry = ["--dry-run", "--dc", &format!("dc2.{DOMAIN}")];
        self.run(&[SET, &dry])?.ok()?.says("create the computer")?;
        self.trusts_of_ad("delete", &["OTHER.EXAMPLE"]).map(drop)
    }

    /// A computer that has the name of the trust's account.
    fn an_account_with_the_trusts_name_is_reported(&self) -> Result<(), Failure> {
        let show = ["-o", "json", "tenant", "show", "contoso"];
        let tenant = self
            .story
            .crossrealm(Place::Admin)
            .args(show)
            .ok()?
            .json()?;
        let flat_name = tenant["flat_name"].as_str().unwrap_or_default();
        let computer = |verb: &str| {
            let tool = self.story.world.samba_tool(&["computer", verb, flat_name]);
            tool.ok().map(drop)
        };
        computer("create")?;
        let refused = self.run(&[WHOLE, &["--dry-run"]])?.refused(1)?;
        refused.says(&format!(
            "has the name `{flat_name}$`, which the account of the trust gets"
        ))?;
        computer("delete")
    }

    fn services_that_hide_the_tenant_are_reported_with_their_owner(&self) -> Result<(), Failure> {
        let hidden = [
            "MSSQLSvc/db.contoso.cloud.example:1433",
            "HTTP/contoso.cloud.example",
        ];
        let spn = |verb: &str, name: &str| {
            let tool = self.story.world.samba_tool(&["spn", verb, name, "bob"]);
            tool.ok().map(drop)
        };
        spn("add", hidden[0])?;
        spn("add", hidden[1])?;
        spn("add", "HTTP/other-contoso.cloud.example")?;
        let plan = self.run(&[WHOLE, &["--dry-run"]])?.ok()?;
        for name in hidden {
            plan.says(&format!("note: AD answers for `{name}` itself"))?;
        }
        plan.says("the name belongs to `CN=Bob Baker,CN=Users,")?
            .does_not_say("other-contoso")?;
        let plan = self.run(&[JSON, WHOLE, &["--dry-run"]])?.ok()?.json()?;
        let notes = plan["notes"].as_array().map_or(&[][..], Vec::as_slice);
        let shadowed = notes.iter().filter(|note| note["code"] == "shadowed");
        assert_eq!(shadowed.count(), 2, "{notes:?}");
        // Samba's domain is of the level of Windows Server 2008 R2, which is reported but does not block it.
        assert!(notes.iter().any(|note| note["code"] == "domain_level"));
        spn("delete", hidden[0])?;
        spn("delete", hidden[1])?;
        spn("delete", "HTTP/other-contoso.cloud.example")
    }

    fn stand_in(&self, kind: &str, last: &str) -> Result<Service, Failure> {
        let run = self.story.world.at(Place::Client, "/usr/bin/python3");
        let run = run
            .arg(script("stand_in_dc.py"))
            .args([STAND_IN, kind, last]);
        let name = format!("stand-in {kind}");
        let mut service = self.story.world.service(Place::Client, &name, &run)?;
        service.wait_for_line("ready", PATIENCE)?;
        Ok(service)
    }

    fn closed_ports_are_reported_together(&self) -> Result<(), Failure> {
        let _stand_in = self.stand_in("ldap-only", "10.77.1.1")?;
        let refused = self.run(&[WHOLE, &["--dc", STAND_IN]])?.refused(1)?;
        refused
            .says("error: cannot connect to `dc1.corp.contoso.com` port 88 (Kerberos)")?
            .says("error: cannot connect to `dc1.corp.contoso.com` port 445 (SMB)")?
            .says("hint: run this on-premises, on a computer that reaches the domain controller on TCP ports 88, 389 and 445")?;
        // And LDAP itself.
        let refused = self.run(&[WHOLE, &["--dc", "10.77.1.3"]])?.refused(1)?;
        refused
            .says("error: cannot connect to `10.77.1.3` port 389 (LDAP)")?
            .says("error: cannot connect to `10.77.1.3` port 88 (Kerberos)")?
            .says("error: cannot connect to `10.77.1.3` port 445 (SMB)")
            .map(drop)
    }

    /// The controller of a child domain is asked who it is, and nothing else.
    fn a_child_domain_is_refused_before_anybody_signs_in(&self) -> Result<(), Failure> {
        let log = self.story.world.path(Place::Client, "child.bytes");
        let _stand_in = self.stand_in("child", &log.display().to_string())?;
        let child = |more: &[&str], words: &[&str]| -> Result<Run, Failure> {
            let password =
                self.story
                    .world
                    .write(Place::Admin, "child.password", ADMIN_PASSWORD)?;
            let run = self.story.crossrealm(Place::Admin).args(more).args(words);
            Ok(run
                .args(["--domain", "na.corp.contoso.com", "--dc", STAND_IN])
                .args(["--domain-user", "administrator@na.corp.contoso.com"])
                .arg("--domain-password-file")
                .arg(password))
        };
        let refused = child(&[], WHOLE)?.refused(1)?;
        refused
            .says("error: `na.corp.contoso.com` is not the root of its forest `corp.contoso.com`: a cloud trust there fails with 0x549")?
            .says("hint: run it with `--domain corp.contoso.com --setup-cloud-trust`, and in the child domain `set` without `--setup-cloud-trust`")?;
        let refused = child(JSON, WHOLE)?.refused(1)?.json()?;
        assert_eq!(refused["findings"][0]["code"], "not_forest_root");
        assert!(!log.exists(), "nobody may sign in: {}", log.display());
        // Without the trust the child domain is as good as any: the next thing is to sign in, which shows.
        child(&[], SET)?.refused(1)?.does_not_say("0x549")?;
        let bytes = std::fs::read_to_string(&log)?;
        assert!(bytes.starts_with("88: "), "{bytes}");
        Ok(())
    }

    /// Samba cannot host a child domain, but its controller can take itself for the controller of one: it then says so,
    /// by LDAP and by LSA. The trust is refused, and the Kerberos server object is made.
    pub(crate) fn a_child_gets_its_own_object(&self) -> Result<(), Failure> {
        let removed = self.run(&[&["kerberos-server", "remove"]])?.ok()?;
        // The second controller is down still.
        removed.says(&format!(
            "note: whether the domain controller `dc2.{DOMAIN}` sees the change is not known"
        ))?;
        assert!(self.changes()?.is_empty());
        let database = self.story.world.dc_folder().join("private/sam.ldb");
        let modify = self.story.world.at(Place::Onprem, "ldbmodify").arg("-H");
        let ldif = "dn: @ROOTDSE\nchangetype: modify\nreplace: rootDomainNamingContext\nrootDomainNamingContext: DC=contoso,DC=com\n";
        modify.arg(database).stdin(ldif).ok()?;
        let refused = self.run(&[WHOLE])?.refused(1)?;
        refused
            .says(&format!("error: `{DOMAIN}` is not the root of its forest `contoso.com`: a cloud trust there fails with 0x549"))?
            .says("hint: run it with `--domain contoso.com --setup-cloud-trust`")?;
        assert!(self.changes()?.is_empty(), "nothing may be made");
        self.run(&[SET])?.ok()?;
        assert_eq!(
            self.changes()?.len(),
            2,
            "the service account and the computer"
        );
        let get = self.get()?;
        assert_eq!(get["id"], get["cloud_id"]);
        assert!(get["id"].is_number() && get["cloud_trust_display"].is_null());
        assert_eq!(get["findings"].as_array().map(Vec::len), Some(0), "{get}");
        Ok(())
    }

    fn clocks_that_are_off_are_reported(&mut self) -> Result<(), Failure> {
        let clock = Clock::make(&self.story.world)?;
        for (ahead_s, says) in [(-SHIFT_S, "behind"), (SHIFT_S, "ahead of")] {
            clock.is_ahead(ahead_s, 0)?;
            let refused = clock.of(self.run(&[WHOLE])?).refused(1)?;
            refused
                .says("error: the clock of this computer is ")?
                .says(&format!(
                    "{says} that of the domain controller `dc1.{DOMAIN}`: Kerberos allows 5 min"
                ))?
                .says("hint: set the clocks by NTP")?
                .does_not_say("the clock of the service")?;
        }
        // A command without a preflight gets the domain controller's error.
        let refused = clock.of(self.run(&[GET])?).refused(1)?;
        refused.says("error: the clocks differ by more than five minutes")?;
        // The service's clock.
        self.story.cloud = None;
        let serve = self.story.bare(Place::Cloud).arg("serve").arg("--config");
        let serve = serve.arg(self.story.cloud_folder().join("crossrealm.toml"));
        let serve = clock.of(serve);
        let mut service = self
            .story
            .world
            .service(Place::Cloud, "serve off", &serve)?;
        service.wait_for_ports(&[443], PATIENCE)?;
        let refused = self.run(&[WHOLE, &["--dry-run"]])?.refused(1)?;
        refused
            .says("error: the clock of the service is ")?
            .says(&format!(
                "ahead of that of the domain controller `dc1.{DOMAIN}`"
            ))?
            .does_not_say("the clock of this computer")?;
        drop(service);
        self.story.start_cloud()?;
        let fine = self.run(&[WHOLE, &["--dry-run"]])?.ok()?;
        fine.does_not_say("clock")?.says(CLOUD_REALM).map(drop)
    }
}
