//! `crossrealm sync`: the sync agent, run on-premises. It reads AD and writes the tenant; never the other way.

mod service;
mod show;

use crate::context::Context;
use crate::domain_credentials::DomainArgs;
use crate::failure::Failure;
use crate::output::{Column, column, printable, time_column};
use crate::sync_agent::{Comparison, Task, Worker};
use crate::sync_lease::Lease;
use crate::trust_rotation::{self, Rotator};
use clap::Subcommand;
use crossrealm_api::{ApplyIdentitiesResult, Client, RefusedChange, SyncFailure, SyncState};
use crossrealm_onprem::sync::{Ask, Cursor, Position, Scope, SyncPlan, UserFilter};
use serde::Serialize;
use show::{PLANNED, Progress, left_out, planned};
use std::time::{Duration, Instant};

/// How long a single run waits for another agent.
const WAIT_FOR_LEASE: Duration = Duration::from_secs(60);
/// How often it asks.
const LEASE_POLL: Duration = Duration::from_secs(1);

/// What the sync agent can do.
#[derive(Subcommand, Debug)]
pub enum Args {
    /// Bring the tenant up to date, once
    Once {
        #[command(flatten)]
        domain: DomainArgs,
        #[command(flatten)]
        scope: ScopeArgs,
        #[command(flatten)]
        safety: SafetyArgs,
        /// Compare everything, not only what changed since the last run
        #[arg(long)]
        full: bool,
    },
    /// Keep the tenant up to date until stopped
    Run {
        #[command(flatten)]
        domain: DomainArgs,
        #[command(flatten)]
        scope: ScopeArgs,
        #[command(flatten)]
        safety: SafetyArgs,
        /// Time from the end of one run to the start of the next: `30s`, `5m`, `1h`
        #[arg(long, value_name = "TIME", default_value = "1m", value_parser = interval)]
        interval: Duration,
        /// Give AD a new trust key when the current one is that old: `30d`; the token must be permitted to
        #[arg(long, value_name = "AGE", value_parser = trust_rotation::age)]
        rotate_trust_every: Option<Duration>,
    },
    /// Show what a run would change
    Plan {
        #[command(flatten)]
        domain: DomainArgs,
        #[command(flatten)]
        scope: ScopeArgs,
        /// Compare everything, not only what changed since the last run
        #[arg(long)]
        full: bool,
    },
    /// Show the last successful run, and what failed, as the tenant knows it
    Status {
        /// DNS name of the AD domain
        #[arg(long, value_name = "DOMAIN")]
        domain: String,
    },
}

/// Which users and groups are taken over.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Scope options")]
pub struct ScopeArgs {
    /// Only what lies below this organizational unit, by its DN (repeatable)
    #[arg(long, value_name = "DN")]
    scope_ou: Vec<String>,
    /// Only this group and whoever is in it, at any depth
    #[arg(long, value_name = "NAME")]
    scope_group: Option<String>,
    /// Only users that match this LDAP filter, such as `(department=Sales)`
    #[arg(long, value_name = "LDAP-FILTER")]
    scope_filter: Option<String>,
    /// Take the UPN from this attribute, such as `mail`, instead of `userPrincipalName`
    #[arg(long, value_name = "ATTRIBUTE")]
    upn_attribute: Option<String>,
    /// Take over privileged accounts too: members of Domain Admins and the like
    #[arg(long)]
    include_privileged: bool,
}

impl ScopeArgs {
    fn scope(&self) -> Result<Scope, Failure> {
        let refused = |error: crossrealm_onprem::sync::ScopeError| {
            Failure::new(error.to_string()).maybe_hint(error.hint().map(str::to_owned))
        };
        let filter = self.scope_filter.as_deref().map(UserFilter::parse);
        let scope = Scope {
            ous: self.scope_ou.clone(),
            group: self.scope_group.clone(),
            filter: filter.transpose().map_err(refused)?,
            upn_attribute: self.upn_attribute.clone(),
            include_privileged: self.include_privileged,
        };
        scope.check().map_err(refused)?;
        Ok(scope)
    }
}

