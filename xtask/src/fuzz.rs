//! Running the fuzz targets of `fuzz/`, each for some seconds, from its committed seeds and whatever earlier runs found.

use std::path::Path;

use crate::Outcome;
use crate::process::{self, cargo};

/// As long as CI gives each target.
pub const DEFAULT_SECONDS: u32 = 20;

/// Input that takes longer than this on one core is a finding, seconds.
const SLOW_INPUT_S: u32 = 10;
/// Memory above this is a finding, MiB.
const MOST_MEMORY_MIB: u32 = 2048;

/// Builds and runs every target; goes on after a finding, so that one run shows all of them.
pub fn run(seconds: u32) -> Outcome {
    let folder = process::root().join("fuzz");
    let targets = targets(&folder.join("fuzz_targets"))?;
    // The folder has a cargo configuration of its own, with the flags that instrument the code.
    process::run(cargo(&["build", "--release", "--locked", "--bins"]).current_dir(&folder))?;
    let mut found = Vec::new();
    for target in &targets {
        eprintln!("\n--- fuzz {target}");
        if let Err(reason) = one(&folder, target, seconds) {
            eprintln!("error: {reason}");
            found.push(target.as_str());
        }
    }
    let where_to = "the input is in fuzz/artifacts/, and `fuzz/README` says how to replay it";
    if found.is_empty() {
        Ok(())
    } else {
        Err(format!("findings in: {}; {where_to}", found.join(", ")))
    }
}

fn one(folder: &Path, target: &str, seconds: u32) -> Outcome {
    let (grown, seeds, artifacts) = (
        format!("corpus/{target}"),
        format!("seeds/{target}"),
        format!("artifacts/{target}"),
    );
    for made in [&grown, &artifacts] {
        let made = folder.join(made);
        std::fs::create_dir_all(&made)
            .map_err(|error| format!("cannot make {}: {error}", made.display()))?;
    }
    let mut run = cargo(&[
        "run",
        "--release",
        "--locked",
        "--quiet",
        "--bin",
        target,
        "--",
    ]);
    run.current_dir(folder);
    run.arg(format!("-max_total_time={seconds}"));
    run.arg(format!("-timeout={SLOW_INPUT_S}"));
    run.arg(format!("-rss_limit_mb={MOST_MEMORY_MIB}"));
    run.arg(format!("-artifact_prefix={artifacts}/"))
        .args(["-print_final_stats=1", "-verbosity=0"]);
    run.arg(grown);
    if folder.join(&seeds).is_dir() {
        run.arg(seeds);
    }
    process::run(&mut run)
}

/// The names of the target files, sorted.
fn targets(folder: &Path) -> Result<Vec<String>, String> {
    let entries = std::fs::read_dir(folder)
        .map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    let files = entries.flatten().map(|entry| entry.path());
    let rust = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let mut names: Vec<String> = rust
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort_unstable();
    if names.is_empty() {
        Err(format!("{} holds no fuzz targets", folder.display()))
    } else {
        Ok(names)
    }
}
