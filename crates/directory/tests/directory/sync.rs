//! The rules of synchronisation.

use crate::support::assert_fails;
use crate::support::{
    CORP, CORP_SID, World, apply, by, code, corp, domain_users, group, guid, identity_of, members,
    people, rid_sid, run, sid, user,
};
use crossrealm_directory::{
    ApplyIdentities, Directory, DirectoryError, IdentityChange, NewCloudIdentity, NewDomain, Page,
};
use crossrealm_kdc::{Policy, TenantId};
use crossrealm_types::{IdentityKind, IdentityState, RefusedChangeCode, SyncedIdentity};

async fn refusals(
    directory: &Directory,
    tenant: TenantId,
    changes: Vec<IdentityChange>,
) -> Vec<RefusedChangeCode> {
    let outcome = directory
        .apply_identities(&by(), tenant, run(changes))
        .await
        .unwrap();
    outcome.refused.iter().map(|refusal| refusal.code).collect()
}

#[tokio::test]
async fn identities_are_created_updated_deleted_and_restored() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    let upsert = |identity| vec![IdentityChange::Upsert(identity)];
    assert_eq!(apply(d, tenant, upsert(user(1, "alice"))).await.created, 1);
    assert_eq!(
        apply(d, tenant, upsert(user(1, "alice"))).await.unchanged,
        1
    );
    assert_eq!(apply(d, tenant, upsert(user(1, "alicia"))).await.updated, 1);
    let record = identity_of(d, tenant, 1).await.unwrap();
    assert_eq!(
        (record.account_name.as_str(), record.upn.as_str()),
        ("alicia", "alicia@corp.contoso.com")
    );
    assert_eq!(
        (
            record.domain_dns_name.as_str(),
            record.domain_flat_name.as_str()
        ),
        (CORP, "CORP")
    );
    assert_eq!(
        apply(d, tenant, vec![IdentityChange::Delete(guid(1))])
            .await
            .deleted,
        1
    );
    assert_eq!(
        apply(d, tenant, vec![IdentityChange::Delete(guid(1))])
            .await
            .unchanged,
        1
    );
    assert_eq!(
        apply(d, tenant, vec![IdentityChange::Delete(guid(77))])
            .await
            .unchanged,
        1
    );
    assert_eq!(
        identity_of(d, tenant, 1).await.unwrap().state,
        IdentityState::Deleted
    );
    // The names are free again; the SID is not.
    let heir = SyncedIdentity {
        object_guid: guid(2),
        ..user(1, "alicia")
    };
    assert_eq!(
        refusals(d, tenant, upsert(heir)).await,
        [RefusedChangeCode::SidDuplicate]
    );
    apply(d, tenant, upsert(user(2, "alicia"))).await;
    assert_eq!(
        refusals(d, tenant, upsert(user(1, "alicia"))).await,
        [RefusedChangeCode::UpnConflict]
    );
    assert_eq!(apply(d, tenant, upsert(user(1, "alice"))).await.updated, 1);
    assert_eq!(
        identity_of(d, tenant, 1).await.unwrap().state,
        IdentityState::Enabled
    );
}

