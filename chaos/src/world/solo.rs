//! The service on SQLite: one process on loopback, on a disk that fails on demand (the library of `crates/cli/tests/store_faults.c`),
//! with a realm of AD in memory that issues referrals with its trust key.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use crossrealm_api::{Client, ClientError, IdentityChange, SecretText};
use crossrealm_lab::story::Story;
use crossrealm_lab::{Clock, Failure, Run};
use crossrealm_testkit::trusted_tenant;
use crossrealm_testkit::two_realms::TwoRealms;
use crossrealm_types::{IdentityState, SyncedIdentity};
use tokio::runtime::Runtime;

use super::nodes::LISTENS;
use super::program::Program;
use super::{clock, held};
use crate::history::Ended;

/// How long a ticket is waited for.
const TICKET: Duration = Duration::from_secs(10);
/// More than alice is disabled in any run.
const DISABLINGS: u64 = 1_000_000;

pub(crate) struct Solo {
    folder: PathBuf,
    library: PathBuf,
    page: File,
    clock: Clock,
    kerberos: u16,
    realms: Mutex<TwoRealms>,
    pub(crate) service: Program,
    pub(crate) runtime: Runtime,
    pub(crate) admin: Client,
    url: String,
}

impl Solo {
    /// Makes the installation, starts it, and gives it a tenant with a trust and alice.
    pub(crate) fn start(story: &Story) -> Result<Self, Failure> {
        let world = &story.world;
        let folder = world.scratch().join("solo");
        let library = world.scratch().join("store_faults.so");
        let source = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../crates/cli/tests/store_faults.c"
        );
        let compile = Run::here("cc").args(["-shared", "-fPIC", "-O1", "-o"]);
        compile.arg(&library).arg(source).ok()?;
        let (https, kerberos) = (free_port()?, free_port()?);
        let listen = [
            format!("127.0.0.1:{https}"),
            format!("127.0.0.1:{kerberos}"),
        ];
        let init = Run::here(story.binary()).args(["init", "--base-domain", "cloud.example"]);
        let init = init.args(["--https-listen", &listen[0], "--kdc-listen", &listen[1]]);
        init.arg("--dir").arg(&folder).ok()?;
        let page = world.scratch().join("page");
        let page = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(page)?;
        page.set_len(4096)?;
        let url = format!("https://{}", listen[0]);
        let token = fs::read_to_string(folder.join("admin.token"))?;
        let own = Self {
            admin: client(&folder, &url, token.trim())?,
            clock: clock(world, "solo")?,
            kerberos,
            library,
            page,
            realms: Mutex::new(TwoRealms::new()),
            service: Program::default(),
            runtime: Runtime::new()?,
            folder,
            url,
        };
        own.mend_disk()?;
        own.run(story, None)?;
        let made = own.runtime.block_on(trusted_tenant::create(&own.admin));
        *held(&own.realms) = made.map_err(|error| Failure::new(error.to_string()))?;
        Ok(own)
    }

    /// Starts the service in the place of the one that runs; with a clock that is so many seconds ahead.
    pub(crate) fn run(&self, story: &Story, ahead_s: Option<i64>) -> Result<(), Failure> {
        let serve = Run::here(story.binary()).args(["serve", "--config"]);
        let serve = serve.arg(self.folder.join("crossrealm.toml"));
        let faults = serve
            .env("FAULTS_STORE", self.folder.join("crossrealm.db"))
            .env("FAULTS_PAGE", story.world.scratch().join("page"));
        let serve = match ahead_s {
            Some(seconds) => {
                self.clock.is_ahead(seconds, 0)?;
                self.clock.of(faults)
            }
            None => faults.env("LD_PRELOAD", &self.library),
        };
        self.service.start(&story.world, "solo", &serve, LISTENS)
    }

    pub(crate) fn set_clock_right(&self) -> Result<(), Failure> {
        self.clock.is_ahead(0, 0)
    }

    /// From now on every write, flush and open of the database fails with this error.
    pub(crate) fn break_disk(&self, error: u64) -> Result<(), Failure> {
        self.set(3, error)?;
        self.set(2, u64::MAX)?;
        self.set(1, 0)
    }

    pub(crate) fn mend_disk(&self) -> Result<(), Failure> {
        self.set(1, u64::MAX)
    }

    /// A number of the page that is shared with the library.
    fn set(&self, place: u64, value: u64) -> Result<(), Failure> {
        Ok(self.page.write_all_at(&value.to_le_bytes(), place * 8)?)
    }

    /// Writes a backup while the service runs, as docs/guide/backup.md has it.
    pub(crate) fn back_up(&self) -> Result<(), Failure> {
        let backup = self.folder.join("backup.db");
        let _ = fs::remove_file(&backup);
        let into = format!("VACUUM INTO '{}'", backup.display());
        let sqlite = Run::here("sqlite3").arg(self.database());
        sqlite.arg(into).ok().map(drop)
    }

    /// Puts the backup in the place of the database, as docs/guide/backup.md has it.
    pub(crate) fn restore(&self, story: &Story) -> Result<(), Failure> {
        self.service.stop()?;
        for ending in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(self.folder.join(format!("crossrealm.db{ending}")));
        }
        let install = Run::here("install").args(["-m", "600"]);
        let install = install.arg(self.folder.join("backup.db"));
        install.arg(self.database()).ok()?;
        self.run(story, None)
    }

    /// Takes the database's file away under the service, or brings it back.
    pub(crate) fn move_database(&self, away: bool) -> Result<(), Failure> {
        let aside = self.folder.join("aside.db");
        let (from, to) = match away {
            true => (self.database(), aside),
            false => (aside, self.database()),
        };
        Ok(fs::rename(from, to)?)
    }

    fn database(&self) -> PathBuf {
        self.folder.join("crossrealm.db")
    }

    /// The API with another token.
    pub(crate) fn client(&self, token: &str) -> Result<Client, Failure> {
        client(&self.folder, &self.url, token)
    }

    /// Enables or disables alice, as a sync agent does.
    pub(crate) fn sync(&self, enabled: bool) -> Result<(), ClientError> {
        let state = match enabled {
            true => IdentityState::Enabled,
            false => IdentityState::Disabled,
        };
        let wanted = {
            let realms = held(&self.realms);
            let identity = SyncedIdentity {
                state,
                ..trusted_tenant::alice(&realms)
            };
            let changes = vec![IdentityChange::Upsert { identity }];
            let mut run = trusted_tenant::sync_run(trusted_tenant::sync_domain(&realms), changes);
            run.accept_deletions = Some(DISABLINGS);
            run
        };
        let (tenant, domain) = (trusted_tenant::TENANT, trusted_tenant::DOMAIN);
        let applied = self.admin.apply_identities(tenant, domain, &wanted);
        self.runtime.block_on(applied).map(drop)
    }

    /// Whether alice gets a ticket, over TCP.
    pub(crate) fn ticket(&self) -> Ended {
        let message = {
            let mut realms = held(&self.realms);
            realms.now = trusted_tenant::now();
            let referral = realms.referral();
            let ticket = realms.encrypt_referral(referral);
            let draft = realms.request_draft();
            realms.request(ticket, draft)
        };
        match self.exchange(&message) {
            // The application tags of TGS-REP and KRB-ERROR (RFC 4120 §5.10).
            Ok(reply) if reply.first() == Some(&0x6D) => Ended::Done,
            Ok(reply) if reply.first() == Some(&0x7E) => refusal(&reply),
            Ok(reply) => Ended::Failed(format!("no reply of Kerberos: {reply:02x?}")),
            Err(error) => Ended::Failed(error.to_string()),
        }
    }

    fn exchange(&self, message: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.kerberos))?;
        stream.set_read_timeout(Some(TICKET))?;
        let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
        stream.write_all(&[&length.to_be_bytes()[..], message].concat())?;
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        // A reply is a few kilobytes.
        let mut reply =
            vec![0; usize::from(u16::try_from(u32::from_be_bytes(length)).unwrap_or(u16::MAX))];
        stream.read_exact(&mut reply)?;
        Ok(reply)
    }
}

/// What an error of the KDC says: its text names the reason, but where the directory did not answer.
fn refusal(reply: &[u8]) -> Ended {
    let text: String = String::from_utf8_lossy(reply)
        .chars()
        .filter(|c| c.is_ascii_graphic())
        .collect();
    match text.contains("identity-") {
        true => Ended::Refused(text),
        false => Ended::Failed(text),
    }
}

fn client(folder: &std::path::Path, url: &str, token: &str) -> Result<Client, Failure> {
    let ca = fs::read(folder.join("tls/ca.pem"))?;
    let client = Client::new(url, Some(SecretText::new(token)), Some(&ca));
    client.map_err(|error| Failure::new(error.to_string()))
}

fn free_port() -> Result<u16, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
