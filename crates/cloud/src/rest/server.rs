//! The server itself: its health, its authority, and who a token is.

use super::access::{Caller, Known, ReadInstallation, role_of};
use super::body::Parameters;
use super::error::ApiError;
use super::{convert, tenants};
use crate::app::App;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use crossrealm_api::{CaCertificate, Event, EventQuery, Health, Page, TokenKind, WhoAmI};
use crossrealm_directory::{EventFilter, TokenRole};
use std::time::Duration;
use tokio::time::timeout;

/// How long the store may take to show that it answers.
const PING: Duration = Duration::from_secs(2);

/// `GET /healthz`.
pub(crate) async fn health(State(app): State<App>) -> (StatusCode, Json<Health>) {
    let (status, text) = match timeout(PING, app.directory.ping()).await {
        Ok(Ok(())) => (StatusCode::OK, "ok"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "degraded"),
    };
    let health = Health {
        status: text.into(),
        version: env!("CARGO_PKG_VERSION").into(),
    };
    (status, Json(health))
}

/// `GET /ca`.
pub(crate) async fn ca(State(app): State<App>) -> Json<CaCertificate> {
    Json(CaCertificate {
        ca_pem: app.ca_pem.clone(),
    })
}

/// `GET /events`: those of no tenant, such as sign-ins and changes of the installation's administrators.
pub(crate) async fn events(
    State(app): State<App>,
    _caller: Caller<ReadInstallation>,
    Parameters(query): Parameters<EventQuery>,
) -> Result<Json<Page<Event>>, ApiError> {
    let filter = EventFilter {
        tenant: None,
        installation: true,
        since_ms: query.since_ms,
        user: query.user,
        after: query.after,
        limit: query.limit.unwrap_or(100),
    };
    let events = app.directory.events(&filter).await?;
    Ok(Json(convert::complete(events, tenants::event)))
}

/// `GET /whoami`.
pub(crate) async fn whoami(caller: Caller<Known>) -> Json<WhoAmI> {
    let token = caller.token;
    let role = role_of(&token.role);
    let rotates = matches!(token.role, TokenRole::Connector { rotate_trust, .. } if rotate_trust);
    let (kind, domain, account) = match token.role {
        TokenRole::Connector { domain, .. } => (TokenKind::Connector, Some(domain), None),
        TokenRole::Host { account } => (TokenKind::Host, None, Some(account)),
        _ => (TokenKind::Administrator, None, None),
    };
    Json(WhoAmI {
        kind,
        name: token.name,
        role,
        tenant: token.tenant.map(convert::uuid),
        domain,
        rotate_trust: rotates,
        account,
    })
}
