//! Everything that is served over HTTPS: the KDC proxy and the REST API.

use crate::app::App;
use crate::kerberos::kdc_proxy;
use crate::rest;
use axum::Router;
use axum::extract::Request;
use axum::http::Uri;
use axum::middleware::map_request;
use axum::routing::any;
use std::sync::Arc;

/// The last segment of the KDC proxy's path.
const KERBEROS: &str = "kerberos";

/// The router of the HTTPS listener.
pub(crate) fn router(app: App) -> Router {
    let proxy = Router::new()
        .route("/{tenant}/kerberos", any(kdc_proxy::handle))
        .route("/{tenant}/kerberos/", any(kdc_proxy::handle))
        .with_state(Arc::clone(&app));
    let routes = proxy.merge(rest::router(app));
    // A layer of the routes themselves would see a request after its route was chosen.
    Router::new()
        .fallback_service(routes)
        .layer(map_request(with_usual_case))
}

/// Windows compares names without case, and so do those who configure it: `/Contoso/Kerberos` is the KDC proxy too.
async fn with_usual_case(mut request: Request) -> Request {
    if let Some(uri) = in_usual_case(request.uri()) {
        *request.uri_mut() = uri;
    }
    request
}

/// The address of the KDC proxy in lower case but for the tenant, if it is written otherwise.
fn in_usual_case(uri: &Uri) -> Option<Uri> {
    let (tenant, rest) = uri.path().strip_prefix('/')?.split_once('/')?;
    let segment = rest.strip_suffix('/').unwrap_or(rest);
    if segment == KERBEROS || !segment.eq_ignore_ascii_case(KERBEROS) {
        return None;
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("/{tenant}/{KERBEROS}").parse().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_segment_of_the_kdc_proxy_is_rewritten() {
        let of = |text: &str| in_usual_case(&text.parse().unwrap()).map(|uri| uri.to_string());
        let proxy = Some("/Contoso/kerberos".to_owned());
        assert_eq!(of("/Contoso/Kerberos"), proxy);
        assert_eq!(of("/Contoso/KERBEROS/"), proxy);
        assert_eq!(
            of("https://login.cloud.example/Contoso/Kerberos?x=1"),
            Some("https://login.cloud.example/Contoso/kerberos".to_owned())
        );
        for other in [
            "/",
            "*",
            "/contoso",
            "/contoso/kerberos",
            "/contoso/kerberos/",
            "/contoso/Kerberos/x",
            "/contoso//Kerberos",
            "/contoso/Kerberos2",
            "/api/v1/tenants",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
