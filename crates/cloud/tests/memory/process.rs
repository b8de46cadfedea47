//! The service as a process, its memory and its log.

use crate::FOLDER;
use crate::common::{RawAnswer, client, connect, options};
use crossrealm_api::Client;
use crossrealm_cloud::init;
use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// What the whole process may take, in KiB: the budget that docs/reference/limits.md states.
pub(crate) const BUDGET_KIB: u64 = 256 * 1024;

/// A running service.
pub(crate) struct Process {
    pub(crate) address: SocketAddr,
    pub(crate) admin: Client,
    pub(crate) ca_pem: Vec<u8>,
    pub(crate) log: Arc<Mutex<Vec<String>>>,
    child: Child,
    _folder: TempDir,
}

impl Process {
    /// Starts a fresh installation.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        init(&options(folder.path())).await.unwrap();
        let path = |name: &str| folder.path().join(name);
        let token = std::fs::read_to_string(path("admin.token")).unwrap();
        let ca_pem = std::fs::read(path("tls/ca.pem")).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_service_itself", "--ignored", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("listening on https://")?.parse().ok())
            .expect("the service does not start");
        let log = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                sink.lock().unwrap().push(line);
            }
        });
        Self {
            address,
            admin: client(address, &token, &ca_pem),
            ca_pem,
            log,
            child,
            _folder: folder,
        }
    }

    /// The memory that is resident now, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most that was resident at any time, in KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        self.status("VmHWM:")
    }

    fn status(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let number = line.and_then(|line| line.split_whitespace().next());
        number.unwrap().parse().unwrap()
    }

    /// Sends a request from an address of this machine and reads what comes back. What is sent need not be complete.
    pub(crate) async fn exchange(&self, from: IpAddr, request: &[u8]) -> RawAnswer {
        let mut stream = connect(self.address, from, &self.ca_pem, &[]).await;
        // The service may answer and close before it has read everything.
        let _ = stream.write_all(request).await;
        let _ = stream.flush().await;
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes).await;
        RawAnswer::parse(&bytes)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address of this machine.
pub(crate) fn address(n: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 1)) + n))
}

/// Serves the installation in this folder until the process is killed.
pub(crate) fn serve(folder: &Path) {
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_max_level(tracing::Level::INFO)
        .with_writer(std::io::stderr)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let served = runtime.block_on(crossrealm_cloud::serve(&folder.join("crossrealm.toml")));
    served.unwrap();
}
