//! The KDC proxy of [MS-KKDCP]: `POST /{tenant id or domain}/kerberos`.
//!
//! Clients differ in what they put around the message: other media types than the specification's, an empty realm, no length
//! in front. The body alone decides, and the response is of the same kind.
//!
//! The URL alone names the tenant; the realm in the envelope must agree with it, and no name that a client sends
//! is ever resolved or connected to. Responses carry a Content-Length and no chunks, since clients speak HTTP/1.0 and read to the
//! end. A KRB-ERROR is sent with status 200; a body that is not Kerberos gets 400, and the connection is closed.

use crate::app::{App, Peer};
use crate::http::body::{self, BodyError};
use crate::kerberos::exchange::{self, Answer};
use crate::limits::client_text::ClientText;
use axum::body::{Body, Bytes};
use axum::extract::{Extension, Path, Request, State};
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, TRANSFER_ENCODING,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use axum::response::Response;
use crossrealm_directory::TenantInfo;
use crossrealm_kdc::{Reason, TicketOutcome};
use crossrealm_krb::kkdcp::{self, MAX_BODY_LEN, ProxyRequest};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio::time::timeout;

/// The media type of requests and replies, [MS-KKDCP] 2.1.
const KERBEROS: &str = "application/kerberos";
/// Other media types in which clients send the same, and in which they get their reply.
const OTHER_TYPES: [&str; 2] = ["application/octet-stream", "application/kdc-proxy-message"];

/// A request that gets no Kerberos reply: the status, and one line of text for the reader of a trace.
struct Refused {
    status: StatusCode,
    text: &'static str,
    /// Whether it has left an event.
    is_recorded: bool,
}

