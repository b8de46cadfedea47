//! The diagnosis from beginning to end, and its report.

use crate::checks::CHECKS;
use crate::engine::{Check, CheckResult, Examination};
use crate::environment::Place;
use crate::facts::Facts;
use crate::finding::failed;
use crate::options::Options;
use crate::probes;
use crossrealm_api::Code;
use serde::Serialize;
use std::time::Duration;

/// How long one probe may take. Each has shorter limits of its own; this one catches what those miss.
const PROBE_LIMIT: Duration = Duration::from_secs(30);

/// Which checks are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Mode {
    /// Every check, along the path of a ticket.
    #[serde(rename = "walk")]
    TicketPath,
    /// Before the trust is set up: its prerequisites.
    #[serde(rename = "prerequisites")]
    Prerequisites,
}

/// What the diagnosis found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The parts that this computer plays.
    pub places: Vec<Place>,
    /// Which checks were made.
    pub mode: Mode,
    /// The user who was checked, where one is known.
    pub user: Option<String>,
    /// The share that was checked, where one was given.
    pub share: Option<String>,
    /// The first failed check: the cause of what follows.
    pub cause: Option<CheckResult>,
    /// Every check, in order.
    pub checks: Vec<CheckResult>,
}

impl Report {
    /// The report of an examination.
    pub fn new(places: Vec<Place>, mode: Mode, examination: Examination) -> Self {
        Self {
            places,
            mode,
            user: None,
            share: None,
            cause: examination.cause().cloned(),
            checks: examination.into_results(),
        }
    }
}

/// Makes every check that the mode asks for, in order. `begins` is called before each.
pub async fn run(options: Options, mut begins: impl FnMut(&Check)) -> Report {
    let mut facts = Facts::new(options);
    facts.detect_places().await;
    let mode = mode(&facts).await;
    let mut examination = Examination::default();
    let wanted = |check: &&Check| mode == Mode::TicketPath || is_prerequisite(check);
    for check in CHECKS.iter().filter(wanted) {
        if let Some(because) = examination.blocked_by(check) {
            examination.record_blocked(check, because);
            continue;
        }
        begins(check);
        let finding = tokio::time::timeout(PROBE_LIMIT, probes::run(check.id, &mut facts)).await;
        let finding = finding
            .unwrap_or_else(|_| failed(format!("no answer within {} s", PROBE_LIMIT.as_secs())));
        examination.record(check, finding);
        examination.fill_placeholders(&facts.placeholders());
    }
    let user = facts.user_name();
    let share = facts.options.share.as_ref();
    let share = share.map(|share| format!("{}/{}", share.account, share.name));
    Report {
        user,
        share,
        ..Report::new(facts.places, mode, examination)
    }
}

/// The prerequisites, where nothing is configured yet, or a domain was named that the tenant has no trust with; otherwise every
/// check.
async fn mode(facts: &Facts) -> Mode {
    if facts.is_unconfigured() {
        return Mode::Prerequisites;
    }
    let (Some(domain), None) = (&facts.options.domain, &facts.options.share) else {
        return Mode::TicketPath;
    };
    let (Some(Ok(client)), Some(tenant)) = (facts.api_client(), facts.tenant_name()) else {
        return Mode::TicketPath;
    };
    match tokio::time::timeout(PROBE_LIMIT, client.trust(&tenant, domain)).await {
        Ok(Err(error)) if error.code() == Some(Code::TrustNotFound) => Mode::Prerequisites,
        _ => Mode::TicketPath,
    }
}

/// Whether a check is a row of the table of prerequisites, or one that such a row needs.
fn is_prerequisite(check: &Check) -> bool {
    let needed = [
        "krb5-files",
        "settings",
        "dns-login",
        "port-login",
        "clock-cloud",
        "service-health",
        "api-token",
        "dns-dc",
        "port-dc-88",
        "port-dc-389",
        "port-dc-445",
        "clock-dc",
    ];
    check.prerequisite.is_some() || needed.contains(&check.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_prerequisite_needs_is_checked_with_it() {
        for check in CHECKS.iter().filter(|check| is_prerequisite(check)) {
            for need in check.needs {
                let needed = CHECKS.iter().find(|other| other.id == *need).unwrap();
                assert!(is_prerequisite(needed), "`{}` needs `{need}`", check.id);
            }
        }
    }
}
