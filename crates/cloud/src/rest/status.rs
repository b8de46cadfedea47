//! The state of a tenant on one page, and what of it needs a person.
//!
//! What needs a person is judged from the page alone ([`attention`]), so that nothing is said that the page does not show.

use super::access::InTenant;
use super::error::ApiError;
use super::route::Input;
use crate::app::{App, AppState};
use crate::tls;
use crossrealm_api::endpoint;
use crossrealm_api::{
    AccountStatus, Attention, AttentionCode, DomainStatus, HostStatus, MAX_STATUS_ACCOUNTS,
    ServiceStatus, Severity, TenantStatus, TrustStatus,
};
use crossrealm_directory::{self as directory, StoredHostReport};
use crossrealm_kdc::TenantId;
use crossrealm_os::clock;
use crossrealm_types::{StorageAccount, Timestamp, Trust, TrustKeyState, TrustState};

const DAY_S: i64 = 86_400;
/// A sync that has not succeeded for this long is not one that pauses.
const SYNC_STALE_S: i64 = DAY_S;
/// A trust key that is pending beside a current one for longer than any run takes.
const ROTATION_STALE_S: i64 = 3600;
/// A private authority renews earlier, a public one usually too.
const CERTIFICATE_SOON_S: i64 = 14 * DAY_S;
/// A file system with less than one part in so many free is nearly full.
const DISK_PARTS: u64 = 20;

/// [`endpoint::ShowTenantStatus`]
pub(crate) async fn tenant_status(
    app: App,
    at: InTenant<endpoint::ShowTenantStatus>,
    _: Input<endpoint::ShowTenantStatus>,
) -> Result<TenantStatus, ApiError> {
    let id = at.id();
    let trusts = app.directory.trusts(id).await?;
    let mut domains = Vec::new();
    for domain in app.directory.domains(id).await? {
        domains.push(domain_status(&app, id, domain.dns_name).await?);
    }
    let page = directory::Page {
        after: None,
        limit: u32::try_from(MAX_STATUS_ACCOUNTS).unwrap_or(u32::MAX),
    };
    let found = app.directory.storage_accounts(id, &page).await?;
    let mut storage_accounts = Vec::new();
    for account in found.items {
        storage_accounts.push(account_status(&app, id, account).await?);
    }
    let mut status = TenantStatus {
        at: Timestamp::from_unix(clock::now_s()),
        tenant: at.tenant.name,
        realm: at.tenant.realm,
        service: service_status(&app),
        trusts: trusts.into_iter().map(trust_status).collect(),
        domains,
        storage_accounts,
        more_storage_accounts: found.next.is_some(),
        attention: Vec::new(),
    };
    status.attention = attention(&status);
    Ok(status)
}

fn service_status(app: &AppState) -> ServiceStatus {
    let pair = app.certificate.get();
    let host = tls::host(&app.config);
    let ends = pair
        .cert
        .first()
        .and_then(|leaf| tls::renewal::end(leaf, &host));
    ServiceStatus {
        version: env!("CARGO_PKG_VERSION").into(),
        certificate_ends_at: ends.map(Timestamp::from_unix),
        private_authority: app.ca_pem.is_some(),
    }
}

fn trust_status(trust: Trust) -> TrustStatus {
    let of = |state| trust.keys.iter().find(|key| key.state == state);
    let (current, pending) = (of(TrustKeyState::Current), of(TrustKeyState::Pending));
    let arrived = trust.keys.iter().filter_map(|key| key.last_seen_at).max();
    let time = Timestamp::from_unix;
    TrustStatus {
        state: trust.state,
        key_version: current.map(|key| key.version),
        key_confirmed_at: current.and_then(|key| key.confirmed_at).map(time),
        pending_since: pending.map(|key| time(key.created_at)),
        ticket_arrived_at: arrived.map(time),
        removal_begun_at: trust.removal_begun_at.map(time),
        domain: trust.domain,
    }
}

async fn domain_status(
    app: &AppState,
    tenant: TenantId,
    domain: String,
) -> Result<DomainStatus, ApiError> {
    let state = app.directory.sync_state(tenant, &domain).await?;
    let exceeding = match state.failed {
        0 => 0,
        _ => {
            let failures = app.directory.sync_failures(tenant, &domain).await?;
            let exceeding = failures.iter().filter(|failure| failure.exceeds).count();
            u64::try_from(exceeding).unwrap_or(u64::MAX)
        }
    };
    Ok(DomainStatus {
        domain,
        synced_at: state.last_success_at.map(Timestamp::from_unix),
        users: state.users,
        groups: state.groups,
        failed: state.refused.saturating_add(state.failed),
        exceeding,
        awaits_full_sync: state.awaits_full_sync,
        agent: state.lease.map(|lease| lease.holder),
        problem: state.problem,
    })
}

