//! The clients: each is a thread that does one kind of thing again and again, and records how each ended. What they do is
//! bounded: one thing at a time, with a pause behind it.

mod administrator;
mod api;
mod files;
mod identities;
mod solo;
mod tickets;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crossrealm_lab::{Output, Run};

use crate::history::{Ended, Journal};
use crate::schedule::Chance;
use crate::world::Ground;

/// The longest that a client waits for an answer.
const LONGEST: Duration = Duration::from_secs(20);
/// The pause of each client behind everything it did.
const PAUSE: Duration = Duration::from_millis(150);

/// What every client has.
pub(crate) struct Scene<'a> {
    pub(crate) ground: &'a Ground,
    pub(crate) journal: &'a Journal,
    pub(crate) stop: &'a AtomicBool,
}

/// One client: does one thing. `chance` is its own.
type Step = fn(&Scene, &mut State, &mut Chance);

/// What a client remembers.
#[derive(Default)]
pub(crate) struct State {
    round: usize,
    administrator: administrator::Known,
    files: Vec<String>,
    solo: solo::Known,
}

const CLIENTS: [(&str, Step); 7] = [
    ("tickets", tickets::ticket),
    ("sign-ins", tickets::sign_in),
    ("files", files::write_and_read),
    ("tree connects", files::open_share),
    ("administrator", administrator::step),
    ("identities", identities::step),
    ("solo", solo::step),
];

/// Runs all clients until they are to stop, and has the administrators read everything they know of once more.
pub(crate) fn run(scene: &Scene, seed: u64) {
    thread::scope(|scope| {
        for (number, (_, step)) in CLIENTS.iter().enumerate() {
            scope.spawn(move || {
                let own = seed.wrapping_add(1_000 + u64::try_from(number).unwrap_or(0));
                let (mut state, mut chance) = (State::default(), Chance::new(own));
                while !scene.stop.load(Ordering::Acquire) {
                    step(scene, &mut state, &mut chance);
                    state.round += 1;
                    thread::sleep(PAUSE);
                }
                administrator::read_all(scene, &state.administrator);
                files::read_all(scene, &state.files);
                solo::read_all(scene, &state.solo);
            });
        }
    });
}

impl Scene<'_> {
    /// Whether the clients are to stop.
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

/// Runs a command of a client. What a command says where it fails for certain is among `refusals`.
fn outcome(run: &Run, refusals: &[&str]) -> Ended {
    ended(run, refusals).0
}

fn ended(run: &Run, refusals: &[&str]) -> (Ended, Option<Output>) {
    match run.clone().timeout(LONGEST).output() {
        Ok(output) if output.code == Some(0) => (Ended::Done, Some(output)),
        Ok(output) => {
            let said = output.both();
            let short: String = said.trim().chars().take(400).collect();
            match refusals.iter().any(|text| said.contains(text)) {
                true => (Ended::Refused(short), Some(output)),
                false => (Ended::Failed(short), Some(output)),
            }
        }
        Err(failure) => (
            Ended::Failed(failure.to_string().chars().take(400).collect()),
            None,
        ),
    }
}
