//! Tenants, tokens and events.

use crate::support::assert_fails;
use crate::support::{World, by, code, people};
use crossrealm_directory::{
    Actor, Directory, DirectoryError, EventFilter, IdentityFilter, NewCloudIdentity, NewEvent,
    NewTenant, NewToken, Page, RecordKind, TenantInfo, TokenRole,
};
use crossrealm_kdc::{Lookups, Policy, Records, TenantId, Wanted};
use crossrealm_types::{
    ActorKind, AdministratorRole, EventKind, EventOutcome, IdentityKind, IdentitySource,
};

#[tokio::test]
async fn a_tenant_gets_the_documented_defaults() {
    let world = World::new().await;
    let tenant = world.tenant("Contoso").await;
    assert_eq!(tenant.name, "contoso");
    assert_eq!(tenant.domain, "contoso.cloud.example");
    assert_eq!(tenant.realm, "KERBEROS.CONTOSO.CLOUD.EXAMPLE");
    assert_eq!(tenant.flat_name, "CONTOSO-KRB");
    assert_eq!(tenant.top_level_names, ["contoso.cloud.example"]);
    assert!(tenant.sid.is_account_domain());
    for text in [
        tenant.id.to_string(),
        "CONTOSO".to_owned(),
        tenant.domain.to_uppercase(),
    ] {
        assert_eq!(world.directory.find_tenant(&text).await.unwrap(), tenant);
    }
    assert_fails!(
        world.directory.find_tenant("second").await,
        DirectoryError::NotFound {
            kind: RecordKind::Tenant,
            ..
        }
    );
}

#[tokio::test]
async fn two_tenants_share_no_name() {
    let world = World::new().await;
    let first = world.tenant("contoso").await;
    let create = |new| world.directory.create_tenant_as(new);
    assert_fails!(
        create(NewTenant::named("CONTOSO", "other.example")).await,
        DirectoryError::Exists { .. }
    );
    let same_realm = NewTenant {
        realm: Some(first.realm.to_lowercase()),
        ..NewTenant::named("second", "cloud.example")
    };
    assert_fails!(
        create(same_realm).await,
        DirectoryError::Exists { by: Some(_), .. }
    );
    let same_domain = NewTenant {
        domain: first.domain.clone(),
        ..NewTenant::named("second", "cloud.example")
    };
    assert_fails!(
        create(same_domain).await,
        DirectoryError::Exists { by: Some(_), .. }
    );
    // One AD may trust both: their flat names and SIDs differ too.
    let long = create(NewTenant::named("a-very-long-name-one", "cloud.example"))
        .await
        .unwrap();
    let longer = create(NewTenant::named("a-very-long-name-two", "cloud.example"))
        .await
        .unwrap();
    assert_ne!(long.flat_name, longer.flat_name);
    assert!(long.flat_name.len() <= 15 && longer.flat_name.len() <= 15);
    assert_ne!(long.sid, longer.sid);
}

trait Create {
    async fn create_tenant_as(
        &self,
        new: NewTenant,
    ) -> crossrealm_directory::Result<crossrealm_directory::TenantInfo>;
}

impl Create for Directory {
    async fn create_tenant_as(
        &self,
        new: NewTenant,
    ) -> crossrealm_directory::Result<crossrealm_directory::TenantInfo> {
        self.create_tenant(&by(), new).await
    }
}

