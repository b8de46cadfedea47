//! winbindd and smbd: started in order, supervised, stopped in order.

use crate::error::FilesError;
use crate::listen::Listen;
use crate::paths::{LOG, SMB_CONF};
use crate::tools;
use std::collections::VecDeque;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::process::Child;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

/// How long a daemon may take to answer after its start.
const START: Duration = Duration::from_secs(30);
/// How long a daemon may take to stop.
const STOP: Duration = Duration::from_secs(4);
/// The pause between two attempts to reach it.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How often a running daemon is probed.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);
/// How long it may take to answer.
const PROBE: Duration = Duration::from_secs(10);
/// After this many probes in a row without an answer it hangs.
const MAX_UNANSWERED: u32 = 3;
/// After more deaths of winbindd than this within [`WINDOW`] it is not restarted.
const MAX_DEATHS: usize = 5;
/// See [`MAX_DEATHS`].
const WINDOW: Duration = Duration::from_secs(60);

/// One of the two daemons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Daemon {
    Winbindd,
    Smbd,
}

/// Both daemons, running.
pub(super) struct Daemons {
    winbindd: Child,
    smbd: Child,
    deaths: VecDeque<Instant>,
    hung: mpsc::Receiver<Daemon>,
    _probes: JoinSet<()>,
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
            // The worker's stdout carries its reports.
            .stdout(Stdio::null())
            // A daemon that ends sends SIGTERM to its process group.
            .process_group(0)
            .spawn()
            .map_err(|error| self.failed(&error.to_string()))
    }

    /// Whether its main process answers. The kernel accepts connections for a process that is stopped, so that a connection
    /// proves nothing.
    async fn answers(self) -> bool {
        let ping = match self {
            Self::Winbindd => tools::run("wbinfo", &["--ping"]),
            Self::Smbd => tools::run("smbcontrol", &["--configfile", SMB_CONF, "smbd", "ping"]),
        };
        matches!(timeout(PROBE, ping).await, Ok(Ok(_)))
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
    /// [`FilesError::Program`] for a daemon that ended or did not answer within 30 s.
    pub(super) async fn start(listen: Listen) -> Result<Self, FilesError> {
        let winbindd = start_winbindd().await?;
        let mut smbd = Daemon::Smbd.spawn()?;
        wait_until(&mut smbd, Daemon::Smbd, || async {
            TcpStream::connect(listen.reachable_at()).await.is_ok()
        })
        .await?;
        let (report, hung) = mpsc::channel(1);
        let mut probes = JoinSet::new();
        for daemon in [Daemon::Winbindd, Daemon::Smbd] {
            probes.spawn(probe(daemon, report.clone()));
        }
        Ok(Self {
            winbindd,
            smbd,
            deaths: VecDeque::new(),
            hung,
            _probes: probes,
        })
    }

    /// Waits until either daemon ends, or hangs and was killed.
    pub(super) async fn death(&mut self) -> (Daemon, FilesError) {
        let (daemon, status) = tokio::select! {
            status = self.winbindd.wait() => (Daemon::Winbindd, status),
            status = self.smbd.wait() => (Daemon::Smbd, status),
            Some(daemon) = self.hung.recv() => {
                let child = match daemon {
                    Daemon::Winbindd => &mut self.winbindd,
                    Daemon::Smbd => &mut self.smbd,
                };
                // A stopped process takes no other signal.
                let _ = child.kill().await;
                let reason = format!("it answered none of {MAX_UNANSWERED} probes and was killed");
                return (daemon, daemon.failed(&reason));
            }
        };
        (daemon, daemon.ended(status))
    }

    /// Restarts winbindd after it ended with `error`; returns that error where it ends too often.
    pub(super) async fn restart_winbindd(&mut self, error: FilesError) -> Result<(), FilesError> {
        let now = Instant::now();
        self.deaths.push_back(now);
        self.deaths
            .retain(|death| now.duration_since(*death) < WINDOW);
        if self.deaths.len() > MAX_DEATHS {
            return Err(error);
        }
        self.winbindd = start_winbindd().await?;
        // What was said of the one before does not count for this one.
        while self.hung.try_recv().is_ok() {}
        Ok(())
    }

    /// Stops both, smbd first, since its sessions need winbindd.
    pub(super) async fn stop(&mut self) {
        for (daemon, child) in [
            (Daemon::Smbd, &mut self.smbd),
            (Daemon::Winbindd, &mut self.winbindd),
        ] {
            // The kernel kills a daemon that does not stop in time together with the worker.
            let args = ["--configfile", SMB_CONF, daemon.name(), "shutdown"];
            let request = tools::run("smbcontrol", &args);
            let _ = timeout(STOP, async { (request.await.is_ok(), child.wait().await) }).await;
        }
    }
}

/// Reports a daemon whenever it hangs.
async fn probe(daemon: Daemon, hung: mpsc::Sender<Daemon>) {
    let mut ticks = interval(PROBE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut unanswered = 0;
    loop {
        ticks.tick().await;
        unanswered = match daemon.answers().await {
            true => 0,
            false => unanswered + 1,
        };
        if unanswered == MAX_UNANSWERED {
            unanswered = 0;
            if hung.send(daemon).await.is_err() {
                return;
            }
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

/// Waits until `answers` is true, or the daemon ends.
async fn wait_until<F, A>(child: &mut Child, daemon: Daemon, answers: F) -> Result<(), FilesError>
where
    F: Fn() -> A,
    A: Future<Output = bool>,
{
    let probe = async {
        while !answers().await {
            sleep(POLL_INTERVAL).await;
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
