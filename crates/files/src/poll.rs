//! Asks the API for the account's state, again and again, as long as the host lives.

use crate::error::FilesError;
use crossrealm_api::{Client, ClientError, Code, HostState, HostStateAnswer};
use std::time::Duration;
use tokio::sync::watch;
use tracing::{error, info, warn};

/// How long the server may hold a question back until something changes, in seconds.
const WAIT_S: u64 = 10;
/// The pause between two questions; with it a change arrives within about a second even from a server that never waits.
const PAUSE: Duration = Duration::from_millis(500);
/// The pause while the API does not answer.
const AWAY: Duration = Duration::from_secs(2);

/// The account of a host, and the way to its state.
#[derive(Clone)]
pub(crate) struct Source {
    pub client: Client,
    pub tenant: String,
    pub account: String,
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

    /// Puts every new state into `states`. Returns only when the account is gone.
    ///
    /// While the API is away or refuses the token, the last state stays in effect: users go on working. A deleted account
    /// is another matter, for someone wanted it to end.
    pub async fn follow(
        &self,
        mut etag: Option<String>,
        states: &watch::Sender<Box<HostState>>,
    ) -> FilesError {
        let mut away = false;
        loop {
            tokio::time::sleep(if away { AWAY } else { PAUSE }).await;
            match self.ask(etag.as_deref()).await {
                Ok(answer) => {
                    if std::mem::take(&mut away) {
                        info!("the API answers again");
                    }
                    if let HostStateAnswer::State { etag: tag, state } = answer {
                        etag = tag;
                        if state.version != states.borrow().version {
                            states.send_replace(state);
                        }
                    }
                }
                Err(error) if is_gone(&error) => return error.into(),
                Err(error) => {
                    if !std::mem::replace(&mut away, true) {
                        report(&error);
                    }
                }
            }
        }
    }

    async fn ask(&self, etag: Option<&str>) -> Result<HostStateAnswer, ClientError> {
        self.client
            .host_state(&self.tenant, &self.account, etag, WAIT_S)
            .await
    }
}

fn is_gone(error: &ClientError) -> bool {
    matches!(
        error.code(),
        Some(Code::StorageAccountNotFound | Code::TenantNotFound)
    )
}

fn report(error: &ClientError) {
    if error.is_transient() {
        warn!("{error}; serving on by what was known last");
    } else {
        error!("{error}; serving on by what was known last, and changes do not arrive");
    }
}
