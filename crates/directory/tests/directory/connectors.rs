//! Connectors, the lease of a sync, and the failures of a run.

use crate::support::{
    CORP, World, apply, assert_fails, by, code, corp, group, guid, members, people, run, sid, user,
};
use crossrealm_directory::{
    ApplyIdentities, DirectoryError, IdentityChange, MAX_CURSOR, MAX_MEMBERS_READ, NewDomain, Page,
    RecordKind, TokenRole, Uuid,
};
use crossrealm_types::{MAX_FAILURES, SyncFailure, SyncedIdentity};

#[tokio::test]
async fn a_domain_has_one_connector_until_it_is_revoked() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    assert_fails!(
        d.create_connector(&by(), tenant, CORP, false).await,
        DirectoryError::NotFound {
            kind: RecordKind::Domain,
            ..
        }
    );
    d.register_domain(&by(), tenant, &corp()).await.unwrap();
    let (token, info) = d
        .create_connector(&by(), tenant, "Corp.Contoso.COM", true)
        .await
        .unwrap();
    let role = TokenRole::Connector {
        domain: CORP.into(),
        rotate_trust: true,
    };
    assert_eq!(info.role, role);
    assert_eq!(d.verify_token(&token).await.unwrap().unwrap().role, role);
    assert_eq!(
        code(d.create_connector(&by(), tenant, CORP, false).await),
        "connector_exists"
    );
    let known = d.connectors(tenant).await.unwrap();
    assert_eq!(
        (known.len(), known[0].rotate_trust, known[0].last_success_at),
        (1, true, None)
    );
    d.take_sync_lease(tenant, CORP, "agent", 60).await.unwrap();
    d.revoke_connector(&by(), tenant, CORP).await.unwrap();
    assert_eq!(d.verify_token(&token).await.unwrap(), None);
    assert_eq!(d.connectors(tenant).await.unwrap(), []);
    assert_eq!(d.sync_state(tenant, CORP).await.unwrap().lease, None);
    assert_fails!(
        d.revoke_connector(&by(), tenant, CORP).await,
        DirectoryError::NotFound {
            kind: RecordKind::Connector,
            ..
        }
    );
    // Another one may be created, without the rights of the old one.
    let (_, again) = d
        .create_connector(&by(), tenant, CORP, false)
        .await
        .unwrap();
    assert!(matches!(
        again.role,
        TokenRole::Connector {
            rotate_trust: false,
            ..
        }
    ));
    for action in ["connector.create", "connector.revoke"] {
        let count = "SELECT COUNT(*) FROM events WHERE action = 'connector.create' OR action = 'connector.revoke'";
        assert_eq!(world.count(count).await, 3, "{action}");
    }
}

#[tokio::test]
async fn only_one_agent_holds_the_lease() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    let first = d.take_sync_lease(tenant, CORP, "one", 60).await.unwrap();
    assert_eq!(first.holder, "one");
    let refused = d.take_sync_lease(tenant, CORP, "two", 300).await.unwrap();
    assert_eq!(refused, first);
    let renewed = d.take_sync_lease(tenant, CORP, "one", 120).await.unwrap();
    assert!(renewed.expires_at > first.expires_at);
    let state = d.sync_state(tenant, CORP).await.unwrap();
    assert_eq!(state.lease, Some(renewed));

    // Only the holder writes; the request of another agent changes nothing.
    let from = |holder: Option<&str>| ApplyIdentities {
        holder: holder.map(str::to_owned),
        ..run(vec![IdentityChange::Upsert(user(1, "alice"))])
    };
    for other in [Some("two"), Some("ONE"), None] {
        let refused = d.apply_identities(&by(), tenant, from(other)).await;
        assert_eq!(code(refused), "lease_lost");
    }
    assert_eq!(d.sync_state(tenant, CORP).await.unwrap().users, 0);
    d.apply_identities(&by(), tenant, from(Some("one")))
        .await
        .unwrap();

    // Another domain has its own.
    let other = d.take_sync_lease(tenant, "second.example", "two", 60).await;
    assert_eq!(other.unwrap().holder, "two");

    d.release_sync_lease(tenant, CORP, "two", Some("not its own"))
        .await
        .unwrap();
    d.apply_identities(&by(), tenant, from(None))
        .await
        .unwrap_err();
    d.release_sync_lease(tenant, CORP, "one", None)
        .await
        .unwrap();
    let two = d.take_sync_lease(tenant, CORP, "two", 60).await.unwrap();
    assert_eq!(two.holder, "two");
    for (holder, seconds) in [
        ("", 60),
        ("a\nb", 60),
        (&*"x".repeat(129), 60),
        ("x", 9),
        ("x", 301),
    ] {
        assert_fails!(
            d.take_sync_lease(tenant, CORP, holder, seconds).await,
            DirectoryError::Invalid { .. }
        );
    }
}

