//! Everything that is served over HTTPS: the KDC proxy and the REST API.

use crate::app::App;
use crate::kerberos::kdc_proxy;
use crate::rest;
use axum::Router;
use axum::routing::any;
use std::sync::Arc;

/// The router of the HTTPS listener.
pub(crate) fn router(app: App) -> Router {
    let proxy = Router::new()
        .route("/{tenant}/kerberos", any(kdc_proxy::handle))
        .route("/{tenant}/kerberos/", any(kdc_proxy::handle))
        .with_state(Arc::clone(&app));
    proxy.merge(rest::router(app))
}