/// What a run may do unasked.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct SafetyArgs {
    /// Let a run delete or disable up to N identities; without it, a tenth of them within an hour, at least 10 and at
    /// most 500
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    accept_deletions: usize,
}

impl SafetyArgs {
    /// What the tenant, which counts for itself, is told.
    fn accepted(self) -> Option<u64> {
        (self.accept_deletions > 0)
            .then(|| u64::try_from(self.accept_deletions).unwrap_or(u64::MAX))
    }

    /// Refuses a plan that takes away more than was accepted, `recent` losses of the last hour included. Whether it was
    /// accepted by number.
    fn check(self, plan: &SyncPlan, recent: usize) -> Result<bool, Failure> {
        let (losses, allowed) = (plan.losses() + recent, plan.allowed_losses());
        if plan.losses() == 0 || losses <= allowed {
            return Ok(false);
        }
        if losses <= self.accept_deletions {
            return Ok(true);
        }
        let earlier = match recent {
            0 => String::new(),
            recent => format!(", {recent} of them within the last hour"),
        };
        Err(Failure::new(format!(
            "this run would delete or disable {losses} of {} identities{earlier}, more than the {} that are accepted; nothing was changed",
            plan.held + recent,
            allowed.max(self.accept_deletions)
        ))
        .hint(format!(
            "look at `crossrealm sync plan`; if it is right, run `crossrealm sync once` with `--accept-deletions {losses}`"
        )))
    }
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

/// The state of a sync, with what its bookmark says.
#[derive(Serialize)]
struct Status {
    #[serde(flatten)]
    state: SyncState,
    bookmark: Option<Bookmark>,
}

/// What a bookmark says.
#[derive(Serialize)]
struct Bookmark {
    controller: String,
    source: &'static str,
    read_at: i64,
    compared_at: i64,
    next_turn_at: Option<i64>,
    pending: usize,
}

const STATUS: &[Column] = &[
    time_column("LastSuccess", "/last_success_at"),
    column("LastRun", "/last_run_id"),
    column("Users", "/users"),
    column("Groups", "/groups"),
    column("Skipped", "/skipped"),
    column("Refused", "/refused"),
    column("Failed", "/failed"),
    column("AtWork", "/lease/holder"),
    column("Controller", "/bookmark/controller"),
    column("Source", "/bookmark/source"),
    time_column("ReadUpTo", "/bookmark/read_at"),
    time_column("ComparedAt", "/bookmark/compared_at"),
    time_column("NextByClock", "/bookmark/next_turn_at"),
];

/// Runs `crossrealm sync`.
pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    match args {
        Args::Once {
            domain,
            scope,
            safety,
            full,
        } => once(&domain, &scope.scope()?, safety, full, context).await,
        Args::Run {
            domain,
            scope,
            safety,
            interval,
            rotate_trust_every,
        } => {
            let rotator = rotate_trust_every.map(Rotator::new);
            service::keep_running(&domain, &scope.scope()?, safety, interval, rotator, context)
                .await
        }
        Args::Plan {
            domain,
            scope,
            full,
        } => plan(&domain, &scope.scope()?, full, context).await,
        Args::Status { domain } => status(&dns_name(&domain), context).await,
    }
}

