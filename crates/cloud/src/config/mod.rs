//! The configuration file, `crossrealm.toml`, and what the environment sets in its place: checked completely, unknown keys refused.

mod environment;
mod error;
#[cfg(test)]
mod reference;

use crossrealm_directory::InstallationNames;
pub(crate) use environment::KEYS;
use environment::Overrides;
pub use error::ConfigError;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

/// The largest configuration file that is read, in bytes.
const MAX_CONFIG_LEN: u64 = 1 << 20;

/// The configuration of an installation. Relative paths are relative to the folder of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The DNS domain that the operator owns; the service answers at `login.<base_domain>`.
    pub base_domain: String,
    /// The database: `sqlite:PATH`, or `postgres://USER@HOST/DATABASE` without a password.
    pub store: String,
    /// Where HTTPS is served: `ADDRESS:PORT`.
    pub https_listen: SocketAddr,
    /// Where Kerberos over TCP and UDP is served, if at all: `ADDRESS:PORT`. On a machine with several addresses, name the
    /// one that clients use: replies to datagrams must come from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kdc_listen: Option<SocketAddr>,
    /// Where `GET /metrics` is answered, if at all: `ADDRESS:PORT`. It is HTTP without TLS and without a token: an address that only
    /// the monitoring system reaches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics_listen: Option<SocketAddr>,
    /// The port that clients use, where it is not that of `https_listen` (a port forwarded by a router).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_port: Option<u16>,
    /// The file of the key that seals all other keys.
    #[serde(default = "default_master_key")]
    pub master_key: PathBuf,
    /// The folder in which this node keeps what it must remember itself, beside the database; that of `master_key` if unset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<PathBuf>,
    /// The folder with the pages of the documentation, which are read at the start and served at `/docs/`; nothing is served there without
    /// it.
    #[serde(default = "default_docs")]
    pub docs: PathBuf,
    /// The server's certificate.
    #[serde(default)]
    pub tls: Tls,
    /// What is taken from clients at most.
    #[serde(default)]
    pub limits: Limits,
}

/// The server's certificate, as PEM files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// The certificate for `login.<base_domain>`, those of intermediate authorities behind it.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The private authority that clients must trust; leave it out where the certificate is from a public one.
    pub ca: Option<PathBuf>,
}

/// What is taken from clients at most. Beyond it they are refused, not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections at once, two fifths of which may have sent something beyond TLS.
    pub connections: usize,
    /// Connections at once from one address.
    pub connections_per_address: usize,
    /// Requests over HTTPS at once, from the arrival of the head to the answer.
    pub requests: usize,
    /// Requests over HTTPS at once from one address. Less than `ticket_requests_per_tenant`, so that no single address can
    /// use up what a tenant has.
    pub requests_per_address: usize,
    /// Ticket requests under way at once.
    pub ticket_requests: usize,
    /// Ticket requests under way at once for one tenant.
    pub ticket_requests_per_tenant: usize,
    /// How long the head of a request may take to arrive, and how long a connection may idle, in seconds; while more than a
    /// fifth of `connections` is in use, it may idle for one.
    pub header_timeout_s: u64,
    /// How long the body of a request may take to arrive, in seconds.
    pub body_timeout_s: u64,
}

impl Config {
    /// Reads and checks the file at `path` and the environment, which takes precedence, and makes paths absolute or relative to
    /// the working directory.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], naming the file and the line or key.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::load_with(path, &Overrides::of_process()?)
    }

    fn load_with(path: &Path, overrides: &Overrides) -> Result<Self, ConfigError> {
        let mut config = parse(path, &read(path)?, overrides)?;
        config
            .check()
            .map_err(|(key, reason)| match overrides.sets(key) {
                Some(name) => ConfigError::Variable { name, reason },
                None => ConfigError::Value {
                    path: path.to_owned(),
                    key,
                    reason,
                },
            })?;
        config.resolve(path.parent().unwrap_or(Path::new("")));
        Ok(config)
    }

    /// The folder in which this node keeps what it must remember itself.
    pub(crate) fn state_folder(&self) -> &Path {
        let beside_key = || self.master_key.parent().unwrap_or(Path::new(""));
        self.state.as_deref().unwrap_or_else(beside_key)
    }

    /// The host name of the service.
    pub fn login_host(&self) -> String {
        format!("login.{}", self.base_domain)
    }

    /// The DNS names of the installation, which no tenant may claim.
    pub(crate) fn names(&self) -> InstallationNames {
        InstallationNames::new(&self.base_domain, &self.login_host())
    }

    /// The URL of the KDC proxy for the tenant of this id or domain.
    pub fn kdc_proxy_url(&self, tenant: &str) -> String {
        let port = self.public_port.unwrap_or(self.https_listen.port());
        format!("https://{}:{port}/{tenant}/kerberos", self.login_host())
    }

    /// The file of the database; `None` for a store that is no file.
    pub(crate) fn database_file(&self) -> Option<&Path> {
        let path = self.store.strip_prefix("sqlite:")?;
        let path = path.strip_prefix("//").unwrap_or(path);
        let path = path.split('?').next()?;
        (!path.starts_with(':')).then(|| Path::new(path))
    }

    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        check_domain(&self.base_domain).map_err(|reason| ("base_domain", reason.into()))?;
        crossrealm_directory::check_store_url(&self.store).map_err(|reason| ("store", reason))?;
        let limits = [
            ("limits.connections", self.limits.connections),
            (
                "limits.connections_per_address",
                self.limits.connections_per_address,
            ),
            ("limits.requests", self.limits.requests),
            (
                "limits.requests_per_address",
                self.limits.requests_per_address,
            ),
            ("limits.ticket_requests", self.limits.ticket_requests),
            (
                "limits.ticket_requests_per_tenant",
                self.limits.ticket_requests_per_tenant,
            ),
        ];
        if let Some((key, _)) = limits
            .iter()
            .find(|(_, value)| !(1..=1_000_000).contains(value))
        {
            return Err((key, "expected 1 to 1000000".into()));
        }
        let times = [
            ("limits.header_timeout_s", self.limits.header_timeout_s),
            ("limits.body_timeout_s", self.limits.body_timeout_s),
        ];
        if let Some((key, _)) = times.iter().find(|(_, value)| !(1..=300).contains(value)) {
            return Err((key, "expected 1 to 300 seconds".into()));
        }
        Ok(())
    }

    fn resolve(&mut self, folder: &Path) {
        for path in [
            &mut self.master_key,
            &mut self.docs,
            &mut self.tls.certificate,
            &mut self.tls.key,
        ] {
            *path = folder.join(&path);
        }
        for path in [&mut self.tls.ca, &mut self.state].into_iter().flatten() {
            *path = folder.join(&path);
        }
        self.store = resolve_store(&self.store, folder);
    }
}