#[tokio::test]
async fn invalid_values_are_refused() {
    let world = World::new().await;
    let good = || NewTenant::named("contoso", "cloud.example");
    let long_life = Policy {
        max_ticket_life_s: u32::MAX,
        ..NewTenant::DEFAULT_POLICY
    };
    for bad in [
        NewTenant {
            name: "a.b".into(),
            ..good()
        },
        NewTenant {
            name: String::new(),
            ..good()
        },
        NewTenant {
            domain: "cloud".into(),
            ..good()
        },
        NewTenant {
            realm: Some("A/B.C".into()),
            ..good()
        },
        NewTenant {
            flat_name: Some("SIXTEEN-LETTERS-".into()),
            ..good()
        },
        NewTenant {
            top_level_names: vec!["a.example".into(), "b.a.example".into()],
            ..good()
        },
        NewTenant {
            policy: Some(long_life),
            ..good()
        },
    ] {
        assert_fails!(
            world.directory.create_tenant_as(bad).await,
            DirectoryError::Invalid { .. }
        );
    }
    assert!(
        world
            .directory
            .tenants(&Page::first())
            .await
            .unwrap()
            .items
            .is_empty()
    );
    let original = NewTenant {
        realm: Some("KERBEROS.MICROSOFTONLINE.COM".into()),
        top_level_names: vec!["windows.net".into()],
        ..good()
    };
    let made = world.directory.create_tenant_as(original).await.unwrap();
    assert_eq!(made.realm, "KERBEROS.MICROSOFTONLINE.COM");
    assert_eq!(made.top_level_names, ["windows.net"]);
}

#[tokio::test]
async fn a_deleted_tenant_leaves_only_its_audit() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await;
    people(&world.directory, tenant.id).await;
    world
        .directory
        .delete_tenant(&by(), tenant.id)
        .await
        .unwrap();
    for table in [
        "SELECT COUNT(*) FROM tenants",
        "SELECT COUNT(*) FROM identities",
        "SELECT COUNT(*) FROM memberships",
        "SELECT COUNT(*) FROM group_closure",
        "SELECT COUNT(*) FROM kerberos_keys",
        "SELECT COUNT(*) FROM domains",
    ] {
        assert_eq!(world.count(table).await, 0, "{table}");
    }
    let filter = EventFilter {
        tenant: Some(tenant.id),
        limit: 10,
        ..Default::default()
    };
    let events = world.directory.events(&filter).await.unwrap();
    let last = &events.last().unwrap().event;
    assert_eq!(
        (last.action.as_str(), last.actor.as_str()),
        ("tenant.delete", "admin")
    );
    assert_eq!(last.address, by().address);
    assert_fails!(
        world.directory.delete_tenant(&by(), tenant.id).await,
        DirectoryError::NotFound { .. }
    );
}

#[tokio::test]
async fn a_url_finds_its_tenant_and_sees_changes_at_once() {
    let world = World::new().await;
    let found = |text: &'static str| {
        let directory = world.directory.clone();
        async move { directory.resolve_tenant(text).await.unwrap().map(|t| t.id) }
    };
    assert_eq!(found("contoso.cloud.example").await, None);
    let tenant = world.tenant("contoso").await;
    assert_eq!(found("Contoso.Cloud.Example").await, Some(tenant.id));
    assert_eq!(
        found("contoso").await,
        None,
        "a URL names an id or a domain"
    );
    assert_eq!(found("../../etc/passwd").await, None);
    assert_eq!(found("kerberos.contoso.cloud.example").await, None);
    let by_realm = |text: &'static str| {
        let directory = world.directory.clone();
        async move { directory.resolve_realm(text).await.unwrap().map(|t| t.id) }
    };
    for _ in 0..2 {
        assert_eq!(
            by_realm("Kerberos.contoso.CLOUD.example").await,
            Some(tenant.id)
        );
        assert_eq!(by_realm("contoso.cloud.example").await, None);
        assert_eq!(by_realm("").await, None);
    }
    world
        .directory
        .delete_tenant(&by(), tenant.id)
        .await
        .unwrap();
    assert_eq!(found("contoso.cloud.example").await, None);
}

