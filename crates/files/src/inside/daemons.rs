//! winbindd and smbd: started in order, watched, stopped in order.

use crate::error::FilesError;
use crate::listen::Listen;
use crate::places::{LOG, SMB_CONF};
use crate::tools;
use std::collections::VecDeque;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::process::Child;
use tokio::time::{Instant, sleep, timeout};

/// How long a daemon may take until it answers.
const START: Duration = Duration::from_secs(30);
/// How long a daemon may take to end when it is asked to.
const STOP: Duration = Duration::from_secs(4);
/// The pause between two questions whether it answers.
const STEP: Duration = Duration::from_millis(50);
/// More deaths of winbindd than this within [`WINDOW`] are not to be helped by another start.
const MAX_DEATHS: usize = 5;
/// See [`MAX_DEATHS`].
const WINDOW: Duration = Duration::from_secs(60);

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Daemon {
    Winbindd,
    Smbd,
}

/// Both of them, running.
pub(super) struct Daemons {
    winbindd: Child,
    smbd: Child,
    deaths: VecDeque<Instant>,
}

impl Daemon {
    fn name(self) -> &'static str {
        match self {
            Self::Winbindd => "winbindd",
            Self::Smbd => "smbd",
        }
    }

    fn spawn(self) -> Result<Child, FilesError> {
        tools::command(self.name())
            .args([
                "--foreground",
                "--no-process-group",
                "--configfile",
                SMB_CONF,
            ])
            // stdout carries the reports of this process.
            .stdout(Stdio::null())
            // A daemon that ends sends SIGTERM to its whole group.
            .process_group(0)
            .spawn()
            .map_err(|error| self.failed(&error.to_string()))
    }

    fn failed(self, reason: &str) -> FilesError {
        FilesError::Program {
            program: self.name().to_owned(),
            reason: reason.to_owned(),
        }
    }

    fn ended(self, status: io::Result<ExitStatus>) -> FilesError {
        let how = match status {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        self.failed(&format!("it ended ({how}); see `{LOG}`"))
    }
}

impl Daemons {
    /// Starts winbindd, then smbd, and waits until each answers.
    ///
    /// # Errors
    ///
    /// [`FilesError::Program`] for the one that ended or did not answer within 30 s.
    pub async fn start(listen: Listen) -> Result<Self, FilesError> {
        let winbindd = start_winbindd().await?;
        let mut smbd = Daemon::Smbd.spawn()?;
        wait_until(&mut smbd, Daemon::Smbd, || async {
            TcpStream::connect(listen.reachable_at()).await.is_ok()
        })
        .await?;
        Ok(Self {
            winbindd,
            smbd,
            deaths: VecDeque::new(),
        })
    }

    /// Waits for the death of either.
    pub async fn death(&mut self) -> (Daemon, FilesError) {
        let (daemon, status) = tokio::select! {
            status = self.winbindd.wait() => (Daemon::Winbindd, status),
            status = self.smbd.wait() => (Daemon::Smbd, status),
        };
        (daemon, daemon.ended(status))
    }

    /// Starts winbindd anew after its death, which `error` tells of; gives up where it dies too often.
    pub async fn restart_winbindd(&mut self, error: FilesError) -> Result<(), FilesError> {
        let now = Instant::now();
        self.deaths.push_back(now);
        self.deaths
            .retain(|death| now.duration_since(*death) < WINDOW);
        if self.deaths.len() > MAX_DEATHS {
            return Err(error);
        }
        self.winbindd = start_winbindd().await?;
        Ok(())
    }

    /// Asks both to end, smbd first, so that no session loses its identities before itself.
    pub async fn stop(&mut self) {
        for (daemon, child) in [
            (Daemon::Smbd, &mut self.smbd),
            (Daemon::Winbindd, &mut self.winbindd),
        ] {
            // What does not end in time is ended by the kernel together with this process.
            let args = ["--configfile", SMB_CONF, daemon.name(), "shutdown"];
            let asked = tools::run("smbcontrol", &args);
            let _ = timeout(STOP, async { (asked.await.is_ok(), child.wait().await) }).await;
        }
    }
}

async fn start_winbindd() -> Result<Child, FilesError> {
    let mut child = Daemon::Winbindd.spawn()?;
    wait_until(&mut child, Daemon::Winbindd, || async {
        tools::run("wbinfo", &["--ping"]).await.is_ok()
    })
    .await?;
    Ok(child)
}

/// Waits until `answers`, as long as the daemon lives.
async fn wait_until<F, A>(child: &mut Child, daemon: Daemon, answers: F) -> Result<(), FilesError>
where
    F: Fn() -> A,
    A: Future<Output = bool>,
{
    let probe = async {
        while !answers().await {
            sleep(STEP).await;
        }
    };
    tokio::select! {
        waited = timeout(START, probe) => {
            let late = |_| daemon.failed(&format!("no answer within {} s", START.as_secs()));
            waited.map_err(late)
        }
        status = child.wait() => Err(daemon.ended(status)),
    }
}