async fn account_status(
    app: &AppState,
    tenant: TenantId,
    account: StorageAccount,
) -> Result<AccountStatus, ApiError> {
    let shares = app.directory.shares(tenant, &account.name).await?.len();
    let reports = app.directory.host_reports(tenant, &account.name).await?;
    let newest = match reports.is_empty() {
        true => String::new(),
        false => {
            let state = app.directory.host_state(tenant, &account.name).await?;
            state.version
        }
    };
    let hosts = reports
        .into_iter()
        .filter_map(|stored| host_status(stored, &newest));
    Ok(AccountStatus {
        shares: u64::try_from(shares).unwrap_or(u64::MAX),
        hosts: hosts.collect(),
        name: account.name,
        host: account.host,
    })
}

fn host_status(stored: StoredHostReport, newest: &str) -> Option<HostStatus> {
    let silent = stored.is_silent();
    // A report that cannot be read is replaced by the host's next one.
    let report = stored.report?;
    Some(HostStatus {
        name: stored.host,
        listen: report.listen,
        serving: report.serving,
        silent,
        up_to_date: report.state_version.map(|own| own == newest),
        reported_at: Timestamp::from_unix(stored.reported_at),
        sessions: report.session_count,
        disk_bytes: report.disk_bytes,
        disk_free_bytes: report.disk_free_bytes,
        problem: report.problem,
    })
}

/// What needs a person, failures first.
fn attention(status: &TenantStatus) -> Vec<Attention> {
    let mut found = Vec::new();
    if status.trusts.is_empty() {
        found.push(failure(
            AttentionCode::TrustMissing,
            "",
            "no AD domain trusts the tenant: its users get no tickets",
        ));
    }
    for trust in &status.trusts {
        of_trust(trust, status.at, &mut found);
    }
    for domain in &status.domains {
        of_domain(domain, status.at, &mut found);
    }
    for account in &status.storage_accounts {
        of_account(account, &mut found);
    }
    of_certificate(status, &mut found);
    found.sort_by_key(|one| one.severity);
    found
}

fn of_trust(trust: &TrustStatus, now: Timestamp, found: &mut Vec<Attention>) {
    let domain = &trust.domain;
    if let Some(begun) = trust.removal_begun_at {
        let message = format!("a removal that began at {begun} has not ended");
        found.push(warning(AttentionCode::TrustRemovalPending, domain, message));
    }
    if trust.state == TrustState::Pending {
        let message =
            "the trust is half set up: AD's key is not confirmed, and its users get no tickets";
        found.push(failure(AttentionCode::TrustPending, domain, message));
    } else if let Some(since) = trust.pending_since
        && age_s(since, now) > ROTATION_STALE_S
    {
        let message = format!("a rotation of the trust key that began at {since} has not ended");
        found.push(warning(
            AttentionCode::TrustRotationPending,
            domain,
            message,
        ));
    }
}

fn of_domain(domain: &DomainStatus, now: Timestamp, found: &mut Vec<Attention>) {
    let name = &domain.domain;
    match domain.synced_at {
        None => found.push(failure(
            AttentionCode::SyncMissing,
            name,
            "the domain was never synchronized: its users get no tickets",
        )),
        Some(at) if age_s(at, now) > SYNC_STALE_S => {
            let message = format!("no sync has ended well since {at}: changes in AD do not arrive");
            found.push(failure(AttentionCode::SyncStale, name, message));
        }
        Some(_) => {}
    }
    if domain.awaits_full_sync {
        let message =
            "the database went back in time: users of the domain get no tickets until a full sync";
        found.push(failure(AttentionCode::SyncAwaited, name, message));
    }
    if domain.exceeding > 0 {
        let message = format!(
            "{} users may have more rights in the tenant than in AD",
            domain.exceeding
        );
        found.push(failure(AttentionCode::SyncExceeding, name, message));
    }
    if let Some(problem) = &domain.problem {
        let message = format!("the last sync agent gave up: {problem}");
        found.push(warning(AttentionCode::SyncFailing, name, message));
    }
    if domain.failed > domain.exceeding {
        let message = format!("{} objects were not synchronized", domain.failed);
        found.push(warning(AttentionCode::SyncIncomplete, name, message));
    }
}

