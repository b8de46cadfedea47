//! `crossrealm doctor`: walks the ticket's way hop by hop and says where it ends, why, and what to do.
//!
//! A small pure engine ([`engine`]) goes through the list of checks ([`list`]) in order; the probes ([`probes`]) look, and
//! gather what they learn in the [`patient`]. Nothing is changed anywhere, and every look is bounded in time.

mod engine;
mod https;
mod krb5_conf;
mod list;
mod patient;
mod probes;

use crate::commands::share::ShareName;
use crate::context::Context;
use crate::domain_credentials::DomainArgs;
use crate::failure::Failure;
use crate::output::{Format, printable, write_stdout};
use crossrealm_api::Code;
use crossrealm_onprem::credentials::DomainCredentials;
use engine::{Check, Examination, Outcome, Verdict, failed};
use list::CHECKS;
use patient::{Patient, Place};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

/// How long one look may take. Each has shorter limits of its own; this one is for what nobody thought of.
const LIMIT: Duration = Duration::from_secs(30);

/// The arguments of `crossrealm doctor`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The user it is about, by UPN [default: whose Kerberos tickets are there]
    #[arg(long, value_name = "UPN")]
    pub user: Option<String>,
    /// The share that should open
    #[arg(long, value_name = "ACCOUNT/SHARE")]
    pub share: Option<ShareName>,
    /// The host name that the share is opened by, where it is an alias [default: the account's own]
    #[arg(long, value_name = "HOST", requires = "share")]
    pub host: Option<String>,
    /// A keytab that should open the ticket
    #[arg(long, value_name = "FILE")]
    pub keytab: Option<PathBuf>,
    /// DNS name of the AD domain [default: that of the tickets, or of krb5.conf]
    #[arg(long, value_name = "DOMAIN", help_heading = "Domain options")]
    pub domain: Option<String>,
    /// Host name of the domain controller [default: that of krb5.conf, or found by DNS]
    #[arg(long, value_name = "HOST", help_heading = "Domain options")]
    pub dc: Option<String>,
    /// Who reads AD, e.g. `reader@corp.contoso.com` [default: whose Kerberos tickets are there]
    #[arg(
        long,
        value_name = "USER",
        requires = "domain",
        help_heading = "Domain options"
    )]
    pub domain_user: Option<String>,
    /// File with the password of `--domain-user`
    #[arg(
        long,
        value_name = "FILE",
        requires = "domain_user",
        conflicts_with = "domain_keytab",
        help_heading = "Domain options"
    )]
    pub domain_password_file: Option<PathBuf>,
    /// Keytab to read AD with instead of a password
    #[arg(
        long,
        value_name = "FILE",
        requires = "domain",
        help_heading = "Domain options"
    )]
    pub domain_keytab: Option<PathBuf>,
}

impl Args {
    /// Who reads AD, where somebody was named.
    fn credentials(&self) -> Result<Option<DomainCredentials>, Failure> {
        if self.domain_user.is_none() && self.domain_keytab.is_none() {
            return Ok(None);
        }
        let domain = DomainArgs {
            domain: self.domain.clone().unwrap_or_default(),
            dc: self.dc.clone(),
            domain_user: self.domain_user.clone(),
            domain_password_file: self.domain_password_file.clone(),
            domain_keytab: self.domain_keytab.clone(),
        };
        domain.credentials().map(Some)
    }
}

/// What is examined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    /// The ticket's way.
    Walk,
    /// Before set-up: what the trust needs.
    Prerequisites,
}

/// What is printed.
#[derive(Serialize)]
struct Report<'a> {
    places: &'a [Place],
    mode: Mode,
    cause: Option<&'a Outcome>,
    checks: &'a [Outcome],
}

/// Runs `crossrealm doctor`.
pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let mut patient = Patient::new(&args, context);
    patient.find_places().await;
    let mode = mode(&patient).await;
    let mut exam = Examination::default();
    let wanted = |check: &&Check| mode == Mode::Walk || is_prerequisite(check);
    for check in CHECKS.iter().filter(wanted) {
        if let Some(because) = exam.blocked_by(check) {
            exam.record_blocked(check, because);
            continue;
        }
        let finding = tokio::time::timeout(LIMIT, probes::run(check.id, &mut patient)).await;
        let finding =
            finding.unwrap_or_else(|_| failed(format!("no answer within {} s", LIMIT.as_secs())));
        exam.record(check, finding);
        exam.fill_in(&patient.blanks());
    }
    let report = Report {
        places: &patient.places,
        mode,
        cause: exam.cause(),
        checks: exam.outcomes(),
    };
    print(&report, context)?;
    match exam.cause() {
        None => Ok(()),
        Some(cause) => {
            let next = cause.next.clone().unwrap_or_default();
            Err(
                Failure::new(printable(&format!("{}: {}", cause.id, cause.seen)))
                    .hint(printable(&next)),
            )
        }
    }
}

