//! The server's certificate over time: renewed by the private authority that issued it, reloaded when its files change.
//!
//! A certificate of another authority is never changed. A renewal keeps the key and replaces one file atomically, so that no
//! crash leaves a certificate without its key. New connections get the new certificate; open ones keep theirs.

use crate::config::{Config, Tls};
use crate::tls::certificates;
use crate::tls::{self, Current, TlsError};
use crossrealm_os::file;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, RootCertStore, SignatureAlgorithm};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

/// How often the files are checked.
const LOOK: Duration = Duration::from_secs(5);
/// How often the expiry of the certificate is checked.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long before its expiry a certificate is renewed, or its expiry is logged, in seconds.
const EARLY_S: i64 = 30 * 24 * 3600;
/// By how much the time of day may differ from what has passed without having been set, in seconds.
const SET_BY_S: f64 = 60.0;
/// The private authority's key, beside its certificate.
const CA_KEY: &str = "ca.key";
/// A time after the expiry of any certificate: verification at it reports when the certificate expires.
const FAR_S: u64 = 1 << 40;
/// The mode of the certificate's file, as `init` creates it: it holds no secret.
const MODE: u32 = 0o644;

/// The state of the files: it differs once a file was replaced or written.
type Stamp = [Option<(u64, u64, i64, i64)>; 2];

/// Renews and reloads the served certificate.
pub(crate) struct Renewal {
    tls: Tls,
    base_domain: String,
    host: ServerName<'static>,
    current: Arc<Current>,
    seen: Stamp,
    checked: Option<Instant>,
    clock: WallClock,
}