#[tokio::test]
async fn a_sid_is_constant_unique_and_of_the_domain() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    apply(d, tenant, vec![IdentityChange::Upsert(user(1, "alice"))]).await;
    let with_sid = |n, name, text: &str| SyncedIdentity {
        sid: sid(text),
        ..user(n, name)
    };
    let cases = [
        (
            with_sid(1, "alice", "S-1-5-21-1-2-3-5000"),
            RefusedChangeCode::SidChanged,
        ),
        (
            SyncedIdentity {
                object_guid: guid(2),
                ..user(1, "other")
            },
            RefusedChangeCode::SidDuplicate,
        ),
        (
            with_sid(3, "x", "S-1-5-21-1-2-4-1003"),
            RefusedChangeCode::SidOutsideDomain,
        ),
        (
            with_sid(3, "x", "S-1-5-32-544"),
            RefusedChangeCode::SidOutsideDomain,
        ),
        (
            with_sid(3, "x", "S-1-1-0"),
            RefusedChangeCode::SidOutsideDomain,
        ),
        (
            with_sid(3, "x", CORP_SID),
            RefusedChangeCode::SidOutsideDomain,
        ),
        (
            with_sid(3, "x", "S-1-5-21-1-2-3-4-5"),
            RefusedChangeCode::SidOutsideDomain,
        ),
        (
            with_sid(3, "Administrator", "S-1-5-21-1-2-3-500"),
            RefusedChangeCode::RidReserved,
        ),
        (
            SyncedIdentity {
                kind: IdentityKind::Group,
                ..user(1, "alice")
            },
            RefusedChangeCode::Invalid,
        ),
        (
            SyncedIdentity {
                account_name: " ".into(),
                ..user(3, "x")
            },
            RefusedChangeCode::Invalid,
        ),
        (
            SyncedIdentity {
                account_name: "a\0b".into(),
                ..user(3, "x")
            },
            RefusedChangeCode::Invalid,
        ),
        (
            SyncedIdentity {
                upn: "no-at-sign".into(),
                ..user(3, "x")
            },
            RefusedChangeCode::Invalid,
        ),
        (
            SyncedIdentity {
                state: IdentityState::Deleted,
                ..user(3, "x")
            },
            RefusedChangeCode::Invalid,
        ),
        (
            SyncedIdentity {
                upn: "ALICE@corp.contoso.com".into(),
                ..user(3, "x")
            },
            RefusedChangeCode::UpnConflict,
        ),
        (
            SyncedIdentity {
                upn: String::new(),
                ..user(3, "ALICE")
            },
            RefusedChangeCode::UpnConflict,
        ),
    ];
    for (bad, expected) in cases {
        // The other changes of the request are applied.
        let changes = vec![
            IdentityChange::Upsert(bad),
            IdentityChange::Upsert(group(9, "Sales")),
        ];
        assert_eq!(refusals(d, tenant, changes).await, [expected]);
    }
    let alice = identity_of(d, tenant, 1).await.unwrap();
    assert_eq!(
        (alice.sid.clone(), alice.kind),
        (rid_sid(1), IdentityKind::User)
    );
    let policy = Policy {
        allow_low_rids: true,
        ..crossrealm_directory::NewTenant::DEFAULT_POLICY
    };
    d.set_policy(&by(), tenant, policy).await.unwrap();
    apply(
        d,
        tenant,
        vec![IdentityChange::Upsert(with_sid(
            3,
            "Administrator",
            "S-1-5-21-1-2-3-500",
        ))],
    )
    .await;
}

#[tokio::test]
async fn a_refusal_is_audited_once_and_cleared_when_the_object_is_synced() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    let bad = SyncedIdentity {
        sid: sid("S-1-5-21-9-9-9-1001"),
        ..user(1, "alice")
    };
    for _ in 0..3 {
        assert_eq!(
            refusals(d, tenant, vec![IdentityChange::Upsert(bad.clone())])
                .await
                .len(),
            1
        );
    }
    assert_eq!(world.count("SELECT COUNT(*) FROM events WHERE action = 'sync.refuse' AND reason = 'sid_outside_domain'").await, 1);
    assert_eq!(d.sync_state(tenant, CORP).await.unwrap().refused, 1);
    assert_eq!(
        d.sync_refusals(tenant, CORP).await.unwrap()[0].object_guid,
        guid(1)
    );
    apply(d, tenant, vec![IdentityChange::Upsert(user(1, "alice"))]).await;
    assert_eq!(d.sync_refusals(tenant, CORP).await.unwrap(), []);
}

/// The members of a refused group add no refusal.
#[tokio::test]
async fn a_refused_group_keeps_its_own_reason() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    d.register_domain(&by(), tenant, &corp()).await.unwrap();
    let bad = IdentityChange::Upsert(SyncedIdentity {
        sid: sid("S-1-5-21-9-9-9-1010"),
        ..group(10, "sales")
    });
    apply(d, tenant, vec![IdentityChange::Upsert(user(1, "alice"))]).await;
    for changes in [
        vec![bad.clone(), members(10, &[1], &[])],
        vec![members(10, &[1], &[])],
        vec![bad],
    ] {
        refusals(d, tenant, changes).await;
        let refusals = d.sync_refusals(tenant, CORP).await.unwrap();
        assert_eq!(refusals.len(), 1);
        assert_eq!(refusals[0].account_name, "sales");
        assert_eq!(refusals[0].code, RefusedChangeCode::SidOutsideDomain);
    }
    let audited = "SELECT COUNT(*) FROM events WHERE action = 'sync.refuse'";
    assert_eq!(world.count(audited).await, 1);
}