#[tokio::test]
async fn lists_come_in_pages() {
    let world = World::new().await;
    for n in 0..7 {
        world.tenant(&format!("t{n}")).await;
    }
    let mut page = Page {
        after: None,
        limit: 3,
    };
    let mut names = Vec::new();
    loop {
        let part = world.directory.tenants(&page).await.unwrap();
        assert!(part.items.len() <= 3);
        names.extend(part.items.into_iter().map(|t| t.name));
        match part.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    assert_eq!(names, ["t0", "t1", "t2", "t3", "t4", "t5", "t6"]);
}

#[tokio::test]
async fn cloud_only_identities_are_created_listed_and_deleted() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let carol = NewCloudIdentity {
        kind: IdentityKind::User,
        upn: "Carol@contoso.cloud.example".into(),
        account_name: String::new(),
        display_name: "Carol".into(),
    };
    let made = world
        .directory
        .create_cloud_identity(&by(), tenant, carol.clone())
        .await
        .unwrap();
    assert_eq!(made.source, IdentitySource::CloudOnly);
    assert_eq!(made.account_name, "Carol");
    assert!(made.sid.to_string().starts_with("S-1-12-1-"));
    assert_eq!(made.domain_dns_name, "contoso.cloud.example");
    assert_fails!(
        world
            .directory
            .create_cloud_identity(&by(), tenant, carol)
            .await,
        DirectoryError::Exists {
            kind: RecordKind::User,
            ..
        }
    );
    people(&world.directory, tenant).await;
    assert_eq!(
        code(
            world
                .directory
                .delete_cloud_identity(&by(), tenant, "alice")
                .await
        ),
        "hybrid"
    );
    world
        .directory
        .delete_cloud_identity(&by(), tenant, "carol@contoso.cloud.example")
        .await
        .unwrap();
    let all = world
        .directory
        .identities(tenant, &IdentityFilter::default(), &Page::first())
        .await
        .unwrap();
    let names: Vec<&str> = all.items.iter().map(|i| i.account_name.as_str()).collect();
    assert_eq!(
        names,
        [
            "alice",
            "AllStaff",
            "bob",
            "Domain Users",
            "mallory",
            "Sales"
        ]
    );
    let users = IdentityFilter {
        kind: Some(IdentityKind::User),
        deleted: false,
    };
    let mut page = Page {
        after: None,
        limit: 2,
    };
    let first = world
        .directory
        .identities(tenant, &users, &page)
        .await
        .unwrap();
    page.after = first.next;
    let second = world
        .directory
        .identities(tenant, &users, &page)
        .await
        .unwrap();
    assert_eq!(
        (first.items.len(), second.items.len(), second.next),
        (2, 1, None)
    );
    for bad in ["x", "ffffffff"] {
        page.after = Some(bad.into());
        assert_fails!(
            world.directory.identities(tenant, &users, &page).await,
            DirectoryError::Invalid { .. }
        );
    }
}

#[tokio::test]
async fn tokens_are_valid_until_revoked_or_expired() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let new = |role, expires_at| NewToken {
        tenant: Some(tenant),
        role,
        name: "agent".into(),
        expires_at,
    };
    let connector = TokenRole::Connector {
        domain: "Corp.Contoso.Com".into(),
        rotate_trust: true,
    };
    let (token, info) = world
        .directory
        .create_token(&by(), new(connector, None))
        .await
        .unwrap();
    assert_eq!(
        info.role,
        TokenRole::Connector {
            domain: "corp.contoso.com".into(),
            rotate_trust: true,
        }
    );
    assert_eq!(
        world.directory.verify_token(&token).await.unwrap(),
        Some(info.clone())
    );
    for wrong in [
        "",
        "xr_",
        &token[..token.len() - 1],
        &token.to_uppercase(),
        &format!("{}0", &token[..token.len() - 1]),
    ] {
        if wrong != token.as_str() {
            assert_eq!(
                world.directory.verify_token(wrong).await.unwrap(),
                None,
                "{wrong}"
            );
        }
    }
    let stored = world
        .count("SELECT COUNT(*) FROM tokens WHERE hash LIKE 'xr_%' OR name LIKE 'xr_%'")
        .await;
    assert_eq!(stored, 0);
    let other = world.tenant("other").await.id;
    assert_fails!(
        world
            .directory
            .revoke_token(&by(), Some(other), info.id)
            .await,
        DirectoryError::NotFound { .. }
    );
    world
        .directory
        .revoke_token(&by(), Some(tenant), info.id)
        .await
        .unwrap();
    assert_eq!(world.directory.verify_token(&token).await.unwrap(), None);
    assert!(
        world.directory.tokens(Some(tenant)).await.unwrap()[0]
            .revoked_at
            .is_some()
    );
    let (ended, _) = world
        .directory
        .create_token(
            &by(),
            new(TokenRole::Administrator(AdministratorRole::Reader), Some(1)),
        )
        .await
        .unwrap();
    assert_eq!(world.directory.verify_token(&ended).await.unwrap(), None);
    let homeless = NewToken {
        tenant: None,
        ..new(
            TokenRole::Host {
                account: "acct1".into(),
            },
            None,
        )
    };
    assert_eq!(
        code(world.directory.create_token(&by(), homeless).await),
        "tenant_required"
    );
    let lost = NewToken {
        tenant: Some(TenantId([9; 16])),
        ..new(TokenRole::Administrator(AdministratorRole::Reader), None)
    };
    assert_fails!(
        world.directory.create_token(&by(), lost).await,
        DirectoryError::NotFound { .. }
    );
}

