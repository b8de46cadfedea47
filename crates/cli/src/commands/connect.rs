//! `crossrealm connect`: verifies a service once, and remembers it as a context.

use crate::context::Context;
use crate::contexts::{ContextName, Contexts, address};
use crate::failure::Failure;
use crate::output::{Column, column};
use crate::session;
use crate::terminal::say;
use crate::trust_anchor::FingerprintArgs;
use crossrealm_api::{Client, SecretText, WhoAmI};
use serde::Serialize;

/// The arguments of `crossrealm connect`.
///
/// With `--token-file` or `CROSSREALM_TOKEN`, the token is stored as the session at this service too. `--tenant` is remembered;
/// without it, the one tenant that the token can see.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Address of the service, e.g. `https://login.cloud.example`
    #[arg(value_name = "URL")]
    url: String,
    #[command(flatten)]
    fingerprint: FingerprintArgs,
    /// Name of the context [default: the service's host name]
    #[arg(long, value_name = "NAME")]
    name: Option<ContextName>,
}

/// The context that was added.
#[derive(Serialize)]
struct Shown<'a> {
    name: &'a ContextName,
    server: &'a str,
    private_ca: bool,
    tenant: Option<&'a str>,
    signed_in: Option<&'a str>,
}

const RECORD: &[Column] = &[
    column("Name", "/name"),
    column("Server", "/server"),
    column("PrivateCa", "/private_ca"),
    column("Tenant", "/tenant"),
    column("SignedIn", "/signed_in"),
];

/// Runs `crossrealm connect`.
pub(crate) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let server = address(&args.url);
    let mut contexts = Contexts::load()?;
    let name = match args.name {
        Some(name) => name,
        None => default_name(&server)?,
    };
    let ca_pem = args.fingerprint.ca_pem(&server, context).await?;
    let mut tenant = context.given_tenant().map(str::to_owned);
    let mut known = None;
    if let Some(token) = context.given_token()? {
        let client = Client::new(
            &server,
            Some(token.clone()),
            ca_pem.as_deref().map(str::as_bytes),
        )?;
        let caller = sign_in(&client, &server, &token).await?;
        if tenant.is_none() {
            tenant = only_tenant(&client, &caller).await?;
        }
        known = Some(caller.name);
    }
    contexts.add(name.clone(), &server, ca_pem.as_deref(), tenant.clone())?;
    let shown = Shown {
        name: &name,
        server: &server,
        private_ca: ca_pem.is_some(),
        tenant: tenant.as_deref(),
        signed_in: known.as_deref(),
    };
    context.output.record(&shown, RECORD)?;
    context.suggest(match (&known, &tenant) {
        (None, _) => "crossrealm login",
        (Some(_), None) => "crossrealm tenant create NAME",
        (Some(_), Some(_)) => {
            "crossrealm kerberos-server set --domain DOMAIN --domain-user USER --setup-cloud-trust"
        }
    });
    Ok(())
}

/// Stores the token as the session at this service.
async fn sign_in(client: &Client, server: &str, token: &SecretText) -> Result<WhoAmI, Failure> {
    let caller = client.whoami().await?;
    session::store_token(server, &caller.name, token)?;
    Ok(caller)
}

/// The tenant of the token, or the one that there is.
async fn only_tenant(client: &Client, caller: &WhoAmI) -> Result<Option<String>, Failure> {
    if caller.role.is_none() {
        say!("note: the token is no administrator's; `--tenant NAME` chooses the tenant");
        return Ok(None);
    }
    let mut tenants = client.tenants().await?;
    Ok(match tenants.len() {
        1 => tenants.pop().map(|tenant| tenant.name),
        _ => None,
    })
}

/// The host of the address, with its port where it has one.
fn default_name(server: &str) -> Result<ContextName, Failure> {
    let host = server.trim_start_matches("https://").replace(':', "-");
    host.parse().map_err(|reason| {
        Failure::new(format!("`{server}` makes no name for a context: {reason}"))
            .hint("give `--name NAME`")
    })
}
