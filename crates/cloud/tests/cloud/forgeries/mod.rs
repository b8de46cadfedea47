//! Forgeries of our own encoder through the HTTPS endpoint: each attack gets the exact error code, reason and event, and an
//! honest request is answered afterwards. `conformance` sends forgeries made by Samba's library, which share no code with
//! these.

mod attacks;
use self::attacks::{CLIENT, HARMLESS, PAC, REQUEST, TICKET, forged, of_user};

use crate::common::Service;
use crate::common::trusted::{ask, world};
use crossrealm_api::{EventQuery, IdentityChange, TenantCreate, TenantPolicy};
use crossrealm_kdc::{Event, EventId, ServiceKey, TenantId};
use crossrealm_krb::keytab::Keytab;
use crossrealm_krb::kkdcp;
use crossrealm_krb::messages::{AuthorizationDataElement, KrbError, PrincipalName, decode, flags};
use crossrealm_krb::pac::Pac;
use crossrealm_testkit::trusted_tenant::{self, DOMAIN, now};
use crossrealm_testkit::two_realms::{Ending, Granted, TwoRealms};
use crossrealm_types::{EventOutcome, IdentityKind, IdentityState, Sid, SyncedIdentity};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// RIDs of the domain. Alice is 1104.
const BOB_DISABLED: u32 = 1105;
const CAROL_DELETED: u32 = 1106;
const CROWD: u32 = 1107;
const ADMINISTRATOR: u32 = 500;
const STAFF: u32 = 1200;
/// More groups than a ticket can hold.
const GROUPS: u32 = 1011;
const FIRST_GROUP: u32 = 20_000;

fn identity(rid: u32, kind: IdentityKind, name: &str, domain: &Sid) -> SyncedIdentity {
    let is_user = kind == IdentityKind::User;
    SyncedIdentity {
        object_guid: guid(rid),
        kind,
        sid: domain.with_rid(rid).unwrap(),
        account_name: name.into(),
        upn: if is_user {
            format!("{name}@corp.contoso.com")
        } else {
            String::new()
        },
        display_name: String::new(),
        state: IdentityState::Enabled,
        disabled_reason: None,
        primary_group_rid: if is_user { 513 } else { 0 },
        members: vec![],
        more_members: false,
    }
}

fn guid(rid: u32) -> Uuid {
    format!("00000000-0000-0000-0000-{rid:012}")
        .parse()
        .unwrap()
}

async fn apply(service: &Service, world: &TwoRealms, changes: Vec<IdentityChange>) {
    for chunk in changes.chunks(500) {
        trusted_tenant::apply(&service.admin, world, chunk.to_vec())
            .await
            .unwrap();
    }
}

/// Creates the users of the attacks, and alice with her groups.
async fn people(service: &Service, world: &TwoRealms) {
    let domain = &world.trust.forest.domains[0].sid;
    let upsert = |rid, kind, name: &str| IdentityChange::Upsert {
        identity: identity(rid, kind, name, domain),
    };
    let join = |group, member| IdentityChange::Members {
        object_guid: guid(group),
        add: vec![guid(member)],
        remove: vec![],
        elsewhere: None,
    };
    let (user, group) = (IdentityKind::User, IdentityKind::Group);
    let mut bob = identity(BOB_DISABLED, user, "bob", domain);
    bob.state = IdentityState::Disabled;
    let mut changes = vec![
        upsert(1104, user, "alice"),
        IdentityChange::Upsert { identity: bob },
        upsert(CAROL_DELETED, user, "carol"),
        IdentityChange::Delete {
            object_guid: guid(CAROL_DELETED),
        },
        upsert(CROWD, user, "crowd"),
        upsert(STAFF, group, "staff"),
        upsert(1201, group, "allstaff"),
        upsert(1299, group, "others"),
        join(STAFF, 1104),
        join(1201, STAFF),
    ];
    for rid in FIRST_GROUP..FIRST_GROUP + GROUPS {
        changes.push(upsert(rid, group, &format!("g{rid}")));
        changes.push(join(rid, CROWD));
    }
    apply(service, world, changes).await;
}

/// Decrypts a reply like the client and the service.
fn opened(world: &TwoRealms, reply: Vec<u8>, fast: bool) -> Result<Granted, Box<KrbError>> {
    let event = Event {
        id: EventId([0; 16]),
        tenant: TenantId([0; 16]),
        at: 0,
        outcome: crossrealm_kdc::TicketOutcome::Issued,
        client: None,
        client_clock: None,
        client_sid: None,
        service: None,
        issuer: None,
        trust_key_version: None,
        ticket_etype: None,
        kvno: None,
        ends_at: None,
        detail: String::new(),
    };
    world
        .decrypt_reply(Ending::Reply(reply, event), fast)
        .map_err(|refused| Box::new(refused.0))
}

