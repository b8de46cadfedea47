//! Connections that break and machines that die, at every stage of a run.

use std::path::PathBuf;

use crossrealm_lab::{Clock, Failure, Place, Run, Service, until};

use crate::hands::{BASE, LIMIT, Play};
use crate::script;

/// At how many places a run is broken off on its way from the domain controller.
const PLACES: u64 = 6;
/// The same on the way from the service. Few: the lease of such a run ends by itself after half a minute.
const SERVICE_PLACES: u64 = 2;
/// At how many places of a run the domain controller dies, and the service.
const DEATHS: u64 = 2;
const SERVICE_DEATHS: u64 = 2;
/// What a run that writes so much asks the service at least: for a connection, the lease, the state, what is there, a change, the last
/// change, the exact sync cursor, the lease's end, the state again.
const REQUESTS: u64 = 9;
/// For longer than the lease of an agent that died, in seconds.
const LEASE_S: i64 = 60;
/// More bytes than any run takes.
const WHOLE: u64 = 1 << 40;
/// Where the relays listen.
const RELAYED_DC: &str = "127.0.0.2";
const RELAYED_PORT: u16 = 8443;

/// A wire that breaks after so much came over it.
struct Wire {
    budget: PathBuf,
    _relay: Service,
}

impl Wire {
    fn lay(play: &Play, place: Place, wires: &[String], port: u16) -> Result<Self, Failure> {
        let budget = play
            .story
            .world
            .write(place, "wire", format!("{WHOLE} bytes"))?;
        let run = play.story.world.at(place, "/usr/bin/python3");
        let run = run.arg(script("relay.py")).arg(&budget).args(wires);
        let mut relay = play.story.world.service(place, "the relay", &run)?;
        relay.wait_for_ports(&[port], LIMIT)?;
        Ok(Self {
            budget,
            _relay: relay,
        })
    }

    /// The wire is whole, and breaks after so many bytes.
    fn breaks_after(&self, bytes: u64) -> Result<(), Failure> {
        self.order(&format!("{bytes} bytes"))
    }

    /// The wire is whole, and after so many `bytes` or `answers` stands still; with the next order all connections break.
    fn holds_after(&self, number: u64, unit: &str) -> Result<(), Failure> {
        let held = self.budget.with_extension("held");
        if held.exists() {
            std::fs::remove_file(&held)?;
        }
        self.order(&format!("{number} {unit} hold"))
    }

    fn holds(&self) -> bool {
        self.budget.with_extension("held").exists()
    }

    fn order(&self, text: &str) -> Result<(), Failure> {
        let fresh = self.budget.with_extension("new");
        std::fs::write(&fresh, text)?;
        Ok(std::fs::rename(fresh, &self.budget)?)
    }

    /// How many bytes came over it since then.
    fn used(&self) -> Result<u64, Failure> {
        let text = std::fs::read_to_string(self.budget.with_extension("used"))?;
        text.parse()
            .map_err(|_| Failure::new("the relay did not count"))
    }
}

impl Play {
    /// Changes that the next run has to apply, distinguished by a number.
    fn something_changes(&self, number: u64) -> Result<(), Failure> {
        self.ldif(&format!(
            "dn: CN=newcomer{number},OU=Crowd,{BASE}\nchangetype: add\nobjectClass: user\n\
             sAMAccountName: newcomer{number}\nuserAccountControl: 544\n\n\
             dn: CN=Crowd,CN=Users,{BASE}\nchangetype: modify\nadd: member\n\
             member: CN=newcomer{number},OU=Crowd,{BASE}\n\n\
             dn: CN=Bob Baker,CN=Users,{BASE}\nchangetype: modify\nreplace: displayName\n\
             displayName: Bob the {number}th\n\n"
        ))
    }

    /// What must hold after any break.
    fn nothing_is_lost(&self) -> Result<(), Failure> {
        self.ticket("alice")?;
        let next = self.once_with_log(&[])?;
        self.ticket("alice")?;
        self.agrees().map_err(|failure| failure.with(next.both()))
    }

    fn broken_at_many_places(&self, wire: &Wire, places: u64, run: &Run) -> Result<(), Failure> {
        self.sign_in("alice")?;
        self.something_changes(0)?;
        wire.breaks_after(WHOLE)?;
        run.ok()?;
        let whole = wire.used()?;
        let mut broken = 0;
        for place in 1..=places {
            self.something_changes(place)?;
            wire.breaks_after(whole * place / (places + 1))?;
            let output = run.output()?;
            if output.code != Some(0) {
                output.says("error: ")?;
                broken += 1;
            }
            self.nothing_is_lost()?;
        }
        println!("broken off {broken} times within {whole} bytes");
        // A run that has less to carry than the first may end before the last place.
        assert!(broken >= places - 1, "{broken} of {places}");
        self.newcomers_leave(places + 1)
    }

    pub(super) fn the_wire_breaks_at_any_byte(&mut self) -> Result<(), Failure> {
        let wire = self.wire_to_the_controller()?;
        let run = self.sync(&["once", "--full", "--dc", RELAYED_DC]);
        self.broken_at_many_places(&wire, PLACES, &run)
    }

    pub(super) fn the_way_to_the_service_breaks(&mut self) -> Result<(), Failure> {
        let wire = self.wire_to_the_service()?;
        let run = self.by_relay(&["once", "--full"]);
        self.broken_at_many_places(&wire, SERVICE_PLACES, &run)
    }

