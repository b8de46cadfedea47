//! Whether a connection has a request under way.
//!
//! A client keeps a connection by what it asks for. Frames that ask for nothing, such as the pings of HTTP/2, do not count.

use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// Counts the requests under way on one connection.
#[derive(Clone)]
pub(crate) struct Activity(watch::Sender<usize>);

/// A request under way; until it is dropped.
pub(crate) struct ActiveRequest(watch::Sender<usize>);

impl Activity {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    /// A request begins.
    pub(crate) fn begin(&self) -> ActiveRequest {
        self.0.send_modify(|under_way| *under_way += 1);
        ActiveRequest(self.0.clone())
    }

    /// Resolves once there has been a request.
    pub(crate) fn first(&self) -> impl Future<Output = ()> + use<> {
        let mut under_way = self.0.subscribe();
        async move {
            // Also where it has ended.
            let _ = under_way.changed().await;
        }
    }

    /// Resolves once no request has been under way for `limit`, as it is when the last one ends.
    pub(crate) fn idle<L>(&self, limit: L) -> impl Future<Output = ()> + use<L>
    where
        L: Fn() -> Duration,
    {
        let mut under_way = self.0.subscribe();
        async move {
            loop {
                let wait = if *under_way.borrow_and_update() > 0 {
                    Ok(under_way.changed().await)
                } else {
                    timeout(limit(), under_way.changed()).await
                };
                match wait {
                    Ok(Ok(())) => {}
                    // Idle, or the connection is gone.
                    Ok(Err(_)) | Err(_) => return,
                }
            }
        }
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.0.send_modify(|under_way| *under_way -= 1);
    }
}
