//! The store alone, in this process: taking the identities, and reading one of them for a ticket.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crossrealm_directory::{
    Actor, ApplyIdentities, Directory, IdentityChange, InstallationNames, MasterKey, NewDomain,
    NewTenant, Uuid,
};
use crossrealm_kdc::{Identity, Lookups, Records, ServiceName, TenantId, Wanted};
use crossrealm_types::{IdentityKind, IdentityState, Sid, SyncedIdentity};

use super::People;

const SID: &str = "S-1-5-21-1111-2222-3333";
/// Identities in a transaction.
const BATCH: usize = 1_000;
/// Groups in a transaction of memberships.
const GROUPS: usize = 20;
/// Ordinary users that are asked for.
const ASKED: u32 = 500;

/// What one round found.
#[derive(Debug)]
pub(super) struct Found {
    /// Identities made per second.
    pub made: f64,
    /// Seconds to read a user in many nested groups.
    pub deep: f64,
    /// The same for each group.
    pub deep_each: f64,
    /// Seconds to read an ordinary user.
    pub ordinary: f64,
    /// The same for one who is in memory.
    pub again: f64,
    /// Seconds to cut a nesting in the middle.
    pub cut: f64,
    /// SQL statements for the user in many groups, and for an ordinary one; only counted when asked for.
    pub statements: Option<(f64, f64)>,
}

/// Loads a fresh directory with `people` and a chain of `depth` nested groups. Counting statements slows down what comes
/// after it, so it is done once, at the end.
///
/// # Errors
/// When anything is refused, or a user is not in the groups they are in.
pub(super) async fn load(people: People, depth: u32, count: bool) -> Result<Found, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let url = format!("sqlite:{}", folder.path().join("directory.db").display());
    let directory = Directory::create(&url, MasterKey::from_bytes([7; 32]), names()).await;
    let directory = directory.map_err(|error| error.to_string())?;
    let tenant = directory
        .create_tenant(&actor(), NewTenant::named("contoso", "cloud.example"))
        .await
        .map_err(|error| error.to_string())?
        .id;
    let store = Store { directory, tenant };

    let all: Vec<IdentityChange> = (0..people.users + people.groups)
        .map(|n| IdentityChange::Upsert(identity(n, people)))
        .collect();
    let began = Instant::now();
    for batch in all.chunks(BATCH) {
        store.apply(batch.to_vec()).await?;
    }
    let made = all.len() as f64 / began.elapsed().as_secs_f64();
    let nested: Vec<IdentityChange> = (0..people.groups)
        .map(|n| members(n, people, depth))
        .collect();
    for batch in nested.chunks(GROUPS) {
        store.apply(batch.to_vec()).await?;
    }

    // The innermost group of the chain has its own users; those of the last groups are in few.
    let deep_user = (depth - 1) * users_each(people);
    let ordinary = |n: u32| (people.groups - 1) * users_each(people) - n;
    // Once unmeasured, for the first connection and the tenant's counters.
    store.identity(ordinary(ASKED + 1)).await?;
    let began = Instant::now();
    let groups = store.identity(deep_user).await?.groups.len();
    let deep = began.elapsed().as_secs_f64();
    if groups < depth as usize {
        return Err(format!("the user is in {groups} groups, not in {depth}"));
    }
    let asked = ASKED.min(ordinary(0) / 2);
    let mut times = [0.0; 2];
    for time in &mut times {
        let began = Instant::now();
        for n in 0..asked {
            store.identity(ordinary(n)).await?;
        }
        *time = began.elapsed().as_secs_f64() / f64::from(asked);
    }
    let middle = depth / 2;
    let began = Instant::now();
    store
        .apply(vec![IdentityChange::Members {
            group: guid(people.users + middle),
            add: Vec::new(),
            remove: vec![guid(people.users + middle + 1)],
            elsewhere: None,
        }])
        .await?;
    let cut = began.elapsed().as_secs_f64();
    let left = store.identity(deep_user).await?.groups.len();
    if left >= groups - 1 {
        return Err(format!("still in {left} of {groups} groups after the cut"));
    }
    let statements = match count {
        true => Some(
            store
                .statements(ordinary(asked), &folder, people, depth)
                .await?,
        ),
        false => None,
    };
    let [ordinary, again] = times;
    Ok(Found {
        made,
        deep,
        deep_each: deep / groups as f64,
        ordinary,
        again,
        cut,
        statements,
    })
}

struct Store {
    directory: Directory,
    tenant: TenantId,
}

impl Store {
    async fn apply(&self, changes: Vec<IdentityChange>) -> Result<(), String> {
        let run = ApplyIdentities {
            run_id: guid(u32::MAX),
            domain: NewDomain {
                dns_name: "corp.contoso.com".to_owned(),
                flat_name: "CORP".to_owned(),
                sid: sid(SID),
                forest_root: None,
            },
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
        };
        let outcome = self
            .directory
            .apply_identities(&actor(), self.tenant, run)
            .await;
        match outcome.map_err(|error| error.to_string())?.refused.first() {
            Some(refused) => Err(format!("refused: {refused:?}")),
            None => Ok(()),
        }
    }