fn ticket(tenant: TenantId, user: &str, at_ms: i64) -> NewEvent {
    NewEvent {
        id: Some("0123".into()),
        at_ms,
        outcome: EventOutcome::Refused,
        reason: "not_synced".into(),
        actor: user.into(),
        user: user.into(),
        target: "cifs/acct1".into(),
        address: Some("2001:db8::1".parse().unwrap()),
        detail: "ü".repeat(1000),
        ..NewEvent::ticket(tenant)
    }
}

#[tokio::test]
async fn events_are_found_and_followed() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let other = world.tenant("other").await.id;
    let events = (0..10)
        .map(|n| ticket(tenant, ["Alice@x", "bob@x"][n % 2], n as i64))
        .collect();
    world.directory.record_events(events).await.unwrap();
    world
        .directory
        .record_events(vec![ticket(other, "alice@x", 100)])
        .await
        .unwrap();
    let filter = EventFilter {
        tenant: Some(tenant),
        user: Some("ALICE@X".into()),
        limit: 3,
        ..Default::default()
    };
    let newest = world.directory.events(&filter).await.unwrap();
    assert_eq!(
        newest.iter().map(|e| e.event.at_ms).collect::<Vec<_>>(),
        [4, 6, 8]
    );
    assert!(newest[0].event.detail.len() <= 500);
    assert_eq!(
        newest[0].event.address,
        Some("2001:db8::1".parse().unwrap())
    );
    let follow = EventFilter {
        tenant: Some(tenant),
        after: Some(newest[1].sequence),
        limit: 100,
        ..Default::default()
    };
    let rest: Vec<i64> = world
        .directory
        .events(&follow)
        .await
        .unwrap()
        .iter()
        .map(|e| e.event.at_ms)
        .collect();
    assert_eq!(rest, [7, 8, 9]);
    let since = EventFilter {
        tenant: Some(tenant),
        since_ms: Some(8),
        limit: 100,
        ..Default::default()
    };
    let categories: Vec<EventKind> = world
        .directory
        .events(&since)
        .await
        .unwrap()
        .iter()
        .map(|e| e.event.category)
        .collect();
    assert_eq!(
        categories,
        [EventKind::Change, EventKind::Ticket, EventKind::Ticket]
    );
}

#[tokio::test]
async fn audit_events_are_bounded() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    sqlx::query("INSERT INTO events (at_ms, tenant_id, category, outcome, action, reason, actor, user_name, user_key, target, detail)
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100100)
        SELECT i, $1, 'audit', 'done', '', '', '', '', '', '', '' FROM n")
        .bind(tenant.as_bytes().to_vec())
        .execute(&mut world.raw().await)
        .await
        .unwrap();
    let policy = NewTenant::DEFAULT_POLICY;
    let d = &world.directory;
    for _ in 0..61 {
        d.set_policy(&by(), tenant, policy.clone()).await.unwrap();
    }
    let kept = world.count("SELECT COUNT(*) FROM events").await;
    assert!((100_000..100_061).contains(&kept), "{kept}");
}

