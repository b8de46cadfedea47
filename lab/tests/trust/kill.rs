//! Killed with SIGKILL right behind each step, in AD and in the tenant: what is half done is reported, no ticket fails that
//! could be got before, and the next run finishes it.

use std::time::Duration;

use crossrealm_lab::{Failure, kill_at_line};

use crate::{COMPUTER, Play, REMOVE, REMOVE_TRUST, ROTATE, STEP, TRUST, USER, WHOLE, value};

/// What must hold behind a step: how its line begins, what `get` must say (nothing where there is nothing to do), and
/// the objects that AD then holds.
type Behind = (&'static str, Option<&'static str>, &'static [&'static str]);

const NONE: &[&str] = &[];
const ACCOUNT: &[&str] = &[USER];
const OBJECT: &[&str] = &[USER, COMPUTER];
const ALL: &[&str] = &[USER, COMPUTER, TRUST];
const NO_TRUST: &str = "the tenant holds a trust key, but AD holds no trust";
const HALF_SET_UP: &str = "the trust is half set up";
const HALF_ROTATED: &str = "the rotation of the trust key is half done";
const HALF_REMOVED: &str = "the removal of the Kerberos server object is half done";
const TRUST_HALF_REMOVED: &str = "the removal of the trust is half done";

const SETTING: &[Behind] = &[
    ("make version", Some(NO_TRUST), NONE),
    (
        "create the disabled account",
        Some("create the computer"),
        ACCOUNT,
    ),
    (
        "create the computer",
        Some("the tenant has no record"),
        OBJECT,
    ),
    ("record `krbtgt_", Some(NO_TRUST), OBJECT),
    ("create the trusted domain object", Some(HALF_SET_UP), ALL),
    ("set the encryption types", Some(HALF_SET_UP), ALL),
    ("set the top-level names", Some(HALF_SET_UP), ALL),
    ("confirm version", None, ALL),
];
const ROTATING: &[Behind] = &[
    ("make version", Some(HALF_ROTATED), ALL),
    (
        "have AD make a new key",
        Some("the tenant has recorded"),
        ALL,
    ),
    ("record `krbtgt_", Some(HALF_ROTATED), ALL),
    ("give AD version", Some(HALF_ROTATED), ALL),
    ("confirm version", None, ALL),
];
const REMOVING: &[Behind] = &[
    (
        "note in the tenant that the Kerberos",
        Some(HALF_REMOVED),
        ALL,
    ),
    (
        "note in the tenant that the trust",
        Some(TRUST_HALF_REMOVED),
        ALL,
    ),
    (
        "delete the trusted domain object",
        Some(TRUST_HALF_REMOVED),
        OBJECT,
    ),
    ("delete the trust and its keys", Some(HALF_REMOVED), OBJECT),
    ("delete the computer", Some(HALF_REMOVED), ACCOUNT),
    ("delete the account", Some(HALF_REMOVED), NONE),
    ("delete the record", None, NONE),
];
const REMOVING_TRUST: &[Behind] = &[
    (
        "note in the tenant that the trust",
        Some(TRUST_HALF_REMOVED),
        ALL,
    ),
    (
        "delete the trusted domain object",
        Some(TRUST_HALF_REMOVED),
        OBJECT,
    ),
    ("delete the trust and its keys", None, OBJECT),
];

impl Play {
    /// The trust is whole before and behind.
    pub(crate) fn kill(&mut self) -> Result<(), Failure> {
        self.takes_steps(ROTATE, ROTATING)?;
        for number in 0..ROTATING.len() {
            self.a_rotation_killed_behind(number)?;
        }
        self.takes_steps(REMOVE_TRUST, REMOVING_TRUST)?;
        for number in 0..REMOVING_TRUST.len() {
            self.admin(WHOLE)?.ok()?;
            self.killed_behind(REMOVE_TRUST, number, REMOVING_TRUST)?;
            self.admin(REMOVE_TRUST)?.ok()?;
            assert!(!self.is_there(TRUST)? && self.is_there(USER)?);
            self.nothing_is_left_to_do()?;
        }
        self.admin(WHOLE)?.ok()?;
        self.takes_steps(REMOVE, REMOVING)?;
        self.takes_steps(WHOLE, SETTING)?;
        self.a_removal_that_was_begun_can_be_taken_back()?;
        for number in 0..SETTING.len().max(REMOVING.len()) {
            if number < REMOVING.len() {
                self.killed_behind(REMOVE, number, REMOVING)?;
            }
            self.admin(REMOVE)?.ok()?;
            self.nothing_is_in_ad()?;
            self.nothing_is_left_to_do()?;
            if number < SETTING.len() {
                self.killed_behind(WHOLE, number, SETTING)?;
            }
            self.admin(WHOLE)?.ok()?;
            self.nothing_is_left_to_do()?;
            self.a_ticket_is_fetched()?;
        }
        let all = SETTING.len() + ROTATING.len() + REMOVING.len() + REMOVING_TRUST.len();
        println!("{all} steps, each killed behind");
        Ok(())
    }

