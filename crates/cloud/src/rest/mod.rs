//! The REST API under `/api/v1`, and `/livez`, `/readyz` and `/healthz`.
//!
//! Endpoints are declared in `crossrealm_api::endpoint`; each has a handler here with the name of its operation. Values are
//! checked where they are turned into the directory's types ([`convert`]); the directory itself checks names and audits every
//! change.

mod access;
mod administrators;
mod body;
mod client_config;
mod connectors;
mod convert;
mod domains;
mod error;
mod hosts;
mod identities;
mod kerberos_servers;
mod principals;
mod route;
mod server;
mod shares;
mod status;
mod storage;
mod tenants;
mod trusts;

use crate::app::{App, Peer};
use crate::limits::client_text::ClientText;
use administrators::*;
use axum::Router;
use axum::extract::{Extension, Request, State};
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use client_config::*;
use connectors::*;
use crossrealm_api::{OPENAPI_PATH, endpoint};
use crossrealm_directory::StoreFault;
use domains::*;
use error::ApiError;
use hosts::*;
use identities::*;
use kerberos_servers::*;
use principals::*;
use server::*;
use shares::*;
use status::*;
use std::sync::Arc;
use std::time::{Duration, Instant};
use storage::*;
use tenants::*;
use tokio::time::timeout;
use trusts::*;
use uuid::Uuid;

/// The longest that a request may take. The directory's own limits are shorter, but do not cover a network that drops every
/// packet.
const LONGEST: Duration = Duration::from_secs(120);

/// The routes of all endpoints; one without a handler does not compile. Other paths get an error body too.
pub(crate) fn router(app: App) -> Router {
    let mut router = Router::new().route(OPENAPI_PATH, get(server::document));
    macro_rules! add {
        ($($Endpoint:ident $handler:ident,)+) => {
            $(router = route::add::<endpoint::$Endpoint, _, _, _>(router, $handler);)+
        };
    }
    crossrealm_api::for_each_endpoint!(add);
    router
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .fallback(elsewhere)
        .layer(middleware::from_fn_with_state(Arc::clone(&app), trace))
        .with_state(app)
}

/// What is no endpoint: a page of the documentation, or nothing.
async fn elsewhere(State(app): State<App>, request: Request) -> Response {
    let page = app
        .documentation
        .respond(request.method(), request.uri().path());
    page.unwrap_or_else(|| ApiError::endpoint_not_found().into_response())
}

/// Gives every request an id, which its answer and its log line carry, and a time to end, and forbids caches to keep answers.
/// Requests without a token are logged at a bounded rate.
async fn trace(
    State(app): State<App>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let id = Uuid::new_v4().simple().to_string();
    let method = ClientText(request.method().as_str()).to_string();
    let path = ClientText(request.uri().path()).to_string();
    let started = Instant::now();
    // An open transaction is rolled back then.
    let mut response = match timeout(LONGEST, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::store_unavailable(StoreFault::Busy, "the request took too long")
            .into_response(),
    };
    let status = response.status().as_u16();
    let elapsed_ms = started.elapsed().as_millis();
    if let Some(fault) = response.extensions().get::<error::Fault>() {
        tracing::error!(request = id, method, path, status, %peer, fault = &*fault.0, "request failed");
    } else if response
        .extensions()
        .get::<route::Authenticated>()
        .is_some()
    {
        tracing::info!(request = id, method, path, status, elapsed_ms, %peer, "request");
    } else if let Some(unlogged) = app.event_budget.admit(None, Instant::now()) {
        tracing::info!(request = id, method, path, status, elapsed_ms, %peer, unlogged, "request without a token");
    }
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert("x-request-id", id);
    }
    response
}