/// S4: neither refusals, nor tickets, nor what machines do push out the changes that administrators made.
#[tokio::test]
async fn floods_of_other_classes_leave_the_changes_of_administrators() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    let connector = Actor {
        kind: ActorKind::Connector,
        ..by()
    };
    let refusal = NewEvent {
        outcome: EventOutcome::Refused,
        ..NewEvent::audit(&connector, Some(tenant), "api.call")
    };
    let done = NewEvent::audit(&connector, Some(tenant), "sync.take_away");
    let refused_ticket = ticket(tenant, "alice@x", 1);
    let issued = NewEvent {
        outcome: EventOutcome::Done,
        ..refused_ticket.clone()
    };
    for (class, outcome, event) in [
        ("audit.refused", "refused", refusal),
        ("audit.machine", "done", done),
        ("ticket.refused", "refused", refused_ticket),
        ("ticket", "done", issued),
    ] {
        sqlx::query("INSERT INTO events (at_ms, tenant_id, category, outcome, action, reason, actor, user_name, user_key, target, detail)
            WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100010)
            SELECT i, $1, $2, $3, '', '', '', '', '', '', '' FROM n")
            .bind(tenant.as_bytes().to_vec())
            .bind(class)
            .bind(outcome)
            .execute(&mut world.raw().await)
            .await
            .unwrap();
        d.record_events(vec![event]).await.unwrap();
        let held = format!("SELECT COUNT(*) FROM events WHERE category = '{class}'");
        let held: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(held))
            .fetch_one(&mut world.raw().await)
            .await
            .unwrap();
        assert_eq!(held, 100_000, "{class}");
    }
    let kept = "SELECT COUNT(*) FROM events WHERE action = 'tenant.create' AND category = 'audit'";
    assert_eq!(world.count(kept).await, 1);
}

#[tokio::test]
async fn control_characters_in_events_are_replaced() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let event = ticket(tenant, "al\0ice\x1b[31m\n@x", 1);
    world.directory.record_events(vec![event]).await.unwrap();
    let filter = EventFilter {
        user: Some("AL\0ICE\x1b[31m\n@x".into()),
        limit: 10,
        ..Default::default()
    };
    let found = world.directory.events(&filter).await.unwrap();
    assert_eq!(found[0].event.user, "al\u{fffd}ice\u{fffd}[31m\u{fffd}@x");
    let lost = world.directory.find_tenant("a\0b").await.unwrap_err();
    assert!(!lost.to_string().contains('\0'));
}

#[tokio::test]
async fn events_are_bounded_for_each_tenant_and_category() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let other = world.tenant("other").await.id;
    world
        .directory
        .record_events(vec![ticket(other, "bob@x", 1)])
        .await
        .unwrap();
    sqlx::query("INSERT INTO events (at_ms, tenant_id, category, outcome, action, reason, actor, user_name, user_key, target, detail)
        WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100010)
        SELECT i, $1, 'ticket.refused', 'refused', '', '', '', '', '', '', '' FROM n")
        .bind(tenant.as_bytes().to_vec())
        .execute(&mut world.raw().await)
        .await
        .unwrap();
    world
        .directory
        .record_events(vec![ticket(tenant, "alice@x", 200_000)])
        .await
        .unwrap();
    assert_eq!(
        world
            .count("SELECT COUNT(*) FROM events WHERE category = 'ticket.refused'")
            .await,
        100_001
    );
    assert_eq!(
        world
            .count("SELECT MIN(at_ms) FROM events WHERE category = 'ticket.refused' AND actor = ''")
            .await,
        12
    );
    assert_eq!(
        world
            .count("SELECT COUNT(*) FROM events WHERE action = 'tenant.create'")
            .await,
        2
    );
}