async fn once(
    domain: &DomainArgs,
    scope: &Scope,
    safety: SafetyArgs,
    full: bool,
    context: &Context,
) -> Result<(), Failure> {
    let (client, name) = (context.client()?, dns_name(&domain.domain));
    let credentials = domain.credentials()?;
    let began = Instant::now();
    let mut lease = Lease::new(client.clone(), context.tenant()?, &name);
    wait_for(&mut lease).await?;
    let task = Task {
        client: &client,
        tenant: context.tenant()?,
        domain: &name,
        dc: domain.dc.as_deref(),
        scope,
        holder: Some(lease.holder()),
        accept_deletions: safety.accepted(),
    };
    let ask = Ask {
        everything: full,
        retry: true,
    };
    let mut worker = Worker::default();
    let mut progress = Progress::new();
    let outcome = async {
        let mut comparison = worker
            .compare(&task, &credentials, ask, &mut |text| progress.show(text))
            .await?;
        accept(safety, &mut comparison)?;
        let result = worker
            .apply(&task, &comparison, &mut |text| progress.show(text))
            .await?;
        Ok::<_, Failure>((comparison, result))
    }
    .await;
    drop(progress);
    lease.release().await;
    let (comparison, result) = outcome?;
    warn(&result);
    eprint!("{}", left_out(&comparison.plan.skipped));
    let state = client.sync_state(context.tenant()?, &name).await?;
    let report = report(comparison, result, state, began);
    context.output.record(&report, REPORT)
}

/// Waits until no other agent works for the connector, and says so.
async fn wait_for(lease: &mut Lease) -> Result<(), Failure> {
    let began = Instant::now();
    let mut told = String::new();
    while let Some(other) = lease.take().await? {
        if began.elapsed() > WAIT_FOR_LEASE {
            return Err(Failure::new(format!(
                "another sync agent, `{}`, is at work for this connector",
                printable(&other.holder)
            ))
            .hint("it keeps the tenant up to date: look at `crossrealm sync status`, or stop it first"));
        }
        if told != other.holder {
            eprintln!(
                "waiting for another sync agent, `{}`",
                printable(&other.holder)
            );
            told = other.holder;
        }
        tokio::time::sleep(LEASE_POLL).await;
    }
    Ok(())
}

/// Refuses a plan that takes too much away, and counts what it takes.
fn accept(safety: SafetyArgs, comparison: &mut Comparison) -> Result<(), Failure> {
    let accepted = safety.check(&comparison.plan, comparison.cursor.recent_losses())?;
    let losses = comparison.plan.losses();
    if losses > 0 {
        comparison.cursor.count_losses(losses, accepted);
    }
    Ok(())
}

async fn plan(
    domain: &DomainArgs,
    scope: &Scope,
    full: bool,
    context: &Context,
) -> Result<(), Failure> {
    let (client, name) = (context.client()?, dns_name(&domain.domain));
    let credentials = domain.credentials()?;
    let task = Task {
        client: &client,
        tenant: context.tenant()?,
        domain: &name,
        dc: domain.dc.as_deref(),
        scope,
        holder: None,
        accept_deletions: None,
    };
    let ask = Ask {
        everything: full,
        retry: true,
    };
    let mut progress = Progress::new();
    let comparison = Worker::default()
        .compare(&task, &credentials, ask, &mut |text| progress.show(text))
        .await?;
    drop(progress);
    eprintln!("compared {}", compared(&comparison));
    eprint!("{}", left_out(&comparison.plan.skipped));
    context.output.list(
        &planned(&comparison),
        PLANNED,
        "nothing to change: the tenant is up to date",
    )
}

async fn status(domain: &str, context: &Context) -> Result<(), Failure> {
    let client: Client = context.client()?;
    let state = client.sync_state(context.tenant()?, domain).await?;
    if state.last_success_at.is_none() {
        eprintln!(
            "`{}` was never synced; `crossrealm sync once` does it",
            printable(domain)
        );
    }
    for one in &state.refusals {
        eprintln!(
            "refused by the tenant: `{}`: {} ({})",
            printable(&one.account_name),
            printable(&one.message),
            one.code
        );
    }
    for one in &state.failures {
        eprintln!(
            "not taken over: `{}`: {}",
            printable(&one.name),
            printable(&one.reason)
        );
    }
    let bookmark = state.cursor.as_deref().and_then(Cursor::parse);
    let status = Status {
        bookmark: bookmark.map(|cursor| Bookmark {
            source: source(&cursor.position),
            controller: cursor.controller,
            read_at: cursor.read_at,
            compared_at: cursor.compared_at,
            next_turn_at: cursor.turns_at,
            pending: cursor.pending.len(),
        }),
        state,
    };
    context.output.record(&status, STATUS)
}

