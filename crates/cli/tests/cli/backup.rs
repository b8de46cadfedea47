//! F21: the commands of the page *Back up and restore* of the guide, as they stand there, on a service that runs.

use crate::common::{Cloud, free_port, reachable, until};
use crate::scratch_postgres::Server;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The first block of commands below a heading of the page, with these folders in place of the page's.
fn block(heading: &str, places: &Places) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide/backup.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, section) = page
        .split_once(&format!("\n## {heading}\n"))
        .unwrap_or_else(|| panic!("no heading `{heading}`"));
    let block = section.split("```").nth(1).unwrap();
    let folder = |path: &Path| path.to_str().unwrap().to_owned();
    block
        .replace("/var/lib/crossrealm", &folder(&places.installation))
        .replace("/etc/crossrealm", &folder(&places.installation))
        .replace("/backup", &folder(&places.backup))
        .replace("/safe", &folder(&places.safe))
}

struct Places {
    installation: PathBuf,
    backup: PathBuf,
    safe: PathBuf,
}

impl Places {
    fn new(folder: &Path, installation: PathBuf) -> Self {
        let places = Self {
            installation,
            backup: folder.join("backup"),
            safe: folder.join("safe"),
        };
        for made in [&places.backup, &places.safe] {
            fs::create_dir(made).unwrap();
        }
        places
    }

    /// Runs the commands below a heading; the first that fails ends them.
    fn run(&self, heading: &str, environment: &[(&str, &str)]) -> Output {
        let script = format!("set -e\n{}", block(heading, self));
        let mut shell = crossrealm_programs::shell(&script);
        let output = shell.envs(environment.iter().copied()).output().unwrap();
        assert!(output.status.success(), "{heading}: {output:?}\n{script}");
        output
    }

    /// Every copy is for its owner alone.
    fn check_modes(&self) {
        for folder in [&self.backup, &self.safe] {
            for file in fs::read_dir(folder).unwrap() {
                let file = file.unwrap();
                let mode = file.metadata().unwrap().permissions().mode();
                assert_eq!(mode & 0o077, 0, "{}", file.path().display());
            }
        }
    }
}

fn shares(cloud: &Cloud) -> String {
    String::from_utf8(cloud.ok(&["share", "list", "acct1"]).stdout).unwrap()
}

/// F21: a backup of SQLite that is made under a running service restores it, on the same machine and on a new one; a mixture with
/// the write-ahead log of before is refused and changes nothing.
#[test]
fn f21_a_backup_of_sqlite_is_restored_as_the_guide_says() {
    let mut cloud = Cloud::start();
    let folder = tempfile::tempdir().unwrap();
    let places = Places::new(folder.path(), cloud.path(""));
    let checked = places.run("Back up SQLite", &[]);
    assert_eq!(String::from_utf8_lossy(&checked.stdout).trim(), "ok");
    places.run("Back up the master key", &[]);
    places.check_modes();
    cloud.ok(&["share", "create", "acct1/later"]);

    // The service is killed: its last writes are in the write-ahead log alone.
    cloud.away(|cloud| {
        assert!(cloud.path("crossrealm.db-wal").exists());
        let (database, log) = (cloud.path("crossrealm.db"), cloud.path("crossrealm.db-wal"));
        let before = (fs::read(&database).unwrap(), fs::read(&log).unwrap());
        fs::copy(places.backup.join("crossrealm.db"), &database).unwrap();
        let mixed = (fs::read(&database).unwrap(), before.1.clone());
        let refused = serve_once(&cloud.path("crossrealm.toml"));
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(
            said.contains("write-ahead log") && said.contains("Back up and restore"),
            "{said}"
        );
        let after = (fs::read(&database).unwrap(), fs::read(&log).unwrap());
        assert!(after == mixed, "the refusal changed the files");
        fs::write(&database, &before.0).unwrap();
        places.run("Restore SQLite", &[]);
    });
    assert!(shares(&cloud).contains("projects"));
    assert!(
        !shares(&cloud).contains("later"),
        "the database is not the backup"
    );

    // The machine is lost. The token that the test calls the service with is no part of a backup.
    let token = fs::read(cloud.path("admin.token")).unwrap();
    cloud.away(|cloud| {
        fs::remove_dir_all(cloud.path("")).unwrap();
        places.run("Restore the installation", &[]);
        fs::write(cloud.path("admin.token"), &token).unwrap();
    });
    assert!(shares(&cloud).contains("projects"));
    let mode = |name: &str| fs::metadata(cloud.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("master.key"), mode("crossrealm.db")), (0o600, 0o600));
    cloud.ok(&["share", "create", "acct1/new"]);
}

/// `crossrealm serve`, which is expected to end by itself.
fn serve_once(config: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_crossrealm"))
        .arg("serve")
        .arg("--config")
        .arg(config)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// F21: the same with PostgreSQL.
#[test]
fn f21_a_backup_of_postgresql_is_restored_as_the_guide_says() {
    let Some(database) = Server::start() else {
        return;
    };
    database.tell(
        "postgres",
        &[
            "CREATE ROLE crossrealm LOGIN",
            "CREATE DATABASE crossrealm OWNER crossrealm",
        ],
    );
    let folder = tempfile::tempdir().unwrap();
    let places = Places::new(folder.path(), folder.path().join("xr"));
    let node = Node::init(
        &places.installation,
        &database.url("crossrealm", "crossrealm"),
    );
    let mut service = node.serve();
    node.ok(&["tenant", "create", "contoso"]);
    let (host, port) = (database.path(""), database.port.to_string());
    let as_superuser = [
        ("PGHOST", host.to_str().unwrap()),
        ("PGPORT", &port),
        ("PGUSER", "postgres"),
    ];
    places.run("Back up PostgreSQL", &as_superuser);
    places.check_modes();
    node.ok(&["tenant", "create", "fabrikam"]);
    service.kill().unwrap();
    service.wait().unwrap();
    let drop = "DROP DATABASE crossrealm WITH (FORCE)";
    database.tell("postgres", &[drop]);
    places.run("Restore PostgreSQL", &as_superuser);
    let mut service = node.serve();
    let tenants = node.ok(&["tenant", "list"]);
    service.kill().unwrap();
    service.wait().unwrap();
    assert!(
        tenants.contains("contoso") && !tenants.contains("fabrikam"),
        "{tenants}"
    );
}

/// A service on PostgreSQL.
struct Node {
    folder: PathBuf,
    port: u16,
}

impl Node {
    fn init(folder: &Path, store: &str) -> Self {
        let port = free_port();
        let made = Command::new(env!("CARGO_BIN_EXE_crossrealm"))
            .args(["init", "--base-domain", "cloud.example", "--store", store])
            .args(["--https-listen", &format!("127.0.0.1:{port}"), "--dir"])
            .arg(folder)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        Self {
            folder: folder.to_owned(),
            port,
        }
    }

    fn serve(&self) -> std::process::Child {
        let service = Command::new(env!("CARGO_BIN_EXE_crossrealm"))
            .arg("serve")
            .arg("--config")
            .arg(self.folder.join("crossrealm.toml"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        until("the service answers", || reachable(self.port));
        service
    }

    fn ok(&self, args: &[&str]) -> String {
        let token = fs::read_to_string(self.folder.join("admin.token")).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_crossrealm"))
            .env(
                "CROSSREALM_SERVER",
                format!("https://127.0.0.1:{}", self.port),
            )
            .env("CROSSREALM_CA", self.folder.join("tls/ca.pem"))
            .env("CROSSREALM_TOKEN", token.trim())
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}
