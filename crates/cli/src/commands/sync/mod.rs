//! `crossrealm sync`: the sync agent, run on-premises. It reads AD and writes the tenant; never the other way.

mod options;
mod show;
mod status;

use crate::context::Context;
use crate::domain_credentials::SignInArgs;
use crate::failure::Failure;
use crate::join_file::JoinFile;
use crate::output::{Column, column, time_column};
use crate::progress::{Console, compared, left_out, normalized};
use crate::sanitize::one_line;
use crate::signs_of_life::Signs;
use crate::terminal::{self, say};
use clap::Subcommand;
use crossrealm_agent::comparison::{Comparison, SyncJob};
use crossrealm_agent::connect::domain_name;
use crossrealm_agent::sync::once;
use crossrealm_agent::sync::service::{self, ServiceOptions};
use crossrealm_api::{AllowDeletions, Client, SyncState};
use crossrealm_onprem::sync::Scope;
use crossrealm_os::service_manager;
use crossrealm_types::{ApplyIdentitiesResult, RefusedChange, SyncFailure};
use options::{SafetyArgs, ScopeArgs, SyncedDomainArgs, age, interval};
use serde::Serialize;
use show::{PLANNED, planned, source};
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::signal::unix::{SignalKind, signal};

/// What the sync agent can do.
#[derive(Subcommand, Debug)]
pub(crate) enum Args {
    /// Synchronize once
    Once {
        #[command(flatten)]
        domain: SyncedDomainArgs,
        #[command(flatten)]
        scope: ScopeArgs,
        #[command(flatten)]
        safety: SafetyArgs,
        /// Full sync: compare everything, not only what changed since the last run
        #[arg(long)]
        full: bool,
    },
    /// Synchronize repeatedly until stopped
    Run {
        #[command(flatten)]
        domain: SyncedDomainArgs,
        #[command(flatten)]
        scope: ScopeArgs,
        #[command(flatten)]
        safety: SafetyArgs,
        /// Time from the end of one run to the start of the next: `30s`, `5m`, `1h`
        #[arg(long, value_name = "TIME", default_value = "1m", value_parser = interval)]
        interval: Duration,
        /// Rotate the trust key when it is this old: `30d`; the token must permit it
        #[arg(long, value_name = "AGE", value_parser = age)]
        rotate_trust_every: Option<Duration>,
    },
    /// Show what a sync would change, and change nothing
    Plan {
        #[command(flatten)]
        domain: SyncedDomainArgs,
        #[command(flatten)]
        scope: ScopeArgs,
        /// Full sync: compare everything, not only what changed since the last run
        #[arg(long)]
        full: bool,
    },
    /// Let one run of a domain's sync delete or disable more identities than the limit
    AllowDeletions {
        /// How many identities the run may delete or disable
        #[arg(value_name = "N")]
        deletions: u64,
        /// DNS name of the AD domain
        #[arg(long, value_name = "DOMAIN")]
        domain: String,
        /// How long the permit lasts: `10m`, `1h`, at most `24h`
        #[arg(long, value_name = "TIME", default_value = "1h", value_parser = interval)]
        expires: Duration,
    },
    /// Show the last successful sync, and what failed, as the tenant recorded it
    Status {
        /// DNS name of the AD domain
        #[arg(long, value_name = "DOMAIN")]
        domain: String,
    },
}

/// What a run did.
#[derive(Serialize)]
struct Report {
    domain: String,
    controller: String,
    compared: String,
    source: &'static str,
    users: u64,
    groups: u64,
    created: u64,
    updated: u64,
    deleted: u64,
    unchanged: usize,
    memberships_added: u64,
    memberships_removed: u64,
    skipped: u64,
    seconds: f64,
    refused: Vec<RefusedChange>,
    failures: Vec<SyncFailure>,
}

const REPORT: &[Column] = &[
    column("Domain", "/domain"),
    column("Controller", "/controller"),
    column("Compared", "/compared"),
    column("Source", "/source"),
    column("Users", "/users"),
    column("Groups", "/groups"),
    column("Created", "/created"),
    column("Updated", "/updated"),
    column("Deleted", "/deleted"),
    column("Unchanged", "/unchanged"),
    column("MembershipsAdded", "/memberships_added"),
    column("MembershipsRemoved", "/memberships_removed"),
    column("Skipped", "/skipped"),
    column("Seconds", "/seconds"),
];

/// Runs `crossrealm sync`.
pub(crate) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    match args {
        Args::Once {
            domain,
            scope,
            safety,
            full,
        } => {
            let setup = Setup::new(&domain, &scope, context)?;
            sync_once(&setup, safety, full, context).await?;
            context.suggest(&after_once(domain.join.as_deref()));
            Ok(())
        }
        Args::Run {
            domain,
            scope,
            safety,
            interval,
            rotate_trust_every,
        } => {
            let setup = Setup::new(&domain, &scope, context)?;
            serve(&setup, safety, interval, rotate_trust_every).await
        }
        Args::Plan {
            domain,
            scope,
            full,
        } => {
            let setup = Setup::new(&domain, &scope, context)?;
            plan(&setup, full, context).await
        }
        Args::AllowDeletions {
            deletions,
            domain,
            expires,
        } => allow_deletions(deletions, &domain_name(&domain), expires, context).await,
        Args::Status { domain } => status::run(&domain_name(&domain), context).await,
    }
}

/// What usually follows a first run: an administrator creates a storage account; an agent, which may not, goes on by itself.
fn after_once(join: Option<&Path>) -> String {
    match join {
        None => "crossrealm storage-account create NAME --join NAME.join".to_owned(),
        Some(path) => format!(
            "crossrealm sync run --join {} --domain-user USER",
            path.display()
        ),
    }
}

