//! Whether every program of the [table](crate::table) starts.

use std::process::{Command, Output, Stdio};

use crate::table::{MODULES, PACKAGING, PROBES, PROGRAMS};
use crate::{command, find, shell};

/// Starts every program with a harmless call, and imports every Python module.
///
/// # Errors
/// One line for each that is missing or did not do as expected.
pub fn all() -> Result<usize, Vec<String>> {
    let needed = PROGRAMS.iter().flat_map(|(_, programs)| *programs);
    let present = PACKAGING.iter().flat_map(|(_, programs)| *programs);
    let programs = needed.chain(present.filter(|name| find(name).is_some()));
    let modules = MODULES.iter().flat_map(|(_, modules)| *modules);
    let mut results: Vec<Result<(), String>> = programs.map(|name| program(name)).collect();
    results.extend(modules.map(|name| module(name)));
    let count = results.len();
    let failed: Vec<String> = results.into_iter().filter_map(Result::err).collect();
    match failed.is_empty() {
        true => Ok(count),
        false => Err(failed),
    }
}

fn program(name: &str) -> Result<(), String> {
    if find(name).is_none() {
        return Err(format!("`{name}` is not installed"));
    }
    let probe = PROBES.iter().find(|(program, ..)| *program == name);
    let (arguments, code) = probe.map_or((&["--version"][..], 0), |(_, arguments, code)| {
        (*arguments, *code)
    });
    let command = match name {
        "sh" => shell("exit 0"),
        "bash" => {
            let mut env = command("env");
            env.arg(name);
            env
        }
        _ => command(name),
    };
    expect(command, arguments, code)
}

fn module(name: &str) -> Result<(), String> {
    expect(command("python3"), &["-c", &format!("import {name}")], 0)
}

fn expect(mut command: Command, arguments: &[&str], code: i32) -> Result<(), String> {
    command
        .args(arguments)
        .stdin(Stdio::null())
        .env("LC_ALL", "C.UTF-8");
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    match output.status.code() == Some(code) {
        true => Ok(()),
        false => Err(format!(
            "{command:?}: {}, not exit code {code}: {}",
            output.status,
            last_line(&output)
        )),
    }
}

fn last_line(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    text.lines().last().unwrap_or_default().to_owned()
}
