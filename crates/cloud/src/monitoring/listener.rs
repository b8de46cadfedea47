//! The listener of the metrics: HTTP without TLS, on an address of its own that only the monitoring system reaches.
//!
//! It answers `GET /metrics` and nothing else, to few clients at once, each within a bounded time; the state is read at most once a
//! second, however often it is fetched.

use super::lagging::Newest;
use super::state;
use crate::app::App;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// The media type of OpenMetrics text.
const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Connections at once; others wait to be accepted.
const CONNECTIONS: usize = 8;
/// How long a connection may take from its begin to its end.
const LIFE: Duration = Duration::from_secs(10);
/// The largest head of a request, in bytes.
const MAX_HEAD: usize = 8 * 1024;
/// How long a text is given again.
const FRESH_FOR: Duration = Duration::from_secs(1);

/// What is kept from one fetch to the next.
type Last = Arc<Mutex<Kept>>;

#[derive(Default)]
struct Kept {
    /// The last text, and when it was made.
    text: Option<(Instant, String)>,
    newest: Newest,
}

/// Serves the metrics until shutdown.
pub(crate) async fn serve(listener: TcpListener, app: App) {
    let mut ending = app.ending.clone();
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let last = Last::default();
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = ending.wait_for(|ending| *ending) => return,
            Some(_) = connections.join_next() => continue,
            accepted = next(&listener, &permits) => accepted,
        };
        let Some((stream, permit)) = accepted else {
            continue;
        };
        let (app, last) = (Arc::clone(&app), Arc::clone(&last));
        connections.spawn(async move {
            // One that is too slow fetches again.
            let _ = timeout(LIFE, answer(stream, app, last)).await;
            drop(permit);
        });
    }
}

async fn next(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, permit)),
        Err(error) => {
            tracing::warn!(%error, "cannot accept a connection for the metrics");
            tokio::time::sleep(FRESH_FOR).await;
            None
        }
    }
}

async fn answer(stream: TcpStream, app: App, last: Last) {
    let service = service_fn(|request: Request<Incoming>| {
        let (app, last) = (Arc::clone(&app), Arc::clone(&last));
        async move { Ok::<_, Infallible>(respond(&request, &app, &last).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(LIFE)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = served.await {
        tracing::debug!(%error, "a connection for the metrics ended");
    }
}

async fn respond(request: &Request<Incoming>, app: &App, last: &Last) -> Response<String> {
    let refused = |status, text: &str| {
        let mut response = Response::new(format!("{text}\n"));
        *response.status_mut() = status;
        response
    };
    if request.uri().path() != "/metrics" {
        return refused(StatusCode::NOT_FOUND, "the metrics are at /metrics");
    }
    if request.method() != Method::GET {
        return refused(
            StatusCode::METHOD_NOT_ALLOWED,
            "the metrics are fetched by GET",
        );
    }
    let mut last = last.lock().await;
    let text = match &last.text {
        Some((made, text)) if made.elapsed() < FRESH_FOR => text.clone(),
        _ => {
            let text = app.metrics.text(&state::read(app, &mut last.newest).await);
            last.text = Some((Instant::now(), text.clone()));
            text
        }
    };
    let mut response = Response::new(text);
    let media_type = HeaderValue::from_static(TEXT);
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}
