//! What surrounds the agent: its account's rights, its password, its clock, the domain controller's past.

use crossrealm_lab::{Failure, Place, Run, USER_PASSWORD};
use serde_json::Value;

use crate::hands::{BASE, BY_CHANGES, LIMIT, Play, file_time, now_s};
use crate::script;

/// "Replicating Directory Changes", [MS-ADTS] 5.1.3.2.1.
const GET_CHANGES: &str = "1131f6aa-9c07-11d1-f79f-00c04fc2dcd2";
/// Who may what in the container of deleted objects, as Samba sets it up.
const DELETED_OBJECTS: &str = "D:PAI(A;;RPWPCCDCLCRCWOWDSDSW;;;SY)(A;;RPLC;;;BA)";
const NEW_PASSWORD: &str = "P@ssw0rd-User2";

impl Play {
    /// `crossrealm sync …` as the agent's account, with the connector's token.
    fn as_agent(&self, words: &[&str]) -> Result<Run, Failure> {
        let run = self.sync_as("svc-sync", words)?;
        Ok(run.env("CROSSREALM_TOKEN", &self.connector))
    }

    fn agent_once(&self, words: &[&str]) -> Result<Value, Failure> {
        let words = [&["once", "-o", "json"], words].concat();
        self.as_agent(&words)?.ok()?.json()
    }

    /// The one further right with which an account that may replicate sees deletions, too.
    pub(super) fn a_right_to_see_deletions_is_enough(&mut self) -> Result<(), Failure> {
        let sid = self.story.world.sid_of("svc-sync")?;
        let right = format!("(OA;;CR;{GET_CHANGES};;{sid})");
        let grant = [
            "dsacl",
            "set",
            "--action=allow",
            "--objectdn",
            BASE,
            "--sddl",
        ];
        self.tool(&[&grant[..], &[&right]].concat())?;
        self.tool(&["user", "create", "gerda", USER_PASSWORD])?;
        self.tool(&["user", "create", "hans", USER_PASSWORD])?;
        self.tool(&["user", "delete", "gerda"])?;
        let blind = "DirSync; deletions by comparing everything every 15 minutes";
        assert_eq!(self.agent_once(&["--full"])?["source"], blind);
        self.deleted_objects(&format!("{DELETED_OBJECTS}(A;;RPLC;;;{sid})"))?;
        let seeing = self.agent_once(&[])?;
        assert_eq!(
            (&seeing["source"], &seeing["compared"]),
            (
                &"DirSync".into(),
                &"everything: this account sees deleted objects now".into()
            )
        );
        self.agrees()?;
        let service = self.service("sync deletions")?;
        self.rename("Bob at first")?;
        self.knows("Bob at first")?;
        self.sign_in("hans")?;
        self.ticket("hans")?;
        self.tool(&["user", "delete", "hans"])?;
        let took = self.until(|play| Ok(play.kvno("hans").output()?.code != Some(0)))?;
        println!(
            "a deleted user got no ticket after {:.2} s",
            took.as_secs_f64()
        );
        service.stop(LIMIT)?;
        self.agrees()?;
        // The right is withdrawn: nothing is missed then, either.
        self.deleted_objects(DELETED_OBJECTS)?;
        let blinded = self.agent_once(&[])?;
        assert_eq!(
            (&blinded["source"], &blinded["compared"]),
            (
                &blind.into(),
                &"everything: this account sees no deleted objects any more".into()
            )
        );
        self.agrees()
    }

    fn deleted_objects(&self, sddl: &str) -> Result<(), Failure> {
        self.ldif_with(
            &["--controls=show_deleted:1,sd_flags:1:4"],
            &format!(
                "dn: CN=Deleted Objects,{BASE}\nchangetype: modify\nreplace: nTSecurityDescriptor\n\
                 nTSecurityDescriptor: {sddl}\n\n"
            ),
        )
    }

