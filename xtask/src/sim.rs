//! `cargo xtask sim`: many seeded lives of a tenant, each exchange checked (`testkit/src/simulation.rs`).

use crate::Outcome;
use crate::process::{cargo, run as run_command};

/// How many lives are played by default.
pub(crate) const DEFAULT_SEEDS: u64 = 200;

/// Plays this many lives; the first that breaks an invariant is named with its seed.
pub(crate) fn run(seeds: u64) -> Outcome {
    let mut simulation = cargo(&[
        "run",
        "--release",
        "--locked",
        "--package",
        "crossrealm-testkit",
        "--example",
        "sim",
        "--",
        "--seeds",
    ]);
    run_command(simulation.arg(seeds.to_string()))
}
