//! Requests that are dropped, repeated or killed lead to the same state.

use crate::support::{CORP, World, by, few_cases, group, guid, members, open, run, user};
use crossrealm_directory::{ApplyIdentities, Directory, IdentityChange, Page, Uuid};
use crossrealm_kdc::TenantId;
use crossrealm_types::{DisabledReason, IdentityState, SyncedIdentity};
use proptest::prelude::*;
use std::cell::Cell;
use std::process::{Command, Stdio};
use std::time::Duration;

const GROUPS: u32 = 5;
const OBJECTS: u32 = 9;

/// What happens to a request before it is completed.
#[derive(Clone, Debug)]
enum Mishap {
    /// It is completed at once.
    None,
    /// It is dropped after this many microseconds, as by a broken connection, and sent again.
    Dropped(u64),
    /// Its answer is lost, so it is sent twice.
    Repeated,
}

fn mishap() -> impl Strategy<Value = Mishap> {
    prop_oneof![
        2 => Just(Mishap::None),
        2 => (0_u64..6_000).prop_map(Mishap::Dropped),
        1 => Just(Mishap::Repeated),
    ]
}

/// A request in the order that agents use: objects, memberships, deletions.
fn request() -> impl Strategy<Value = Vec<IdentityChange>> {
    let upsert = (0..OBJECTS, any::<bool>(), 0..3_u32).prop_map(|(n, disabled, version)| {
        let made = match n < GROUPS {
            true => group(n, &format!("g{n}")),
            false => user(n, &format!("u{n}")),
        };
        let disabled = disabled && n >= GROUPS;
        IdentityChange::Upsert(SyncedIdentity {
            display_name: format!("version {version}"),
            state: if disabled {
                IdentityState::Disabled
            } else {
                IdentityState::Enabled
            },
            disabled_reason: disabled.then_some(DisabledReason::Disabled),
            ..made
        })
    });
    let member = (0..GROUPS, 0..OBJECTS, any::<bool>()).prop_map(|(g, m, add)| match add {
        true => members(g, &[m], &[]),
        false => members(g, &[], &[m]),
    });
    let delete = (0..OBJECTS).prop_map(|n| IdentityChange::Delete(guid(n)));
    (
        prop::collection::vec(upsert, 0..6),
        prop::collection::vec(member, 0..6),
        prop::collection::vec(delete, 0..2),
    )
        .prop_map(|(a, b, c)| [a, b, c].concat())
}

/// Everything that the agent, an administrator and a ticket see of a tenant.
async fn state(d: &Directory, tenant: TenantId) -> String {
    let held = d
        .domain_identities(tenant, CORP, &Page::first())
        .await
        .unwrap();
    let mut sync = held.sync;
    sync.last_success_at = None;
    let mut text = format!("{sync:?}\n{:#?}\n", held.identities.items);
    for item in &held.identities.items {
        let groups = d.effective_groups(tenant, item.object_guid).await.unwrap();
        let record = crate::support::grant_of(d, tenant, &item.sid, "cifs/none.example")
            .await
            .0;
        text += &format!(
            "{groups:?}\n{:?}\n",
            record.map(|record| record.groups.clone())
        );
    }
    text
}

fn numbered(n: usize, changes: Vec<IdentityChange>) -> ApplyIdentities {
    let cursor = |n: usize| if n == 0 { String::new() } else { n.to_string() };
    ApplyIdentities {
        run_id: Uuid::from_u128(0xabc0_0000 + n as u128),
        previous_cursor: Some(cursor(n)),
        cursor: Some(cursor(n + 1)),
        last: true,
        ..run(changes)
    }
}

