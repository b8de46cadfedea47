//! The REST API under `/api/v1`, and `/healthz`.
//!
//! Every handler names, in the type of its first argument, who may call it ([`access`]): the check is made before anything
//! else of the request is looked at. Values are checked where they are turned into the directory's types ([`convert`]);
//! the directory itself checks names and audits every change.

mod access;
mod administrators;
mod body;
mod connectors;
mod convert;
mod domains;
mod error;
mod hosts;
mod identities;
mod kerberos_servers;
mod principals;
mod server;
mod shares;
mod storage;
mod tenants;
mod trusts;

use crate::app::{App, Peer};
use axum::Router;
use axum::extract::{Extension, Request};
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, post, put};
use error::ApiError;
use std::time::{Duration, Instant};
use tokio::time::timeout;
use uuid::Uuid;

/// The longest that a request may take. The directory's own bounds are shorter, but a network that drops everything knows
/// none.
const LONGEST: Duration = Duration::from_secs(120);

/// All endpoints. What is not one is answered as the API answers.
pub(crate) fn router(app: App) -> Router {
    let api = Router::new()
        .route("/whoami", get(server::whoami))
        .route("/ca", get(server::ca))
        .route(
            "/administrators",
            get(administrators::list).post(administrators::create),
        )
        .route("/administrators/{upn}", delete(administrators::remove))
        .route("/administrators/{upn}/reset", post(administrators::reset))
        .route("/sign-in", post(administrators::sign_in))
        .route("/sign-in/enrolment", post(administrators::begin_enrolment))
        .route(
            "/sign-in/enrolment/finish",
            post(administrators::finish_enrolment),
        )
        .route("/sign-out", post(administrators::sign_out))
        .route("/events", get(server::events))
        .route("/tenants", get(tenants::list).post(tenants::create))
        .route(
            "/tenants/{tenant}",
            get(tenants::show).delete(tenants::delete),
        )
        .nest("/tenants/{tenant}", tenant_routes());
    Router::new()
        .route("/healthz", get(server::health))
        .nest(crossrealm_api::BASE_PATH, api)
        .method_not_allowed_fallback(async || ApiError::method_not_allowed())
        .fallback(async || ApiError::endpoint_not_found())
        .layer(middleware::from_fn(trace))
        .with_state(app)
}

fn tenant_routes() -> Router<App> {
    Router::new()
        .route("/policy", put(tenants::set_policy))
        .route("/client-config", get(tenants::client_config))
        .route("/events", get(tenants::events))
        .route("/trusts", get(trusts::list))
        .route("/trusts/{domain}", get(trusts::show).delete(trusts::delete))
        .route("/trusts/{domain}/prepare", post(trusts::prepare))
        .route("/trusts/{domain}/confirm", post(trusts::confirm))
        .route(
            "/trusts/{domain}/removal",
            post(trusts::begin_removal).delete(trusts::cancel_removal),
        )
        .route("/trusts/{domain}/rotation", post(trusts::rotate))
        .route(
            "/trusts/{domain}/rotation/confirm",
            post(trusts::confirm_rotation),
        )
        .route(
            "/kerberos-servers/{domain}",
            get(kerberos_servers::show)
                .put(kerberos_servers::record)
                .delete(kerberos_servers::delete),
        )
        .route(
            "/kerberos-servers/{domain}/removal",
            post(kerberos_servers::begin_removal).delete(kerberos_servers::cancel_removal),
        )
        .route("/domains/{domain}/ad-steps", post(trusts::record_ad_step))
        .route(
            "/connectors",
            get(connectors::list).post(connectors::create),
        )
        .route("/connectors/{domain}", delete(connectors::revoke))
        .route(
            "/domains/{domain}/identities",
            get(domains::read).post(domains::apply),
        )
        .route("/domains/{domain}/identities/lookup", post(domains::lookup))
        .route(
            "/domains/{domain}/identities/{object}/members",
            get(domains::members),
        )
        .route(
            "/domains/{domain}/sync-lease",
            post(domains::take_lease).delete(domains::release_lease),
        )
        .route("/domains/{domain}/sync-state", get(domains::sync_state))
        .route(
            "/users",
            get(identities::users).post(identities::create_user),
        )
        .route(
            "/users/{user}",
            get(identities::user).delete(identities::delete_user),
        )
        .route("/groups", get(identities::groups))
        .route("/groups/{group}", get(identities::group))
        .route(
            "/storage-accounts",
            get(storage::list).post(storage::create),
        )
        .route(
            "/storage-accounts/{account}",
            get(storage::show).delete(storage::delete),
        )
        .route(
            "/storage-accounts/{account}/rotate-key",
            post(storage::rotate_key),
        )
        .route("/storage-accounts/{account}/keytab", post(storage::keytab))
        .route(
            "/storage-accounts/{account}/default-permission",
            put(storage::set_default),
        )
        .route(
            "/storage-accounts/{account}/host-state",
            get(hosts::host_state),
        )
        .route(
            "/storage-accounts/{account}/host-tokens",
            get(hosts::tokens).post(hosts::create_token),
        )
        .route(
            "/storage-accounts/{account}/host-tokens/{id}",
            delete(hosts::revoke_token),
        )
        .route("/storage-accounts/{account}/hosts", get(hosts::list))
        .route(
            "/storage-accounts/{account}/hosts/{host}",
            put(hosts::report),
        )
        .route("/storage-accounts/{account}/names", post(hosts::names))
        .route(
            "/storage-accounts/{account}/shares",
            get(shares::list).post(shares::create),
        )
        .route(
            "/storage-accounts/{account}/shares/{share}",
            get(shares::show).delete(shares::delete),
        )
        .route(
            "/storage-accounts/{account}/shares/{share}/quota",
            put(shares::set_quota),
        )
        .route(
            "/storage-accounts/{account}/shares/{share}/grants",
            put(shares::grant),
        )
        .route(
            "/storage-accounts/{account}/shares/{share}/grants/{principal}",
            delete(shares::revoke),
        )
        .route(
            "/storage-accounts/{account}/shares/{share}/access",
            get(shares::access),
        )
        .route(
            "/service-principals",
            get(principals::list).post(principals::create),
        )
        .route(
            "/service-principals/{spn}",
            get(principals::show).delete(principals::delete),
        )
        .route(
            "/service-principals/{spn}/rotate-key",
            post(principals::rotate_key),
        )
        .route("/service-principals/{spn}/keytab", post(principals::keytab))
}

/// Gives every request an id, which its answer and its log line carry, and a time to end, and forbids caches to keep answers.
async fn trace(Extension(Peer(peer)): Extension<Peer>, request: Request, next: Next) -> Response {
    let id = Uuid::new_v4().simple().to_string();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let started = Instant::now();
    // What is under way then is rolled back.
    let mut response = match timeout(LONGEST, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::store_unavailable("the request took too long").into_response(),
    };
    let status = response.status().as_u16();
    let elapsed_ms = started.elapsed().as_millis();
    if let Some(fault) = response.extensions().get::<error::Fault>() {
        tracing::error!(request = id, %method, path, status, %peer, fault = &*fault.0, "request failed");
    } else {
        tracing::info!(request = id, %method, path, status, elapsed_ms, %peer, "request");
    }
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert("x-request-id", id);
    }
    response
}
