//! The sync agent on a real Active Directory: everything that can happen to users and groups, and everything that interrupts a run.
//!
//! What the tenant must hold is worked out from `ldbsearch` by a script of the lab (`oracles/sync_state.py`); what it
//! holds is asked with the product's `user` and `group` commands; and that somebody's access begins or ends is shown by a
//! ticket that MIT's `kvno` gets or does not get.

mod forest;
mod hands;
mod sign_in;
mod values;

use std::time::Duration;

use crossrealm_lab::{DOMAIN, Failure, USER_PASSWORD};
use hands::{BASE, BY_CHANGES, LIMIT, Play, file_time, now_s, played, with_right_times};
use serde_json::{Value, json};

#[test]
fn the_tenant_follows_the_directory() {
    played(&[
        ("the first sync", Play::the_first_sync_took_all),
        ("changes", Play::changes_are_followed),
        (
            "deletion and revival",
            Play::what_is_deleted_goes_and_what_is_revived_comes_back,
        ),
        (
            "disabled users",
            Play::disabled_and_locked_users_get_no_ticket,
        ),
        ("administrators", Play::administrators_stay_out),
        ("scopes", Play::scopes_choose),
        ("refusals", Play::what_is_refused_is_not_forgotten),
        ("lost cursors", Play::a_lost_cursor_takes_nobodys_access),
        ("least privilege", Play::accounts_with_few_rights_do),
    ]);
}

#[test]
fn the_service_outlives_what_happens_to_it() {
    played(&[
        ("changes", Play::changes_are_followed),
        ("the deletion guard", Play::mass_deletion_stops_and_asks),
        ("the service", Play::the_service_follows_within_seconds),
        ("sign-ins", Play::a_keytab_or_tickets_serve_as_well),
    ]);
}

#[test]
fn expired_tickets_and_foreign_domains_are_reported() {
    played(&[
        ("tickets that end", Play::tickets_that_end_are_reported),
        (
            "a ticket's end",
            Play::a_connection_lasts_as_long_as_its_ticket,
        ),
        (
            "another domain",
            Play::members_of_another_domain_count_once_it_is_synced,
        ),
    ]);
}

impl Play {
    fn the_first_sync_took_all(&mut self) -> Result<(), Failure> {
        self.agrees()?;
        // Who sees deleted objects is known from the first one on.
        self.tool(&["user", "create", "nobody", USER_PASSWORD])?;
        self.tool(&["user", "delete", "nobody"])?;
        self.once(&["--full"])?;
        let again = self.once(&[])?;
        assert_eq!(again["compared"], BY_CHANGES);
        assert_eq!(
            (
                &json!(
                    again["source"]
                        .as_str()
                        .is_some_and(|text| text.starts_with("DirSync"))
                ),
                &again["created"]
            ),
            (&json!(true), &json!(0))
        );
        self.sync(&["plan"]).ok()?.says("nothing to change")?;
        with_right_times(&self.sync(&["plan", "--full", "-o", "json"]).ok()?)?;
        let status = self.status(&[]).ok()?;
        status
            .says("Source      : DirSync")?
            .says("Refused     : 0")?;
        Ok(())
    }

