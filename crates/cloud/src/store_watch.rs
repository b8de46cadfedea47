//! Watches the database: writes where nobody else does, and checks all pages, so that `/readyz` and the log say what is wrong
//! before a user notices.

use crossrealm_directory::{Directory, DirectoryError, UNWRITABLE_LIMIT};
use crossrealm_os::file;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::fs;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// How often the database is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// How often the heartbeat is written.
const BEAT: Duration = Duration::from_secs(5);
/// How often all pages are checked.
const CHECK_PAGES: Duration = Duration::from_secs(600);
/// How often the database's clock is compared with this machine's, and by how many seconds they may differ.
const COMPARE_CLOCKS: Duration = Duration::from_secs(60);
const CLOCKS_MAY_DIFFER_S: u64 = 5;
/// The mode of the file of heartbeats, which holds no secret.
const MODE: u32 = 0o644;
/// How often a fault that lasts is logged.
const REPEAT: Duration = Duration::from_secs(60);

/// How many heartbeats this node knows the database to hold, kept in the folder of its state: after a restart it shows a database that
/// went back in time, such as a restored backup.
pub(crate) struct Heartbeats {
    path: PathBuf,
    /// What the file says.
    stored: Option<i64>,
}

impl Heartbeats {
    /// Reads the file, and lets the directory expect as many. Writes the first heartbeat: before any ticket is issued, it is
    /// known whether the database went back.
    pub(crate) async fn recall(directory: &Directory, state: &Path) -> Self {
        let path = state.join("store.heartbeats");
        let text = fs::read_to_string(&path).await.unwrap_or_default();
        let stored = text.split_once(' ').and_then(|(installation, number)| {
            let is_own = installation == directory.installation_id().to_string();
            number.trim().parse().ok().filter(|_| is_own)
        });
        if let Some(number) = stored {
            directory.expect_heartbeats(number);
        }
        let mut heartbeats = Self { path, stored };
        // What fails here is logged by the watch.
        if directory.probe_write(BEAT).await.is_ok() {
            heartbeats.store(directory).await;
        }
        heartbeats
    }

    /// Writes the file, if the number has changed. A file that is lost or damaged only means that nothing is expected.
    async fn store(&mut self, directory: &Directory) {
        let Some(number) = directory.heartbeats() else {
            return;
        };
        if self.stored == Some(number) {
            return;
        }
        let text = format!("{} {number}\n", directory.installation_id());
        let path = self.path.clone();
        let written = spawn_blocking(move || file::replace(&path, text.as_bytes(), MODE)).await;
        match written.map_err(io::Error::other).flatten() {
            Ok(()) => self.stored = Some(number),
            Err(error) => tracing::debug!(path = %self.path.display(), %error, "cannot write"),
        }
    }
}

/// Watches until shutdown.
pub(crate) async fn keep(
    directory: Directory,
    mut heartbeats: Heartbeats,
    mut ending: watch::Receiver<bool>,
) {
    let mut logged = None;
    let mut pages_checked = Instant::now();
    let mut clocks_compared = None;
    loop {
        let written = directory.probe_write(BEAT).await;
        if written.is_ok() {
            heartbeats.store(&directory).await;
        }
        log(&mut logged, written);
        if pages_checked.elapsed() >= CHECK_PAGES {
            pages_checked = Instant::now();
            if let Err(error) = directory.check_pages().await {
                tracing::error!(
                    %error,
                    hint = "restore the database from a backup, as the page *Back up and restore* of the guide shows",
                    "the database did not pass the check of its pages"
                );
            }
        }
        if clocks_compared.is_none_or(|at: Instant| at.elapsed() >= COMPARE_CLOCKS) {
            clocks_compared = Some(Instant::now());
            compare_clocks(&directory).await;
        }
        tokio::select! {
            _ = ending.wait_for(|end| *end) => return,
            () = sleep(LOOK) => {}
        }
    }
}

/// Logs that this machine's clock and the database's differ. Which of them is wrong is not known here.
async fn compare_clocks(directory: &Directory) {
    // A database that does not answer is logged by the watch.
    if let Ok(Some(lead_s)) = directory.clock_lead_of_store().await
        && lead_s.unsigned_abs() > CLOCKS_MAY_DIFFER_S
    {
        tracing::error!(
            lead_s,
            hint = "set the clocks of all machines by NTP",
            "the clock of the database's machine is not this machine's: tickets and sessions end at wrong times"
        );
    }
}

/// Logs a fault when it begins, every [`REPEAT`] while it lasts, and when it ends.
fn log(logged: &mut Option<Instant>, written: Result<(), DirectoryError>) {
    match written {
        Ok(()) => {
            if logged.take().is_some() {
                tracing::info!("the database can be written again");
            }
        }
        Err(_) if logged.is_some_and(|at| at.elapsed() < REPEAT) => {}
        Err(error) => {
            *logged = Some(Instant::now());
            tracing::error!(
                %error,
                tickets_end_after_s = UNWRITABLE_LIMIT.as_secs(),
                "the database cannot be written; tickets end after a while, until it can be"
            );
        }
    }
}