/// An agent that sends ever new refused objects cannot fill the table or the disk.
#[tokio::test]
async fn stored_refusals_are_bounded() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    d.register_domain(&by(), tenant, &corp()).await.unwrap();
    let filled = "INSERT INTO sync_refusals (tenant_id, domain, guid, account_name, code, message, refused_at)
        WITH RECURSIVE n (i) AS (SELECT 10000000 UNION ALL SELECT i + 1 FROM n WHERE i < 10009998)
        SELECT t.id, 'corp.contoso.com', CAST(CAST(n.i AS TEXT) || '........' AS BLOB), 'x', 'invalid', 'x', 0 FROM n, tenants t";
    let filled = match world.url().starts_with("sqlite") {
        true => filled.to_owned(),
        false => filled.replace("AS BLOB)", "AS BYTEA)"),
    };
    let filled = sqlx::query(sqlx::AssertSqlSafe(filled));
    filled.execute(&mut world.raw().await).await.unwrap();
    let bad = |n| {
        IdentityChange::Upsert(SyncedIdentity {
            sid: sid("S-1-5-21-9-9-9-1001"),
            ..user(n, "mallory")
        })
    };
    let codes = refusals(d, tenant, (1..=5).map(bad).collect()).await;
    assert_eq!(codes, [RefusedChangeCode::SidOutsideDomain; 5]);
    assert_eq!(d.sync_state(tenant, CORP).await.unwrap().refused, 10_000);
    let audited = "SELECT COUNT(*) FROM events WHERE action = 'sync.refuse'";
    // S4: one event for all of a request.
    assert_eq!(world.count(audited).await, 1);
    // A stored refusal is cleared like any other.
    apply(d, tenant, vec![IdentityChange::Upsert(user(1, "alice"))]).await;
    assert_eq!(d.sync_state(tenant, CORP).await.unwrap().refused, 9_999);
}

#[tokio::test]
async fn a_cloud_only_identity_is_never_overwritten() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    let carol = NewCloudIdentity {
        kind: IdentityKind::User,
        upn: format!("carol@{CORP}"),
        account_name: String::new(),
        display_name: String::new(),
    };
    let carol = d.create_cloud_identity(&by(), tenant, carol).await.unwrap();
    let by_upn = user(1, "carol");
    let by_guid = SyncedIdentity {
        object_guid: carol.guid,
        ..user(2, "x")
    };
    for intruder in [by_upn, by_guid] {
        assert_eq!(
            refusals(d, tenant, vec![IdentityChange::Upsert(intruder)]).await,
            [RefusedChangeCode::CloudOnly]
        );
    }
    assert_eq!(
        refusals(d, tenant, vec![IdentityChange::Delete(carol.guid)]).await,
        [RefusedChangeCode::UnknownObject]
    );
    assert_eq!(
        d.find_identity(tenant, &carol.upn, None).await.unwrap(),
        carol
    );
}

#[tokio::test]
async fn a_connector_writes_its_own_domain_only() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    people(d, tenant).await;
    let second = NewDomain {
        dns_name: "second.example".into(),
        flat_name: "FAB".into(),
        sid: sid("S-1-5-21-4-5-6"),
        forest_root: None,
    };
    let outside = ApplyIdentities {
        domain: second.clone(),
        ..run(vec![
            IdentityChange::Upsert(user(1, "alice")),
            members(10, &[2], &[1]),
            IdentityChange::Delete(guid(1)),
            IdentityChange::Delete(guid(10)),
        ])
    };
    let outcome = d.apply_identities(&by(), tenant, outside).await.unwrap();
    let codes: Vec<RefusedChangeCode> = outcome.refused.iter().map(|r| r.code).collect();
    assert_eq!(
        codes,
        [
            RefusedChangeCode::SidOutsideDomain,
            RefusedChangeCode::UnknownObject,
            RefusedChangeCode::UnknownObject,
            RefusedChangeCode::UnknownObject
        ]
    );
    assert_eq!(
        (
            outcome.deleted,
            outcome.memberships_added,
            outcome.memberships_removed
        ),
        (0, 0, 0)
    );
    // The same account name in another domain is no conflict.
    let twin = SyncedIdentity {
        sid: sid("S-1-5-21-4-5-6-1001"),
        upn: String::new(),
        ..user(50, "alice")
    };
    let twin = ApplyIdentities {
        domain: second,
        ..run(vec![IdentityChange::Upsert(twin)])
    };
    assert_eq!(
        d.apply_identities(&by(), tenant, twin)
            .await
            .unwrap()
            .created,
        1
    );
    assert_fails!(
        d.find_identity(tenant, "alice", None).await,
        DirectoryError::Ambiguous { .. }
    );
    for (name, n) in [
        ("FAB\\alice", 50),
        ("corp\\ALICE", 1),
        ("alice@corp.contoso.com", 1),
        ("alice@second.example", 50),
    ] {
        assert_eq!(
            d.find_identity(tenant, name, None).await.unwrap().guid,
            guid(n),
            "{name}"
        );
    }
    let moved = ApplyIdentities {
        domain: NewDomain {
            sid: sid("S-1-5-21-8-8-8"),
            ..corp()
        },
        ..run(vec![])
    };
    assert_eq!(
        code(d.apply_identities(&by(), tenant, moved).await),
        "domain_sid_mismatch"
    );
}

