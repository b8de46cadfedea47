//! `crossrealm serve`: starts the parts in an order in which each failure has its own message, and shuts them down gracefully.

use crate::accept::Acceptor;
use crate::app::AppState;
use crate::audit::{Audit, Writer};
use crate::client_clocks::ClientClocks;
use crate::config::{Config, Tls};
use crate::documentation::Documentation;
use crate::http::connection::Listener;
use crate::kerberos::tcp_udp;
use crate::key_file;
use crate::limits::event_budget::EventBudget;
use crate::limits::open_files::fitting_connections;
use crate::limits::refusal_log::RefusalLog;
use crate::limits::{
    ConcurrencyLimit, LARGE_BODIES, LARGE_BODIES_PER_ADDRESS, SIGN_INS, SIGN_INS_PER_ADDRESS,
    bodies_of,
};
use crate::listeners::{Inherited, Listeners};
use crate::metrics::Metrics;
use crate::monitoring;
use crate::public_configs::PublicConfigs;
use crate::realms::Realms;
use crate::reload::{Reloader, speaking};
use crate::router::router;
use crate::serve_error::ServeError;
use crate::store_watch::{self, Heartbeats};
use crate::tls;
use crate::tls::renewal::{self, Renewal};
use axum::Router;
use crossrealm_directory::Directory;
use crossrealm_os::service_manager;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, RwLock};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// How long the shutdown may take before connections are closed.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a sign of life is due where nobody waits for one.
const UNWATCHED: Duration = Duration::from_secs(3600);

/// A service that listens but does not answer yet.
pub struct Server {
    https: TcpListener,
    kerberos: Option<(TcpListener, UdpSocket)>,
    metrics: Option<TcpListener>,
    tls: TlsAcceptor,
    renewal_task: Renewal,
    heartbeats: Heartbeats,
    router: Router,
    connections: Arc<ConcurrencyLimit<IpAddr>>,
    tls_files: watch::Sender<Tls>,
    app: Arc<AppState>,
    writer: Writer,
    end: watch::Sender<bool>,
}

/// Serves the installation of this configuration file until SIGTERM or SIGINT; SIGHUP reads the file again. Writes
/// `listening on https://…` to standard error once it does. Sockets that the service manager hands over take the place of those
/// of the configuration, and readiness and signs of life are reported to it.
///
/// # Errors
///
/// [`ServeError`] if it cannot start.
pub async fn serve(config: &Path) -> Result<(), ServeError> {
    let server = Server::start(Config::load(config)?, Inherited::take()?).await?;
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signals)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(ServeError::Signals)?;
    eprintln!("listening on https://{}", server.https_address());
    if let Some(address) = server.kerberos_address() {
        eprintln!("listening on {address} (Kerberos over TCP and UDP)");
    }
    if let Some(address) = server.metrics_address() {
        eprintln!("listening on http://{address}/metrics");
    }
    service_manager::ready(&format!("serving on https://{}", server.https_address()));
    let reloader = server.reloader(config);
    let reload = async {
        while hangup.recv().await.is_some() {
            service_manager::reloading();
            service_manager::ready(&reloader.reload());
        }
        std::future::pending().await
    };
    let run = server.run(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("ending");
        service_manager::stopping();
    });
    tokio::select! {
        () = run => {}
        () = reload => {}
    }
    Ok(())
}

impl Server {
    /// Reads the keys, opens the database and the ports.
    ///
    /// # Errors
    ///
    /// [`ServeError`].
    pub async fn bind(config: Config) -> Result<Self, ServeError> {
        Self::start(config, Inherited::default()).await
    }

    async fn start(config: Config, inherited: Inherited) -> Result<Self, ServeError> {
        let served = tls::load(&config)?;
        let master_key = key_file::load(&config)?;
        let Listeners {
            https,
            kerberos,
            metrics: metrics_listener,
        } = Listeners::open(&config, inherited).await?;
        let directory = Directory::open(&config.store, master_key, config.names()).await?;
        let metrics = Metrics::new();
        directory.observe_store(Box::new(metrics.store.clone()));
        let heartbeats = Heartbeats::recall(&directory, config.state_folder()).await;
        let (audit, writer) = Audit::start(directory.clone(), metrics.events_lost.clone());
        let renewal_task = Renewal::new(&config, Arc::clone(&served.current));
        let (end, ending) = watch::channel(false);
        let mut limits = config.limits;
        limits.connections = fitting_connections(limits.connections);
        let app = Arc::new(AppState {
            speaking: ConcurrencyLimit::new(
                speaking(config.limits),
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
            limits: RwLock::new(limits),
            documentation: Documentation::load(&config.docs),
            config,
            ca_pem: served.ca_pem,
            certificate: served.current,
            directory,
            audit,
            metrics,
            event_budget: EventBudget::default(),
            proxy_refusals: RefusalLog::default(),
            public_configs: PublicConfigs::default(),
            client_clocks: ClientClocks::default(),
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
            connections: ConcurrencyLimit::new(limits.connections, limits.connections_per_address),
            tls_files: watch::Sender::new(app.config.tls.clone()),
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

    /// Takes over changes of the configuration file while the service runs.
    pub(crate) fn reloader(&self, path: &Path) -> Reloader {
        Reloader {
            path: path.to_owned(),
            app: Arc::downgrade(&self.app),
            connections: Arc::clone(&self.connections),
            tls: self.tls_files.clone(),
        }
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
            tls_files,
            app,
            writer,
            end,
        } = self;
        let mut acceptor = Acceptor::new(Listener { tls, router, app }, connections);
        let app = Arc::clone(&acceptor.listener.app);
        let renewing = renewal::keep(renewal_task, tls_files.subscribe(), app.ending.clone());
        acceptor.tasks.spawn(renewing);
        let watching = store_watch::keep(app.directory.clone(), heartbeats, app.ending.clone());
        acceptor.tasks.spawn(watching);
        if let Some(listener) = metrics_listener {
            let serving = monitoring::listener::serve(listener, Arc::clone(&app));
            acceptor.tasks.spawn(serving);
        }
        let (kerberos, datagrams) = kerberos.unzip();
        if let Some(socket) = datagrams {
            acceptor
                .tasks
                .spawn(tcp_udp::serve_udp(socket, Arc::clone(&app)));
        }
        let mut stop = std::pin::pin!(stop);
        let watchdog = service_manager::watchdog_period();
        let mut sign_due = tokio::time::interval(watchdog.unwrap_or(UNWATCHED));
        loop {
            let (accepted, is_https) = tokio::select! {
                () = &mut stop => break,
                Some(_) = acceptor.tasks.join_next() => continue,
                _ = sign_due.tick() => {
                    service_manager::alive();
                    continue;
                }
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

async fn accept_from(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}
