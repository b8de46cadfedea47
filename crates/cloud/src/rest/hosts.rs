//! SMB hosts of storage accounts: their tokens, the state they serve by, the names they resolve.

use super::access::InTenant;
use super::convert;
use super::error::ApiError;
use super::route::{Answer, Input};
use crate::app::{App, AppState};
use axum::http::HeaderValue;
use crossrealm_api::endpoint;
use crossrealm_api::{
    Host, HostAccount, HostDomain, HostShare, HostState, HostTenant, HostTokenCreated,
    MAX_RESOLVED, ResolvedName, ResolvedNames, SecretText,
};
use crossrealm_directory as directory;
use crossrealm_types::{
    HostToken, IdentityKind, IdentityState, MAX_REPORTED_QUOTAS, MAX_REPORTED_SESSIONS, Timestamp,
};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// The longest that a host waits for a change, in seconds: below the timeouts of proxies.
const MAX_WAIT_S: u64 = 25;
/// How often the change marks of the tenant are read meanwhile: two reads by a key, which also see the changes by other
/// nodes. A host sees a change within this time and its own round trip.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The longest report of a host that is stored, in bytes.
const MAX_REPORT: usize = 512 << 10;
/// [`endpoint::CreateHostToken`]
pub(crate) async fn create_host_token(
    app: App,
    at: InTenant<endpoint::CreateHostToken>,
    Input {
        path: [_, account],
        body: wanted,
        ..
    }: Input<endpoint::CreateHostToken>,
) -> Result<HostTokenCreated, ApiError> {
    let (token, info) = app
        .directory
        .create_host_token(&at.actor, at.id(), &account, &wanted.name)
        .await?;
    let created = HostTokenCreated {
        host_token: info,
        token: SecretText::new(token.as_str()),
    };
    Ok(created)
}

/// [`endpoint::HostTokens`]
pub(crate) async fn host_tokens(
    app: App,
    at: InTenant<endpoint::HostTokens>,
    Input {
        path: [_, account], ..
    }: Input<endpoint::HostTokens>,
) -> Result<Vec<HostToken>, ApiError> {
    Ok(app.directory.host_tokens(at.id(), &account).await?)
}

/// [`endpoint::RevokeHostToken`]
pub(crate) async fn revoke_host_token(
    app: App,
    at: InTenant<endpoint::RevokeHostToken>,
    Input {
        path: [_, account, id],
        ..
    }: Input<endpoint::RevokeHostToken>,
) -> Result<(), ApiError> {
    let id = Uuid::parse_str(&id).map_err(|_| ApiError::invalid("the id of a token is a UUID"))?;
    app.directory
        .revoke_host_token(&at.actor, at.id(), &account, id)
        .await?;
    Ok(())
}

/// [`endpoint::ReportHost`]
pub(crate) async fn report_host(
    app: App,
    at: InTenant<endpoint::ReportHost>,
    Input {
        path: [_, account, host],
        body: mut report,
        ..
    }: Input<endpoint::ReportHost>,
) -> Result<(), ApiError> {
    let good = (1..=63).contains(&host.len())
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    if !good {
        return Err(ApiError::invalid(
            "the name of a host is 1 to 63 letters, digits, dots, hyphens and underscores",
        ));
    }
    report.sessions.truncate(MAX_REPORTED_SESSIONS);
    report.quotas.truncate(MAX_REPORTED_QUOTAS);
    let text = serde_json::to_string(&report)
        .map_err(|_| ApiError::internal("a host's report cannot be written as JSON"))?;
    if text.len() > MAX_REPORT {
        return Err(ApiError::invalid(format!(
            "the report has {} bytes, more than {MAX_REPORT}",
            text.len()
        )));
    }
    let host = directory::AccountHost {
        account: &account,
        host: &host,
    };
    app.directory
        .record_host_report(&at.actor, at.id(), host, at.token, &report)
        .await?;
    Ok(())
}

/// [`endpoint::Hosts`]
pub(crate) async fn hosts(
    app: App,
    at: InTenant<endpoint::Hosts>,
    Input {
        path: [_, account], ..
    }: Input<endpoint::Hosts>,
) -> Result<Vec<Host>, ApiError> {
    let reports = app.directory.host_reports(at.id(), &account).await?;
    let newest = match reports.is_empty() {
        true => String::new(),
        false => app.directory.host_state(at.id(), &account).await?.version,
    };
    let hosts = reports.into_iter().filter_map(|stored| {
        let silent = stored.is_silent();
        // A report that cannot be read is replaced by the host's next one.
        let report = stored.report?;
        Some(Host {
            name: stored.host,
            reported_at: Timestamp::from_unix(stored.reported_at),
            silent,
            up_to_date: report.state_version.as_ref().map(|own| *own == newest),
            report,
        })
    });
    Ok(hosts.collect())
}

