//! The second domain controller: it converges, it lags, it is silent; each time the change stands and is reported truly.

use std::time::{Duration, Instant};

use crossrealm_lab::{ADMIN_PASSWORD, DOMAIN, Failure, PATIENCE, Place};

use crate::{Forest, JSON, SET, WHOLE, only, values};

impl Forest {
    pub(crate) fn replication(&mut self) -> Result<(), Failure> {
        self.a_partner_that_is_up_converges()?;
        self.a_partner_that_does_not_replicate_is_named()?;
        self.a_partner_that_is_down_is_named_and_nothing_fails()
    }

    /// Waits until the second controller's own database shows the object, or does not any more.
    pub(crate) fn second_dc_sees(&self, filter: &str, wanted: bool) -> Result<(), Failure> {
        let began = Instant::now();
        loop {
            let output = self
                .story
                .world
                .second_ldbsearch(filter, &["objectGUID"])
                .ok()?;
            if values(&output, "objectGUID").is_empty() != wanted {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                return Err(output.failure("the second domain controller does not follow"));
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// The tool says that the other controller sees the trust: it does, by its own database.
    fn a_partner_that_is_up_converges(&self) -> Result<(), Failure> {
        let set = self.run(&[JSON, WHOLE])?.ok()?;
        let partners = &set.json()?["replication"];
        assert_eq!(partners[0]["host"], format!("dc2.{DOMAIN}"), "{partners}");
        assert_eq!(partners[0]["state"], "same", "{partners}");
        assert_eq!(partners.as_array().map(Vec::len), Some(1));
        self.both_have_the_same_key()?;
        // What changes nothing asks nobody.
        let again = self.run(&[JSON, WHOLE])?.ok()?;
        assert_eq!(
            again.json()?["replication"].as_array().map(Vec::len),
            Some(0)
        );
        Ok(())
    }

    fn both_have_the_same_key(&self) -> Result<(), Failure> {
        for (filter, attribute) in [
            ("(objectClass=trustedDomain)", "trustAuthIncoming"),
            ("(objectClass=trustedDomain)", "msDS-TrustForestTrustInfo"),
            ("(cn=krbtgt_Crossrealm)", "pwdLastSet"),
            ("(cn=CrossrealmKerberos)", "msDS-KrbTgtLink"),
        ] {
            // The stored bytes as they are: folded base64 or text.
            let first = self.story.world.ldbsearch(filter, &[attribute]).ok()?;
            let second = self
                .story
                .world
                .second_ldbsearch(filter, &[attribute])
                .ok()?;
            let stored = |out: String| -> Vec<String> {
                let whole = out.replace("\n ", "");
                let lines = whole.lines().filter(|line| line.starts_with(attribute));
                lines.map(str::to_owned).collect()
            };
            let (first, second) = (stored(first.out()), stored(second.out()));
            assert!(!first.is_empty(), "{attribute}");
            assert!(
                first == second,
                "`{attribute}` differs between the controllers"
            );
        }
        Ok(())
    }

    fn a_partner_that_does_not_replicate_is_named(&self) -> Result<(), Failure> {
        self.inbound_replication_of_the_second_dc("+DISABLE_INBOUND_REPL")?;
        let names = "contoso.cloud.example,lagging.example";
        let set = self.run(&[WHOLE, &["--top-level-names", names]])?.ok()?;
        set.says(&format!(
            "note: the domain controller `dc2.{DOMAIN}` does not see the change after 30 s"
        ))?
        .says("differs in `cn=kerberos.contoso.cloud.example,cn=system,")?;
        let held = self.trusts_of_ad("show", &["KERBEROS.CONTOSO.CLOUD.EXAMPLE"])?;
        held.says("lagging.example")?;
        self.inbound_replication_of_the_second_dc("-DISABLE_INBOUND_REPL")
    }

    fn inbound_replication_of_the_second_dc(&self, option: &str) -> Result<(), Failure> {
        let host = format!("dc2.{DOMAIN}");
        let tool = self.story.world.at(Place::Branch, "samba-tool");
        let tool = tool
            .args(["drs", "options", &host])
            .arg(format!("--dsa-option={option}"));
        let tool = tool
            .arg("-s")
            .arg(self.story.world.second_dc_folder().join("etc/smb.conf"));
        let tool = tool
            .arg("--username=Administrator")
            .env("PASSWD", ADMIN_PASSWORD);
        tool.ok().map(drop)
    }

    /// The change stands, and the exit code is 0.
    fn a_partner_that_is_down_is_named_and_nothing_fails(&mut self) -> Result<(), Failure> {
        self.story.world.stop_second_dc();
        let names = ["--top-level-names", "contoso.cloud.example"];
        let set = self.run(&[WHOLE, &names])?.ok()?;
        set.says(&format!(
            "note: whether the domain controller `dc2.{DOMAIN}` sees the change is not known"
        ))?
        .says("port 389 (LDAP)")?;
        let rotated = self
            .run(&[JSON, SET, &["--rotate-server-key", "--force"]])?
            .ok()?;
        assert_eq!(rotated.json()?["replication"][0]["state"], "silent");
        let version = only(
            self.ad("(cn=krbtgt_Crossrealm)", "msDS-KeyVersionNumber")?,
            "key",
        )?;
        assert_eq!(self.get()?["key_version"].to_string(), version);
        Ok(())
    }
}
