//! Trusts: passwords, their versions, and the keys that the KDC gets.

use crate::support::assert_fails;
use crate::support::{CORP, World, by, code, corp_trust, sid, trust_of};
use crossrealm_directory::{
    Directory, DirectoryError, NewDomain, NewEvent, PREVIOUS_LIFE_S, RecordKind, TrustKeySeen,
};
use crossrealm_kdc::{KeyState, TenantId, TrustGeneration};
use crossrealm_krb::crypto::{Enctype, Key};
use crossrealm_types::{PrepareTrust, TrustKeyState, TrustState};

fn now_s() -> i64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

fn states(trust: &crossrealm_types::Trust) -> Vec<(u32, TrustKeyState)> {
    trust
        .keys
        .iter()
        .map(|key| (key.version, key.state))
        .collect()
}

#[tokio::test]
async fn prepare_and_confirm_can_be_repeated_at_any_point() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    let first = d
        .prepare_trust(&by(), tenant, "Corp.Contoso.COM", &corp_trust())
        .await
        .unwrap();
    assert_eq!((first.version, first.state), (1, TrustKeyState::Pending));
    assert_eq!(first.secret.len(), 40);
    assert!(first.secret.bytes().all(|b| b.is_ascii_graphic()));
    // Interrupted here: the same password is returned, even if a rotation is requested.
    let rotate = PrepareTrust {
        rotate: true,
        ..corp_trust()
    };
    for wanted in [corp_trust(), rotate.clone()] {
        let again = d.prepare_trust(&by(), tenant, CORP, &wanted).await.unwrap();
        assert_eq!((again.version, &*again.secret), (1, &*first.secret));
    }
    let before = d.trust(tenant, CORP).await.unwrap();
    assert_eq!(
        (before.state, before.top_level_names.as_slice()),
        (
            TrustState::Pending,
            &["contoso.cloud.example".to_owned()][..]
        )
    );
    let names = ["x.example".to_owned()];
    for _ in 0..2 {
        let trust = d
            .confirm_trust(&by(), tenant, CORP, 1, &names)
            .await
            .unwrap();
        assert_eq!(
            (trust.state, states(&trust)),
            (TrustState::Active, vec![(1, TrustKeyState::Current)])
        );
        assert_eq!(trust.top_level_names, names);
    }
    let current = d
        .prepare_trust(&by(), tenant, CORP, &corp_trust())
        .await
        .unwrap();
    assert_eq!(
        (current.state, &*current.secret),
        (TrustKeyState::Current, &*first.secret)
    );
    assert_eq!(
        code(d.confirm_trust(&by(), tenant, CORP, 2, &[]).await),
        "trust_version_unknown"
    );
    assert_eq!(
        world
            .count("SELECT COUNT(*) FROM events WHERE action = 'trust.prepare'")
            .await,
        4
    );
    let secret = first.secret.to_string();
    let leaks: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM events WHERE detail LIKE '%' || $1 || '%' OR target LIKE '%' || $1 || '%'")
        .bind(secret)
        .fetch_one(&mut world.raw().await)
        .await
        .unwrap();
    assert_eq!(leaks, 0);
}

#[tokio::test]
async fn a_rotation_retires_no_key_too_early() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    let rotate = PrepareTrust {
        rotate: true,
        ..corp_trust()
    };
    for version in 1..=3 {
        let made = d.prepare_trust(&by(), tenant, CORP, &rotate).await.unwrap();
        assert_eq!(
            (made.version, made.state),
            (version, TrustKeyState::Pending)
        );
        // The trust tool gets every version that AD may still hold, and the new one only once.
        let held: Vec<u32> = made.held.iter().map(|held| held.version).collect();
        assert_eq!(held, (1..version).rev().collect::<Vec<_>>());
        assert!(made.held.iter().all(|held| held.secret != made.secret));
        // AD may hold it from now on: its keys decrypt tickets before it is confirmed.
        let trust = trust_of(d, tenant).await.unwrap();
        assert_eq!(
            (trust.keys[0].version, trust.keys[0].state),
            (version, KeyState::Current)
        );
        d.confirm_trust(&by(), tenant, CORP, version, &[])
            .await
            .unwrap();
    }
    let info = d.trust(tenant, CORP).await.unwrap();
    assert_eq!(
        states(&info),
        [
            (3, TrustKeyState::Current),
            (2, TrustKeyState::Previous),
            (1, TrustKeyState::Retired)
        ]
    );
    let until = info.keys[2].retires_at.unwrap();
    assert!(until >= info.keys[0].confirmed_at.unwrap() + 10 * 3600);
    let trust = trust_of(d, tenant).await.unwrap();
    assert_eq!(trust.keys.len(), 3);
    assert_eq!(trust.keys[2].state, KeyState::Retired { until });

    sqlx::query("UPDATE trust_secrets SET retires_at = 1 WHERE version = 1")
        .execute(&mut world.raw().await)
        .await
        .unwrap();
    let fresh = world.other_node().await;
    let versions: Vec<u32> = trust_of(&fresh, tenant)
        .await
        .unwrap()
        .keys
        .iter()
        .map(|k| k.version)
        .collect();
    assert_eq!(versions, [3, 2]);
}

