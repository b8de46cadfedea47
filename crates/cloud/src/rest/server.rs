//! The server itself: its health, its authority, and who a token is.

use super::access::{Anyone, Caller};
use super::error::ApiError;
use super::route::{Answer, Input};
use super::{convert, tenants};
use crate::app::App;
use axum::Json;
use crossrealm_api::endpoint;
use crossrealm_api::{CaCertificate, Event, Health, Page, TokenKind, WhoAmI};
use crossrealm_directory::{EventFilter, TokenRole};
use std::sync::LazyLock;
use std::time::Duration;
use tokio::time::timeout;

/// How long the database may take to answer.
const PING: Duration = Duration::from_secs(2);

/// [`endpoint::Health`]
pub(crate) async fn health(
    app: App,
    _: Anyone<endpoint::Health>,
    _: Input<endpoint::Health>,
) -> Result<Answer<Health>, ApiError> {
    let health = |status: &str| Health {
        status: status.into(),
        version: env!("CARGO_PKG_VERSION").into(),
    };
    Ok(match timeout(PING, app.directory.ping()).await {
        Ok(Ok(())) => Answer::Success(health("ok")),
        _ => Answer::Degraded(health("degraded")),
    })
}

/// [`endpoint::Ca`]
pub(crate) async fn ca(
    app: App,
    _: Anyone<endpoint::Ca>,
    _: Input<endpoint::Ca>,
) -> Result<CaCertificate, ApiError> {
    Ok(CaCertificate {
        ca_pem: app.ca_pem.clone(),
    })
}

/// [`endpoint::InstallationEvents`]
pub(crate) async fn installation_events(
    app: App,
    _caller: Caller<endpoint::InstallationEvents>,
    Input { query, .. }: Input<endpoint::InstallationEvents>,
) -> Result<Page<Event>, ApiError> {
    let filter = EventFilter {
        tenant: None,
        installation: true,
        since_ms: query.since_ms,
        user: query.user,
        after: query.after,
        limit: query.limit.unwrap_or(100),
    };
    let events = app.directory.events(&filter).await?;
    Ok(convert::complete(events, tenants::event))
}

/// [`endpoint::Whoami`]
pub(crate) async fn whoami(
    _: App,
    caller: Caller<endpoint::Whoami>,
    _: Input<endpoint::Whoami>,
) -> Result<WhoAmI, ApiError> {
    let token = caller.token;
    let mut known = WhoAmI {
        kind: TokenKind::Administrator,
        name: token.name,
        role: None,
        tenant: token.tenant.map(convert::uuid),
        domain: None,
        rotate_trust: false,
        account: None,
    };
    match token.role {
        TokenRole::Administrator(role) => known.role = Some(role),
        TokenRole::Connector {
            domain,
            rotate_trust,
        } => {
            known.kind = TokenKind::Connector;
            known.domain = Some(domain);
            known.rotate_trust = rotate_trust;
        }
        TokenRole::Host { account } => {
            known.kind = TokenKind::Host;
            known.account = Some(account);
        }
    }
    Ok(known)
}

/// The OpenAPI document of this API.
pub(crate) async fn document() -> Json<&'static serde_json::Value> {
    static DOCUMENT: LazyLock<serde_json::Value> = LazyLock::new(crossrealm_api::openapi);
    Json(&DOCUMENT)
}
