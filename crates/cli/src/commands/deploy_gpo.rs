//! `crossrealm client deploy-gpo`: one group policy object that tells the domain's computers of the tenant.
//!
//! Every step is a change in AD and so an event of the tenant's audit, which takes a global administrator's token.

use crate::client_config::preg;
use crate::client_config::settings::{Wishes, settings};
use crate::commands::kerberos_server::journal::Journal;
use crate::context::Context;
use crate::domain_credentials::DomainArgs;
use crate::failure::Failure;
use crate::output::{Column, column};
use crossrealm_api::ClientConfig;
use crossrealm_onprem::dc::Choice;
use crossrealm_onprem::gpo::{GpoError, Observed, Policies, Step, Wanted, plan, plan_removal};
use serde::Serialize;

/// The arguments of `client deploy-gpo`.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    domain: DomainArgs,
    /// DN of the organisational unit or domain whose computers it is for [default: the whole domain]
    #[arg(long, value_name = "DN")]
    link: Option<String>,
    /// Group or computer that applies it, by account name (repeatable) [default: every computer]
    #[arg(long, value_name = "ACCOUNT", conflicts_with = "remove")]
    apply_to: Vec<String>,
    /// Map all of the tenant's hosts to its realm, not only those that no referral finds
    #[arg(long, conflicts_with = "remove")]
    map_hosts: bool,
    /// Have Windows not check whether the KDC proxy's certificate was revoked; for a private CA without a revocation list
    #[arg(long, conflicts_with = "remove")]
    no_revocation_check: bool,
    /// Show what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Take the group policy object away; computers forget its settings at their next refresh
    #[arg(long)]
    remove: bool,
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Outcome {
    domain: String,
    controller: String,
    name: String,
    id: String,
    linked_to: Vec<String>,
    /// The machine's half of the version; 0 where there is no object.
    version: u32,
    changed: bool,
}

const COLUMNS: &[Column] = &[
    column("Domain", "/domain"),
    column("Controller", "/controller"),
    column("Name", "/name"),
    column("Id", "/id"),
    column("LinkedTo", "/linked_to"),
    column("Version", "/version"),
    column("Changed", "/changed"),
];

/// A step of a plan, as `--dry-run` prints it.
#[derive(Serialize)]
struct Planned {
    step: String,
}

/// Runs `crossrealm client deploy-gpo`.
pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let config = client.client_config(context.tenant()?).await?;
    let id = format!("{{{}}}", config.tenant.id.to_string().to_uppercase());
    // Tools for group policies write to the PDC emulator, so that nobody works on two copies.
    let session = args.domain.open(Choice::Pdc).await?;
    let mut policies = Policies::open(&session, &id).await?;
    let link = match &args.link {
        Some(dn) => dn.clone(),
        None => policies.base().to_owned(),
    };
    let seen = policies.observe(&link).await?;
    let steps = match args.remove {
        true => plan_removal(&seen),
        false => {
            let wanted = wanted(&config, &args, link.clone(), &mut policies).await?;
            plan(&seen, &wanted, policies.dn(), &policies.path())?
        }
    };
    if args.dry_run {
        return tell_plan(&steps, context);
    }
    let tenant = config.tenant.id.to_string();
    let journal = Journal::new(&client, &tenant, &session);
    for step in &steps {
        let words = format!("group policy: {step}");
        journal.in_ad(&words, policies.apply(step)).await?;
    }
    let now = policies.observe(&link).await?;
    if steps.is_empty() {
        eprintln!("{}", nothing_to_do(args.remove));
    }
    tell_disabled_link(&now, policies.dn());
    let outcome = Outcome {
        domain: session.dc().domain.clone(),
        controller: session.dc().host.clone(),
        name: name(&config),
        id,
        linked_to: now.links.iter().map(|link| link.dn.clone()).collect(),
        version: now
            .container
            .map_or(0, |container| container.version & 0xffff),
        changed: !steps.is_empty(),
    };
    context.output.record(&outcome, COLUMNS)
}

fn nothing_to_do(remove: bool) -> &'static str {
    match remove {
        true => "nothing to remove: AD holds no group policy object of this tenant",
        false => "nothing to change: the group policy object is as it should be",
    }
}

fn tell_plan(steps: &[Step], context: &Context) -> Result<(), Failure> {
    let planned: Vec<Planned> = steps
        .iter()
        .map(|step| Planned {
            step: step.to_string(),
        })
        .collect();
    eprintln!("nothing was changed");
    let columns = &[column("Step", "/step")];
    context
        .output
        .list(&planned, columns, "there is nothing to do")
}

/// A link that an administrator switched off stays so, but nothing of the policy is applied there.
fn tell_disabled_link(seen: &Observed, dn: &str) {
    for link in &seen.links {
        if link.options(dn).is_some_and(|options| options & 1 != 0) {
            eprintln!(
                "note: the link at `{}` is switched off, so computers there do not apply the policy",
                link.dn
            );
        }
    }
}

fn name(config: &ClientConfig) -> String {
    format!("Crossrealm: {}", config.tenant.name)
}

async fn wanted(
    config: &ClientConfig,
    args: &Args,
    link: String,
    policies: &mut Policies,
) -> Result<Wanted, Failure> {
    let wishes = Wishes {
        map_hosts: args.map_hosts,
        no_revocation_check: args.no_revocation_check,
    };
    let mut apply_to = Vec::new();
    for account in &args.apply_to {
        let sid = policies.sid_of(account).await?.ok_or_else(|| {
            Failure::new(format!("AD holds no group or computer `{account}`"))
                .hint("give its account name (sAMAccountName), e.g. `--apply-to Workstations`")
        })?;
        if !apply_to.contains(&sid) {
            apply_to.push(sid);
        }
    }
    Ok(Wanted {
        name: name(config),
        settings: preg::registry_pol(&settings(config, wishes)?, false),
        link,
        apply_to,
    })
}

impl From<GpoError> for Failure {
    fn from(error: GpoError) -> Self {
        Self::new(error.to_string()).maybe_hint(error.hint())
    }
}