fn of_account(account: &AccountStatus, found: &mut Vec<Attention>) {
    if account.shares > 0 && account.hosts.is_empty() {
        let message = "no SMB host serves the account: its shares cannot be opened";
        found.push(failure(AttentionCode::HostMissing, &account.name, message));
    }
    for host in &account.hosts {
        let object = format!("{}/{}", account.name, host.name);
        of_host(host, &object, found);
    }
}

fn of_host(host: &HostStatus, object: &str, found: &mut Vec<Attention>) {
    if host.silent {
        let message = format!("the host has not reported since {}", host.reported_at);
        found.push(failure(AttentionCode::HostSilent, object, message));
        // What it reported then says nothing of now.
        return;
    }
    match (&host.problem, host.serving) {
        (Some(problem), false) => {
            let message = format!("users cannot connect: {problem}");
            found.push(failure(AttentionCode::HostNotServing, object, message));
        }
        (None, false) => {
            let message = "users cannot connect";
            found.push(failure(AttentionCode::HostNotServing, object, message));
        }
        (Some(problem), true) => {
            found.push(warning(AttentionCode::HostProblem, object, problem.clone()));
        }
        (None, true) if host.up_to_date == Some(false) => {
            let message = "the host serves by an older state than the newest";
            found.push(warning(AttentionCode::HostOutdated, object, message));
        }
        (None, true) => {}
    }
    if let (Some(size), Some(free)) = (host.disk_bytes, host.disk_free_bytes)
        && free < size / DISK_PARTS
    {
        let message = format!("{} of {} GiB are free", free >> 30, size >> 30);
        found.push(warning(AttentionCode::HostDiskFull, object, message));
    }
}

fn of_certificate(status: &TenantStatus, found: &mut Vec<Attention>) {
    let Some(ends) = status.service.certificate_ends_at else {
        return;
    };
    let left_s = age_s(status.at, ends);
    if left_s <= 0 {
        let message = format!("the service's certificate ended at {ends}: no client trusts it");
        found.push(failure(AttentionCode::CertificateEnds, "", message));
    } else if left_s < CERTIFICATE_SOON_S {
        let message = format!("the service's certificate ends at {ends}");
        found.push(warning(AttentionCode::CertificateEnds, "", message));
    }
}

/// How long `from` is before `to`, in seconds.
fn age_s(from: Timestamp, to: Timestamp) -> i64 {
    to.unix().saturating_sub(from.unix())
}

fn failure(code: AttentionCode, object: &str, message: impl Into<String>) -> Attention {
    Attention {
        severity: Severity::Failure,
        code,
        object: object.to_owned(),
        message: message.into(),
    }
}

