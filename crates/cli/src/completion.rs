//! Shell completion: commands, options, and the names of what a tenant has.
//!
//! The script of `crossrealm completions` calls this program again at every press of the key, with [`VARIABLE`] in its
//! environment; so that what is offered is what this version understands. Names of tenants, accounts, shares and services are
//! asked of the service that the current context or the environment names, with the session that is there: nothing is asked of
//! the person, and where the service does not answer in time, no names are offered.

use crate::context::{Context, Global};
use crate::contexts::Contexts;
use crate::failure::Failure;
use clap::{Arg, Command, ValueEnum};
use clap_complete::env::{EnvCompleter, Shells};
use clap_complete::{ArgValueCandidates, CompleteEnv, CompletionCandidate};
use std::time::Duration;

/// The variable by which the shell's script asks for completion.
const VARIABLE: &str = "CROSSREALM_COMPLETE";
/// How long a person waits at the key at most.
const LIMIT: Duration = Duration::from_secs(2);
/// The most names that are offered.
const MOST_NAMES: usize = 500;

/// The shells that have a script.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Fish,
    Zsh,
}

/// What a name is the name of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Noun {
    Account,
    Context,
    Service,
    Share,
    Tenant,
}

/// Answers the shell for this command line and ends the process, if the shell's script asks.
pub(crate) fn answer_shell(command: fn() -> Command) {
    let with_names = || completed(command(), &mut Vec::new());
    CompleteEnv::with_factory(with_names)
        .var(VARIABLE)
        .complete();
}

/// The script that a shell reads at its start.
pub(crate) fn script(shell: Shell) -> Result<Vec<u8>, Failure> {
    let shells = Shells::builtins();
    let name = match shell {
        Shell::Bash => "bash",
        Shell::Fish => "fish",
        Shell::Zsh => "zsh",
    };
    let completer: &dyn EnvCompleter = shells
        .completer(name)
        .ok_or_else(|| Failure::new(format!("there is no completion for `{name}`")))?;
    let mut script = Vec::new();
    let program = "crossrealm";
    completer
        .write_registration(VARIABLE, program, program, program, &mut script)
        .map_err(|error| Failure::new(format!("cannot write the script: {error}")))?;
    Ok(script)
}

/// A command and those below it, with what completes the names among their arguments.
fn completed(command: Command, path: &mut Vec<String>) -> Command {
    let named = command.mut_args(|argument| match noun(path, &argument) {
        Some(noun) => argument.add(ArgValueCandidates::new(move || candidates(noun))),
        None => argument,
    });
    named.mut_subcommands(|command| {
        path.push(command.get_name().to_owned());
        let command = completed(command, path);
        path.pop();
        command
    })
}

/// What an argument of a command names, if it names something that exists.
fn noun(path: &[String], argument: &Arg) -> Option<Noun> {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let value = argument.get_value_names().and_then(|names| names.first());
    let id = argument.get_id().as_str();
    let value = value.map_or_else(|| id.to_uppercase(), ToString::to_string);
    match (path.as_slice(), id, value.as_str()) {
        (["init" | "connect" | "sync", ..] | [_, "create"], "tenant" | "name" | "spn", _) => None,
        ([_, "create"], "share", _) => Some(Noun::Share),
        (_, "context", _) | (["context", ..], "name", _) => Some(Noun::Context),
        (_, "tenant", _) | (["tenant", ..], "name", _) | (_, _, "TENANT") => Some(Noun::Tenant),
        (["storage-account", ..], "name", _) | (_, _, "ACCOUNT") => Some(Noun::Account),
        (["service-principal", ..], "spn", _) => Some(Noun::Service),
        (_, _, "ACCOUNT/SHARE") => Some(Noun::Share),
        _ => None,
    }
}

fn candidates(noun: Noun) -> Vec<CompletionCandidate> {
    let names = match noun {
        Noun::Context => contexts(),
        asked => ask(asked),
    };
    offered(names.unwrap_or_default())
        .map(CompletionCandidate::new)
        .collect()
}

