//! The same tests on PostgreSQL: a server of its own is started in a temporary folder, and this program runs itself again
//! against it.

use crate::support::POSTGRES;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// What is about files, or about a process that could not be told apart.
const SQLITE_ONLY: [&str; 2] = ["opening::files", "opening::what_is_no_database"];

#[test]
fn every_other_test_passes_on_postgresql() {
    let Some(programs) = programs() else {
        println!("skipped: no PostgreSQL server is installed (package `postgresql`)");
        return;
    };
    let server = Server::start(programs);
    let mut run = Command::new(env::current_exe().unwrap());
    run.args(["--skip", "postgres::"]);
    for test in SQLITE_ONLY {
        run.args(["--skip", test]);
    }
    let output = run.env(POSTGRES, server.url()).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
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
    fn start(programs: PathBuf) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Self { programs, folder };
        server.open_to_all();
        server.run("initdb", &["-A", "trust", "-U", "postgres", "-E", "UTF8"]);
        // A socket in the folder and no port; a test database need not outlive a power cut.
        let options = format!(
            "-c listen_addresses= -c unix_socket_directories={} -c fsync=off -c max_connections=300",
            server.folder.path().display()
        );
        server.run(
            "pg_ctl",
            &["-w", "-l", "/dev/null", "-o", &options, "start"],
        );
        server
    }

    fn url(&self) -> String {
        format!(
            "postgres:///postgres?host={}&user=postgres",
            self.folder.path().display()
        )
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
