//! MIT's KDC for a realm of the tenant's name, with a key shared with the same trusted realm: the peer.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crossrealm_krb::crypto::{Enctype, Key};
use crossrealm_lab::PATIENCE;
use crossrealm_testkit::two_realms::{AD_REALM, SHARE_HOST, TENANT_REALM};

use crate::process;

const SHARED: &str = "what-both-realms-know-1";
const SERVICE: &str = "what-the-service-knows-1";

/// A running `krb5kdc`, ended on drop with its workers.
pub(crate) struct Mit {
    child: Child,
    _folder: tempfile::TempDir,
    pub address: SocketAddr,
    /// The key of `krbtgt/TENANT@AD`.
    pub shared: Key,
    /// The key of the service.
    pub service: Key,
}

impl Mit {
    /// Makes the realm's database and starts the KDC with as many workers as the machine has processors.
    ///
    /// # Errors
    /// What MIT's tools say when they fail.
    pub(crate) fn start() -> Result<Self, String> {
        let said = |error: std::io::Error| error.to_string();
        let folder = tempfile::tempdir().map_err(said)?;
        let home = folder.path();
        let free = TcpListener::bind("127.0.0.1:0").map_err(said)?;
        let address = free.local_addr().map_err(said)?;
        drop(free);
        std::fs::write(home.join("krb5.conf"), krb5_conf(home)).map_err(said)?;
        std::fs::write(home.join("kdc.conf"), kdc_conf(home, address)).map_err(said)?;
        run(
            home,
            "kdb5_util",
            &["create", "-r", TENANT_REALM, "-s", "-P", "master"],
        )?;
        let cross = format!("krbtgt/{TENANT_REALM}@{AD_REALM}");
        let service = format!("cifs/{SHARE_HOST}@{TENANT_REALM}");
        for (principal, password) in [(&cross, SHARED), (&service, SERVICE)] {
            let add = format!("addprinc -e aes256-cts:normal -pw {password} {principal}");
            run(home, "kadmin.local", &["-r", TENANT_REALM, "-q", &add])?;
        }
        let key = |password: &str, salt: &str| {
            Key::from_password(Enctype::Aes256Sha1, password, salt, None)
                .map_err(|error| error.to_string())
        };
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let mut kdc = with_settings(home, "krb5kdc");
        kdc.args(["-n", "-r", TENANT_REALM, "-w", &workers.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut mit = Self {
            child: kdc.spawn().map_err(said)?,
            address,
            shared: key(SHARED, &format!("{AD_REALM}krbtgt{TENANT_REALM}"))?,
            service: key(SERVICE, &format!("{TENANT_REALM}cifs{SHARE_HOST}"))?,
            _folder: folder,
        };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            let ended = mit.child.try_wait().ok().flatten();
            if ended.is_some() || began.elapsed() > PATIENCE {
                return Err("krb5kdc does not answer".to_owned());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(mit)
    }

    /// The process whose children do the work.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Mit {
    fn drop(&mut self) {
        process::terminate(&mut self.child);
    }
}

fn with_settings(home: &Path, program: &str) -> Command {
    let program = crossrealm_programs::command(program);
    let mut command = crossrealm_programs::command("setpriv");
    command
        .args(["--pdeathsig", "TERM", "--"])
        .arg(program.get_program())
        .env("KRB5_CONFIG", home.join("krb5.conf"))
        .env("KRB5_KDC_PROFILE", home.join("kdc.conf"));
    command
}

fn run(home: &Path, program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = with_settings(home, program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("cannot run `{program}`: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!(
            "`{program}` failed: {}",
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}

fn krb5_conf(home: &Path) -> String {
    format!(
        "[libdefaults]\n default_realm = {TENANT_REALM}\n dns_lookup_kdc = false\n dns_lookup_realm = false\n\
         [logging]\n kdc = FILE:/dev/null\n admin_server = FILE:{home}/admin.log\n",
        home = home.display()
    )
}

fn kdc_conf(home: &Path, address: SocketAddr) -> String {
    format!(
        "[kdcdefaults]\n kdc_listen = {address}\n kdc_tcp_listen = {address}\n kdc_max_tcp_connections = 500\n\
         [realms]\n {TENANT_REALM} = {{\n  database_name = {home}/principal\n  key_stash_file = {home}/stash\n\
         \x20 acl_file = {home}/acl\n  max_life = 10h\n  supported_enctypes = aes256-cts:normal\n }}\n",
        home = home.display()
    )
}
