//! The product's service on the loopback address, as its own process with its own folder: made by `init`, ended on drop.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crossrealm_api::{Client, SecretText};
use crossrealm_lab::PATIENCE;
use crossrealm_programs::{built, command};

/// A running service. Everything in it is fresh.
#[derive(Debug)]
pub(crate) struct Service {
    child: Child,
    _folder: tempfile::TempDir,
    /// Where HTTPS is served.
    pub https: SocketAddr,
    /// Where Kerberos is served, TCP and UDP.
    pub kerberos: SocketAddr,
    /// The authority of its certificate, PEM.
    pub ca: Vec<u8>,
    /// The folder of its certificate `login.pem` and the key `login.key`.
    pub tls: PathBuf,
    /// A client with the first administrator's token.
    pub admin: Client,
}

impl Service {
    /// Makes an installation and starts it. All limits for one address are as high as those for all: one load generator
    /// stands for many clients.
    ///
    /// # Errors
    /// What the product says when it does not start.
    pub(crate) fn start(product: &Path) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let home = folder.path().join("cloud");
        let init = built(product)
            .args(["init", "--base-domain", "cloud.example"])
            .args(["--https-listen", "127.0.0.1:0"])
            .args(["--kdc-listen", "127.0.0.1:0", "--dir"])
            .arg(&home)
            .output()
            .map_err(|error| format!("cannot run the product: {error}"))?;
        if !init.status.success() {
            return Err(String::from_utf8_lossy(&init.stderr).into_owned());
        }
        let config = home.join("crossrealm.toml");
        raise_limits(&config)?;
        let log = folder.path().join("serve.log");
        let mut child = command("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(product)
            .args(["serve", "--config"])
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).map_err(|error| error.to_string())?)
            // Neither the events nor a line for each request are what is measured.
            .env("RUST_LOG", "warn")
            .spawn()
            .map_err(|error| format!("cannot run the product: {error}"))?;
        let addresses = addresses(&mut child, &log)?;
        let read = |name: &str| {
            std::fs::read(home.join(name)).map_err(|error| format!("`{name}`: {error}"))
        };
        let ca = read("tls/ca.pem")?;
        let token = String::from_utf8_lossy(&read("admin.token")?)
            .trim()
            .to_owned();
        let admin = client(addresses.0, &SecretText::new(&token), &ca)?;
        Ok(Self {
            child,
            _folder: folder,
            https: addresses.0,
            kerberos: addresses.1,
            ca,
            tls: home.join("tls"),
            admin,
        })
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A client with another token.
    pub(crate) fn client(&self, token: &SecretText) -> Result<Client, String> {
        client(self.https, token, &self.ca)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn client(address: SocketAddr, token: &SecretText, ca: &[u8]) -> Result<Client, String> {
    Client::new(&format!("https://{address}"), Some(token.clone()), Some(ca))
        .map_err(|error| error.to_string())
}

fn raise_limits(config: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(config).map_err(|error| error.to_string())?;
    let text = text
        .replace(
            "connections_per_address = 256",
            "connections_per_address = 8192",
        )
        .replace("requests_per_address = 256", "requests_per_address = 1000")
        .replace(
            "ticket_requests_per_tenant = 512",
            "ticket_requests_per_tenant = 1024",
        );
    std::fs::write(config, text).map_err(|error| error.to_string())
}

/// The two addresses that `serve` prints, HTTPS first.
fn addresses(child: &mut Child, log: &Path) -> Result<(SocketAddr, SocketAddr), String> {
    let began = Instant::now();
    loop {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        let reported: Vec<SocketAddr> = text
            .lines()
            .filter_map(|line| line.strip_prefix("listening on "))
            .filter_map(|line| line.trim_start_matches("https://").split(' ').next())
            .filter_map(|address| address.parse().ok())
            .collect();
        if let [https, kerberos] = reported.as_slice() {
            return Ok((*https, *kerberos));
        }
        let ended = child.try_wait().ok().flatten();
        if ended.is_some() || began.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("the service did not start:\n{text}"));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
