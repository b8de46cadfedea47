//! The rotation of the trust key with nobody at a keyboard, as an account of AD that may nothing but sign in.

use std::path::PathBuf;

use crossrealm_lab::{
    DOMAIN, Failure, PATIENCE, Place, Run, Service, USER_PASSWORD, kill_at_line, until,
};

use crate::{Play, STEP, WHOLE, value};

/// What an agent logs when it has rotated the key, and when it could not.
const ROTATED: &str = "trust key rotated";
const NOT_ROTATED: &str = "the trust key was not rotated, next try in 60 s";
/// Those of a rotation with nobody at a keyboard.
const STEPS: usize = 2;
/// An account without a group of its own.
const AGENT: &str = "svc-sync";

impl Play {
    /// The trust is whole before and behind.
    pub(crate) fn unattended(&mut self) -> Result<(), Failure> {
        self.a_connector_without_the_right_only_syncs()?;
        self.connector(&["--allow-trust-rotation"])?;
        self.a_key_is_rotated_at_its_age()?;
        self.two_agents_rotate_once()?;
        self.an_agent_that_is_killed_is_relieved_by_the_next()?;
        self.a_trust_that_is_gone_does_not_stop_the_sync()
    }

    /// The agents' token from now on: that of the domain's connector, made anew.
    pub(crate) fn connector(&self, rights: &[&str]) -> Result<(), Failure> {
        let admin = || self.story.crossrealm(Place::Admin).args(["connector"]);
        // At first there is none.
        admin().args(["revoke", "--domain", DOMAIN]).output()?;
        let create = admin().args(["create", "--domain", DOMAIN, "--out"]);
        let create = create.arg(self.token_file()).args(rights);
        create.ok().map(drop)
    }

    pub(crate) fn token_file(&self) -> PathBuf {
        self.story.world.path(Place::Admin, "connector.token")
    }

    /// The refusal is reported at the agent and in the audit; AD is not touched, and the users go on being synced.
    fn a_connector_without_the_right_only_syncs(&self) -> Result<(), Failure> {
        self.connector(&[])?;
        self.age_trust_key(40)?;
        let (version, before) = (self.trust_version()?, self.trust_change()?);
        let mut agent = self.start("agent-without-right")?;
        agent.wait_for_line(NOT_ROTATED, PATIENCE)?;
        self.an_update_arrives("Bob Without Right")?;
        let log = agent.log_from(0);
        agent.stop(PATIENCE)?;
        assert!(log.contains("`--allow-trust-rotation`"), "{log}");
        assert_eq!(
            (self.trust_version()?, self.trust_change()?),
            (version, before)
        );
        let events = self.story.crossrealm(Place::Admin);
        let events = events.args(["-o", "json", "events"]).ok()?.json()?;
        let is_refusal = |event: &serde_json::Value| {
            event["reason"] == "forbidden"
                && event["actor"] == format!("connector {DOMAIN}")
                && event["target"].to_string().contains("/rotation")
        };
        let all = events.as_array().cloned().unwrap_or_default();
        assert!(all.iter().any(is_refusal), "{events:#}");
        self.age_trust_key(-40)
    }

    fn agent(&self) -> Result<Run, Failure> {
        let world = &self.story.world;
        let password = world.write(Place::Admin, "agent.password", USER_PASSWORD)?;
        let run = self.story.crossrealm(Place::Admin).args(["sync", "run"]);
        let run = run.arg("--token-file").arg(self.token_file());
        let run = run.args(["--interval", "1s", "--rotate-trust-every", "30d"]);
        let run = run.args(["--domain", DOMAIN, "--domain-user"]);
        let run = run.arg(format!("{AGENT}@{DOMAIN}"));
        Ok(run.arg("--domain-password-file").arg(password))
    }

    fn start(&self, name: &str) -> Result<Service, Failure> {
        self.story.world.service(Place::Admin, name, &self.agent()?)
    }

    /// Not before, and once, in as many steps as an agent is killed behind below.
    fn a_key_is_rotated_at_its_age(&self) -> Result<(), Failure> {
        self.age_trust_key(29)?;
        let (version, account) = (self.trust_version()?, self.account_version()?);
        let before = self.trust_change()?;
        let asked = self.rotations_asked_for();
        let early = self.start("early-agent")?;
        self.wait_until("the agent asks", || Ok(self.rotations_asked_for() > asked))?;
        self.an_update_arrives("Bob Early")?;
        early.stop(PATIENCE)?;
        assert_eq!(self.trust_version()?, version, "the key was not due yet");
        assert_eq!(self.trust_change()?, before, "nothing may change in AD");

        self.age_trust_key(1)?;
        let mut agent = self.start("agent")?;
        agent.wait_for_line(ROTATED, PATIENCE)?;
        let log = agent.log_from(0);
        self.an_update_arrives("Bob Rotated")?;
        agent.stop(PATIENCE)?;
        assert_eq!(self.trust_version()?, version + 1);
        assert_ne!(self.trust_change()?, before);
        assert_eq!(self.account_version()?, account, "that key is another's");
        let steps = log.lines().filter(|line| line.starts_with(STEP)).count();
        assert_eq!(steps, STEPS, "{log}");
        self.nothing_is_left_to_do()?;
        self.a_ticket_is_fetched()
    }

