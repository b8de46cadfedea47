//! `cargo xtask chaos`: a hostile and failing world (the package `chaos`), and the seeds that CI plays.

use crossrealm_lab::need;

use crate::process::{cargo, run as run_command};
use crate::{Outcome, setup};

/// How long CI disturbs, and by which schedule.
const IN_CI: [&str; 4] = ["--minutes", "3", "--seed", "2"];

/// Builds the product and plays one run; the arguments are those of the program.
pub(crate) fn run(arguments: &[&str]) -> Outcome {
    if !arguments.contains(&"--plan") {
        setup::run()?;
        if let Some(reason) = need::unmet() {
            return Err(reason);
        }
    }
    let mut chaos = cargo(&["run", "--locked", "--package", "crossrealm-chaos", "--"]);
    run_command(chaos.args(arguments))
}

/// What CI plays.
pub(crate) fn in_ci() -> Outcome {
    run(&IN_CI)
}
