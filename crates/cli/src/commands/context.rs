//! `crossrealm context`: the services that `crossrealm connect` remembered.

use crate::context::Context;
use crate::contexts::{ContextName, Contexts};
use crate::failure::Failure;
use crate::output::{Column, column};
use crate::terminal::say;
use clap::Subcommand;
use serde::Serialize;

/// What can be done with contexts.
#[derive(Subcommand, Debug)]
pub(crate) enum Args {
    /// List the contexts; the current one is used where `--context` and `--server` are not given
    List,
    /// Make a context the current one
    Use {
        /// Name of the context
        name: ContextName,
    },
    /// Remove a context and its CA; the service is not called, and a session at it stays
    Remove {
        /// Name of the context
        name: ContextName,
    },
}

#[derive(Serialize)]
struct Item<'a> {
    name: &'a ContextName,
    current: bool,
    server: &'a str,
    private_ca: bool,
    tenant: Option<&'a str>,
}

const LIST: &[Column] = &[
    column("Name", "/name"),
    column("Current", "/current"),
    column("Server", "/server"),
    column("PrivateCa", "/private_ca"),
    column("Tenant", "/tenant"),
];

/// Runs `crossrealm context`.
pub(crate) fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let mut contexts = Contexts::load()?;
    match args {
        Args::List => {
            let items: Vec<_> = contexts
                .contexts
                .iter()
                .map(|(name, remembered)| Item {
                    name,
                    current: contexts.current.as_ref() == Some(name),
                    server: &remembered.server,
                    private_ca: remembered.ca.is_some(),
                    tenant: remembered.tenant.as_deref(),
                })
                .collect();
            context.output.list(
                &items,
                LIST,
                "no contexts; `crossrealm connect https://login.BASE-DOMAIN` adds one",
            )
        }
        Args::Use { name } => {
            contexts.choose(&name)?;
            say!("`{name}` is the current context");
            Ok(())
        }
        Args::Remove { name } => {
            contexts.remove(&name)?;
            say!("removed context `{name}`");
            Ok(())
        }
    }
}
