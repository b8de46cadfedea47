//! The outer process: asks the API, starts the inner process, hands states over, restarts it when it dies.

use crate::check;
use crate::error::FilesError;
use crate::kept::{Kept, SealKey};
use crate::listen::Listen;
use crate::pipe::{Order, Report};
use crate::places::Places;
use crate::poll::{Source, is_dismissal};
use crate::preflight::{self, StateLock};
use crate::snapshots;
use crate::tools;
use crossrealm_api::{Client, HostQuota, HostReport, HostState};
use crossrealm_os::retry;
use std::ffi::OsString;
use std::future::Future;
use std::path::PathBuf;
use std::pin::{Pin, pin};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{error, info, warn};
use zeroize::Zeroizing;

/// How long the inner process may take to stop Samba, which first tells its clients.
const STOP: Duration = Duration::from_secs(10);
/// How long the last report may take.
const GOODBYE: Duration = Duration::from_secs(2);
/// The pause before the first restart; doubled with each one that follows.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause before a restart.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// After this long without a failure, the pauses begin anew.
const HEALTHY: Duration = Duration::from_secs(60);

/// What to serve, and where.
#[derive(Clone)]
pub struct Options {
    /// The tenant, by name, domain or id.
    pub tenant: String,
    /// The storage account.
    pub account: String,
    /// The folder of the data: the files of share `s` are in `DATA/ACCOUNT/shares/s`.
    pub data: PathBuf,
    /// The folder of this host's own state; `DATA/.host/ACCOUNT` where absent.
    pub state: Option<PathBuf>,
    /// Where to listen.
    pub listen: Listen,
    /// The folder of the snapshots, those of share `s` in `SNAPSHOTS/ACCOUNT/s`; users see them as previous versions.
    pub snapshots: Option<PathBuf>,
    /// The name of this host in its reports; other hosts of the account have other names.
    pub name: String,
    /// What the copy of the state is sealed with.
    pub seal_key: SealKey,
    /// The command that runs [`crate::inside::run`]: the program and its arguments.
    pub inside: Vec<OsString>,
}

/// What the host tells while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The port answers; also after each restart.
    Serving {
        /// The host name of the account.
        host: String,
        /// Where it listens.
        listen: Listen,
        /// How many shares it serves.
        shares: usize,
    },
}

/// How one life of the inner process ended.
enum End {
    Stopped,
    Failed(FilesError),
}

/// Serves the account until `stop` completes.
///
/// # Errors
///
/// Whatever keeps the host from ever serving. Once it served, failures of Samba are answered by a restart; then only the
/// service ends it, by the account's deletion or the revocation of its token ([`FilesError::Dismissed`]).
pub async fn serve(
    client: Client,
    options: Options,
    stop: impl Future<Output = ()>,
    mut progress: impl FnMut(Progress),
) -> Result<(), FilesError> {
    preflight::system()?;
    if !check::is_account_name(&options.account) {
        return Err(FilesError::BadAccountName(options.account));
    }
    let places = Places::new(&options.data, options.state.as_deref(), &options.account);
    let source = Source {
        client,
        tenant: options.tenant.clone(),
        account: options.account.clone(),
        kept: Kept::new(&places.state, options.seal_key.clone()),
    };
    let mut stop = pin!(stop);
    let (state, etag) = tokio::select! {
        first = first_state(&source) => first?,
        () = &mut stop => return Ok(()),
    };
    check::state_of(&state, &options.account)?;
    let tenant = state.tenant.id.to_string();
    let _lock: StateLock = preflight::folders(&places, &tenant)?;
    let snapshots = options.snapshots.as_deref();
    let snapshots = snapshots.map(|folder| snapshots::check(folder, &options.account, &places));
    let snapshots = snapshots.transpose()?;
    // A copy is as fresh as the API's last word, so what was read from the copy is not written to it.
    if etag.is_some() {
        source.keep(&state);
    }
    let (sender, states) = watch::channel(state);
    let reports = watch::Sender::new(HostReport {
        program: env!("CARGO_PKG_VERSION").into(),
        listen: options.listen.address().to_string(),
        ..HostReport::default()
    });
    let host = Host {
        options: &options,
        places: &places,
        snapshots,
        states,
        reports,
    };
    let gone = pin!(async {
        let reports = host.reports.subscribe();
        tokio::select! {
            error = source.follow(etag, &sender) => error,
            error = source.tell(&options.name, reports, &places.shares) => error,
        }
    });
    host.live(stop, gone, &mut progress).await?;
    let mut last = host.reports.borrow().clone();
    last.serving = false;
    let told = source.tell_once(&options.name, &mut last, &places.shares);
    let _ = tokio::time::timeout(GOODBYE, told).await;
    Ok(())
}

