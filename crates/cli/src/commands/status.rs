//! `crossrealm status`: a tenant on one screen, and what needs a person.

use crate::context::Context;
use crate::failure::Failure;
use crate::hints;
use crate::output::Format;
use crate::sanitize::one_line;
use crate::table;
use crate::terminal::{stdout_width, write_stdout};
use crossrealm_api::{
    AccountStatus, Attention, DomainStatus, HostStatus, Severity, TenantStatus, TrustStatus,
};
use crossrealm_types::{Timestamp, TrustState};
use serde::Serialize;

/// What is printed as JSON: the service's answer, where it came from, and the next step for what needs a person.
#[derive(Serialize)]
struct View<'a> {
    server: &'a str,
    #[serde(flatten)]
    status: &'a TenantStatus,
    attention: Vec<AttentionView<'a>>,
}

#[derive(Serialize)]
struct AttentionView<'a> {
    #[serde(flatten)]
    attention: &'a Attention,
    hint: Option<String>,
}

/// Runs `crossrealm status`.
pub(crate) async fn run(context: &Context) -> Result<(), Failure> {
    let (client, tenant) = (context.client()?, context.tenant()?);
    let status = client.tenant_status(tenant).await?;
    let server = context.server()?;
    match context.output {
        Format::Json => {
            let attention = status.attention.iter().map(|attention| AttentionView {
                attention,
                hint: hints::status::of_attention(attention),
            });
            let view = View {
                server,
                status: &status,
                attention: attention.collect(),
            };
            context.output.record(&view, &[])
        }
        Format::Table => write_stdout(&screen(&status, server, stdout_width())),
    }
}

/// The screen, ends of lines included.
fn screen(status: &TenantStatus, server: &str, width: Option<usize>) -> String {
    let mut lines = vec![
        (
            "Tenant".to_owned(),
            format!(
                "{}, realm {}",
                one_line(&status.tenant),
                one_line(&status.realm)
            ),
        ),
        ("Service".to_owned(), service(status, server)),
    ];
    part(&mut lines, "Trust", "none", trusts(status));
    part(&mut lines, "Sync", "no AD domain", domains(status));
    part(
        &mut lines,
        "SMB hosts",
        "no storage account",
        accounts(status),
    );
    let mut text = table::record(&lines, width);
    text.push('\n');
    text.push_str(&needs(&status.attention, width));
    text
}

/// Adds lines of which the first has the heading.
fn part(lines: &mut Vec<(String, String)>, heading: &str, nothing: &str, values: Vec<String>) {
    let values = match values.is_empty() {
        true => vec![nothing.to_owned()],
        false => values,
    };
    for (index, value) in values.into_iter().enumerate() {
        let heading = if index == 0 { heading } else { "" };
        lines.push((heading.to_owned(), value));
    }
}

fn service(status: &TenantStatus, server: &str) -> String {
    let service = &status.service;
    let authority = match service.private_authority {
        true => " (private authority)",
        false => "",
    };
    let certificate = match service.certificate_ends_at {
        Some(ends) => format!("certificate until {}{authority}", day(ends)),
        None => format!("certificate's end unknown{authority}"),
    };
    format!(
        "{}, version {}, {certificate}",
        one_line(server),
        one_line(&service.version)
    )
}

fn trusts(status: &TenantStatus) -> Vec<String> {
    let line = |trust: &TrustStatus| {
        let mut facts = vec![match trust.state {
            TrustState::Pending => "half set up".to_owned(),
            TrustState::Active => "active".to_owned(),
        }];
        if let (Some(version), Some(since)) = (trust.key_version, trust.key_confirmed_at) {
            facts.push(format!("key {version} since {}", day(since)));
        }
        facts.push(match trust.ticket_arrived_at {
            Some(at) => format!("last ticket {}", ago(at, status.at)),
            None => "no ticket yet".to_owned(),
        });
        format!("{}: {}", one_line(&trust.domain), facts.join(", "))
    };
    status.trusts.iter().map(line).collect()
}

fn domains(status: &TenantStatus) -> Vec<String> {
    let line = |domain: &DomainStatus| {
        let mut facts = vec![match domain.synced_at {
            Some(at) => format!("synchronized {}", ago(at, status.at)),
            None => "never synchronized".to_owned(),
        }];
        facts.push(format!("{} users, {} groups", domain.users, domain.groups));
        if domain.failed > 0 {
            facts.push(format!("{} objects left out", domain.failed));
        }
        facts.push(match &domain.agent {
            Some(agent) => format!("agent `{}` at work", one_line(agent)),
            None => "no agent at work".to_owned(),
        });
        format!("{}: {}", one_line(&domain.domain), facts.join(", "))
    };
    status.domains.iter().map(line).collect()
}

fn accounts(status: &TenantStatus) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for account in &status.storage_accounts {
        if account.hosts.is_empty() {
            lines.push(format!("{}: no host", named(account)));
        }
        let hosts = account.hosts.iter();
        lines.extend(hosts.map(|host| format!("{}: {}", named(account), shown(host, status.at))));
    }
    if status.more_storage_accounts {
        lines.push("there are more; `crossrealm storage-account list` shows all".to_owned());
    }
    lines
}

fn named(account: &AccountStatus) -> String {
    let shares = match account.shares {
        1 => "1 share".to_owned(),
        count => format!("{count} shares"),
    };
    format!("{} ({shares})", one_line(&account.name))
}

