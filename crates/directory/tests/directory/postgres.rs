//! The same tests on PostgreSQL: a server of its own is started in a temporary folder, and this program runs itself again
//! against it.

use crate::support::{POSTGRES, by, open};
use crossrealm_directory::{DirectoryError, NewTenant, check_new_store};
use crossrealm_kdc::{Lookups, Records, Wanted};
use sqlx::{AnyConnection, Connection, Executor};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{env, fs};

/// What is about files, or about a process that could not be told apart.
const SQLITE_ONLY: [&str; 2] = ["opening::files", "opening::what_is_no_database"];

/// Set where nothing may be skipped, as CI does.
const REQUIRE: &str = "CROSSREALM_REQUIRE_WORLD";

#[test]
fn every_other_test_passes_on_postgresql() {
    let Some(server) = Server::start() else {
        return;
    };
    let mut run = Command::new(env::current_exe().unwrap());
    // They wait for the server more than they compute.
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

/// What an operator can get wrong, each with its own words and a next step.
#[tokio::test]
async fn what_is_wrong_with_a_server_is_said_so() {
    let Some(server) = Server::start() else {
        return;
    };
    let hba = server.folder.path().join("data/pg_hba.conf");
    fs::write(hba, "local all locked scram-sha-256\nlocal all all trust\n").unwrap();
    server.run("pg_ctl", &["reload"]);
    for statement in [
        "CREATE ROLE locked LOGIN PASSWORD 's3cret'",
        "CREATE ROLE guest LOGIN",
        "CREATE ROLE crossrealm LOGIN",
        "CREATE DATABASE crossrealm OWNER crossrealm",
        "CREATE DATABASE latin OWNER crossrealm ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0",
        "CREATE DATABASE other OWNER crossrealm",
    ] {
        server.tell("postgres", statement).await;
    }
    server.tell("other", "CREATE TABLE wiki (page TEXT)").await;
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
    refused(&url("guest", "crossrealm"), "may not make tables", "OWNER").await;
    refused(&url("crossrealm", "latin"), "LATIN1, not UTF8", "template0").await;
    refused(&url("crossrealm", "other"), "something else", "its own").await;
    let wrong_folder = "postgres:///crossrealm?host=/nonexistent&user=crossrealm";
    refused(wrong_folder, "no server answers", "start PostgreSQL").await;

    let good = url("crossrealm", "crossrealm");
    check_new_store(&good).await.unwrap();
    open(&good, 7).await.unwrap().close().await;
    let error = check_new_store(&good).await.unwrap_err();
    assert!(
        error.to_string().contains("holds an installation already"),
        "{error}"
    );
    let error = open(&good, 8).await.err().unwrap();
    assert!(matches!(error, DirectoryError::MasterKey(_)), "{error}");
    // As the next version of the program leaves it.
    let newer =
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 SELECT 9999, 'later', TRUE, checksum, 0 FROM _sqlx_migrations WHERE version = 1";
    server.tell("crossrealm", newer).await;
    refused(&good, "9999 is newer than this program", "newer").await;
    let without = "DELETE FROM _sqlx_migrations WHERE version = 9999";
    server.tell("crossrealm", without).await;
    let edited = "UPDATE _sqlx_migrations SET checksum = '\\x00' WHERE version = 1";
    server.tell("crossrealm", edited).await;
    refused(&good, "not one that this program made", "backup").await;
}

/// A server that hangs, as one whose disk does, keeps nobody waiting for ever.
#[tokio::test]
async fn a_server_that_hangs_is_not_waited_for() {
    let Some(server) = Server::start() else {
        return;
    };
    let directory = open(&server.url("postgres", "postgres"), 7).await.unwrap();
    let contoso = NewTenant::named("contoso", "cloud.example");
    let tenant = directory.create_tenant(&by(), contoso).await.unwrap().id;
    let locks = "BEGIN; LOCK TABLE tenants; SELECT pg_sleep(8)";
    let blocker = tokio::spawn(server.tell("postgres", locks));
    let began = Instant::now();
    let wanted = Wanted::Parties {
        issuer: "CORP.CONTOSO.COM".into(),
    };
    let lookups = Lookups { tenant, wanted };
    while !matches!(directory.records(&lookups).await, Records::Unavailable(_)) {
        assert!(
            began.elapsed() < Duration::from_secs(7),
            "nothing was locked"
        );
    }
    assert!(began.elapsed() < Duration::from_secs(7));
    blocker.await.unwrap();
    assert!(!matches!(
        directory.records(&lookups).await,
        Records::Unavailable(_)
    ));
    directory.close().await;
}

async fn refused(url: &str, reason: &str, hint: &str) {
    let error = open(url, 7).await.err().unwrap();
    assert!(matches!(error, DirectoryError::Open { .. }), "{error:?}");
    assert!(error.to_string().contains(reason), "{error}");
    assert!(error.hint().unwrap().contains(hint), "{error:?}");
}

/// The folder of the newest installed server's programs.
fn programs() -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|folder| folder.join("initdb").exists())
        .collect();
    found.sort();
    found.pop()
}

struct Server {
    programs: PathBuf,
    folder: tempfile::TempDir,
}

impl Server {
    /// `None` where no server is installed and tests may be skipped.
    fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            let reason = "no PostgreSQL server is installed: run `cargo xtask setup`";
            assert!(env::var_os(REQUIRE).is_none(), "{reason}");
            println!("skipped: {reason}");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let server = Self { programs, folder };
        server.open_to_all();
        server.run("initdb", &["-A", "trust", "-U", "postgres", "-E", "UTF8"]);
        // A socket in the folder and no port; a test database need not outlive a power cut.
        let options = format!(
            "-c listen_addresses= -c unix_socket_directories={} -c fsync=off -c full_page_writes=off -c max_connections=300",
            server.folder.path().display()
        );
        server.run(
            "pg_ctl",
            &["-w", "-l", "/dev/null", "-o", &options, "start"],
        );
        Some(server)
    }

    fn url(&self, user: &str, database: &str) -> String {
        let folder = self.folder.path().display();
        format!("postgres:///{database}?host={folder}&user={user}")
    }

    /// Has the superuser say this to a database.
    fn tell(&self, database: &str, statements: &'static str) -> impl Future<Output = ()> + use<> {
        let url = self.url("postgres", database);
        async move {
            sqlx::any::install_default_drivers();
            let mut conn = AnyConnection::connect(&url).await.unwrap();
            conn.execute(statements).await.unwrap();
            conn.close().await.unwrap();
        }
    }

    /// The server refuses to run as root: then the folder and the processes are those of its own user.
    fn open_to_all(&self) {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(self.folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let program = self.programs.join(program);
        let mut command = match is_root() {
            true => {
                let mut command = Command::new("runuser");
                command.args(["-u", "postgres", "--"]).arg(program);
                command
            }
            false => Command::new(program),
        };
        let data = self.folder.path().join("data");
        let output = command
            .arg("-D")
            .arg(data)
            .args(arguments)
            .current_dir("/")
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.folder.path().join("data/postmaster.pid").exists() {
            self.run("pg_ctl", &["-w", "-m", "immediate", "stop"]);
        }
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(Path::new("/proc/self")).is_ok_and(|meta| meta.uid() == 0)
}