/// Handles every request to the path of the KDC proxy.
pub(crate) async fn handle(
    State(app): State<App>,
    Extension(Peer(peer)): Extension<Peer>,
    tenant: Option<Path<String>>,
    request: Request,
) -> Response {
    let version = request.version();
    let tenant = tenant.map(|Path(tenant)| tenant).unwrap_or_default();
    let media_type = reply_type(request.headers());
    let (status, body) = match proxy(&app, &tenant, request, peer).await {
        Ok(reply) => (StatusCode::OK, reply),
        Err(refused) => {
            log(&app, &refused, &tenant, peer);
            return refusal(refused.status, refused.text, version);
        }
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn log(app: &App, refused: &Refused, tenant: &str, peer: SocketAddr) {
    let Refused { status, text, .. } = *refused;
    if refused.is_recorded {
        return;
    }
    if let Some(count) = app.proxy_refusals.add(status, Instant::now()) {
        tracing::info!(%peer, tenant = %ClientText(tenant), %status, text, count, "KDC proxy requests refused");
    }
}

async fn proxy(
    app: &App,
    tenant: &str,
    request: Request,
    peer: SocketAddr,
) -> Result<Bytes, Refused> {
    if request.method() != Method::POST {
        return Err(refuse(
            StatusCode::METHOD_NOT_ALLOWED,
            "only POST is answered here",
        ));
    }
    let tenant = find(app, tenant).await?;
    let length = content_length(request.headers(), request.version())?;
    if length == Some(0) {
        // Diagnostic tools probe for a KDC proxy with GET.
        return Ok(Bytes::new());
    }
    let sender = Peer(peer).sender();
    let body = body::read(app, sender, request.into_body(), MAX_BODY_LEN)
        .await
        .map_err(unread)?;
    if body.as_slice().is_empty() {
        return Ok(Bytes::new());
    }
    let envelope = kkdcp::open_request(body.as_slice()).map_err(|error| {
        exchange::record_malformed(app, tenant.id, &error, peer);
        recorded(StatusCode::BAD_REQUEST, "this is not a KDC-PROXY-MESSAGE")
    })?;
    if let Some(realm) = foreign_realm(&envelope, &tenant) {
        exchange::record_foreign(app, tenant.id, realm, peer);
        return Err(recorded(
            StatusCode::NOT_FOUND,
            "the target-domain is not the realm of this tenant",
        ));
    }
    match exchange::answer(app, tenant.id, &envelope.message, peer).await {
        Answer::Reply(reply) => envelope.wrap_reply(&reply).map(Bytes::from).map_err(|_| {
            refuse(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the reply cannot be sent",
            )
        }),
        Answer::Dropped => Err(recorded(StatusCode::BAD_REQUEST, "this is not Kerberos")),
        Answer::Overloaded => Err(refuse(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many requests at once",
        )),
    }
}

async fn find(app: &App, tenant: &str) -> Result<Arc<TenantInfo>, Refused> {
    let began = Instant::now();
    let found = timeout(exchange::LOOKUP, app.directory.resolve_tenant(tenant)).await;
    match found {
        Ok(Ok(Some(tenant))) => return Ok(tenant),
        Ok(Ok(None)) => return Err(refuse(StatusCode::NOT_FOUND, "there is no such tenant")),
        Ok(Err(error)) => tracing::error!(%error, "cannot look up a tenant"),
        Err(_) => tracing::error!("looking up a tenant took too long"),
    }
    let unavailable = TicketOutcome::Refused(Reason::DirectoryUnavailable);
    app.metrics.answered(&unavailable, began.elapsed());
    Err(refuse(
        StatusCode::SERVICE_UNAVAILABLE,
        "the directory does not answer",
    ))
}

/// The Content-Length of the request. HTTP/2 frames bodies itself, so it may be absent there.
fn content_length(headers: &HeaderMap, version: Version) -> Result<Option<usize>, Refused> {
    if headers.contains_key(TRANSFER_ENCODING) {
        return Err(refuse(
            StatusCode::LENGTH_REQUIRED,
            "a Content-Length is needed",
        ));
    }
    let Some(length) = headers.get(CONTENT_LENGTH) else {
        return match version {
            Version::HTTP_2 => Ok(None),
            _ => Err(refuse(
                StatusCode::LENGTH_REQUIRED,
                "a Content-Length is needed",
            )),
        };
    };
    let length = length.to_str().ok().and_then(|text| text.parse().ok());
    match length {
        Some(length) if length > MAX_BODY_LEN => Err(too_large()),
        Some(length) => Ok(Some(length)),
        None => Err(refuse(
            StatusCode::BAD_REQUEST,
            "the Content-Length is not a number",
        )),
    }
}

/// The media type of the reply to a request with these headers.
fn reply_type(headers: &HeaderMap) -> &'static str {
    let value = headers.get(CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok());
    let essence = value.and_then(|value| value.split(';').next());
    let same = |known: &&str| essence.is_some_and(|e| e.trim().eq_ignore_ascii_case(known));
    OTHER_TYPES.into_iter().find(same).unwrap_or(KERBEROS)
}

fn unread(error: BodyError) -> Refused {
    match error {
        BodyError::TooLarge => too_large(),
        BodyError::Incomplete => {
            refuse(StatusCode::BAD_REQUEST, "the body ended before its length")
        }
        BodyError::TooSlow => refuse(StatusCode::REQUEST_TIMEOUT, "the body took too long"),
        BodyError::NoMemory => refuse(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many large requests at once",
        ),
    }
}

/// The realm that the envelope names, if it is not the tenant's.
fn foreign_realm<'a>(envelope: &'a ProxyRequest, tenant: &TenantInfo) -> Option<&'a str> {
    let realm = envelope.target_domain.as_deref()?;
    (!realm.eq_ignore_ascii_case(&tenant.realm)).then_some(realm)
}

fn too_large() -> Refused {
    refuse(
        StatusCode::PAYLOAD_TOO_LARGE,
        "the body is larger than 128 KiB",
    )
}

fn refuse(status: StatusCode, text: &'static str) -> Refused {
    Refused {
        status,
        text,
        is_recorded: false,
    }
}

/// The same for what has left an event.
fn recorded(status: StatusCode, text: &'static str) -> Refused {
    Refused {
        is_recorded: true,
        ..refuse(status, text)
    }
}

fn refusal(status: StatusCode, text: &'static str, version: Version) -> Response {
    let mut response = Response::new(Body::from(format!("{text}\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    match status {
        StatusCode::METHOD_NOT_ALLOWED => {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        _ => {}
    }
    // The bytes that follow on this connection may not be a request. HTTP/2 has no such header and needs none.
    if version != Version::HTTP_2 {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::refusal_log::RefusalLog;

    #[test]
    fn a_flood_of_one_status_hides_no_other() {
        let (log, now) = (RefusalLog::default(), Instant::now());
        assert_eq!(log.add(StatusCode::NOT_FOUND, now), Some(1));
        for _ in 0..100 {
            assert_eq!(log.add(StatusCode::NOT_FOUND, now), None);
        }
        assert_eq!(log.add(StatusCode::LENGTH_REQUIRED, now), Some(1));
    }
}
