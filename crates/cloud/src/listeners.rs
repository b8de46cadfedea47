//! The sockets of the service: those that the service manager holds open and hands over, or such that are opened here.
//!
//! A socket of the service manager outlives this process: while the service restarts, clients wait in its queue and are not refused,
//! and ports below 1024 need no privilege.

use crate::config::Config;
use crate::serve_error::ServeError;
use listenfd::ListenFd;
use std::io;
use std::net::SocketAddr;
use tokio::net::{TcpListener, UdpSocket};

/// The names of sockets that are handed over, from `FileDescriptorName=` of the socket units.
const HTTPS: &str = "https";
const KERBEROS: &str = "kerberos";
/// The variable with the names, separated by colons (`sd_listen_fds_with_names(3)`).
const NAMES: &str = "LISTEN_FDNAMES";
/// How many times to try for a port that is free for both TCP and UDP, if the system chooses it.
const PORT_TRIES: usize = 8;

/// What the service manager handed over.
#[derive(Default)]
pub(crate) struct Inherited {
    https: Option<TcpListener>,
    kerberos_tcp: Option<TcpListener>,
    kerberos_udp: Option<UdpSocket>,
}

impl Inherited {
    /// Takes the sockets that were handed over to this process. It can be called once.
    pub(crate) fn take() -> Result<Self, ServeError> {
        let names = std::env::var(NAMES).unwrap_or_default();
        let mut names = names.split(':');
        let mut handed = ListenFd::from_env();
        let mut inherited = Self::default();
        for at in 0..handed.len() {
            let name = names.next().unwrap_or_default();
            let taken = inherited.put(name, &mut handed, at);
            taken.map_err(|error| refused(name, error.to_string()))?;
        }
        Ok(inherited)
    }

    /// Takes the socket at this place, by its name.
    fn put(&mut self, name: &str, handed: &mut ListenFd, at: usize) -> io::Result<()> {
        let tcp = handed.take_tcp_listener(at).ok().flatten();
        match (name, tcp) {
            (HTTPS, Some(tcp)) if self.https.is_none() => self.https = Some(listener(tcp)?),
            (KERBEROS, Some(tcp)) if self.kerberos_tcp.is_none() => {
                self.kerberos_tcp = Some(listener(tcp)?);
            }
            (KERBEROS, None) if self.kerberos_udp.is_none() => {
                let udp = handed.take_udp_socket(at)?;
                let udp = udp.ok_or_else(|| io::Error::other("it is no socket"))?;
                udp.set_nonblocking(true)?;
                self.kerberos_udp = Some(UdpSocket::from_std(udp)?);
            }
            (HTTPS, None) => return Err(io::Error::other("it does not listen on TCP")),
            (HTTPS | KERBEROS, _) => return Err(io::Error::other("there is another of this name")),
            _ => return Err(io::Error::other("nothing is served on it")),
        }
        Ok(())
    }
}

fn listener(tcp: std::net::TcpListener) -> io::Result<TcpListener> {
    tcp.set_nonblocking(true)?;
    TcpListener::from_std(tcp)
}

/// The sockets that are served.
pub(crate) struct Listeners {
    pub(crate) https: TcpListener,
    pub(crate) kerberos: Option<(TcpListener, UdpSocket)>,
    pub(crate) metrics: Option<TcpListener>,
}

impl Listeners {
    /// What was handed over, and for the rest what the configuration says.
    pub(crate) async fn open(config: &Config, inherited: Inherited) -> Result<Self, ServeError> {
        let https = match inherited.https {
            Some(https) => {
                warn_of_other_port(config, &https);
                https
            }
            None => listen(config.https_listen).await?,
        };
        let kerberos = match (inherited.kerberos_tcp, inherited.kerberos_udp) {
            (Some(tcp), Some(udp)) => Some((tcp, udp)),
            (None, None) => match config.kdc_listen {
                Some(address) => Some(listen_kerberos(address).await?),
                None => None,
            },
            _ => {
                let reason = "one socket for TCP and one for UDP are needed".to_owned();
                return Err(refused(KERBEROS, reason));
            }
        };
        let metrics = match config.metrics_listen {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        Ok(Self {
            https,
            kerberos,
            metrics,
        })
    }
}

/// Clients are configured with the port of the configuration.
fn warn_of_other_port(config: &Config, https: &TcpListener) {
    let Ok(address) = https.local_addr() else {
        return;
    };
    if config.public_port.is_none() && address.port() != config.https_listen.port() {
        tracing::warn!(
            socket = %address,
            https_listen = %config.https_listen,
            "the service manager's socket has another port than `https_listen`, which clients are configured with; set `public_port` to the one that they reach"
        );
    }
}

fn refused(name: &str, reason: String) -> ServeError {
    ServeError::Inherited {
        name: name.to_owned(),
        reason,
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address)
        .await
        .map_err(|error| cannot_listen(address, &error))
}

/// TCP and UDP on the same port.
async fn listen_kerberos(address: SocketAddr) -> Result<(TcpListener, UdpSocket), ServeError> {
    let mut tries = if address.port() == 0 { PORT_TRIES } else { 1 };
    loop {
        tries -= 1;
        let tcp = listen(address).await?;
        let same = tcp
            .local_addr()
            .map_err(|error| cannot_listen(address, &error))?;
        match UdpSocket::bind(same).await {
            Ok(udp) => return Ok((tcp, udp)),
            Err(error) if tries == 0 => return Err(cannot_listen(same, &error)),
            Err(_) => {}
        }
    }
}

fn cannot_listen(address: SocketAddr, error: &io::Error) -> ServeError {
    ServeError::Listen {
        address,
        reason: match error.kind() {
            io::ErrorKind::AddrInUse => "the address is in use".into(),
            io::ErrorKind::PermissionDenied => "permission denied".into(),
            _ => error.to_string(),
        },
        taken: error.kind() == io::ErrorKind::AddrInUse,
    }
}