#[tokio::test]
async fn a_lease_expires_and_ignores_a_clock_that_was_set_back() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    for moved in [
        "UPDATE sync_leases SET expires_at = expires_at - 61",
        "UPDATE sync_leases SET expires_at = expires_at + 1000000",
    ] {
        d.take_sync_lease(tenant, CORP, "dead", 60).await.unwrap();
        sqlx::query(moved)
            .execute(&mut world.raw().await)
            .await
            .unwrap();
        assert_eq!(d.sync_state(tenant, CORP).await.unwrap().lease, None);
        d.apply_identities(&by(), tenant, run(vec![]))
            .await
            .unwrap();
        let next = d.take_sync_lease(tenant, CORP, "next", 60).await.unwrap();
        assert_eq!(next.holder, "next");
        d.release_sync_lease(tenant, CORP, "next", None)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_run_is_refused_if_its_cursor_was_moved() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    let step = |n: u32, from: &str, to: &str| ApplyIdentities {
        run_id: guid(9000 + n),
        previous_cursor: Some(from.into()),
        cursor: Some(to.into()),
        last: true,
        ..run(vec![IdentityChange::Upsert(user(n, &format!("u{n}")))])
    };
    d.apply_identities(&by(), tenant, step(1, "", "a"))
        .await
        .unwrap();
    d.apply_identities(&by(), tenant, step(2, "a", "b"))
        .await
        .unwrap();
    for stale in ["", "a", "B"] {
        let refused = d.apply_identities(&by(), tenant, step(3, stale, "c")).await;
        assert_eq!(code(refused), "cursor_moved", "{stale}");
    }
    // The answer was lost: the same run is repeated, which is not another run.
    let again = d
        .apply_identities(&by(), tenant, step(2, "a", "b"))
        .await
        .unwrap();
    assert_eq!((again.created, again.unchanged), (0, 1));
    let state = d.sync_state(tenant, CORP).await.unwrap();
    assert_eq!((state.cursor.as_deref(), state.users), (Some("b"), 2));
    let long = step(3, "b", &"x".repeat(MAX_CURSOR + 1));
    assert_fails!(
        d.apply_identities(&by(), tenant, long).await,
        DirectoryError::Invalid { .. }
    );
    let full = step(3, "b", &"x".repeat(MAX_CURSOR));
    d.apply_identities(&by(), tenant, full).await.unwrap();
}

fn failure(n: Option<u32>, reason: &str) -> SyncFailure {
    SyncFailure {
        object_guid: n.map(guid),
        name: format!("CN=object {n:?}"),
        reason: reason.into(),
        exceeds: false,
    }
}

/// A run of one request, with objects that the agent could not process.
fn whole_run(
    incremental: bool,
    failures: Vec<SyncFailure>,
    changes: Vec<IdentityChange>,
) -> ApplyIdentities {
    ApplyIdentities {
        failures,
        incremental,
        last: true,
        ..run(changes)
    }
}

