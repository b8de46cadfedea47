//! F2: the requests of a run against a real service, where names go round among more objects than one request carries.

use super::lease::Lease;
use super::session::SyncSession;
use crate::comparison::{Comparison, SyncJob};
use crate::progress::{Event, Progress};
use crossrealm_api::{Client, PageQuery, SecretText};
use crossrealm_cloud::{Config, InitOptions, Server, init};
use crossrealm_onprem::sync::{
    Account, Cursor, Domain, Observed, Position, Scope, SyncPlan, Update,
};
use crossrealm_types::{ApplyIdentitiesResult, IdentityKind};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use uuid::Uuid;

const DOMAIN: &str = "corp.contoso.com";
const TENANT: &str = "contoso";
/// More than two requests carry.
const USERS: usize = 2_500;

struct Silent;

impl Progress for Silent {
    fn report(&self, _: Event<'_>) {}
}

/// A service with a tenant, in this process, that ends with the test's runtime.
async fn service(folder: &Path) -> Client {
    let options = InitOptions {
        dir: folder.to_owned(),
        state: None,
        base_domain: "cloud.example".into(),
        tenant: Some(TENANT.parse().unwrap()),
        store: "sqlite:crossrealm.db".into(),
        https_listen: "127.0.0.1:0".parse().unwrap(),
        kdc_listen: None,
    };
    init(&options).await.unwrap();
    let config = Config::load(&folder.join("crossrealm.toml")).unwrap();
    let server = Server::bind(config).await.unwrap();
    let url = format!("https://{}", server.https_address());
    tokio::spawn(server.run(std::future::pending()));
    let token = std::fs::read_to_string(folder.join("admin.token")).unwrap();
    let ca = std::fs::read(folder.join("tls/ca.pem")).unwrap();
    Client::new(&url, Some(SecretText::new(token.trim())), Some(&ca)).unwrap()
}

fn account(number: usize, name: usize) -> Account {
    Account {
        guid: Uuid::from_u128(number as u128),
        kind: IdentityKind::User,
        sid: format!("S-1-5-21-1-2-3-{}", 2000 + number).parse().unwrap(),
        account_name: format!("user{name}"),
        upn: format!("user{name}@{DOMAIN}"),
        display_name: "Somebody".to_owned(),
        disabled: None,
        primary_group_rid: 513,
    }
}

/// A run with this plan.
async fn run(client: &Client, plan: SyncPlan) -> ApplyIdentitiesResult {
    let scope = Scope::default();
    let job = SyncJob {
        client,
        tenant: TENANT,
        domain: DOMAIN,
        dc: None,
        scope: &scope,
        accept_deletions: 0,
    };
    let mut lease = Lease::new(client.clone(), TENANT, DOMAIN);
    lease.wait(&Silent).await.unwrap();
    let state = client.sync_state(TENANT, DOMAIN).await;
    let comparison = Comparison {
        controller: "dc1.corp.contoso.com".to_owned(),
        observed: Observed {
            domain: Domain {
                dns_name: DOMAIN.to_owned(),
                flat_name: "CORP".to_owned(),
                sid: "S-1-5-21-1-2-3".parse().unwrap(),
            },
            seen: BTreeMap::new(),
            complete: true,
            groups_of: BTreeMap::new(),
            failed_before: BTreeSet::new(),
            skipped: Vec::new(),
        },
        plan,
        full_sync_reason: None,
        cursor: cursor(),
        stored_cursor: state.ok().and_then(|state| state.cursor),
    };
    let result = SyncSession::default()
        .apply(&job, lease.holder(), &comparison, &Silent)
        .await
        .unwrap();
    lease.release(None).await;
    result
}

fn cursor() -> Cursor {
    Cursor {
        controller: "dc1.corp.contoso.com".to_owned(),
        invocation: String::new(),
        position: Position::Usn {
            usn: 1,
            sees_deleted: true,
        },
        highest_usn: 1,
        scope: String::new(),
        watched: String::new(),
        read_at: 1_700_000_000,
        compared_at: 1_700_000_000,
        turns_at: None,
        left_out: 0,
        removals: (0, 0),
        pending: BTreeSet::new(),
        more_pending: false,
    }
}

/// The names that the tenant holds, by GUID.
async fn held(client: &Client) -> BTreeMap<Uuid, (String, String)> {
    let mut all = BTreeMap::new();
    let mut query = PageQuery::default();
    loop {
        let page = client.domain_identities(TENANT, DOMAIN, &query).await;
        let page = page.unwrap();
        let named = page.identities.into_iter();
        all.extend(named.map(|one| (one.object_guid, (one.account_name, one.upn))));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return all,
        }
    }
}

/// Everybody gets the name of the next one, the last one that of the first: none of the requests holds them all.
#[tokio::test(flavor = "multi_thread")]
async fn f2_a_circle_larger_than_a_request_arrives_in_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let client = service(folder.path()).await;
    let plan = SyncPlan {
        creates: (0..USERS).map(|number| account(number, number)).collect(),
        ..SyncPlan::default()
    };
    assert_eq!(run(&client, plan).await.refused, []);
    let moved = |number: usize| account(number, (number + 1) % USERS);
    let plan = SyncPlan {
        updates: (0..USERS)
            .map(|number| Update {
                before: account(number, number),
                after: moved(number),
            })
            .collect(),
        held: USERS,
        ..SyncPlan::default()
    };
    assert_eq!(run(&client, plan).await.refused, []);
    let held = held(&client).await;
    assert_eq!(held.len(), USERS);
    for wanted in (0..USERS).map(moved) {
        let has = &held[&wanted.guid];
        assert_eq!(*has, (wanted.account_name, wanted.upn), "{}", wanted.guid);
    }
}
