//! The token of a connector permits the sync of its own domain and nothing else, endpoint by endpoint.

use crate::common::Service;
use crossrealm_api::endpoint::ENDPOINTS;
use crossrealm_api::{
    AllowDeletions, ApplyIdentities, Client, ClientError, Code, ConnectorCreate, EventQuery,
    IdentityChange, IdentityLookup, SecretText, SyncDomain, SyncLeaseRelease, SyncLeaseRequest,
    TenantCreate,
};
use crossrealm_testkit::trusted_tenant::sync_run;
use crossrealm_types::{
    IdentityKind, IdentityState, PrepareTrust, RefusedChangeCode, SyncFailure, SyncedIdentity,
};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const T: &str = "contoso";
const DOMAIN: &str = "corp.contoso.com";
const DOMAIN_SID: &str = "S-1-5-21-1111-2222-3333";
const SECOND: &str = "second.example";
const ALICE: &str = "11111111-1111-1111-1111-111111111111";

/// A tenant with two domains, and the token of the first one's connector.
async fn with_connector(rotate_trust: bool) -> (Service, SecretText) {
    let service = Service::start().await;
    service.contoso().await;
    let second = TenantCreate {
        name: "second".into(),
        ..Default::default()
    };
    service.admin.create_tenant(&second).await.unwrap();
    for (domain, flat_name, sid) in [
        (DOMAIN, "CORP", DOMAIN_SID),
        (SECOND, "SEC", "S-1-5-21-4-5-6"),
    ] {
        let trust = PrepareTrust {
            realm: domain.to_uppercase(),
            flat_name: flat_name.into(),
            sid: sid.parse().unwrap(),
            top_level_names: vec!["contoso.cloud.example".into()],
            rotate: false,
        };
        service
            .admin
            .prepare_trust(T, domain, &trust)
            .await
            .unwrap();
    }
    let wanted = ConnectorCreate {
        domain: DOMAIN.into(),
        rotate_trust,
    };
    let created = service.admin.create_connector(T, &wanted).await.unwrap();
    (service, created.token)
}

fn alice() -> SyncedIdentity {
    SyncedIdentity {
        object_guid: ALICE.parse().unwrap(),
        kind: IdentityKind::User,
        sid: format!("{DOMAIN_SID}-1104").parse().unwrap(),
        account_name: "alice".into(),
        upn: format!("alice@{DOMAIN}"),
        display_name: "Alice".into(),
        state: IdentityState::Enabled,
        disabled_reason: None,
        primary_group_rid: 513,
        members: vec![],
        more_members: false,
    }
}

fn run(number: u32, identities: Vec<SyncedIdentity>) -> ApplyIdentities {
    let upsert = |identity| IdentityChange::Upsert { identity };
    let domain = SyncDomain {
        dns_name: DOMAIN.into(),
        flat_name: "CORP".into(),
        sid: DOMAIN_SID.parse().unwrap(),
    };
    ApplyIdentities {
        run_id: format!("99999999-9999-9999-9999-{number:012}")
            .parse()
            .unwrap(),
        ..sync_run(domain, identities.into_iter().map(upsert).collect())
    }
}

fn code<V: std::fmt::Debug>(result: Result<V, ClientError>) -> Code {
    result.unwrap_err().code().expect("a refusal by the server")
}