/// The configuration in a text, with what the environment sets.
fn parse(path: &Path, text: &str, overrides: &Overrides) -> Result<Config, ConfigError> {
    let wrong = |error: toml::de::Error| ConfigError::Syntax {
        path: path.to_owned(),
        line: error.span().map_or(1, |span| line_of(text, span.start)),
        reason: one_line(&error),
    };
    // Errors of the file name its line. What the file alone lacks may be in the environment.
    let of_file = toml::from_str::<Config>(text);
    if overrides.is_empty() {
        return of_file.map_err(wrong);
    }
    if let Err(error) = of_file
        && !is_missing(&error)
    {
        return Err(wrong(error));
    }
    let mut table = toml::from_str::<toml::Table>(text).map_err(wrong)?;
    for (key, value) in overrides.iter() {
        environment::put(&mut table, key, value)?;
        if let Err(error) = table.clone().try_into::<Config>()
            && !is_missing(&error)
        {
            return Err(environment::refused(
                &environment::variable(key),
                one_line(&error),
            ));
        }
    }
    table.try_into().map_err(wrong)
}

/// Whether nothing is wrong but a key that is needed.
fn is_missing(error: &toml::de::Error) -> bool {
    error.message().starts_with("missing field")
}

fn one_line(error: &toml::de::Error) -> String {
    error.message().trim_end().replace('\n', "; ")
}

/// `sqlite:PATH` with the path made relative to `folder`; `sqlite://…` is complete already.
pub(crate) fn resolve_store(store: &str, folder: &Path) -> String {
    match store.strip_prefix("sqlite:") {
        Some(path) if !path.starts_with("//") && !path.starts_with(':') => {
            format!("sqlite:{}", folder.join(path).display())
        }
        _ => store.to_owned(),
    }
}

/// Checks a DNS domain of at least two labels (RFC 1123 §2.1), lower case.
fn check_domain(domain: &str) -> Result<(), &'static str> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if domain.len() > 200 || !domain.contains('.') || !domain.split('.').all(label) {
        return Err("expected a DNS domain in lower case, such as `cloud.example`");
    }
    if domain.parse::<IpAddr>().is_ok() {
        return Err("expected a DNS domain, not an address");
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |reason: String| ConfigError::Unreadable {
        path: path.to_owned(),
        reason,
    };
    let data = std::fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => ConfigError::Missing(path.to_owned()),
        _ => unreadable(error.to_string()),
    })?;
    if !data.is_file() {
        return Err(unreadable("it is not a file".into()));
    }
    if data.len() > MAX_CONFIG_LEN {
        return Err(unreadable(format!(
            "it is larger than {MAX_CONFIG_LEN} bytes"
        )));
    }
    std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|b| *b == b'\n').count()
}

fn default_master_key() -> PathBuf {
    "master.key".into()
}

