//! The host's way to the API: asks for the account's state, again and again, and tells what the host does.

use crate::error::FilesError;
use crate::kept::{Confirmed, Kept};
use crate::tools;
use crossrealm_api::{Client, ClientError, Code, HostReport, HostState, HostStateAnswer};
use std::path::Path;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{debug, error, info, warn};

/// How long the server may hold a question back until something changes, in seconds.
const WAIT_S: u64 = 10;
/// The pause between two questions; the server itself holds one back until something changes.
const PAUSE: Duration = Duration::from_millis(200);
/// The pause while the API does not answer.
const AWAY: Duration = Duration::from_secs(2);

/// The longest pause between two reports of the host.
const REPORT_EVERY: Duration = Duration::from_secs(30);
/// The shortest.
const REPORT_GAP: Duration = Duration::from_secs(2);

/// The account of a host, and the way to its state.
pub(crate) struct Source {
    pub client: Client,
    pub tenant: String,
    pub account: String,
    pub kept: Kept,
}

impl Source {
    /// The state now, and the entity tag to ask for the next one with.
    pub async fn first(&self) -> Result<(Box<HostState>, Option<String>), FilesError> {
        match self.ask(None).await? {
            HostStateAnswer::State { etag, state } => Ok((state, etag)),
            HostStateAnswer::Unchanged => Err(FilesError::BadState {
                what: "an answer".into(),
                reason: "it says that nothing changed, but nothing was known before".into(),
            }),
        }
    }

    /// Puts every new state into `states` and keeps it. Returns only when the service wants this host to serve no more.
    ///
    /// While the API is away, the last state stays in effect: users go on working. A deleted account and a revoked token
    /// are other matters, for someone wanted them to end; the kept copy goes then too. Such an answer counts when it is
    /// given twice.
    pub async fn follow(
        &self,
        mut etag: Option<String>,
        states: &watch::Sender<Box<HostState>>,
    ) -> FilesError {
        let mut away = false;
        let mut dismissed = false;
        let mut confirmed = Confirmed::now();
        loop {
            tokio::time::sleep(if away { AWAY } else { PAUSE }).await;
            match self.ask(etag.as_deref()).await {
                Ok(answer) => {
                    dismissed = false;
                    if std::mem::take(&mut away) {
                        info!("the API answers again");
                    }
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
                        self.keep(&state);
                        confirmed = Confirmed::now();
                    }
                }
                Err(error) if is_dismissal(&error) => {
                    if std::mem::replace(&mut dismissed, true) {
                        return self.dismissed(error);
                    }
                }
                Err(error) => {
                    dismissed = false;
                    if !std::mem::replace(&mut away, true) {
                        report(&error);
                    }
                }
            }
        }
    }

    /// Keeps a state that the API has just confirmed, for times without it.
    pub fn keep(&self, state: &HostState) {
        if let Err(error) = self.kept.save(state) {
            warn!("{error}; a start while the API is away will not know this state");
        }
    }

    /// What is left to do when the service wants no more of this host.
    pub fn dismissed(&self, error: ClientError) -> FilesError {
        self.kept.forget();
        FilesError::Dismissed {
            account: self.account.clone(),
            error,
        }
    }

    /// Tells the service what the host does: when that changed, though not more often than every 2 s, and every 30 s.
    /// A report that does not arrive is soon followed by the next one. Never returns.
    pub async fn tell(
        &self,
        name: &str,
        mut reports: watch::Receiver<HostReport>,
        data: &Path,
    ) -> FilesError {
        loop {
            let mut report = reports.borrow_and_update().clone();
            let told = self.tell_once(name, &mut report, data).await;
            tokio::time::sleep(REPORT_GAP).await;
            if !told {
                continue;
            }
            // The sender lives as long as this does; its end would only mean that nothing changes any more.
            let _ = timeout(REPORT_EVERY - REPORT_GAP, reports.changed()).await;
        }
    }

    /// Tells it once; whether that arrived.
    pub async fn tell_once(&self, name: &str, report: &mut HostReport, data: &Path) -> bool {
        (report.disk_bytes, report.disk_free_bytes) = disk(data).await.unzip();
        let told = self
            .client
            .report_host(&self.tenant, &self.account, name, report);
        match told.await {
            Ok(_) => true,
            Err(error) => {
                debug!("the report of this host did not arrive: {error}");
                false
            }
        }
    }

    async fn ask(&self, etag: Option<&str>) -> Result<HostStateAnswer, ClientError> {
        self.client
            .host_state(&self.tenant, &self.account, etag, WAIT_S)
            .await
    }
}

/// Whether the service says that this host is to serve no more.
pub(crate) fn is_dismissal(error: &ClientError) -> bool {
    matches!(
        error.code(),
        Some(
            Code::StorageAccountNotFound
                | Code::TenantNotFound
                | Code::Unauthenticated
                | Code::Forbidden
        )
    )
}

/// The size of the file system of a folder, and what is free of it, in bytes.
async fn disk(folder: &Path) -> Option<(u64, u64)> {
    let args = [
        "--block-size=1".as_ref(),
        "--output=size,avail".as_ref(),
        folder.as_os_str(),
    ];
    let text = tools::run("df", &args).await.ok()?;
    let mut numbers = text.lines().nth(1)?.split_whitespace();
    let mut next = || numbers.next()?.parse().ok();
    Some((next()?, next()?))
}

fn report(error: &ClientError) {
    if error.is_transient() {
        warn!("{error}; serving on by what was known last");
    } else {
        error!("{error}; serving on by what was known last, and changes do not arrive");
    }
}