const PERMIT: &[Column] = &[
    column("Deletions", "/deletions"),
    time_column("ExpiresAt", "/expires_at"),
];

async fn allow_deletions(
    deletions: u64,
    domain: &str,
    expires: Duration,
    context: &Context,
) -> Result<(), Failure> {
    let wanted = AllowDeletions {
        deletions,
        expires_in_s: u32::try_from(expires.as_secs()).unwrap_or(u32::MAX),
    };
    let client = context.client()?;
    let permit = client
        .allow_deletions(context.tenant()?, domain, &wanted)
        .await?;
    context.output.record(&permit, PERMIT)
}

/// What the options say of a sync.
struct Setup<'a> {
    client: Client,
    tenant: String,
    name: String,
    sign_in: &'a SignInArgs,
    scope: Scope,
}

impl<'a> Setup<'a> {
    fn new(
        args: &'a SyncedDomainArgs,
        scope: &ScopeArgs,
        context: &Context,
    ) -> Result<Self, Failure> {
        let scope = scope.scope()?;
        let joined;
        let (context, domain) = match &args.join {
            None => (context, args.domain.clone().unwrap_or_default()),
            Some(path) => {
                let file = JoinFile::read(path)?;
                let domain = file.domain(path)?.to_owned();
                joined = context.joined(file);
                (&joined, domain)
            }
        };
        Ok(Self {
            scope,
            client: context.client()?,
            tenant: context.tenant()?.to_owned(),
            name: domain_name(&domain),
            sign_in: &args.sign_in,
        })
    }

    fn job(&self, accept_deletions: usize) -> SyncJob<'_> {
        SyncJob {
            client: &self.client,
            tenant: &self.tenant,
            domain: &self.name,
            dc: self.sign_in.dc.as_deref(),
            scope: &self.scope,
            accept_deletions,
        }
    }
}

async fn sync_once(
    setup: &Setup<'_>,
    safety: SafetyArgs,
    full: bool,
    context: &Context,
) -> Result<(), Failure> {
    let credentials = setup.sign_in.credentials()?;
    let began = Instant::now();
    let job = setup.job(safety.accept_deletions);
    let (comparison, result) = once::sync(&job, &credentials, full, &Console::new()).await?;
    warn(&result);
    terminal::ask(&left_out(&comparison.plan.skipped));
    terminal::ask(&normalized(&comparison.plan.normalized));
    let state = setup.client.sync_state(&setup.tenant, &setup.name).await?;
    for line in exceeding(&state.failures) {
        say!("warning: {line}");
    }
    let report = report(comparison, result, state, began);
    context.output.record(&report, REPORT)
}

/// Syncs until SIGTERM or SIGINT.
async fn serve(
    setup: &Setup<'_>,
    safety: SafetyArgs,
    interval: Duration,
    rotate_trust_every: Option<Duration>,
) -> Result<(), Failure> {
    let cannot = |error| Failure::new(format!("cannot wait for signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let credentials = setup.sign_in.credentials()?;
    let options = ServiceOptions {
        job: setup.job(safety.accept_deletions),
        interval,
        rotate_trust_every,
        reload_credentials: &|| {
            // A person at a terminal is not prompted again.
            setup.sign_in.password_file()?;
            let read = setup.sign_in.credentials();
            read.map_err(|failure| tracing::error!("{failure}")).ok()
        },
    };
    let stop = async {
        let mut signs = Signs::new();
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                () = signs.due() => service_manager::alive(),
            }
        }
        service_manager::stopping();
    };
    // The runs that follow may fail and are tried again: a start does not wait for a domain controller.
    service_manager::ready(&format!("synchronizing {}", setup.name));
    service::run(options, credentials, &Console::service(), stop).await;
    tracing::info!(domain = setup.name, "stopped");
    Ok(())
}

async fn plan(setup: &Setup<'_>, full: bool, context: &Context) -> Result<(), Failure> {
    let credentials = setup.sign_in.credentials()?;
    let comparison = once::plan(&setup.job(0), &credentials, full, &Console::new()).await?;
    say!("compared {}", compared(&comparison));
    terminal::ask(&left_out(&comparison.plan.skipped));
    terminal::ask(&normalized(&comparison.plan.normalized));
    context.output.list(
        &planned(&comparison),
        PLANNED,
        "nothing to change: the tenant is up to date",
    )
}

/// The objects that the tenant may grant more than AD does.
fn exceeding(failures: &[SyncFailure]) -> impl Iterator<Item = String> {
    let exceeding = failures.iter().filter(|one| one.exceeds);
    exceeding.map(|one| {
        format!(
            "`{}` may have more rights in the tenant than in AD, where {}",
            one_line(&one.name),
            one_line(&one.reason)
        )
    })
}

fn warn(result: &ApplyIdentitiesResult) {
    for refused in &result.refused {
        say!(
            "warning: `{}` was refused: {} ({})",
            one_line(&refused.account_name),
            one_line(&refused.message),
            refused.code
        );
    }
}

fn report(
    comparison: Comparison,
    result: ApplyIdentitiesResult,
    state: SyncState,
    began: Instant,
) -> Report {
    Report {
        compared: compared(&comparison),
        source: source(&comparison.cursor.position),
        domain: comparison.observed.domain.dns_name,
        controller: comparison.controller,
        users: state.users,
        groups: state.groups,
        created: result.created,
        updated: result.updated,
        deleted: result.deleted,
        unchanged: comparison.plan.unchanged,
        memberships_added: result.memberships_added,
        memberships_removed: result.memberships_removed,
        skipped: state.skipped,
        seconds: (began.elapsed().as_secs_f64() * 100.0).round() / 100.0,
        refused: result.refused,
        failures: state.failures,
    }
}
