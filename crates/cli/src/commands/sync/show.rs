//! What `crossrealm sync` says: plans, what is left out, progress.

use crate::output::{Column, column, printable};
use crate::sync_agent::Comparison;
use crossrealm_onprem::sync::{Kind, SkipReason, Skipped, SyncPlan};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// How many names of skipped objects are told for each reason.
const NAMES_SHOWN: usize = 10;
/// How often a long run says where it is, where there is no terminal.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// One line of a plan.
#[derive(Serialize)]
pub struct Planned {
    action: &'static str,
    kind: &'static str,
    name: String,
    detail: String,
}

pub const PLANNED: &[Column] = &[
    column("Action", "/action"),
    column("Kind", "/kind"),
    column("Name", "/name"),
    column("Detail", "/detail"),
];

/// The lines of a plan.
pub fn planned(comparison: &Comparison) -> Vec<Planned> {
    let plan: &SyncPlan = &comparison.plan;
    let kind = |kind| match kind {
        Kind::User => "user",
        Kind::Group => "group",
    };
    let names: BTreeMap<&str, &str> = comparison
        .observed
        .present()
        .map(|object| {
            (
                object.account.guid.as_str(),
                object.account.account_name.as_str(),
            )
        })
        .collect();
    let name_of = |guid: &String| (*names.get(guid.as_str()).unwrap_or(&guid.as_str())).to_owned();
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
pub fn left_out(skipped: &[Skipped]) -> String {
    let mut by_reason: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for one in skipped.iter().filter(|one| one.reason.is_told()) {
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

/// Says what is going on: on a terminal in one line that is written anew, elsewhere now and then.
pub struct Progress {
    terminal: bool,
    told: Instant,
}

impl Progress {
    /// Nothing is said yet.
    pub fn new() -> Self {
        Self {
            terminal: std::io::stderr().is_terminal(),
            told: Instant::now(),
        }
    }

    /// Says it.
    pub fn show(&mut self, text: &str) {
        if self.terminal {
            eprint!("\r\u{1b}[K{text} …");
        } else if self.told.elapsed() >= PROGRESS_EVERY {
            eprintln!("{text} …");
            self.told = Instant::now();
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
}