fn shown(host: &HostStatus, now: Timestamp) -> String {
    let does = match (host.silent, host.serving) {
        (true, _) => format!("silent, last report {}", ago(host.reported_at, now)),
        (false, true) => format!("serving on {}", one_line(&host.listen)),
        (false, false) => "not serving".to_owned(),
    };
    let mut facts = vec![format!("{} {does}", one_line(&host.name))];
    if !host.silent {
        facts.push(format!("{} sessions", host.sessions));
        facts.extend(match host.up_to_date {
            Some(true) => Some("up to date".to_owned()),
            Some(false) => Some("not up to date".to_owned()),
            None => None,
        });
        if let (Some(free), Some(size)) = (host.disk_free_bytes, host.disk_bytes) {
            facts.push(format!("{} of {} GiB free", free >> 30, size >> 30));
        }
    }
    facts.join(", ")
}

/// What needs a person, each with the next step.
fn needs(attention: &[Attention], width: Option<usize>) -> String {
    if attention.is_empty() {
        return "Nothing needs a person.\n".to_owned();
    }
    let mut text = format!("Needs a person ({}):\n", attention.len());
    for one in attention {
        let severity = match one.severity {
            Severity::Failure => "FAILED",
            Severity::Warning => "warning",
        };
        let object = match one.object.is_empty() {
            true => String::new(),
            false => format!("{}: ", one_line(&one.object)),
        };
        let line = format!("  {severity:<7}  {object}{}", one_line(&one.message));
        text += &table::hanging(&line, 11, width);
        if let Some(hint) = hints::status::of_attention(one) {
            text += &table::hanging(&format!("           next: {hint}"), 17, width);
        }
    }
    text
}

/// The day of a time.
fn day(at: Timestamp) -> String {
    at.to_string().chars().take(10).collect()
}

/// How long ago, in words.
fn ago(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.unix().saturating_sub(at.unix());
    match seconds {
        ..60 => "just now".to_owned(),
        60..7200 => format!("{} minutes ago", seconds / 60),
        7200..172_800 => format!("{} hours ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossrealm_api::{AttentionCode, ServiceStatus};

    fn status() -> TenantStatus {
        let at = |seconds: i64| Timestamp::from_unix(1_700_000_000 + seconds);
        TenantStatus {
            at: at(0),
            tenant: "contoso".into(),
            realm: "KERBEROS.CONTOSO.CLOUD.EXAMPLE".into(),
            service: ServiceStatus {
                version: "0.3.0".into(),
                certificate_ends_at: Some(at(86_400 * 365)),
                private_authority: true,
            },
            trusts: vec![TrustStatus {
                domain: "corp.contoso.com".into(),
                state: TrustState::Active,
                key_version: Some(3),
                key_confirmed_at: Some(at(-86_400 * 40)),
                pending_since: None,
                ticket_arrived_at: Some(at(-300)),
                removal_begun_at: None,
            }],
            domains: vec![DomainStatus {
                domain: "corp.contoso.com".into(),
                synced_at: Some(at(-86_400 * 2)),
                users: 312,
                groups: 40,
                failed: 0,
                exceeding: 0,
                awaits_full_sync: false,
                agent: None,
                problem: None,
            }],
            storage_accounts: vec![AccountStatus {
                name: "acct1".into(),
                host: "acct1.file.contoso.cloud.example".into(),
                shares: 1,
                hosts: Vec::new(),
            }],
            more_storage_accounts: false,
            attention: vec![Attention {
                severity: Severity::Failure,
                code: AttentionCode::HostMissing,
                object: "acct1".into(),
                message: "no SMB host serves the account: its shares cannot be opened".into(),
            }],
        }
    }

    /// F22: one screen, at most 80 columns wide, with the next step of what needs a person.
    #[test]
    fn f22_the_status_is_one_screen() {
        let text = screen(&status(), "https://login.cloud.example", Some(80));
        assert!(text.lines().count() <= 24, "{text}");
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
        for part in [
            "Tenant    : contoso, realm KERBEROS.CONTOSO.CLOUD.EXAMPLE\n",
            "Trust     : corp.contoso.com: active, key 3 since 2023-10-05, last ticket 5\n            minutes ago\n",
            "Sync      : corp.contoso.com: synchronized 2 days ago, 312 users, 40 groups, no\n            agent at work\n",
            "SMB hosts : acct1 (1 share): no host\n",
            "Needs a person (1):\n  FAILED   acct1: no SMB host serves the account: its shares cannot be\n           opened\n           next: ",
        ] {
            assert!(text.contains(part), "{part}\nis missing in\n{text}");
        }
        let nothing = TenantStatus {
            attention: Vec::new(),
            ..status()
        };
        assert!(screen(&nothing, "x", None).ends_with("\nNothing needs a person.\n"));
    }

    /// S14: what AD, hosts and the service wrote controls no terminal.
    #[test]
    fn s14_hostile_names_are_made_harmless() {
        let mut status = status();
        status.attention[0].message = "x\u{1b}[2J\nNothing needs a person.".into();
        status.domains[0].agent = Some("a\u{9b}2J\n".into());
        let text = screen(&status, "x", None);
        let clean = |c: char| !c.is_control() || c == '\n';
        assert!(text.chars().all(clean), "{text:?}");
        assert!(!text.lines().any(|line| line == "Nothing needs a person."));
    }
}
