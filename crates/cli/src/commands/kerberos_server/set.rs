//! `kerberos-server set`: the Kerberos server object and the trust from AD to the tenant, set up, repaired or rotated.
//!
//! Everything is read and everything that stands against it is told before the first change. A run that is killed
//! anywhere is finished by the next.

use super::journal::Journal;
use super::object::{self, ObjectRun};
use super::preflight::{self, Finding, Findings, Ground};
use super::replication::{self, PartnerView};
use super::trust::{Done, TrustRun};
use super::{open_lsa, require_global_administrator};
use crate::context::Context;
use crate::domain_credentials::DomainArgs;
use crate::failure::Failure;
use crate::output::{Column, Format, column};
use crossrealm_onprem::kerberos_server::{ObjectStep, plan};
use crossrealm_onprem::session::Session;
use serde::Serialize;

/// The arguments of `kerberos-server set`.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    domain: DomainArgs,
    /// Set up the trust from AD to the tenant's realm too, or repair it
    #[arg(long)]
    setup_cloud_trust: bool,
    /// Make new keys: of the service account, and with `--setup-cloud-trust` of the trust
    #[arg(long)]
    rotate_server_key: bool,
    /// Rotate keys that are younger than 24 hours
    #[arg(long, requires = "rotate_server_key")]
    force: bool,
    /// DNS suffixes whose services AD refers to the tenant [default: those recorded, at first the tenant's]
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "NAMES",
        requires = "setup_cloud_trust"
    )]
    top_level_names: Option<Vec<String>>,
    /// Print what would be changed, and change nothing; the trust key is not tried
    #[arg(long)]
    dry_run: bool,
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Outcome {
    domain: String,
    user_account: String,
    realm: Option<String>,
    top_level_names: Vec<String>,
    key_version: Option<u32>,
    changed: bool,
    dry_run: bool,
    steps: Vec<String>,
    notes: Vec<Finding>,
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
pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    require_global_administrator(&client).await?;
    let tenant = client.tenant(context.tenant()?).await?;
    let id = tenant.id.to_string();
    let ground = Ground::look(
        &args.domain,
        &client,
        args.setup_cloud_trust,
        context.output,
    )
    .await?;
    let session = Session::open_at(ground.dc, &args.domain.credentials()?).await?;
    let mut lsa = open_lsa(&session).await?;
    let mut server = ObjectRun::open(&session).await?;
    let domain = lsa.domain().await?;
    let known = object::known(&client, &id, &session.dc().domain).await?;
    let trust = match args.setup_cloud_trust {
        true => {
            let names = args.top_level_names.as_deref();
            Some(TrustRun::open(&client, &tenant, &session, &mut lsa, names).await?)
        }
        false => None,
    };
    let rotate = Rotation::of(&args, &server, trust.as_ref());
    let steps = plan(&server.seen, rotate.object)?;
    let found = check(
        &args,
        ground.found,
        &mut server,
        &steps,
        trust.as_ref(),
        &session,
        &rotate,
    )
    .await?;
    let notes = found.refuse(context.output)?;

    let mut outcome = Outcome {
        domain: session.dc().domain.clone(),
        user_account: server.seen.user_dn.clone(),
        realm: trust.as_ref().map(|trust| trust.wanted.realm.clone()),
        top_level_names: trust
            .as_ref()
            .map(|trust| trust.wanted.top_level_names.clone())
            .unwrap_or_default(),
        key_version: None,
        changed: false,
        dry_run: args.dry_run,
        steps: steps.iter().map(ToString::to_string).collect(),
        notes,
        replication: Vec::new(),
    };
    if args.dry_run {
        if let Some(trust) = &trust {
            outcome.steps.extend(trust.foreseen(rotate.trust)?);
        }
        return report(context.output, &outcome);
    }
    // The pending version is what tells the next run that this one began.
    let journal = Journal::new(&client, &id, &session);
    let prepared = match &trust {
        Some(trust) => Some(trust.prepare(rotate.trust).await?),
        None => None,
    };
    server.apply(&steps, &journal).await?;
    let recorded = server
        .record(&client, &id, &domain, known.as_ref(), &journal)
        .await?;
    outcome.changed = recorded || !steps.is_empty();
    if let (Some(trust), Some(prepared)) = (trust, &prepared) {
        let Done {
            version,
            steps,
            changed,
        } = trust.finish(prepared, &journal).await?;
        outcome.key_version = Some(version);
        outcome.steps.extend(steps);
        outcome.changed |= changed;
    }
    if !outcome.steps.is_empty() {
        outcome.replication = replication::settle(&session, &mut server.ldap, &tenant).await;
    }
    report(context.output, &outcome)
}

/// Which keys are to be made anew.
struct Rotation {
    object: bool,
    trust: bool,
    /// A rotation that an earlier run began is finished, which no age of a key stands against.
    resumed: bool,
}

impl Rotation {
    fn of(args: &Args, server: &ObjectRun, trust: Option<&TrustRun<'_>>) -> Self {
        let begun = trust.and_then(TrustRun::half_rotated_since);
        let made = server.seen.user.as_ref().and_then(|u| u.key_updated_at);
        // The run that was killed may have come as far as the account.
        let is_done = begun.is_some() && made >= begun;
        Self {
            object: args.rotate_server_key && (args.force || !is_done),
            trust: args.rotate_server_key && args.setup_cloud_trust,
            resumed: begun.is_some(),
        }
    }
}

/// What stands against the change, all of it. Nothing has been changed yet.
async fn check(
    args: &Args,
    mut found: Findings,
    server: &mut ObjectRun,
    steps: &[ObjectStep],
    trust: Option<&TrustRun<'_>>,
    session: &Session,
    rotate: &Rotation,
) -> Result<Findings, Failure> {
    let findings = preflight::object(server, steps).await?;
    found.findings.extend(findings);
    if let Some(trust) = trust {
        let more = preflight::trust(server, trust, session.dc()).await?;
        found.findings.extend(more.findings);
        found.notes.extend(more.notes);
    }
    if !args.force && !rotate.resumed {
        let made = server.seen.user.as_ref().and_then(|u| u.key_updated_at);
        if rotate.object {
            let young = preflight::too_young("the key of the service account", made);
            found.findings.extend(young);
        }
        if let (true, Some(trust)) = (rotate.trust, trust) {
            let young = preflight::too_young("the trust key", trust.confirmed_at());
            found.findings.extend(young);
        }
    }
    Ok(found)
}

fn report(format: Format, outcome: &Outcome) -> Result<(), Failure> {
    if format == Format::Json {
        return format.record(outcome, COLUMNS);
    }
    if outcome.dry_run {
        let lines: String = outcome
            .steps
            .iter()
            .map(|step| format!("{step}\n"))
            .collect();
        crate::output::write_stdout(&lines)?;
        match outcome.steps.len() {
            0 => eprintln!("nothing to change in AD"),
            _ => eprintln!("nothing was changed (`--dry-run`)"),
        }
        return Ok(());
    }
    if !outcome.changed {
        eprintln!("nothing to change: AD and the tenant agree");
    }
    format.record(outcome, COLUMNS)
}