/// Why a certificate is not renewed.
#[derive(Debug, thiserror::Error)]
enum RenewError {
    #[error("`{}`: {reason}", .path.display())]
    File { path: PathBuf, reason: io::Error },
    #[error("it cannot be made: {0}")]
    Make(#[from] rcgen::Error),
    #[error("the authority's key did not make its certificate")]
    OtherKey,
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Renews and reloads the certificate until shutdown, that of other files once the configuration names others.
pub(crate) async fn keep(
    mut renewal: Renewal,
    mut files: watch::Receiver<Tls>,
    mut ending: watch::Receiver<bool>,
) {
    loop {
        renewal.look();
        tokio::select! {
            _ = ending.wait_for(|end| *end) => return,
            Ok(()) = files.changed() => {
                let tls = files.borrow_and_update().clone();
                renewal.name_files(tls);
            }
            () = sleep(LOOK) => {}
        }
    }
}

impl Renewal {
    /// For the certificate that was just read from the files of the configuration.
    pub(crate) fn new(config: &Config, current: Arc<Current>) -> Self {
        Self {
            seen: stamp(&config.tls),
            tls: config.tls.clone(),
            base_domain: config.base_domain.clone(),
            host: tls::host(config),
            current,
            checked: None,
            clock: WallClock::now(),
        }
    }

    /// Serves the certificate in these files from now on.
    fn name_files(&mut self, tls: Tls) {
        if tls != self.tls {
            self.tls = tls;
            self.seen = Stamp::default();
        }
    }

    fn look(&mut self) {
        let seen = stamp(&self.tls);
        if seen != self.seen {
            self.seen = seen;
            match tls::pair(&self.tls, &self.host) {
                Ok(new) => {
                    self.current.set(new);
                    self.checked = None;
                    tracing::info!(certificate = %self.tls.certificate.display(), "serving the certificate that was put there");
                }
                Err(error) => tracing::error!(
                    hint = error.hint(),
                    "refused a new certificate, and serves the one before: {error}"
                ),
            }
        }
        // A clock that was set makes another certificate valid, or none.
        if self.clock.was_set() {
            self.checked = None;
        }
        if self.checked.is_none_or(|at| at.elapsed() >= DAY) {
            self.checked = Some(Instant::now());
            self.warn_of_rsa();
            self.check();
        }
    }

    /// Logs that a client of TLS 1.2 may find no suite: Windows Server 2012 R2 offers AES-GCM with ECDHE for ECDSA keys alone, and
    /// `rustls` has no other suites for that version.
    fn warn_of_rsa(&self) {
        if self.current.get().key.algorithm() == SignatureAlgorithm::RSA {
            tracing::warn!(
                certificate = %self.tls.certificate.display(),
                hint = "have a certificate issued for a key of ECDSA P-256 and put both there; they are taken into use without a restart",
                "the server's certificate has an RSA key: Windows Server 2012 R2 and Windows 8.1 share no cipher suite with this service then"
            );
        }
    }

    /// Renews the certificate, or logs its expiry, if that is near; the same if its validity only begins: it was made while
    /// this machine's clock was ahead, and clients refuse it.
    fn check(&mut self) {
        let served = self.current.get();
        let Some((leaf, _)) = served.cert.split_first() else {
            return;
        };
        let Some(end_s) = end(leaf, &self.host) else {
            return;
        };
        let now = OffsetDateTime::now_utc();
        let is_early = begins_later(leaf, &self.host, now.unix_timestamp());
        if end_s - now.unix_timestamp() > EARLY_S && !is_early {
            return;
        }
        let ends = OffsetDateTime::from_unix_timestamp(end_s).map(|end| end.date().to_string());
        let ends = ends.unwrap_or_default();
        let certificate = self.tls.certificate.display().to_string();
        let Some((ca, ca_key)) = self.authority(leaf, end_s) else {
            tracing::error!(
                %ends, %certificate,
                hint = "the private authority of this installation did not make it, or its key `ca.key` is gone: renew it where it came from and put it there; it is taken into use without a restart",
                is_early,
                "the server's certificate ends soon or is not valid yet; clients refuse it then"
            );
            return;
        };
        match self.renew(&ca, &ca_key, now) {
            Ok(()) => tracing::info!(%certificate, was = %ends, "renewed the server's certificate"),
            Err(error) => tracing::error!(
                %ends, %certificate,
                hint = "put that right; it is tried again every day and at every start",
                "cannot renew the server's certificate: {error}"
            ),
        }
    }

    /// Certificate and key of the private authority, if both are present and it issued this certificate.
    fn authority(
        &self,
        leaf: &CertificateDer<'_>,
        end_s: i64,
    ) -> Option<(CertificateDer<'static>, PathBuf)> {
        let path = self.tls.ca.as_deref()?;
        let key = path.with_file_name(CA_KEY);
        let [ca] =
            <[_; 1]>::try_from(tls::certificates(path, "certificate authority").ok()?).ok()?;
        // Also for an expired certificate: only its issuer counts.
        let valid = end_s.min(OffsetDateTime::now_utc().unix_timestamp());
        // Also for one whose validity only begins: at its end it is valid.
        let is_own = [valid, end_s]
            .into_iter()
            .any(|at| verify(leaf, &ca, &self.host, at).is_ok());
        (is_own && key.is_file()).then_some((ca, key))
    }

    fn renew(
        &mut self,
        ca: &CertificateDer<'_>,
        ca_key: &Path,
        now: OffsetDateTime,
    ) -> Result<(), RenewError> {
        let (ca_key, key) = (secret(ca_key)?, secret(&self.tls.key)?);
        let keys = certificates::Keys {
            ca: &ca_key,
            server: &key,
        };
        let pem = certificates::renew(&self.base_domain, keys, now)?;
        let leaf = CertificateDer::from_pem_slice(pem.as_bytes());
        let leaf = leaf.map_err(|_| RenewError::OtherKey)?;
        verify(&leaf, ca, &self.host, now.unix_timestamp()).map_err(|_| RenewError::OtherKey)?;
        let path = &self.tls.certificate;
        file::replace(path, pem.as_bytes(), MODE).map_err(|reason| file_error(path, reason))?;
        self.seen = stamp(&self.tls);
        self.current.set(tls::pair(&self.tls, &self.host)?);
        Ok(())
    }
}

/// Whether an authority issued a certificate for this host that is valid at a time, Unix seconds.
fn verify(
    leaf: &CertificateDer<'_>,
    ca: &CertificateDer<'_>,
    host: &ServerName<'_>,
    at_s: i64,
) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone().into_owned())?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    let at = Duration::from_secs(u64::try_from(at_s).unwrap_or_default());
    let at = UnixTime::since_unix_epoch(at);
    verifier
        .verify_server_cert(leaf, &[], host, &[], at)
        .map(drop)
}

/// When a certificate expires, Unix seconds, by any issuer: verification checks the time before the issuer.
pub(crate) fn end(leaf: &CertificateDer<'_>, host: &ServerName<'_>) -> Option<i64> {
    let far = i64::try_from(FAR_S).ok()?;
    match verify(leaf, leaf, host, far) {
        Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext {
            not_after,
            ..
        })) => i64::try_from(not_after.as_secs()).ok(),
        _ => None,
    }
}

