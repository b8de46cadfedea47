//! Plays the simulation for many seeds: `sim [--seeds N] [--first SEED] [--steps N]`. What `cargo xtask sim` runs.

use crossrealm_testkit::simulation::{LifeCounts, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    match options().and_then(|(first, seeds, steps)| play(first, seeds, steps)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<(u64, u64, u32), String> {
    let (mut first, mut seeds, mut steps) = (0, 1000, 200);
    let mut args = std::env::args().skip(1);
    while let Some(name) = args.next() {
        let value = args
            .next()
            .ok_or_else(|| format!("`{name}` needs a number"))?;
        let number: u64 = value
            .parse()
            .map_err(|_| format!("`{name}` takes a number, not `{value}`"))?;
        match name.as_str() {
            "--first" => first = number,
            "--seeds" => seeds = number,
            "--steps" => steps = u32::try_from(number).map_err(|_| "too many steps".to_owned())?,
            _ => return Err(format!("unknown option `{name}`")),
        }
    }
    Ok((first, seeds, steps))
}

fn play(first: u64, seeds: u64, steps: u32) -> Result<(), String> {
    let mut sum = LifeCounts::default();
    for seed in first..first.saturating_add(seeds) {
        let counts = run(seed, steps)?;
        sum.issued += counts.issued;
        sum.refused += counts.refused;
        sum.dropped += counts.dropped;
    }
    println!(
        "{seeds} lives from seed {first}, {steps} exchanges each: {} issued, {} refused, {} dropped, every invariant held",
        sum.issued, sum.refused, sum.dropped
    );
    Ok(())
}