/// [`endpoint::ResolveNames`]
pub(crate) async fn resolve_names(
    app: App,
    at: InTenant<endpoint::ResolveNames>,
    Input {
        path: [_, account],
        body: asked,
        ..
    }: Input<endpoint::ResolveNames>,
) -> Result<ResolvedNames, ApiError> {
    let texts: Vec<String> = asked.sids.into_iter().chain(asked.names).collect();
    if texts.len() > MAX_RESOLVED {
        return Err(ApiError::invalid(format!(
            "{} SIDs and names; one request may hold {MAX_RESOLVED}",
            texts.len()
        )));
    }
    // An account that does not exist returns 404 to every caller.
    app.directory.storage_account(at.id(), &account).await?;
    let found = app.directory.resolve_principals(at.id(), &texts).await?;
    let found = texts.into_iter().zip(found);
    let found = found.filter_map(|(asked, info)| Some(resolved(asked, info?)));
    Ok(ResolvedNames {
        found: found.collect(),
    })
}

fn resolved(asked: String, info: directory::IdentityInfo) -> ResolvedName {
    ResolvedName {
        asked,
        sid: info.sid,
        kind: info.kind,
        name: format!("{}\\{}", info.domain_flat_name, info.account_name),
        upn: match info.kind {
            IdentityKind::User => info.upn,
            IdentityKind::Group => String::new(),
        },
        deleted: info.state == IdentityState::Deleted,
    }
}

/// [`endpoint::ShowHostState`]
pub(crate) async fn host_state(
    app: App,
    at: InTenant<endpoint::ShowHostState>,
    Input {
        path: [_, account],
        query,
        if_none_match: known,
        ..
    }: Input<endpoint::ShowHostState>,
) -> Result<Answer<HostState>, ApiError> {
    let patience = Duration::from_secs(query.wait_s.min(MAX_WAIT_S));
    let state = changed_state(&app, &at, &account, known.as_deref(), patience).await?;
    let Some(state) = state else {
        return Ok(Answer::NotModified);
    };
    let etag = HeaderValue::from_str(&entity_tag(&state.version))
        .map_err(|_| ApiError::internal("the version of a host state cannot be sent"))?;
    let view = host_view(state, app.directory.installation_id())?;
    Ok(Answer::Tagged(view, etag))
}

/// The state as soon as it differs from the known one; `None` where it does not within `patience`. The whole state is read
/// only when something of the tenant changed.
async fn changed_state(
    app: &AppState,
    at: &InTenant<endpoint::ShowHostState>,
    account: &str,
    known: Option<&str>,
    patience: Duration,
) -> Result<Option<directory::HostState>, ApiError> {
    let deadline = Instant::now() + patience;
    let mut ending = app.ending.clone();
    let mut seen = None;
    loop {
        // Read before the state, so that a change between the two is seen in the next round.
        let version = app.directory.tenant_version(at.id()).await?;
        // The caller may have waited long: a token that was revoked meanwhile gets no keys.
        if seen.is_some() && !app.directory.token_lives(at.token).await? {
            return Err(ApiError::unauthenticated(
                "the token has ended or was revoked",
            ));
        }
        if seen != Some(version) {
            let state = app
                .directory
                .host_state_for(&at.actor, at.id(), account, at.token)
                .await?;
            if known != Some(entity_tag(&state.version).as_str()) {
                return Ok(Some(state));
            }
            seen = Some(version);
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        tokio::select! {
            () = sleep(LOOK_EVERY) => {}
            _ = ending.wait_for(|ending| *ending) => return Ok(None),
        }
    }
}

fn entity_tag(version: &str) -> String {
    format!("\"{version}\"")
}

fn host_view(state: directory::HostState, installation: Uuid) -> Result<HostState, ApiError> {
    let keytab = convert::keytab(&state.keytab)?.keytab;
    Ok(HostState {
        version: state.version,
        tenant: HostTenant {
            id: convert::uuid(state.tenant.id),
            name: state.tenant.name,
            realm: state.tenant.realm,
            flat_name: state.tenant.flat_name,
            sid: state.tenant.sid,
        },
        account: HostAccount {
            name: state.account.name,
            host: state.account.host,
            aliases: state.account.aliases,
        },
        domains: state
            .domains
            .into_iter()
            .map(|domain| HostDomain {
                id_range: state.id_ranges.get(&domain.sid.to_string()).copied(),
                dns_name: domain.dns_name,
                flat_name: domain.flat_name,
                sid: domain.sid,
            })
            .collect(),
        kvnos: state.keytab.keys.iter().map(|key| key.kvno).collect(),
        keytab,
        default_role: state.account.default_role,
        shares: state.shares.into_iter().map(share_view).collect(),
        revoked_users: state.revoked_users.sids,
        revoked_users_beyond: state.revoked_users.beyond,
        installation: Some(installation),
    })
}

fn share_view(share: directory::HostShare) -> HostShare {
    HostShare {
        name: share.name,
        quota_gib: share.quota_gib,
        grants: share.grants.into_iter().map(convert::grant).collect(),
        reduced_roles: share.reduced_roles.roles,
        reduced_roles_beyond: share.reduced_roles.beyond,
    }
}
