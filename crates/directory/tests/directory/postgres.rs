//! The same tests on PostgreSQL: this program starts a server in a temporary folder and runs itself again against it.

use crate::scratch_postgres::Server;
use crate::support::{POSTGRES, by, create, open};
use crossrealm_directory::{DirectoryError, EventFilter, NewTenant, check_new_store};
use crossrealm_kdc::{Lookups, Records, Wanted};
use sqlx::{AnyConnection, Connection as _};
use std::env;
use std::process::Command;
use std::time::{Duration, Instant};

/// The longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(60);
/// Tests of SQLite files.
const SQLITE_ONLY: [&str; 2] = ["connect::files_are", "connect::files_that_are_not"];

#[tokio::test]
async fn every_other_test_passes_on_postgresql() {
    let Some(server) = Server::start() else {
        return;
    };
    // New databases are copied from the template, which gets the schema once for all tests.
    let template = server.url("postgres", "template1");
    create(&template, 7).await.unwrap().close().await;
    // Each copy gets an id of its own.
    let forget = "DELETE FROM meta WHERE name = 'installation_id'";
    server.tell("template1", &[forget]);
    let mut run = Command::new(env::current_exe().unwrap());
    // More threads than cores: the tests mostly wait for the server.
    run.args(["--skip", "postgres::", "--test-threads", "8"]);
    for test in SQLITE_ONLY {
        run.args(["--skip", test]);
    }
    let output = run.env(POSTGRES, server.url("postgres", "postgres"));
    let output = output.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

/// Mistakes of an operator, each with its own message and hint.
#[tokio::test]
async fn errors_of_a_server_name_the_cause() {
    let Some(server) = Server::start() else {
        return;
    };
    server.write_hba("local all locked scram-sha-256\nlocal all all trust\n");
    server.reload();
    let latin = "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0";
    server.tell(
        "postgres",
        &[
            "CREATE ROLE locked LOGIN PASSWORD 's3cret'",
            "CREATE ROLE guest LOGIN",
            "CREATE ROLE crossrealm LOGIN",
            "CREATE DATABASE crossrealm OWNER crossrealm",
            &format!("CREATE DATABASE latin OWNER crossrealm {latin}"),
            "CREATE DATABASE other OWNER crossrealm",
        ],
    );
    server.tell("other", &["CREATE TABLE wiki (page TEXT)"]);
    let url = |user: &str, database: &str| server.url(user, database);
    refused(&url("locked", "crossrealm"), "password", "PGPASSFILE").await;
    refused(
        &url("nobody", "crossrealm"),
        "\"nobody\" does not exist",
        "PGPASSFILE",
    )
    .await;
    refused(
        &url("crossrealm", "none"),
        "\"none\" does not exist",
        "createdb",
    )
    .await;
    refused(
        &url("guest", "crossrealm"),
        "may not create tables",
        "OWNER",
    )
    .await;
    refused(&url("crossrealm", "latin"), "LATIN1, not UTF8", "template0").await;
    refused(&url("crossrealm", "other"), "another program", "its own").await;
    let wrong_folder = "postgres:///crossrealm?host=/nonexistent&user=crossrealm";
    refused(wrong_folder, "cannot be reached", "start PostgreSQL").await;

    let good = url("crossrealm", "crossrealm");
    check_new_store(&good).await.unwrap();
    create(&good, 7).await.unwrap().close().await;
    let error = check_new_store(&good).await.unwrap_err();
    assert!(
        error.to_string().contains("already holds an installation"),
        "{error}"
    );
    let error = open(&good, 8).await.err().unwrap();
    assert!(matches!(error, DirectoryError::MasterKey(_)), "{error}");
    // As a newer version of the program would leave it.
    let newer =
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 SELECT 9999, 'later', TRUE, checksum, 0 FROM _sqlx_migrations WHERE version = 1";
    server.tell("crossrealm", &[newer]);
    refused(&good, "9999 is newer than this program", "newer").await;
    let without = "DELETE FROM _sqlx_migrations WHERE version = 9999";
    server.tell("crossrealm", &[without]);
    let edited = "UPDATE _sqlx_migrations SET checksum = '\\x00' WHERE version = 1";
    server.tell("crossrealm", &[edited]);
    refused(&good, "not created by this program", "backup").await;
}

/// A server that hangs, for example because its disk does, is given up.
#[tokio::test]
async fn a_server_that_hangs_is_given_up() {
    let Some(server) = Server::start() else {
        return;
    };
    let directory = create(&server.url("postgres", "postgres"), 7)
        .await
        .unwrap();
    let contoso = NewTenant::named("contoso", "cloud.example");
    let tenant = directory.create_tenant(&by(), contoso).await.unwrap().id;
    let server = std::sync::Arc::new(server);
    let other = server.clone();
    let until_released = server.until_released();
    let locks = ["BEGIN", "LOCK TABLE tenants", &until_released].map(str::to_owned);
    let blocker = tokio::task::spawn_blocking(move || {
        other.tell("postgres", &locks.each_ref().map(String::as_str))
    });
    let began = Instant::now();
    let wanted = Wanted::Parties {
        issuer: "CORP.CONTOSO.COM".into(),
    };
    let lookups = Lookups { tenant, wanted };
    while !matches!(directory.records(&lookups).await, Records::Unavailable(_)) {
        assert!(began.elapsed() < PATIENCE, "nothing was locked");
    }
    // The answer came while the table was locked.
    assert!(!blocker.is_finished());
    server.release();
    blocker.await.unwrap();
    assert!(!matches!(
        directory.records(&lookups).await,
        Records::Unavailable(_)
    ));
    directory.close().await;
}

/// A follower of all events misses none of a transaction that began before another one and ended after it.
#[tokio::test]
async fn events_appear_in_the_order_of_their_numbers() {
    let Some(server) = Server::start() else {
        return;
    };
    let url = server.url("postgres", "postgres");
    let directory = create(&url, 7).await.unwrap();
    // As another node that is about to commit an event without a tenant.
    let server = std::sync::Arc::new(server);
    let other = server.clone();
    let insert = "INSERT INTO events (at_ms, category, outcome, action, reason, actor, user_name, user_key, target, detail)
                  VALUES (1, 'audit', 'done', 'slow', '', '', '', '', '', '')";
    let until_released = server.until_released();
    let slow = ["BEGIN", insert, &until_released, "COMMIT"].map(str::to_owned);
    let slow = tokio::task::spawn_blocking(move || {
        other.tell("postgres", &slow.each_ref().map(String::as_str))
    });
    let contoso = NewTenant::named("contoso", "cloud.example");
    let mut seen = Vec::new();
    let (mut creation, mut looks, began) = (None, 0, Instant::now());
    while !seen.iter().any(|(_, action)| action == "slow") {
        let filter = EventFilter {
            after: Some(seen.last().map_or(0, |(sequence, _)| *sequence)),
            limit: 1000,
            ..EventFilter::default()
        };
        let events = directory.events(&filter).await.unwrap();
        seen.extend(events.into_iter().map(|e| (e.sequence, e.event.action)));
        match &creation {
            None if slow_is_under_way(&url).await => {
                // Its event waits for the transaction that inserted one before.
                let (directory, contoso) = (directory.clone(), contoso.clone());
                let create = async move { directory.create_tenant(&by(), contoso).await };
                creation = Some(tokio::spawn(create));
            }
            None => {}
            // Look for the later event several times before the earlier one is committed.
            Some(_) => {
                looks += 1;
                if looks == 3 {
                    server.release();
                }
            }
        }
        assert!(began.elapsed() < PATIENCE, "an event was missed: {seen:?}");
    }
    slow.await.unwrap();
    creation.unwrap().await.unwrap().unwrap();
    directory.close().await;
}

/// Whether the other node has inserted its event and waits.
async fn slow_is_under_way(url: &str) -> bool {
    let mut conn = AnyConnection::connect(url).await.unwrap();
    let waiting =
        "SELECT COUNT(*) FROM pg_stat_activity WHERE query LIKE 'DO %' AND state = 'active'";
    let count: i64 = sqlx::query_scalar(waiting)
        .fetch_one(&mut conn)
        .await
        .unwrap();
    count > 0
}

async fn refused(url: &str, reason: &str, hint: &str) {
    let error = open(url, 7).await.err().unwrap();
    assert!(matches!(error, DirectoryError::Open { .. }), "{error:?}");
    assert!(error.to_string().contains(reason), "{error}");
    assert!(error.hint().unwrap().contains(hint), "{error:?}");
}