    /// Joins, cycles, renames, moves, primary groups, foreign members: each seen as a change.
    fn changes_are_followed(&mut self) -> Result<(), Failure> {
        let tool = |words: &[&str]| self.story.world.samba_tool(words).ok().map(drop);
        tool(&["ou", "create", &format!("OU=Berlin,{BASE}")])?;
        tool(&[
            "user",
            "create",
            "carol",
            USER_PASSWORD,
            "--given-name=Carol",
        ])?;
        tool(&["group", "add", "Engineers"])?;
        tool(&["group", "add", "Everybody"])?;
        tool(&["group", "addmembers", "Engineers", "carol,bob,Everybody"])?;
        tool(&["group", "addmembers", "Everybody", "Engineers,AllStaff"])?;
        self.follows("created")?;
        tool(&["user", "move", "carol", &format!("OU=Berlin,{BASE}")])?;
        self.ldif(&format!(
            "dn: CN=Carol,OU=Berlin,{BASE}\nchangetype: modify\nreplace: displayName\ndisplayName: Carol Größe\n-\n\
             replace: userPrincipalName\nuserPrincipalName: c.groesse@contoso.example\n-\n\
             replace: sAMAccountName\nsAMAccountName: cgroesse\n\n\
             dn: CN=Sales,CN=Users,{BASE}\nchangetype: modrdn\nnewrdn: CN=Vertrieb\ndeleteoldrdn: 1\n\n"
        ))?;
        self.follows("updated")?;
        tool(&["group", "removemembers", "Engineers", "bob"])?;
        tool(&["group", "addmembers", "Engineers", "S-1-5-21-99-98-97-1234"])?;
        let changed = self.once_with_log(&[])?;
        changed.says("a member that is a foreign security principal: 1 in `Engineers`")?;
        self.agrees()?;
        // Who has a group as the primary group is in it without a membership.
        let rid = self.story.world.sid_of("Engineers")?;
        let rid = rid.rsplit('-').next().unwrap_or_default().to_owned();
        self.ldif(&format!(
            "dn: CN=Carol,OU=Berlin,{BASE}\nchangetype: modify\nreplace: primaryGroupID\nprimaryGroupID: {rid}\n\n"
        ))?;
        self.follows("updated")?;
        let show = ["-o", "json", "user", "show", "c.groesse@contoso.example"];
        let carol = self.admin(&show).ok()?.json()?;
        let groups = carol["effective_groups"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let by_primary = groups
            .iter()
            .any(|one| one["group"]["name"] == "Engineers" && one["by_primary_group"] == true);
        assert!(by_primary, "{carol}");
        assert!(
            groups.iter().any(|one| one["group"]["name"] == "Everybody"),
            "{carol}"
        );
        Ok(())
    }

    fn what_is_deleted_goes_and_what_is_revived_comes_back(&mut self) -> Result<(), Failure> {
        let guid = self.attribute("(sAMAccountName=mallory)", "objectGUID")?;
        let sid = self.story.world.sid_of("mallory")?;
        self.tool(&["user", "delete", "mallory"])?;
        let gone = self.follows("deleted")?;
        assert_eq!(gone["deleted"], 1);
        self.ldif_with(
            &["--controls=show_deleted:1"],
            &format!(
                "dn: <GUID={guid}>\nchangetype: modify\ndelete: isDeleted\n-\nreplace: distinguishedName\n\
                 distinguishedName: CN=Mallory Moss,CN=Users,{BASE}\n\n"
            ),
        )?;
        assert_eq!(self.story.world.sid_of("mallory")?, sid, "the same object");
        self.follows("updated")?;
        Ok(())
    }

    fn disabled_and_locked_users_get_no_ticket(&mut self) -> Result<(), Failure> {
        self.sign_in("bob")?;
        self.ticket("bob")?;
        self.tool(&["user", "disable", "bob"])?;
        self.follows("updated")?;
        self.no_ticket("bob")?;
        self.tool(&["user", "enable", "bob"])?;
        self.follows("updated")?;
        self.ticket("bob")?;
        let lock = |value: i64| {
            format!(
                "dn: CN=Bob Baker,CN=Users,{BASE}\nchangetype: modify\nreplace: lockoutTime\nlockoutTime: {value}\n\n"
            )
        };
        self.ldif(&lock(file_time(now_s())))?;
        self.follows("updated")?;
        self.no_ticket("bob")?;
        self.ldif(&lock(0))?;
        self.follows("updated")?;
        self.ticket("bob")?;
        // The account expires while nothing in the directory changes; a run may take longer than till then.
        let mut soon_s = 3;
        let at = loop {
            let at = now_s() + soon_s;
            self.bob_expires(file_time(at))?;
            if self.once(&[])?["updated"] == 0 {
                break at;
            }
            soon_s *= 4;
        };
        while now_s() <= at {
            std::thread::sleep(Duration::from_millis(200));
        }
        let expired = self.follows("updated")?;
        assert_eq!(expired["compared"], BY_CHANGES);
        self.no_ticket("bob")?;
        self.bob_expires(0)?;
        self.follows("updated")?;
        self.ticket("bob")
    }

    fn bob_expires(&self, at: i64) -> Result<(), Failure> {
        self.ldif(&format!(
            "dn: CN=Bob Baker,CN=Users,{BASE}\nchangetype: modify\nreplace: accountExpires\naccountExpires: {at}\n\n"
        ))
    }

    fn administrators_stay_out(&mut self) -> Result<(), Failure> {
        self.tool(&["group", "add", "Helpdesk"])?;
        self.tool(&["group", "addmembers", "Helpdesk", "bob"])?;
        self.once(&[])?;
        self.tool(&["group", "addmembers", "Account Operators", "Helpdesk"])?;
        let reported = self.once_with_log(&[])?;
        reported.says("a privileged account")?.says("bob")?;
        self.agrees()?;
        self.no_ticket("bob")?;
        let all = self.once(&["--include-privileged"])?;
        assert_eq!(
            all["created"].as_u64().unwrap_or(0) + all["updated"].as_u64().unwrap_or(0),
            1
        );
        assert!(
            all["compared"]
                .as_str()
                .is_some_and(|why| why.contains("the scope")),
            "{all}"
        );
        self.ticket("bob")?;
        self.tool(&["group", "removemembers", "Account Operators", "Helpdesk"])?;
        self.once(&[])?;
        self.agrees()
    }

    fn scopes_choose(&mut self) -> Result<(), Failure> {
        let names = |play: &Self| -> Result<Vec<String>, Failure> {
            let state = play.held()?;
            let users = state["users"].as_object().cloned().unwrap_or_default();
            let mut names: Vec<String> = users
                .values()
                .filter_map(|user| user["name"].as_str().map(str::to_owned))
                .collect();
            names.sort();
            Ok(names)
        };
        let all = names(self)?;
        self.once(&[
            "--scope-ou",
            &format!("ou=berlin,{BASE}"),
            "--accept-deletions",
            "100",
        ])?;
        assert_eq!(names(self)?, ["cgroesse"]);
        self.tool(&["user", "move", "alice", &format!("OU=Berlin,{BASE}")])?;
        let moved = self.once(&["--scope-ou", &format!("ou=berlin,{BASE}")])?;
        assert_eq!(
            (&moved["compared"], &moved["updated"]),
            (&json!(BY_CHANGES), &json!(1))
        );
        assert_eq!(names(self)?, ["alice", "cgroesse"]);
        self.tool(&["user", "move", "alice", &format!("CN=Users,{BASE}")])?;
        let left = self.once(&["--scope-ou", &format!("ou=berlin,{BASE}")])?;
        assert_eq!(left["deleted"], 1);
        let nowhere = ["once", "--scope-ou", &format!("OU=Nowhere,{BASE}")];
        self.sync(&nowhere)
            .refused(1)?
            .says(&format!("no organizational unit `OU=Nowhere,{BASE}`"))?;
        self.sync(&["once", "--scope-ou", "Berlin"])
            .refused(1)?
            .says("hint: give the whole DN")?;
        self.sync(&["once", "--scope-group", "Nobodies"])
            .refused(1)?
            .says("no group `Nobodies`")?;
        assert_eq!(names(self)?, ["cgroesse"]);

        self.once(&["--scope-group", "AllStaff", "--accept-deletions", "100"])?;
        assert_eq!(names(self)?, ["alice", "müller"]);
        self.tool(&["group", "addmembers", "Sales", "bob"])?;
        self.once(&["--scope-group", "AllStaff"])?;
        assert_eq!(names(self)?, ["alice", "bob", "müller"]);

        let filter = [
            "--scope-filter",
            "(displayName=Bob*)",
            "--accept-deletions",
            "100",
        ];
        self.once(&filter)?;
        assert_eq!(names(self)?, ["bob"]);
        self.ldif(&format!(
            "dn: CN=Alice Archer,CN=Users,{BASE}\nchangetype: modify\nreplace: displayName\ndisplayName: Bobette\n\n"
        ))?;
        let came = self.once(&filter)?;
        assert_eq!(came["compared"], BY_CHANGES);
        assert_eq!(names(self)?, ["alice", "bob"]);
        self.sync(&["once", "--scope-filter", "(memberOf=CN=x)"])
            .refused(1)?
            .says("--scope-group")?;

        self.ldif(&format!(
            "dn: CN=Alice Archer,CN=Users,{BASE}\nchangetype: modify\nreplace: mail\nmail: a.archer@contoso.example\n\n"
        ))?;
        let mapped = self.once_with_log(&["--upn-attribute", "mail"])?;
        mapped.says("the UPN is missing or unusable; `--upn-attribute`")?;
        self.admin(&["user", "show", "a.archer@contoso.example"])
            .ok()?;
        self.once(&[])?;
        assert_eq!(names(self)?, all);
        self.agrees()
    }

    /// A user whose UPN a cloud-only user has: refused, reported, tried again without a change in AD.
    fn what_is_refused_is_not_forgotten(&mut self) -> Result<(), Failure> {
        let upn = format!("dora@{DOMAIN}");
        self.admin(&["user", "create", &upn]).ok()?;
        self.tool(&["user", "create", "dora", USER_PASSWORD])?;
        self.tool(&["user", "create", "emil", USER_PASSWORD])?;
        self.tool(&["group", "addmembers", "Engineers", "dora,emil"])?;
        let refused = self.once(&[])?;
        assert_eq!(
            (&refused["created"], &refused["refused"][0]["code"]),
            (&json!(1), &json!("cloud_only"))
        );
        self.status(&[])
            .ok()?
            .says("refused by the tenant: `dora`")?;
        let again = self.once(&[])?;
        assert_eq!(again["refused"][0]["account_name"], "dora");
        self.delete_cloud_user(&upn)?;
        let taken = self.follows("created")?;
        assert_eq!(taken["refused"], json!([]));
        self.status(&[]).ok()?.says("Refused     : 0").map(drop)
    }

    fn a_lost_cursor_takes_nobodys_access(&mut self) -> Result<(), Failure> {
        self.sign_in("alice")?;
        let status = self.status(&["-o", "json"]).ok()?.json()?;
        let good = status["cursor"].as_str().unwrap_or_default().to_owned();
        let refused: String = good
            .lines()
            .map(|line| match line.starts_with("position ") {
                true => "position AAAAAAAA\n".to_owned(),
                false => format!("{line}\n"),
            })
            .collect();
        for (cursor, why) in [
            (Value::Null, "there is no usable sync cursor"),
            (json!("nonsense"), "there is no usable sync cursor"),
            (
                json!(refused.trim_end_matches('\n')),
                "does not accept the sync cursor",
            ),
        ] {
            self.store_cursor(&cursor)?;
            let verb = if cursor.is_null() {
                "addmembers"
            } else {
                "removemembers"
            };
            self.tool(&["group", verb, "Sales", "dora"])
                .or_else(|_| self.tool(&["group", "addmembers", "Sales", "dora"]))?;
            let all = self.once(&[])?;
            assert!(
                all["compared"]
                    .as_str()
                    .is_some_and(|text| text.contains(why)),
                "{all}"
            );
            assert_eq!(
                (&all["deleted"], &all["created"]),
                (&json!(0), &json!(0)),
                "{all}"
            );
            self.ticket("alice")?;
            self.agrees()?;
        }
        assert_eq!(self.once(&[])?["compared"], BY_CHANGES);
        Ok(())
    }

    /// The agent's account, with less and less: the right to replicate alone, then nothing but being a user.
    fn accounts_with_few_rights_do(&mut self) -> Result<(), Failure> {
        let as_service = |play: &Self, words: &[&str]| -> Result<Value, Failure> {
            play.as_agent(words)?.ok()?.json()
        };
        let plain = ["-o", "json", "once", "--full"];
        let seen = as_service(self, &plain)?;
        let source = seen["source"].as_str().unwrap_or_default();
        assert!(source.starts_with("uSNChanged"), "{seen}");
        self.agrees()?;
        self.ldif(&format!(
            "dn: CN=emil,CN=Users,{BASE}\nchangetype: modify\nreplace: displayName\ndisplayName: Emil\n\n"
        ))?;
        let seen = as_service(self, &["-o", "json", "once"])?;
        assert_eq!(
            (&seen["compared"], &seen["updated"]),
            (&json!(BY_CHANGES), &json!(1))
        );
        self.tool(&["group", "removemembers", "Engineers", "emil"])?;
        as_service(self, &["-o", "json", "once"])?;
        self.agrees()?;
        self.tool(&["user", "delete", "emil"])?;
        let seen = as_service(self, &plain)?;
        assert_eq!(seen["deleted"], 1);

        self.may_replicate("svc-sync")?;
        // Samba keeps deleted objects from such an account, and says nothing of them.
        let source = "DirSync; deletions by a full sync every 15 minutes";
        assert_eq!(as_service(self, &plain)?["source"], source);
        self.tool(&["user", "create", "frida", USER_PASSWORD])?;
        self.tool(&["group", "addmembers", "Engineers", "frida"])?;
        as_service(self, &["-o", "json", "once"])?;
        self.agrees()?;
        self.tool(&["user", "delete", "frida"])?;
        assert_eq!(as_service(self, &plain)?["deleted"], 1);
        self.agrees()
    }

    fn mass_deletion_stops_and_asks(&mut self) -> Result<(), Failure> {
        let many: Vec<String> = (0..14).map(|number| format!("temp{number:02}")).collect();
        let dn = |name: &str| format!("CN={name},OU=Berlin,{BASE}");
        let add: String = many
            .iter()
            .map(|name| {
                format!("dn: {}\nchangetype: add\nobjectClass: user\nsAMAccountName: {name}\nuserAccountControl: 544\n\n", dn(name))
            })
            .collect();
        self.ldif(&add)?;
        self.follows("created")?;
        let delete = |names: &[String]| -> String {
            names
                .iter()
                .map(|name| format!("dn: {}\nchangetype: delete\n\n", dn(name)))
                .collect()
        };
        // Bit by bit is as much as at once.
        self.ldif(&delete(&many[..4]))?;
        self.once(&[])?;
        self.ldif(&delete(&many[4..]))?;
        let refused = self.sync(&["once"]).refused(1)?;
        refused
            .says("nothing was changed")?
            .says("--accept-deletions ")?;
        let held = self.held()?["users"]
            .as_object()
            .map_or(0, serde_json::Map::len);
        let again = self.sync(&["once"]).refused(1)?;
        again.says("identities")?;
        assert_eq!(
            self.held()?["users"]
                .as_object()
                .map_or(0, serde_json::Map::len),
            held
        );
        let done = self.once(&["--accept-deletions", "100"])?;
        assert_eq!(done["deleted"], 10);
        self.agrees()
    }

    fn the_service_follows_within_seconds(&mut self) -> Result<(), Failure> {
        let mut service = self.service("sync one")?;
        service.wait_for_line("synced", LIMIT)?;
        self.sign_in("alice")?;
        self.ticket("alice")?;
        self.tool(&["user", "disable", "alice"])?;
        let took = self.until(|play| Ok(play.kvno("alice").output()?.code != Some(0)))?;
        println!(
            "a disabled user got no ticket after {:.2} s",
            took.as_secs_f64()
        );
        self.tool(&["user", "enable", "alice"])?;
        let took = self.until(|play| Ok(play.kvno("alice").output()?.code == Some(0)))?;
        println!(
            "an enabled user got a ticket after {:.2} s",
            took.as_secs_f64()
        );

        // A second agent waits, and takes over when the first one ends.
        let mut second = self.service("sync two")?;
        second.wait_for_line("another sync agent works", LIMIT)?;
        service.stop(LIMIT)?;
        self.tool(&["group", "addmembers", "Engineers", "alice"])?;
        second.wait_for_line("synced", LIMIT)?;

        // The domain controller goes and comes back; what changed meanwhile arrives.
        self.story.world.kill_dc();
        second.wait_for_line("retry_in_s", LIMIT)?;
        self.ldif(&format!(
            "dn: CN=Bob Baker,CN=Users,{BASE}\nchangetype: modify\nreplace: displayName\ndisplayName: Bob came back\n\n"
        ))?;
        self.story.world.restart_dc()?;
        let back = |play: &Self| {
            let show = play
                .admin(&["user", "show", &format!("bob@{DOMAIN}")])
                .ok()?;
            Ok(show.both().contains("Bob came back"))
        };
        let took = self.until(back)?;
        println!(
            "after the domain controller's return: {:.1} s",
            took.as_secs_f64()
        );
        self.agrees()?;
        second.stop(LIMIT)
    }
}
