//! The server itself: its health, its authority, and who a token is.

use super::access::{Anyone, Caller};
use super::error::ApiError;
use super::route::{Answer, Input};
use super::{convert, tenants};
use crate::app::App;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use crossrealm_api::endpoint;
use crossrealm_api::{CaCertificate, Event, Health, Page, TokenKind, WhoAmI};
use crossrealm_directory::{EventFilter, StoreFault, TokenRole};
use crossrealm_types::Timestamp;
use std::sync::LazyLock;
use std::time::Duration;
use tokio::time::timeout;

/// How long the database may take to answer.
const READ_LIMIT: Duration = Duration::from_secs(2);

/// [`endpoint::Live`]
pub(crate) async fn live(
    _: App,
    _: Anyone<endpoint::Live>,
    _: Input<endpoint::Live>,
) -> Result<Health, ApiError> {
    Ok(health_with(None))
}

/// [`endpoint::Ready`]
pub(crate) async fn ready(
    app: App,
    _: Anyone<endpoint::Ready>,
    _: Input<endpoint::Ready>,
) -> Result<Answer<Health>, ApiError> {
    Ok(readiness(&app).await)
}

/// [`endpoint::Health`]
pub(crate) async fn health(
    app: App,
    _: Anyone<endpoint::Health>,
    _: Input<endpoint::Health>,
) -> Result<Answer<Health>, ApiError> {
    Ok(readiness(&app).await)
}

async fn readiness(app: &App) -> Answer<Health> {
    match timeout(READ_LIMIT, app.directory.check_ready()).await {
        Ok(Ok(())) => Answer::Success(health_with(None)),
        Ok(Err(fault)) => Answer::Degraded(health_with(Some(fault))),
        Err(_) => Answer::Degraded(health_with(Some(StoreFault::Unreachable))),
    }
}

fn health_with(fault: Option<StoreFault>) -> Health {
    let status = fault.map_or("ok", |_| "degraded");
    Health {
        status: status.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        reason: fault.map(|fault| fault.as_str().into()),
        message: fault.map(|fault| format!("the database cannot be used: {fault}")),
    }
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
        installation: true,
        ..tenants::event_filter(query)
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
        expires_at: token.expires_at.map(Timestamp::from_unix),
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

/// The OpenAPI document of this API: anyone may ask for it, so it is made once, and every response shares its bytes.
pub(crate) async fn document() -> Response {
    static DOCUMENT: LazyLock<Bytes> =
        LazyLock::new(|| crossrealm_api::openapi().to_string().into());
    ([(CONTENT_TYPE, "application/json")], DOCUMENT.clone()).into_response()
}
