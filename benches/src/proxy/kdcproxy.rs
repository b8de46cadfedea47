//! Python's `kdcproxy` behind gunicorn with TLS, in front of a KDC: the peer.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crossrealm_lab::PATIENCE;
use crossrealm_lab::python::Environment;
use crossrealm_testkit::two_realms::TENANT_REALM;

use crate::process;

/// As they were when this was written; of what they need, Debian has nothing.
const PACKAGES: [&str; 4] = [
    "kdcproxy==1.1.0",
    "gunicorn==27.0.1",
    "dnspython==2.9.2",
    "pyasn1==0.6.5",
];

/// Threads of each worker process. Workers are as many as processors, and all of their threads together more than the
/// requests that are under way at once: a kept connection never waits for another.
const THREADS: usize = 8;

/// What gunicorn reads from its folder. As it comes, it reads certificate, key and all authorities of the machine for each
/// connection anew; here it keeps them, which is the best it can do.
const GUNICORN_CONF: &str = "\
made = []
def ssl_context(conf, default_ssl_context_factory):
    if not made:
        made.append(default_ssl_context_factory())
    return made[0]
";

/// A running proxy, ended on drop with its workers.
pub(super) struct KdcProxy {
    child: Child,
    _folder: tempfile::TempDir,
    pub address: SocketAddr,
}

impl KdcProxy {
    /// Starts it in front of the KDC at `kdc`, with the certificate `login.pem` and the key `login.key` in `tls`.
    ///
    /// # Errors
    /// The packages cannot be had, or it does not start.
    pub(super) fn start(kdc: SocketAddr, tls: &Path) -> Result<Self, String> {
        let python = Environment::new("kdcproxy", &PACKAGES)
            .and_then(|environment| environment.python())
            .map_err(|failure| format!("kdcproxy cannot be had: {failure}"))?;
        let said = |error: std::io::Error| error.to_string();
        let folder = tempfile::tempdir().map_err(said)?;
        let home = folder.path();
        let config = home.join("kdcproxy.conf");
        std::fs::write(&config, kdcproxy_conf(kdc)).map_err(said)?;
        std::fs::write(home.join("gunicorn.conf.py"), GUNICORN_CONF).map_err(said)?;
        let free = TcpListener::bind("127.0.0.1:0").map_err(said)?;
        let address = free.local_addr().map_err(said)?;
        drop(free);
        let log = home.join("gunicorn.log");
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let mut gunicorn = crossrealm_programs::command("setpriv");
        gunicorn
            .args(["--pdeathsig", "TERM", "--"])
            .arg(python)
            .args(["-m", "gunicorn", "--worker-class", "gthread"])
            .args(["--workers", &workers.to_string()])
            .args(["--threads", &THREADS.to_string()])
            .args(["--keep-alive", "60", "--log-level", "warning"])
            .arg("--no-control-socket")
            .args(["--bind", &address.to_string()])
            .arg("--certfile")
            .arg(tls.join("login.pem"))
            .arg("--keyfile")
            .arg(tls.join("login.key"))
            .arg("kdcproxy:application")
            .current_dir(home)
            .env("HOME", home)
            .env("KDCPROXY_CONFIG", config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).map_err(said)?);
        let mut proxy = Self {
            child: gunicorn.spawn().map_err(said)?,
            _folder: folder,
            address,
        };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            let ended = proxy.child.try_wait().ok().flatten();
            if ended.is_some() || began.elapsed() > PATIENCE {
                let text = std::fs::read_to_string(&log).unwrap_or_default();
                return Err(format!("kdcproxy did not start:\n{text}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(proxy)
    }

    /// The process whose children do the work.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for KdcProxy {
    fn drop(&mut self) {
        process::terminate(&mut self.child);
    }
}

fn kdcproxy_conf(kdc: SocketAddr) -> String {
    format!("[global]\nuse_dns = false\n[{TENANT_REALM}]\nkerberos = kerberos+tcp://{kdc}\n")
}