/// Whether a certificate is not valid yet at a time, Unix seconds.
fn begins_later(leaf: &CertificateDer<'_>, host: &ServerName<'_>, at_s: i64) -> bool {
    matches!(
        verify(leaf, leaf, host, at_s),
        Err(rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }
        ))
    )
}

/// The time of day beside a clock that nobody sets.
struct WallClock {
    at: Instant,
    wall: OffsetDateTime,
}

impl WallClock {
    fn now() -> Self {
        Self {
            at: Instant::now(),
            wall: OffsetDateTime::now_utc(),
        }
    }

    /// Whether the time of day was set since the last call.
    fn was_set(&mut self) -> bool {
        let before = std::mem::replace(self, Self::now());
        let passed = self.at.duration_since(before.at).as_secs_f64();
        let shown = (self.wall - before.wall).as_seconds_f64();
        (shown - passed).abs() > SET_BY_S
    }
}

fn stamp(tls: &Tls) -> Stamp {
    [&tls.certificate, &tls.key].map(|path| {
        let data = fs::metadata(path).ok()?;
        Some((data.ino(), data.len(), data.mtime(), data.mtime_nsec()))
    })
}

fn secret(path: &Path) -> Result<Zeroizing<String>, RenewError> {
    let text = fs::read_to_string(path).map_err(|reason| file_error(path, reason))?;
    Ok(Zeroizing::new(text))
}

fn file_error(path: &Path, reason: io::Error) -> RenewError {
    let path = path.to_owned();
    RenewError::File { path, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::test_support;

    async fn installed(folder: &Path) -> Config {
        Config::load(&test_support::installed(folder).await).unwrap()
    }

    fn keys<'a>(ca: &'a str, server: &'a str) -> certificates::Keys<'a> {
        certificates::Keys { ca, server }
    }

    /// R8: a certificate that was renewed while the clock was two years ahead is not valid yet once the clock is right; it is
    /// renewed at once, not in two years.
    #[tokio::test]
    async fn a_certificate_from_the_future_is_renewed() {
        let folder = tempfile::tempdir().unwrap();
        let config = installed(folder.path()).await;
        let now = OffsetDateTime::now_utc();
        let read = |path: &Path| fs::read_to_string(path).unwrap();
        let (ca_key, key) = (
            read(&folder.path().join("tls/ca.key")),
            read(&config.tls.key),
        );
        let ahead = now + time::Duration::days(730);
        let early = certificates::renew("cloud.example", keys(&ca_key, &key), ahead).unwrap();
        fs::write(&config.tls.certificate, early).unwrap();

        let current = tls::load(&config).unwrap().current;
        let mut renewal = Renewal::new(&config, Arc::clone(&current));
        let is_early = |current: &Current| {
            begins_later(
                &current.get().cert[0],
                &renewal_host(),
                now.unix_timestamp(),
            )
        };
        assert!(is_early(&current));
        renewal.look();
        assert!(!is_early(&current));
        let renewed = read(&config.tls.certificate);
        renewal.checked = None;
        renewal.look();
        assert_eq!(read(&config.tls.certificate), renewed, "renewed again");
    }

    /// F16: clients refuse a certificate for another name, so the one before is served on, and none is served at a start.
    #[tokio::test]
    async fn f16_a_certificate_for_another_name_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let config = installed(folder.path()).await;
        let served = tls::load(&config).unwrap().current;
        let before = served.get();
        let mut renewal = Renewal::new(&config, Arc::clone(&served));
        let ca_key = fs::read_to_string(folder.path().join("tls/ca.key")).unwrap();
        let key = fs::read_to_string(&config.tls.key).unwrap();
        let now = OffsetDateTime::now_utc();
        for (domain, is_taken) in [("other.example", false), ("cloud.example", true)] {
            let pem = certificates::renew(domain, keys(&ca_key, &key), now).unwrap();
            fs::write(&config.tls.certificate, pem).unwrap();
            renewal.look();
            assert_eq!(served.get().cert != before.cert, is_taken, "{domain}");
            if !is_taken {
                let refused = tls::load(&config).err().unwrap().to_string();
                assert!(
                    refused.contains("is not for `login.cloud.example`"),
                    "{refused}"
                );
                assert!(refused.contains("login.other.example"), "{refused}");
            }
        }
    }

    fn renewal_host() -> ServerName<'static> {
        ServerName::try_from("login.cloud.example").unwrap()
    }
}
