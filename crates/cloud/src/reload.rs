//! Reading the configuration again while the service runs. A configuration that is wrong in any part changes nothing.

use crate::app::AppState;
use crate::config::{Config, KEYS, Limits, Tls};
use crate::limits::open_files::fitting_connections;
use crate::limits::{ConcurrencyLimit, bodies_of};
use crate::serve_error::ServeError;
use crate::tls;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use tokio::sync::watch;

/// The keys that are put into effect without a restart.
pub(crate) const RELOADED: &[&str] = &[
    "tls.certificate",
    "tls.key",
    "limits.connections",
    "limits.connections_per_address",
    "limits.requests",
    "limits.requests_per_address",
    "limits.ticket_requests",
    "limits.ticket_requests_per_tenant",
    "limits.header_timeout_s",
    "limits.body_timeout_s",
];

/// Whether the key is one of them.
pub(crate) fn is_reloaded(key: &str) -> bool {
    RELOADED.contains(&key)
}

/// Takes over what has changed in the configuration file.
pub(crate) struct Reloader {
    pub(crate) path: PathBuf,
    /// Not an owner: the end of the service waits for the last one.
    pub(crate) app: Weak<AppState>,
    pub(crate) connections: Arc<ConcurrencyLimit<IpAddr>>,
    pub(crate) tls: watch::Sender<Tls>,
}

impl Reloader {
    /// Reads the file and takes it over. The outcome is logged, and returned in one line.
    pub(crate) fn reload(&self) -> String {
        match self.try_reload() {
            Ok(waiting) if waiting.is_empty() => {
                tracing::info!(path = %self.path.display(), "took over the configuration");
                "serving; the configuration was read again".to_owned()
            }
            Ok(waiting) => {
                let keys = waiting.join(", ");
                tracing::warn!(
                    path = %self.path.display(), %keys,
                    "took over the configuration but for keys that need a restart"
                );
                format!("serving; changed keys that need a restart: {keys}")
            }
            Err(error) => {
                tracing::error!(
                    hint = error.hint(),
                    "did not take over the configuration, and serves on with the one before: {error}"
                );
                format!("serving with the configuration of before: {error}")
            }
        }
    }

    /// Returns the keys that have changed but need a restart.
    fn try_reload(&self) -> Result<Vec<&'static str>, ServeError> {
        let new = Config::load(&self.path)?;
        let Some(app) = self.app.upgrade() else {
            return Ok(Vec::new());
        };
        let tls = Tls {
            ca: app.config.tls.ca.clone(),
            ..new.tls.clone()
        };
        tls::pair(&tls, &tls::host(&app.config))?;
        let mut limits = new.limits;
        limits.connections = fitting_connections(limits.connections);
        app.set_limits(limits);
        self.connections
            .set(limits.connections, limits.connections_per_address);
        self.tls.send_replace(tls);
        Ok(changed(&app.config, &new))
    }
}

impl AppState {
    /// Sets the limits of everything but connections, which the acceptor counts.
    pub(crate) fn set_limits(&self, limits: Limits) {
        self.speaking
            .set(speaking(limits), limits.connections_per_address);
        self.requests
            .set(limits.requests, limits.requests_per_address);
        self.bodies.set(
            bodies_of(limits.requests),
            bodies_of(limits.requests_per_address),
        );
        self.tickets
            .set(limits.ticket_requests, limits.ticket_requests_per_tenant);
        self.keep_limits(limits);
    }
}

/// How many connections may have sent something beyond TLS.
pub(crate) fn speaking(limits: Limits) -> usize {
    (limits.connections * 2).div_ceil(5)
}

/// The keys whose values differ, of those that need a restart.
fn changed(old: &Config, new: &Config) -> Vec<&'static str> {
    let (old, new) = (values(old), values(new));
    let keys = KEYS.iter().copied().filter(|key| !is_reloaded(key));
    keys.filter(|key| value(&old, key) != value(&new, key))
        .collect()
}

fn values(config: &Config) -> toml::Table {
    toml::Table::try_from(config).unwrap_or_default()
}

fn value<'a>(table: &'a toml::Table, key: &str) -> Option<&'a toml::Value> {
    match key.split_once('.') {
        None => table.get(key),
        Some((of, name)) => table.get(of)?.get(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Server;
    use crate::init::test_support::installed;
    use std::fs;

    #[tokio::test]
    async fn what_can_be_reloaded_is_and_the_rest_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = installed(folder.path()).await;
        let server = Server::bind(Config::load(&path).unwrap()).await.unwrap();
        let reloader = server.reloader(&path);
        let text = fs::read_to_string(&path).unwrap();

        let app = server.app();
        let sender = "192.0.2.1".parse().unwrap();
        let held = app.requests.try_acquire(sender).unwrap();
        let fewer = text.replace("requests_per_address = 256", "requests_per_address = 1");
        let fewer = fewer.replace("body_timeout_s = 15", "body_timeout_s = 7");
        assert_ne!(fewer, text);
        fs::write(
            &path,
            fewer.replace("https_listen", "public_port = 8443\nhttps_listen"),
        )
        .unwrap();
        assert!(reloader.reload().ends_with("need a restart: public_port"));
        assert_eq!(app.limits().body_timeout_s, 7);
        assert!(app.requests.try_acquire(sender).is_none());
        drop(held);
        assert!(app.requests.try_acquire(sender).is_some());
        assert_eq!(app.config.public_port, None);

        fs::write(&path, fewer).unwrap();
        assert_eq!(
            reloader.reload(),
            "serving; the configuration was read again"
        );
    }

    #[tokio::test]
    async fn a_wrong_configuration_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = installed(folder.path()).await;
        let server = Server::bind(Config::load(&path).unwrap()).await.unwrap();
        let reloader = server.reloader(&path);
        let text = fs::read_to_string(&path).unwrap();
        let fewer = text.replace("requests = 4096", "requests = 5");
        for (wrong, word) in [
            (format!("{fewer}unknown = 1\n"), "unknown"),
            (fewer.replace("tls/login.pem", "tls/none.pem"), "none.pem"),
            (fewer.replace("tls/login.key", "tls/ca.key"), "ca.key"),
            (
                fewer.replace("connections = 10000", "connections = 0"),
                "limits.connections",
            ),
        ] {
            assert_ne!(wrong, fewer);
            fs::write(&path, wrong).unwrap();
            let said = reloader.reload();
            assert!(
                said.starts_with("serving with the configuration of before") && said.contains(word),
                "{said}"
            );
            assert_eq!(server.app().limits().requests, 4096);
        }
        fs::write(&path, fewer).unwrap();
        assert!(reloader.reload().starts_with("serving; "));
        assert_eq!(server.app().limits().requests, 5);
    }
}
