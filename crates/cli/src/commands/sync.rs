//! `crossrealm sync`: the sync agent, run on-premises. It reads AD and writes the tenant; never the other way.

use crate::context::Context;
use crate::domain_credentials::DomainArgs;
use crate::failure::Failure;
use crate::output::{Column, column, printable, time_column};
use crate::sync_agent::{Comparison, apply, compare};
use crate::trust_rotation::{self, Rotator};
use clap::Subcommand;
use crossrealm_api::{ApplyIdentitiesResult, RefusedChange};
use crossrealm_onprem::credentials::DomainCredentials;
use crossrealm_onprem::dc::Choice;
use crossrealm_onprem::sync::{Kind, SkipReason, Skipped, SyncPlan};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How many names of skipped objects are told for each reason.
const NAMES_SHOWN: usize = 10;

/// What the sync agent can do.
#[derive(Subcommand, Debug)]
pub enum Args {
    /// Bring the tenant up to date, once
    Once {
        #[command(flatten)]
        domain: DomainArgs,
        #[command(flatten)]
        safety: SafetyArgs,
    },
    /// Keep the tenant up to date until stopped
    Run {
        #[command(flatten)]
        domain: DomainArgs,
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
    Plan(DomainArgs),
    /// Show the last successful run, as the tenant knows it
    Status(DomainArgs),
}

/// What a run may do unasked.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct SafetyArgs {
    /// Let a run delete or disable up to N identities; without it, a tenth of them, at least 10 and at most 500
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    accept_deletions: usize,
}

impl SafetyArgs {
    /// Refuses a plan that takes away more than was accepted.
    fn check(self, plan: &SyncPlan) -> Result<(), Failure> {
        let (losses, allowed) = (
            plan.losses(),
            plan.allowed_losses().max(self.accept_deletions),
        );
        if losses <= allowed {
            return Ok(());
        }
        Err(Failure::new(format!(
            "this run would delete or disable {losses} of {} identities, more than the {allowed} that are accepted; nothing was changed",
            plan.held
        ))
        .hint(format!(
            "look at `crossrealm sync plan`; if it is right, run again with `--accept-deletions {losses}`"
        )))
    }
}

/// What a run did.
#[derive(Serialize)]
struct Report {
    domain: String,
    controller: String,
    users: usize,
    groups: usize,
    created: u64,
    updated: u64,
    deleted: u64,
    unchanged: usize,
    memberships_added: u64,
    memberships_removed: u64,
    skipped: usize,
    refused: Vec<RefusedChange>,
}

const REPORT: &[Column] = &[
    column("Domain", "/domain"),
    column("Controller", "/controller"),
    column("Users", "/users"),
    column("Groups", "/groups"),
    column("Created", "/created"),
    column("Updated", "/updated"),
    column("Deleted", "/deleted"),
    column("Unchanged", "/unchanged"),
    column("MembershipsAdded", "/memberships_added"),
    column("MembershipsRemoved", "/memberships_removed"),
    column("Skipped", "/skipped"),
];

/// One line of a plan.
#[derive(Serialize)]
struct Planned {
    action: &'static str,
    kind: &'static str,
    name: String,
    detail: String,
}

const PLANNED: &[Column] = &[
    column("Action", "/action"),
    column("Kind", "/kind"),
    column("Name", "/name"),
    column("Detail", "/detail"),
];

const STATUS: &[Column] = &[
    time_column("LastSuccess", "/last_success_at"),
    column("LastRun", "/last_run_id"),
    column("Users", "/users"),
    column("Groups", "/groups"),
    column("Skipped", "/skipped"),
];

/// Runs `crossrealm sync`.
pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    match args {
        Args::Once { domain, safety } => {
            let credentials = domain.credentials()?;
            let (report, left_out) = once(&domain, safety, &credentials, context).await?;
            eprint!("{left_out}");
            context.output.record(&report, REPORT)
        }
        Args::Run {
            domain,
            safety,
            interval,
            rotate_trust_every,
        } => {
            let rotator = rotate_trust_every.map(Rotator::new);
            keep_running(&domain, safety, interval, rotator, context).await
        }
        Args::Plan(domain) => {
            let credentials = domain.credentials()?;
            let comparison = compared(&domain, &credentials, context).await?;
            eprint!("{}", left_out(&comparison.plan.skipped));
            context.output.list(
                &planned(&comparison),
                PLANNED,
                "nothing to change: the tenant is up to date",
            )
        }
        Args::Status(domain) => {
            let client = context.client()?;
            let state = client
                .sync_state(context.tenant()?, &dns_name(&domain))
                .await?;
            if state.last_success_at.is_none() {
                eprintln!("never synced; `crossrealm sync once` does it");
            }
            context.output.record(&state, STATUS)
        }
    }
}