/// How changes are found.
fn source(position: &Position) -> &'static str {
    match position {
        Position::DirSync {
            sees_deleted: true, ..
        } => "DirSync",
        Position::DirSync { .. } => "DirSync; deletions by comparing everything every 15 minutes",
        Position::Usn {
            sees_deleted: true, ..
        } => "uSNChanged, deleted objects",
        Position::Usn { .. } => "uSNChanged; deletions by comparing everything every 15 minutes",
    }
}

/// What was looked at.
fn compared(comparison: &Comparison) -> String {
    match &comparison.why {
        None => "what changed since the last run".to_owned(),
        Some(why) => format!("everything: {why}"),
    }
}

fn warn(result: &ApplyIdentitiesResult) {
    for refused in &result.refused {
        eprintln!(
            "warning: `{}` was refused: {} ({})",
            printable(&refused.account_name),
            printable(&refused.message),
            refused.code
        );
    }
}

/// The domain's name as the tenant keeps it.
fn dns_name(domain: &str) -> String {
    domain.trim_end_matches('.').to_lowercase()
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

/// A time such as `30s`, `5m` or `1h`, from one second to one day.
fn interval(text: &str) -> Result<Duration, String> {
    let (number, unit_s) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3600),
        _ => return Err("expected a time such as `30s`, `5m` or `1h`".to_owned()),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| "expected a time such as `30s`, `5m` or `1h`".to_owned())?;
    match number.checked_mul(unit_s) {
        Some(seconds @ 1..=86_400) => Ok(Duration::from_secs(seconds)),
        _ => Err("from one second to one day".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_takes_too_much_away_is_refused() {
        let account = crossrealm_onprem::sync::Account {
            guid: String::new(),
            kind: crossrealm_onprem::sync::Kind::User,
            sid: "S-1-5-21-1-2-3-1104".parse().unwrap(),
            account_name: String::new(),
            upn: String::new(),
            display_name: String::new(),
            disabled: None,
            primary_group_rid: 513,
        };
        let plan = SyncPlan {
            deletes: vec![account; 31],
            held: 300,
            ..SyncPlan::default()
        };
        let check = |accept_deletions, recent| SafetyArgs { accept_deletions }.check(&plan, recent);
        let refused = check(0, 0).unwrap_err().to_string();
        assert!(
            refused.contains("31 of 300 identities, more than the 30"),
            "{refused}"
        );
        assert!(refused.contains("--accept-deletions 31"), "{refused}");
        assert_eq!(check(31, 0), Ok(true));
        assert!(
            check(31, 1)
                .unwrap_err()
                .to_string()
                .contains("--accept-deletions 32")
        );
        let fine = SyncPlan {
            deletes: plan.deletes[..20].to_vec(),
            held: 300,
            ..SyncPlan::default()
        };
        let bit_by_bit = |recent| {
            SafetyArgs {
                accept_deletions: 0,
            }
            .check(&fine, recent)
        };
        assert_eq!(bit_by_bit(10), Ok(false));
        let refused = bit_by_bit(11).unwrap_err().to_string();
        assert!(
            refused.contains("31 of 311 identities, 11 of them within the last hour"),
            "{refused}"
        );
    }

    #[test]
    fn intervals() {
        assert_eq!(interval("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(interval("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(interval("24h"), Ok(Duration::from_secs(86_400)));
        for bad in [
            "",
            "s",
            "30",
            "-1s",
            "0s",
            "25h",
            "99999999999999999999h",
            "5ü",
        ] {
            assert!(interval(bad).is_err(), "{bad}");
        }
    }
}