#[tokio::test]
async fn a_retired_key_is_not_returned_after_its_end() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    let rotate = PrepareTrust {
        rotate: true,
        ..corp_trust()
    };
    for version in 1..=3 {
        d.prepare_trust(&by(), tenant, CORP, &rotate).await.unwrap();
        d.confirm_trust(&by(), tenant, CORP, version, &[])
            .await
            .unwrap();
    }
    // The node must read the key before it retires, which may take a while on a busy machine.
    let mut soon_s = 2;
    let (node, retires_at) = loop {
        let retires_at = now_s() + soon_s;
        sqlx::query("UPDATE trust_secrets SET retires_at = $1 WHERE version = 1")
            .bind(retires_at)
            .execute(&mut world.raw().await)
            .await
            .unwrap();
        let node = world.other_node().await;
        let keys = trust_of(&node, tenant).await.unwrap().keys.len();
        if now_s() < retires_at {
            assert_eq!(keys, 3);
            break (node, retires_at);
        }
        soon_s *= 4;
    };
    while now_s() <= retires_at {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(trust_of(&node, tenant).await.unwrap().keys.len(), 2);
}

#[tokio::test]
async fn trust_keys_equal_those_of_ad() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await;
    let made = world
        .directory
        .prepare_trust(&by(), tenant.id, CORP, &corp_trust())
        .await
        .unwrap();
    let salt = "CORP.CONTOSO.COMkrbtgtKERBEROS.CONTOSO.CLOUD.EXAMPLE";
    let trust = trust_of(&world.directory, tenant.id).await.unwrap();
    assert_eq!(trust.realm, "CORP.CONTOSO.COM");
    for (enctype, key) in [Enctype::Aes256Sha1, Enctype::Aes128Sha1]
        .into_iter()
        .zip(&trust.keys[0].keys)
    {
        let expected = Key::from_password(enctype, &made.secret, salt, None).unwrap();
        assert_eq!(
            (key.enctype(), key.as_bytes()),
            (enctype, expected.as_bytes())
        );
    }
    assert_eq!(trust.keys[0].keys.len(), 2);
}

#[tokio::test]
async fn a_domain_with_another_sid_is_refused() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await;
    let d = &world.directory;
    d.prepare_trust(&by(), tenant.id, CORP, &corp_trust())
        .await
        .unwrap();
    let other_sid = PrepareTrust {
        sid: sid("S-1-5-21-9-9-9"),
        ..corp_trust()
    };
    assert_eq!(
        code(d.prepare_trust(&by(), tenant.id, CORP, &other_sid).await),
        "trust_sid_mismatch"
    );
    let same_sid = PrepareTrust {
        realm: "OTHER.EXAMPLE".into(),
        ..corp_trust()
    };
    assert_eq!(
        code(
            d.prepare_trust(&by(), tenant.id, "other.example", &same_sid)
                .await
        ),
        "domain_sid_taken"
    );
    let own = PrepareTrust {
        realm: "OTHER.EXAMPLE".into(),
        sid: tenant.sid.clone(),
        ..corp_trust()
    };
    assert_eq!(
        code(
            d.prepare_trust(&by(), tenant.id, "other.example", &own)
                .await
        ),
        "domain_sid_taken"
    );
    let no_domain = PrepareTrust {
        sid: sid("S-1-5-32-544"),
        ..corp_trust()
    };
    assert_fails!(
        d.prepare_trust(&by(), tenant.id, CORP, &no_domain).await,
        DirectoryError::Invalid { .. }
    );
    let other_realm = PrepareTrust {
        realm: "OTHER.EXAMPLE".into(),
        ..corp_trust()
    };
    assert_fails!(
        d.prepare_trust(&by(), tenant.id, CORP, &other_realm).await,
        DirectoryError::Invalid { .. }
    );
    // Many tenants may trust the same AD.
    let second = world.tenant("second").await.id;
    d.prepare_trust(&by(), second, CORP, &corp_trust())
        .await
        .unwrap();
    assert_eq!(d.trusts(tenant.id).await.unwrap().len(), 1);
}

