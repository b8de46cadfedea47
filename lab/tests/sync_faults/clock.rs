//! Clocks that jump: the agent's, and the domain controller's with it.

use crossrealm_lab::{Clock, Failure, Place};
use serde_json::{Value, json};

use crate::hands::{BASE, BY_CHANGES, LIMIT, Play, file_time, now_s};

const HOUR_S: i64 = 3600;
/// How often the agent compares everything, and how long it uses a connection; `docs/guide/sync.md` promises both.
const COMPARE_EVERY_S: i64 = 24 * HOUR_S;
const CONNECTION_S: i64 = 600;

/// For the first, the second, … time so much time passes that a connection is too old; the time of day stays right.
pub(super) fn connections_grow_old(clock: &Clock, times: i64) -> Result<(), Failure> {
    clock.is_ahead(0, times * CONNECTION_S)
}

/// The same, and the clocks run fast from now on.
pub(super) fn connections_grow_old_fast(
    clock: &Clock,
    times: i64,
    speed: u64,
) -> Result<(), Failure> {
    clock.is_ahead_and_runs(times * CONNECTION_S, speed)
}

impl Play {
    /// The clock of the agent's computer jumps by hours while the service runs.
    pub(super) fn the_agents_clock_may_jump(&mut self) -> Result<(), Failure> {
        let clock = Clock::make(&self.story.world)?;
        let at = now_s() + HOUR_S;
        self.alice_expires(file_time(at))?;
        let run = clock.of(self.as_agent(&["run", "--interval", "1s"])?);
        let mut service = self.story.world.service(Place::Admin, "sync clock", &run)?;
        self.rename("Bob in time")?;
        self.knows("Bob in time")?;
        self.sign_in("alice")?;
        for hours in [6, -6] {
            clock.is_ahead(hours * HOUR_S, 0)?;
            // The connection stands, and the domain controller's clock counts: nobody expires.
            self.rename(&format!("Bob {hours} h off"))?;
            self.knows(&format!("Bob {hours} h off"))?;
            self.ticket("alice")?;
            self.agrees()?;
            // A new connection is one for Kerberos, which wants clocks that agree.
            let mark = service.log_mark();
            self.story.world.kill_dc();
            self.story.world.restart_dc()?;
            self.logs(
                &service,
                mark,
                "the clocks differ by more than five minutes",
            )?;
            self.logs(&service, mark, "hint: synchronise this computer's clock")?;
            self.ticket("alice")?;
            self.rename(&format!("Bob after {hours} h"))?;
            clock.is_ahead(0, 0)?;
            self.knows(&format!("Bob after {hours} h"))?;
            self.ticket("alice")?;
        }
        assert_eq!(service.ended(), None);
        service.stop(LIMIT)?;
        self.alice_expires(0)?;
        self.sync(&["once"]).ok()?;
        self.agrees()
    }

    fn alice_expires(&self, at: i64) -> Result<(), Failure> {
        self.ldif(&format!(
            "dn: CN=Alice Archer,CN=Users,{BASE}\nchangetype: modify\nreplace: accountExpires\naccountExpires: {at}\n\n"
        ))
    }

    /// Differences that no change shows, on either side, last until the full sync a day later.
    pub(super) fn a_full_sync_after_a_day_finds_what_no_change_shows(
        &mut self,
    ) -> Result<(), Failure> {
        let clock = Clock::make(&self.story.world)?;
        self.once(&["--full"])?;
        self.the_tenant_is_changed_under_the_agent()?;
        self.story.world.kill_dc();
        // Past the controller's counting: no DirSync answer carries it.
        self.raw_ldif(
            BASE,
            &format!(
                "dn: CN=Alice Archer,CN=Users,{BASE}\nchangetype: modify\nreplace: displayName\ndisplayName: Alice unseen\n\n"
            ),
        )?;
        self.story.world.restart_dc_with(&|run| clock.of(run))?;
        let once = |words: &[&str]| -> Result<Value, Failure> {
            let words = [&["once", "-o", "json"], words].concat();
            clock.of(self.sync(&words)).ok()?.json()
        };
        for (ahead_s, name) in [(0, "Bob at once"), (COMPARE_EVERY_S - HOUR_S, "Bob late")] {
            clock.is_ahead(ahead_s, 0)?;
            self.rename(name)?;
            let seen = once(&[])?;
            assert_eq!(
                (&seen["compared"], &seen["updated"]),
                (&json!(BY_CHANGES), &json!(1)),
                "{seen}"
            );
            assert!(self.agrees().is_err(), "nobody looked at it: {seen}");
        }
        clock.is_ahead(COMPARE_EVERY_S, 0)?;
        let healed = once(&[])?;
        let counts = ["updated", "memberships_added", "memberships_removed"];
        assert_eq!(
            (&healed["compared"], counts.map(|name| &healed[name])),
            (
                &json!("everything: it was time for that"),
                [&json!(3), &json!(1), &json!(1)]
            ),
            "{healed}"
        );
        self.agrees()?;
        assert_eq!(once(&[])?["compared"], BY_CHANGES);

        // The clocks go back to where they were.
        clock.is_ahead(0, 0)?;
        let back = once(&[])?;
        assert_eq!(
            back["compared"],
            "everything: the domain controller's clock is behind the last run"
        );
        self.agrees()
    }

    /// Somebody with the connector's token writes what the directory does not say: two names, a member more, a member less.
    fn the_tenant_is_changed_under_the_agent(&self) -> Result<(), Failure> {
        let page = self.curl("identities?limit=1000", None)?.json()?;
        let find = |name: &str| -> Result<Value, Failure> {
            let mut all = page["identities"].as_array().into_iter().flatten();
            let found = all.find(|one| one["account_name"] == name).cloned();
            found.ok_or_else(|| Failure::new(format!("the tenant has no `{name}`")))
        };
        let upsert = |name: &str| -> Result<Value, Failure> {
            let mut identity = find(name)?;
            identity["display_name"] = json!("nobody's name");
            Ok(json!({"op": "upsert", "identity": identity}))
        };
        let member = |name: &str| Ok::<_, Failure>(find(name)?["object_guid"].clone());
        let sales = json!({
            "op": "members", "object_guid": member("Sales")?,
            "add": [member("mallory")?], "remove": [member("alice")?],
        });
        let changes = [upsert("mallory")?, upsert("AllStaff")?, sales];
        self.write_as_connector(json!({"changes": changes}))
    }
}
