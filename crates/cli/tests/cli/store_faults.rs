//! R1 and R10: the served process on a disk that fails. A preloaded library (`../store_faults.c`) makes the n-th write, flush
//! or open of the database's files fail, for every n of a scripted life that writes, synchronizes and issues tickets. After each
//! fault: nothing that was acknowledged is lost, nothing that was not is there by half, the service works again without a
//! restart, `/readyz` said the truth, a disabled user is refused, and no event is missing without an event that says so.

use super::common::{free_port, reachable, until};
use crossrealm_api::{
    ApplyIdentities, Client, ClientError, EventQuery, IdentityChange, SecretText,
};
use crossrealm_testkit::trusted_tenant;
use crossrealm_testkit::two_realms::TwoRealms;
use crossrealm_types::{IdentityState, StorageAccountCreate, SyncedIdentity};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// How long after the end of a fault the service may take to work again.
const RECOVERY: Duration = Duration::from_secs(30);
/// How long a fault that lasts is kept up: longer than the service takes to notice it.
const LASTING: Duration = Duration::from_secs(3);
/// Every how many operations one fails where not every one does.
const SAMPLE: usize = 23;
/// `ENOSPC`, `EIO`, `EROFS`.
const ERRORS: [u64; 3] = [28, 5, 30];
const BASE: &str = "cloud.example";

/// The page that test and library share.
struct Page(File);

impl Page {
    fn make(path: &Path) -> Self {
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)
            .unwrap();
        file.set_len(4096).unwrap();
        let page = Self(file);
        page.mend();
        page
    }

    fn get(&self, place: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.read_exact_at(&mut bytes, place * 8).unwrap();
        u64::from_le_bytes(bytes)
    }

    fn set(&self, place: u64, value: u64) {
        self.0
            .write_all_at(&value.to_le_bytes(), place * 8)
            .unwrap();
    }

    /// The number of the next operation.
    fn next(&self) -> u64 {
        self.get(0)
    }

    /// How many operations failed so far.
    fn failed(&self) -> u64 {
        self.get(4)
    }

    /// From this operation on, as many fail with this error.
    fn fail(&self, from: u64, count: u64, error: u64) {
        self.set(3, error);
        self.set(2, from.saturating_add(count));
        self.set(1, from);
    }

    fn mend(&self) {
        self.set(1, u64::MAX);
        self.set(2, u64::MAX);
    }
}

/// The service on the disk that fails.
struct Faulty {
    _folder: tempfile::TempDir,
    page: Page,
    admin: Client,
    /// Where the service is, the token of its administrator, and its authority.
    access: (String, SecretText, Vec<u8>),
    kerberos: u16,
    process: Child,
}

impl Faulty {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("store_faults.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/store_faults.c");
        let mut compile = crossrealm_programs::command("cc");
        compile.args(["-shared", "-fPIC", "-O1", "-o"]);
        let compiled = compile.arg(&library).arg(source).output().unwrap();
        assert!(compiled.status.success(), "{compiled:?}");
        let (https, kerberos) = (free_port(), free_port());
        let dir = folder.path().join("xr");
        let made = Command::new(env!("CARGO_BIN_EXE_crossrealm"))
            .args(["init", "--base-domain", BASE, "--https-listen"])
            .arg(format!("127.0.0.1:{https}"))
            .args(["--kdc-listen", &format!("127.0.0.1:{kerberos}"), "--dir"])
            .arg(&dir)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let page = folder.path().join("page");
        let shared = Page::make(&page);
        let process = Command::new(env!("CARGO_BIN_EXE_crossrealm"))
            .arg("serve")
            .arg("--config")
            .arg(dir.join("crossrealm.toml"))
            .env("LD_PRELOAD", &library)
            .env("FAULTS_STORE", dir.join("crossrealm.db"))
            .env("FAULTS_PAGE", &page)
            .stderr(File::create(dir.join("serve.log")).unwrap())
            .spawn()
            .unwrap();
        until("the service answers", || reachable(https));
        let token = fs::read_to_string(dir.join("admin.token")).unwrap();
        let ca = fs::read(dir.join("tls/ca.pem")).unwrap();
        let url = format!("https://127.0.0.1:{https}");
        let token = SecretText::new(token.trim());
        let access = (url, token, ca);
        Self {
            _folder: folder,
            page: shared,
            admin: client(&access),
            access,
            kerberos,
            process,
        }
    }

    /// Goes on with another connection. The service ends one after ten minutes, and a request that is sent just then is lost.
    fn connect_again(&mut self) {
        self.admin = client(&self.access);
    }

    /// Whether alice gets a ticket; `None` where the service cannot answer now.
    fn ticket(&self, realms: &mut TwoRealms) -> Option<bool> {
        realms.now = trusted_tenant::now();
        let ticket = realms.encrypt_referral(realms.referral());
        let draft = realms.request_draft();
        let message = realms.request(ticket, draft);
        let mut stream = TcpStream::connect(("127.0.0.1", self.kerberos)).unwrap();
        let length = u32::try_from(message.len()).unwrap();
        stream.write_all(&length.to_be_bytes()).unwrap();
        stream.write_all(&message).unwrap();
        let mut length = [0; 4];
        stream.read_exact(&mut length).ok()?;
        let mut reply = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
        stream.read_exact(&mut reply).ok()?;
        // The application tags of TGS-REP and KRB-ERROR (RFC 4120 §5.10).
        match reply.first() {
            Some(0x6D) => Some(true),
            Some(0x7E) if text_of(&reply).contains("identity-disabled") => Some(false),
            Some(0x7E) => None,
            other => panic!("not a reply: {other:?}"),
        }
    }
}