/// Names that no shell reads as anything but a word: what is inserted is run when the person presses Enter.
fn offered(names: Vec<String>) -> impl Iterator<Item = String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/@".contains(c);
    let is_word = move |name: &String| !name.starts_with('-') && name.chars().all(plain);
    names.into_iter().filter(is_word).take(MOST_NAMES)
}

fn contexts() -> Result<Vec<String>, Failure> {
    let contexts = Contexts::load()?.contexts;
    Ok(contexts.keys().map(ToString::to_string).collect())
}

fn ask(noun: Noun) -> Result<Vec<String>, Failure> {
    let failed = |error: std::io::Error| Failure::new(error.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    let asked = async { tokio::time::timeout(LIMIT, names(noun)).await };
    let answer = runtime.block_on(asked);
    // What still waits, such as a resolver, does not hold up the shell.
    runtime.shutdown_background();
    answer.map_err(|_| Failure::new("the service did not answer in time"))?
}

async fn names(noun: Noun) -> Result<Vec<String>, Failure> {
    let context = Context::new(Global::of_environment()?);
    let client = context.client()?;
    Ok(match noun {
        Noun::Tenant => {
            let tenants = client.tenants().await?;
            tenants.into_iter().map(|tenant| tenant.name).collect()
        }
        Noun::Account => {
            let accounts = client.storage_accounts(context.tenant()?).await?;
            accounts.into_iter().map(|account| account.name).collect()
        }
        Noun::Share => {
            let shares = client.tenant_shares(context.tenant()?).await?;
            let name = |share: crossrealm_api::Share| format!("{}/{}", share.account, share.name);
            shares.into_iter().map(name).collect()
        }
        Noun::Service => {
            let services = client.service_principals(context.tenant()?).await?;
            services.into_iter().map(|service| service.spn).collect()
        }
        Noun::Context => contexts()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory as _;

    fn noun_of(path: &[&str], id: &str) -> Option<Noun> {
        let mut command = Cli::command();
        command.build();
        let mut found = &command;
        for word in path {
            found = found.find_subcommand(word).unwrap();
        }
        let argument = found.get_arguments().find(|a| a.get_id() == id).unwrap();
        let path: Vec<String> = path.iter().map(ToString::to_string).collect();
        noun(&path, argument)
    }

    #[test]
    fn names_of_what_exists_are_completed_and_new_names_are_not() {
        for (path, id, expected) in [
            (&["share", "show"][..], "share", Some(Noun::Share)),
            (&["share", "create"], "share", Some(Noun::Share)),
            (&["share", "list"], "account", Some(Noun::Account)),
            (&["storage-account", "delete"], "name", Some(Noun::Account)),
            (&["storage-account", "create"], "name", None),
            (&["service-principal", "delete"], "spn", Some(Noun::Service)),
            (&["service-principal", "create"], "spn", None),
            (&["tenant", "show"], "name", Some(Noun::Tenant)),
            (&["tenant", "create"], "name", None),
            (&["init"], "tenant", None),
            (&["whoami"], "tenant", Some(Noun::Tenant)),
            (&["whoami"], "context", Some(Noun::Context)),
            (&["context", "use"], "name", Some(Noun::Context)),
            (&["user", "show"], "user", None),
        ] {
            assert_eq!(noun_of(path, id), expected, "{path:?} {id}");
        }
    }

    #[test]
    fn a_name_that_a_shell_would_run_is_not_offered() {
        let names = [
            "acct1/projects",
            "acct1/$(x)",
            "a b",
            "-rf",
            "acct1/HR",
            "a;b",
        ];
        let names = names.map(str::to_owned).to_vec();
        let offered: Vec<String> = offered(names).collect();
        assert_eq!(offered, ["acct1/projects", "acct1/HR"]);
    }
}
