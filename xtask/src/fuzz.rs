//! Running the fuzz targets of `fuzz/`, each for some seconds, from its committed seeds and past findings.
//!
//! The folder is a workspace of its own, whose cargo configuration instruments everything that is built in it; that takes
//! stable Rust and a C++ compiler, nothing else.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use crossrealm_lab::executables;

use crate::Outcome;
use crate::process::{self, cargo};
use crate::setup;

/// As long as CI gives each target.
pub(crate) const DEFAULT_SECONDS: u32 = 15;

/// Targets that run at the same time: as many as the smallest machine has cores.
const AT_ONCE: usize = 2;
/// Input that takes longer than this on one core is a finding, seconds.
const SLOW_INPUT_S: u32 = 10;
/// Memory above this is a finding, MiB.
const MOST_MEMORY_MIB: u32 = 2048;
const LINES_OF_A_FINDING: usize = 40;

/// One target: its name, its program, its log.
struct Target {
    name: String,
    program: PathBuf,
    log: PathBuf,
}

/// Builds and runs every target; goes on after a finding, so that one run shows all of them.
pub(crate) fn run(seconds: u32) -> Outcome {
    setup::run()?;
    let folder = process::root().join("fuzz");
    let targets = build(&folder)?;
    let mut found = Vec::new();
    for group in targets.chunks(AT_ONCE) {
        let running: Result<Vec<_>, String> = group
            .iter()
            .map(|target| Ok((target, start(&folder, target, seconds)?)))
            .collect();
        for (target, mut child) in running? {
            let status = child
                .wait()
                .map_err(|error| format!("{}: {error}", target.name))?;
            let log = std::fs::read_to_string(&target.log).unwrap_or_default();
            eprintln!(
                "fuzz {:10} {}",
                target.name,
                verdict(&log, status.success())
            );
            if !status.success() {
                found.push(target.name.as_str());
            }
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    let next =
        "the inputs are in `fuzz/artifacts/`; commit them to `fuzz/regressions/` with the fix";
    Err(format!("findings in: {}\n\nhint: {next}", found.join(", ")))
}

fn build(folder: &Path) -> Result<Vec<Target>, String> {
    let mut command = cargo(&["build", "--release", "--locked", "--bins"]);
    command
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(folder);
    // Flags from outside would replace those of the folder's own configuration.
    command
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    eprintln!("fuzz: building the targets");
    let mut targets: Vec<Target> = executables(&process::output(&mut command)?)
        .into_iter()
        .filter_map(|program| {
            let name = program.file_name()?.to_str()?.to_owned();
            let log = folder.join("artifacts").join(format!("{name}.log"));
            Some(Target { name, program, log })
        })
        .collect();
    targets.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    if targets.is_empty() {
        Err("`fuzz/` has no targets".into())
    } else {
        Ok(targets)
    }
}

fn start(folder: &Path, target: &Target, seconds: u32) -> Result<Child, String> {
    let name = &target.name;
    let folders = [
        format!("corpus/{name}"),
        format!("seeds/{name}"),
        format!("regressions/{name}"),
    ];
    for needed in folders.iter().map(String::as_str).chain(["artifacts"]) {
        // libFuzzer refuses folders that are not there.
        std::fs::create_dir_all(folder.join(needed))
            .map_err(|error| format!("cannot make fuzz/{needed}: {error}"))?;
    }
    let log = File::create(&target.log)
        .map_err(|error| format!("cannot write {}: {error}", target.log.display()))?;
    let mut command = crossrealm_programs::built(&target.program);
    command
        .current_dir(folder)
        .arg(format!("-max_total_time={seconds}"));
    command
        .arg(format!("-timeout={SLOW_INPUT_S}"))
        .arg(format!("-rss_limit_mb={MOST_MEMORY_MIB}"));
    command
        .arg(format!("-artifact_prefix=artifacts/{name}-"))
        .args(folders);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    command
        .spawn()
        .map_err(|error| format!("cannot run {}: {error}", target.program.display()))
}

/// libFuzzer's closing line, or the end of its log when it found something.
fn verdict(log: &str, nothing_found: bool) -> String {
    let lines: Vec<&str> = log.lines().collect();
    if nothing_found {
        let done = lines.iter().rev().find(|line| line.starts_with("Done"));
        return (*done.unwrap_or(&"ended without a closing line")).to_owned();
    }
    let from = lines.len().saturating_sub(LINES_OF_A_FINDING);
    format!(
        "FOUND SOMETHING\n{}",
        lines.get(from..).unwrap_or_default().join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_shown_with_the_end_of_its_log() {
        let log: String = (0..100).map(|n| format!("line {n}\n")).collect();
        let shown = verdict(&log, false);
        assert!(
            shown.contains("line 99") && shown.contains("line 60") && !shown.contains("line 59")
        );
        assert_eq!(
            verdict("x\nDone 7 runs in 1 second(s)\nstat", true),
            "Done 7 runs in 1 second(s)"
        );
    }
}