fn client((url, token, ca): &(String, SecretText, Vec<u8>)) -> Client {
    Client::new(url, Some(token.clone()), Some(ca)).unwrap()
}

fn text_of(reply: &[u8]) -> String {
    String::from_utf8_lossy(reply).into_owned()
}

impl Drop for Faulty {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What the test knows the service to hold.
#[derive(Default)]
struct Known {
    /// The accounts whose creation was acknowledged.
    made: BTreeSet<String>,
    /// The accounts whose creation failed: they may be there or not, but not by half.
    unsure: BTreeSet<String>,
    /// Whether alice is disabled; `None` where the last change was not acknowledged.
    disabled: Option<bool>,
    /// How many tickets she got.
    tickets: usize,
    accounts: u64,
}

/// One life: an account is created, alice is disabled and enabled again, and asks for tickets.
async fn live(service: &Faulty, realms: &mut TwoRealms, known: &mut Known) {
    known.accounts += 1;
    let name = format!("faulty{}", known.accounts);
    let new = StorageAccountCreate {
        name: name.clone(),
        aliases: vec![],
    };
    match service.admin.create_storage_account("contoso", &new).await {
        Ok(_) => known.made.insert(name),
        Err(error) => {
            is_retryable(&error);
            known.unsure.insert(name)
        }
    };
    for (state, disabled) in [
        (IdentityState::Disabled, true),
        (IdentityState::Enabled, false),
    ] {
        known.disabled = match sync(service, realms, state).await {
            Ok(()) => Some(disabled),
            Err(error) => {
                is_retryable(&error);
                None
            }
        };
        for _ in 0..3 {
            let got = service.ticket(realms);
            if got == Some(true) {
                known.tickets += 1;
            }
            if let (Some(got), Some(disabled)) = (got, known.disabled) {
                assert_ne!(got, disabled, "an acknowledged change did not hold");
            }
        }
    }
}

async fn sync(
    service: &Faulty,
    realms: &TwoRealms,
    state: IdentityState,
) -> Result<(), ClientError> {
    let identity = SyncedIdentity {
        state,
        ..trusted_tenant::alice(realms)
    };
    let changes = vec![IdentityChange::Upsert { identity }];
    let wanted = ApplyIdentities {
        // She is disabled more often than anybody in a day.
        accept_deletions: Some(1_000_000),
        ..trusted_tenant::sync_run(trusted_tenant::sync_domain(realms), changes)
    };
    let applied = service
        .admin
        .apply_identities(trusted_tenant::TENANT, trusted_tenant::DOMAIN, &wanted)
        .await?;
    assert_eq!(applied.refused, []);
    Ok(())
}

/// A fault of the disk is a 503 that says what is wrong.
fn is_retryable(error: &ClientError) {
    assert!(error.is_transient(), "{error:?}");
    assert!(
        error.to_string().contains("the database cannot be used"),
        "{error}"
    );
}

/// After the fault: everything works again, and what was acknowledged is there.
async fn recovers(service: &Faulty, realms: &mut TwoRealms, known: &mut Known, what: &str) {
    let began = Instant::now();
    loop {
        let written = sync(service, realms, IdentityState::Enabled).await;
        let ready = service.admin.ready().await;
        if written.is_ok() && ready.is_ok() {
            break;
        }
        assert!(
            began.elapsed() < RECOVERY,
            "{what}: not again: {written:?}, {ready:?}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    known.disabled = Some(false);
    while service.ticket(realms) != Some(true) {
        assert!(began.elapsed() < RECOVERY, "{what}: no ticket again");
    }
    known.tickets += 1;
    for name in &known.made {
        let account = service.admin.storage_account("contoso", name).await;
        account.unwrap_or_else(|error| panic!("{what}: account `{name}` is lost: {error}"));
    }
    for name in std::mem::take(&mut known.unsure) {
        // Whole with both keys, or not there; then its name is free.
        match service.admin.storage_account("contoso", &name).await {
            Ok(account) => {
                assert_eq!(account.keys.len(), 2, "{what}: `{name}` is there by half");
            }
            Err(_) => {
                let new = StorageAccountCreate {
                    name: name.clone(),
                    aliases: vec![],
                };
                let made = service.admin.create_storage_account("contoso", &new).await;
                made.unwrap_or_else(|error| panic!("{what}: `{name}`: {error}"));
            }
        }
        known.made.insert(name);
    }
}

/// Every account has its event, and so has every ticket, or an event says how many are missing.
async fn events_are_complete(service: &Faulty, known: &Known) {
    let began = Instant::now();
    loop {
        let mut after = Some(0);
        let (mut accounts, mut recorded) = (BTreeSet::new(), 0);
        while let Some(from) = after {
            let query = EventQuery {
                after: Some(from),
                limit: Some(1000),
                ..EventQuery::default()
            };
            let events = service.admin.events("contoso", &query).await.unwrap();
            after = events.last().map(|event| event.sequence);
            for event in events {
                match event.action.as_str() {
                    "storage-account.create" => {
                        accounts.insert(event.target);
                    }
                    "ticket.issue" if event.reason.is_empty() => recorded += 1,
                    "events.lost" => recorded += lost(&event.detail),
                    _ => {}
                }
            }
        }
        assert!(known.made.is_subset(&accounts), "an account has no event");
        if recorded >= known.tickets {
            return;
        }
        assert!(
            began.elapsed() < RECOVERY,
            "{recorded} of {} tickets are recorded or counted as lost",
            known.tickets
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// How many events the detail of `events.lost` says are missing.
fn lost(detail: &str) -> usize {
    detail.split(' ').next().unwrap().parse().unwrap()
}

/// R1, R10: see above; a sample of the operations.
#[test]
fn a_disk_that_fails_at_any_operation_costs_nothing_that_was_acknowledged() {
    play(SAMPLE);
}

/// R1, R10: see above; every operation.
#[test]
#[ignore = "takes hours: `cargo test -p crossrealm-cli --test cli -- --ignored every_operation --nocapture`"]
fn a_disk_that_fails_at_every_operation_costs_nothing_that_was_acknowledged() {
    play(1);
}

fn play(every: usize) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut service = Faulty::start();
        let mut realms = trusted_tenant::create(&service.admin).await.unwrap();
        let mut known = Known::default();
        sync(&service, &realms, IdentityState::Enabled)
            .await
            .unwrap();
        // How many operations a life has, the most of a few: the heartbeat and the events write in between.
        let mut operations = 0;
        for _ in 0..3 {
            let before = service.page.next();
            live(&service, &mut realms, &mut known).await;
            operations = operations.max(service.page.next() - before);
        }
        assert!(operations > 20, "{operations}: the library counts nothing");
        for (round, n) in (0..operations).step_by(every).enumerate() {
            service.connect_again();
            for (count, error) in [(1, ERRORS[round % 3]), (u64::MAX, ERRORS[(round + 1) % 3])] {
                let what = format!("operation {n} of {operations}, {count} times error {error}");
                let failed = service.page.failed();
                service.page.fail(service.page.next() + n, count, error);
                live(&service, &mut realms, &mut known).await;
                if count > 1 && service.page.failed() > failed {
                    says_the_truth(&service, &what).await;
                }
                service.page.mend();
                recovers(&service, &mut realms, &mut known, &what).await;
                println!("{what}: nothing was lost");
            }
        }
        assert!(service.page.failed() > 0);
        events_are_complete(&service, &known).await;
    });
}

/// While nothing can be written, `/readyz` says so and `/livez` does not.
async fn says_the_truth(service: &Faulty, what: &str) {
    let began = Instant::now();
    while service.admin.ready().await.is_ok() {
        assert!(began.elapsed() < RECOVERY, "{what}: ready without a disk");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    service.admin.live().await.unwrap();
    tokio::time::sleep(LASTING.saturating_sub(began.elapsed())).await;
}
