//! `crossrealm doctor`: finds out why a share does not open. The diagnosis is `crossrealm-doctor`'s; here are its options, the
//! table or JSON that is printed, and the exit code.

use crate::commands::share::ShareName;
use crate::context::Context;
use crate::domain_credentials::credentials;
use crate::failure::Failure;
use crate::hints;
use crate::output::{Format, json_text};
use crate::sanitize::one_line;
use crate::terminal::write_stdout;
use crossrealm_doctor::Place;
use crossrealm_doctor::diagnose::{self, Mode, Report};
use crossrealm_doctor::engine::Verdict;
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
    let mut report = diagnose::run(args.options(context)).await;
    for result in report.checks.iter_mut().chain(&mut report.cause) {
        let hint = result.refusal.as_ref().and_then(hints::api::of_refusal);
        result.next = hint.or(result.next.take());
    }
    print(&report, context)?;
    match report.cause {
        None => Ok(()),
        Some(cause) => {
            let next = cause.next.unwrap_or_default();
            Err(
                Failure::new(one_line(&format!("{}: {}", cause.id, cause.seen)))
                    .hint(one_line(&next)),
            )
        }
    }
}

fn print(report: &Report, context: &Context) -> Result<(), Failure> {
    if context.output == Format::Json {
        let value = serde_json::to_value(report).map_err(|error| {
            Failure::new(format!("cannot turn the findings into JSON: {error}"))
        })?;
        return write_stdout(&json_text(&value));
    }
    write_stdout(&text(report))
}

fn text(report: &Report) -> String {
    let places: Vec<&str> = report
        .places
        .iter()
        .map(|place| match place {
            Place::Cloud => "the cloud's computer",
            Place::SmbHost => "the SMB host",
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
        for result in &report.checks {
            if let Some(row) = result.prerequisite {
                out += &one_line(&format!(
                    "{:8} {row}: {}",
                    word(result.verdict),
                    result.seen
                ));
                out.push('\n');
            }
        }
        out += "\nAll checks:\n";
    }
    out.push('\n');
    for result in &report.checks {
        out += &one_line(&format!(
            "{:8} {:17} {}: {}",
            word(result.verdict),
            result.id,
            result.title,
            result.seen
        ));
        out.push('\n');
        if result.verdict == Verdict::Failed {
            out += &format!("         {:17} why:  {}\n", "", result.why);
            let next = result.next.as_deref().unwrap_or_default();
            out += &one_line(&format!("         {:17} next: {next}", ""));
            out.push('\n');
            let page = result.page.as_deref().unwrap_or_default();
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
    use crossrealm_doctor::checks::CHECKS;
    use crossrealm_doctor::engine::Examination;
    use crossrealm_doctor::finding::{failed, passed, skipped};

    #[test]
    fn the_text_says_what_failed_why_and_what_next() {
        let mut exam = Examination::default();
        exam.record(&CHECKS[0], passed("seen\u{1b}[2J"));
        exam.record(&CHECKS[1], failed("a proxy"));
        exam.record(&CHECKS[2], skipped("no network"));
        let report = Report::new(vec![Place::Workstation], Mode::TicketPath, exam);
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
}
