//! TCP connections to domain controllers, with a time limit for each step.

use crate::error::OnpremError;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

/// The time limit for a connection.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The time limit for a KDC's reply.
pub(crate) const KDC_TIMEOUT: Duration = Duration::from_secs(15);
/// The time limit for one LDAP message: AD is slow to fill a page of a large search.
pub(crate) const LDAP_TIMEOUT: Duration = Duration::from_secs(120);

/// Connects to `address`; `host`, `service` and `port` are for messages.
pub(crate) async fn connect(
    host: &str,
    address: SocketAddr,
    service: &'static str,
) -> Result<TcpStream, OnpremError> {
    let unreachable = |source| OnpremError::Unreachable {
        host: host.to_owned(),
        port: address.port(),
        service,
        source,
    };
    let stream = within(CONNECT_TIMEOUT, TcpStream::connect(address))
        .await
        .map_err(unreachable)?;
    stream.set_nodelay(true).map_err(unreachable)?;
    Ok(stream)
}

/// Runs `work` for at most `limit`.
pub(crate) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("no answer within {} s", limit.as_secs()),
        ))
    })
}
