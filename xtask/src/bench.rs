//! `cargo xtask bench`: builds the product and the benches with optimisation, and runs them (`benches/`).

use std::path::PathBuf;
use std::process::Stdio;

use crossrealm_lab::{executables, need};

use crossrealm_programs::built as built_program;

use crate::process::{cargo, root, run as run_command};
use crate::{Outcome, setup};

/// Sets up, builds, measures. The arguments are the benches'.
pub(crate) fn run(arguments: &[&str]) -> Outcome {
    setup::run()?;
    if let Some(reason) = need::unmet() {
        return Err(format!("the benches cannot run here: {reason}"));
    }
    // Only the working is shown: what is built already does.
    let optimised = !arguments.contains(&"--smoke");
    let product = match std::env::var_os("CROSSREALM_BIN") {
        Some(given) => PathBuf::from(given),
        None => built("crossrealm-cli", "crossrealm", optimised)?,
    };
    let bench = built("crossrealm-benches", "crossrealm-bench", optimised)?;
    let mut command = built_program(&bench);
    command.args(arguments).current_dir(root());
    run_command(command.env("CROSSREALM_BIN", product))
}

/// Builds one package and returns the path of its program.
fn built(package: &str, program: &str, optimised: bool) -> Result<PathBuf, String> {
    let mut build = cargo(&["build", "--locked", "--package", package]);
    build.args(["--message-format", "json-render-diagnostics"]);
    if optimised {
        build.arg("--release");
    }
    let output = build
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "cargo cannot build `{package}`; its messages are above"
        ));
    }
    executables(&String::from_utf8_lossy(&output.stdout))
        .into_iter()
        .find(|path| path.file_stem().is_some_and(|stem| stem == program))
        .ok_or_else(|| format!("cargo built `{package}` but named no executable `{program}`"))
}
