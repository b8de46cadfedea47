//! The binary on PostgreSQL, as an operator sets it up: a password in a file, a connection that verifies the server, the
//! errors of a wrong set-up; and a second node that goes on when the first one is killed.

use super::common::{free_port, reachable, until};
use crate::scratch_postgres::Server;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

const SECRET: &str = "s3cret-of-the-database";

#[test]
fn an_installation_on_postgresql_is_made_and_served_by_two_nodes() {
    let Some(database) = Server::start() else {
        return;
    };
    let role = format!("CREATE ROLE crossrealm LOGIN PASSWORD '{SECRET}'");
    let create = "CREATE DATABASE crossrealm OWNER crossrealm";
    database.tell("postgres", &[&role, create]);
    let folder = tempfile::tempdir().unwrap();
    let home = Operator::new(folder.path(), &database);
    let store = |host: &str, parameters: &str| {
        format!(
            "postgres://crossrealm@{host}:{}/crossrealm{parameters}",
            database.port
        )
    };
    let ca = database.path("ca.pem").display().to_string();
    let proven = format!("?sslmode=verify-full&sslrootcert={ca}");
    let good = store("localhost", &proven);

    let with_password = good.replace("crossrealm@", &format!("crossrealm:{SECRET}@"));
    home.refused(&with_password, "PGPASSFILE");
    home.refused(&store("localhost", "?sslmode=verify-full"), "UnknownIssuer");
    home.refused(&store("127.0.0.1", &proven), "not valid for name");
    home.refused(&store("db.example", "?sslmode=require"), "verify-full");
    fs::rename(folder.path().join("pgpass"), folder.path().join("away")).unwrap();
    home.refused(&good, "password authentication failed");
    fs::rename(folder.path().join("away"), folder.path().join("pgpass")).unwrap();
    // What was refused left nothing in the way.
    let created = home.init("one", &good);
    assert!(created.status.success(), "{created:?}");
    let config = fs::read_to_string(folder.path().join("one/crossrealm.toml")).unwrap();
    assert!(!config.contains(SECRET), "{config}");
    home.refused(&good, "already holds an installation");

    let one = home.serve("one");
    let mut copy = crossrealm_programs::command("cp");
    copy.args(["-a", "one", "two"]).current_dir(folder.path());
    assert!(copy.status().unwrap().success());
    let two = home.serve("two");
    one.ok(&["tenant", "create", "contoso"]);
    two.ok(&["storage-account", "create", "acct1"]);
    one.ok(&["share", "create", "acct1/projects"]);
    assert!(two.ok(&["share", "list", "acct1"]).contains("projects"));
    // SIGKILL, in the middle of its work.
    drop(one);
    two.ok(&["share", "create", "acct1/more"]);
    let one = home.serve("one");
    assert!(one.ok(&["share", "list", "acct1"]).contains("more"));
    drop((one, two));
    for name in ["one", "two"] {
        let log = fs::read(folder.path().join(format!("{name}.log"))).unwrap();
        let holds = |text: &[u8]| log.windows(text.len()).any(|part| part == text);
        assert!(
            holds(b"TRACE"),
            "{name} logged too little to prove anything"
        );
        assert!(
            !holds(SECRET.as_bytes()),
            "the password is in the log of {name}"
        );
    }

    database.stop("fast");
    let config = folder.path().join("one/crossrealm.toml");
    let away = home
        .command()
        .arg("serve")
        .arg("--config")
        .arg(config)
        .output();
    let away = away.unwrap();
    let stderr = String::from_utf8_lossy(&away.stderr);
    assert!(!away.status.success());
    assert!(
        stderr.contains("the server cannot be reached") && stderr.contains("hint:"),
        "{stderr}"
    );
}

/// An operator who sets up an installation in a directory.
struct Operator<'a> {
    folder: &'a Path,
}

/// A `serve` that is killed when it is dropped.
struct Node {
    process: Child,
    port: u16,
    folder: std::path::PathBuf,
}

impl<'a> Operator<'a> {
    fn new(folder: &'a Path, database: &Server) -> Self {
        let pass = folder.join("pgpass");
        let line = format!(
            "localhost:{}:crossrealm:crossrealm:{SECRET}\n",
            database.port
        );
        fs::write(&pass, line).unwrap();
        fs::set_permissions(&pass, fs::Permissions::from_mode(0o600)).unwrap();
        Self { folder }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crossrealm"));
        command
            .env("PGPASSFILE", self.folder.join("pgpass"))
            .env("HOME", self.folder);
        command
    }

    fn init(&self, name: &str, store: &str) -> Output {
        let mut init = self.command();
        init.args(["init", "--base-domain", "cloud.example", "--store", store]);
        init.arg("--https-listen")
            .arg(format!("127.0.0.1:{}", free_port()));
        init.arg("--dir").arg(self.folder.join(name));
        init.output().unwrap()
    }

    /// A first run that is refused for this reason, and leaves nothing.
    fn refused(&self, store: &str, reason: &str) {
        let output = self.init("refused", store);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(reason), "{store}: {stderr}");
        assert!(!stderr.contains(SECRET), "{stderr}");
        assert!(!self.folder.join("refused").exists());
    }

    /// Serves the installation in this folder on a port of its own, and logs everything.
    fn serve(&self, name: &str) -> Node {
        let folder = self.folder.join(name);
        let path = folder.join("crossrealm.toml");
        let port = free_port();
        let config = fs::read_to_string(&path).unwrap();
        let lines = config
            .lines()
            .map(|line| match line.starts_with("https_listen") {
                true => format!("https_listen = \"127.0.0.1:{port}\"\n"),
                false => format!("{line}\n"),
            });
        fs::write(&path, lines.collect::<String>()).unwrap();
        let log = fs::File::create(self.folder.join(format!("{name}.log"))).unwrap();
        let mut serve = self.command();
        serve.arg("serve").arg("--config").arg(path);
        serve.env("CROSSREALM_LOG", "trace");
        let process = serve.stdout(log.try_clone().unwrap()).stderr(log);
        let process = process.stdin(Stdio::null()).spawn().unwrap();
        let node = Node {
            process,
            port,
            folder,
        };
        until("the node answers", || reachable(port));
        node
    }
}

impl Node {
    fn ok(&self, args: &[&str]) -> String {
        let token = fs::read_to_string(self.folder.join("admin.token")).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_crossrealm"))
            .env(
                "CROSSREALM_SERVER",
                format!("https://127.0.0.1:{}", self.port),
            )
            .env("CROSSREALM_TENANT", "contoso")
            .env("CROSSREALM_CA", self.folder.join("tls/ca.pem"))
            .env("CROSSREALM_TOKEN", token.trim())
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
