//! The state that every request handler uses.

use crate::audit::Audit;
use crate::client_clocks::ClientClocks;
use crate::config::{Config, Limits};
use crate::documentation::Documentation;
use crate::limits::event_budget::EventBudget;
use crate::limits::refusal_log::RefusalLog;
use crate::limits::{ConcurrencyLimit, sender};
use crate::metrics::Metrics;
use crate::public_configs::PublicConfigs;
use crate::realms::Realms;
use crate::tls::Current;
use crossrealm_directory::Directory;
use crossrealm_kdc::TenantId;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::watch;

/// The shared state of the request handlers. Cheap to clone.
pub(crate) type App = Arc<AppState>;

/// See [`App`].
pub(crate) struct AppState {
    /// As it was at the start.
    pub(crate) config: Config,
    /// The limits of now: they are reloaded.
    pub(crate) limits: RwLock<Limits>,
    /// The private authority that clients must trust, PEM.
    pub(crate) ca_pem: Option<String>,
    /// The certificate that new connections get.
    pub(crate) certificate: Arc<Current>,
    pub(crate) directory: Directory,
    pub(crate) audit: Audit,
    pub(crate) metrics: Metrics,
    /// Bounds the rate of events of unauthenticated senders.
    pub(crate) event_budget: EventBudget,
    /// Bounds the log lines about requests to the KDC proxy that leave no event.
    pub(crate) proxy_refusals: RefusalLog,
    /// The pages below `/docs/`.
    pub(crate) documentation: Documentation,
    /// What clients are configured with, for callers without a token.
    pub(crate) public_configs: PublicConfigs,
    /// What clients' authenticators say of this machine's clock.
    pub(crate) client_clocks: ClientClocks,
    /// For Kerberos over TCP and UDP.
    pub(crate) realms: Realms,
    /// Connections over HTTPS on which a client has sent something, by their senders: they take three times the memory of
    /// silent ones.
    pub(crate) speaking: Arc<ConcurrencyLimit<IpAddr>>,
    /// Requests over HTTPS under way, by their senders.
    pub(crate) requests: Arc<ConcurrencyLimit<IpAddr>>,
    /// The bytes of the bodies in flight, by their senders.
    pub(crate) bodies: Arc<ConcurrencyLimit<IpAddr>>,
    /// The same for endpoints that take large bodies.
    pub(crate) large_bodies: Arc<ConcurrencyLimit<IpAddr>>,
    /// Ticket requests under way, by their tenants.
    pub(crate) tickets: Arc<ConcurrencyLimit<TenantId>>,
    /// Sign-ins under way, by their senders.
    pub(crate) sign_ins: Arc<ConcurrencyLimit<IpAddr>>,
    /// Becomes true on shutdown; requests that wait for a change are answered then.
    pub(crate) ending: watch::Receiver<bool>,
}

impl AppState {
    /// The limits that are in force.
    pub(crate) fn limits(&self) -> Limits {
        *self.limits.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn keep_limits(&self, limits: Limits) {
        *self.limits.write().unwrap_or_else(PoisonError::into_inner) = limits;
    }
}

/// The address that a request came from; every request carries it as an extension.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

impl Peer {
    /// The part of the address by which limits count.
    pub(crate) fn sender(self) -> IpAddr {
        sender(self.0.ip())
    }
}
