//! Tickets for the tenant of [`crossrealm_testkit::trusted_tenant`], requested like a client does, and their events.

use super::Service;
use crossrealm_api::{Event, EventQuery, IdentityChange};
use crossrealm_krb::kkdcp;
use crossrealm_krb::messages::{KrbError, decode};
use crossrealm_testkit::trusted_tenant;
use crossrealm_testkit::two_realms::{TENANT_REALM, TwoRealms};
use crossrealm_types::IdentityState;
use std::time::{Duration, Instant};

/// Writes alice like the sync agent.
pub(crate) async fn sync_alice(service: &Service, world: &TwoRealms, state: IdentityState) {
    let identity = crossrealm_types::SyncedIdentity {
        state,
        ..trusted_tenant::alice(world)
    };
    let changes = vec![IdentityChange::Upsert { identity }];
    trusted_tenant::apply(&service.admin, world, changes)
        .await
        .unwrap();
}

/// A tenant with its trust, and the realms that issue alice's referrals.
pub(crate) async fn world(service: &Service) -> TwoRealms {
    trusted_tenant::create(&service.admin).await.unwrap()
}

/// Posts a request and returns the Kerberos reply.
pub(crate) async fn ask(service: &Service, tenant: &str, message: &[u8]) -> Vec<u8> {
    let body = kkdcp::wrap_request(message, TENANT_REALM).unwrap();
    let answer = service.post(tenant, &body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    kkdcp::open_reply(&answer.body).unwrap()
}

pub(crate) fn honest(world: &mut TwoRealms) -> Vec<u8> {
    let ticket = world.encrypt_referral(world.referral());
    let ask = world.request_draft();
    world.request(ticket, ask)
}

pub(crate) fn refusal(reply: &[u8]) -> String {
    let error: KrbError = decode(reply).unwrap();
    error.e_text.unwrap().as_str().to_owned()
}

pub(crate) async fn event_of(service: &Service, reason: &str) -> Event {
    let deadline = Instant::now() + Duration::from_secs(60);
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
