//! `crossrealm doctor`: finds out why a share does not open. The diagnosis is `crossrealm-doctor`'s; here are its options, the
//! text or JSON that is printed, and the exit code.

use crate::activity;
use crate::commands::share::ShareName;
use crate::context::Context;
use crate::domain_credentials::credentials;
use crate::failure::Failure;
use crate::hints;
use crate::hints::caller;
use crate::output::{Format, json_text};
use crate::terminal::{Style, StyledText, write_stdout, write_styled};
use crossrealm_doctor::Place;
use crossrealm_doctor::diagnose::{self, Mode, Report};
use crossrealm_doctor::engine::{CheckResult, Verdict};
use crossrealm_doctor::options::{Options, Share};
use crossrealm_onprem::credentials::DomainCredentials;
use std::path::PathBuf;

/// The arguments of `crossrealm doctor`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// User to check, by UPN [default: that of the current Kerberos tickets]
    #[arg(long, value_name = "UPN")]
    pub user: Option<String>,
    /// Share that should open
    #[arg(long, value_name = "ACCOUNT/SHARE")]
    pub share: Option<ShareName>,
    /// Host name that the share is opened by, if it is an alias [default: the account's own]
    #[arg(long, value_name = "HOST", requires = "share")]
    pub host: Option<String>,
    /// Show the checks that passed or were not made too
    #[arg(long)]
    pub all: bool,
    /// Keytab that should decrypt the ticket
    #[arg(long, value_name = "FILE")]
    pub keytab: Option<PathBuf>,
    /// DNS name of the AD domain [default: that of the tickets, or of krb5.conf]
    #[arg(long, value_name = "DOMAIN", help_heading = "Domain options")]
    pub domain: Option<String>,
    /// Host name of the domain controller [default: that of krb5.conf, or found by DNS]
    #[arg(long, value_name = "HOST", help_heading = "Domain options")]
    pub dc: Option<String>,
    /// Account that reads AD, e.g. `reader@corp.contoso.com` [default: that of the current Kerberos tickets]
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
    fn options(self, context: &Context) -> Options {
        let credentials = self
            .credentials()
            .map_err(|failure| failure.to_string())
            .transpose();
        Options {
            user: self.user,
            share: self.share.map(|name| Share {
                account: name.account,
                name: name.share,
            }),
            host: self.host,
            keytab: self.keytab,
            domain: self.domain,
            dc: self.dc,
            credentials,
            server: context.server().ok().map(str::to_owned),
            tenant: context.tenant().ok().map(str::to_owned),
            ca: context.ca_path().ok().flatten().map(ToOwned::to_owned),
            token: context.token().ok(),
        }
    }

    /// The credentials to read AD with, where any were given.
    fn credentials(&self) -> Result<Option<DomainCredentials>, Failure> {
        if self.domain_user.is_none() && self.domain_keytab.is_none() {
            return Ok(None);
        }
        let given = credentials(
            self.domain_user.as_deref(),
            self.domain_password_file.as_deref(),
            self.domain_keytab.as_deref(),
        );
        given.map(Some)
    }
}

/// Runs `crossrealm doctor`.
pub(crate) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let all = args.all;
    let mut report = diagnose::run(args.options(context), |check| {
        activity::doing(&format!("checking whether {}", check.title));
    })
    .await;
    for result in report.checks.iter_mut().chain(&mut report.cause) {
        let refusal = result.refusal.as_ref();
        let hint = refusal.and_then(|one| hints::api::of_refusal(one, caller::current()));
        result.next = hint.or(result.next.take());
    }
    match context.output {
        Format::Json => {
            let value = serde_json::to_value(&report).map_err(|error| {
                Failure::new(format!("cannot turn the findings into JSON: {error}"))
            })?;
            write_stdout(&json_text(&value))?;
        }
        Format::Table => write_styled(&text(&report, all))?,
    }
    match report.cause {
        None => Ok(()),
        Some(_) => Err(Failure::already_shown()),
    }
}

/// The verdict in one line; then what failed, or before the set-up what it needs; then what passed, with `all`.
fn text(report: &Report, all: bool) -> StyledText {
    let mut out = StyledText::default();
    verdict(&mut out, report);
    match report.mode {
        Mode::Prerequisites => prerequisites(&mut out, &report.checks),
        Mode::TicketPath => {
            findings(&mut out, &report.checks, Verdict::Failed);
            findings(&mut out, &report.checks, Verdict::Noted);
        }
    }
    out.end_line("");
    if all {
        for result in &report.checks {
            line(&mut out, result);
        }
        out.end_line("");
    }
    out.end_line(&summary(report, all));
    out
}

