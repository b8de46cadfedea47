//! The independent examiner: it shows a running service everything that a correct one must refuse, and checks the answer,
//! the reason and the event of each; then that an honest request still gets its ticket.
//!
//! It starts from referral tickets of a real Samba domain controller. The forger is given the trust key, as if it
//! had been stolen. Messages, tickets and PACs are taken apart and made by Samba's Python library (`forge/`), never by the
//! product's own code, and travel to `crossrealm serve` over the real KDC proxy. The table of cases with their expected
//! outcomes stands in `forge/cases_*.py`, beside what is sent; a case that passes against its expectation fails the run, and
//! so does a known gap that has closed. The second half ([`clients`]) lets Kerberos clients in that nobody here wrote.

mod aside;
mod clients;
mod forge;
mod scene;
mod table;
mod web;

pub use scene::Scene;
pub use table::Row;

use std::io::BufRead as _;
use std::path::Path;

use crossrealm_lab::{Failure, Place};

/// How a run goes.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Only cases whose name holds one of these words; all when empty.
    pub words: Vec<String>,
    /// Keep the world after the run until Enter is pressed.
    pub keep: bool,
}

/// Runs the examination of a binary and prints its table.
///
/// # Errors
/// When the world or the product could not be set up, or when any case is not as expected.
pub fn run(binary: &Path, options: &Options) -> Result<(), Failure> {
    println!(
        "Setting the scene: a Samba domain, two tenants that it trusts, users of every kind …"
    );
    let scene = Scene::set(binary)?;
    println!("… set after {:.0} s\n", scene.took.as_secs_f64());
    let outcome = rows(&scene, options).and_then(|rows| table::print(&rows));
    if options.keep {
        let space = scene.story.world.namespace(Place::Client);
        println!("\nThe world is kept until Enter is pressed: `ip netns exec {space} …`");
        println!("{}", scene.description(options)?);
        let _ = std::io::stdin().lock().read_line(&mut String::new());
    }
    outcome.map_err(|failure| scene.story.with_logs(failure))
}

/// Examines what runs in a scene: every case with its outcome.
///
/// # Errors
/// When the examiner itself fails, not when a case does.
pub fn rows(scene: &Scene, options: &Options) -> Result<Vec<Row>, Failure> {
    let mut rows = forge::rows(scene, options)?;
    rows.extend(clients::rows(scene, options)?);
    rows.push(aftermath(scene));
    Ok(rows)
}

/// After everything: the service never panicked, and its log holds no secret.
fn aftermath(scene: &Scene) -> Row {
    let log = scene
        .story
        .cloud
        .as_ref()
        .map(|service| service.log_from(0))
        .unwrap_or_default();
    let mut wrong = Vec::new();
    if !log.contains("listening") {
        wrong.push("the log does not even say that the service listens".into());
    }
    if log.contains("panicked") {
        wrong.push("the service panicked; see its log".into());
    }
    if scene
        .secrets()
        .iter()
        .any(|secret| log.contains(secret.as_str()))
    {
        wrong.push("the log holds a trust's password or the administrator's token".into());
    }
    Row {
        case: "the service's log after all this".into(),
        by: "a reader of logs".into(),
        expected: "no panic, no secret".into(),
        got: if wrong.is_empty() {
            "no panic, no secret".into()
        } else {
            "something else".into()
        },
        wrong,
        gap: String::new(),
    }
}
