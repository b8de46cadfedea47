//! The API as the supervisor uses it: polls the account's state and reports the host's.

use super::sealed_state::MAX_AGE_S;
use super::state_cache::{Confirmed, StateCache};
use crate::error::FilesError;
use crate::tools;
use crossrealm_api::{Client, ClientError, Code, DismissalKey, HostState, HostStateAnswer};
use crossrealm_types::HostReport;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{debug, error, info, warn};
use uuid::Uuid;

/// How long the server may hold a request until the state changes, in seconds.
const LONG_POLL_S: u64 = 10;
/// The pause between two requests; the server holds each until the state changes.
const PAUSE: Duration = Duration::from_millis(200);
/// The pause while the API is unreachable.
const UNREACHABLE_PAUSE: Duration = Duration::from_secs(2);

/// How often a fault of the API is logged that does not pass by itself.
const LOG_INTERVAL: Duration = Duration::from_secs(600);
/// How long a state is served that the API does not confirm: as long as the cached one may be used.
const MAX_UNCONFIRMED: Duration = Duration::from_secs(MAX_AGE_S.unsigned_abs());

/// The longest pause between two reports.
const REPORT_INTERVAL: Duration = Duration::from_secs(30);
/// The shortest pause between two reports.
const MIN_REPORT_INTERVAL: Duration = Duration::from_secs(2);

/// The account of a host in the API.
pub(super) struct ApiSource {
    pub(super) client: Client,
    pub(super) tenant: String,
    pub(super) account: String,
    pub(super) cache: StateCache,
    pub(super) dismissal_key: DismissalKey,
}

impl ApiSource {
    /// The current state, and its entity tag for the next request.
    pub(super) async fn first(&self) -> Result<(Box<HostState>, Option<String>), FilesError> {
        match self.request(None).await? {
            HostStateAnswer::State { etag, state } => Ok((state, etag)),
            HostStateAnswer::Unchanged => Err(FilesError::BadState {
                what: "an answer".into(),
                reason: "it reports no change, but no state was requested before".into(),
            }),
        }
    }

    /// Sends every new state to `states` and caches it. Returns only when the service ends this host, or has not confirmed its
    /// state for as long as it may be served.
    ///
    /// While the API is unreachable, the last state stays in effect, so that users continue to work; also while it does not
    /// know this host, since an empty or an older database says that too. A deleted account or a revoked token ends the
    /// host, because an administrator decided that; the cached state is then deleted too. Such an answer must be proven
    /// ([`Dismissal`](crossrealm_api::Dismissal)) and arrive twice in a row to take effect.
    pub(super) async fn follow(
        &self,
        mut etag: Option<String>,
        states: &watch::Sender<Box<HostState>>,
    ) -> FilesError {
        let mut unreachable = Unreachable::default();
        let mut termination_seen = false;
        let mut confirmed = Confirmed::now();
        let mut last_answer = Instant::now();
        loop {
            tokio::time::sleep(unreachable.pause()).await;
            match self.request(etag.as_deref()).await {
                Ok(answer) => {
                    termination_seen = false;
                    last_answer = Instant::now();
                    unreachable.ended();
                    let mut save = confirmed.is_due();
                    if let HostStateAnswer::State { etag: tag, state } = answer {
                        etag = tag;
                        save = true;
                        if state.version != states.borrow().version {
                            states.send_replace(state);
                        }
                    }
                    if save {
                        let state = states.borrow().clone();
                        self.cache_state(&state);
                        confirmed = Confirmed::now();
                    }
                }
                Err(error) if self.is_dismissal(&error, states.borrow().installation) => {
                    if std::mem::replace(&mut termination_seen, true) {
                        return self.terminated(error);
                    }
                }
                Err(error) => {
                    termination_seen = false;
                    unreachable.log(&error);
                }
            }
            if last_answer.elapsed() > MAX_UNCONFIRMED {
                return FilesError::Unconfirmed {
                    account: self.account.clone(),
                };
            }
        }
    }