/// What stays the same from one life of the inner process to the next.
struct Host<'a> {
    options: &'a Options,
    places: &'a Places,
    snapshots: Option<PathBuf>,
    states: watch::Receiver<Box<HostState>>,
    /// What the service is told of the host.
    reports: watch::Sender<HostReport>,
}

impl Host<'_> {
    /// Starts the inner process again and again, after ever longer pauses, until `stop` completes or `gone` says why the
    /// host may serve no more.
    async fn live(
        &self,
        mut stop: Pin<&mut impl Future<Output = ()>>,
        mut gone: Pin<&mut impl Future<Output = FilesError>>,
        progress: &mut impl FnMut(Progress),
    ) -> Result<(), FilesError> {
        let mut served = false;
        let mut restarts = 0;
        loop {
            preflight::port(self.options.listen)
                .or_else(|error| if served { Ok(()) } else { Err(error) })?;
            let began = Instant::now();
            let mut inner = Inner::start(self)?;
            let end = tokio::select! {
                end = inner.live(self.options, &mut served, progress) => end,
                () = &mut stop => End::Stopped,
                error = &mut gone => {
                    inner.stop().await;
                    return Err(error);
                }
            };
            inner.stop().await;
            let error = match end {
                End::Stopped => return Ok(()),
                End::Failed(error) => error,
            };
            if !served {
                return Err(error);
            }
            if began.elapsed() > HEALTHY {
                restarts = 0;
            }
            let pause = retry::delay(FIRST_PAUSE, restarts, LONGEST_PAUSE);
            error!("{error}; starting again in {} s", pause.as_secs());
            self.note_failure(&error);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                error = &mut gone => return Err(error),
                () = &mut stop => return Ok(()),
            }
            restarts = restarts.saturating_add(1);
        }
    }

    fn note_failure(&self, error: &FilesError) {
        self.reports.send_modify(|report| {
            report.serving = false;
            report.smbd_restarts += 1;
            report.problem = Some(error.to_string());
            report.session_count = 0;
            report.sessions.clear();
        });
    }
}

/// The state to begin with: the API's; while the API is away, the one that was kept.
async fn first_state(source: &Source) -> Result<(Box<HostState>, Option<String>), FilesError> {
    let error = match source.first().await {
        Err(FilesError::Api(error)) if error.is_transient() => error,
        Err(FilesError::Api(error)) if is_dismissal(&error) => {
            return Err(source.dismissed(error));
        }
        answer => return answer,
    };
    match source.kept.load(&source.tenant, &source.account) {
        Ok(Some(state)) => {
            warn!("{error}; beginning with what was known last");
            Ok((state, None))
        }
        Ok(None) => Err(FilesError::NothingKnown {
            api: error,
            why: "no state of the account was kept here".into(),
        }),
        Err(bad) => Err(FilesError::NothingKnown {
            api: error,
            why: bad.to_string(),
        }),
    }
}

/// One life of the inner process.
struct Inner {
    child: Child,
    orders: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    states: watch::Receiver<Box<HostState>>,
    begin: Option<Order>,
    places: Places,
    /// What the service is told of the host.
    reports: watch::Sender<HostReport>,
    /// The restarts of winbindd in the lives before.
    winbindd_restarts: u32,
}