/// A ticket for alice holds her SIDs and groups from the directory, no others, within every bound.
fn is_alices(name: &str, world: &TwoRealms, reply: Vec<u8>) {
    let granted = opened(world, reply, false).unwrap_or_else(|error| panic!("{name}: {error:?}"));
    let elements = granted.enc_part.authorization_data.as_ref().unwrap();
    assert_eq!(elements.len(), 1, "{name}");
    let inner: Vec<AuthorizationDataElement> = decode(&elements[0].data).unwrap();
    assert_eq!(inner.len(), 1, "{name}");
    let pac = Pac::decode(&inner[0].data).unwrap();
    let mut rids: Vec<String> = pac
        .logon_info()
        .unwrap()
        .token_sids()
        .iter()
        .map(ToString::to_string)
        .collect();
    rids.dedup();
    let domain = &world.trust.forest.domains[0].sid;
    let wanted = ["1104", "513", "1200", "1201"].map(|rid| format!("{domain}-{rid}"));
    assert_eq!(rids, wanted, "{name}");
    let never = flags::OK_AS_DELEGATE
        | flags::POSTDATED
        | flags::MAY_POSTDATE
        | flags::PROXY
        | flags::FORWARDED;
    assert_eq!(granted.enc_part.flags.0 & never, 0, "{name}");
    assert!(
        granted.enc_part.endtime.0 <= now().unix_s + 36_000,
        "{name}"
    );
    assert_eq!(
        granted.enc_part.cname.components[0].as_str(),
        "alice",
        "{name}"
    );
}

/// The reason and the event id in the text of a refusal: `… [reason, event id]`.
fn reason_and_id(error: &KrbError) -> (String, String) {
    let text = error.e_text.as_ref().unwrap().as_str();
    let (_, inside) = text.trim_end_matches(']').rsplit_once('[').unwrap();
    let (reason, id) = inside.split_once(", event ").unwrap();
    (reason.into(), id.into())
}

/// The tenant with all users; `world` can decrypt tickets for its storage account.
async fn prepared(service: &Service) -> TwoRealms {
    let mut world = world(service).await;
    people(service, &world).await;
    let keytab = service
        .admin
        .storage_account_keytab("contoso", "acct1")
        .await
        .unwrap();
    let entry = Keytab::from_bytes(keytab.keytab.expose()).unwrap().entries[0].clone();
    world.service.keys = vec![ServiceKey {
        kvno: entry.kvno,
        key: entry.key,
    }];
    world
}

#[tokio::test]
async fn every_forgery_is_refused_for_its_own_reason_and_honest_requests_are_served_afterwards() {
    let service = Service::start().await;
    let mut world = prepared(&service).await;
    let (mut expected, mut wrong) = (Vec::new(), Vec::new());
    for (name, code, reason, make) in [PAC, CLIENT, TICKET, REQUEST].concat() {
        let message = make(&mut world);
        let reply = ask(&service, "contoso.cloud.example", &message).await;
        let error: KrbError =
            decode(&reply).unwrap_or_else(|_| panic!("{name}: a ticket was issued"));
        let (said, id) = reason_and_id(&error);
        if (error.error_code, said.as_str()) != (code, reason) {
            wrong.push(format!("{name}: {} {said}", error.error_code));
        }
        expected.push((name, reason, id));
        let honest = forged(&mut world, |_, _| {});
        let reply = ask(&service, "contoso.cloud.example", &honest).await;
        is_alices(&format!("after {name}"), &world, reply);
    }
    assert_eq!(wrong, [""; 0]);
    for (name, make) in HARMLESS {
        let message = make(&mut world);
        let reply = ask(&service, "contoso.cloud.example", &message).await;
        is_alices(name, &world, reply);
    }
    has_events(&service, expected).await;
}

