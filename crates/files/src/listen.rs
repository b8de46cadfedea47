//! The address that the SMB host listens on.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

/// The port of SMB over TCP.
pub(crate) const SMB_PORT: u16 = 445;

/// The address that the SMB host listens on: `ADDRESS`, `ADDRESS:PORT` or `[ADDRESS]:PORT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen(SocketAddr);

/// The text is not an address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected an IP address of this machine with or without a port, e.g. `10.0.0.5` or `0.0.0.0:445`"
)]
pub struct NotAnAddress;

impl Default for Listen {
    /// Every IPv4 and IPv6 address of the machine, port 445.
    fn default() -> Self {
        Self(SocketAddr::from((Ipv4Addr::UNSPECIFIED, SMB_PORT)))
    }
}

impl FromStr for Listen {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
        if let Ok(address) = bare.unwrap_or(text).parse::<IpAddr>() {
            return Ok(Self(SocketAddr::new(address, SMB_PORT)));
        }
        let address: SocketAddr = text.parse().map_err(|_| NotAnAddress)?;
        if address.port() == 0 {
            return Err(NotAnAddress);
        }
        Ok(Self(address))
    }
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        Self(address)
    }
}

impl Listen {
    /// The address and port.
    pub fn address(self) -> SocketAddr {
        self.0
    }

    /// The address at which this machine reaches the host.
    pub(crate) fn reachable_at(self) -> SocketAddr {
        match self.0 {
            address if !address.ip().is_unspecified() => address,
            SocketAddr::V4(v4) => SocketAddr::from(([127, 0, 0, 1], v4.port())),
            SocketAddr::V6(v6) => SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, v6.port())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_have_a_port() {
        for (text, address) in [
            ("10.0.0.5", "10.0.0.5:445"),
            ("10.0.0.5:1445", "10.0.0.5:1445"),
            ("::1", "[::1]:445"),
            ("[::1]", "[::1]:445"),
            ("[::1]:1445", "[::1]:1445"),
        ] {
            let listen: Listen = text.parse().unwrap();
            assert_eq!(listen.address().to_string(), address);
        }
        for bad in [
            "",
            "files.example",
            "10.0.0.5:",
            "10.0.0.5:0",
            "445",
            ":445",
            "10.0.0.5:70000",
        ] {
            assert!(bad.parse::<Listen>().is_err(), "{bad}");
        }
    }
}