    /// Whether the installation that this host knows ends it: its token was revoked, with its account or alone.
    pub(super) fn is_dismissal(&self, error: &ClientError, known: Option<Uuid>) -> bool {
        let dismissal = error
            .refusal()
            .and_then(|refusal| refusal.details.dismissal.as_ref());
        dismissal.is_some_and(|dismissal| dismissal.is_proven(&self.dismissal_key, known))
    }

    /// Caches a state that the API has just confirmed.
    pub(super) fn cache_state(&self, state: &HostState) {
        if let Err(error) = self.cache.save(state) {
            warn!("{error}; a start while the API is unreachable cannot use this state");
        }
    }

    /// Deletes the cached state, since the service ends this host.
    pub(super) fn terminated(&self, error: ClientError) -> FilesError {
        self.cache.delete();
        FilesError::Terminated {
            account: self.account.clone(),
            error,
        }
    }

    /// Reports the host to the service: after a change, at most every 2 s, and at least every 30 s. A report that fails is
    /// repeated after 2 s. Never returns.
    pub(super) async fn report(
        &self,
        name: &str,
        mut reports: watch::Receiver<HostReport>,
        data: &Path,
    ) -> FilesError {
        loop {
            let mut report = reports.borrow_and_update().clone();
            let sent = self.report_once(name, &mut report, data).await;
            tokio::time::sleep(MIN_REPORT_INTERVAL).await;
            if !sent {
                continue;
            }
            // The sender outlives this loop; if it were dropped, no further changes would follow.
            let _ = timeout(REPORT_INTERVAL - MIN_REPORT_INTERVAL, reports.changed()).await;
        }
    }

    /// Sends one report. Returns whether it arrived.
    pub(super) async fn report_once(
        &self,
        name: &str,
        report: &mut HostReport,
        data: &Path,
    ) -> bool {
        (report.disk_bytes, report.disk_free_bytes) = disk(data).await.unzip();
        let request = self
            .client
            .report_host(&self.tenant, &self.account, name, report);
        match request.await {
            Ok(_) => true,
            Err(error) => {
                debug!("cannot report this host: {error}");
                false
            }
        }
    }

    async fn request(&self, etag: Option<&str>) -> Result<HostStateAnswer, ClientError> {
        self.client
            .host_state(&self.tenant, &self.account, etag, LONG_POLL_S)
            .await
    }
}

/// The size of a directory's file system and its free space, in bytes.
async fn disk(directory: &Path) -> Option<(u64, u64)> {
    let args = [
        "--block-size=1".as_ref(),
        "--output=size,avail".as_ref(),
        directory.as_os_str(),
    ];
    let text = tools::run("df", &args).await.ok()?;
    let mut numbers = text.lines().nth(1)?.split_whitespace();
    let mut next = || numbers.next()?.parse().ok();
    Some((next()?, next()?))
}

/// The API does not answer, or answers nothing that this host can use.
#[derive(Default)]
struct Unreachable {
    /// When it was logged last, and whether for a fault that passes by itself.
    logged: Option<(Instant, bool)>,
}

impl Unreachable {
    fn pause(&self) -> Duration {
        match self.logged {
            Some(_) => UNREACHABLE_PAUSE,
            None => PAUSE,
        }
    }

    /// Logs why, when it begins; what does not pass by itself also every so often while it lasts.
    fn log(&mut self, error: &ClientError) {
        let passes = error.is_transient();
        let is_due = match self.logged {
            None => true,
            Some((at, did_pass)) => !passes && (did_pass || at.elapsed() >= LOG_INTERVAL),
        };
        if !is_due {
            return;
        }
        self.logged = Some((Instant::now(), passes));
        match error.code() {
            _ if passes => {
                warn!("{error}; serving on by what was known last, for at most 7 days");
            }
            Some(
                Code::Unauthenticated
                | Code::Forbidden
                | Code::StorageAccountNotFound
                | Code::TenantNotFound,
            ) => error!(
                "the service does not know this host, and does not prove that it revoked its token: {error}; serving on by what was known last, for at most 7 days; if the service was restored from a backup, create a new token for the host"
            ),
            _ => error!("{error}; serving on by what was known last, without further changes"),
        }
    }

    fn ended(&mut self) {
        if self.logged.take().is_some() {
            info!("the API answers again");
        }
    }
}
