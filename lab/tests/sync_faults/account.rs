//! The agent's account: its rights, whether it may sign in, its password.

use crossrealm_lab::{Clock, Failure, Place, USER_PASSWORD};
use serde_json::Value;

use crate::clock::connections_grow_old;
use crate::hands::{BASE, LIMIT, Play};

/// Who may what in the container of deleted objects, as Samba sets it up.
const DELETED_OBJECTS: &str = "D:PAI(A;;RPWPCCDCLCRCWOWDSDSW;;;SY)(A;;RPLC;;;BA)";
const NEW_PASSWORD: &str = "P@ssw0rd-User2";

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
        let new_password = [
            "user",
            "setpassword",
            "svc-sync",
            "--newpassword",
            NEW_PASSWORD,
        ];
        for (times, breaks, mends, reported) in [
            (
                1,
                &["user", "disable", "svc-sync"][..],
                &["user", "enable", "svc-sync"][..],
                "disabled",
            ),
            (2, &new_password, &[], "wrong password"),
        ] {
            let mark = service.log_mark();
            self.tool(breaks)?;
            // A connection that stands goes on, but not for long; the next one has to be signed in for.
            connections_grow_old(&clock, times)?;
            self.logs(&service, mark, reported)?;
            self.ticket("alice")?;
            self.rename(&format!("Bob after {reported}"))?;
            match mends {
                [] => drop(
                    self.story
                        .world
                        .write(Place::Admin, "agent.password", NEW_PASSWORD)?,
                ),
                mends => self.tool(mends)?,
            }
            self.knows(&format!("Bob after {reported}"))?;
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
}
