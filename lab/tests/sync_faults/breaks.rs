//! Connections that break and machines that die, at every stage of a run.

use std::path::PathBuf;

use crossrealm_lab::{Failure, Output, Place, Run, Service};

use crate::hands::{BASE, LIMIT, Play};
use crate::script;

/// At how many places a run is broken off on its way from the domain controller.
const PLACES: u64 = 6;
/// The same on the way from the service. Few: the lease of such a run ends by itself after half a minute.
const SERVICE_PLACES: u64 = 2;
/// At how many moments the domain controller dies, and the service.
const MOMENTS: u32 = 2;
const SERVICE_MOMENTS: u32 = 1;
/// More bytes than any run takes.
const WHOLE: u64 = 1 << 40;
/// Where the relays listen.
const RELAYED_DC: &str = "127.0.0.2";
const RELAYED_PORT: u16 = 8443;

/// A wire that breaks after so many bytes.
struct Wire {
    budget: PathBuf,
    _relay: Service,
}

impl Wire {
    fn lay(play: &Play, place: Place, wires: &[String], port: u16) -> Result<Self, Failure> {
        let budget = play.story.world.write(place, "wire", WHOLE.to_string())?;
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
        Ok(std::fs::write(&self.budget, bytes.to_string())?)
    }

    /// How many bytes came over it since then.
    fn used(&self) -> Result<u64, Failure> {
        let text = std::fs::read_to_string(self.budget.with_extension("used"))?;
        text.parse()
            .map_err(|_| Failure::new("the relay did not count"))
    }
}

impl Play {
    /// Changes that the next run has to take over, told apart by a number.
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
        let next = self.once_told(&[])?;
        self.ticket("alice")?;
        self.agrees().map_err(|failure| failure.with(next.both()))
    }

    fn broken_at_many_places(
        &self,
        wire: &Wire,
        places: u64,
        run: &dyn Fn() -> Run,
    ) -> Result<(), Failure> {
        self.sign_in("alice")?;
        self.something_changes(0)?;
        wire.breaks_after(WHOLE)?;
        run().ok()?;
        let whole = wire.used()?;
        let mut broken = 0;
        for place in 1..=places {
            self.something_changes(place)?;
            wire.breaks_after(whole * place / (places + 1))?;
            let output = run().output()?;
            if output.code != Some(0) {
                output.says("error: ")?;
                broken += 1;
            }
            self.nothing_is_lost()?;
        }
        println!("broken off {broken} times within {whole} bytes");
        // A run that has less to carry than the first may end before the last place.
        assert!(broken >= places - 1, "{broken} of {places}");
        for place in 0..=places {
            let dn = format!("CN=newcomer{place},OU=Crowd,{BASE}");
            self.ldif(&format!("dn: {dn}\nchangetype: delete\n\n"))?;
        }
        self.nothing_is_lost()
    }

    pub(super) fn the_wire_breaks_at_any_byte(&mut self) -> Result<(), Failure> {
        let wires = [88, 389].map(|port| format!("{RELAYED_DC}:{port}=10.77.1.1:{port}"));
        let wire = Wire::lay(self, Place::Admin, &wires, 389)?;
        let run = || self.sync(&["once", "--full", "--dc", RELAYED_DC]);
        self.broken_at_many_places(&wire, PLACES, &run)
    }

    pub(super) fn the_way_to_the_service_breaks(&mut self) -> Result<(), Failure> {
        let wires = [format!("10.77.2.1:{RELAYED_PORT}=10.77.2.1:443")];
        let wire = Wire::lay(self, Place::Cloud, &wires, RELAYED_PORT)?;
        let server = format!("https://login.cloud.example:{RELAYED_PORT}");
        let run = || {
            self.sync(&["once", "--full"])
                .env("CROSSREALM_SERVER", &server)
        };
        self.broken_at_many_places(&wire, SERVICE_PLACES, &run)
    }

    /// Plays a run, and in its middle `dies`.
    fn interrupted(
        &mut self,
        (moment, of): (u32, u32),
        dies: impl FnOnce(&mut Self),
    ) -> Result<Output, Failure> {
        let whole = self.sync(&["once", "--full"]).ok()?.took;
        self.something_changes(u64::from(moment))?;
        let run = self.sync(&["once", "--full"]);
        let running = std::thread::spawn(move || run.output());
        std::thread::sleep(whole.mul_f64(f64::from(moment + 1) / f64::from(of + 1)));
        dies(self);
        running
            .join()
            .map_err(|_| Failure::new("the run ended badly"))?
    }

    pub(super) fn the_controller_dies_in_mid_run(&mut self) -> Result<(), Failure> {
        for moment in 0..MOMENTS {
            let output = self.interrupted((moment, MOMENTS), |play| play.story.world.kill_dc())?;
            println!("ended with {:?}: {}", output.code, first_error(&output));
            self.ticket("alice")?;
            self.story.world.restart_dc()?;
            self.nothing_is_lost()?;
        }
        self.newcomers_leave(MOMENTS)
    }

    pub(super) fn the_service_dies_in_mid_run(&mut self) -> Result<(), Failure> {
        for moment in 0..SERVICE_MOMENTS {
            let output =
                self.interrupted((moment, SERVICE_MOMENTS), |play| play.story.cloud = None)?;
            println!("ended with {:?}: {}", output.code, first_error(&output));
            self.story.start_cloud()?;
            self.nothing_is_lost()?;
        }
        self.newcomers_leave(SERVICE_MOMENTS)
    }

    fn newcomers_leave(&self, moments: u32) -> Result<(), Failure> {
        for moment in 0..moments {
            let dn = format!("CN=newcomer{moment},OU=Crowd,{BASE}");
            self.ldif(&format!("dn: {dn}\nchangetype: delete\n\n"))?;
        }
        self.nothing_is_lost()
    }
}

fn first_error(output: &Output) -> String {
    let all = output.err();
    let line = all.lines().find(|line| line.starts_with("error: "));
    line.unwrap_or("no error").to_owned()
}
