//! Running other programs with their output on the terminal.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;

/// The repository's root folder.
pub(crate) fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}

/// An external program in the repository's root.
pub(crate) fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = crossrealm_programs::command(program);
    command.args(arguments).current_dir(root());
    command
}

/// `cargo` as it called us.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = crossrealm_programs::cargo();
    cargo.args(arguments).current_dir(root());
    cargo
}

/// Says what is run, runs it, and expects success.
pub(crate) fn run(command: &mut Command) -> Outcome {
    let line = line(command);
    run_as(&line, command)
}

/// The same for a command line that is too long to be shown.
pub(crate) fn run_as(line: &str, command: &mut Command) -> Outcome {
    eprintln!("$ {line}");
    let status = command
        .status()
        .map_err(|error| format!("cannot run `{line}`: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("`{line}` failed ({status})"))
    }
}

/// Runs it quietly and returns its standard output.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let line = line(command);
    let output = command
        .output()
        .map_err(|error| format!("cannot run `{line}`: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "`{line}` failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn line(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy().into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}
