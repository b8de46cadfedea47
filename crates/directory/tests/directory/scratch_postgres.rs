//! A PostgreSQL server for one test, in a temporary folder, reached by a socket in it, deleted with the test.
#![allow(dead_code, reason = "every test program uses another part of it")]

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::process::Command;

/// Set where no test may be skipped, such as in CI.
const REQUIRE: &str = "CROSSREALM_REQUIRE_WORLD";
/// A certificate for `localhost`, and the authority that signed it.
const CERTIFICATES: &str = "set -e
new='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
openssl req -x509 $new -keyout ca.key -out ca.pem -subj /CN=test-ca -days 2
openssl req $new -keyout server.key -out server.csr -subj /CN=localhost -addext subjectAltName=DNS:localhost
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -copy_extensions copy -out server.pem";

pub(super) struct Server {
    folder: tempfile::TempDir,
    /// The port on the loopback address, for TLS connections with a password.
    pub port: u16,
}

impl Server {
    /// `None` where no server is installed and tests may be skipped.
    pub(super) fn start() -> Option<Self> {
        if crossrealm_programs::find("initdb").is_none() {
            let reason = "no PostgreSQL server is installed: run `cargo xtask setup`";
            assert!(std::env::var_os(REQUIRE).is_none(), "{reason}");
            println!("skipped: {reason}");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        // The server refuses to run as root; the folder and the processes then belong to its own user.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let server = Self { folder, port };
        server.by_owner(crossrealm_programs::shell(CERTIFICATES), &[]);
        server.run("initdb", &["-A", "trust", "-U", "postgres", "-E", "UTF8"]);
        server.write_hba("local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n");
        server.start_again();
        Some(server)
    }

    /// The rules of authentication.
    pub(super) fn write_hba(&self, lines: &str) {
        fs::write(self.path("data/pg_hba.conf"), lines).unwrap();
    }

    /// Starts the stopped server again. A test's database need not survive a power failure.
    pub(super) fn start_again(&self) {
        let folder = self.folder.path().display();
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories={folder} -c ssl=on \
             -c ssl_cert_file={folder}/server.pem -c ssl_key_file={folder}/server.key \
             -c fsync=off -c full_page_writes=off -c max_connections=300",
            self.port
        );
        self.run(
            "pg_ctl",
            &["-w", "-l", "/dev/null", "-o", &options, "start"],
        );
    }

    /// Stops it: `fast`, or `immediate` like a crash.
    pub(super) fn stop(&self, mode: &str) {
        self.run("pg_ctl", &["-w", "-m", mode, "stop"]);
    }

    /// Sends a signal to all its processes. `STOP` makes it hang: connections stay open, and nothing is answered until
    /// `CONT`.
    pub(super) fn signal_all(&self, signal: &str) {
        let file = fs::read_to_string(self.path("data/postmaster.pid")).unwrap();
        let server = file.lines().next().unwrap();
        let script = format!("kill -{signal} {server}; pkill -{signal} -P {server}; true");
        self.by_owner(crossrealm_programs::shell(&script), &[]);
    }

    /// A statement that waits until [`Server::release`] is called, however long that takes.
    pub(super) fn until_released(&self) -> String {
        let mark = self.path("released").display().to_string();
        format!(
            "DO $$ BEGIN WHILE (pg_stat_file('{mark}', true)).size IS NULL LOOP PERFORM pg_sleep(0.02); END LOOP; END $$"
        )
    }

    pub(super) fn release(&self) {
        fs::write(self.path("released"), "").unwrap();
    }

    pub(super) fn reload(&self) {
        self.run("pg_ctl", &["reload"]);
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Through the socket, which needs no password.
    pub(super) fn url(&self, user: &str, database: &str) -> String {
        let (folder, port) = (self.folder.path().display(), self.port);
        format!("postgres:///{database}?host={folder}&port={port}&user={user}")
    }

    /// Runs statements in a database as the superuser, each by itself.
    pub(super) fn tell(&self, database: &str, statements: &[&str]) {
        let folder = self.folder.path().display().to_string();
        let port = self.port.to_string();
        let mut arguments = vec!["-h", &folder, "-p", &port, "-U", "postgres", "-d", database];
        arguments.extend(["-q", "-v", "ON_ERROR_STOP=1"]);
        arguments.extend(statements.iter().flat_map(|statement| ["-c", statement]));
        self.by_owner(crossrealm_programs::command("psql"), &arguments);
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let data = self.path("data").display().to_string();
        let arguments = [&["-D", &data], arguments].concat();
        self.by_owner(crossrealm_programs::command(program), &arguments);
    }

    fn by_owner(&self, command: Command, arguments: &[&str]) {
        let mut command = match is_root() {
            true => {
                let mut runuser = crossrealm_programs::command("runuser");
                runuser
                    .args(["-u", "postgres", "--"])
                    .arg(command.get_program());
                runuser.args(command.get_args());
                runuser
            }
            false => command,
        };
        let output = command.args(arguments).current_dir(self.folder.path());
        let output = output.output().unwrap();
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.path("data/postmaster.pid").exists() {
            // A failed test may have left it stopped.
            self.signal_all("CONT");
            self.stop("immediate");
        }
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}
