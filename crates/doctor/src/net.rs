//! Names, addresses and TCP connections, each bounded in time.

use crate::error::ProbeError;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

/// How long a name may take to resolve.
const RESOLVE: Duration = Duration::from_secs(8);
/// How long a TCP connection may take.
const CONNECT: Duration = Duration::from_secs(4);
/// The port of a URL that names none.
const HTTPS: u16 = 443;

/// The host and port of `https://host[:port][/…]`; the scheme is optional.
pub(crate) fn host_and_port(url: &str) -> Option<(String, u16)> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next()?;
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (authority, HTTPS),
    };
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

/// The first address of a host; IPv4 comes first, since a firewall more often lets it through.
pub(crate) async fn resolve(host: &str, port: u16) -> Result<SocketAddr, ProbeError> {
    let found = tokio::time::timeout(RESOLVE, tokio::net::lookup_host((host, port))).await;
    let found = found.map_err(|_| ProbeError::timeout(RESOLVE))??;
    found
        .min_by_key(SocketAddr::is_ipv6)
        .ok_or_else(|| ProbeError::other("it has no address"))
}

/// Opens a TCP connection and closes it.
pub(crate) async fn connect(address: SocketAddr) -> Result<(), ProbeError> {
    let connected = tokio::time::timeout(CONNECT, tokio::net::TcpStream::connect(address)).await;
    connected.map_err(|_| ProbeError::timeout(CONNECT))??;
    Ok(())
}

/// Whether a host resolves to an address of this computer: only such an address can be bound.
pub(crate) async fn is_local(host: &str, port: u16) -> bool {
    match resolve(host, port).await {
        Ok(address) => UdpSocket::bind((address.ip(), 0)).is_ok(),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_split_into_host_and_port() {
        let parts = |url| host_and_port(url);
        assert_eq!(
            parts("https://login.cloud.example"),
            Some(("login.cloud.example".into(), 443))
        );
        assert_eq!(
            parts("https://login.cloud.example:8443/x/kerberos"),
            Some(("login.cloud.example".into(), 8443))
        );
        assert_eq!(
            parts("login.cloud.example"),
            Some(("login.cloud.example".into(), 443))
        );
        assert_eq!(parts("https://:443/"), None);
        assert_eq!(parts("https://a:b/"), None);
    }

    #[tokio::test]
    async fn only_an_address_of_this_computer_is_local() {
        assert!(is_local("127.0.0.1", 1).await);
        assert!(!is_local("192.0.2.1", 1).await);
    }
}
