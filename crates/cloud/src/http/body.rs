//! The body of a request, bounded: in bytes, in time, and by what all bodies in flight may take together.

use crate::app::AppState;
use crate::limits::held_bytes::{HeldBytes, NoMemory};
use crate::limits::{ConcurrencyLimit, LARGEST_SMALL_BODY, Permit};
use axum::body::{Body, Bytes};
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// How much of a body that nothing read is discarded before the response, and for how long. A client that is refused while
/// it still sends may lose the response: HTTP/2 resets its stream, HTTP/1 its connection.
const DRAIN: usize = 128 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(2);

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// It is larger than the endpoint takes.
    TooLarge,
    /// It ended before its length.
    Incomplete,
    /// It did not arrive in time.
    TooSlow,
    /// The bodies in flight, or those of this sender, have used up the memory for them.
    NoMemory,
}

/// Reads a body of at most `max` bytes that `sender` sends.
pub(crate) async fn read(
    app: &AppState,
    sender: IpAddr,
    body: Body,
    max: usize,
) -> Result<HeldBytes, BodyError> {
    let budget = match max {
        ..=LARGEST_SMALL_BODY => &app.bodies,
        _ => &app.large_bodies,
    };
    let limit = Duration::from_secs(app.limits().body_timeout_s);
    timeout(limit, collect(budget, sender, body, max))
        .await
        .unwrap_or(Err(BodyError::TooSlow))
}

async fn collect(
    budget: &Arc<ConcurrencyLimit<IpAddr>>,
    sender: IpAddr,
    mut body: Body,
    max: usize,
) -> Result<HeldBytes, BodyError> {
    let announced = body.size_hint();
    let at_most = |length: Option<u64>| length.and_then(|length| usize::try_from(length).ok());
    if at_most(Some(announced.lower())).is_none_or(|length| length > max) {
        return Err(BodyError::TooLarge);
    }
    let whole = at_most(announced.exact()).unwrap_or(max);
    let mut held = HeldBytes::new(budget.none(sender));
    while let Some(frame) = next(&mut body).await {
        let Ok(data) = frame.map_err(|_| BodyError::Incomplete)?.into_data() else {
            continue;
        };
        if data.len() > max - held.len() {
            return Err(BodyError::TooLarge);
        }
        held.append(&data, whole)
            .map_err(|NoMemory| BodyError::NoMemory)?;
    }
    Ok(held)
}

async fn next<B: hyper::body::Body + Unpin>(
    body: &mut B,
) -> Option<Result<Frame<B::Data>, B::Error>> {
    poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await
}

/// The body of a request whose rest, if it is dropped before its end, can be discarded by [`Rest::drain`].
pub(crate) struct RequestBody {
    incoming: Option<Incoming>,
    rest: Option<oneshot::Sender<Incoming>>,
}

/// The rest of a [`RequestBody`].
pub(crate) struct Rest(oneshot::Receiver<Incoming>);

impl RequestBody {
    pub(crate) fn new(incoming: Incoming) -> (Self, Rest) {
        let (sender, receiver) = oneshot::channel();
        let body = Self {
            incoming: Some(incoming),
            rest: Some(sender),
        };
        (body, Rest(receiver))
    }
}

impl hyper::body::Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.incoming {
            Some(incoming) => Pin::new(incoming).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.incoming {
            Some(incoming) => incoming.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let (Some(incoming), Some(rest)) = (self.incoming.take(), self.rest.take())
            && !incoming.is_end_stream()
        {
            // Without a receiver it is dropped as well.
            let _ = rest.send(incoming);
        }
    }
}

impl Rest {
    /// Discards what was not read of the body, if it is small and arrives soon.
    pub(crate) async fn drain(mut self) {
        if let Ok(incoming) = self.0.try_recv() {
            drain(incoming).await;
        }
    }
}

/// Discards a body, if it is small and arrives soon.
pub(crate) async fn drain(mut body: Incoming) {
    if body.size_hint().lower() > DRAIN as u64 {
        return;
    }
    let discard = async {
        let mut left = DRAIN;
        while let Some(Ok(frame)) = next(&mut body).await {
            let len = frame.data_ref().map_or(0, Bytes::len);
            if len > left {
                return;
            }
            left -= len;
        }
    };
    // What is too slow loses its response, as without this.
    let _ = timeout(DRAIN_TIME, discard).await;
}

/// The body of a response, which keeps the request's permit until it is sent.
pub(crate) struct ResponseBody {
    pub(crate) body: Body,
    pub(crate) _permit: Option<Permit<IpAddr>>,
}

impl hyper::body::Body for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