#[tokio::test]
async fn child_domains_belong_to_the_trust_of_the_root() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    let child = |name: &str, n: u32, root: Option<&str>| NewDomain {
        dns_name: name.to_owned(),
        flat_name: format!("CHILD{n}"),
        sid: sid(&format!("S-1-5-21-7-7-{n}")),
        forest_root: root.map(str::to_owned),
    };
    let before = d
        .register_domain(&by(), tenant, &child("emea.corp.contoso.com", 1, None))
        .await
        .unwrap();
    assert_eq!(before.forest_root, "emea.corp.contoso.com");
    d.prepare_trust(&by(), tenant, CORP, &corp_trust())
        .await
        .unwrap();
    d.register_domain(&by(), tenant, &child("apac.corp.contoso.com", 2, None))
        .await
        .unwrap();
    d.register_domain(&by(), tenant, &child("tree.example", 3, Some(CORP)))
        .await
        .unwrap();
    d.register_domain(&by(), tenant, &child("stranger.example", 4, None))
        .await
        .unwrap();
    d.register_domain(&by(), tenant, &child("notcorp.contoso.com", 5, None))
        .await
        .unwrap();
    let trust = trust_of(d, tenant).await.unwrap();
    let domains: Vec<&str> = trust
        .forest
        .domains
        .iter()
        .map(|domain| domain.dns_name.as_str())
        .collect();
    assert_eq!(
        domains,
        [
            "apac.corp.contoso.com",
            CORP,
            "emea.corp.contoso.com",
            "tree.example"
        ]
    );
}

#[tokio::test]
async fn keys_of_a_deleted_trust_are_not_returned() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    let first = d
        .prepare_trust(&by(), tenant, CORP, &corp_trust())
        .await
        .unwrap();
    assert!(trust_of(d, tenant).await.is_some());
    d.delete_trust(&by(), tenant, CORP).await.unwrap();
    assert!(trust_of(d, tenant).await.is_none());
    assert_eq!(world.count("SELECT COUNT(*) FROM trust_secrets").await, 0);
    assert_fails!(
        d.delete_trust(&by(), tenant, CORP).await,
        DirectoryError::NotFound {
            kind: RecordKind::Trust,
            ..
        }
    );
    assert!(d.domain(tenant, CORP).await.is_ok());
    let again = d
        .prepare_trust(&by(), tenant, CORP, &corp_trust())
        .await
        .unwrap();
    assert_eq!(again.version, 1);
    assert_ne!(*again.secret, *first.secret);
    let key = trust_of(d, tenant).await.unwrap().keys[0].keys[0].clone();
    let salt = "CORP.CONTOSO.COMkrbtgtKERBEROS.CONTOSO.CLOUD.EXAMPLE";
    let expected = Key::from_password(Enctype::Aes256Sha1, &again.secret, salt, None).unwrap();
    assert_eq!(
        key.as_bytes(),
        expected.as_bytes(),
        "no key of the old trust is left in memory"
    );
}

#[tokio::test]
async fn ticket_events_update_when_a_key_was_last_seen() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    d.prepare_trust(&by(), tenant, CORP, &corp_trust())
        .await
        .unwrap();
    for at_ms in [5_000, 3_000] {
        let event = NewEvent {
            at_ms,
            actor: "alice".into(),
            user: "alice".into(),
            target: "cifs/acct1".into(),
            trust_key: Some(TrustKeySeen {
                realm: "CORP.CONTOSO.COM".into(),
                version: 1,
            }),
            ..NewEvent::ticket(tenant)
        };
        d.record_events(vec![event]).await.unwrap();
    }
    assert_eq!(
        d.trust(tenant, CORP).await.unwrap().keys[0].last_seen_at,
        Some(5)
    );
}

/// The trust as the KDC has it, and the versions that decrypt referrals.
async fn served(d: &Directory, tenant: TenantId) -> (TrustGeneration, Vec<u32>) {
    let trust = trust_of(d, tenant).await.unwrap();
    let versions = trust.keys.iter().map(|key| key.version).collect();
    (trust.forest.generation, versions)
}

