//! The sync agent as a service: one run after the other until stopped, and beside them the scheduled rotation of the trust key.

use super::lease::Lease;
use super::session::SyncSession;
use crate::comparison::SyncJob;
use crate::connect::DomainTarget;
use crate::error::AgentError;
use crate::progress::{Event, Progress};
use crate::trust::rotation::TrustRotator;
use crossrealm_onprem::credentials::DomainCredentials;
use crossrealm_onprem::sync::SyncMode;
use crossrealm_os::retry;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// The first and the longest pause after a failure.
const FIRST_BACK_OFF: Duration = Duration::from_secs(1);
const MAX_BACK_OFF: Duration = Duration::from_secs(60);
/// How often the agent reports to the tenant that it is up to date if nothing changes.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(60);
/// How often objects that failed are tried again where nothing changes.
const RETRY_EVERY: Duration = Duration::from_secs(60);
/// How long the release of the lease may take at the end.
const RELEASE_LIMIT: Duration = Duration::from_secs(5);

/// How the service runs.
pub struct ServiceOptions<'a> {
    /// What is synchronized.
    pub job: SyncJob<'a>,
    /// The time from the end of one run to the start of the next.
    pub interval: Duration,
    /// The age at which the trust key is rotated; `None` for no scheduled rotation.
    pub rotate_trust_every: Option<Duration>,
    /// Reads the credentials again after a failure: a password may have been changed. `None` keeps the present ones.
    pub reload_credentials: &'a (dyn Fn() -> Option<DomainCredentials> + Sync),
}

/// Runs again and again until `stop` ends. A run that fails is reported and tried again, after ever longer pauses: a domain
/// controller or the service may be away for a while, and the last state stays in force meanwhile. A run that is cut off is finished
/// by the next one.
pub async fn run(
    options: ServiceOptions<'_>,
    credentials: DomainCredentials,
    progress: &dyn Progress,
    stop: impl Future<Output = ()>,
) {
    let job = &options.job;
    let mut service = Service {
        lease: Lease::new(job.client.clone(), job.tenant, job.domain),
        session: SyncSession::default(),
        rotator: options.rotate_trust_every.map(TrustRotator::new),
        applied: None,
        retried: None,
        refused: RefusedCredentials::default(),
        options,
        credentials,
        progress,
    };
    tokio::select! {
        () = service.repeat() => {}
        () = stop => {}
    }
    // Without an answer the lease expires by itself.
    let _ = tokio::time::timeout(RELEASE_LIMIT, service.lease.release(None)).await;
}

struct Service<'a> {
    options: ServiceOptions<'a>,
    credentials: DomainCredentials,
    progress: &'a dyn Progress,
    lease: Lease,
    session: SyncSession,
    rotator: Option<TrustRotator>,
    /// When a run last wrote to the tenant.
    applied: Option<Instant>,
    /// When objects that failed were last tried again.
    retried: Option<Instant>,
    refused: RefusedCredentials,
}

/// The credentials that the domain refused, if it did. They are not tried again: a domain locks the account after a few
/// attempts, and with it everything else that uses the account.
#[derive(Default)]
struct RefusedCredentials(Option<Zeroizing<Vec<u8>>>);

impl RefusedCredentials {
    /// Whether these, as they would be presented, may be tried: they are not the refused ones.
    fn permits(&mut self, presented: &Zeroizing<Vec<u8>>) -> bool {
        if self.0.as_ref() == Some(presented) {
            return false;
        }
        self.0 = None;
        true
    }

    fn note(&mut self, presented: Zeroizing<Vec<u8>>) {
        self.0 = Some(presented);
    }
}

