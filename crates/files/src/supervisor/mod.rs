//! The supervisor: fetches the account's state from the API, starts the worker and restarts it when it dies, passes states to
//! it, and reports to the service. It never touches Samba.

mod api_source;
mod host;
mod options;
mod preflight;
mod restart;
mod sealed_state;
mod snapshots;
mod state_cache;
mod worker_process;

use crate::check;
use crate::error::FilesError;
use crate::paths::HostPaths;
use api_source::ApiSource;
use crossrealm_api::{Client, HostState};
use crossrealm_types::HostReport;
use host::Host;
use preflight::HostLocks;
use state_cache::StateCache;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;
use tokio::sync::watch;
use tracing::warn;

pub use options::{Options, Progress};
pub use preflight::check_tenant;
pub use sealed_state::{NONCE_LEN, SealKey};

/// How long the last report may take.
const LAST_REPORT: Duration = Duration::from_secs(2);

/// Serves the account until `stop` completes.
///
/// # Errors
///
/// The failure that prevents the host from starting to serve. Once it has served, the worker is restarted when Samba fails;
/// then only the service ends it, by deleting the account or revoking the token ([`FilesError::Terminated`]).
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
    let paths = HostPaths::new(&options.data, options.state.as_deref(), &options.account);
    let source = ApiSource {
        client,
        tenant: options.tenant.clone(),
        account: options.account.clone(),
        cache: StateCache::new(&paths.state, options.seal_key.clone()),
        dismissal_key: options.dismissal_key.clone(),
    };
    let mut stop = pin!(stop);
    let (state, etag) = tokio::select! {
        first = first_state(&source) => first?,
        () = &mut stop => return Ok(()),
    };
    check::state_of(&state, &options.account)?;
    let tenant = state.tenant.id.to_string();
    let _locks: HostLocks = preflight::directories(&paths, &tenant)?;
    let snapshots = options.snapshots.as_deref();
    let snapshots =
        snapshots.map(|directory| snapshots::check(directory, &options.account, &paths));
    let snapshots = snapshots.transpose()?;
    // A state without an entity tag came from the cache; only the API's answer renews the cache.
    if etag.is_some() {
        source.cache_state(&state);
    }
    let (sender, states) = watch::channel(state);
    let reports = watch::Sender::new(HostReport {
        program: env!("CARGO_PKG_VERSION").into(),
        listen: options.listen.address().to_string(),
        ..HostReport::default()
    });
    let host = Host {
        options: &options,
        paths: &paths,
        snapshots,
        states,
        reports,
    };
    let terminated = pin!(async {
        let reports = host.reports.subscribe();
        tokio::select! {
            error = source.follow(etag, &sender) => error,
            error = source.report(&options.name, reports, &paths.shares) => error,
        }
    });
    restart::run(&host, stop, terminated, &mut progress).await?;
    let mut last = host.reports.borrow().clone();
    last.serving = false;
    let sent = source.report_once(&options.name, &mut last, &paths.shares);
    let _ = tokio::time::timeout(LAST_REPORT, sent).await;
    Ok(())
}

/// The first state: the API's; the cached one while the API is unreachable, or does not know this host and does not prove
/// that it dismisses it.
async fn first_state(source: &ApiSource) -> Result<(Box<HostState>, Option<String>), FilesError> {
    let error = match source.first().await {
        Err(FilesError::Api(error)) => error,
        answer => return answer,
    };
    let cached = source.cache.load(&source.tenant, &source.account);
    let known = cached.as_ref().ok().and_then(Option::as_ref);
    let known = known.and_then(|state| state.installation);
    if source.is_dismissal(&error, known) {
        return Err(source.terminated(error));
    }
    let is_refused = error.refusal().is_some() && !error.is_transient();
    match cached {
        Ok(Some(state)) if is_refused || error.is_transient() => {
            warn!("{error}; starting with the cached state");
            Ok((state, None))
        }
        _ if is_refused => Err(FilesError::NotAccepted {
            account: source.account.clone(),
            error,
        }),
        _ if !error.is_transient() => Err(FilesError::Api(error)),
        Ok(_) => Err(FilesError::NoState {
            api: error,
            why: "no state of the account is cached here".into(),
        }),
        Err(unusable) => Err(FilesError::NoState {
            api: error,
            why: unusable.to_string(),
        }),
    }
}