#[tokio::test]
async fn an_agent_cannot_move_its_domain_to_another_forest() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    d.register_domain(&by(), tenant, &corp()).await.unwrap();
    let moved = ApplyIdentities {
        domain: NewDomain {
            forest_root: Some("second.example".into()),
            ..corp()
        },
        ..run(vec![])
    };
    d.apply_identities(&by(), tenant, moved).await.unwrap();
    let domain = d.domain(tenant, CORP).await.unwrap();
    assert_eq!(domain.forest_root, CORP);
}

#[tokio::test]
async fn a_name_finds_one_identity_or_is_ambiguous() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    people(d, tenant).await;
    for name in [
        "alice",
        "ALICE@corp.contoso.com",
        "corp\\alice",
        &rid_sid(1).to_string(),
        &guid(1).to_string(),
    ] {
        assert_eq!(
            d.find_identity(tenant, name, Some(IdentityKind::User))
                .await
                .unwrap()
                .guid,
            guid(1),
            "{name}"
        );
        assert_fails!(
            d.find_identity(tenant, name, Some(IdentityKind::Group))
                .await,
            DirectoryError::NotFound { .. }
        );
    }
    for name in [
        "",
        "nobody",
        "%",
        "alice@",
        "@",
        "\\",
        "S-1-5-21-1-2-3",
        "' OR 1=1 --",
        "\0",
        "corp\\a\0b",
        "a\0@b",
    ] {
        assert_fails!(
            d.find_identity(tenant, name, None).await,
            DirectoryError::NotFound { .. }
        );
    }
}

#[tokio::test]
async fn the_cursor_moves_only_with_the_data() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    let part = ApplyIdentities {
        cursor: Some("early".into()),
        ..run(vec![IdentityChange::Upsert(user(1, "alice"))])
    };
    d.apply_identities(&by(), tenant, part.clone())
        .await
        .unwrap();
    assert_eq!(d.sync_state(tenant, CORP).await.unwrap().cursor, None);
    let end = ApplyIdentities {
        cursor: Some("end".into()),
        last: true,
        skipped: 3,
        ..part
    };
    d.apply_identities(&by(), tenant, end).await.unwrap();
    let state = d.sync_state(tenant, CORP).await.unwrap();
    assert_eq!(
        (state.cursor.as_deref(), state.last_run_id),
        (Some("end"), Some(guid(9999)))
    );
    assert_eq!((state.users, state.groups, state.skipped), (1, 0, 3));
    assert!(state.last_success_at.is_some());
}

#[tokio::test]
async fn the_agent_reads_back_what_it_wrote() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    let nothing = d
        .domain_identities(tenant, CORP, &Page::first())
        .await
        .unwrap();
    assert_eq!((nothing.domain, nothing.identities.items.len()), (None, 0));
    people(d, tenant).await;
    apply(d, tenant, vec![IdentityChange::Delete(guid(2))]).await;
    let mut page = Page {
        after: None,
        limit: 2,
    };
    let mut read = Vec::new();
    loop {
        let part = d
            .domain_identities(tenant, "CORP.contoso.com", &page)
            .await
            .unwrap();
        assert_eq!(part.domain.unwrap().sid, sid(CORP_SID));
        read.extend(part.identities.items);
        match part.identities.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    let sales = SyncedIdentity {
        members: vec![guid(1)],
        ..group(10, "Sales")
    };
    let staff = SyncedIdentity {
        members: vec![guid(10)],
        ..group(11, "AllStaff")
    };
    assert_eq!(read.len(), 6);
    assert_eq!(read[0], user(1, "alice"));
    assert_eq!(read[1].state, IdentityState::Deleted);
    assert_eq!(
        (&read[3], &read[4], &read[5]),
        (&sales, &staff, &domain_users(12))
    );
}