    /// Reads a user as the KDC does for a ticket.
    async fn identity(&self, n: u32) -> Result<std::sync::Arc<Identity>, String> {
        let wanted = Wanted::Grant {
            sid: sid_of(n),
            service: ServiceName::new("cifs", "none.example"),
        };
        let lookups = Lookups {
            tenant: self.tenant,
            wanted,
        };
        match self.directory.records(&lookups).await {
            Records::Grant {
                identity: Some(identity),
                ..
            } => Ok(identity),
            other => Err(format!("no identity {n}: {other:?}")),
        }
    }

    /// The statements that reading a user in many groups and an ordinary one takes, on a node that knows neither.
    async fn statements(
        &self,
        ordinary: u32,
        folder: &tempfile::TempDir,
        people: People,
        depth: u32,
    ) -> Result<(f64, f64), String> {
        // The nesting was cut: mend it.
        let middle = depth / 2;
        self.apply(vec![IdentityChange::Members {
            group: guid(people.users + middle),
            add: vec![guid(people.users + middle + 1)],
            remove: Vec::new(),
            elsewhere: None,
        }])
        .await?;
        let url = format!("sqlite:{}", folder.path().join("directory.db").display());
        let other = Directory::open(&url, MasterKey::from_bytes([7; 32]), names()).await;
        let fresh = Self {
            directory: other.map_err(|error| error.to_string())?,
            tenant: self.tenant,
        };
        Statements::listen();
        let count = async |n: u32| {
            // Each is asked for just after another one, so that the tenant's counters are known.
            fresh.identity(ordinary + 1).await?;
            let before = Statements::so_far().await;
            fresh.identity(n).await?;
            Ok::<f64, String>((Statements::so_far().await - before) as f64)
        };
        let deep = count((depth - 1) * users_each(people)).await?;
        Ok((deep, count(ordinary).await?))
    }
}

/// Counts the statements that the SQL driver says it ran.
#[derive(Clone, Copy)]
struct Statements;

static STATEMENTS: AtomicU64 = AtomicU64::new(0);

impl Statements {
    fn listen() {
        // Set once for the whole process; a second time changes nothing.
        let _ = tracing_subscriber::fmt()
            .with_env_filter("off,sqlx::query=trace")
            .with_writer(|| Self)
            .try_init();
    }

    async fn so_far() -> u64 {
        // The driver's thread reports the end of a snapshot a little later.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        STATEMENTS.load(Ordering::SeqCst)
    }
}

impl Write for Statements {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // The formatter writes each event in one piece.
        STATEMENTS.fetch_add(1, Ordering::SeqCst);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn users_each(people: People) -> u32 {
    people.users / people.groups
}

fn sid(text: &str) -> Sid {
    text.parse()
        .unwrap_or_else(|_| unreachable!("a constant SID"))
}

fn sid_of(n: u32) -> Sid {
    sid(&format!("{SID}-{}", 1000 + n))
}

fn guid(n: u32) -> Uuid {
    // Scattered, as those of AD are.
    let high = u128::from(n.wrapping_mul(2_654_435_761)) << 96;
    Uuid::from_u128(high | u128::from(n))
}

fn identity(n: u32, people: People) -> SyncedIdentity {
    let (kind, upn, rid) = match n < people.users {
        true => (
            IdentityKind::User,
            format!("account{n}@corp.contoso.com"),
            513,
        ),
        false => (IdentityKind::Group, String::new(), 0),
    };
    SyncedIdentity {
        object_guid: guid(n),
        kind,
        sid: sid_of(n),
        account_name: format!("account{n}"),
        upn,
        display_name: format!("Account number {n} of Contoso"),
        state: IdentityState::Enabled,
        disabled_reason: None,
        primary_group_rid: rid,
        members: Vec::new(),
        more_members: false,
    }
}

/// The `n`th group has its own users, and the group behind it: the first `depth` groups are one chain, the others chains
/// of ten.
fn members(n: u32, people: People, depth: u32) -> IdentityChange {
    let each = users_each(people);
    let mut add: Vec<Uuid> = (n * each..(n + 1) * each).map(guid).collect();
    let in_chain = n + 1 < depth || n >= depth && n % 10 != 9;
    if in_chain && n + 1 < people.groups {
        add.push(guid(people.users + n + 1));
    }
    IdentityChange::Members {
        group: guid(people.users + n),
        add,
        remove: Vec::new(),
        elsewhere: None,
    }
}

fn names() -> InstallationNames {
    InstallationNames::new("cloud.example", "login.cloud.example")
}

fn actor() -> Actor {
    Actor::local("bench")
}
