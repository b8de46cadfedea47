//! Every test of the workspace, several test programs at a time.
//!
//! `cargo test` runs one program after the other. Those that play in a test world mostly wait, for a domain controller to
//! start or a ticket to end, so that as many as the machine has cores run side by side, the slowest first. What a program
//! prints is shown in one piece when it has ended.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Outcome;
use crate::process::{cargo, run};

/// The packages whose tests play in test worlds.
const WORLDS: [&str; 4] = ["lab", "conformance", "crates/cli", "benches"];

/// A test program that cargo built.
struct Program {
    name: String,
    executable: PathBuf,
    /// Where cargo would run it: the folder of its package.
    folder: PathBuf,
}

/// Builds all test programs with `arguments` for cargo and runs them with these variables.
pub(crate) fn run_all(arguments: &[&str], variables: &[(&str, String)]) -> Outcome {
    let programs = build(arguments)?;
    let began = Instant::now();
    let queue = Mutex::new(programs.iter());
    let failed = Mutex::new(Vec::new());
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(program) = next(&queue) {
                    if let Err(reason) = one(program, variables) {
                        failed
                            .lock()
                            .unwrap_or_else(|e| e.into_inner())
                            .push(reason);
                    }
                }
            });
        }
    });
    eprintln!(
        "{} test programs in {:.0} s",
        programs.len(),
        began.elapsed().as_secs_f64()
    );
    let mut documented = cargo(&["test", "--workspace", "--doc"]);
    let documented = run(documented.args(arguments));
    let mut failed = failed.into_inner().unwrap_or_else(|e| e.into_inner());
    failed.extend(documented.err());
    match failed.is_empty() {
        true => Ok(()),
        false => Err(format!("failed: {}", failed.join(", "))),
    }
}

fn next<'a>(queue: &Mutex<std::slice::Iter<'a, Program>>) -> Option<&'a Program> {
    queue.lock().unwrap_or_else(|e| e.into_inner()).next()
}

/// Runs one program and shows what it printed; the error names it.
fn one(program: &Program, variables: &[(&str, String)]) -> Result<(), String> {
    let began = Instant::now();
    let output = crossrealm_programs::built(&program.executable)
        .current_dir(&program.folder)
        .env("CARGO_MANIFEST_DIR", &program.folder)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{} ({error})", program.name))?;
    show(program, &output, began.elapsed());
    match output.status.success() {
        true => Ok(()),
        false => Err(program.name.clone()),
    }
}

fn show(program: &Program, output: &Output, took: Duration) {
    let text = |bytes| String::from_utf8_lossy(bytes).trim().to_owned();
    let parts = [text(&output.stderr), text(&output.stdout)];
    // In one call, so that programs that end together do not mix their lines.
    eprintln!(
        "--- {} ({:.1} s, {})\n{}",
        program.name,
        took.as_secs_f64(),
        output.status,
        parts.join("\n").trim()
    );
}

/// The test programs, those that play in test worlds first.
fn build(arguments: &[&str]) -> Result<Vec<Program>, String> {
    let mut build = cargo(&["test", "--workspace", "--no-run"]);
    build.args(["--message-format", "json-render-diagnostics"]);
    let output = build
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if !output.status.success() {
        return Err("the tests do not build; cargo's messages are above".to_owned());
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let messages = messages
        .lines()
        .filter_map(|l| serde_json::from_str(l).ok());
    let mut programs: Vec<Program> = messages.filter_map(|m: Value| program(&m)).collect();
    programs.sort_by_key(|program| {
        let plays = |folder| program.folder.ends_with(folder);
        let place = WORLDS.iter().position(plays);
        place.unwrap_or(WORLDS.len())
    });
    Ok(programs)
}

/// The test program that a message of cargo is about.
fn program(message: &Value) -> Option<Program> {
    if message["profile"]["test"] != Value::Bool(true) {
        return None;
    }
    let executable = PathBuf::from(message["executable"].as_str()?);
    let manifest = PathBuf::from(message["manifest_path"].as_str()?);
    let folder = manifest.parent()?.to_owned();
    let package = folder.file_name()?.to_string_lossy().into_owned();
    let target = message["target"]["name"].as_str()?;
    Some(Program {
        name: format!("{package} {target}"),
        executable,
        folder,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_test_programs_count() {
        let message = |test: bool| {
            json!({
                "reason": "compiler-artifact",
                "manifest_path": "/repo/crates/krb/Cargo.toml",
                "target": {"name": "crossrealm_krb"},
                "profile": {"test": test},
                "executable": "/repo/target/debug/deps/crossrealm_krb-1",
            })
        };
        let found = program(&message(true)).unwrap();
        assert_eq!(found.name, "krb crossrealm_krb");
        assert_eq!(found.folder, PathBuf::from("/repo/crates/krb"));
        assert!(program(&message(false)).is_none());
        assert!(program(&json!({"reason": "build-finished"})).is_none());
    }
}
