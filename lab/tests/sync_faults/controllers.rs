//! Domain controllers with another past than the one that was read last: restored from a backup, or another machine.

use std::path::{Path, PathBuf};

use crossrealm_lab::{DOMAIN, Failure, Run, USER_PASSWORD};
use serde_json::Value;

use crate::hands::{BASE, BY_CHANGES, Play};

/// Where the first domain controller keeps its invocation id, below the head of the configuration.
const SETTINGS: &str =
    "CN=NTDS Settings,CN=DC1,CN=Servers,CN=Default-First-Site-Name,CN=Sites,CN=Configuration";
/// Sixteen bytes that are no controller's invocation id yet, in base64.
const NEW_INVOCATION: &str = "AAECAwQFBkeICQoLDA0ODw==";

impl Play {
    /// The domain controller's database is an older copy of itself, with the same invocation id.
    pub(super) fn an_older_database_is_noticed(&mut self) -> Result<(), Failure> {
        self.sign_in("alice")?;
        self.rename("Bob of old")?;
        self.sync(&["once"]).ok()?;
        let copy = self.database_is_copied()?;
        self.rename("Bob of now")?;
        self.tool(&["user", "create", "ida", USER_PASSWORD])?;
        self.tool(&["group", "addmembers", "Sales", "ida"])?;
        self.sync(&["once"]).ok()?;
        self.agrees()?;
        self.database_is_put_back(&copy)?;
        self.story.world.restart_dc()?;
        self.everything_is_compared_once("was restored")
    }

    /// The same, restored as one should: it got a new invocation id, and has counted further than before since then. Who was
    /// deleted meanwhile is there again.
    pub(super) fn a_restored_controller_is_noticed(&mut self) -> Result<(), Failure> {
        self.sign_in("alice")?;
        self.sign_in("mallory")?;
        // What was deleted before is seen before and after: that does not tell of the restore.
        self.tool(&["user", "create", "nobody", USER_PASSWORD])?;
        self.tool(&["user", "delete", "nobody"])?;
        self.once(&["--full"])?;
        let copy = self.database_is_copied()?;
        self.tool(&["user", "delete", "mallory"])?;
        self.tool(&["group", "removemembers", "AllStaff", "Sales"])?;
        self.sync(&["once"]).ok()?;
        self.agrees()?;
        self.no_ticket("mallory")?;
        let read = self.highest_usn()?;
        self.database_is_put_back(&copy)?;
        let configuration = format!("CN=Configuration,{BASE}");
        self.raw_ldif(
            &configuration,
            &format!(
                "dn: {SETTINGS},{BASE}\nchangetype: modify\nreplace: invocationId\ninvocationId:: {NEW_INVOCATION}\n\n"
            ),
        )?;
        self.story.world.restart_dc()?;
        let mut renamed = 0;
        while self.highest_usn()? <= read {
            renamed += 1;
            self.rename(&format!("Bob {renamed} after the restore"))?;
        }
        self.everything_is_compared_once("was restored")?;
        self.ticket("mallory")
    }

    /// A second domain controller is read, goes away, and the first one is read again.
    pub(super) fn another_controller_may_answer(&mut self) -> Result<(), Failure> {
        self.sign_in("alice")?;
        self.sync(&["once"]).ok()?;
        self.story.world.start_second_dc()?;
        self.sync(&["once"]).ok()?;
        let second = format!("dc2.{DOMAIN}");
        self.rename("Bob at the first")?;
        self.until(|play| {
            let seen = play
                .story
                .world
                .second_ldbsearch("(cn=Bob Baker)", &["displayName"]);
            Ok(seen.ok()?.both().contains("Bob at the first"))
        })?;
        let seen = self.once(&["--dc", &second])?;
        self.read_anew(
            &seen,
            &second,
            "the last run read another domain controller",
        )?;
        // Without the option, the agent stays where it was.
        let seen = self.once(&[])?;
        assert_eq!(
            (&seen["controller"], &seen["compared"]),
            (&second.as_str().into(), &BY_CHANGES.into()),
            "{seen}"
        );
        self.story.world.stop_second_dc();
        self.rename("Bob at the first again")?;
        let seen = self.once(&[])?;
        let first = format!("dc1.{DOMAIN}");
        self.read_anew(&seen, &first, "the last run read another domain controller")
    }

    fn everything_is_compared_once(&self, why: &str) -> Result<(), Failure> {
        self.ticket("alice")?;
        let seen = self.once(&[])?;
        self.read_anew(&seen, &format!("dc1.{DOMAIN}"), why)?;
        assert_eq!(self.once(&[])?["compared"], BY_CHANGES);
        Ok(())
    }

    /// The run compared everything at this controller, for this reason; nobody lost access, and both sides are equal.
    fn read_anew(&self, seen: &Value, controller: &str, why: &str) -> Result<(), Failure> {
        let compared = seen["compared"].as_str().unwrap_or_default();
        assert!(
            compared.starts_with("everything: ") && compared.contains(why),
            "{seen}"
        );
        assert_eq!(seen["controller"], controller, "{seen}");
        self.ticket("alice")?;
        self.agrees()
    }

    /// The last number that the domain controller gave to a change.
    fn highest_usn(&self) -> Result<u64, Failure> {
        let output = self
            .story
            .world
            .ldbsearch("(objectClass=*)", &["highestCommittedUSN"]);
        let output = output.args(["-s", "base", "-b", ""]).ok()?;
        let out = output.out();
        let number = out
            .lines()
            .find_map(|line| line.strip_prefix("highestCommittedUSN: "));
        number
            .and_then(|number| number.parse().ok())
            .ok_or_else(|| output.failure("was expected to show a number"))
    }

    /// A copy of the domain controller's database as it is now.
    fn database_is_copied(&mut self) -> Result<PathBuf, Failure> {
        self.story.world.kill_dc();
        let copy = self.story.world.dc_folder().join("older");
        let private = self.story.world.dc_folder().join("private");
        Run::here("cp").arg("-a").arg(private).arg(&copy).ok()?;
        self.story.world.restart_dc()?;
        Ok(copy)
    }

    /// The copy is in the place of the database; the domain controller does not run.
    fn database_is_put_back(&mut self, copy: &Path) -> Result<(), Failure> {
        self.story.world.kill_dc();
        let private = self.story.world.dc_folder().join("private");
        Run::here("rm").arg("-r").arg(&private).ok()?;
        Run::here("mv").arg(copy).arg(private).ok().map(drop)
    }
}