    /// The agent's account is disabled, and gets another password, while the service runs.
    pub(super) fn an_account_may_fail_and_be_mended(&mut self) -> Result<(), Failure> {
        self.sign_in("alice")?;
        let mut service = self.service("sync account")?;
        self.rename("Bob before")?;
        self.knows("Bob before")?;
        for (breaks, mends, told) in [
            (
                &["user", "disable", "svc-sync"][..],
                &["user", "enable", "svc-sync"][..],
                "disabled",
            ),
            (
                &[
                    "user",
                    "setpassword",
                    "svc-sync",
                    "--newpassword",
                    NEW_PASSWORD,
                ],
                &[],
                "wrong password",
            ),
        ] {
            self.tool(breaks)?;
            // A connection that stands goes on; the next one has to be signed in for.
            self.story.world.kill_dc();
            self.story.world.restart_dc()?;
            let mark = service.log_mark();
            self.tells(&service, mark, told)?;
            self.ticket("alice")?;
            self.rename(&format!("Bob after {told}"))?;
            match mends {
                [] => drop(
                    self.story
                        .world
                        .write(Place::Admin, "user.password", NEW_PASSWORD)?,
                ),
                mends => self.tool(mends)?,
            }
            self.knows(&format!("Bob after {told}"))?;
        }
        assert_eq!(service.ended(), None);
        service.stop(LIMIT)?;
        self.tool(&[
            "user",
            "setpassword",
            "svc-sync",
            "--newpassword",
            USER_PASSWORD,
        ])?;
        self.agrees()
    }

    /// The clock of the agent's computer jumps by hours while the service runs.
    pub(super) fn the_agents_clock_may_jump(&mut self) -> Result<(), Failure> {
        let shift = self.story.world.write(Place::Admin, "clock", "0")?;
        let library = self.story.world.path(Place::Admin, "file_clock.so");
        let compile = Run::here("cc").args(["-shared", "-fPIC", "-O1", "-o"]);
        compile.arg(&library).arg(script("file_clock.c")).ok()?;
        let at = now_s() + 3600;
        self.ldif(&format!(
            "dn: CN=Alice Archer,CN=Users,{BASE}\nchangetype: modify\nreplace: accountExpires\naccountExpires: {}\n\n",
            file_time(at)
        ))?;
        let run = self.as_agent(&["run", "--interval", "1s"])?;
        let run = run
            .env("LD_PRELOAD", &library)
            .env("CLOCK_SHIFT_FILE", &shift);
        let mut service = self.story.world.service(Place::Admin, "sync clock", &run)?;
        self.rename("Bob in time")?;
        self.knows("Bob in time")?;
        self.sign_in("alice")?;
        for hours in [6, -6] {
            std::fs::write(&shift, (hours * 3600).to_string())?;
            // The connection stands, and the domain controller's clock counts: nobody expires.
            self.rename(&format!("Bob {hours} h off"))?;
            self.knows(&format!("Bob {hours} h off"))?;
            self.ticket("alice")?;
            self.agrees()?;
            // A new connection is one for Kerberos, which wants clocks that agree.
            let mark = service.log_mark();
            self.story.world.kill_dc();
            self.story.world.restart_dc()?;
            self.tells(
                &service,
                mark,
                "the clocks differ by more than five minutes",
            )?;
            self.tells(&service, mark, "hint: synchronise this computer's clock")?;
            self.ticket("alice")?;
            self.rename(&format!("Bob after {hours} h"))?;
            std::fs::write(&shift, "0")?;
            self.knows(&format!("Bob after {hours} h"))?;
            self.ticket("alice")?;
        }
        assert_eq!(service.ended(), None);
        service.stop(LIMIT)?;
        self.ldif(&format!(
            "dn: CN=Alice Archer,CN=Users,{BASE}\nchangetype: modify\nreplace: accountExpires\naccountExpires: 0\n\n"
        ))?;
        self.sync(&["once"]).ok()?;
        self.agrees()
    }

    /// The domain controller's database is an older copy of itself, with the same invocation id.
    pub(super) fn an_older_database_is_noticed(&mut self) -> Result<(), Failure> {
        self.sign_in("alice")?;
        self.rename("Bob of old")?;
        self.sync(&["once"]).ok()?;
        self.story.world.kill_dc();
        let private = self.story.world.dc_folder().join("private");
        let copy = self.story.world.dc_folder().join("older");
        Run::here("cp").arg("-a").arg(&private).arg(&copy).ok()?;
        self.story.world.restart_dc()?;
        self.rename("Bob of now")?;
        self.tool(&["user", "create", "ida", USER_PASSWORD])?;
        self.tool(&["group", "addmembers", "Sales", "ida"])?;
        self.sync(&["once"]).ok()?;
        self.agrees()?;
        self.story.world.kill_dc();
        Run::here("rm").arg("-r").arg(&private).ok()?;
        Run::here("mv").arg(&copy).arg(&private).ok()?;
        self.story.world.restart_dc()?;
        self.ticket("alice")?;
        let seen = self.once(&[])?;
        let why = seen["compared"].as_str().unwrap_or_default();
        assert!(why.contains("was restored"), "{seen}");
        self.ticket("alice")?;
        self.agrees()?;
        assert_eq!(self.once(&[])?["compared"], BY_CHANGES);
        Ok(())
    }
}