#[tokio::test]
async fn a_connector_is_created_listed_and_revoked() {
    let (service, token) = with_connector(true).await;
    let admin = &service.admin;
    let listed = admin.connectors(T).await.unwrap();
    assert_eq!((listed.len(), &*listed[0].domain), (1, DOMAIN));
    assert!(listed[0].rotate_trust && listed[0].last_success_at.is_none());
    let connector = service.client(&token);
    let me = connector.whoami().await.unwrap();
    assert_eq!(
        (me.domain.as_deref(), me.rotate_trust),
        (Some(DOMAIN), true)
    );
    connector
        .apply_identities(T, DOMAIN, &run(1, vec![alice()]))
        .await
        .unwrap();
    assert!(
        admin.connectors(T).await.unwrap()[0]
            .last_success_at
            .is_some()
    );
    let unknown = ConnectorCreate {
        domain: "third.example".into(),
        rotate_trust: false,
    };
    let ClientError::Refused(refusal) = admin.create_connector(T, &unknown).await.unwrap_err()
    else {
        panic!("it was not refused by the server");
    };
    assert_eq!(refusal.code, Code::DomainNotFound);
    assert_eq!(refusal.details.domain.as_deref(), Some("third.example"));
    let again = ConnectorCreate {
        domain: DOMAIN.to_uppercase(),
        rotate_trust: false,
    };
    assert_eq!(
        code(admin.create_connector(T, &again).await),
        Code::ConnectorExists
    );
    admin.delete_connector(T, DOMAIN).await.unwrap();
    assert_eq!(
        code(admin.delete_connector(T, DOMAIN).await),
        Code::ConnectorNotFound
    );
    assert_eq!(code(connector.whoami().await), Code::Unauthenticated);
    let events = admin.events(T, &EventQuery::default()).await.unwrap();
    let of = |action: &str| events.iter().filter(|e| e.action == action).count();
    assert_eq!((of("connector.create"), of("connector.revoke")), (1, 1));
    let text = format!("{events:?}");
    assert!(!text.contains(token.expose()) && text.contains("may rotate the trust"));
}

#[tokio::test]
async fn only_one_agent_holds_the_lease_of_a_domain() {
    let (service, token) = with_connector(false).await;
    let agent = service.client(&token);
    let lease = |holder: &str| SyncLeaseRequest {
        holder: holder.into(),
        seconds: 60,
    };
    let one = agent
        .take_sync_lease(T, DOMAIN, &lease("one"))
        .await
        .unwrap();
    assert!(one.granted);
    let two = agent
        .take_sync_lease(T, DOMAIN, &lease("two"))
        .await
        .unwrap();
    assert_eq!(
        (two.granted, &*two.holder, two.expires_at),
        (false, "one", one.expires_at)
    );
    let by = |holder: &str| ApplyIdentities {
        holder: Some(holder.into()),
        ..run(1, vec![alice()])
    };
    assert_eq!(
        code(agent.apply_identities(T, DOMAIN, &by("two")).await),
        Code::LeaseLost
    );
    agent.apply_identities(T, DOMAIN, &by("one")).await.unwrap();
    let state = agent.sync_state(T, DOMAIN).await.unwrap();
    assert_eq!(state.lease.unwrap().holder, "one");
    let release = |holder: &str| SyncLeaseRelease {
        holder: holder.into(),
        problem: None,
    };
    agent
        .release_sync_lease(T, DOMAIN, &release("one"))
        .await
        .unwrap();
    assert!(
        agent
            .take_sync_lease(T, DOMAIN, &lease("two"))
            .await
            .unwrap()
            .granted
    );
    let bad = SyncLeaseRequest {
        seconds: 100_000,
        ..lease("one")
    };
    assert_eq!(
        code(agent.take_sync_lease(T, DOMAIN, &bad).await),
        Code::InvalidName
    );
}