fn verdict(out: &mut StyledText, report: &Report) {
    match (&report.cause, report.mode) {
        (Some(_), Mode::Prerequisites) => {
            out.add(Style::Notable, "NOT SET UP");
            out.end_line(": the trust needs what is missing below");
        }
        (None, Mode::Prerequisites) => {
            out.add(Style::Good, "READY");
            out.end_line(
                ": the trust can be set up: `crossrealm kerberos-server set --setup-cloud-trust`",
            );
        }
        (Some(cause), Mode::TicketPath) => {
            out.add(Style::Bad, "FAILED");
            out.end_line(&format!(": {} (`{}`)", cause.seen, cause.id));
        }
        (None, Mode::TicketPath) => {
            out.add(Style::Good, "OK");
            out.end_line(&format!(": {}", what_works(report)));
        }
    }
}

/// What is right where nothing failed.
fn what_works(report: &Report) -> String {
    let opens = |result: &CheckResult| result.id == "file-acl" && result.verdict == Verdict::Passed;
    match (&report.share, &report.user) {
        (Some(share), Some(user)) if report.checks.iter().any(opens) => {
            format!("`{share}` opens for `{user}`")
        }
        _ => "nothing is wrong with what was checked".to_owned(),
    }
}

/// The checks with a verdict that is to be read, each with what to do.
fn findings(out: &mut StyledText, checks: &[CheckResult], verdict: Verdict) {
    for result in checks.iter().filter(|result| result.verdict == verdict) {
        out.end_line("");
        line(out, result);
        if verdict == Verdict::Failed {
            detail(out, "why", result.why);
        }
        detail(out, "next", result.next.as_deref().unwrap_or_default());
    }
}

fn line(out: &mut StyledText, result: &CheckResult) {
    let (style, word) = word(result.verdict);
    out.add(style, &format!("{word:8}"));
    out.end_line(&format!(
        " {:17} {}: {}",
        result.id, result.title, result.seen
    ));
}

fn detail(out: &mut StyledText, name: &str, text: &str) {
    out.add(Style::Faint, &format!("         {:17} {name:5}", ""));
    out.end_line(text);
}

/// The table of what the trust needs.
fn prerequisites(out: &mut StyledText, checks: &[CheckResult]) {
    let mut named = Vec::new();
    out.end_line("");
    for result in checks {
        let Some(row) = result.prerequisite else {
            continue;
        };
        let (style, word) = match result.verdict {
            Verdict::Passed | Verdict::Noted => (Style::Good, "there"),
            Verdict::Failed => (Style::Bad, "missing"),
            Verdict::Skipped => (Style::Faint, "unknown"),
        };
        out.add(style, &format!("{word:8}"));
        out.end_line(&format!(" {row}"));
        detail_of_row(out, &known_of_row(result, checks, &mut named));
    }
    out.end_line("");
    out.end_line("The set-up itself takes an administrator of the root domain of the AD forest, and the token of a global administrator of the service.");
}

fn detail_of_row(out: &mut StyledText, text: &str) {
    out.add(Style::Faint, "         ");
    out.end_line(text);
}

/// What was seen and what to do; where another check had to come first, those of that one, its next step once in the table.
fn known_of_row<'r>(
    result: &'r CheckResult,
    checks: &'r [CheckResult],
    named: &mut Vec<&'r str>,
) -> String {
    let first = result
        .because
        .and_then(|id| checks.iter().find(|other| other.id == id));
    let shown = first.unwrap_or(result);
    match &shown.next {
        Some(next) if !named.contains(&shown.id) => {
            named.push(shown.id);
            format!("{}: {next}", shown.seen)
        }
        _ => shown.seen.clone(),
    }
}

/// Where it was checked, and how much.
fn summary(report: &Report, all: bool) -> String {
    let places: Vec<&str> = report
        .places
        .iter()
        .map(|place| place_name(*place))
        .collect();
    let place = match places.is_empty() {
        true => "a computer without Kerberos settings".to_owned(),
        false => places.join(" and "),
    };
    let count = |verdict| {
        let checks = report.checks.iter();
        checks.filter(|result| result.verdict == verdict).count()
    };
    let (passed, skipped) = (
        count(Verdict::Passed) + count(Verdict::Noted),
        count(Verdict::Skipped),
    );
    let failed = count(Verdict::Failed);
    let more = match all {
        true => "",
        false => "; `--all` lists them",
    };
    format!("Checked on {place}: {passed} passed, {failed} failed, {skipped} not made{more}")
}

