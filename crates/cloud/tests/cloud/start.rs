//! Creating an installation and starting the service: each failure has its own message, and nothing is overwritten.

use crate::common::{Service, options};
use crossrealm_api::TenantCreate;
use crossrealm_cloud::{Config, InitError, InitOptions, ServeError, Server, check, init};
use crossrealm_directory::{Directory, EventFilter, InstallationNames, MasterKey};
use sqlx::{Connection as _, Executor as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

/// A new installation that is not running.
async fn installed() -> (tempfile::TempDir, Config) {
    let folder = tempfile::tempdir().unwrap();
    let report = init(&options(folder.path())).await.unwrap();
    let config = Config::load(&report.config).unwrap();
    (folder, config)
}

async fn refused(config: Config) -> (String, Option<String>) {
    match Server::bind(config).await {
        Ok(_) => panic!("it started"),
        Err(error) => (error.to_string(), error.hint()),
    }
}

#[tokio::test]
async fn init_leaves_what_serve_needs_and_hides_secrets() {
    let (folder, _) = installed().await;
    let mode = |name: &str| {
        let data = std::fs::metadata(folder.path().join(name)).unwrap();
        data.permissions().mode() & 0o777
    };
    for secret in ["master.key", "admin.token", "tls/login.key", "tls/ca.key"] {
        assert_eq!(mode(secret), 0o600, "{secret}");
    }
    for public in ["crossrealm.toml", "tls/ca.pem", "tls/login.pem"] {
        assert_eq!(mode(public) & 0o444, 0o444, "{public}");
    }
    assert_eq!(mode("crossrealm.db") & 0o077, 0);
}

#[tokio::test]
async fn a_second_init_changes_nothing_and_names_the_existing_files() {
    let (folder, _) = installed().await;
    let key = std::fs::read(folder.path().join("master.key")).unwrap();
    let error = init(&options(folder.path())).await.unwrap_err();
    assert!(matches!(error, InitError::Present { .. }), "{error}");
    assert!(error.to_string().contains("crossrealm.toml"), "{error}");
    assert!(error.to_string().contains("master.key"), "{error}");
    assert!(error.hint().is_some());
    assert_eq!(
        std::fs::read(folder.path().join("master.key")).unwrap(),
        key
    );
}

#[tokio::test]
async fn an_interrupted_init_is_detected() {
    let (folder, _) = installed().await;
    std::fs::remove_file(folder.path().join("crossrealm.toml")).unwrap();
    let error = init(&options(folder.path())).await.unwrap_err();
    assert!(matches!(error, InitError::Unfinished { .. }), "{error}");
}

#[tokio::test]
async fn an_own_certificate_is_kept() {
    let (other, _) = installed().await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("tls")).unwrap();
    for name in ["tls/login.pem", "tls/login.key"] {
        std::fs::copy(other.path().join(name), folder.path().join(name)).unwrap();
    }
    let report = init(&options(folder.path())).await.unwrap();
    assert_eq!(report.ca, None);
    let same = |name: &str| {
        std::fs::read(other.path().join(name)).unwrap()
            == std::fs::read(folder.path().join(name)).unwrap()
    };
    assert!(same("tls/login.pem") && same("tls/login.key"));
    std::fs::remove_file(folder.path().join("tls/login.key")).unwrap();
    for name in [
        "crossrealm.toml",
        "master.key",
        "admin.token",
        "crossrealm.db",
    ] {
        let _ = std::fs::remove_file(folder.path().join(name));
    }
    for name in ["crossrealm.db-wal", "crossrealm.db-shm"] {
        let _ = std::fs::remove_file(folder.path().join(name));
    }
    let error = init(&options(folder.path())).await.unwrap_err();
    assert!(
        matches!(error, InitError::HalfCertificate { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn an_invalid_base_domain_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut wanted = options(folder.path());
    wanted.base_domain = "not a domain".into();
    let error = init(&wanted).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("invalid base domain `not a domain`"),
        "{error}"
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_missing_database_is_not_replaced_by_an_empty_one() {
    let (folder, config) = installed().await;
    let database = folder.path().join("crossrealm.db");
    std::fs::rename(&database, folder.path().join("elsewhere")).unwrap();
    let (message, hint) = refused(config).await;
    assert!(
        message.contains("crossrealm.db` does not exist"),
        "{message}"
    );
    assert!(hint.is_some_and(|hint| hint.contains("backup")));
    assert!(!database.exists());
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let running = Service::start().await;
    let (_folder, mut config) = installed().await;
    config.https_listen = running.address;
    let (message, hint) = refused(config).await;
    assert!(
        message.contains(&format!("cannot listen on `{}`", running.address)),
        "{message}"
    );
    assert!(hint.unwrap().contains("https_listen"));
    running.admin.health().await.unwrap();
}

#[tokio::test]
async fn damaged_and_missing_files_are_named() {
    let (folder, config) = installed().await;
    let path = |name: &str| folder.path().join(name);
    let good_key = std::fs::read(path("master.key")).unwrap();

    std::fs::write(path("master.key"), b"garbage").unwrap();
    let (message, _) = refused(config.clone()).await;
    assert!(
        message.contains("master.key") && message.contains("damaged"),
        "{message}"
    );

    std::fs::remove_file(path("master.key")).unwrap();
    let (message, hint) = refused(config.clone()).await;
    assert!(message.contains("does not exist"), "{message}");
    assert!(hint.is_some());
    std::fs::write(path("master.key"), &good_key).unwrap();
    let owner_only = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path("master.key"), owner_only).unwrap();

    let (other, _) = installed().await;
    let mut wrong = config.clone();
    wrong.master_key = other.path().join("master.key");
    let (message, hint) = refused(wrong).await;
    assert!(
        message.contains("not the master key of this database"),
        "{message}"
    );
    assert!(hint.is_some());

    let mut mixed = config.clone();
    mixed.tls.key = other.path().join("tls/login.key");
    let (message, _) = refused(mixed).await;
    assert!(
        message.contains("cannot be served with the key"),
        "{message}"
    );

    std::fs::write(path("tls/login.pem"), b"garbage").unwrap();
    let (message, hint) = refused(config.clone()).await;
    assert!(message.contains("login.pem"), "{message}");
    assert!(hint.is_some());

    std::fs::write(path("crossrealm.toml"), "base_domain = [").unwrap();
    let error = ServeError::from(Config::load(&path("crossrealm.toml")).unwrap_err());
    assert!(
        error
            .to_string()
            .contains("crossrealm.toml` is wrong in line 1"),
        "{error}"
    );
}

/// R3: a zero-byte file in the place of the database, as after a restore that failed, is not filled.
#[tokio::test]
async fn an_empty_database_is_refused_with_the_next_step() {
    let (folder, config) = installed().await;
    let database = folder.path().join("crossrealm.db");
    std::fs::write(&database, "").unwrap();
    let (message, hint) = refused(config).await;
    assert!(message.contains("holds no installation"), "{message}");
    let hint = hint.unwrap();
    assert!(
        hint.contains("backup") && hint.contains("new installation"),
        "{hint}"
    );
    assert_eq!(std::fs::metadata(&database).unwrap().len(), 0);
}

/// R7: a database that is deleted or replaced under the running service takes no write that would be gone after the restart,
/// and `/readyz` says so; `/livez` does not, since the process is alive.
#[tokio::test]
async fn a_database_that_is_replaced_while_it_is_served_is_noticed() {
    for replaced in [false, true] {
        let service = Service::start().await;
        service.contoso().await;
        service.admin.ready().await.unwrap();
        let database = service.path("crossrealm.db");
        std::fs::rename(&database, service.path("aside")).unwrap();
        if replaced {
            std::fs::copy(service.path("aside"), &database).unwrap();
        }
        let wanted = TenantCreate {
            name: "fabrikam".into(),
            ..TenantCreate::default()
        };
        let error = service.admin.create_tenant(&wanted).await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        assert!(error.to_string().contains("deleted or replaced"), "{error}");
        service.admin.tenants().await.unwrap_err();
        let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
        loop {
            let answer = service.exchange(READY).await;
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            if answer.status == 503 {
                assert!(body.contains("\"replaced\""), "{body}");
                break;
            }
            assert!(std::time::Instant::now() < until, "{body}");
        }
        service.admin.live().await.unwrap();
        service.end().await;
    }
}

const READY: &[u8] = b"GET /readyz HTTP/1.0\r\nHost: login.cloud.example\r\n\r\n";

/// R12: a service that is started on an older copy of its database notices it, since it knows how many heartbeats it wrote.
#[tokio::test]
async fn a_restored_database_is_noticed_at_the_start() {
    let (folder, config) = installed().await;
    let path = |name: &str| folder.path().join(name);
    let play = async || {
        let server = Server::bind(config.clone()).await.unwrap();
        server.run(async {}).await;
    };
    play().await;
    std::fs::copy(path("crossrealm.db"), path("backup")).unwrap();
    play().await;
    let went_back = async || {
        let key = MasterKey::load(&config.master_key).unwrap();
        let names = InstallationNames::new("cloud.example", "login.cloud.example");
        let directory = Directory::open(&config.store, key, names).await.unwrap();
        let all = EventFilter {
            limit: 1000,
            ..EventFilter::default()
        };
        let events = directory.events(&all).await.unwrap();
        directory.close().await;
        let found = events
            .iter()
            .filter(|e| e.event.action == "store.went-back");
        found.count()
    };
    assert_eq!(went_back().await, 0);
    std::fs::copy(path("backup"), path("crossrealm.db")).unwrap();
    play().await;
    assert_eq!(went_back().await, 1);
    play().await;
    assert_eq!(went_back().await, 1);
}

/// The layout of the packages: what the service writes is in a directory of its own, and belongs to that directory's owner.
#[tokio::test]
async fn init_gives_the_state_to_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, state) = (folder.path().join("etc"), folder.path().join("lib"));
    std::fs::create_dir(&state).unwrap();
    let own = std::fs::metadata(&state).unwrap().uid();
    let owner = if own == 0 { 4711 } else { own };
    std::os::unix::fs::chown(&state, Some(owner), None).unwrap();
    let options = InitOptions {
        state: Some(state.clone()),
        ..options(&dir)
    };
    let report = init(&options).await.unwrap();
    assert_eq!(report.config, dir.join("crossrealm.toml"));
    for name in [
        "crossrealm.db",
        "tls",
        "tls/ca.key",
        "tls/login.key",
        "tls/login.pem",
    ] {
        let data = std::fs::metadata(state.join(name)).unwrap();
        assert_eq!(data.uid(), owner, "{name}");
    }
    for name in ["master.key", "admin.token", "crossrealm.toml"] {
        assert_eq!(
            std::fs::metadata(dir.join(name)).unwrap().uid(),
            own,
            "{name}"
        );
        assert!(!state.join(name).exists());
    }
    let checked = check(&report.config).await.unwrap();
    assert_eq!(checked.lines.len(), 4, "{:?}", checked.lines);
    Server::bind(Config::load(&report.config).unwrap())
        .await
        .unwrap();
    assert!(state.join("store.heartbeats").exists());
    let error = init(&options).await.unwrap_err();
    assert!(matches!(error, InitError::Present { .. }), "{error}");

    // An installation of one directory in the place of the state is not overlooked.
    let other = tempfile::tempdir().unwrap();
    init(&crate::common::options(other.path())).await.unwrap();
    let over = InitOptions {
        state: Some(other.path().to_owned()),
        ..crate::common::options(&folder.path().join("new"))
    };
    let error = init(&over).await.unwrap_err();
    let hint = error.hint().unwrap();
    assert!(
        hint.contains(other.path().join("crossrealm.toml").to_str().unwrap()),
        "{hint}"
    );
}

/// The check finds what a start would, beside a service that runs, and changes nothing.
#[tokio::test]
async fn a_check_finds_what_a_start_would() {
    let service = Service::start().await;
    let path = service.path("crossrealm.toml");
    assert_eq!(check(&path).await.unwrap().lines.len(), 4);
    let key = std::fs::read(service.path("master.key")).unwrap();
    std::fs::remove_file(service.path("master.key")).unwrap();
    let said =
        |result: Result<crossrealm_cloud::Checked, ServeError>| result.err().unwrap().to_string();
    assert!(said(check(&path).await).contains("master.key` does not exist"));
    MasterKey::create(&service.path("master.key")).unwrap();
    assert!(said(check(&path).await).contains("not the master key of this database"));
    std::fs::write(service.path("master.key"), &key).unwrap();

    let database = format!("sqlite://{}", service.path("crossrealm.db").display());
    let mut conn = sqlx::SqliteConnection::connect(&database).await.unwrap();
    let newer = "INSERT INTO _sqlx_migrations SELECT version + 1000000, description, installed_on, success, checksum, execution_time FROM _sqlx_migrations ORDER BY version DESC LIMIT 1";
    conn.execute(newer).await.unwrap();
    assert!(said(check(&path).await).contains("newer than this program"));
    conn.execute("DELETE FROM _sqlx_migrations WHERE version > 1000000")
        .await
        .unwrap();
    conn.execute(
        "DELETE FROM _sqlx_migrations WHERE version = (SELECT MAX(version) FROM _sqlx_migrations)",
    )
    .await
    .unwrap();
    let lines = check(&path).await.unwrap().lines;
    assert!(lines[3].contains("is migrated at the start"), "{lines:?}");

    let missing = Config::load(&path).unwrap().store;
    let text = std::fs::read_to_string(&path)
        .unwrap()
        .replace("crossrealm.db", "none.db");
    std::fs::write(&path, text).unwrap();
    let error = said(check(&path).await);
    assert!(
        error.contains("none.db` does not exist"),
        "{error}, {missing}"
    );
}
