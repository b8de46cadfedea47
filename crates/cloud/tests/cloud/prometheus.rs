//! Debian's Prometheus fetches the metrics of a service on PostgreSQL and evaluates the alerts that the package brings: none
//! while all is well, and each once what it watches is broken.
//!
//! Two things differ from an operator's: what an alert waits for is left out, and the windows of rates are short.

use crate::certificate::{issue, put};
use crate::common::trusted::{ask, honest, sync_alice, world};
use crate::common::{Service, envelope, options};
use crate::scratch_postgres::Server;
use crossrealm_api::HostStateAnswer;
use crossrealm_cloud::init;
use crossrealm_programs::command;
use crossrealm_testkit::two_realms::TwoRealms;
use crossrealm_types::{HostReport, IdentityState};
use sqlx::{Connection as _, Executor as _};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const MONITORING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/monitoring");
/// For a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// An address of this machine that sends too much.
const FLOOD: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
/// The address that sends too much may have as many connections.
const CONNECTIONS: usize = 16;

/// What is broken through the database, since only time breaks it otherwise.
const OF_TIME: &[&str] = &[
    "UPDATE domains SET sync_success_at = sync_success_at - 100000, sync_problem = 'x', awaits_sync = 1, sync_failed = 2",
    "UPDATE trust_secrets SET state = 'current', confirmed_at = created_at - 366 * 86400",
];
/// The database refuses events of tickets.
const REFUSES_EVENTS: &[&str] =
    &["ALTER TABLE events ADD CONSTRAINT broken CHECK (action <> 'ticket.issue') NOT VALID"];
const TAKES_EVENTS: &[&str] = &["ALTER TABLE events DROP CONSTRAINT broken"];
/// The database's clock is ahead for connections that are made from now on.
const CLOCK_IS_AHEAD: &[&str] = &[
    "CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql
     AS $$ SELECT pg_catalog.clock_timestamp() + interval '60 s' $$",
    "ALTER DATABASE crossrealm SET search_path = public, pg_catalog",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'crossrealm'",
];
/// Nothing of the tenant can be read meanwhile, and no heartbeat be written.
const LOCK: &str = "LOCK TABLE tenants, meta IN ACCESS EXCLUSIVE MODE";

/// Prometheus, ended when it is dropped.
struct Prometheus {
    child: Child,
    url: String,
}