impl Service<'_> {
    async fn repeat(&mut self) {
        let interval = self.options.interval;
        let mut failures = 0u32;
        loop {
            let presented = self.credentials.presented();
            if !self.refused.permits(&presented) {
                tokio::time::sleep(back_off(interval, 1)).await;
                self.reload();
                continue;
            }
            let pause = match self.run_once().await {
                Ok(()) => {
                    failures = 0;
                    interval
                }
                Err(error) if error.refuses_credentials() => {
                    self.stop_until_changed(presented, &error).await;
                    continue;
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    let retry_in = back_off(interval, failures);
                    self.progress.report(Event::SyncFailed {
                        error: &error,
                        retry_in,
                    });
                    self.reset(&error).await;
                    retry_in
                }
            };
            if let Some(rotator) = &mut self.rotator {
                let job = &self.options.job;
                let target = DomainTarget {
                    domain: job.domain,
                    dc: job.dc,
                    credentials: &self.credentials,
                };
                let refused = rotator
                    .check_key_rotation(job.client, job.tenant, &target, self.progress)
                    .await;
                if let Some(error) = refused {
                    self.stop_until_changed(presented, &error).await;
                    continue;
                }
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Stops until the credentials are others than those that were presented.
    async fn stop_until_changed(&mut self, presented: Zeroizing<Vec<u8>>, error: &AgentError) {
        self.refused.note(presented);
        self.progress.report(Event::CredentialsRefused { error });
        self.reset(error).await;
    }

    /// After a failure nothing is reused: not the connection, not the tenant's state, not the lease, so that another agent may
    /// try.
    async fn reset(&mut self, error: &AgentError) {
        self.session = SyncSession::default();
        self.lease.release(Some(error.to_string())).await;
        self.reload();
    }

    fn reload(&mut self) {
        if let Some(credentials) = (self.options.reload_credentials)() {
            self.credentials = credentials;
        }
    }

    async fn run_once(&mut self) -> Result<(), AgentError> {
        if let Some(other) = self.lease.acquire().await? {
            self.progress.report(Event::Waiting(&other.holder));
            return Ok(());
        }
        let job = &self.options.job;
        let retry = self.retried.is_none_or(|at| at.elapsed() >= RETRY_EVERY);
        if retry {
            self.retried = Some(Instant::now());
        }
        let mode = SyncMode { full: false, retry };
        let began = Instant::now();
        let mut comparison = self
            .session
            .compare(job, &self.credentials, mode, self.progress)
            .await?;
        let is_recent = self
            .applied
            .is_some_and(|at| at.elapsed() < HEARTBEAT_EVERY);
        if comparison.is_idle() && is_recent {
            self.session.advance_cursor(&comparison);
            self.progress.report(Event::Idle);
            return Ok(());
        }
        comparison.check_deletions(job).await?;
        let result = self
            .session
            .apply(job, self.lease.holder(), &comparison, self.progress)
            .await?;
        self.applied = Some(Instant::now());
        self.progress.report(Event::Synced {
            comparison: &comparison,
            result: &result,
            took: began.elapsed(),
        });
        Ok(())
    }
}

/// The pause after so many failures in a row: twice as long each time, never shorter than the interval.
fn back_off(interval: Duration, failures: u32) -> Duration {
    retry::delay(FIRST_BACK_OFF, failures.saturating_sub(1), MAX_BACK_OFF).max(interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F3: a refused password is not tried again until it is another one, and then for as long as that is not refused.
    #[test]
    fn refused_credentials_are_not_tried_again_until_they_change() {
        let with = |password: &str| {
            let credentials = DomainCredentials::Password {
                user: "svc-sync".to_owned(),
                password: password.to_owned().into(),
            };
            credentials.presented()
        };
        let mut refused = RefusedCredentials::default();
        assert!(refused.permits(&with("old")));
        refused.note(with("old"));
        for _ in 0..3 {
            assert!(!refused.permits(&with("old")));
        }
        assert!(refused.permits(&with("new")));
        refused.note(with("new"));
        assert!(!refused.permits(&with("new")));
        // A keytab is compared by what it holds.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("svc-sync.keytab");
        let keytab = DomainCredentials::Keytab {
            path: path.clone(),
            user: None,
        };
        std::fs::write(&path, b"one").unwrap();
        refused.note(keytab.presented());
        assert!(!refused.permits(&keytab.presented()));
        std::fs::write(&path, b"two").unwrap();
        assert!(refused.permits(&keytab.presented()));
    }

    /// F3: an error that the KDC has counted is not taken for another.
    #[test]
    fn wrong_passwords_and_keys_are_what_counts() {
        use crossrealm_krb::client::ClientError;
        use crossrealm_krb::principal::Principal;
        use crossrealm_onprem::error::OnpremError;
        let who = || Principal::parse("svc-sync@CORP.CONTOSO.COM", None).unwrap();
        let refuses = |error: ClientError| {
            let step = "sign in".to_owned();
            let source = Box::new(AgentError::Onprem(OnpremError::Kerberos(error)));
            AgentError::Step { step, source }.refuses_credentials()
        };
        assert!(refuses(ClientError::WrongPassword(who())));
        assert!(refuses(ClientError::WrongKey(who())));
        assert!(!refuses(ClientError::Locked(who())));
        assert!(!refuses(ClientError::UnknownPrincipal(who())));
    }

    #[test]
    fn pauses_double_up_to_a_minute_or_the_interval() {
        let second = Duration::from_secs(1);
        let pauses: Vec<_> = (1..9).map(|n| back_off(second, n).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        let hour = Duration::from_secs(3600);
        assert_eq!(back_off(hour, 1), hour);
        assert_eq!(back_off(second, u32::MAX), MAX_BACK_OFF);
    }
}
