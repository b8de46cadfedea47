//! The agent's account: its rights, whether it may sign in, its password.

use std::time::Duration;

use crossrealm_lab::{Clock, Failure, Place, Service, USER_PASSWORD};
use serde_json::Value;

use crate::clock::{connections_grow_old, connections_grow_old_fast};
use crate::hands::{BASE, LIMIT, Play};

/// Who may what in the container of deleted objects, as Samba sets it up.
const DELETED_OBJECTS: &str = "D:PAI(A;;RPWPCCDCLCRCWOWDSDSW;;;SY)(A;;RPLC;;;BA)";
const NEW_PASSWORD: &str = "P@ssw0rd-User2";
/// How many failed sign-ins lock an account while its password is wrong.
const LOCKOUT_THRESHOLD: &str = "--account-lockout-threshold=3";
/// How many times its interval the agent has to hold back, at least.
const INTERVALS: usize = 10;
/// How fast the agent's clock runs meanwhile. What it gains has to stay below the five minutes that Kerberos bears.
const HURRY: u64 = 20;

impl Play {
    fn agent_once(&self, words: &[&str]) -> Result<Value, Failure> {
        let words = [&["once", "-o", "json"], words].concat();
        self.as_agent(&words)?.ok()?.json()
    }

    /// The one further right with which an account that may replicate sees deletions, too.
    pub(super) fn a_right_to_see_deletions_is_enough(&mut self) -> Result<(), Failure> {
        let sid = self.may_replicate("svc-sync")?;
        self.tool(&["user", "create", "gerda", USER_PASSWORD])?;
        self.tool(&["user", "create", "hans", USER_PASSWORD])?;
        self.tool(&["user", "delete", "gerda"])?;
        let blind = "DirSync; deletions by a full sync every 15 minutes";
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

    /// The agent's account is disabled, and gets another password, while the service runs and its connection stands.
    pub(super) fn an_account_may_fail_and_be_mended(&mut self) -> Result<(), Failure> {
        self.sign_in("alice")?;
        let clock = Clock::make(&self.story.world)?;
        let run = clock.of(self.as_agent(&["run", "--interval", "1s"])?);
        let mut service = self
            .story
            .world
            .service(Place::Admin, "sync account", &run)?;
        self.rename("Bob before")?;
        self.knows("Bob before")?;
        let mark = service.log_mark();
        self.tool(&["user", "disable", "svc-sync"])?;
        // A connection that stands goes on, but not for long; the next one has to be signed in for.
        connections_grow_old(&clock, 1)?;
        self.logs(&service, mark, "disabled")?;
        self.ticket("alice")?;
        self.rename("Bob after disabled")?;
        self.tool(&["user", "enable", "svc-sync"])?;
        self.knows("Bob after disabled")?;
        self.a_wrong_password_is_tried_once(&service, &clock)?;
        assert_eq!(service.ended(), None);
        service.stop(LIMIT)?;
        self.password_is(USER_PASSWORD)?;
        self.agrees()
    }

    /// F3: the agent does not lock its own account: it tries a wrong password once, says so to the tenant, and waits for another.
    fn a_wrong_password_is_tried_once(
        &self,
        service: &Service,
        clock: &Clock,
    ) -> Result<(), Failure> {
        self.tool(&["domain", "passwordsettings", "set", LOCKOUT_THRESHOLD])?;
        self.tool(&["user", "unlock", "svc-sync"])?;
        let mark = service.log_mark();
        // AD does not count the two passwords before the present one.
        for password in ["P@ssw0rd-User3", "P@ssw0rd-User4", NEW_PASSWORD] {
            self.password_is(password)?;
        }
        connections_grow_old(clock, 2)?;
        self.logs(service, mark, "wrong password")?;
        self.ticket("alice")?;
        self.rename("Bob after wrong password")?;

        connections_grow_old_fast(clock, 2, HURRY)?;
        std::thread::sleep(Duration::from_secs(1));
        // Without its file each look at the password leaves a line: the agent is awake, and goes on not to try.
        let file = self.story.world.path(Place::Admin, "agent.password");
        std::fs::remove_file(&file)?;
        let missing = file.display().to_string();
        let looks = |_: &Self| Ok(service.log_from(mark).matches(&missing).count() >= INTERVALS);
        self.until(looks)
            .map_err(|failure| failure.with(service.log_from(mark)))?;
        connections_grow_old(clock, 2)?;

        let of_agent = self
            .story
            .world
            .ldbsearch("(sAMAccountName=svc-sync)", &["badPwdCount", "lockoutTime"]);
        let counted = of_agent.ok()?;
        counted.says_line("badPwdCount: 1")?;
        let locked = counted.out();
        let mut locked = locked
            .lines()
            .filter_map(|line| line.strip_prefix("lockoutTime: "));
        assert!(locked.all(|at| at == "0"), "{}", counted.out());
        self.status(&[])
            .ok()?
            .says("the last agent did not succeed: ")?
            .says("wrong password")?;

        self.story
            .world
            .write(Place::Admin, "agent.password", NEW_PASSWORD)?;
        self.knows("Bob after wrong password")?;
        self.status(&[]).ok()?.does_not_say("did not succeed")?;
        self.tool(&[
            "domain",
            "passwordsettings",
            "set",
            "--account-lockout-threshold=0",
        ])
    }

    fn password_is(&self, password: &str) -> Result<(), Failure> {
        self.tool(&["user", "setpassword", "svc-sync", "--newpassword", password])
    }
}