impl Prometheus {
    fn start(folder: &Path, of: SocketAddr) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let rules = std::fs::read_to_string(format!("{MONITORING}/crossrealm.rules.yml")).unwrap();
        std::fs::write(folder.join("rules.yml"), impatient(&rules)).unwrap();
        let config = format!(
            "global: {{scrape_interval: 3s, scrape_timeout: 3s, evaluation_interval: 1s}}\n\
             rule_files: [rules.yml]\n\
             scrape_configs: [{{job_name: crossrealm, static_configs: [{{targets: [\"{of}\"]}}]}}]\n"
        );
        std::fs::write(folder.join("prometheus.yml"), config).unwrap();
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let child = command("prometheus")
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=data")
            .arg(format!("--web.listen-address={address}"))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let url = format!("http://{address}");
        Self { child, url }
    }

    /// The answer to a query, as JSON; `None` while there is none.
    async fn get(&self, path: &str) -> Option<serde_json::Value> {
        let url = format!("{}{path}", self.url);
        let answer = reqwest::get(url).await.ok()?;
        serde_json::from_slice(&answer.bytes().await.ok()?).ok()
    }

    /// The alerts that fire now.
    async fn firing(&self) -> BTreeSet<String> {
        let answer = self.get("/api/v1/alerts").await.unwrap();
        let alerts = answer["data"]["alerts"].as_array().unwrap();
        let firing = alerts.iter().filter(|alert| alert["state"] == "firing");
        firing
            .map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Waits until the service was fetched several times.
    async fn until_it_fetches(&self) {
        let began = Instant::now();
        loop {
            let query = "/api/v1/query?query=count_over_time(crossrealm_ready[1m])";
            let found = self.get(query).await;
            let count = found.as_ref().and_then(|found| {
                let count = found["data"]["result"][0]["value"][1].as_str()?;
                count.parse::<u32>().ok()
            });
            if count.is_some_and(|count| count >= 3) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "nothing is fetched: {found:?}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Waits until all of these alerts have fired, doing `again` meanwhile.
    async fn until_fired(
        &self,
        seen: &mut BTreeSet<String>,
        wanted: &[&str],
        mut again: impl AsyncFnMut(),
    ) {
        let began = Instant::now();
        loop {
            again().await;
            seen.extend(self.firing().await);
            let silent: Vec<_> = wanted
                .iter()
                .filter(|name| !seen.contains(**name))
                .collect();
            if silent.is_empty() {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "silent: {silent:?}");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The rules without what alerts wait for, and with short windows.
fn impatient(rules: &str) -> String {
    let lines = rules.lines().map(|line| match line.trim_start() {
        wait if wait.starts_with("for: ") => "        for: 0s".to_owned(),
        _ => ["[5m]", "[10m]", "[15m]"]
            .iter()
            .fold(line.to_owned(), |line, window| {
                line.replace(window, "[20s]")
            }),
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn alerts() -> BTreeSet<String> {
    let rules = std::fs::read_to_string(format!("{MONITORING}/crossrealm.rules.yml")).unwrap();
    let names = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "));
    names.map(str::to_owned).collect()
}

#[test]
fn promtool_accepts_the_rules_and_their_unit_tests() {
    for (check, file) in [
        (["check", "rules"], "crossrealm.rules.yml"),
        (["test", "rules"], "crossrealm.rules.test.yml"),
    ] {
        let mut run = command("promtool");
        let run = run.args(check).arg(file).current_dir(MONITORING).output();
        let run = run.unwrap();
        let said = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success(), "{said}");
    }
}

/// A service with a tenant, its trust, its storage account and alice.
async fn served(database: &Server) -> (Service, TwoRealms) {
    database.tell(
        "postgres",
        &[
            "CREATE ROLE crossrealm LOGIN",
            "CREATE DATABASE crossrealm OWNER crossrealm",
        ],
    );
    let folder = tempfile::tempdir().unwrap();
    let mut wanted = options(folder.path());
    wanted.store = database.url("crossrealm", "crossrealm");
    init(&wanted).await.unwrap();
    let service = Service::serve(folder, |config| {
        config.metrics_listen = Some("127.0.0.1:0".parse().unwrap());
        config.limits.connections_per_address = CONNECTIONS;
    })
    .await;
    let world = world(&service).await;
    sync_alice(&service, &world, IdentityState::Enabled).await;
    (service, world)
}

async fn report(service: &Service, host: &str, serving: bool, state_version: Option<String>) {
    let report = HostReport {
        serving,
        state_version,
        ..HostReport::default()
    };
    let client = service.host("acct1", host).await;
    let reported = client.report_host("contoso", "acct1", host, &report).await;
    reported.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn each_alert_fires_when_what_it_watches_is_broken() {
    let Some(database) = Server::start() else {
        return;
    };
    let (service, mut world) = served(&database).await;
    let host = service.host("acct1", "reader").await;
    let known = host.host_state("contoso", "acct1", None, 0).await;
    let HostStateAnswer::State { state, .. } = known.unwrap() else {
        panic!("nothing was known before");
    };
    report(&service, "fs1", true, Some(state.version)).await;
    let folder = tempfile::tempdir().unwrap();
    let prometheus = Prometheus::start(folder.path(), service.metrics.unwrap());
    prometheus.until_it_fetches().await;
    assert_eq!(prometheus.firing().await, BTreeSet::new());

    let mut seen = BTreeSet::new();
    // What is a state.
    report(&service, "fs2", true, Some("of before".into())).await;
    report(&service, "fs3", false, None).await;
    database.tell("crossrealm", OF_TIME);
    issue(&service, "ca", "login.key", "5");
    std::fs::remove_file(service.path("tls/ca.key")).unwrap();
    put(&service, "new.pem", "login.pem");
    // What is refused, in every sense.
    sync_alice(&service, &world, IdentityState::Disabled).await;
    database.tell("crossrealm", OF_TIME);
    database.tell("crossrealm", REFUSES_EVENTS);
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS {
        held.push(service.connect_from(FLOOD).await);
    }
    let wanted = [
        "CrossrealmSmbHostLagging",
        "CrossrealmSmbHostDown",
        "CrossrealmSyncStale",
        "CrossrealmSyncGivesUp",
        "CrossrealmSyncAwaited",
        "CrossrealmSyncIncomplete",
        "CrossrealmTrustKeyOld",
        "CrossrealmCertificateEnds",
        "CrossrealmTicketsRefused",
        "CrossrealmAuditEventsLost",
        "CrossrealmLimitHit",
    ];
    let refused = async || {
        for _ in 0..8 {
            let request = honest(&mut world);
            ask(&service, "contoso.cloud.example", &request).await;
        }
        let beyond = crate::limits::tcp_from(FLOOD, service.address).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(beyond);
    };
    prometheus.until_fired(&mut seen, &wanted, refused).await;
    drop(held);
    database.tell("crossrealm", TAKES_EVENTS);

    database.tell("crossrealm", CLOCK_IS_AHEAD);
    let wanted = ["CrossrealmClocksDiffer"];
    prometheus
        .until_fired(&mut seen, &wanted, async || {})
        .await;
    let wanted = [
        "CrossrealmStoreSlow",
        "CrossrealmTicketsUnavailable",
        "CrossrealmTicketsSlow",
    ];
    sqlx::any::install_default_drivers();
    let url = database.url("postgres", "crossrealm");
    let slow = async || {
        let mut locking = sqlx::AnyConnection::connect(&url).await.unwrap();
        let mut locked = locking.begin().await.unwrap();
        locked.execute(LOCK).await.unwrap();
        // The lookup is given up after three seconds.
        let request = envelope(&honest(&mut world));
        let answer = service.post("contoso.cloud.example", &request).await;
        assert_eq!(answer.status, 503, "{answer:?}");
        locked.rollback().await.unwrap();
    };
    prometheus.until_fired(&mut seen, &wanted, slow).await;
    database.stop("fast");
    let wanted = ["CrossrealmNotReady", "CrossrealmStoreFailing"];
    prometheus
        .until_fired(&mut seen, &wanted, async || {})
        .await;
    database.start_again();
    service.end().await;
    let wanted = ["CrossrealmDown"];
    prometheus
        .until_fired(&mut seen, &wanted, async || {})
        .await;
    assert_eq!(seen, alerts());
}