#[tokio::test]
async fn a_run_stores_its_cursor_and_its_failures() {
    let (service, token) = with_connector(false).await;
    let agent = service.client(&token);
    let cursor = |number, from: &str, to: &str| ApplyIdentities {
        previous_cursor: Some(from.into()),
        cursor: Some(to.into()),
        failures: vec![SyncFailure {
            object_guid: None,
            name: "CN=broken".into(),
            reason: "it has no SID".into(),
            exceeds: false,
        }],
        ..run(number, vec![alice()])
    };
    let outside = SyncedIdentity {
        object_guid: "22222222-2222-2222-2222-222222222222".parse().unwrap(),
        sid: "S-1-5-21-9-9-9-1104".parse().unwrap(),
        account_name: "mallory".into(),
        ..alice()
    };
    let mut first = cursor(1, "", "a");
    first
        .changes
        .push(IdentityChange::Upsert { identity: outside });
    let result = agent.apply_identities(T, DOMAIN, &first).await.unwrap();
    assert_eq!(
        (result.created, result.refused[0].code),
        (1, RefusedChangeCode::SidOutsideDomain)
    );
    let stale = agent.apply_identities(T, DOMAIN, &cursor(2, "", "b")).await;
    assert_eq!(code(stale), Code::CursorMoved);
    let state = agent.sync_state(T, DOMAIN).await.unwrap();
    assert_eq!(state.cursor.as_deref(), Some("a"));
    assert_eq!((state.users, state.failed, state.refused), (1, 1, 1));
    assert_eq!(state.failures, first.failures);
    assert_eq!(state.refusals, result.refused);
    // A domain in the body other than that of the path is refused and audited.
    let mut smuggled = run(3, vec![]);
    smuggled.domain.dns_name = SECOND.into();
    let refused = agent.apply_identities(T, DOMAIN, &smuggled).await;
    assert_eq!(code(refused), Code::InvalidRequest);
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let events = service
            .admin
            .events(T, &EventQuery::default())
            .await
            .unwrap();
        let recorded = |reason: &str, target: &str| {
            events
                .iter()
                .any(|e| e.action == "sync.refuse" && e.reason == reason && e.target == target)
        };
        if recorded("invalid_request", SECOND)
            && recorded("sid_outside_domain", "22222222-2222-2222-2222-222222222222")
        {
            break;
        }
        assert!(Instant::now() < deadline, "{events:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let lookup = IdentityLookup {
        object_guids: [ALICE, "33333333-3333-3333-3333-333333333333"]
            .map(|guid| guid.parse().unwrap())
            .into(),
    };
    let found = agent.lookup_identities(T, DOMAIN, &lookup).await.unwrap();
    assert_eq!(found.identities, [alice()]);
    let path = format!("/api/v1/tenants/{T}/domains/{DOMAIN}/identities/lookup");
    let bad = serde_json::json!({"object_guids": ["nonsense"]});
    assert_eq!(
        service.refusal(&path, &bad).await.code,
        Code::InvalidRequest
    );
}