#[tokio::test]
async fn failures_are_listed_until_the_object_is_synced() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    let report = async |incremental, failures: Vec<SyncFailure>, changes| {
        let wanted = whole_run(incremental, failures, changes);
        d.apply_identities(&by(), tenant, wanted).await.unwrap();
        let kept = d.sync_failures(tenant, CORP).await.unwrap();
        let state = d.sync_state(tenant, CORP).await.unwrap();
        assert_eq!(state.failed, kept.len() as u64);
        kept
    };
    let all = vec![
        failure(Some(1), "no SID"),
        failure(Some(2), "no SID"),
        failure(Some(3), "name is not UTF-8"),
        failure(None, "an entry without objectGUID"),
    ];
    assert_eq!(report(false, all.clone(), vec![]).await, all);
    // An incremental run: one failed object is written, one is deleted, one fails again, one is not mentioned.
    let changes = vec![
        IdentityChange::Upsert(user(1, "alice")),
        IdentityChange::Delete(guid(2)),
    ];
    let anew = failure(Some(3), "two values");
    let left = report(true, vec![anew.clone()], changes).await;
    assert_eq!(left, [all[3].clone(), anew]);
    assert_eq!(report(false, vec![], vec![]).await, []);

    let many = vec![failure(None, "x"); MAX_FAILURES + 1];
    let wanted = ApplyIdentities {
        failures: many,
        ..run(vec![])
    };
    assert_eq!(
        code(d.apply_identities(&by(), tenant, wanted).await),
        "too_many_changes"
    );
    // Failures that are not listed are counted; a name cannot send control characters or fill the disk.
    let wanted = ApplyIdentities {
        failures: vec![SyncFailure {
            name: "\u{1b}[2J".repeat(1000),
            ..failure(None, "x")
        }],
        failed: 5000,
        last: true,
        ..run(vec![])
    };
    d.apply_identities(&by(), tenant, wanted).await.unwrap();
    assert_eq!(d.sync_state(tenant, CORP).await.unwrap().failed, 5000);
    let name = d.sync_failures(tenant, CORP).await.unwrap().remove(0).name;
    assert!(name.chars().count() == 256 && !name.contains('\u{1b}'));
}

/// Of an object that was refused and that failed, in any order, only the latest is stored.
#[tokio::test]
async fn an_object_has_one_refusal_or_failure() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    let bad = IdentityChange::Upsert(SyncedIdentity {
        sid: sid("S-1-5-21-9-9-9-1001"),
        ..user(1, "alice")
    });
    let report = async |incremental, failures: Vec<SyncFailure>, changes| {
        let wanted = whole_run(incremental, failures, changes);
        d.apply_identities(&by(), tenant, wanted).await.unwrap();
        let refused = d.sync_refusals(tenant, CORP).await.unwrap().len();
        let failed = d.sync_failures(tenant, CORP).await.unwrap().len();
        let state = d.sync_state(tenant, CORP).await.unwrap();
        assert_eq!(
            (state.refused, state.failed),
            (refused as u64, failed as u64)
        );
        (refused, failed)
    };
    let unusable = || vec![failure(Some(1), "no name")];
    for incremental in [true, false] {
        assert_eq!(report(incremental, vec![], vec![bad.clone()]).await, (1, 0));
        assert_eq!(report(incremental, unusable(), vec![]).await, (0, 1));
        assert_eq!(report(true, vec![], vec![bad.clone()]).await, (1, 0));
    }
    let mended = IdentityChange::Upsert(user(1, "alice"));
    assert_eq!(report(true, vec![], vec![mended]).await, (0, 0));
}

