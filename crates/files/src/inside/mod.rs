//! The inner process: process 1 of the host's namespaces, which alone speaks to Samba.
//!
//! Its orders arrive on stdin, its reports leave on stdout (see `pipe.rs`). It has no token and no way to the API. When
//! smbd dies, it ends too: the sessions are lost anyway, and the kernel then ends whatever is left in the namespace, so
//! that the outer process starts from a clean slate. When winbindd dies it is started anew, for smbd's sessions live on.

mod apply;
mod btrfs;
mod count;
mod daemons;
mod idmap;
mod namespace;
mod quota;
mod sessions;

use crate::error::FilesError;
use crate::listen::Listen;
use crate::pipe::{Health, Order, Report};
use crate::smbconf::Serving;
use apply::Host;
use crossrealm_api::HostState;
use daemons::{Daemon, Daemons};
use serde_json::error::Category;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::unix::pipe::Receiver;
use tokio::time::MissedTickBehavior;
use zeroize::Zeroizing;

/// How often it is looked who is connected.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How often what could not be put into effect is tried again.
const RETRY: Duration = Duration::from_secs(10);

/// Runs the inner process to its end. Only the outer process starts it. Returns whether it ended as it was told to.
pub async fn run() -> bool {
    match serve().await {
        Ok(()) => true,
        Err(error) => {
            report(&Report::Failed(error.complaint()));
            false
        }
    }
}

async fn serve() -> Result<(), FilesError> {
    let mut orders = Orders::open()?;
    let Some(Order::Begin {
        shares,
        state,
        listen,
        snapshots,
    }) = orders.next().await?
    else {
        return Err(FilesError::BadState {
            what: "the outer process".into(),
            reason: "this command is started by `crossrealm files serve` alone".into(),
        });
    };
    namespace::enter(&shares, &state, snapshots.as_deref()).await?;
    let listen = Listen::from(listen);
    let serving = Serving {
        listen,
        snapshots: snapshots.is_some(),
    };
    let Some(Order::Serve(first)) = orders.next().await? else {
        return Ok(());
    };
    let mut host = Host::prepare(&first, serving).await?;
    let mut pending = put(&mut host, first).await?;
    let mut daemons = Daemons::start(listen).await?;
    report(&Report::Serving);
    host.is_running();
    let end = watch(&mut orders, &mut host, &mut daemons, &mut pending).await;
    if end.is_ok() {
        daemons.stop().await;
    }
    end
}

/// Says what goes on, where that differs from what was said before.
async fn look(health: &mut Health) {
    let Ok((session_count, sessions)) = sessions::list().await else {
        // While smbd has never had a client there is nothing to read; and the next look comes soon.
        return;
    };
    let now = Health {
        session_count,
        sessions,
        ..health.clone()
    };
    if now != *health {
        *health = now;
        report(&Report::Health(health.clone()));
    }
}

/// Follows orders until they end or smbd does.
async fn watch(
    orders: &mut Orders,
    host: &mut Host,
    daemons: &mut Daemons,
    pending: &mut Option<Box<HostState>>,
) -> Result<(), FilesError> {
    let mut health = Health::default();
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut retries = tokio::time::interval(RETRY);
    retries.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = looks.tick() => look(&mut health).await,
            order = orders.next() => match order? {
                Some(Order::Serve(state)) => *pending = put(host, state).await?,
                Some(Order::Begin { .. }) => {}
                None => return Ok(()),
            },
            (daemon, error) = daemons.death() => match daemon {
                Daemon::Smbd => return Err(error),
                Daemon::Winbindd => {
                    report(&Report::Warning(format!("{error}; starting it again")));
                    daemons.restart_winbindd(error).await?;
                    health.winbindd_restarts += 1;
                    report(&Report::Health(health.clone()));
                }
            },
            _ = retries.tick(), if pending.is_some() => {
                if let Some(state) = pending.take() {
                    *pending = put(host, state).await?;
                }
            }
        }
    }
}

/// Puts a state into effect and reports; gives it back where a part of it has to be tried again.
async fn put(host: &mut Host, state: Box<HostState>) -> Result<Option<Box<HostState>>, FilesError> {
    let version = state.version.clone();
    match host.apply(&state).await {
        Ok(outcome) => {
            let again = !outcome.failed.is_empty();
            for (share, error) in outcome.failed {
                report(&Report::Warning(format!(
                    "share `{share}` is not served: {error}"
                )));
            }
            for warning in outcome.warnings {
                report(&Report::Warning(warning));
            }
            report(&Report::Applied {
                version,
                kvnos: state.kvnos.clone(),
                left_out: outcome.left_out,
            });
            Ok(again.then_some(state))
        }
        Err(error) if host.has_state() => {
            report(&Report::NotApplied {
                version,
                complaint: error.complaint(),
            });
            Ok(Some(state))
        }
        Err(error) => Err(error),
    }
}

/// Reports are for the outer process; when that is gone, so are the orders, and that is noticed there.
fn report(report: &Report) {
    if let Ok(mut json) = serde_json::to_vec(report) {
        json.push(b'\n');
        let mut stdout = std::io::stdout().lock();
        let _ = stdout.write_all(&json).and_then(|()| stdout.flush());
    }
}

/// The orders of the outer process.
struct Orders(Lines<BufReader<Receiver>>);

impl Orders {
    fn open() -> Result<Self, FilesError> {
        let failed = |error| FilesError::file("read", Path::new("/dev/stdin"), &error);
        let stdin = std::io::stdin()
            .as_fd()
            .try_clone_to_owned()
            .map_err(failed)?;
        let pipe = Receiver::from_owned_fd(stdin).map_err(failed)?;
        Ok(Self(BufReader::new(pipe).lines()))
    }

    /// The next order; `None` when the outer process wants no more or is gone.
    async fn next(&mut self) -> Result<Option<Order>, FilesError> {
        let line = match self.0.next_line().await {
            Ok(Some(line)) => Zeroizing::new(line),
            Ok(None) | Err(_) => return Ok(None),
        };
        let order = serde_json::from_str(&line).map_err(|error| FilesError::BadState {
            what: "the outer process".into(),
            reason: format!("an order that is none: {}", kind(&error)),
        })?;
        Ok(Some(order))
    }
}

/// The kind of a JSON error; its full text could hold a piece of the line, and that holds keys.
fn kind(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        Category::Io => "cannot be read",
        Category::Syntax => "not JSON",
        Category::Data => "not of this version",
        Category::Eof => "cut off",
    }
}
