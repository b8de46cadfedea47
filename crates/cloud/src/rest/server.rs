//! The server itself: its health, its authority, and who a token is.

use super::access::{Caller, Known, role_of};
use super::convert;
use crate::app::App;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use crossrealm_api::{CaCertificate, Health, TokenKind, WhoAmI};
use crossrealm_directory::TokenRole;
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
