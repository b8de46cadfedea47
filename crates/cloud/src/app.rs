//! What every request is handled with.

use crate::audit::Audit;
use crate::config::Config;
use crate::flood::Flood;
use crate::limits::Gate;
use crate::realms::Realms;
use axum::Router;
use crossrealm_directory::Directory;
use crossrealm_kdc::TenantId;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::sync::watch;

/// What every request is handled with. Cheap to clone.
pub(crate) type App = Arc<AppState>;

/// See [`App`].
pub(crate) struct AppState {
    pub(crate) config: Config,
    /// The private authority that clients must trust, PEM.
    pub(crate) ca_pem: Option<String>,
    pub(crate) directory: Directory,
    pub(crate) audit: Audit,
    /// Bounds the events of senders who have shown no ticket.
    pub(crate) flood: Flood,
    /// For Kerberos over TCP and UDP.
    pub(crate) realms: Realms,
    /// Requests over HTTPS under way, by their senders.
    pub(crate) requests: Arc<Gate<IpAddr>>,
    /// Ticket requests under way, by their tenants.
    pub(crate) tickets: Arc<Gate<TenantId>>,
    /// Sign-ins under way, by their senders.
    pub(crate) sign_ins: Arc<Gate<IpAddr>>,
    /// Becomes true when the server is to end; what waits for a change stops waiting then.
    pub(crate) ending: watch::Receiver<bool>,
}

/// The address that a request came from; every request carries it as an extension.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Everything that is served over HTTPS.
pub(crate) fn router(app: App) -> Router {
    let proxy = Router::new()
        .route(
            "/{tenant}/kerberos",
            axum::routing::any(crate::kdc_proxy::handle),
        )
        .with_state(Arc::clone(&app));
    proxy.merge(crate::rest::router(app))
}
