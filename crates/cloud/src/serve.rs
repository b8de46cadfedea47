//! `crossrealm serve`: starts the parts in an order in which each failure has its own message, and shuts them down gracefully.

use crate::accept::Acceptor;
use crate::app::AppState;
use crate::audit::{Audit, Writer};
use crate::config::{Config, ConfigError};
use crate::http::connection::Listener;
use crate::kerberos::kdc_proxy::RefusalLog;
use crate::kerberos::tcp_udp;
use crate::limits::event_budget::EventBudget;
use crate::limits::{
    ConcurrencyLimit, LARGE_BODIES, LARGE_BODIES_PER_ADDRESS, SHED_CONNECTIONS, SIGN_INS,
    SIGN_INS_PER_ADDRESS, bodies_of,
};
use crate::metrics::{self, Metrics};
use crate::public_configs::PublicConfigs;
use crate::realms::Realms;
use crate::router::router;
use crate::store_watch::{self, Heartbeats};
use crate::tls::renewal::{self, Renewal};
use crate::tls::{self, TlsError};
use axum::Router;
use crossrealm_directory::{Directory, DirectoryError, MasterKey, MasterKeyError};
use crossrealm_os::open_files;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// How long the shutdown may take before connections are closed.
const PATIENCE: Duration = Duration::from_secs(20);
/// Open files beside connections: the database, the log, listeners, files that are read for a moment.
const OTHER_FILES: usize = 128;
/// How many times to try for a port that is free for both TCP and UDP, if the system chooses it.
const PORT_TRIES: usize = 8;

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The master key cannot be used.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    /// The database that `init` created is missing. A new one would make an empty service under the same name.
    #[error("the database `{}` does not exist", .0.display())]
    NoDatabase(PathBuf),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] DirectoryError),
    /// A node of the service uses the database.
    #[error("a node of the service is running: it wrote to the database in the last seconds")]
    IsServed,
    /// The port cannot be listened on.
    #[error("cannot listen on `{address}`: {reason}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        reason: String,
        /// Whether something listens there already.
        taken: bool,
    },
    /// The operating system refuses to report signals.
    #[error("cannot wait for signals: {0}")]
    Signals(io::Error),
}

impl ServeError {
    /// The next step, if it is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Config(error) => error.hint(),
            Self::Tls(error) => error.hint(),
            Self::MasterKey(error) => error.hint().map(ToOwned::to_owned),
            Self::NoDatabase(_) => Some(
                "restore it from your backup, or see that its disk is mounted; a new installation makes one".into(),
            ),
            Self::Store(error) => error.hint().map(ToOwned::to_owned),
            Self::Listen { taken: true, .. } => Some(
                "another program listens there, perhaps another instance of this service: stop it, or change `https_listen` or `kdc_listen` in the configuration".into(),
            ),
            Self::Listen { .. } => Some(
                "check the address in the configuration; ports below 1024 need root or CAP_NET_BIND_SERVICE".into(),
            ),
            Self::IsServed => Some("stop every node that uses this database".into()),
            Self::Signals(_) => None,
        }
    }
}

/// A service that listens but does not answer yet.
pub struct Server {
    https: TcpListener,
    kerberos: Option<(TcpListener, UdpSocket)>,
    metrics: Option<TcpListener>,
    tls: TlsAcceptor,
    renewal_task: Renewal,
    heartbeats: Heartbeats,
    router: Router,
    /// The most connections at once.
    connections: usize,
    app: Arc<AppState>,
    writer: Writer,
    end: watch::Sender<bool>,
}

/// Serves the installation of this configuration file until SIGTERM or SIGINT. Writes `listening on https://…` to standard
/// error once it does.
///
/// # Errors
///
/// [`ServeError`] if it cannot start.
pub async fn serve(config: &Path) -> Result<(), ServeError> {
    let server = Server::bind(Config::load(config)?).await?;
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signals)?;
    eprintln!("listening on https://{}", server.https_address());
    if let Some(address) = server.kerberos_address() {
        eprintln!("listening on {address} (Kerberos over TCP and UDP)");
    }
    server
        .run(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!("ending");
        })
        .await;
    Ok(())
}