/// Whether there is a trust with the domain that was named. Without one, the question is what a set-up needs.
async fn mode(patient: &Patient<'_>) -> Mode {
    let (Some(domain), None) = (&patient.args.domain, &patient.args.share) else {
        return Mode::Walk;
    };
    let (Some(Ok(client)), Some(tenant)) = (patient.api(), patient.tenant_name()) else {
        return Mode::Walk;
    };
    match tokio::time::timeout(LIMIT, client.trust(&tenant, domain)).await {
        Ok(Err(error)) if error.code() == Some(Code::TrustNotFound) => Mode::Prerequisites,
        _ => Mode::Walk,
    }
}

/// Whether a check is a row of the table of prerequisites, or a way to one.
fn is_prerequisite(check: &Check) -> bool {
    let roads = [
        "settings",
        "stray-proxy",
        "dns-login",
        "port-login",
        "tls-login",
        "clock-cloud",
        "api-token",
        "dns-dc",
        "port-dc-88",
        "port-dc-389",
        "port-dc-445",
        "clock-dc",
    ];
    check.prerequisite.is_some() || roads.contains(&check.id)
}

fn print(report: &Report<'_>, context: &Context) -> Result<(), Failure> {
    if context.output == Format::Json {
        let value = serde_json::to_value(report).map_err(|error| {
            Failure::new(format!("cannot turn the findings into JSON: {error}"))
        })?;
        return write_stdout(&format!("{value:#}\n"));
    }
    write_stdout(&text(report))
}

fn text(report: &Report<'_>) -> String {
    let places: Vec<&str> = report
        .places
        .iter()
        .map(|place| match place {
            Place::Cloud => "the cloud's machine",
            Place::FileHost => "the file host",
            Place::Workstation => "a workstation",
            Place::AdministrationHost => "an administration host",
        })
        .collect();
    let place = if places.is_empty() {
        "a computer without Kerberos settings".to_owned()
    } else {
        places.join(" and ")
    };
    let mut out = format!("This is {place}.\n");
    if report.mode == Mode::Prerequisites {
        out += "The trust is not set up yet. What it needs:\n\n";
        for outcome in report.checks {
            if let Some(row) = outcome.prerequisite {
                out += &printable(&format!(
                    "{:8} {row}: {}",
                    word(outcome.verdict),
                    outcome.seen
                ));
                out.push('\n');
            }
        }
        out += "\nHow it was found:\n";
    }
    out.push('\n');
    for outcome in report.checks {
        out += &printable(&format!(
            "{:8} {:17} {}: {}",
            word(outcome.verdict),
            outcome.id,
            outcome.title,
            outcome.seen
        ));
        out.push('\n');
        if outcome.verdict == Verdict::Failed {
            out += &format!("         {:17} why:  {}\n", "", outcome.why);
            let next = outcome.next.as_deref().unwrap_or_default();
            out += &printable(&format!("         {:17} next: {next}", ""));
            out.push('\n');
            let page = outcome.page.as_deref().unwrap_or_default();
            out += &format!("         {:17} page: {page}\n", "");
        }
    }
    out
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Failed => "FAILED",
        Verdict::Skipped => "skipped",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{passed, skipped};

    #[test]
    fn the_text_tells_what_why_and_what_next() {
        let mut exam = Examination::default();
        exam.record(&CHECKS[0], passed("seen\u{1b}[2J"));
        exam.record(&CHECKS[1], failed("a proxy"));
        exam.record(&CHECKS[2], skipped("no network"));
        let report = Report {
            places: &[Place::Workstation],
            mode: Mode::Walk,
            cause: exam.cause(),
            checks: exam.outcomes(),
        };
        let text = text(&report);
        assert!(text.starts_with("This is a workstation.\n") && !text.contains('\u{1b}'));
        for part in [
            "FAILED   stray-proxy",
            "why:  a web proxy",
            "next: unset",
            "page: docs/reference/doctor-checks.md#stray-proxy",
            "skipped  dns-login",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["cause"]["id"], "stray-proxy");
        assert_eq!(json["checks"][2]["verdict"], "skipped");
    }

    #[test]
    fn every_row_of_the_prerequisites_can_be_reached() {
        for check in CHECKS.iter().filter(|check| is_prerequisite(check)) {
            for need in check.needs {
                let needed = CHECKS.iter().find(|other| other.id == *need).unwrap();
                assert!(is_prerequisite(needed), "`{}` needs `{need}`", check.id);
            }
        }
    }
}
