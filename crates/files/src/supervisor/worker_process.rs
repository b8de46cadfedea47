//! A worker process: started in its own namespaces, sent states, its reports received.

use super::host::Host;
use super::options::Progress;
use crate::error::FilesError;
use crate::ipc::{Order, WorkerReport};
use crate::listen::Listen;
use crate::paths::HostPaths;
use crate::tools;
use crossrealm_api::HostState;
use crossrealm_types::{HostQuota, HostReport};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::watch;
use tracing::{error, info, warn};
use zeroize::Zeroizing;

/// How long the worker may take to stop Samba, which first notifies its clients.
const STOP: Duration = Duration::from_secs(10);

/// How a worker process ended.
pub(super) enum WorkerEnd {
    /// It was stopped.
    Stopped,
    /// It failed.
    Failed(FilesError),
}

/// A running worker process.
pub(super) struct WorkerProcess {
    child: Child,
    orders: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    states: watch::Receiver<Box<HostState>>,
    begin: Option<Order>,
    paths: HostPaths,
    listen: Listen,
    /// The report for the service.
    reports: watch::Sender<HostReport>,
    /// The restarts of winbindd in earlier worker processes.
    winbindd_restarts: u32,
}

impl WorkerProcess {
    /// Starts a worker in its own mount and process namespaces.
    ///
    /// The worker is the child of `unshare` and process 1 of the new process namespace: when it ends, the kernel kills the
    /// rest of Samba; when `unshare` is killed, `--kill-child` kills the worker; when the supervisor ends, the worker reads
    /// the end of its orders.
    pub(super) fn start(host: &Host<'_>) -> Result<Self, FilesError> {
        let (options, paths) = (host.options, host.paths);
        let mut command = tools::command("unshare");
        command
            .args(["--mount", "--propagation", "slave", "--pid", "--fork"])
            .args(["--kill-child", "--mount-proc", "--"])
            .args(&options.worker)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C in the terminal signals the supervisor only, which then stops the worker in order.
            .process_group(0);
        let failed = |reason: String| FilesError::NoNamespaces { reason };
        let mut child = command.spawn().map_err(|e| failed(e.to_string()))?;
        let (orders, lines) = (child.stdin.take(), child.stdout.take());
        let lines = lines.ok_or_else(|| failed("no pipe".into()))?;
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(log_lines(BufReader::new(stderr).lines()));
        }
        Ok(Self {
            child,
            orders,
            lines: BufReader::new(lines).lines(),
            states: host.states.clone(),
            paths: paths.clone(),
            listen: options.listen,
            winbindd_restarts: host.reports.borrow().winbindd_restarts,
            reports: host.reports.clone(),
            begin: Some(Order::Begin {
                shares: paths.shares.clone(),
                state: paths.state.clone(),
                listen: options.listen.address(),
                snapshots: host.snapshots.clone(),
            }),
        })
    }

    /// Sends states and receives reports until the worker ends.
    pub(super) async fn supervise(
        &mut self,
        served: &mut bool,
        progress: &mut impl FnMut(Progress),
    ) -> WorkerEnd {
        if let Some(begin) = self.begin.take() {
            self.send(&begin).await;
        }
        self.send_state().await;
        loop {
            tokio::select! {
                changed = self.states.changed() => {
                    if changed.is_err() {
                        return WorkerEnd::Stopped;
                    }
                    self.send_state().await;
                }
                line = self.lines.next_line() => match line {
                    Ok(Some(line)) => {
                        if let Some(error) = self.receive(&line, served, progress) {
                            return WorkerEnd::Failed(error);
                        }
                    }
                    Ok(None) | Err(_) => return WorkerEnd::Failed(self.exit_error().await),
                },
            }
        }
    }

    fn receive(
        &self,
        line: &str,
        served: &mut bool,
        progress: &mut impl FnMut(Progress),
    ) -> Option<FilesError> {
        match serde_json::from_str(line) {
            Ok(WorkerReport::Serving) => {
                *served = true;
                self.reports.send_modify(|report| {
                    report.serving = true;
                });
                let state = self.states.borrow();
                progress(Progress::Serving {
                    host: state.account.host.clone(),
                    listen: self.listen,
                    shares: state.shares.len(),
                });
            }
            Ok(WorkerReport::Applied {
                version,
                kvnos,
                left_out,
            }) => {
                info!(version, "the account's state is in effect");
                let not_refused = not_refused(&self.states.borrow());
                let problem = (not_refused > 0).then(|| {
                    format!("{not_refused} more users lost their role than an SMB host can refuse: those who lost it first keep it until their tickets expire")
                });
                if let Some(problem) = &problem {
                    error!("{problem}");
                }
                self.reports.send_modify(|report| {
                    report.state_version = Some(version);
                    report.kvnos = kvnos;
                    report.problem = problem;
                    report.not_refused = not_refused;
                });
                for share in left_out {
                    error!("share `{share}` is not served: its name is reserved in smb.conf");
                }
            }
            Ok(WorkerReport::NotApplied {
                version,
                error: failure,
            }) => {
                let message = self.paths.outside_view(&failure.message);
                error!(version, "{message}; the previous state stays in effect");
                let problem = format!("{message}; the previous state stays in effect");
                self.reports
                    .send_modify(|report| report.problem = Some(problem));
            }
            Ok(WorkerReport::Health(health)) => self.reports.send_modify(|report| {
                report.winbindd_restarts = self.winbindd_restarts + health.winbindd_restarts;
                report.session_count = health.session_count;
                report.sessions = health.sessions;
            }),
            Ok(WorkerReport::Quotas { count, quotas }) => self.receive_quotas(count, quotas),
            Ok(WorkerReport::Warning(text)) => warn!("{}", self.paths.outside_view(&text)),
            Ok(WorkerReport::Failed(mut failure)) => {
                failure.message = self.paths.outside_view(&failure.message);
                return Some(FilesError::Worker(failure));
            }
            Err(_) => warn!("the worker sent an unknown report"),
        }
        None
    }

    /// Takes the quotas over; where only the used bytes changed, the next regular report carries them.
    fn receive_quotas(&self, count: u32, mut quotas: Vec<HostQuota>) {
        for text in quotas.iter_mut().flat_map(|q| [&mut q.reason, &mut q.hint]) {
            *text = text.take().map(|text| self.paths.outside_view(&text));
        }
        self.reports.send_if_modified(|report| {
            let without_usage = |all: &[HostQuota]| -> Vec<HostQuota> {
                let mut all = all.to_vec();
                for quota in &mut all {
                    quota.used_bytes = quota.used_bytes.map(|_| 0);
                }
                all.sort_by(|a, b| a.share.cmp(&b.share));
                all
            };
            let changed = without_usage(&report.quotas) != without_usage(&quotas);
            report.quota_count = count;
            report.quotas = quotas;
            changed
        });
    }

    async fn send_state(&mut self) {
        let state = self.states.borrow_and_update().clone();
        self.send(&Order::Serve(state)).await;
    }

    /// A broken pipe is not an error here: the end of the reports shows that the worker ended.
    async fn send(&mut self, order: &Order) {
        let Some(pipe) = &mut self.orders else { return };
        if let Ok(json) = serde_json::to_vec(order).map(Zeroizing::new) {
            let sent = async {
                pipe.write_all(&json).await?;
                pipe.write_all(b"\n").await?;
                pipe.flush().await
            };
            if sent.await.is_err() {
                self.orders = None;
            }
        }
    }

    /// Why the worker ended without a report.
    async fn exit_error(&mut self) -> FilesError {
        match tokio::time::timeout(STOP, self.child.wait()).await {
            // The exit code of `unshare` when it cannot create the namespaces.
            Ok(Ok(status)) if status.code() == Some(1) => FilesError::NoNamespaces {
                reason: "see the log lines above".into(),
            },
            Ok(Ok(status)) => FilesError::WorkerDied {
                how: status.to_string(),
            },
            Ok(Err(error)) => FilesError::WorkerDied {
                how: error.to_string(),
            },
            Err(_) => FilesError::WorkerDied {
                how: "it closed its reports but does not exit".into(),
            },
        }
    }

    /// Lets the worker stop Samba in order, and kills it where that takes too long.
    pub(super) async fn stop(mut self) {
        self.orders = None;
        if tokio::time::timeout(STOP, self.child.wait()).await.is_err() {
            warn!("the worker does not stop; killing it");
            if let Err(error) = self.child.kill().await {
                error!("cannot kill the worker: {error}");
            }
        }
    }
}

/// How many users to refuse are beyond what a state can list, on the share with the most.
fn not_refused(state: &HostState) -> u64 {
    let shares = state.shares.iter().map(|share| share.reduced_roles_beyond);
    state.revoked_users_beyond + shares.max().unwrap_or_default()
}

/// Logs what the worker and Samba's programs write to stderr.
async fn log_lines<R: tokio::io::AsyncBufRead + Unpin>(mut lines: Lines<R>) {
    while let Ok(Some(line)) = lines.next_line().await {
        let line = line.trim_end();
        if !line.is_empty() {
            warn!(target: "crossrealm_files::samba", "{line}");
        }
    }
}