async fn rotate_to(d: &Directory, tenant: TenantId, version: u32) {
    let rotate = PrepareTrust {
        rotate: true,
        ..corp_trust()
    };
    let made = d.prepare_trust(&by(), tenant, CORP, &rotate).await.unwrap();
    assert_eq!(made.version, version);
    d.confirm_trust(&by(), tenant, CORP, version, &[])
        .await
        .unwrap();
}

/// S6: the previous key ends by itself, also if no other rotation follows, and AD's tool does not get its password any more.
#[tokio::test]
async fn s6_the_previous_key_ends_after_its_last_ticket() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    rotate_to(d, tenant, 1).await;
    rotate_to(d, tenant, 2).await;
    let info = d.trust(tenant, CORP).await.unwrap();
    let until = info.keys[0].confirmed_at.unwrap() + PREVIOUS_LIFE_S;
    assert_eq!(info.keys[1].retires_at, Some(until));
    assert_eq!(served(d, tenant).await.1, [2, 1]);
    // A later rotation does not lengthen its life.
    sqlx::query("UPDATE trust_secrets SET retires_at = retires_at - 100 WHERE version = 1")
        .execute(&mut world.raw().await)
        .await
        .unwrap();
    rotate_to(d, tenant, 3).await;
    let info = d.trust(tenant, CORP).await.unwrap();
    assert_eq!(info.keys[2].retires_at, Some(until - 100));
    // Time passes.
    sqlx::query("UPDATE trust_secrets SET retires_at = retires_at - $1")
        .bind(PREVIOUS_LIFE_S + 10)
        .execute(&mut world.raw().await)
        .await
        .unwrap();
    let later = world.other_node().await;
    assert_eq!(served(&later, tenant).await.1, [3]);
    let info = later.trust(tenant, CORP).await.unwrap();
    assert_eq!(
        states(&info),
        [
            (3, TrustKeyState::Current),
            (2, TrustKeyState::Retired),
            (1, TrustKeyState::Retired)
        ]
    );
    let held = later
        .prepare_trust(&by(), tenant, CORP, &corp_trust())
        .await;
    assert!(held.unwrap().held.is_empty());
}

/// S6: a previous version that an earlier version of the service left without an end gets one.
#[tokio::test]
async fn s6_a_previous_key_of_before_ends_too() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    rotate_to(&world.directory, tenant, 1).await;
    rotate_to(&world.directory, tenant, 2).await;
    sqlx::query("UPDATE trust_secrets SET retires_at = NULL")
        .execute(&mut world.raw().await)
        .await
        .unwrap();
    let upgraded = world.other_node().await;
    assert_eq!(served(&upgraded, tenant).await.1, [2, 1]);
    sqlx::query("UPDATE trust_secrets SET confirmed_at = confirmed_at - $1")
        .bind(PREVIOUS_LIFE_S + 10)
        .execute(&mut world.raw().await)
        .await
        .unwrap();
    let later = world.other_node().await;
    assert_eq!(served(&later, tenant).await.1, [2]);
}

/// S6: versions that are known to be stolen are retired at once, and TGTs of before end; so they do with the trust itself.
#[tokio::test]
async fn s6_stolen_keys_are_retired_at_once() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    rotate_to(d, tenant, 1).await;
    let (stolen, versions) = served(d, tenant).await;
    assert_eq!(versions, [1]);
    let retire = async |before| d.retire_trust_keys(&by(), tenant, CORP, before).await;
    // Not without another key that AD holds.
    for unknown in [0, 2, u32::MAX] {
        assert_eq!(code(retire(unknown).await), "trust_version_unknown");
    }
    rotate_to(d, tenant, 2).await;
    rotate_to(d, tenant, 3).await;
    assert_eq!(served(d, tenant).await, (stolen, vec![3, 2, 1]));
    let info = retire(2).await.unwrap();
    assert_eq!(info.keys[2].state, TrustKeyState::Retired);
    let (good, versions) = served(d, tenant).await;
    assert_eq!(versions, [3, 2]);
    assert_ne!(good, stolen);
    let events = "SELECT COUNT(*) FROM events WHERE action = 'trust.retire-keys'";
    assert_eq!(world.count(events).await, 1);

    // The same trust made anew is another one.
    d.delete_trust(&by(), tenant, CORP).await.unwrap();
    rotate_to(d, tenant, 1).await;
    let (again, _) = served(d, tenant).await;
    assert!(again != good && again != stolen);
}
