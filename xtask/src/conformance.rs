//! `cargo xtask conformance`: the independent examiner, against the running service.

use crossrealm_conformance::Options;
use crossrealm_lab::need;

use crate::{Outcome, setup};

/// Sets up, builds, examines.
pub(crate) fn run(arguments: &[&str]) -> Outcome {
    setup::run()?;
    if let Some(reason) = need::unmet() {
        return Err(format!("the examination cannot run here: {reason}"));
    }
    let keep = arguments.contains(&"--keep");
    let words = arguments.iter().filter(|word| **word != "--keep");
    let options = Options {
        words: words.map(|word| (*word).to_owned()).collect(),
        keep,
    };
    let binary = crossrealm_lab::build_product().map_err(|failure| failure.to_string())?;
    crossrealm_conformance::run(&binary, &options).map_err(|failure| failure.to_string())
}