#[tokio::test]
async fn deletions_beyond_the_bound_need_an_administrator_and_are_audited() {
    let (service, token) = with_connector(false).await;
    let agent = service.client(&token);
    let numbered = |n: u32| SyncedIdentity {
        object_guid: format!("44444444-1111-1111-1111-{n:012}").parse().unwrap(),
        sid: format!("{DOMAIN_SID}-{}", 2000 + n).parse().unwrap(),
        account_name: format!("u{n}"),
        upn: String::new(),
        ..alice()
    };
    agent
        .apply_identities(T, DOMAIN, &run(1, (0..200).map(numbered).collect()))
        .await
        .unwrap();
    let deletion = |number: u32, range: std::ops::Range<u32>| ApplyIdentities {
        changes: range
            .map(|n| IdentityChange::Delete {
                object_guid: numbered(n).object_guid,
            })
            .collect(),
        ..run(number, vec![])
    };
    let ClientError::Refused(refusal) = agent
        .apply_identities(T, DOMAIN, &deletion(2, 0..51))
        .await
        .unwrap_err()
    else {
        panic!("it was not refused by the server");
    };
    assert_eq!(refusal.code, Code::TooManyDeletions);
    assert!(
        refusal.message.contains("51 of the 200"),
        "{}",
        refusal.message
    );
    assert_eq!(refusal.details.deletions, Some(51));
    assert_eq!(agent.sync_state(T, DOMAIN).await.unwrap().users, 200);
    // S8: the bearer of the token cannot lift the bound.
    let declared = ApplyIdentities {
        accept_deletions: Some(51),
        ..deletion(3, 0..51)
    };
    let ClientError::Refused(refusal) = agent
        .apply_identities(T, DOMAIN, &declared)
        .await
        .unwrap_err()
    else {
        panic!("it was not refused by the server");
    };
    assert_eq!(refusal.code, Code::DeletionsNotAllowed);
    assert_eq!(refusal.details.deletions, Some(51));
    let permit = AllowDeletions {
        deletions: 51,
        expires_in_s: 600,
    };
    let own = agent.allow_deletions(T, DOMAIN, &permit).await;
    assert_eq!(own.unwrap_err().code(), Some(Code::Forbidden));
    assert_eq!(agent.sync_state(T, DOMAIN).await.unwrap().users, 200);
    // An administrator can, for one run.
    service
        .admin
        .allow_deletions(T, DOMAIN, &permit)
        .await
        .unwrap();
    let state = agent.sync_state(T, DOMAIN).await.unwrap();
    assert_eq!(state.deletions_allowed, 51);
    let done = agent
        .apply_identities(T, DOMAIN, &deletion(4, 0..51))
        .await
        .unwrap();
    assert_eq!(done.deleted, 51);
    let again = agent
        .apply_identities(T, DOMAIN, &deletion(5, 51..110))
        .await;
    assert_eq!(again.unwrap_err().code(), Some(Code::TooManyDeletions));
    let by_person = ApplyIdentities {
        accept_deletions: Some(59),
        ..deletion(6, 51..110)
    };
    let done = service.admin.apply_identities(T, DOMAIN, &by_person).await;
    assert_eq!(done.unwrap().deleted, 59);
    // A refusal that the directory did not judge is written beside its answer.
    let deadline = Instant::now() + Duration::from_secs(60);
    let events = loop {
        let query = EventQuery::default();
        let events = service.admin.events(T, &query).await.unwrap();
        let is_written = events.iter().any(|e| e.reason == "deletions_not_allowed");
        if is_written || Instant::now() > deadline {
            break events;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let recorded = |action: &str, text: &str| {
        events.iter().any(|e| {
            e.action == action
                && e.actor == format!("connector {DOMAIN}")
                && e.detail.contains(text)
        })
    };
    assert!(recorded("sync.refuse", "51 of the 200"), "{events:?}");
    assert!(
        recorded("sync.refuse", "declared how many identities it deletes"),
        "{events:?}"
    );
    assert!(
        recorded("sync.take_away", "51 deleted, 0 disabled"),
        "{events:?}"
    );
    let allowed = events.iter().find(|e| e.action == "sync.allow_deletions");
    assert_eq!(allowed.unwrap().actor, "bootstrap");
}

/// Every declared endpoint, so that a new one is covered too.
fn endpoints() -> BTreeSet<(&'static str, &'static str)> {
    let found: BTreeSet<_> = ENDPOINTS
        .iter()
        .filter_map(|spec| {
            let path = spec.path.strip_prefix("/api/v1")?;
            let method = match spec.method.as_str() {
                "GET" => "get",
                "POST" => "post",
                "PUT" => "put",
                "DELETE" => "delete",
                other => panic!("no test calls {other}"),
            };
            Some((method, path))
        })
        .collect();
    assert!(found.len() >= 45, "only {} endpoints found", found.len());
    found
}

/// What a connector may call for its own domain.
const OWN: &[(&str, &str)] = &[
    ("get", "/whoami"),
    ("get", "/tenants/{tenant}/domains/{domain}/identities"),
    ("post", "/tenants/{tenant}/domains/{domain}/identities"),
    (
        "post",
        "/tenants/{tenant}/domains/{domain}/identities/lookup",
    ),
    (
        "get",
        "/tenants/{tenant}/domains/{domain}/identities/{object}/members",
    ),
    ("post", "/tenants/{tenant}/domains/{domain}/sync-lease"),
    ("delete", "/tenants/{tenant}/domains/{domain}/sync-lease"),
    ("get", "/tenants/{tenant}/domains/{domain}/sync-state"),
];

/// What a connector that may rotate the trust key may call besides.
const WITH_ROTATION: &[(&str, &str)] = &[
    ("post", "/tenants/{tenant}/trusts/{domain}/rotation"),
    ("post", "/tenants/{tenant}/trusts/{domain}/rotation/confirm"),
    ("post", "/tenants/{tenant}/domains/{domain}/ad-steps"),
];

/// Endpoints without a token, with their response to an empty body.
const OPEN: &[(&str, &str)] = &[
    ("get", "/ca"),
    ("get", "/tenants/{tenant}/client-config/public"),
    ("post", "/sign-in"),
    ("post", "/sign-in/enrolment"),
    ("post", "/sign-in/enrolment/finish"),
];

/// Revokes the token that it is called with.
const END: (&str, &str) = ("post", "/sign-out");

async fn status(service: &Service, token: &SecretText, method: &str, path: &str) -> u16 {
    let method = method.to_uppercase();
    let token = token.expose();
    let request = format!(
        "{method} /api/v1{path} HTTP/1.1\r\nHost: login.cloud.example\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"
    );
    service.exchange(request.as_bytes()).await.status
}

/// Every refusal is in the audit: as an event, or in the count of those beyond the credential's rate, which follows
/// within two minutes.
async fn audited(admin: &Client, expected: usize) {
    let query = EventQuery {
        limit: Some(1000),
        ..Default::default()
    };
    let deadline = Instant::now() + Duration::from_secs(300);
    loop {
        let events = admin.events(T, &query).await.unwrap();
        let refused = events.iter().filter(|e| e.action == "api.call").count();
        let suppressed: usize = events
            .iter()
            .filter(|e| e.action == "events.suppressed")
            .map(|e| {
                e.detail
                    .split(' ')
                    .next()
                    .unwrap()
                    .parse::<usize>()
                    .unwrap()
            })
            .sum();
        if refused + suppressed == expected {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{refused} and {suppressed} of {expected} refusals are in the audit"
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test]
async fn a_connector_is_refused_everywhere_but_at_its_own_domain() {
    refused_everywhere_else(false).await;
}

#[tokio::test]
async fn a_connector_that_rotates_trust_keys_is_refused_everywhere_else() {
    refused_everywhere_else(true).await;
}

async fn refused_everywhere_else(rotate_trust: bool) {
    let (service, token) = with_connector(rotate_trust).await;
    let own = |endpoint: &(&str, &str)| {
        OWN.contains(endpoint) || rotate_trust && WITH_ROTATION.contains(endpoint)
    };
    let mut refused = 0;
    for (tenant, domain) in [
        (T, DOMAIN),
        (T, SECOND),
        ("second", DOMAIN),
        (T, "no%20name"),
    ] {
        for (method, path) in endpoints() {
            let endpoint = (method, path);
            if endpoint == END {
                continue;
            }
            let real = path
                .replace("{tenant}", tenant)
                .replace("{domain}", domain)
                .replace("{account}", "acct1")
                .replace(['{', '}'], "");
            let status = status(&service, &token, method, &real).await;
            let at_home = (tenant, domain) == (T, DOMAIN) || endpoint == ("get", "/whoami");
            if OPEN.contains(&endpoint) {
                assert!([200, 400].contains(&status), "{endpoint:?}: {status}");
            } else if own(&endpoint) && at_home {
                // The body may be refused, the caller must not.
                assert!(![401, 403].contains(&status), "{endpoint:?}: {status}");
            } else if own(&endpoint) && tenant != T {
                // To a token of one tenant, every other tenant does not exist; the attempt is audited.
                assert_eq!(status, 404, "{tenant} {endpoint:?}");
                refused += 1;
            } else {
                assert_eq!(status, 403, "{tenant} {domain} {endpoint:?}");
                refused += 1;
            }
        }
    }
    audited(&service.admin, refused).await;
    assert_eq!(status(&service, &token, END.0, END.1).await, 204);
    assert_eq!(status(&service, &token, "get", "/whoami").await, 401);
    service.still_serves().await;
}
