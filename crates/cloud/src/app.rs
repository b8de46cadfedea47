//! The state that every request handler uses.

use crate::audit::Audit;
use crate::config::Config;
use crate::kerberos::realms::Realms;
use crate::limits::ConcurrencyLimit;
use crate::limits::event_flood::Flood;
use crossrealm_directory::Directory;
use crossrealm_kdc::TenantId;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::sync::watch;

/// The shared state of the request handlers. Cheap to clone.
pub(crate) type App = Arc<AppState>;

/// See [`App`].
pub(crate) struct AppState {
    pub(crate) config: Config,
    /// The private authority that clients must trust, PEM.
    pub(crate) ca_pem: Option<String>,
    pub(crate) directory: Directory,
    pub(crate) audit: Audit,
    /// Bounds the rate of events of unauthenticated senders.
    pub(crate) flood: Flood,
    /// For Kerberos over TCP and UDP.
    pub(crate) realms: Realms,
    /// Requests over HTTPS under way, by their senders.
    pub(crate) requests: Arc<ConcurrencyLimit<IpAddr>>,
    /// Ticket requests under way, by their tenants.
    pub(crate) tickets: Arc<ConcurrencyLimit<TenantId>>,
    /// Sign-ins under way, by their senders.
    pub(crate) sign_ins: Arc<ConcurrencyLimit<IpAddr>>,
    /// Becomes true on shutdown; requests that wait for a change are answered then.
    pub(crate) ending: watch::Receiver<bool>,
}

/// The address that a request came from; every request carries it as an extension.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);
