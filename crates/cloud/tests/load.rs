//! A large organisation through the front door: HTTPS, a connector's token, the database on disk. Run with
//! `cargo test --release -p crossrealm-cloud --test load -- --ignored --nocapture`.

mod common;

use common::Service;
use crossrealm_api::{
    ApplyIdentities, ConnectorCreate, IdentityChange, IdentityKind, IdentityState, PageQuery,
    SyncDomain, SyncedIdentity,
};
use std::time::Instant;

const T: &str = "contoso";
const DOMAIN: &str = "corp.contoso.com";
const SID: &str = "S-1-5-21-1111-2222-3333";
const USERS: u32 = 98_000;
const GROUPS: u32 = 2_000;

fn object_guid(n: u32) -> String {
    // Scattered, as those of AD are.
    let high = n.wrapping_mul(2_654_435_761);
    format!("{high:08x}-1111-4111-8111-{n:012x}")
}

fn object(n: u32) -> IdentityChange {
    let is_user = n < USERS;
    IdentityChange::Upsert {
        identity: SyncedIdentity {
            object_guid: object_guid(n),
            kind: if is_user {
                IdentityKind::User
            } else {
                IdentityKind::Group
            },
            sid: format!("{SID}-{}", 1000 + n),
            account_name: format!("account{n}"),
            upn: if is_user {
                format!("account{n}@{DOMAIN}")
            } else {
                String::new()
            },
            display_name: format!("Account number {n} of Contoso"),
            state: IdentityState::Enabled,
            disabled_reason: None,
            primary_group_rid: if is_user { 513 } else { 0 },
            members: vec![],
            more_members: false,
        },
    }
}

fn request(changes: Vec<IdentityChange>) -> ApplyIdentities {
    ApplyIdentities {
        run_id: "99999999-9999-9999-9999-999999999999".into(),
        domain: SyncDomain {
            dns_name: DOMAIN.into(),
            flat_name: "CORP".into(),
            sid: SID.into(),
        },
        changes,
        ..ApplyIdentities::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute; measures, and fails below the rate that is promised"]
async fn a_hundred_thousand_identities_over_https() {
    let service = Service::start().await;
    service.contoso().await;
    service
        .admin
        .apply_identities(T, DOMAIN, &request(vec![]))
        .await
        .unwrap();
    let wanted = ConnectorCreate {
        domain: DOMAIN.into(),
        rotate_trust: false,
    };
    let token = service
        .admin
        .create_connector(T, &wanted)
        .await
        .unwrap()
        .token;
    let agent = service.client(&token);

    let start = Instant::now();
    for first in (0..USERS + GROUPS).step_by(1000) {
        let changes = (first..first + 1000).map(object).collect();
        let result = agent
            .apply_identities(T, DOMAIN, &request(changes))
            .await
            .unwrap();
        assert_eq!((result.created, result.refused.len()), (1000, 0));
    }
    let rate = f64::from(USERS + GROUPS) / start.elapsed().as_secs_f64();
    println!("identities made over HTTPS: {rate:.0}/s");

    // Each group has 50 users and the group behind it, in chains of ten.
    let start = Instant::now();
    let member = |n: u32| {
        let mut add: Vec<String> = (0..50).map(|k| object_guid((n * 50 + k) % USERS)).collect();
        if n % 10 != 9 {
            add.push(object_guid(USERS + n + 1));
        }
        IdentityChange::Members {
            object_guid: object_guid(USERS + n),
            add,
            remove: vec![],
        }
    };
    let mut added = 0;
    for first in (0..GROUPS).step_by(200) {
        let changes = (first..first + 200).map(member).collect();
        added += agent
            .apply_identities(T, DOMAIN, &request(changes))
            .await
            .unwrap()
            .memberships_added;
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("memberships made over HTTPS: {added} in {seconds:.1} s");

    let start = Instant::now();
    let (mut after, mut read) = (None, 0);
    loop {
        let page = agent
            .domain_identities(T, DOMAIN, after.as_deref(), Some(1000))
            .await
            .unwrap();
        read += page.identities.len();
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    println!(
        "all {read} read back by the agent in {:.1} s",
        start.elapsed().as_secs_f64()
    );
    assert_eq!(read, (USERS + GROUPS) as usize);

    let start = Instant::now();
    let one = agent
        .apply_identities(T, DOMAIN, &request(vec![object(17)]))
        .await
        .unwrap();
    println!("a run in which nothing changed: {:?}", start.elapsed());
    assert_eq!(one.unchanged, 1);
    let page = service.admin.users(T, &PageQuery::default()).await.unwrap();
    assert_eq!(page.items.len(), 500);
    assert!(rate >= 5000.0, "{rate}");
}