fn default_docs() -> PathBuf {
    crate::documentation::INSTALLED.into()
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            certificate: "tls/login.pem".into(),
            key: "tls/login.key".into(),
            ca: None,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_address: 256,
            requests: 4096,
            requests_per_address: 256,
            ticket_requests: 1024,
            ticket_requests_per_tenant: 512,
            header_timeout_s: 15,
            body_timeout_s: 15,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("crossrealm.toml");
        std::fs::write(&path, text).unwrap();
        Config::load(&path)
    }

    const GOOD: &str = "base_domain = \"cloud.example\"\nstore = \"sqlite:x.db\"\nhttps_listen = \"127.0.0.1:443\"\n";

    #[test]
    fn defaults_and_relative_paths() {
        let config = load(GOOD).unwrap();
        assert!(config.master_key.is_absolute());
        assert!(config.store.ends_with("/x.db") && config.store.starts_with("sqlite:/"));
        assert_eq!(
            config.kdc_proxy_url("t"),
            "https://login.cloud.example:443/t/kerberos"
        );
    }

    fn load_with(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("crossrealm.toml");
        std::fs::write(&path, text).unwrap();
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Config::load_with(&path, &Overrides::of(variables.iter().map(owned))?)
    }

    #[test]
    fn the_environment_takes_precedence_over_the_file() {
        let set = [
            ("CROSSREALM_MASTER_KEY", "/run/credentials/x/master.key"),
            ("CROSSREALM_STATE", "/var/lib/crossrealm"),
            ("CROSSREALM_PUBLIC_PORT", "8443"),
            ("CROSSREALM_LIMITS_CONNECTIONS", "77"),
            ("CROSSREALM_TLS_CA", "/x/ca.pem"),
            ("CROSSREALM_KDC_LISTEN", ""),
            ("CROSSREALM_TOKEN", "of another command"),
        ];
        let config = load_with(GOOD, &set).unwrap();
        assert_eq!(
            config.master_key,
            Path::new("/run/credentials/x/master.key")
        );
        assert_eq!(config.state_folder(), Path::new("/var/lib/crossrealm"));
        assert_eq!(config.public_port, Some(8443));
        assert_eq!(config.limits.connections, 77);
        assert_eq!(config.limits.requests, Limits::default().requests);
        assert_eq!(config.tls.ca.as_deref(), Some(Path::new("/x/ca.pem")));
        assert_eq!(config.kdc_listen, None);
        let without_domain = GOOD.split_once('\n').unwrap().1;
        assert!(load_with(without_domain, &set).is_err());
        let domain = ("CROSSREALM_BASE_DOMAIN", "other.example");
        let config = load_with(without_domain, &[domain]).unwrap();
        assert_eq!(config.base_domain, "other.example");
    }

    #[test]
    fn a_wrong_variable_is_named() {
        for (name, value) in [
            ("CROSSREALM_LIMITS_CONNECTION", "5"),
            ("CROSSREALM_TLS_CERT", "x"),
            ("CROSSREALM_LIMITS_REQUESTS", "many"),
            ("CROSSREALM_LIMITS_REQUESTS", "0"),
            ("CROSSREALM_HTTPS_LISTEN", "443"),
            ("CROSSREALM_PUBLIC_PORT", "70000"),
            ("CROSSREALM_BASE_DOMAIN", "Cloud"),
        ] {
            let good = ("CROSSREALM_MASTER_KEY", "/x");
            let error = load_with(GOOD, &[good, (name, value)]).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
            assert!(error.hint().is_some());
        }
        // What is wrong in the file is reported with its line, also where a variable is set.
        let wrong = format!("{GOOD}htps_listen = 1\n");
        let error = load_with(&wrong, &[("CROSSREALM_STATE", "/x")]).unwrap_err();
        assert!(error.to_string().contains("line 4"), "{error}");
    }

    #[test]
    fn errors_name_file_line_and_key() {
        let text = |error: ConfigError| error.to_string();
        let error = text(load(&format!("{GOOD}htps_listen = 1\n")).unwrap_err());
        assert!(
            error.contains("crossrealm.toml` is wrong in line 4"),
            "{error}"
        );
        assert!(error.contains("htps_listen"), "{error}");
        let of_another_version = load(&format!("{GOOD}[limits]\nsessions = 1\n")).unwrap_err();
        assert!(of_another_version.hint().unwrap().contains("version"));
        let error = text(load("base_domain = \"cloud.example\"\nstore = 4\n").unwrap_err());
        assert!(error.contains("line 2"), "{error}");
        let error = text(load(&GOOD.replace("cloud.example", "Cloud")).unwrap_err());
        assert!(error.contains("`base_domain`"), "{error}");
        let error = text(load(&format!("{GOOD}[limits]\nconnections = 0\n")).unwrap_err());
        assert!(error.contains("`limits.connections`"), "{error}");
        let error = text(load(&GOOD.replace("sqlite:x.db", "mysql:x")).unwrap_err());
        assert!(error.contains("`store`"), "{error}");
        let with_password = "postgres://u:s3cret@db.example/x";
        let error = text(load(&GOOD.replace("sqlite:x.db", with_password)).unwrap_err());
        assert!(
            error.contains("PGPASSFILE") && !error.contains("s3cret"),
            "{error}"
        );
        let error = text(load("\u{0}\u{1}garbage").unwrap_err());
        assert!(error.contains("line 1"), "{error}");
        let missing = Config::load(Path::new("/nonexistent/crossrealm.toml")).unwrap_err();
        assert!(matches!(missing, ConfigError::Missing(_)) && missing.hint().is_some());
    }
}