/// One run: what it did, and what was left out.
async fn once(
    domain: &DomainArgs,
    safety: SafetyArgs,
    credentials: &DomainCredentials,
    context: &Context,
) -> Result<(Report, String), Failure> {
    let comparison = compared(domain, credentials, context).await?;
    safety.check(&comparison.plan)?;
    let progress = Progress::new();
    let client = context.client()?;
    let result = apply(&client, context.tenant()?, &comparison, |text| {
        progress.show(text)
    })
    .await;
    drop(progress);
    let result = result?;
    for refused in &result.refused {
        eprintln!(
            "warning: `{}` was refused: {} ({})",
            printable(&refused.account_name),
            printable(&refused.message),
            refused.code
        );
    }
    let left_out = left_out(&comparison.plan.skipped);
    Ok((report(&comparison, result), left_out))
}

async fn compared(
    domain: &DomainArgs,
    credentials: &DomainCredentials,
    context: &Context,
) -> Result<Comparison, Failure> {
    let progress = Progress::new();
    let client = context.client()?;
    let choice = Choice::named_or(domain.dc.as_deref(), Choice::Any);
    compare(
        &client,
        context.tenant()?,
        &dns_name(domain),
        &choice,
        credentials,
        |text| {
            progress.show(text);
        },
    )
    .await
}

