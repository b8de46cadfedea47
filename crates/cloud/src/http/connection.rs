//! One connection: TLS, then HTTP/2 or HTTP/1, bounded in time at every step.

use super::activity::Activity;
use super::body::{RequestBody, ResponseBody, drain};
use crate::app::{App, Peer};
use crate::limits::sender;
use crate::metrics::LimitHit;
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
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncBufReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::ServiceExt as _;

/// How long a TLS handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a connection may live; a client that needs longer opens another.
const LIFE: Duration = Duration::from_secs(600);
/// How long a connection may be idle while many others are in use.
const IDLE_UNDER_LOAD: Duration = Duration::from_secs(1);
/// The longest life of a connection beyond the limit, which gets one refusal.
const SHED: Duration = Duration::from_secs(10);
/// How long a connection that was accepted before a shutdown may still take to send its first request: the client has no answer yet,
/// and would take the end for a failure.
pub(crate) const FIRST_REQUEST: Duration = Duration::from_secs(1);
/// How long requests under way may still take once the connection is closing.
const GRACE: Duration = Duration::from_secs(40);
/// The largest request head, in bytes; every connection may hold one that is not complete.
const MAX_HEAD: usize = 16 * 1024;
/// Concurrent requests on one HTTP/2 connection.
const MAX_STREAMS: u32 = 64;
/// What a client may send on an HTTP/2 connection before any of it is read, in bytes, in all and per stream.
const WINDOW: u32 = 64 * 1024;
/// What is buffered of a response on an HTTP/2 stream, in bytes.
const MAX_SEND_BUFFER: usize = 16 * 1024;

/// The shared state of HTTPS connections. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Listener {
    pub(crate) tls: TlsAcceptor,
    pub(crate) router: Router,
    pub(crate) app: App,
}

/// Serves one accepted connection until it closes, or until shutdown, when its requests under way are answered.
///
/// There may be ten thousand of these futures, so each part of a connection's life has its own allocation, and what is over
/// is freed.
pub(crate) async fn serve(stream: TcpStream, peer: SocketAddr, listener: Listener) {
    let Listener { tls, router, app } = listener;
    let Some(mut stream) = Box::pin(handshake(stream, peer, tls)).await else {
        return;
    };
    if !speaks(&mut stream, &app).await {
        return;
    }
    let Some(_permit) = app.speaking.try_acquire(sender(peer.ip())) else {
        app.metrics.limited(LimitHit::Connections);
        return tracing::debug!(%peer, "closed a connection: too many have a request");
    };
    if let Err(error) = drive(stream, Peer(peer), router, app).await {
        tracing::debug!(%peer, %error, "connection ended");
    }
}

/// Waits until the client has sent something, within the time for the head of a request. The buffers of HTTP are three times
/// as large as what TLS needs, and a connection that says nothing needs none.
async fn speaks(stream: &mut TlsStream<TcpStream>, app: &App) -> bool {
    let mut ending = app.ending.clone();
    let header_timeout = Duration::from_secs(app.limits().header_timeout_s);
    tokio::select! {
        first = timeout(header_timeout, stream.fill_buf()) => {
            matches!(first, Ok(Ok(bytes)) if !bytes.is_empty())
        }
        () = async {
            let _ = ending.wait_for(|ending| *ending).await;
            sleep(FIRST_REQUEST).await;
        } => false,
    }
}

async fn handshake(
    stream: TcpStream,
    peer: SocketAddr,
    tls: TlsAcceptor,
) -> Option<TlsStream<TcpStream>> {
    // Responses are small and complete, so Nagle's algorithm would only delay them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "cannot set TCP_NODELAY");
    }
    match timeout(HANDSHAKE, tls.accept(stream)).await {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
        Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
    }
    None
}

/// Speaks HTTP/2 or HTTP/1 on a connection.
fn drive(
    stream: TlsStream<TcpStream>,
    peer: Peer,
    router: Router,
    app: App,
) -> Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>> {
    let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let ending = app.ending.clone();
    let header_timeout = Duration::from_secs(app.limits().header_timeout_s);
    let activity = Activity::new();
    let ending = ends(ending, activity.first());
    let speaking = Arc::clone(&app.speaking);
    let idle = activity.idle(move || match speaking.is_half_used() {
        true => IDLE_UNDER_LOAD.min(header_timeout),
        false => header_timeout,
    });
    let service = service_fn(move |request| {
        let active = activity.begin();
        let response = Box::pin(answer(request, peer, app.clone(), router.clone()));
        async move {
            let response = response.await;
            drop(active);
            Ok::<_, Infallible>(response)
        }
    });
    let io = TokioIo::new(stream);
    if is_h2 {
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEAD as u32)
            .initial_connection_window_size(WINDOW)
            .initial_stream_window_size(WINDOW)
            .max_send_buf_size(MAX_SEND_BUFFER)
            .keep_alive_interval(header_timeout)
            .keep_alive_timeout(header_timeout)
            .serve_connection(io, service);
        let shut_down = http2::Connection::graceful_shutdown;
        Box::pin(until_ended(Box::pin(connection), shut_down, ending, idle))
    } else {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(header_timeout)
            .max_buf_size(MAX_HEAD)
            .serve_connection(io, service);
        let shut_down = http1::Connection::graceful_shutdown;
        Box::pin(until_ended(Box::pin(connection), shut_down, ending, idle))
    }
}

/// Answers one request, in the order that bounds what it takes: first its permit, then its body.
async fn answer(
    request: Request<Incoming>,
    peer: Peer,
    app: App,
    router: Router,
) -> Response<ResponseBody> {
    let Some(permit) = app.requests.try_acquire(peer.sender()) else {
        app.metrics.limited(LimitHit::Requests);
        let response = overloaded(request.version());
        drain(request.into_body()).await;
        return response.map(|body| ResponseBody {
            body,
            _permit: None,
        });
    };
    let (mut head, incoming) = request.into_parts();
    head.extensions.insert(peer);
    let (body, rest) = RequestBody::new(incoming);
    let request = Request::from_parts(head, Body::new(body));
    let response = match router.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    };
    rest.drain().await;
    response.map(|body| ResponseBody {
        body,
        _permit: Some(permit),
    })
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

/// The answer to a request for which there is no capacity.
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

/// Resolves at the shutdown, but not before the `first` request, for which it waits a moment.
async fn ends(mut ending: watch::Receiver<bool>, first: impl Future<Output = ()>) {
    let _ = ending.wait_for(|ending| *ending).await;
    let _ = timeout(FIRST_REQUEST, first).await;
}

/// Drives a connection until it closes. At the end of its lifetime, once it is `idle` or on shutdown, requests under way are
/// finished, and responses that were not received yet may be.
async fn until_ended<C>(
    mut connection: Pin<Box<C>>,
    shut_down: impl Fn(Pin<&mut C>),
    ending: impl Future<Output = ()>,
    idle: impl Future<Output = ()>,
) -> hyper::Result<()>
where
    C: Future<Output = hyper::Result<()>>,
{
    tokio::select! {
        result = connection.as_mut() => return result,
        () = ending => {}
        () = idle => {}
        () = sleep(LIFE) => {}
    }
    shut_down(connection.as_mut());
    timeout(GRACE, connection).await.unwrap_or(Ok(()))
}
