//! `crossrealm`, the one binary: commands for the people who run and use a cloud trust.
//!
//! This crate parses the command line, prompts, calls the other crates and prints what they return. It decides nothing about
//! tickets and keeps no state but contexts and the administrator's session. It talks to the service through [`crossrealm_api`]
//! alone; only `init` and `serve`, which *are* the service, use `crossrealm-cloud`. Data goes to stdout, everything else to
//! stderr, where with `-o json` the last line of a failed command is a JSON object. The exit code is 0 if the work is done, 1 if
//! it was refused or failed, 2 for wrong usage.

mod activity;
mod cli;
mod client_config;
mod commands;
mod completion;
mod config_dir;
mod consent;
mod context;
mod contexts;
mod domain_credentials;
mod examples;
mod failure;
mod hints;
mod input_file;
mod installation;
mod join_file;
mod keytab;
mod output;
mod progress;
mod prompt;
#[cfg(test)]
mod reference;
mod sanitize;
mod session;
mod signs_of_life;
mod table;
mod terminal;
mod token_file;
mod trust_anchor;

use clap::CommandFactory as _;
use output::Format;
use std::process::ExitCode;

fn main() -> ExitCode {
    completion::answer_shell(cli::Cli::command);
    let cli = cli::Cli::parse_or_exit();
    let format = cli.format();
    if format == Format::Table && terminal::stderr_is_terminal() {
        activity::allow();
    }
    let outcome = cli.run();
    activity::end();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            match format {
                _ if failure.is_shown() => {}
                Format::Table => terminal::say!("{failure}"),
                Format::Json => terminal::say!("{}", failure.json_line()),
            }
            ExitCode::FAILURE
        }
    }
}
