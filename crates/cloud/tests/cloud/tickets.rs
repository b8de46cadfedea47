//! A ticket through the HTTPS endpoint: from a referral as AD issues it and a directory filled through the API to a service
//! ticket that the exported keytab decrypts; and refusals with their events.

use crate::common::Service;
use crate::common::trusted::{ask, event_of, honest, refusal, sync_alice, world};
use crossrealm_api::{EventQuery, UserCreate};
use crossrealm_krb::crypto::{Enctype, Key};
use crossrealm_krb::key_usage;
use crossrealm_krb::keytab::Keytab;
use crossrealm_krb::kkdcp;
use crossrealm_krb::messages::{EncTicketPart, TgsRep, decode};
use crossrealm_krb::principal::Principal;
use crossrealm_testkit::trusted_tenant::DOMAIN;
use crossrealm_testkit::two_realms::{AD_REALM, SHARE_HOST, TENANT_REALM};
use crossrealm_types::IdentityState;
use std::time::{Duration, Instant};

#[tokio::test]
async fn alice_gets_a_ticket_that_the_keytab_decrypts() {
    let service = Service::start().await;
    let mut world = world(&service).await;
    world.identities[0].upn = "alice.mueller@contoso.com".into();
    sync_alice(&service, &world, IdentityState::Enabled).await;
    let message = honest(&mut world);
    let reply = ask(&service, "contoso.cloud.example", &message).await;
    let TgsRep(reply) = decode(&reply).unwrap_or_else(|_| panic!("{}", refusal(&reply)));

    let keytab = service
        .admin
        .storage_account_keytab("contoso", "acct1")
        .await
        .unwrap();
    let keytab = Keytab::from_bytes(keytab.keytab.expose()).unwrap();
    let name = format!("cifs/{SHARE_HOST}");
    let principal = Principal::parse(&name, Some(TENANT_REALM)).unwrap();
    let kvno = reply.ticket.enc_part.kvno().unwrap();
    let entries = keytab.keys_of(&principal);
    let entry = entries.iter().find(|e| e.kvno == kvno).unwrap();
    let plain = reply
        .ticket
        .enc_part
        .decrypt(&entry.key, key_usage::TICKET)
        .unwrap();
    let inside: EncTicketPart = decode(&plain).unwrap();
    assert_eq!((kvno, inside.crealm.as_str()), (1, AD_REALM));

    let event = event_of(&service, "").await;
    assert_eq!(event.actor, format!("alice@{AD_REALM}"));
    assert_eq!(event.target, name);
    let upn = &world.identities[0].upn;
    assert_eq!(&event.user, upn);
    for user in [upn.as_str(), "alice", &world.identities[0].sid.to_string()] {
        let query = EventQuery {
            user: Some(user.into()),
            ..EventQuery::default()
        };
        let events = service.admin.events("contoso", &query).await.unwrap();
        assert!(events.contains(&event), "{user}: {events:?}");
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    while service.admin.trust("contoso", DOMAIN).await.unwrap().keys[0]
        .last_seen_at
        .is_none()
    {
        assert!(Instant::now() < deadline, "the trust key was not seen");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn refused_users_get_a_reason_and_leave_an_event() {
    let service = Service::start().await;
    let mut world = world(&service).await;
    let stranger = honest(&mut world);
    let reply = ask(&service, "contoso.cloud.example", &stranger).await;
    assert!(refusal(&reply).contains("identity-not-synced"));

    // AD vouches for no SID of a cloud-only user.
    let carol = UserCreate {
        upn: "alice@contoso.cloud.example".into(),
        display_name: String::new(),
    };
    service.admin.create_user("contoso", &carol).await.unwrap();
    let again = honest(&mut world);
    let reply = ask(&service, "contoso.cloud.example", &again).await;
    assert!(refusal(&reply).contains("identity-not-synced"));

    sync_alice(&service, &world, IdentityState::Disabled).await;
    let disabled = honest(&mut world);
    let reply = ask(&service, "contoso.cloud.example", &disabled).await;
    let text = refusal(&reply);
    assert!(text.contains("identity-disabled"), "{text}");
    let event = event_of(&service, "identity-disabled").await;
    assert!(text.contains(&event.id.unwrap()), "{text}");
    assert!(event.hint.is_some() && event.reason_text.is_some());

    sync_alice(&service, &world, IdentityState::Enabled).await;
    let mut forged = world.referral();
    forged.ticket_key = Key::new(Enctype::Aes256Sha1, &[9; 32]).unwrap();
    let ticket = world.encrypt_referral(forged);
    let wanted = world.request_draft();
    let message = world.request(ticket, wanted);
    let reply = ask(&service, "contoso.cloud.example", &message).await;
    assert!(refusal(&reply).contains("ticket-integrity"));

    let mut unknown = world.request_draft();
    unknown.body.sname.as_mut().unwrap().components[1] = "acct9.file.contoso.cloud.example".into();
    let ticket = world.encrypt_referral(world.referral());
    let message = world.request(ticket, unknown);
    let reply = ask(&service, "contoso.cloud.example", &message).await;
    assert!(refusal(&reply).contains("service-unknown"));

    let good = honest(&mut world);
    let reply = ask(&service, "contoso.cloud.example", &good).await;
    assert!(decode::<TgsRep>(&reply).is_ok());
}

#[tokio::test]
async fn a_referral_for_one_tenant_is_refused_by_another() {
    let service = Service::start().await;
    let mut world = world(&service).await;
    sync_alice(&service, &world, IdentityState::Enabled).await;
    let second = crossrealm_api::TenantCreate {
        name: "second".into(),
        ..Default::default()
    };
    service.admin.create_tenant(&second).await.unwrap();
    let message = honest(&mut world);
    // The envelope names no realm, so that the exchange itself must notice.
    let mut body = kkdcp::wrap_reply(&message).unwrap();
    let answer = service.post("second.cloud.example", &body).await;
    assert_eq!(answer.status, 200);
    let reply = kkdcp::open_reply(&answer.body).unwrap();
    assert!(
        refusal(&reply).contains("wrong-realm"),
        "{}",
        refusal(&reply)
    );
    body = kkdcp::wrap_request(&message, TENANT_REALM).unwrap();
    assert_eq!(
        service.post("second.cloud.example", &body).await.status,
        404
    );
    let reply = ask(&service, "contoso.cloud.example", &message).await;
    assert!(decode::<TgsRep>(&reply).is_ok());
}
