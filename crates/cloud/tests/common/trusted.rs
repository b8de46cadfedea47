//! A tenant with a trust, a storage account and alice, made through the API; and the world that makes her referrals.

use super::Service;
use crossrealm_api::{
    ApplyIdentities, Event, EventQuery, IdentityChange, IdentityKind, IdentityState, PrepareTrust,
    StorageAccountCreate, SyncDomain, SyncedIdentity,
};
use crossrealm_kdc::Now;
use crossrealm_kdc::two_realms::{AD_REALM, TENANT_REALM, TwoRealms};
use crossrealm_krb::crypto::{Enctype, Key};
use crossrealm_krb::kkdcp;
use crossrealm_krb::messages::{KrbError, decode};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The AD domain.
pub const DOMAIN: &str = "corp.contoso.com";

/// The test world of the exchange with the trust key that this service generated, and today's time.
pub async fn world(service: &Service) -> TwoRealms {
    let mut world = TwoRealms::new();
    world.now = now();
    service.contoso().await;
    let domain = world.trust.domains[0].clone();
    let prepare = PrepareTrust {
        realm: AD_REALM.into(),
        flat_name: "CORP".into(),
        sid: domain.sid.to_string(),
        top_level_names: vec![],
        rotate: false,
    };
    let prepared = service
        .admin
        .prepare_trust("contoso", DOMAIN, &prepare)
        .await
        .unwrap();
    let salt = format!("{AD_REALM}krbtgt{TENANT_REALM}");
    let password = prepared.secret.expose();
    world.trust_key = Key::from_password(Enctype::Aes256Sha1, password, &salt, None).unwrap();
    let account = StorageAccountCreate {
        name: "acct1".into(),
        aliases: vec![],
    };
    service
        .admin
        .create_storage_account("contoso", &account)
        .await
        .unwrap();
    world
}

/// Writes alice as the sync agent would.
pub async fn sync_alice(service: &Service, world: &TwoRealms, state: IdentityState) {
    let alice = &world.identities[0];
    let domain = &world.trust.domains[0];
    let identity = SyncedIdentity {
        object_guid: "11111111-1111-1111-1111-111111111111".into(),
        kind: IdentityKind::User,
        sid: alice.sid.to_string(),
        account_name: "alice".into(),
        upn: alice.upn.clone(),
        display_name: alice.display_name.clone(),
        state,
        disabled_reason: None,
        primary_group_rid: 513,
        members: vec![],
        more_members: false,
    };
    let changes = ApplyIdentities {
        run_id: "99999999-9999-9999-9999-999999999999".into(),
        domain: SyncDomain {
            dns_name: DOMAIN.into(),
            flat_name: "CORP".into(),
            sid: domain.sid.to_string(),
        },
        changes: vec![IdentityChange::Upsert { identity }],
        last: true,
        ..ApplyIdentities::default()
    };
    let result = service
        .admin
        .apply_identities("contoso", DOMAIN, &changes)
        .await
        .unwrap();
    assert_eq!(result.refused, [], "{result:?}");
}

/// Posts a request and returns the Kerberos reply.
pub async fn ask(service: &Service, tenant: &str, message: &[u8]) -> Vec<u8> {
    let body = kkdcp::wrap_request(message, TENANT_REALM).unwrap();
    let answer = service.post(tenant, &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    kkdcp::open_reply(&answer.body).unwrap()
}

pub fn honest(world: &mut TwoRealms) -> Vec<u8> {
    let ticket = world.seal(world.referral());
    let ask = world.ask();
    world.request(ticket, ask)
}

pub fn refusal(reply: &[u8]) -> String {
    let error: KrbError = decode(reply).unwrap();
    error.e_text.unwrap().as_str().to_owned()
}

pub async fn event_of(service: &Service, reason: &str) -> Event {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let events = service
            .admin
            .events("contoso", &EventQuery::default())
            .await
            .unwrap();
        let mut tickets = events.iter().filter(|e| e.action == "ticket.issue");
        if let Some(event) = tickets.find(|e| e.reason == reason) {
            return event.clone();
        }
        assert!(Instant::now() < deadline, "no event: {events:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The clock.
pub fn now() -> Now {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Now {
        unix_s: since.as_secs().try_into().unwrap(),
        micros: 0,
    }
}
