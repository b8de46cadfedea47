//! A directory in a temporary folder, with users and groups.

use crossrealm_directory::{
    Actor, ApplyIdentities, Directory, DirectoryError, IdentityChange, InstallationNames,
    MasterKey, NewDomain, NewTenant, SharePath, TenantInfo, Uuid,
};
use crossrealm_kdc::{Identity, Lookups, Records, Service, ServiceName, TenantId, Trust, Wanted};
use crossrealm_types::{
    ActorKind, ApplyIdentitiesResult, DisabledReason, IdentityKind, IdentityState, PrepareTrust,
    Sid, SyncedIdentity,
};
use proptest::test_runner::{Config, TestRunner};
use sqlx::{AnyConnection, Connection};
use std::path::PathBuf;
use std::sync::Arc;
use tempfile::TempDir;

pub(crate) const CORP: &str = "corp.contoso.com";
pub(crate) const CORP_SID: &str = "S-1-5-21-1-2-3";

/// The URL of a PostgreSQL server up to the database; the tests then run on it, otherwise on SQLite.
pub(crate) const POSTGRES: &str = "CROSSREALM_TEST_POSTGRES";

pub(crate) struct World {
    pub directory: Directory,
    url: String,
    folder: TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (url, directory) = match std::env::var(POSTGRES) {
            // A copy of the template, which is an installation.
            Ok(server) => {
                let url = new_database(&server).await;
                let directory = open(&url, 7).await;
                (url, directory)
            }
            Err(_) => {
                let url = format!("sqlite:{}", folder.path().join("directory.db").display());
                let directory = create(&url, 7).await;
                (url, directory)
            }
        };
        let directory = directory.unwrap();
        Self {
            directory,
            url,
            folder,
        }
    }

    /// The file of the database, on SQLite.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("directory.db")
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Another node on the same database.
    pub(crate) async fn other_node(&self) -> Directory {
        open(&self.url, 7).await.unwrap()
    }

    /// The database itself, to tamper with it.
    pub(crate) async fn raw(&self) -> AnyConnection {
        AnyConnection::connect(&self.url).await.unwrap()
    }

    pub(crate) async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query)
            .fetch_one(&mut self.raw().await)
            .await
            .unwrap()
    }

    pub(crate) async fn tenant(&self, name: &str) -> TenantInfo {
        self.directory
            .create_tenant(&by(), NewTenant::named(name, "cloud.example"))
            .await
            .unwrap()
    }
}

/// Creates a database on a PostgreSQL server.
async fn new_database(server: &str) -> String {
    let name = format!("t{}", Uuid::new_v4().simple());
    let url = |database: &str| server.replace("/postgres?", &format!("/{database}?"));
    sqlx::any::install_default_drivers();
    let mut server = AnyConnection::connect(&url("postgres")).await.unwrap();
    let create = format!("CREATE DATABASE {name}");
    sqlx::query(sqlx::AssertSqlSafe(create))
        .execute(&mut server)
        .await
        .unwrap();
    url(&name)
}

/// A new installation.
pub(crate) async fn create(url: &str, key: u8) -> crossrealm_directory::Result<Directory> {
    Directory::create(url, MasterKey::from_bytes([key; 32]), installation()).await
}

/// An installation that is there.
pub(crate) async fn open(url: &str, key: u8) -> crossrealm_directory::Result<Directory> {
    Directory::open(url, MasterKey::from_bytes([key; 32]), installation()).await
}

/// The names of the installation.
pub(crate) fn installation() -> InstallationNames {
    InstallationNames::new("cloud.example", "login.cloud.example")
}

pub(crate) fn by() -> Actor {
    Actor {
        kind: ActorKind::Administrator,
        name: "admin".to_owned(),
        address: Some("192.0.2.1".parse().unwrap()),
    }
}

pub(crate) fn corp() -> NewDomain {
    NewDomain {
        dns_name: CORP.to_owned(),
        flat_name: "CORP".to_owned(),
        sid: sid(CORP_SID),
        forest_root: None,
    }
}

pub(crate) fn corp_trust() -> PrepareTrust {
    PrepareTrust {
        realm: CORP.to_uppercase(),
        flat_name: "CORP".to_owned(),
        sid: sid(CORP_SID),
        top_level_names: Vec::new(),
        rotate: false,
    }
}

/// Runs a property with few cases, since each is many transactions on a disk; `PROPTEST_CASES` sets another number.
pub(crate) fn few_cases(cases: u32) -> TestRunner {
    let default = Config::default();
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    TestRunner::new(Config {
        cases: if asked { default.cases } else { cases },
        failure_persistence: None,
        ..default
    })
}

pub(crate) fn sid(text: &str) -> Sid {
    text.parse().unwrap()
}

/// The GUID of the `n`th object of the domain; its RID is 1000 + `n`.
pub(crate) fn guid(n: u32) -> Uuid {
    Uuid::from_u128(0xc0de_0000_0000_0000_0000_0000_0000_0000 + u128::from(n))
}