    fn wire_to_the_controller(&self) -> Result<Wire, Failure> {
        let wires = [88, 389].map(|port| format!("{RELAYED_DC}:{port}=10.77.1.1:{port}"));
        Wire::lay(self, Place::Admin, &wires, 389)
    }

    fn wire_to_the_service(&self) -> Result<Wire, Failure> {
        let wires = [format!("10.77.2.1:{RELAYED_PORT}=10.77.2.1:443")];
        Wire::lay(self, Place::Cloud, &wires, RELAYED_PORT)
    }

    /// `crossrealm sync …` over the wire to the service.
    fn by_relay(&self, words: &[&str]) -> Run {
        let server = format!("https://login.cloud.example:{RELAYED_PORT}");
        self.sync(words).env("CROSSREALM_SERVER", server)
    }

    /// Plays runs that stand still while `dies` plays, the last of them shortly before its end; none may end well. `returns`
    /// undoes it.
    fn interrupted(
        &mut self,
        wire: &Wire,
        deaths: u64,
        run: &Run,
        dies: fn(&mut Self),
        returns: fn(&mut Self) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.sign_in("alice")?;
        wire.breaks_after(WHOLE)?;
        run.ok()?;
        let whole = wire.used()?;
        for death in 0..deaths {
            self.something_changes(death)?;
            let bytes = whole * (death + 1) / deaths - 1;
            wire.holds_after(bytes, "bytes")?;
            let mut agent = self.agent(run)?;
            let mark = agent.log_mark();
            if !stands_still(&mut agent, wire)? {
                return Err(Failure::new("the run was over").with(agent.log_tail()));
            }
            dies(self);
            wire.breaks_after(WHOLE)?;
            let code = until("the run's end", LIMIT * 3, || Ok(agent.ended()))?;
            let reported = agent.log_from(mark);
            let error = reported.lines().find(|line| line.starts_with("error: "));
            println!(
                "died after {bytes} of {whole} bytes: {}",
                error.unwrap_or("no error")
            );
            if code != 1 || error.is_none() {
                return Err(Failure::new(format!("the run ended with {code}")).with(reported));
            }
            returns(self)?;
            self.nothing_is_lost()?;
        }
        self.newcomers_leave(deaths)
    }

    fn agent(&self, run: &Run) -> Result<Service, Failure> {
        self.story.world.service(Place::Admin, "the agent", run)
    }

    pub(super) fn the_controller_dies_in_mid_run(&mut self) -> Result<(), Failure> {
        let wire = self.wire_to_the_controller()?;
        let run = self.sync(&["once", "--full", "--dc", RELAYED_DC]);
        let dies = |play: &mut Self| play.story.world.kill_dc();
        self.interrupted(&wire, DEATHS, &run, dies, |play| {
            play.ticket("alice")?;
            play.story.world.restart_dc()
        })
    }

    pub(super) fn the_service_dies_in_mid_run(&mut self) -> Result<(), Failure> {
        let wire = self.wire_to_the_service()?;
        let run = self.by_relay(&["once", "--full"]);
        let dies = |play: &mut Self| play.story.cloud = None;
        self.interrupted(&wire, SERVICE_DEATHS, &run, dies, |play| {
            play.story.start_cloud().map(drop)
        })
    }

    /// The agent is killed behind each of its requests, before it hears the answer: no time and no chance are in it.
    pub(super) fn the_agent_dies_after_each_request(&mut self) -> Result<(), Failure> {
        let clock = Clock::make(&self.story.world)?;
        self.story.cloud = None;
        self.story.start_cloud_with(&|run| clock.of(run))?;
        let wire = self.wire_to_the_service()?;
        let run = self.by_relay(&["once"]);
        self.sign_in("alice")?;
        self.something_changes(0)?;
        let mut heard = 0;
        loop {
            self.something_changes(heard + 1)?;
            self.newcomer_leaves(heard)?;
            self.all_are_renamed(&format!("the {heard}th name of"))?;
            wire.holds_after(heard, "answers")?;
            let mut agent = self.agent(&run)?;
            let killed = stands_still(&mut agent, &wire)?;
            drop(agent);
            wire.breaks_after(WHOLE)?;
            self.ticket("alice")?;
            // The lease of the dead agent ends.
            clock.is_ahead(LEASE_S, 0)?;
            self.nothing_is_lost()?;
            clock.is_ahead(0, 0)?;
            if !killed {
                break;
            }
            heard += 1;
        }
        println!("killed at each of {heard} answers");
        assert!(heard >= REQUESTS, "{heard}");
        Ok(())
    }

    fn newcomer_leaves(&self, number: u64) -> Result<(), Failure> {
        let dn = format!("CN=newcomer{number},OU=Crowd,{BASE}");
        self.ldif(&format!("dn: {dn}\nchangetype: delete\n\n"))
    }

    fn newcomers_leave(&self, count: u64) -> Result<(), Failure> {
        for number in 0..count {
            self.newcomer_leaves(number)?;
        }
        self.nothing_is_lost()
    }
}

/// Waits until a run stands still since its wire does; not where it ends well before.
fn stands_still(agent: &mut Service, wire: &Wire) -> Result<bool, Failure> {
    until("what becomes of the run", LIMIT, || {
        match (wire.holds(), agent.ended()) {
            (true, None) => Ok(Some(true)),
            (_, Some(0)) => Ok(Some(false)),
            (_, Some(_)) => Err(Failure::new("the run failed by itself").with(agent.log_tail())),
            (false, None) => Ok(None),
        }
    })
}
