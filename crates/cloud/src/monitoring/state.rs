//! What is a state and not an event, read when it is fetched.

use super::lagging::Newest;
use crate::app::AppState;
use crate::metrics::PREFIX;
use crate::tls;
use crossrealm_directory::Observation;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use std::time::Duration;
use tokio::time::timeout;

/// How long the database may take to show that it can be used, and to give what is read of it: together less than a monitoring
/// system waits, which otherwise would get nothing when it matters.
const CHECK_LIMIT: Duration = Duration::from_secs(2);
const READ_LIMIT: Duration = Duration::from_secs(5);

/// Labels of names that tenants have.
type Labels = Vec<(&'static str, String)>;
type Gauges = Family<Labels, Gauge>;

/// Reads the state of the service. What the directory cannot tell is left out, and `crossrealm_ready` says that it is so.
pub(super) async fn read(app: &AppState, newest: &mut Newest) -> Registry {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register(
        "build",
        "The version of the service",
        Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]),
    );
    let ready = Gauge::<i64>::default();
    let is_ready = timeout(CHECK_LIMIT, app.directory.check_ready());
    let is_ready = matches!(is_ready.await, Ok(Ok(())));
    ready.set(is_ready.into());
    registry.register("ready", "1 if the database can be used, else 0", ready);
    if is_ready {
        // What is registered when the time is over stays.
        let _ = timeout(READ_LIMIT, of_directory(&mut registry, app, newest)).await;
    }
    process(&mut registry, app);
    registry
}

async fn of_directory(registry: &mut Registry, app: &AppState, newest: &mut Newest) {
    if let Ok(Some(lead)) = app.directory.clock_lead_of_store().await {
        clock(registry, lead);
    }
    if let Ok(observation) = app.directory.observe().await {
        let lagging = newest.lagging(&app.directory, &observation.hosts).await;
        tenants(registry, &observation, &lagging);
    }
}

/// The state of all tenants; of each host, whether it lags.
pub(super) fn tenants(
    registry: &mut Registry,
    observation: &Observation,
    lagging: &[Option<bool>],
) {
    domains(registry, observation);
    trusts(registry, observation);
    hosts(registry, observation, lagging);
}

fn hosts(registry: &mut Registry, observation: &Observation, lagging: &[Option<bool>]) {
    let (serving, behind, sessions) = (Gauges::default(), Gauges::default(), Gauges::default());
    for (host, lags) in observation.hosts.iter().zip(lagging) {
        let labels = vec![
            ("tenant", host.tenant.clone()),
            ("account", host.account.clone()),
            ("host", host.host.clone()),
        ];
        serving.get_or_create(&labels).set(host.serves.into());
        if let Some(lags) = lags {
            behind.get_or_create(&labels).set((*lags).into());
        }
        sessions.get_or_create(&labels).set(host.sessions.into());
    }
    registry.register(
        "smb_host_serving",
        "1 if an SMB host reported within 90 s that users can connect, else 0",
        serving,
    );
    registry.register(
        "smb_host_lagging",
        "1 if an SMB host serves by an older state of its account than the newest, else 0",
        behind,
    );
    registry.register(
        "smb_sessions",
        "Sessions of an SMB host by its last report",
        sessions,
    );
}

fn domains(registry: &mut Registry, observation: &Observation) {
    let (synced, failed) = (Gauges::default(), Gauges::default());
    let (problem, awaited) = (Gauges::default(), Gauges::default());
    for domain in &observation.domains {
        let labels = of_domain(&domain.tenant, &domain.domain);
        synced.get_or_create(&labels).set(domain.synced_at);
        failed.get_or_create(&labels).set(domain.failed);
        let (gave_up, awaits) = (domain.has_problem.into(), domain.awaits_sync.into());
        problem.get_or_create(&labels).set(gave_up);
        awaited.get_or_create(&labels).set(awaits);
    }
    registry.register_with_unit(
        "sync_success_timestamp",
        "When the sync of a domain last succeeded",
        Unit::Seconds,
        synced,
    );
    registry.register(
        "sync_failed_objects",
        "Objects of a domain that could not be synchronized",
        failed,
    );
    registry.register(
        "sync_problem",
        "1 if the last sync agent of a domain gave up, until a sync succeeds",
        problem,
    );
    registry.register(
        "sync_awaited",
        "1 if users of a domain get no tickets until a full sync, since the database went back in time, else 0",
        awaited,
    );
}

fn trusts(registry: &mut Registry, observation: &Observation) {
    let confirmed = Gauges::default();
    for trust in &observation.trusts {
        let labels = of_domain(&trust.tenant, &trust.domain);
        confirmed.get_or_create(&labels).set(trust.key_confirmed_at);
    }
    registry.register_with_unit(
        "trust_key_confirmed_timestamp",
        "When the current key of a trust was confirmed",
        Unit::Seconds,
        confirmed,
    );
}

pub(super) fn clock(registry: &mut Registry, lead_s: i64) {
    let gauge = Gauge::<i64>::default();
    gauge.set(lead_s);
    registry.register_with_unit(
        "store_clock_lead",
        "By how much the clock of PostgreSQL's machine is ahead of this one's",
        Unit::Seconds,
        gauge,
    );
}

fn of_domain(tenant: &str, domain: &str) -> Labels {
    vec![("tenant", tenant.to_owned()), ("domain", domain.to_owned())]
}

fn process(registry: &mut Registry, app: &AppState) {
    let host = tls::host(&app.config);
    let pair = app.certificate.get();
    let leaf = pair.cert.first();
    if let Some(end) = leaf.and_then(|leaf| tls::renewal::end(leaf, &host)) {
        let gauge = Gauge::<i64>::default();
        gauge.set(end);
        registry.register_with_unit(
            "certificate_end_timestamp",
            "When the certificate of the service ends",
            Unit::Seconds,
            gauge,
        );
    }
    let under_way = Family::<Vec<(&'static str, &'static str)>, Gauge>::default();
    for (what, count) in [
        ("connections", app.speaking.in_use()),
        ("requests", app.requests.in_use()),
        ("ticket_requests", app.tickets.in_use()),
        ("sign_ins", app.sign_ins.in_use()),
    ] {
        let gauge = under_way.get_or_create(&vec![("what", what)]).clone();
        gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    registry.register(
        "under_way",
        "What is under way: connections on which a client has sent something, requests, ticket requests, sign-ins",
        under_way,
    );
    let queued = Gauge::<i64>::default();
    queued.set(i64::try_from(app.audit.queued_bytes()).unwrap_or(i64::MAX));
    registry.register_with_unit(
        "audit_queue",
        "Events that wait to be written",
        Unit::Bytes,
        queued,
    );
    caches(registry, app);
}

fn caches(registry: &mut Registry, app: &AppState) {
    let lookups = Family::<Vec<(&'static str, &'static str)>, Counter>::default();
    let sizes = Family::<Vec<(&'static str, &'static str)>, Gauge>::default();
    for (cache, hits, misses, bytes) in app.directory.cache_use() {
        for (result, count) in [("hit", hits), ("miss", misses)] {
            let labels = vec![("cache", cache), ("result", result)];
            lookups.get_or_create(&labels).inc_by(count);
        }
        let size = i64::try_from(bytes).unwrap_or(i64::MAX);
        sizes.get_or_create(&vec![("cache", cache)]).set(size);
    }
    registry.register(
        "cache_lookups",
        "Lookups of ticket requests in the caches of the directory",
        lookups,
    );
    registry.register_with_unit(
        "cache_size",
        "What the caches of the directory hold, by an estimate",
        Unit::Bytes,
        sizes,
    );
}