fn warning(code: AttentionCode, object: &str, message: impl Into<String>) -> Attention {
    Attention {
        severity: Severity::Warning,
        ..failure(code, object, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix(1_700_000_000);

    fn ago(seconds: i64) -> Option<Timestamp> {
        Some(Timestamp::from_unix(NOW.unix() - seconds))
    }

    fn good() -> TenantStatus {
        TenantStatus {
            at: NOW,
            tenant: "contoso".into(),
            realm: "KERBEROS.CONTOSO.CLOUD.EXAMPLE".into(),
            service: ServiceStatus {
                version: "0.3.0".into(),
                certificate_ends_at: ago(-90 * DAY_S),
                private_authority: true,
            },
            trusts: vec![TrustStatus {
                domain: "corp.contoso.com".into(),
                state: TrustState::Active,
                key_version: Some(1),
                key_confirmed_at: ago(DAY_S),
                pending_since: None,
                ticket_arrived_at: None,
                removal_begun_at: None,
            }],
            domains: vec![DomainStatus {
                domain: "corp.contoso.com".into(),
                synced_at: ago(60),
                users: 3,
                groups: 2,
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
                hosts: vec![HostStatus {
                    name: "fs1".into(),
                    listen: "[::]:445".into(),
                    serving: true,
                    silent: false,
                    up_to_date: Some(true),
                    reported_at: NOW,
                    sessions: 0,
                    disk_bytes: Some(100 << 30),
                    disk_free_bytes: Some(50 << 30),
                    problem: None,
                }],
            }],
            more_storage_accounts: false,
            attention: Vec::new(),
        }
    }

    /// F22: a tenant that works needs nobody.
    #[test]
    fn f22_a_tenant_that_works_needs_nobody() {
        assert_eq!(attention(&good()), []);
    }

    /// F22: each fault is named once, by its own code and object; every code has a fault here.
    #[test]
    fn f22_each_fault_is_named() {
        type Fault = fn(&mut TenantStatus);
        const FAULTS: &[(AttentionCode, &str, Fault)] = &[
            (AttentionCode::TrustMissing, "", |s| s.trusts.clear()),
            (AttentionCode::TrustPending, "corp.contoso.com", |s| {
                s.trusts[0].state = TrustState::Pending;
                s.trusts[0].pending_since = ago(2 * ROTATION_STALE_S);
            }),
            (
                AttentionCode::TrustRotationPending,
                "corp.contoso.com",
                |s| {
                    s.trusts[0].pending_since = ago(ROTATION_STALE_S + 1);
                },
            ),
            (
                AttentionCode::TrustRemovalPending,
                "corp.contoso.com",
                |s| {
                    s.trusts[0].removal_begun_at = ago(1);
                },
            ),
            (AttentionCode::SyncMissing, "corp.contoso.com", |s| {
                s.domains[0].synced_at = None
            }),
            (AttentionCode::SyncStale, "corp.contoso.com", |s| {
                s.domains[0].synced_at = ago(SYNC_STALE_S + 1);
            }),
            (AttentionCode::SyncFailing, "corp.contoso.com", |s| {
                s.domains[0].problem = Some("wrong password".into());
            }),
            (AttentionCode::SyncAwaited, "corp.contoso.com", |s| {
                s.domains[0].awaits_full_sync = true;
            }),
            (AttentionCode::SyncExceeding, "corp.contoso.com", |s| {
                (s.domains[0].failed, s.domains[0].exceeding) = (1, 1);
            }),
            (AttentionCode::SyncIncomplete, "corp.contoso.com", |s| {
                s.domains[0].failed = 2
            }),
            (AttentionCode::HostMissing, "acct1", |s| {
                s.storage_accounts[0].hosts.clear()
            }),
            (AttentionCode::HostSilent, "acct1/fs1", |s| {
                host(s).silent = true;
                host(s).serving = false;
            }),
            (AttentionCode::HostNotServing, "acct1/fs1", |s| {
                host(s).serving = false;
                host(s).problem = Some("port in use".into());
            }),
            (AttentionCode::HostOutdated, "acct1/fs1", |s| {
                host(s).up_to_date = Some(false)
            }),
            (AttentionCode::HostProblem, "acct1/fs1", |s| {
                host(s).problem = Some("x".into())
            }),
            (AttentionCode::HostDiskFull, "acct1/fs1", |s| {
                host(s).disk_free_bytes = Some(4 << 30)
            }),
            (AttentionCode::CertificateEnds, "", |s| {
                s.service.certificate_ends_at = ago(-DAY_S)
            }),
        ];
        for (code, object, make) in FAULTS {
            let mut status = good();
            make(&mut status);
            let found = attention(&status);
            let found: Vec<_> = found
                .iter()
                .map(|one| (one.code, one.object.as_str()))
                .collect();
            assert_eq!(found, [(*code, *object)]);
        }
        let covered: Vec<AttentionCode> = FAULTS.iter().map(|(code, ..)| *code).collect();
        assert_eq!(covered, AttentionCode::ALL);
    }

    fn host(status: &mut TenantStatus) -> &mut HostStatus {
        &mut status.storage_accounts[0].hosts[0]
    }

    /// F22: what must not be missed comes first, and an ended certificate is a failure.
    #[test]
    fn f22_failures_come_first() {
        let mut status = good();
        status.trusts[0].removal_begun_at = ago(1);
        status.service.certificate_ends_at = ago(1);
        let found = attention(&status);
        assert_eq!(
            found.iter().map(|one| one.severity).collect::<Vec<_>>(),
            [Severity::Failure, Severity::Warning]
        );
        let mut unused = good();
        unused.storage_accounts[0].hosts.clear();
        unused.storage_accounts[0].shares = 0;
        assert_eq!(attention(&unused), []);
    }
}