#[tokio::test]
async fn an_agent_reads_only_the_requested_objects() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    people(d, tenant).await;
    let second = ApplyIdentities {
        domain: NewDomain {
            dns_name: "second.example".into(),
            flat_name: "FAB".into(),
            sid: "S-1-5-21-4-5-6".parse().unwrap(),
            forest_root: None,
        },
        ..run(vec![IdentityChange::Upsert(SyncedIdentity {
            sid: "S-1-5-21-4-5-6-1001".parse().unwrap(),
            upn: "zoe@second.example".into(),
            ..user(50, "zoe")
        })])
    };
    d.apply_identities(&by(), tenant, second).await.unwrap();
    let asked = [guid(10), guid(1), guid(77), guid(50)];
    let found = d
        .lookup_domain_identities(tenant, CORP, &asked)
        .await
        .unwrap();
    let sales = SyncedIdentity {
        members: vec![guid(1)],
        ..group(10, "Sales")
    };
    assert_eq!(found, [user(1, "alice"), sales]);
    let none = d
        .lookup_domain_identities(tenant, "never.example", &asked)
        .await;
    assert_eq!(none.unwrap(), []);
    let many = vec![guid(1); 1001];
    assert_eq!(
        code(d.lookup_domain_identities(tenant, CORP, &many).await),
        "too_many_changes"
    );
}

/// Three groups of 9,000: the third does not fit into one answer; a fourth, empty one follows.
#[tokio::test]
async fn large_groups_are_read_in_pages() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    let crowd: Vec<u32> = (1000..10_000).collect();
    let groups: Vec<IdentityChange> = (1..=4)
        .map(|n| IdentityChange::Upsert(group(n, &format!("g{n}"))))
        .collect();
    apply(d, tenant, groups).await;
    for n in 1..=3 {
        for part in crowd.chunks(5000) {
            apply(d, tenant, vec![members(n, part, &[])]).await;
        }
    }
    let page = d
        .domain_identities(tenant, CORP, &Page::first())
        .await
        .unwrap();
    let items = page.identities.items;
    let shape: Vec<(usize, bool)> = items
        .iter()
        .map(|g| (g.members.len(), g.more_members))
        .collect();
    assert_eq!(
        shape,
        [(9000, false), (9000, false), (2000, true), (0, true)]
    );
    assert_eq!(
        shape.iter().map(|(len, _)| len).sum::<usize>(),
        MAX_MEMBERS_READ
    );
    let expected: Vec<Uuid> = crowd.iter().map(|n| guid(*n)).collect();
    let mut whole = items[2].members.clone();
    let mut page = Page {
        after: whole.last().map(Uuid::to_string),
        limit: 1000,
    };
    loop {
        let part = d
            .domain_members(tenant, CORP, guid(3), &page)
            .await
            .unwrap();
        whole.extend(part.items);
        match part.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    assert_eq!(whole, expected);
    let empty = d
        .domain_members(tenant, CORP, guid(4), &Page::first())
        .await;
    assert!(empty.unwrap().items.is_empty());
    for unknown in [guid(77), guid(1000)] {
        assert_fails!(
            d.domain_members(tenant, CORP, unknown, &Page::first())
                .await,
            DirectoryError::NotFound {
                kind: RecordKind::Group,
                ..
            }
        );
    }
}

/// F3: why an agent gave up is the tenant's to show, until a run succeeds; nobody says it in the name of another agent.
#[tokio::test]
async fn the_problem_of_an_agent_is_shown_until_a_run_succeeds() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    d.register_domain(&by(), tenant, &corp()).await.unwrap();
    let problem = async || d.sync_state(tenant, CORP).await.unwrap().problem;
    d.take_sync_lease(tenant, CORP, "one", 30).await.unwrap();
    d.release_sync_lease(tenant, CORP, "two", Some("not its own"))
        .await
        .unwrap();
    assert_eq!(problem().await, None);
    let wrong = "wrong password for `svc-sync`\u{1b}";
    d.release_sync_lease(tenant, CORP, "one", Some(wrong))
        .await
        .unwrap();
    let shown = problem().await.unwrap();
    assert_eq!(shown, "wrong password for `svc-sync`\u{fffd}");
    let ended = ApplyIdentities {
        last: true,
        ..run(vec![])
    };
    d.apply_identities(&by(), tenant, ended).await.unwrap();
    assert_eq!(problem().await, None);
}