impl Inner {
    /// Starts it in namespaces of its own.
    ///
    /// `unshare` is its parent there and process 1 of the new process namespace is the inner process: when that ends, the
    /// kernel ends all that is left of Samba; when `unshare` is killed, `--kill-child` takes the inner process along; when
    /// this process ends, the inner one reads the end of its orders.
    fn start(host: &Host<'_>) -> Result<Self, FilesError> {
        let (options, places) = (host.options, host.places);
        let mut command = tools::command("unshare");
        command
            .args(["--mount", "--propagation", "slave", "--pid", "--fork"])
            .args(["--kill-child", "--mount-proc", "--"])
            .args(&options.inside)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A Ctrl-C in the terminal is for the outer process, which then stops the inner one in good order.
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
            places: places.clone(),
            winbindd_restarts: host.reports.borrow().winbindd_restarts,
            reports: host.reports.clone(),
            begin: Some(Order::Begin {
                shares: places.shares.clone(),
                state: places.state.clone(),
                listen: options.listen.address(),
                snapshots: host.snapshots.clone(),
            }),
        })
    }

    /// Hands states over and takes reports until the inner process ends.
    async fn live(
        &mut self,
        options: &Options,
        served: &mut bool,
        progress: &mut impl FnMut(Progress),
    ) -> End {
        if let Some(begin) = self.begin.take() {
            self.order(&begin).await;
        }
        self.hand_over().await;
        loop {
            tokio::select! {
                changed = self.states.changed() => {
                    if changed.is_err() {
                        return End::Stopped;
                    }
                    self.hand_over().await;
                }
                line = self.lines.next_line() => match line {
                    Ok(Some(line)) => {
                        if let Some(error) = self.take(&line, options, served, progress) {
                            return End::Failed(error);
                        }
                    }
                    Ok(None) | Err(_) => return End::Failed(self.post_mortem().await),
                },
            }
        }
    }

    fn take(
        &self,
        line: &str,
        options: &Options,
        served: &mut bool,
        progress: &mut impl FnMut(Progress),
    ) -> Option<FilesError> {
        match serde_json::from_str(line) {
            Ok(Report::Serving) => {
                *served = true;
                self.reports.send_modify(|report| {
                    report.serving = true;
                });
                let state = self.states.borrow();
                progress(Progress::Serving {
                    host: state.account.host.clone(),
                    listen: options.listen,
                    shares: state.shares.len(),
                });
            }
            Ok(Report::Applied {
                version,
                kvnos,
                left_out,
            }) => {
                info!(version, "the account's state is in effect");
                let not_refused = not_refused(&self.states.borrow());
                let problem = (not_refused > 0).then(|| {
                    format!("{not_refused} more users lost their role than a host can refuse: those who lost it first keep it until their tickets end")
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
                    error!("share `{share}` is not served: Samba knows its name as something else");
                }
            }
            Ok(Report::NotApplied { version, complaint }) => {
                let message = self.places.seen_outside(&complaint.message);
                error!(version, "{message}; the state before stays");
                let problem = format!("{message}; the state before stays");
                self.reports
                    .send_modify(|report| report.problem = Some(problem));
            }
            Ok(Report::Health(health)) => self.reports.send_modify(|report| {
                report.winbindd_restarts = self.winbindd_restarts + health.winbindd_restarts;
                report.session_count = health.session_count;
                report.sessions = health.sessions;
            }),
            Ok(Report::Quotas { count, quotas }) => self.take_quotas(count, quotas),
            Ok(Report::Warning(text)) => warn!("{}", self.places.seen_outside(&text)),
            Ok(Report::Failed(mut complaint)) => {
                complaint.message = self.places.seen_outside(&complaint.message);
                return Some(FilesError::Inside(complaint));
            }
            Err(_) => warn!("the inner process said something unknown"),
        }
        None
    }

    /// Numbers that alone changed wait for the next regular report.
    fn take_quotas(&self, count: u32, mut quotas: Vec<HostQuota>) {
        for text in quotas.iter_mut().flat_map(|q| [&mut q.reason, &mut q.hint]) {
            *text = text.take().map(|text| self.places.seen_outside(&text));
        }
        self.reports.send_if_modified(|report| {
            let told = |all: &[HostQuota]| -> Vec<HostQuota> {
                let mut all = all.to_vec();
                for quota in &mut all {
                    quota.used_bytes = quota.used_bytes.map(|_| 0);
                }
                all.sort_by(|a, b| a.share.cmp(&b.share));
                all
            };
            let news = told(&report.quotas) != told(&quotas);
            report.quota_count = count;
            report.quotas = quotas;
            news
        });
    }

    async fn hand_over(&mut self) {
        let state = self.states.borrow_and_update().clone();
        self.order(&Order::Serve(state)).await;
    }

    /// A broken pipe is no error here: the end of the reports tells of the same death.
    async fn order(&mut self, order: &Order) {
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

    /// Why the inner process ended without a word.
    async fn post_mortem(&mut self) -> FilesError {
        match tokio::time::timeout(STOP, self.child.wait()).await {
            // What `unshare` ends with when it could not begin.
            Ok(Ok(status)) if status.code() == Some(1) => FilesError::NoNamespaces {
                reason: "the lines above say why".into(),
            },
            Ok(Ok(status)) => FilesError::InnerDied {
                how: status.to_string(),
            },
            Ok(Err(error)) => FilesError::InnerDied {
                how: error.to_string(),
            },
            Err(_) => FilesError::InnerDied {
                how: "it neither reports nor ends".into(),
            },
        }
    }

    /// Lets the inner process stop Samba in good order; kills all of it where that takes too long.
    async fn stop(mut self) {
        self.orders = None;
        if tokio::time::timeout(STOP, self.child.wait()).await.is_err() {
            warn!("the host does not stop; killing it");
            if let Err(error) = self.child.kill().await {
                error!("cannot kill the host: {error}");
            }
        }
    }
}

/// How many users are to be refused beside those that a host can be told of: on the share where it is most.
fn not_refused(state: &HostState) -> u64 {
    let shares = state.shares.iter().map(|share| share.lowered_beyond);
    state.barred_beyond + shares.max().unwrap_or_default()
}

/// Passes on what the inner process and Samba's programs write to stderr.
async fn log_lines<R: tokio::io::AsyncBufRead + Unpin>(mut lines: Lines<R>) {
    while let Ok(Some(line)) = lines.next_line().await {
        let line = line.trim_end();
        if !line.is_empty() {
            warn!(target: "crossrealm_files::samba", "{line}");
        }
    }
}