#[tokio::test]
async fn requests_with_too_many_changes_are_refused() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let many = vec![IdentityChange::Delete(guid(1)); 1001];
    assert_eq!(
        code(
            world
                .directory
                .apply_identities(&by(), tenant, run(many))
                .await
        ),
        "too_many_changes"
    );
    let crowd: Vec<u32> = (0..5001).collect();
    assert_eq!(
        code(
            world
                .directory
                .apply_identities(&by(), tenant, run(vec![members(1, &crowd, &[])]))
                .await
        ),
        "too_many_changes"
    );
    let full = vec![
        IdentityChange::Upsert(group(1, "Sales")),
        members(1, &crowd[1..], &[]),
    ];
    assert_eq!(
        apply(&world.directory, tenant, full.clone())
            .await
            .memberships_added,
        5000
    );
    let again = apply(&world.directory, tenant, full).await;
    assert_eq!((again.memberships_added, again.unchanged), (0, 1));
    let all_gone = apply(&world.directory, tenant, vec![members(1, &[], &crowd[1..])]).await;
    assert_eq!(all_gone.memberships_removed, 5000);
}

#[tokio::test]
async fn a_membership_takes_effect_when_the_member_is_synced() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    apply(
        d,
        tenant,
        vec![
            IdentityChange::Upsert(group(10, "Outer")),
            members(10, &[11, 1], &[]),
        ],
    )
    .await;
    apply(
        d,
        tenant,
        vec![
            IdentityChange::Upsert(group(11, "Inner")),
            members(11, &[1], &[]),
        ],
    )
    .await;
    apply(d, tenant, vec![IdentityChange::Upsert(user(1, "alice"))]).await;
    assert_eq!(
        identity_of(d, tenant, 1).await.unwrap().groups,
        [rid_sid(10), rid_sid(11)]
    );
}

#[tokio::test]
async fn every_attribute_has_its_provenance() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    let by_run = async |run_id: u32, name: &str, changes| {
        let wanted = ApplyIdentities {
            run_id: guid(9000 + run_id),
            ..run(changes)
        };
        let actor = crossrealm_directory::Actor::local(name);
        d.apply_identities(&actor, tenant, wanted).await.unwrap();
    };
    let provenance = async |n| {
        let info = d
            .find_identity(tenant, &guid(n).to_string(), None)
            .await
            .unwrap();
        let of = info.provenance().into_iter();
        of.map(|o| (o.attributes.join(","), o.changed_by, o.run_id.unwrap()))
            .collect::<Vec<_>>()
    };
    let entry = |attributes: &str, by: &str, run: u32| {
        (attributes.to_owned(), by.to_owned(), guid(9000 + run))
    };
    let all = "sid,account_name,upn,display_name,state,primary_group,domain";
    let first = vec![
        IdentityChange::Upsert(user(1, "alice")),
        IdentityChange::Upsert(group(10, "Sales")),
    ];
    by_run(1, "connector corp", first).await;
    assert_eq!(provenance(1).await, [entry(all, "connector corp", 1)]);
    let renamed = SyncedIdentity {
        upn: "alice@contoso.com".into(),
        display_name: "Alice Miller".into(),
        ..user(1, "alice")
    };
    by_run(
        2,
        "administrator",
        vec![
            IdentityChange::Upsert(renamed.clone()),
            members(10, &[1], &[]),
        ],
    )
    .await;
    let rest = "sid,account_name,state,primary_group,domain";
    let expected = [
        entry(rest, "connector corp", 1),
        entry("upn,display_name", "administrator", 2),
    ];
    assert_eq!(provenance(1).await, expected);
    let sales = [
        entry(all, "connector corp", 1),
        entry("members", "administrator", 2),
    ];
    assert_eq!(provenance(10).await, sales);
    // A sync without changes does not change the provenance.
    by_run(
        3,
        "x",
        vec![IdentityChange::Upsert(renamed), members(10, &[1], &[2])],
    )
    .await;
    assert_eq!(
        (provenance(1).await, provenance(10).await),
        (expected.to_vec(), sales.to_vec())
    );
    by_run(4, "connector corp", vec![IdentityChange::Delete(guid(1))]).await;
    assert_eq!(provenance(1).await[2], entry("state", "connector corp", 4));
}
