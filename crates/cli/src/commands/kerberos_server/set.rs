//! `kerberos-server set`: the Kerberos server object and the trust from AD to the tenant, set up, repaired or rotated.

use crate::commands::trust_output::{
    FindingView, PartnerView, failure, finding_views, partner_views,
};
use crate::context::Context;
use crate::domain_credentials::DomainArgs;
use crate::failure::Failure;
use crate::hints;
use crate::output::{Column, Format, column};
use crate::progress::Console;
use crate::terminal::{say, write_stdout};
use crossrealm_agent::error::AgentError;
use crossrealm_agent::kerberos_server::preflight::Environment;
use crossrealm_agent::kerberos_server::set::{SetOptions, SetReport, set};
use crossrealm_agent::records::require_global_administrator;
use serde::Serialize;

/// The arguments of `kerberos-server set`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    domain: DomainArgs,
    /// Set up or repair the trust from AD to the tenant's realm too
    #[arg(long)]
    setup_cloud_trust: bool,
    /// Rotate the key of the service account, and with `--setup-cloud-trust` that of the trust
    #[arg(long)]
    rotate_server_key: bool,
    /// Rotate keys younger than 24 hours too
    #[arg(long, requires = "rotate_server_key")]
    force: bool,
    /// The trust key may be known to somebody: give AD two new ones, at any age, so that it no longer holds the known one; refuse it
    /// from then on, and the tickets of the tenant's realm that were issued with it
    #[arg(long, requires_all = ["setup_cloud_trust", "rotate_server_key"])]
    compromised: bool,
    /// DNS suffixes whose services AD refers to the tenant [default: those recorded, at first the tenant's]
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "NAMES",
        requires = "setup_cloud_trust"
    )]
    top_level_names: Option<Vec<String>>,
    /// Print the steps, and change nothing; the trust key is not tried
    #[arg(long)]
    dry_run: bool,
}

/// What is printed.
#[derive(Debug, Serialize)]
struct View {
    #[serde(flatten)]
    done: SetReport,
    dry_run: bool,
    notes: Vec<FindingView>,
    /// Where the trust differs, if it was not to be set up or repaired.
    trust_finding: Option<String>,
    replication: Vec<PartnerView>,
}

const COLUMNS: &[Column] = &[
    column("Domain", "/domain"),
    column("UserAccount", "/user_account"),
    column("Realm", "/realm"),
    column("TopLevelNames", "/top_level_names"),
    column("TrustKeyVersion", "/key_version"),
    column("Changed", "/changed"),
];

/// Runs `kerberos-server set`.
pub(super) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    require_global_administrator(&client).await?;
    let tenant = client.tenant(context.tenant()?).await?;
    let failed = |error: AgentError| failure(&error, context.output);
    let (domain, dc) = (&args.domain.domain, args.domain.sign_in.dc.as_deref());
    let environment = Environment::inspect(domain, dc, &client, args.setup_cloud_trust)
        .await
        .map_err(failed)?;
    let credentials = args.domain.sign_in.credentials()?;
    let options = SetOptions {
        trust: args.setup_cloud_trust,
        rotate: args.rotate_server_key,
        force: args.force || args.compromised,
        compromised: args.compromised,
        top_level_names: args.top_level_names.as_deref(),
        dry_run: args.dry_run,
    };
    let progress = Console::new();
    let done = set(
        &client,
        &tenant,
        environment,
        &credentials,
        &options,
        &progress,
    );
    let done = done.await.map_err(failed)?;
    let view = View {
        dry_run: args.dry_run,
        notes: finding_views(&done.notes),
        replication: partner_views(&done.replication),
        trust_finding: done.trust_difference.as_ref().map(hints::with_remedy),
        done,
    };
    report(context.output, &view)?;
    if args.setup_cloud_trust && !args.dry_run {
        context.suggest(&format!(
            "crossrealm sync once --domain {domain} --domain-user USER"
        ));
    }
    Ok(())
}

fn report(format: Format, view: &View) -> Result<(), Failure> {
    if format == Format::Json {
        return format.record(view, COLUMNS);
    }
    if let Some(finding) = &view.trust_finding {
        say!("note: {finding}");
    }
    if view.dry_run {
        let lines: String = view
            .done
            .steps
            .iter()
            .map(|step| format!("{step}\n"))
            .collect();
        write_stdout(&lines)?;
        match view.done.steps.len() {
            0 => say!("nothing to change in AD"),
            _ => say!("nothing was changed (`--dry-run`)"),
        }
        return Ok(());
    }
    match (&view.done.realm, view.done.changed) {
        (Some(_), false) => say!("nothing to change: AD and the tenant agree"),
        (None, false) => {
            say!("nothing to change: AD and the tenant agree on the Kerberos server object");
        }
        (_, true) => {}
    }
    format.record(view, COLUMNS)
}