    /// A whole run takes the steps of the table, and no others.
    fn takes_steps(&self, words: &[&str], table: &[Behind]) -> Result<(), Failure> {
        let output = self.admin(words)?.ok()?;
        let all = output.err();
        let steps: Vec<&str> = all.lines().filter_map(|l| l.strip_prefix(STEP)).collect();
        let same = steps.len() == table.len()
            && steps
                .iter()
                .zip(table)
                .all(|(step, (begin, ..))| step.starts_with(begin));
        match same {
            true => Ok(()),
            false => Err(output.failure("was expected to take the steps of the table")),
        }
    }

    /// Kills a run behind a step and looks at both sides.
    fn killed_behind(
        &self,
        words: &[&str],
        number: usize,
        table: &[Behind],
    ) -> Result<(), Failure> {
        let (step, finding, held) = table[number];
        kill_at_line(&self.admin(words)?, STEP, number)?;
        for filter in [USER, COMPUTER, TRUST] {
            let is_there = self.is_there(filter)?;
            assert_eq!(is_there, held.contains(&filter), "{filter} behind `{step}`");
        }
        self.is_reported(step, finding)
    }

    fn is_reported(&self, step: &str, finding: Option<&str>) -> Result<(), Failure> {
        let get = self.get()?;
        let json = get.json()?;
        let findings = json["findings"].to_string();
        match finding {
            Some(text) if findings.contains(text) => Ok(()),
            None if findings == "[]" => Ok(()),
            _ => Err(get.failure(&format!("was expected to tell {finding:?} behind `{step}`"))),
        }
    }

    /// Behind no step of a rotation a ticket fails, and AD has changed what the steps so far say, and no more.
    fn a_rotation_killed_behind(&self, number: usize) -> Result<(), Failure> {
        // Times of keys are in seconds: a key made in the second in which this rotation begins would pass for its own.
        std::thread::sleep(Duration::from_millis(1100));
        let (account, trust) = (self.account_version()?, self.trust_change()?);
        self.killed_behind(ROTATE, number, ROTATING)?;
        self.a_ticket_is_fetched()?;
        assert_eq!(self.account_version()? - account, u64::from(number >= 1));
        assert_eq!(self.trust_change()? != trust, number >= 3);
        if ROTATING[number].0.starts_with("have AD") {
            // The audit is written before a step: what was cut off is in it, without an end.
            let last = self.events()?.pop().unwrap_or_default();
            assert_eq!(last["action"], "ad.begin", "{last}");
            assert!(
                last["detail"]
                    .to_string()
                    .contains("have AD make a new key")
            );
        }
        let before = self.trust_version()?;
        // Finished by a run without force, or one that only repairs.
        let finish = if number.is_multiple_of(2) {
            &ROTATE[..4]
        } else {
            WHOLE
        };
        if number + 1 < ROTATING.len() {
            self.admin(finish)?.ok()?;
        }
        assert_eq!(self.trust_version()?, before, "one rotation, not two");
        assert_eq!(
            self.account_version()? - account,
            u64::from(number >= 1 || finish != WHOLE)
        );
        assert_ne!(self.trust_change()?, trust);
        self.nothing_is_left_to_do()?;
        self.a_ticket_is_fetched()
    }

    /// The number of the last change of the trust's account in AD, whose password is the trust key.
    pub(crate) fn trust_change(&self) -> Result<String, Failure> {
        let filter = "(sAMAccountName=CONTOSO-KRB$)";
        let search = self
            .story
            .world
            .ldbsearch(filter, &["pwdLastSet", "uSNChanged"])
            .ok()?;
        value(&search, "uSNChanged")
    }

    /// A removal that was cut off before AD was touched leaves everything working, and `set` forgets it.
    fn a_removal_that_was_begun_can_be_taken_back(&self) -> Result<(), Failure> {
        self.admin(WHOLE)?.ok()?;
        self.killed_behind(REMOVE, 1, REMOVING)?;
        self.a_ticket_is_fetched()?;
        self.admin(WHOLE)?.ok()?;
        self.nothing_is_left_to_do()?;
        self.a_ticket_is_fetched()
    }
}