    fn two_agents_rotate_once(&self) -> Result<(), Failure> {
        let version = self.trust_version()?;
        self.age_trust_key(40)?;
        let asked = self.rotations_asked_for();
        let agents = [self.start("agent-one")?, self.start("agent-two")?];
        let logs = || -> String { agents.iter().map(|agent| agent.log_from(0)).collect() };
        self.wait_until("both agents ask", || {
            Ok(self.rotations_asked_for() >= asked + 2)
        })?;
        self.wait_until("one rotates", || Ok(logs().contains(ROTATED)))?;
        self.an_update_arrives("Bob Of Two")?;
        let logs = logs();
        for agent in agents {
            agent.stop(PATIENCE)?;
        }
        assert_eq!(logs.matches(ROTATED).count(), 1, "{logs}");
        assert_eq!(self.trust_version()?, version + 1);
        self.nothing_is_left_to_do()?;
        self.a_ticket_is_fetched()
    }

    /// Behind each of its steps.
    fn an_agent_that_is_killed_is_relieved_by_the_next(&self) -> Result<(), Failure> {
        for index in 0..STEPS {
            let version = self.trust_version()?;
            self.age_trust_key(40)?;
            kill_at_line(&self.agent()?, STEP, index)?;
            self.forget_the_dead()?;
            self.a_ticket_is_fetched()?;
            let get = self.get()?;
            if index == 0 {
                get.says("the rotation of the trust key is half done")?;
                let mut next = self.start(&format!("next-agent-{index}"))?;
                next.wait_for_line(ROTATED, PATIENCE)?;
                next.stop(PATIENCE)?;
            }
            assert_eq!(self.trust_version()?, version + 1, "one rotation, not two");
            self.nothing_is_left_to_do()?;
            self.a_ticket_is_fetched()?;
        }
        Ok(())
    }

    /// A rotation that fails is reported, and the users go on being synced.
    fn a_trust_that_is_gone_does_not_stop_the_sync(&self) -> Result<(), Failure> {
        self.admin(crate::REMOVE_TRUST)?.ok()?;
        let mut agent = self.start("agent-without-trust")?;
        agent.wait_for_line(NOT_ROTATED, PATIENCE)?;
        self.an_update_arrives("Bob Without Trust")?;
        agent.stop(PATIENCE)?;
        self.admin(WHOLE)?.ok().map(drop)
    }

    /// What an agent that was killed held ends by itself; nobody waits for that here.
    fn forget_the_dead(&self) -> Result<(), Failure> {
        self.sql("UPDATE trusts SET rotation_until = 1")?;
        // There is a row at least: of nobody.
        self.sql(
            "INSERT OR REPLACE INTO sync_leases (tenant_id, domain, holder, expires_at)
             SELECT tenant_id, dns_name, 'nobody', 1 FROM domains",
        )
    }

    /// How often the tenant was asked whether a rotation is due, as its log says.
    fn rotations_asked_for(&self) -> usize {
        let log = self.story.cloud.as_ref().map(|cloud| cloud.log_from(0));
        log.unwrap_or_default()
            .matches("/rotation\" status=")
            .count()
    }

    /// A change in AD reaches the tenant: the agent is alive and does its other work.
    fn an_update_arrives(&self, name: &str) -> Result<(), Failure> {
        let search = self
            .story
            .world
            .ldbsearch("(sAMAccountName=bob)", &["cn"])
            .ok()?;
        self.ldbmodify(&value(&search, "dn")?, "displayName", name, "--nosync")?;
        self.wait_until(&format!("`{name}` arrives"), || {
            let run = self.story.crossrealm(Place::Admin);
            let user = run.args(["-o", "json", "user", "show", &format!("bob@{DOMAIN}")]);
            Ok(user.ok()?.out().contains(name))
        })
    }

    fn wait_until(
        &self,
        what: &str,
        mut probe: impl FnMut() -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        until(what, PATIENCE, || Ok(probe()?.then_some(())))
    }
}