/// Runs again and again. A run that fails is told and tried again: a domain controller or the cloud may be away for a
/// while, and the last state stays in force meanwhile.
async fn keep_running(
    domain: &DomainArgs,
    safety: SafetyArgs,
    interval: Duration,
    mut rotator: Option<Rotator>,
    context: &Context,
) -> Result<(), Failure> {
    let credentials = domain.credentials()?;
    let cannot = |error| Failure::new(format!("cannot wait for signals: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let mut told = String::new();
    loop {
        let work = async {
            match once(domain, safety, &credentials, context).await {
                Ok((report, left_out)) => {
                    // What is left out rarely changes: said again only when it does.
                    if left_out != told {
                        eprint!("{left_out}");
                        told = left_out;
                    }
                    tracing::info!(
                        domain = report.domain,
                        controller = report.controller,
                        created = report.created,
                        updated = report.updated,
                        deleted = report.deleted,
                        memberships_added = report.memberships_added,
                        memberships_removed = report.memberships_removed,
                        refused = report.refused.len(),
                        "synced"
                    );
                }
                Err(failure) => tracing::error!("{failure}"),
            }
            if let Some(rotator) = &mut rotator {
                rotator.run_if_due(domain, &credentials, context).await;
            }
            tokio::time::sleep(interval).await;
        };
        // A run that is cut off here is finished by the next one.
        tokio::select! {
            () = work => {}
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        }
    }
}

/// The domain's name as the tenant keeps it.
fn dns_name(domain: &DomainArgs) -> String {
    domain.domain.trim_end_matches('.').to_lowercase()
}

fn report(comparison: &Comparison, result: ApplyIdentitiesResult) -> Report {
    let objects = &comparison.observed.objects;
    let users = objects
        .values()
        .filter(|object| object.account.kind == Kind::User)
        .count();
    Report {
        domain: comparison.observed.domain.dns_name.clone(),
        controller: comparison.controller.clone(),
        users,
        groups: objects.len() - users,
        created: result.created,
        updated: result.updated,
        deleted: result.deleted,
        unchanged: comparison.plan.unchanged,
        memberships_added: result.memberships_added,
        memberships_removed: result.memberships_removed,
        skipped: comparison.plan.skipped.len(),
        refused: result.refused,
    }
}

fn planned(comparison: &Comparison) -> Vec<Planned> {
    let plan: &SyncPlan = &comparison.plan;
    let kind = |kind| match kind {
        Kind::User => "user",
        Kind::Group => "group",
    };
    let name_of = |guid: &String| {
        let object = comparison.observed.objects.get(guid);
        object.map_or_else(
            || guid.clone(),
            |object| object.account.account_name.clone(),
        )
    };
    let creates = plan.creates.iter().map(|account| Planned {
        action: "create",
        kind: kind(account.kind),
        name: account.account_name.clone(),
        detail: account.sid.to_string(),
    });
    let updates = plan.updates.iter().map(|update| Planned {
        action: "update",
        kind: kind(update.after.kind),
        name: update.after.account_name.clone(),
        detail: update.changed().join(", "),
    });
    let memberships = plan.memberships.iter().map(|membership| {
        let signed = |sign: char, guids: &[String]| -> Vec<String> {
            guids
                .iter()
                .map(|guid| format!("{sign}{}", name_of(guid)))
                .collect()
        };
        let all = [
            signed('+', &membership.add),
            signed('-', &membership.remove),
        ]
        .concat();
        Planned {
            action: "members",
            kind: "group",
            name: membership.name.clone(),
            detail: all.join(" "),
        }
    });
    let deletes = plan.deletes.iter().map(|account| Planned {
        action: "delete",
        kind: kind(account.kind),
        name: account.account_name.clone(),
        detail: account.sid.to_string(),
    });
    let mut all: Vec<_> = creates
        .chain(updates)
        .chain(memberships)
        .chain(deletes)
        .collect();
    let order = |planned: &Planned| {
        ["create", "update", "members", "delete"]
            .iter()
            .position(|action| *action == planned.action)
    };
    all.sort_by(|a, b| (order(a), b.kind, &a.name).cmp(&(order(b), a.kind, &b.name)));
    all
}

/// What was left out, by reason, one line for each; for stderr.
fn left_out(skipped: &[Skipped]) -> String {
    let mut by_reason: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for one in skipped {
        by_reason.entry(one.reason).or_default().push(&one.name);
    }
    let line = |(reason, mut names): (SkipReason, Vec<&str>)| {
        names.sort_unstable();
        let shown: Vec<_> = names
            .iter()
            .take(NAMES_SHOWN)
            .map(|name| printable(name))
            .collect();
        let more = match names.len().saturating_sub(NAMES_SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("left out, {reason}: {}{more}\n", shown.join(", "))
    };
    by_reason.into_iter().map(line).collect()
}

/// A line on the terminal that says what is going on; nothing where there is no terminal.
struct Progress {
    terminal: bool,
}

impl Progress {
    fn new() -> Self {
        Self {
            terminal: std::io::stderr().is_terminal(),
        }
    }

    fn show(&self, text: &str) {
        if self.terminal {
            eprint!("\r\u{1b}[K{text} …");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.terminal {
            eprint!("\r\u{1b}[K");
        }
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
    fn what_is_left_out_is_told_by_reason() {
        let one = |name: String, reason| Skipped {
            guid: None,
            name,
            reason,
        };
        let mut all = vec![one("krbtgt".into(), SkipReason::ReservedRid)];
        all.extend((0..12).map(|n| one(format!("g{n:02}"), SkipReason::ForeignSid)));
        assert_eq!(
            left_out(&all),
            "left out, a built-in account (RID below 1000): krbtgt\n\
             left out, built-in or of another domain (by its SID): g00, g01, g02, g03, g04, g05, g06, g07, g08, g09 and 2 more\n"
        );
        assert_eq!(left_out(&[]), "");
    }

    #[test]
    fn a_run_that_takes_too_much_away_is_refused() {
        let account = crossrealm_onprem::sync::Account {
            guid: String::new(),
            kind: Kind::User,
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
        let check = |accept_deletions| SafetyArgs { accept_deletions }.check(&plan);
        let refused = check(0).unwrap_err().to_string();
        assert!(
            refused.contains("31 of 300 identities, more than the 30"),
            "{refused}"
        );
        assert!(refused.contains("--accept-deletions 31"), "{refused}");
        assert_eq!(check(31), Ok(()));
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
