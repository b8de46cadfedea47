//! A running service for the tests of the binary.

use crossrealm_api::{Client, IdentityChange, SecretText, SyncDomain};
use crossrealm_testkit::trusted_tenant::sync_run;
use crossrealm_types::ApplyIdentitiesResult;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A service with tenant, account and share, in a folder of its own, on loopback ports that were free.
pub(crate) struct Cloud {
    folder: tempfile::TempDir,
    port: u16,
    service: Child,
}

impl Cloud {
    /// Starts it: tenant `contoso`, account `acct1`, share `projects`.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let dir = folder.path().join("xr");
        let made = Command::new(env!("CARGO_BIN_EXE_crossrealm"))
            .args(["init", "--base-domain", "cloud.example", "--https-listen"])
            .arg(format!("127.0.0.1:{port}"))
            .arg("--dir")
            .arg(&dir)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let service = serve(&dir, port);
        let cloud = Self {
            folder,
            port,
            service,
        };
        cloud.ok(&["tenant", "create", "contoso"]);
        cloud.ok(&["storage-account", "create", "acct1"]);
        cloud.ok(&["share", "create", "acct1/projects"]);
        cloud
    }

    /// The binary with these arguments, as an administrator of the service.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let dir = self.folder.path().join("xr");
        let mut command = Command::new(env!("CARGO_BIN_EXE_crossrealm"));
        command
            .env(
                "CROSSREALM_SERVER",
                format!("https://127.0.0.1:{}", self.port),
            )
            .env("CROSSREALM_TENANT", "contoso")
            .env("CROSSREALM_CA", dir.join("tls/ca.pem"))
            .env(
                "CROSSREALM_TOKEN",
                fs::read_to_string(dir.join("admin.token")).unwrap().trim(),
            )
            .args(args);
        command
    }

    /// The binary with these arguments, as the SMB host of an account, whose token is created once.
    pub(crate) fn host_command(&self, account: &str, args: &[&str]) -> Command {
        let file = self.folder.path().join(format!("{account}.token"));
        if !file.exists() {
            let out = file.to_str().unwrap();
            self.ok(&["storage-account", "host-token", account, "--out", out]);
        }
        let token = fs::read_to_string(file).unwrap();
        let mut command = self.command(args);
        command.env("CROSSREALM_TOKEN", token.trim());
        command
    }

    /// Runs the binary with these arguments, which must succeed.
    pub(crate) fn ok(&self, args: &[&str]) -> Output {
        let output = self.command(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        output
    }

    /// The address of the service.
    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// A file in the folder of the installation.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("xr").join(name)
    }

    /// Stops the service in good order, so that its database is one file.
    pub(crate) fn stop(&self) {
        let pid = self.service.id();
        let ended = crossrealm_programs::shell(&format!("kill -TERM {pid}")).status();
        assert!(ended.unwrap().success());
        until("the service has ended", || {
            !self.path("crossrealm.db-wal").exists()
        });
    }

    /// Stops the service, lets `meanwhile` happen, and starts it again.
    pub(crate) fn away(&mut self, meanwhile: impl FnOnce(&Self)) {
        self.service.kill().unwrap();
        self.service.wait().unwrap();
        meanwhile(self);
        self.service = serve(&self.folder.path().join("xr"), self.port);
    }

    /// A client of the service's API, as its administrator.
    pub(crate) fn client(&self) -> Client {
        let token = fs::read_to_string(self.path("admin.token")).unwrap();
        self.client_of(SecretText::new(token.trim()))
    }

    /// A client of the service's API with this token.
    pub(crate) fn client_of(&self, token: SecretText) -> Client {
        let ca = fs::read(self.path("tls/ca.pem")).unwrap();
        let url = format!("https://127.0.0.1:{}", self.port);
        Client::new(&url, Some(token), Some(&ca)).unwrap()
    }

    /// Writes what a sync agent of the domain `corp.contoso.com` would, so that the tenant records the domain.
    pub(crate) fn sync(&self, changes: Vec<IdentityChange>) -> ApplyIdentitiesResult {
        let domain = SyncDomain {
            dns_name: "corp.contoso.com".into(),
            flat_name: "CORP".into(),
            sid: "S-1-5-21-1-2-3".parse().unwrap(),
        };
        let wanted = sync_run(domain, changes);
        let client = self.client();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime
            .block_on(client.apply_identities("contoso", "corp.contoso.com", &wanted))
            .unwrap()
    }

    /// A folder for the data of a host; it is not there yet.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

/// Starts the service of this installation and waits until it answers. Its log is the file `log` of the installation.
fn serve(dir: &Path, port: u16) -> Child {
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(dir.join("log"));
    let service = Command::new(env!("CARGO_BIN_EXE_crossrealm"))
        .arg("serve")
        .arg("--config")
        .arg(dir.join("crossrealm.toml"))
        .stderr(log.unwrap())
        .spawn()
        .unwrap();
    until("the service answers", || reachable(port));
    service
}

impl Drop for Cloud {
    fn drop(&mut self) {
        let _ = self.service.kill();
        let _ = self.service.wait();
    }
}

/// Waits until something holds.
pub(crate) fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A port of the loopback address that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// Whether a server listens there.
pub(crate) fn reachable(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}
