//! What happens to a connection that was accepted: it is served, refused with an answer, or closed.

use crate::http::connection::{self, Listener};
use crate::kerberos::tcp_udp;
use crate::limits::{
    ConcurrencyLimit, LogThrottle, SHED_CONNECTIONS, SHED_CONNECTIONS_PER_ADDRESS, sender,
};
use crate::metrics::LimitHit;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// How long to wait before accepting again when the system has no file descriptor left.
const BREATH: Duration = Duration::from_millis(100);

/// Starts a task for each connection, within the limits.
pub(crate) struct Acceptor {
    pub(crate) listener: Listener,
    /// The tasks of connections, and of what runs beside them.
    pub(crate) tasks: JoinSet<()>,
    connections: Arc<ConcurrencyLimit<IpAddr>>,
    shedding: Arc<ConcurrencyLimit<IpAddr>>,
    shedding_tls: TlsAcceptor,
    shed: LogThrottle,
    closed: LogThrottle,
    failed: LogThrottle,
}

impl Acceptor {
    /// Serves within the limit of connections.
    pub(crate) fn new(listener: Listener, connections: Arc<ConcurrencyLimit<IpAddr>>) -> Self {
        Self {
            tasks: JoinSet::new(),
            connections,
            shedding: ConcurrencyLimit::new(SHED_CONNECTIONS, SHED_CONNECTIONS_PER_ADDRESS),
            shedding_tls: connection::shedding_tls(&listener.tls),
            shed: LogThrottle::default(),
            closed: LogThrottle::default(),
            failed: LogThrottle::default(),
            listener,
        }
    }

    /// Ends accepting: what is left are the tasks. Everything else is dropped here, the audit's sender with it, for whose end
    /// the audit's writer waits.
    pub(crate) fn into_tasks(self) -> JoinSet<()> {
        self.tasks
    }

    /// Takes a connection to the HTTPS port, or to that of Kerberos.
    pub(crate) fn take(&mut self, stream: TcpStream, peer: SocketAddr, is_https: bool) {
        if let Some(permit) = self.connections.try_acquire(sender(peer.ip())) {
            let listener = self.listener.clone();
            self.tasks.spawn(async move {
                if is_https {
                    connection::serve(stream, peer, listener).await;
                } else {
                    tcp_udp::serve_tcp(stream, peer, listener.app).await;
                }
                drop(permit);
            });
            return;
        }
        self.listener.app.metrics.limited(LimitHit::Connections);
        if let Some(permit) = self.shedding.try_acquire(sender(peer.ip())) {
            if let Some(count) = self.shed.add(Instant::now()) {
                tracing::warn!(%peer, count, "connections refused: too many");
            }
            let (tls, app) = (self.shedding_tls.clone(), Arc::clone(&self.listener.app));
            self.tasks.spawn(async move {
                if is_https {
                    connection::shed(stream, peer, tls).await;
                } else {
                    tcp_udp::shed_tcp(stream, peer, app).await;
                }
                drop(permit);
            });
        } else if let Some(count) = self.closed.add(Instant::now()) {
            tracing::warn!(%peer, count, "closed connections at once: too many");
        }
    }

    /// Notes that accepting failed. A connection that was reset before costs nothing; being out of file descriptors needs a
    /// pause.
    pub(crate) async fn pause(&mut self, error: &io::Error) {
        if let Some(count) = self.failed.add(Instant::now()) {
            tracing::warn!(%error, count, "cannot accept connections");
        }
        if !matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
        ) {
            tokio::time::sleep(BREATH).await;
        }
    }
}