pub(crate) fn rid_sid(n: u32) -> Sid {
    sid(CORP_SID).with_rid(1000 + n).unwrap()
}

pub(crate) fn user(n: u32, name: &str) -> SyncedIdentity {
    SyncedIdentity {
        object_guid: guid(n),
        kind: IdentityKind::User,
        sid: rid_sid(n),
        account_name: name.to_owned(),
        upn: format!("{name}@{CORP}"),
        display_name: format!("{name} of Contoso"),
        state: IdentityState::Enabled,
        disabled_reason: None,
        primary_group_rid: 513,
        members: Vec::new(),
        more_members: false,
    }
}

pub(crate) fn group(n: u32, name: &str) -> SyncedIdentity {
    SyncedIdentity {
        kind: IdentityKind::Group,
        upn: String::new(),
        primary_group_rid: 0,
        ..user(n, name)
    }
}

/// The primary group of every user.
pub(crate) fn domain_users(n: u32) -> SyncedIdentity {
    SyncedIdentity {
        sid: sid(CORP_SID).with_rid(513).unwrap(),
        ..group(n, "Domain Users")
    }
}

pub(crate) fn members(group: u32, add: &[u32], remove: &[u32]) -> IdentityChange {
    IdentityChange::Members {
        group: guid(group),
        add: add.iter().map(|n| guid(*n)).collect(),
        remove: remove.iter().map(|n| guid(*n)).collect(),
        elsewhere: None,
    }
}

pub(crate) fn run(changes: Vec<IdentityChange>) -> ApplyIdentities {
    ApplyIdentities {
        run_id: guid(9999),
        domain: corp(),
        changes,
        skipped: 0,
        cursor: None,
        last: false,
        holder: None,
        previous_cursor: None,
        failures: Vec::new(),
        failed: 0,
        incremental: false,
        accept_deletions: Some(1_000_000),
    }
}

/// Applies changes, none of which may be refused.
pub(crate) async fn apply(
    directory: &Directory,
    tenant: TenantId,
    changes: Vec<IdentityChange>,
) -> ApplyIdentitiesResult {
    let outcome = directory
        .apply_identities(&by(), tenant, run(changes))
        .await
        .unwrap();
    assert_eq!(outcome.refused, []);
    outcome
}

/// alice in Sales in AllStaff; bob; mallory, disabled. Everyone in Domain Users.
pub(crate) async fn people(directory: &Directory, tenant: TenantId) {
    let mallory = SyncedIdentity {
        state: IdentityState::Disabled,
        disabled_reason: Some(DisabledReason::Disabled),
        ..user(3, "mallory")
    };
    let changes = vec![
        IdentityChange::Upsert(user(1, "alice")),
        IdentityChange::Upsert(user(2, "bob")),
        IdentityChange::Upsert(mallory),
        IdentityChange::Upsert(group(10, "Sales")),
        IdentityChange::Upsert(group(11, "AllStaff")),
        IdentityChange::Upsert(domain_users(12)),
        members(10, &[1], &[]),
        members(11, &[10], &[]),
    ];
    apply(directory, tenant, changes).await;
}

pub(crate) async fn trust_of(directory: &Directory, tenant: TenantId) -> Option<Arc<Trust>> {
    let wanted = Wanted::Parties {
        issuer: "Corp.Contoso.Com".to_owned(),
    };
    match directory.records(&Lookups { tenant, wanted }).await {
        Records::Parties { trust, .. } => trust,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn grant_of(
    directory: &Directory,
    tenant: TenantId,
    sid: &Sid,
    service: &str,
) -> (Option<Arc<Identity>>, Option<Arc<Service>>) {
    let (class, host) = service.split_once('/').unwrap();
    let wanted = Wanted::Grant {
        sid: sid.clone(),
        service: ServiceName::new(class, host),
    };
    match directory.records(&Lookups { tenant, wanted }).await {
        Records::Grant { identity, service } => (identity, service),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn identity_of(
    directory: &Directory,
    tenant: TenantId,
    n: u32,
) -> Option<Arc<Identity>> {
    grant_of(directory, tenant, &rid_sid(n), "cifs/none.example")
        .await
        .0
}

/// The code of a refusal.
pub(crate) fn code<T>(result: crossrealm_directory::Result<T>) -> &'static str {
    match result {
        Err(DirectoryError::Refused(refusal)) => refusal.code(),
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it was not refused"),
    }
}

/// A share of an account.
pub(crate) fn path<'a>(account: &'a str, share: &'a str) -> SharePath<'a> {
    SharePath { account, share }
}

macro_rules! assert_fails {
    ($result:expr, $pattern:pat $(if $guard:expr)?) => {
        match $result {
            Err($pattern) $(if $guard)? => {}
            Err(other) => panic!("another error: {other:?}"),
            Ok(_) => panic!("it did not fail"),
        }
    };
}
pub(crate) use assert_fails;