/// The versions of the realm's keys as the KDC has them; the first encrypts.
async fn realm_kvnos(d: &Directory, tenant: &TenantInfo) -> Vec<u32> {
    let lookups = Lookups {
        tenant: tenant.id,
        wanted: Wanted::Parties {
            issuer: tenant.realm.clone(),
        },
    };
    match d.records(&lookups).await {
        Records::Parties { tenant, .. } => tenant.krbtgt_keys.iter().map(|key| key.kvno).collect(),
        other => panic!("{other:?}"),
    }
}

/// Lets time pass for the keys of realms.
async fn keys_age(world: &World, seconds: i64) {
    sqlx::query(
        "UPDATE kerberos_keys SET encrypts_from = encrypts_from - $1, retires_at = retires_at - $1",
    )
    .bind(seconds)
    .execute(&mut world.raw().await)
    .await
    .unwrap();
}

/// S6: a realm's key is rotated without a failed ticket. Every node has the new one before it encrypts, and the old one decrypts
/// until the last ticket that it encrypted has ended.
#[tokio::test]
async fn s6_a_realms_key_is_rotated_without_a_failed_ticket() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await;
    let d = &world.directory;
    assert_eq!(realm_kvnos(d, &tenant).await, [1]);
    let made = d.rotate_realm_key(&by(), tenant.id, false).await.unwrap();
    assert_eq!(made.kvno, 2);
    // Known everywhere, used nowhere yet.
    assert_eq!(realm_kvnos(d, &tenant).await, [1, 2]);
    let life = i64::from(tenant.policy.max_ticket_life_s);
    assert!(made.previous_until.unwrap() >= made.encrypts_from + life);
    keys_age(&world, 11).await;
    let later = world.other_node().await;
    assert_eq!(realm_kvnos(&later, &tenant).await, [2, 1]);
    keys_age(&world, life).await;
    assert_eq!(
        realm_kvnos(&world.other_node().await, &tenant).await,
        [2, 1]
    );
    keys_age(&world, 700).await;
    assert_eq!(realm_kvnos(&world.other_node().await, &tenant).await, [2]);
}

/// S6: a key that is retired, or begins to encrypt, while its node serves from memory does so on time.
#[tokio::test]
async fn s6_a_cached_realm_key_begins_and_ends_on_time() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await;
    let d = &world.directory;
    d.rotate_realm_key(&by(), tenant.id, false).await.unwrap();
    keys_age(&world, 8).await;
    let node = world.other_node().await;
    assert_eq!(realm_kvnos(&node, &tenant).await, [1, 2]);
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(realm_kvnos(&node, &tenant).await, [2, 1]);
}

/// S6: a realm's key that was stolen is deleted at once, and its number is not used again.
#[tokio::test]
async fn s6_a_stolen_realm_key_is_deleted_at_once() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await;
    let d = &world.directory;
    d.rotate_realm_key(&by(), tenant.id, false).await.unwrap();
    let made = d.rotate_realm_key(&by(), tenant.id, true).await.unwrap();
    assert_eq!((made.kvno, made.previous_until), (3, None));
    assert_eq!(realm_kvnos(d, &tenant).await, [3]);
    let rows = "SELECT COUNT(*) FROM kerberos_keys WHERE owner_kind = 'krbtgt'";
    assert_eq!(world.count(rows).await, 1);
    let events = "SELECT COUNT(*) FROM events WHERE action = 'tenant.rotate-key'";
    assert_eq!(world.count(events).await, 2);
}

/// The keys of a realm have a bound.
#[tokio::test]
async fn the_keys_of_a_realm_are_bounded() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await;
    let d = &world.directory;
    for _ in 1..8 {
        d.rotate_realm_key(&by(), tenant.id, false).await.unwrap();
    }
    let ninth = d.rotate_realm_key(&by(), tenant.id, false).await;
    assert_eq!(code(ninth), "too_many_realm_keys");
    d.rotate_realm_key(&by(), tenant.id, true).await.unwrap();
    d.rotate_realm_key(&by(), tenant.id, false).await.unwrap();
}