impl Server {
    /// Reads the keys, opens the database and the ports.
    ///
    /// # Errors
    ///
    /// [`ServeError`].
    pub async fn bind(config: Config) -> Result<Self, ServeError> {
        let served = tls::load(&config)?;
        let master_key = MasterKey::load(&config.master_key)?;
        match config.database_file() {
            Some(path) if !path.exists() => return Err(ServeError::NoDatabase(path.to_owned())),
            _ => {}
        }
        let https = listen(config.https_listen).await?;
        let kerberos = match config.kdc_listen {
            Some(address) => Some(listen_kerberos(address).await?),
            None => None,
        };
        let metrics_listener = match config.metrics_listen {
            Some(address) => Some(listen(address).await?),
            None => None,
        };
        let directory = Directory::open(&config.store, master_key, config.names()).await?;
        let heartbeats = Heartbeats::recall(&directory, &config.master_key).await;
        let metrics = Metrics::new();
        let (audit, writer) = Audit::start(directory.clone(), metrics.events_lost.clone());
        let renewal_task = Renewal::new(&config, Arc::clone(&served.current));
        let (end, ending) = watch::channel(false);
        let limits = &config.limits;
        let app = Arc::new(AppState {
            speaking: ConcurrencyLimit::new(
                (limits.connections * 2).div_ceil(5),
                limits.connections_per_address,
            ),
            requests: ConcurrencyLimit::new(limits.requests, limits.requests_per_address),
            bodies: ConcurrencyLimit::new(
                bodies_of(limits.requests),
                bodies_of(limits.requests_per_address),
            ),
            large_bodies: ConcurrencyLimit::new(LARGE_BODIES, LARGE_BODIES_PER_ADDRESS),
            tickets: ConcurrencyLimit::new(
                limits.ticket_requests,
                limits.ticket_requests_per_tenant,
            ),
            sign_ins: ConcurrencyLimit::new(SIGN_INS, SIGN_INS_PER_ADDRESS),
            config,
            ca_pem: served.ca_pem,
            certificate: served.current,
            directory,
            audit,
            metrics,
            event_budget: EventBudget::default(),
            proxy_refusals: RefusalLog::default(),
            public_configs: PublicConfigs::default(),
            realms: Realms::default(),
            ending,
        });
        Ok(Self {
            https,
            kerberos,
            metrics: metrics_listener,
            tls: TlsAcceptor::from(served.config),
            renewal_task,
            heartbeats,
            router: router(Arc::clone(&app)),
            connections: fitting_connections(app.config.limits.connections),
            app,
            writer,
            end,
        })
    }

    /// Where HTTPS is served; with port 0 in the configuration, the port that the system chose.
    pub fn https_address(&self) -> SocketAddr {
        self.https
            .local_addr()
            .unwrap_or(self.app.config.https_listen)
    }

    /// Where Kerberos over TCP and UDP is served, if it is.
    pub fn kerberos_address(&self) -> Option<SocketAddr> {
        self.kerberos
            .as_ref()
            .and_then(|(listener, _)| listener.local_addr().ok())
    }

    /// Where the metrics are served, if they are.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics
            .as_ref()
            .and_then(|listener| listener.local_addr().ok())
    }

    #[cfg(test)]
    pub(crate) fn app(&self) -> &Arc<AppState> {
        &self.app
    }

    /// Serves until `stop` resolves; then accepts nothing new, answers the requests under way, and writes the last events.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self {
            https,
            kerberos,
            metrics: metrics_listener,
            tls,
            renewal_task,
            heartbeats,
            router,
            connections,
            app,
            writer,
            end,
        } = self;
        let mut acceptor = Acceptor::new(Listener { tls, router, app }, connections);
        let app = Arc::clone(&acceptor.listener.app);
        let renewing = renewal::keep(renewal_task, app.ending.clone());
        acceptor.tasks.spawn(renewing);
        let watching = store_watch::keep(app.directory.clone(), heartbeats, app.ending.clone());
        acceptor.tasks.spawn(watching);
        if let Some(listener) = metrics_listener {
            let serving = metrics::listener::serve(listener, Arc::clone(&app));
            acceptor.tasks.spawn(serving);
        }
        let (kerberos, datagrams) = kerberos.unzip();
        if let Some(socket) = datagrams {
            acceptor
                .tasks
                .spawn(tcp_udp::serve_udp(socket, Arc::clone(&app)));
        }
        let mut stop = std::pin::pin!(stop);
        loop {
            let (accepted, is_https) = tokio::select! {
                () = &mut stop => break,
                Some(_) = acceptor.tasks.join_next() => continue,
                accepted = https.accept() => (accepted, true),
                accepted = accept_from(kerberos.as_ref()) => (accepted, false),
            };
            match accepted {
                Ok((stream, peer)) => acceptor.take(stream, peer, is_https),
                Err(error) => acceptor.pause(&error).await,
            }
        }
        drop((https, kerberos));
        end.send_replace(true);
        let mut tasks = acceptor.into_tasks();
        let ended = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(PATIENCE, ended).await.is_err() {
            tracing::warn!("cutting connections that did not end");
        }
        tasks.shutdown().await;
        let directory = app.directory.clone();
        // The audit's writer ends once every sender is dropped.
        drop(app);
        writer.finish(PATIENCE).await;
        directory.close().await;
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

async fn accept_from(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

/// How many connections can be open at once: as many as are configured, if the operating system permits as many open files.
fn fitting_connections(configured: usize) -> usize {
    let besides = SHED_CONNECTIONS + OTHER_FILES;
    let wanted = configured + besides;
    let permitted = open_files::raise(wanted as u64);
    let permitted = usize::try_from(permitted).unwrap_or(usize::MAX);
    if permitted >= wanted {
        return configured;
    }
    let fitting = permitted.saturating_sub(besides).max(1);
    tracing::warn!(
        configured,
        fitting,
        open_files = permitted,
        needed = wanted,
        "the operating system permits too few open files for `limits.connections`: fewer are served at once; raise the hard limit (`LimitNOFILE` of systemd, `ulimit -Hn`)"
    );
    fitting
}