/// Waits for the event of each refusal, with the same code and reason.
async fn has_events(service: &Service, expected: Vec<(&str, &str, String)>) {
    let query = EventQuery {
        limit: Some(1000),
        ..EventQuery::default()
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let events = service.admin.events("contoso", &query).await.unwrap();
        let missing: Vec<_> = expected
            .iter()
            .filter(|(_, reason, id)| {
                !events.iter().any(|event| {
                    let same = event.id.as_ref() == Some(id) && event.reason == *reason;
                    same && event.outcome == EventOutcome::Refused && event.action == "ticket.issue"
                })
            })
            .collect();
        if missing.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "no event: {missing:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_referral_for_one_tenant_is_refused_by_another_with_the_same_ad() {
    let service = Service::start().await;
    let mut world = prepared(&service).await;
    let second = TenantCreate {
        name: "second".into(),
        ..TenantCreate::default()
    };
    service.admin.create_tenant(&second).await.unwrap();
    let prepare = trusted_tenant::prepare_trust(&world);
    service
        .admin
        .prepare_trust("second", DOMAIN, &prepare)
        .await
        .unwrap();
    let realm = "KERBEROS.SECOND.CLOUD.EXAMPLE";
    let send = async |message: &[u8]| {
        let body = kkdcp::wrap_request(message, realm).unwrap();
        let answer = service.post("second.cloud.example", &body).await;
        assert_eq!(answer.status, 200);
        let error: KrbError = decode(&kkdcp::open_reply(&answer.body).unwrap()).unwrap();
        (error.error_code, reason_and_id(&error).0)
    };
    // Unchanged, and then with the realm replaced by the other tenant's: the key stays wrong.
    let message = forged(&mut world, |_, a| a.body.realm = realm.into());
    assert_eq!(send(&message).await, (35, "ticket-not-for-us".into()));
    let message = forged(&mut world, |r, a| {
        a.body.realm = realm.into();
        r.sname = PrincipalName::krbtgt(realm);
    });
    assert_eq!(send(&message).await, (31, "ticket-integrity".into()));
    let honest = forged(&mut world, |_, _| {});
    let reply = ask(&service, "contoso.cloud.example", &honest).await;
    is_alices("afterwards", &world, reply);
}

#[tokio::test]
async fn built_in_accounts_get_tickets_only_if_the_tenant_allows_it() {
    let service = Service::start().await;
    let mut world = prepared(&service).await;
    let shown = service.admin.tenant("contoso").await.unwrap();
    assert!(!shown.allow_low_rids);
    let sid = world.trust.forest.domains[0].sid.clone();
    let upsert = IdentityChange::Upsert {
        identity: identity(ADMINISTRATOR, IdentityKind::User, "Administrator", &sid),
    };
    // Without the opt-in, neither the directory nor the KDC accepts the user.
    let domain = trusted_tenant::sync_domain(&world);
    let changes = trusted_tenant::sync_run(domain, vec![upsert.clone()]);
    let result = service
        .admin
        .apply_identities("contoso", DOMAIN, &changes)
        .await
        .unwrap();
    assert_eq!(result.refused.len(), 1);
    let message = of_user(&mut world, ADMINISTRATOR, "Administrator");
    let reply = ask(&service, "contoso.cloud.example", &message).await;
    let error: KrbError = decode(&reply).unwrap();
    assert_eq!(
        (error.error_code, reason_and_id(&error).0.as_str()),
        (12, "sid-reserved")
    );

    let policy = |allowed| TenantPolicy {
        allow_low_rids: Some(allowed),
    };
    let tenant = service
        .admin
        .set_tenant_policy("contoso", &policy(true))
        .await
        .unwrap();
    assert!(tenant.allow_low_rids);
    apply(&service, &world, vec![upsert]).await;
    let granted = granted_within(&service, &mut world, Duration::from_secs(60)).await;
    assert_eq!(
        granted.enc_part.cname.components[0].as_str(),
        "Administrator"
    );

    // After the opt-in is withdrawn, the user is refused again.
    service
        .admin
        .set_tenant_policy("contoso", &policy(false))
        .await
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let message = of_user(&mut world, ADMINISTRATOR, "Administrator");
        let reply = ask(&service, "contoso.cloud.example", &message).await;
        if let Ok(error) = decode::<KrbError>(&reply) {
            assert_eq!(reason_and_id(&error).0, "sid-reserved");
            break;
        }
        assert!(Instant::now() < deadline, "still granted");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let wanted = TenantCreate {
        name: "lenient".into(),
        allow_low_rids: true,
        ..TenantCreate::default()
    };
    assert!(
        service
            .admin
            .create_tenant(&wanted)
            .await
            .unwrap()
            .allow_low_rids
    );
}

async fn granted_within(service: &Service, world: &mut TwoRealms, patience: Duration) -> Granted {
    let deadline = Instant::now() + patience;
    loop {
        let message = of_user(world, ADMINISTRATOR, "Administrator");
        let reply = ask(service, "contoso.cloud.example", &message).await;
        match opened(world, reply, false) {
            Ok(granted) => return granted,
            Err(error) => assert!(Instant::now() < deadline, "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
