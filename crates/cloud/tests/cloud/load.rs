//! More identities than fit in one request or one page, through HTTPS with a connector's token and a database on disk. The
//! speed with a hundred thousand is measured by `cargo xtask bench load`.

use crate::common::Service;
use crossrealm_api::{ApplyIdentities, ConnectorCreate, IdentityChange, PageQuery, SyncDomain};
use crossrealm_testkit::trusted_tenant::sync_run;
use crossrealm_types::{IdentityKind, IdentityState, SyncedIdentity};
use uuid::Uuid;

const T: &str = "contoso";
const DOMAIN: &str = "corp.contoso.com";
const SID: &str = "S-1-5-21-1111-2222-3333";
const USERS: u32 = 1_940;
const GROUPS: u32 = 60;

fn object_guid(n: u32) -> Uuid {
    // Scattered like AD's.
    let high = n.wrapping_mul(2_654_435_761);
    format!("{high:08x}-1111-4111-8111-{n:012x}")
        .parse()
        .unwrap()
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
            sid: format!("{SID}-{}", 1000 + n).parse().unwrap(),
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
    let domain = SyncDomain {
        dns_name: DOMAIN.into(),
        flat_name: "CORP".into(),
        sid: SID.parse().unwrap(),
    };
    ApplyIdentities {
        last: false,
        ..sync_run(domain, changes)
    }
}

#[tokio::test]
async fn many_identities_over_https() {
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
    for first in (0..USERS + GROUPS).step_by(1000) {
        let changes = (first..first + 1000).map(object).collect();
        let result = agent
            .apply_identities(T, DOMAIN, &request(changes))
            .await
            .unwrap();
        assert_eq!((result.created, result.refused.len()), (1000, 0));
    }

    // Each group has 50 users and the next group, in chains of ten.
    let member = |n: u32| {
        let mut add: Vec<Uuid> = (0..50).map(|k| object_guid((n * 50 + k) % USERS)).collect();
        if n % 10 != 9 {
            add.push(object_guid(USERS + n + 1));
        }
        IdentityChange::Members {
            object_guid: object_guid(USERS + n),
            add,
            remove: vec![],
            elsewhere: None,
        }
    };
    let changes = (0..GROUPS).map(member).collect();
    let result = agent
        .apply_identities(T, DOMAIN, &request(changes))
        .await
        .unwrap();
    assert_eq!(result.memberships_added, 60 * 50 + 54);

    let (mut after, mut read) = (None, 0);
    loop {
        let page = agent
            .domain_identities(
                T,
                DOMAIN,
                &PageQuery {
                    after: after.clone(),
                    limit: Some(1000),
                },
            )
            .await
            .unwrap();
        read += page.identities.len();
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(read, 2000);
    let one = agent
        .apply_identities(T, DOMAIN, &request(vec![object(17)]))
        .await
        .unwrap();
    assert_eq!((one.unchanged, one.created), (1, 0));
    let page = service.admin.users(T, &PageQuery::default()).await.unwrap();
    assert_eq!(page.items.len(), 500);
}