fn place_name(place: Place) -> &'static str {
    match place {
        Place::Cloud => "the computer of the service",
        Place::SmbHost => "the SMB host",
        Place::Workstation => "a workstation",
        Place::AdministrationHost => "an administration host",
    }
}

fn word(verdict: Verdict) -> (Style, &'static str) {
    match verdict {
        Verdict::Passed => (Style::Good, "passed"),
        Verdict::Noted => (Style::Notable, "note"),
        Verdict::Failed => (Style::Bad, "FAILED"),
        Verdict::Skipped => (Style::Faint, "skipped"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossrealm_doctor::checks::CHECKS;
    use crossrealm_doctor::engine::{Check, Examination};
    use crossrealm_doctor::finding::{failed, noted, passed, skipped};

    fn check(id: &str) -> &'static Check {
        CHECKS.iter().find(|check| check.id == id).unwrap()
    }

    fn report(mode: Mode, exam: Examination) -> Report {
        Report {
            user: Some("alice@corp.contoso.com".to_owned()),
            share: Some("acct1/projects".to_owned()),
            ..Report::new(vec![Place::Workstation], mode, exam)
        }
    }

    /// F13: the verdict comes first, then what failed with its next step; what passed only if it is asked for.
    #[test]
    fn f13_the_verdict_and_the_failures_come_first() {
        let mut exam = Examination::default();
        exam.record(check("settings"), passed("seen\u{1b}[2J"));
        exam.record(check("stray-proxy"), noted("a proxy", "unset it"));
        exam.record(check("tls-login"), failed("another\nname"));
        exam.record(check("dns-dc"), skipped("no network"));
        let report = report(Mode::TicketPath, exam);
        let short = text(&report, false).render(false);
        let lines: Vec<&str> = short.lines().collect();
        assert_eq!(lines[0], "FAILED: another\u{fffd}name (`tls-login`)");
        assert!(lines[2].starts_with("FAILED   tls-login") && !short.contains('\u{1b}'));
        for part in [
            "why  clients send",
            "next renew the",
            "note     stray-proxy",
            "next unset it",
        ] {
            assert!(short.contains(part), "{part}\n{short}");
        }
        assert!(
            !short.contains("settings ") && !short.contains("dns-dc"),
            "{short}"
        );
        let end = "Checked on a workstation: 2 passed, 1 failed, 1 not made; `--all` lists them";
        assert_eq!(lines.last(), Some(&end));
        let all = text(&report, true).render(false);
        assert!(
            all.contains("passed   settings") && all.contains("skipped  dns-dc"),
            "{all}"
        );
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["cause"]["id"], "tls-login");
        assert_eq!(json["checks"][3]["verdict"], "skipped");
    }

    #[test]
    fn a_share_that_opens_is_the_verdict() {
        let mut exam = Examination::default();
        exam.record(check("file-acl"), passed("it opens"));
        let short = text(&report(Mode::TicketPath, exam), false).render(false);
        assert!(
            short.starts_with("OK: `acct1/projects` opens for `alice@corp.contoso.com`\n"),
            "{short}"
        );
        let nothing = text(&report(Mode::TicketPath, Examination::default()), false).render(false);
        assert!(
            nothing.starts_with("OK: nothing is wrong with what was checked\n"),
            "{nothing}"
        );
    }

    /// F13: before the set-up there is a table of what it needs, with what makes each row known.
    #[test]
    fn f13_before_the_set_up_the_prerequisites_are_shown() {
        let mut exam = Examination::default();
        exam.record(check("settings"), failed("no service"));
        let tenant = check("tenant");
        exam.record_blocked(tenant, "settings");
        exam.record(check("client-system"), passed("Linux"));
        let short = text(&report(Mode::Prerequisites, exam), false).render(false);
        assert!(short.starts_with("NOT SET UP: "), "{short}");
        for part in [
            "unknown  A tenant in the service\n         no service: give `--server",
            "there    Clients that can use a KDC proxy",
        ] {
            assert!(short.contains(part), "{part}\n{short}");
        }
    }
}
