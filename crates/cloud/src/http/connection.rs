//! One connection: TLS, then HTTP/2 or HTTP/1, bounded in time at every step.

use crate::app::{App, Peer};
use crate::limits::sender;
use axum::body::Body;
use axum::http::header::{CONNECTION, RETRY_AFTER};
use axum::http::{HeaderValue, Request, StatusCode, Version};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use crossrealm_api::{Code, ErrorBody, ErrorDetails};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a connection may live; a client that needs longer opens another.
const LIFE: Duration = Duration::from_secs(600);
/// The longest life of a connection beyond the limit, which gets one refusal.
const SHED: Duration = Duration::from_secs(10);
/// How long requests under way may still take once the connection is closing.
const GRACE: Duration = Duration::from_secs(40);
/// The largest request head, in bytes.
const MAX_HEAD: usize = 32 * 1024;
/// Concurrent requests on one HTTP/2 connection.
const MAX_STREAMS: u32 = 64;

/// The shared state of HTTPS connections. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Listener {
    pub(crate) tls: TlsAcceptor,
    pub(crate) router: Router,
    pub(crate) app: App,
}

/// Serves one accepted connection until it closes, or until shutdown, when its requests under way are answered.
pub(crate) async fn serve(stream: TcpStream, peer: SocketAddr, listener: Listener) {
    let Listener { tls, router, app } = listener;
    let mut ending = app.ending.clone();
    let header_timeout = Duration::from_secs(app.config.limits.header_timeout_s);
    // Responses are small and complete, so Nagle's algorithm would only delay them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "cannot set TCP_NODELAY");
    }
    let stream = match timeout(HANDSHAKE, tls.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%peer, %error, "TLS handshake failed"),
        Err(_) => return tracing::debug!(%peer, "TLS handshake took too long"),
    };
    let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let service = service_fn(move |request: Request<Incoming>| {
        let permit = app.requests.try_acquire(sender(peer.ip()));
        let router = router.clone();
        async move {
            let Some(_permit) = permit else {
                return Ok(overloaded(request.version()));
            };
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(Peer(peer));
            router.oneshot(request).await
        }
    });
    let io = TokioIo::new(stream);
    let result = if is_h2 {
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEAD as u32)
            .keep_alive_interval(header_timeout)
            .keep_alive_timeout(header_timeout)
            .serve_connection(io, service);
        until_ended(
            connection,
            http2::Connection::graceful_shutdown,
            &mut ending,
        )
        .await
    } else {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(header_timeout)
            .max_buf_size(MAX_HEAD)
            .serve_connection(io, service);
        until_ended(
            connection,
            http1::Connection::graceful_shutdown,
            &mut ending,
        )
        .await
    };
    if let Err(error) = result {
        tracing::debug!(%peer, %error, "connection ended");
    }
}

/// The TLS of connections beyond the limit: one request, one refusal, no HTTP/2.
pub(crate) fn shedding_tls(tls: &TlsAcceptor) -> TlsAcceptor {
    let mut config = ServerConfig::clone(tls.config());
    config.alpn_protocols.retain(|protocol| protocol != b"h2");
    TlsAcceptor::from(Arc::new(config))
}

/// Answers a connection beyond the limit with 503 and Retry-After, and closes it. `tls` is that of [`shedding_tls`].
pub(crate) async fn shed(stream: TcpStream, peer: SocketAddr, tls: TlsAcceptor) {
    let answered = timeout(SHED, async {
        let stream = tls
            .accept(stream)
            .await
            .map_err(|error| error.to_string())?;
        let service = service_fn(|request: Request<Incoming>| async move {
            Ok::<_, Infallible>(overloaded(request.version()))
        });
        http1::Builder::new()
            .keep_alive(false)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), service)
            .await
            .map_err(|error| error.to_string())
    });
    match answered.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%peer, error, "a connection beyond the limit ended"),
        Err(_) => tracing::debug!(%peer, "a connection beyond the limit took too long"),
    }
}

/// The answer to a request for which there is no capacity. Its body is not read.
fn overloaded(version: Version) -> Response {
    let body = ErrorBody {
        code: Code::Overloaded,
        message: "too many connections or requests at once".into(),
        details: ErrorDetails::default(),
    };
    let mut response = (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    // HTTP/2 has no such header; it ends only the request's stream.
    if version != Version::HTTP_2 {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Drives a connection until it closes. At the end of its lifetime or on shutdown, requests under way are finished.
async fn until_ended<C>(
    connection: C,
    shut_down: impl Fn(Pin<&mut C>),
    ending: &mut watch::Receiver<bool>,
) -> hyper::Result<()>
where
    C: Future<Output = hyper::Result<()>>,
{
    let mut connection = pin!(connection);
    tokio::select! {
        result = connection.as_mut() => return result,
        _ = ending.wait_for(|ending| *ending) => {}
        () = sleep(LIFE) => {}
    }
    shut_down(connection.as_mut());
    timeout(GRACE, connection).await.unwrap_or(Ok(()))
}
