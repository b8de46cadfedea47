//! The restart loop: runs one worker process after the other.

use super::host::Host;
use super::options::Progress;
use super::preflight;
use super::worker_process::{WorkerEnd, WorkerProcess};
use crate::error::FilesError;
use crossrealm_os::retry;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::Instant;
use tracing::error;

/// The pause before the first restart; doubled with each one that follows.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause before a restart.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// After this long without a failure, the next pause is the first again.
const HEALTHY: Duration = Duration::from_secs(60);

/// Runs workers, with growing pauses between them, until `stop` completes or `terminated` returns why the host may no longer
/// serve.
///
/// # Errors
///
/// The failure of a host that never served, and that of `terminated`.
pub(super) async fn run(
    host: &Host<'_>,
    mut stop: Pin<&mut impl Future<Output = ()>>,
    mut terminated: Pin<&mut impl Future<Output = FilesError>>,
    progress: &mut impl FnMut(Progress),
) -> Result<(), FilesError> {
    let mut served = false;
    let mut restarts = 0;
    loop {
        preflight::port(host.options.listen)
            .or_else(|error| if served { Ok(()) } else { Err(error) })?;
        let began = Instant::now();
        let mut worker = WorkerProcess::start(host)?;
        let end = tokio::select! {
            end = worker.supervise(&mut served, progress) => end,
            () = &mut stop => WorkerEnd::Stopped,
            error = &mut terminated => {
                worker.stop().await;
                return Err(error);
            }
        };
        worker.stop().await;
        let error = match end {
            WorkerEnd::Stopped => return Ok(()),
            WorkerEnd::Failed(error) => error,
        };
        if !served {
            return Err(error);
        }
        if began.elapsed() > HEALTHY {
            restarts = 0;
        }
        let pause = retry::delay(FIRST_PAUSE, restarts, LONGEST_PAUSE);
        error!("{error}; restarting in {} s", pause.as_secs());
        report_failure(host, &error);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            error = &mut terminated => return Err(error),
            () = &mut stop => return Ok(()),
        }
        restarts = restarts.saturating_add(1);
    }
}

fn report_failure(host: &Host<'_>, error: &FilesError) {
    host.reports.send_modify(|report| {
        report.serving = false;
        report.smbd_restarts += 1;
        report.problem = Some(error.to_string());
        report.session_count = 0;
        report.sessions.clear();
    });
}
