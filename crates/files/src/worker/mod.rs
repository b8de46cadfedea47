//! The worker: process 1 of the host's process namespace, and the only process that runs Samba.
//!
//! It reads orders from stdin and writes reports to stdout (see `ipc.rs`). It has no token and no connection to the API. When
//! smbd dies, the worker ends: the sessions are lost anyway, and the kernel then kills everything left in the namespace, so that
//! the supervisor starts from a clean state. When winbindd dies, the worker restarts it, since smbd's sessions continue.

mod apply;
mod btrfs;
mod daemons;
mod idmap;
mod namespace;
mod orders;
mod quota;
mod reports;
mod samba;
mod sessions;

use crate::error::FilesError;
use crate::ipc::{Health, Order, WorkerReport};
use crate::listen::Listen;
use crate::smbconf::{self, Serving};
use apply::Host;
use crossrealm_api::HostState;
use daemons::{Daemon, Daemons};
use orders::Orders;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// How often the sessions are listed.
const SESSIONS_INTERVAL: Duration = Duration::from_secs(10);
/// How often a state that could not be put into effect is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);

/// Runs the worker. Only the supervisor starts it. Returns whether it ended by order and not by an error.
pub async fn run() -> bool {
    match serve().await {
        Ok(()) => true,
        Err(error) => {
            reports::send(&WorkerReport::Failed(error.report()));
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
            what: "no order".into(),
            reason: "only the supervisor of an SMB host starts the worker".into(),
        });
    };
    namespace::enter(&shares, &state, snapshots.as_deref()).await?;
    let listen = Listen::from(listen);
    let serving = Serving {
        listen,
        snapshots: snapshots.is_some(),
        max_processes: smbconf::fitting_processes(total_memory()),
    };
    let Some(Order::Serve(first)) = orders.next().await? else {
        return Ok(());
    };
    let mut host = Host::prepare(&first, serving).await?;
    let mut pending = apply(&mut host, first).await?;
    let mut daemons = Daemons::start(listen).await?;
    reports::send(&WorkerReport::Serving);
    host.set_running();
    let end = watch(&mut orders, &mut host, &mut daemons, &mut pending).await;
    if end.is_ok() {
        daemons.stop().await;
    }
    end
}

/// Reports the sessions, where they changed.
async fn report_sessions(health: &mut Health) {
    let Ok((session_count, sessions)) = sessions::list().await else {
        // Until smbd had its first client, `smbstatus` fails; the next attempt follows soon.
        return;
    };
    let now = Health {
        session_count,
        sessions,
        ..health.clone()
    };
    if now != *health {
        *health = now;
        reports::send(&WorkerReport::Health(health.clone()));
    }
}

/// Carries out orders until they end or smbd dies.
async fn watch(
    orders: &mut Orders,
    host: &mut Host,
    daemons: &mut Daemons,
    pending: &mut Option<Box<HostState>>,
) -> Result<(), FilesError> {
    let mut health = Health::default();
    let mut listings = tokio::time::interval(SESSIONS_INTERVAL);
    listings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut retries = tokio::time::interval(RETRY_INTERVAL);
    retries.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = listings.tick() => report_sessions(&mut health).await,
            order = orders.next() => match order? {
                Some(Order::Serve(state)) => *pending = apply(host, state).await?,
                Some(Order::Begin { .. }) => {}
                None => return Ok(()),
            },
            (daemon, error) = daemons.death() => match daemon {
                Daemon::Smbd => return Err(error),
                Daemon::Winbindd => {
                    reports::send(&WorkerReport::Warning(format!("{error}; restarting it")));
                    daemons.restart_winbindd(error).await?;
                    health.winbindd_restarts += 1;
                    reports::send(&WorkerReport::Health(health.clone()));
                }
            },
            _ = retries.tick(), if pending.is_some() => {
                if let Some(state) = pending.take() {
                    *pending = apply(host, state).await?;
                }
            }
        }
    }
}

/// Puts a state into effect and reports the result; returns the state where a part of it has to be tried again.
async fn apply(
    host: &mut Host,
    state: Box<HostState>,
) -> Result<Option<Box<HostState>>, FilesError> {
    let version = state.version.clone();
    match host.apply(&state).await {
        Ok(outcome) => {
            let retry = !outcome.failed.is_empty();
            for (share, error) in outcome.failed {
                reports::send(&WorkerReport::Warning(format!(
                    "share `{share}` is not served: {error}"
                )));
            }
            for warning in outcome.warnings {
                reports::send(&WorkerReport::Warning(warning));
            }
            reports::send(&WorkerReport::Applied {
                version,
                kvnos: state.kvnos.clone(),
                left_out: outcome.left_out,
            });
            Ok(retry.then_some(state))
        }
        Err(error) if host.has_state() => {
            reports::send(&WorkerReport::NotApplied {
                version,
                error: error.report(),
            });
            Ok(Some(state))
        }
        Err(error) => Err(error),
    }
}

/// The machine's memory, in bytes.
fn total_memory() -> u64 {
    let system = rustix::system::sysinfo();
    system.totalram.saturating_mul(system.mem_unit.into())
}