#[test]
fn repeated_and_dropped_requests_end_in_the_same_state() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = runtime.block_on(World::new());
    let case = Cell::new(0);
    let requests = prop::collection::vec((request(), mishap()), 1..7);
    few_cases(24)
        .run(&requests, |requests| {
            case.set(case.get() + 1);
            runtime.block_on(async {
                let d = &world.directory;
                let calm = world.tenant(&format!("calm{}", case.get())).await.id;
                let rough = world.tenant(&format!("rough{}", case.get())).await.id;
                for (n, (changes, mishap)) in requests.into_iter().enumerate() {
                    let wanted = numbered(n, changes);
                    let actor = by();
                    let send = |tenant| d.apply_identities(&actor, tenant, wanted.clone());
                    send(calm).await.unwrap();
                    match mishap {
                        Mishap::None => {}
                        Mishap::Dropped(us) => {
                            let _ =
                                tokio::time::timeout(Duration::from_micros(us), send(rough)).await;
                        }
                        Mishap::Repeated => {
                            send(rough).await.unwrap();
                        }
                    }
                    send(rough).await.unwrap();
                    prop_assert_eq!(state(d, rough).await, state(d, calm).await);
                }
                Ok(())
            })
        })
        .unwrap();
}

const CHILD: &str = "CROSSREALM_TEST_KILLED_SYNC";
/// Users created by one request of the child.
const CROWD: u32 = 150;

/// The `n`th request of the child: a group above the previous one, with members of its own; half of the previous
/// members are deleted.
fn step(n: u32) -> ApplyIdentities {
    let first = 1000 + n * CROWD;
    let mut changes = vec![IdentityChange::Upsert(group(n, &format!("g{n}")))];
    changes
        .extend((first..first + CROWD).map(|u| IdentityChange::Upsert(user(u, &format!("u{u}")))));
    let crowd: Vec<u32> = (first..first + CROWD).collect();
    changes.push(members(n, &crowd, &[]));
    if let Some(before) = n.checked_sub(1) {
        changes.push(members(n, &[before], &[]));
        let gone = first - CROWD..first - CROWD / 2;
        changes.extend(gone.map(|u| IdentityChange::Delete(guid(u))));
    }
    numbered(n as usize, changes)
}

/// Not a test by itself: the process that the next test kills.
#[tokio::test]
async fn sync_that_is_killed() {
    let Ok(url) = std::env::var(CHILD) else {
        return;
    };
    let d = open(&url, 7).await.unwrap();
    let tenant = d.find_tenant("contoso").await.unwrap().id;
    loop {
        let cursor = d.sync_state(tenant, CORP).await.unwrap().cursor;
        let next = cursor.map_or(0, |cursor| cursor.parse().unwrap());
        d.apply_identities(&by(), tenant, step(next)).await.unwrap();
    }
}

/// At any moment of the kill, the database matches the cursor: all of each request or nothing of it.
#[tokio::test]
async fn a_killed_sync_leaves_whole_requests() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let mut killed_at = Vec::new();
    for wait_ms in [0, 130, 57, 210, 93, 170, 31, 140] {
        let before = world
            .directory
            .sync_state(tenant, CORP)
            .await
            .unwrap()
            .cursor;
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "repeated_runs::sync_that_is_killed"])
            .env(CHILD, world.url())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Wait until it works; then kill it at any moment.
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while world
            .directory
            .sync_state(tenant, CORP)
            .await
            .unwrap()
            .cursor
            == before
        {
            assert!(
                std::time::Instant::now() < deadline,
                "the child did nothing"
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        child.kill().unwrap();
        child.wait().unwrap();

        let d = open(world.url(), 7).await.unwrap();
        let state = d.sync_state(tenant, CORP).await.unwrap();
        let done: i64 = state.cursor.unwrap().parse().unwrap();
        killed_at.push(done);
        let crowd = i64::from(CROWD);
        let users = done * crowd - (done - 1) * (crowd / 2);
        assert_eq!((state.users, state.groups), (users as u64, done as u64));
        let count = async |text| world.count(text).await;
        assert_eq!(
            count("SELECT COUNT(*) FROM memberships").await,
            users + done - 1
        );
        // Each group is in itself and in all above it.
        assert_eq!(
            count("SELECT COUNT(*) FROM group_closure").await,
            done * (done + 1) / 2
        );
        assert_eq!(
            count("SELECT COUNT(*) FROM identities WHERE origins = ''").await,
            0
        );
        let last = format!("{}", Uuid::from_u128(0xabc0_0000 + done as u128 - 1));
        assert_eq!(state.last_run_id.map(|id| id.to_string()), Some(last));
        d.close().await;
    }
    assert!(
        killed_at.windows(2).all(|pair| pair[0] < pair[1]),
        "{killed_at:?}"
    );
}
