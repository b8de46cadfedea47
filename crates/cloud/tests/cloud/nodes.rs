//! Two nodes on one PostgreSQL database: a change at one node is in force at the other, no limit is evaded by switching nodes,
//! and no ticket is lost or issued from stale data during an outage of the database.

use crate::common::Service;
use crate::common::trusted::{ask, honest, refusal, sync_alice, world};
use crate::scratch_postgres::Server;
use crossrealm_api::{
    AdministratorCreate, Client, EnrolmentBegin, EnrolmentFinish, EventQuery, HostTokenCreate,
    SecretText, SignIn, SyncLeaseRequest,
};
use crossrealm_krb::kkdcp;
use crossrealm_krb::messages::{KrbError, TgsRep, decode};
use crossrealm_testkit::authenticator::Authenticator;
use crossrealm_testkit::trusted_tenant::DOMAIN;
use crossrealm_testkit::two_realms::{TENANT_REALM, TwoRealms};
use crossrealm_types::{AdministratorRole, IdentityState, StorageAccountCreate};
use std::time::{Duration, Instant};

/// A node issues tickets from its cache for a second after it last read the database. A request that is sent later than this
/// after the database stopped gets no ticket, even on a busy machine.
const MEMORY_ENDS: Duration = Duration::from_secs(4);
/// A time limit for a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// The duration of an outage: longer than several retries of writing an event.
const OUTAGE: Duration = Duration::from_secs(5);
const UPN: &str = "ada@contoso.com";
const PASSWORD: &str = "correct horse battery";

/// Two nodes of one installation, and their database.
async fn two_nodes() -> Option<(Server, Service, Service)> {
    let database = Server::start()?;
    database.tell(
        "postgres",
        &[
            "CREATE ROLE crossrealm LOGIN",
            "CREATE DATABASE crossrealm OWNER crossrealm",
        ],
    );
    let one = Service::start_on(&database.url("crossrealm", "crossrealm")).await;
    let two = one.another_node().await;
    Some((database, one, two))
}

#[tokio::test]
async fn a_change_on_one_node_reaches_the_other_within_a_second() {
    let Some((_database, one, two)) = two_nodes().await else {
        return;
    };
    let mut world = world(&one).await;
    sync_alice(&one, &world, IdentityState::Enabled).await;
    until_it_says(&two, &mut world, "issued").await;

    sync_alice(&one, &world, IdentityState::Disabled).await;
    until_it_says(&two, &mut world, "identity-disabled").await;
    sync_alice(&two, &world, IdentityState::Enabled).await;
    until_it_says(&one, &mut world, "issued").await;

    // A service name that both nodes have cached as unknown.
    let acct2 = StorageAccountCreate {
        name: "acct2".into(),
        aliases: vec![],
    };
    for node in [&one, &two] {
        let answer = answer_for(node, &mut world, "acct2.file.contoso.cloud.example").await;
        assert!(answer.contains("service-unknown"), "{answer}");
    }
    one.admin
        .create_storage_account("contoso", &acct2)
        .await
        .unwrap();
    let began = Instant::now();
    while answer_for(&two, &mut world, "acct2.file.contoso.cloud.example").await != "issued" {
        assert!(began.elapsed() < PATIENCE, "the account is not seen");
    }

    // After the trust is deleted, nothing that was encrypted with its key is accepted.
    one.admin
        .begin_trust_removal("contoso", DOMAIN)
        .await
        .unwrap();
    one.admin.delete_trust("contoso", DOMAIN).await.unwrap();
    until_it_says(&two, &mut world, "trust").await;
    one.end().await;
    two.end().await;
}

#[tokio::test]
async fn tokens_codes_and_leases_count_once_for_all_nodes() {
    let Some((_database, one, two)) = two_nodes().await else {
        return;
    };
    let world = world(&one).await;
    sync_alice(&one, &world, IdentityState::Enabled).await;

    // The other node refuses a revoked token at once.
    let new = HostTokenCreate {
        name: "host1".into(),
    };
    let made = one
        .admin
        .create_host_token("contoso", "acct1", &new)
        .await
        .unwrap();
    let host = two.client(&made.token);
    host.whoami().await.unwrap();
    let id = made.host_token.id;
    one.admin
        .revoke_host_token("contoso", "acct1", &id.to_string())
        .await
        .unwrap();
    host.whoami().await.unwrap_err();

    // A one-time code is accepted once, by any node; of two concurrent requests, by one.
    let app = enrolled(&one).await;
    let sign_in = SignIn {
        tenant: None,
        upn: UPN.into(),
        password: SecretText::new(PASSWORD),
        code: SecretText::new(app.code(0)),
    };
    let (at_one, at_two) = (one.client_without_token(), two.client_without_token());
    let (first, second) = tokio::join!(at_one.sign_in(&sign_in), at_two.sign_in(&sign_in));
    assert_ne!(
        first.is_ok(),
        second.is_ok(),
        "a code was good twice, or never"
    );
    at_one.sign_in(&sign_in).await.unwrap_err();
    at_two.sign_in(&sign_in).await.unwrap_err();
    // A session is valid at both nodes, and can be ended at either.
    let session = first.or(second).unwrap();
    let at_both: Vec<Client> = [&one, &two].map(|node| node.client(&session.token)).into();
    for client in &at_both {
        client.whoami().await.unwrap();
    }
    at_both[0].sign_out().await.unwrap();
    at_both[1].whoami().await.unwrap_err();

    // One agent holds the lease, even if two request it at two nodes at once.
    let lease = |holder: &str| SyncLeaseRequest {
        holder: holder.into(),
        seconds: 60,
    };
    let (here, there) = (lease("agent-1"), lease("agent-2"));
    let (here, there) = tokio::join!(
        one.admin.take_sync_lease("contoso", DOMAIN, &here),
        two.admin.take_sync_lease("contoso", DOMAIN, &there)
    );
    let (here, there) = (here.unwrap(), there.unwrap());
    assert_ne!(here.granted, there.granted);
    assert_eq!(here.holder, there.holder);
    one.end().await;
    two.end().await;
}

#[tokio::test]
async fn no_event_is_lost_when_the_database_restarts_under_load() {
    let Some((database, one, two)) = two_nodes().await else {
        return;
    };
    let mut world = world(&one).await;
    sync_alice(&one, &world, IdentityState::Enabled).await;
    let (mut issued, mut refused) = (0, 0);
    let (mut died, mut restarted, mut back) = (None::<Instant>, false, false);
    // Of the part of the test that is being played.
    let mut began = Instant::now();
    while !back {
        for node in [&one, &two] {
            let asked = Instant::now();
            let said = answer(node, &mut world).await;
            assert!(asked.elapsed() < PATIENCE, "{said}");
            match said.as_str() {
                "issued" => issued += 1,
                // KDC_ERR_SVC_UNAVAILABLE (29), after which clients retry, or HTTP status 503.
                "29" | "503" => refused += 1,
                other => panic!("{other}"),
            }
            back = restarted && said == "issued";
        }
        match died {
            None if issued >= 20 => {
                database.stop("immediate");
                began = Instant::now();
                died = Some(began);
            }
            Some(died) if !restarted && refused >= 2 && died.elapsed() > OUTAGE => {
                database.start_again();
                began = Instant::now();
                restarted = true;
            }
            _ => assert!(
                began.elapsed() < PATIENCE,
                "{issued} issued, {refused} refused"
            ),
        }
    }
    // Every ticket that was issued has its event, also those from the time when none could be written.
    let all = || async {
        let query = EventQuery {
            limit: Some(1000),
            ..EventQuery::default()
        };
        let events = one.admin.events("contoso", &query).await.unwrap();
        let tickets = events.iter().filter(|e| e.action == "ticket.issue");
        tickets.filter(|e| e.reason.is_empty()).count()
    };
    let began = Instant::now();
    while all().await < issued {
        assert!(
            began.elapsed() < PATIENCE,
            "{issued} issued, {} recorded",
            all().await
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(all().await, issued);
    one.end().await;
    two.end().await;
}

#[tokio::test]
async fn tickets_fail_fast_while_the_database_hangs_and_resume_afterwards() {
    let Some((database, one, two)) = two_nodes().await else {
        return;
    };
    let mut world = world(&one).await;
    sync_alice(&one, &world, IdentityState::Enabled).await;
    until_it_says(&two, &mut world, "issued").await;
    database.signal_all("STOP");
    let began = Instant::now();
    let mut refused = 0;
    // Longer than a request waits for a connection of the pool, with more requests than connections.
    while began.elapsed() < Duration::from_secs(14) || refused < 12 {
        let asked = Instant::now();
        let said = answer(&two, &mut world).await;
        // The database still hangs, and this response did not wait for it.
        assert!(asked.elapsed() < PATIENCE, "{said}");
        match said.as_str() {
            "issued" => assert!(asked - began < MEMORY_ENDS, "issued from memory alone"),
            "29" | "503" => refused += 1,
            other => panic!("{other}"),
        }
    }
    database.signal_all("CONT");
    let began = Instant::now();
    for node in [&one, &two] {
        while answer(node, &mut world).await != "issued" {
            assert!(began.elapsed() < PATIENCE, "it is not used again");
        }
    }
    one.end().await;
    two.end().await;
}

/// Requests tickets until this is the answer.
async fn until_it_says(node: &Service, world: &mut TwoRealms, wanted: &str) {
    let began = Instant::now();
    loop {
        let said = answer(node, world).await;
        if said.contains(wanted) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "not `{wanted}` but `{said}`");
    }
}

/// A node's answer to alice: `issued`, the code of a refusal that is due to the directory, the text of any other refusal, or
/// an HTTP status.
async fn answer(node: &Service, world: &mut TwoRealms) -> String {
    let body = kkdcp::wrap_request(&honest(world), TENANT_REALM).unwrap();
    let answer = node.post("contoso.cloud.example", &body).await;
    if answer.status != 200 {
        return answer.status.to_string();
    }
    let reply = kkdcp::open_reply(&answer.body).unwrap();
    if decode::<TgsRep>(&reply).is_ok() {
        return "issued".into();
    }
    let error: KrbError = decode(&reply).unwrap();
    match error.error_code {
        29 => "29".into(),
        _ => refusal(&reply),
    }
}

/// The same for the service of this host.
async fn answer_for(node: &Service, world: &mut TwoRealms, host: &str) -> String {
    let mut wanted = world.request_draft();
    wanted.body.sname.as_mut().unwrap().components[1] = host.into();
    let ticket = world.encrypt_referral(world.referral());
    let message = world.request(ticket, wanted);
    let reply = ask(node, "contoso.cloud.example", &message).await;
    match decode::<TgsRep>(&reply) {
        Ok(_) => "issued".into(),
        Err(_) => refusal(&reply),
    }
}

/// Enrols an administrator, with the one-time code of the time step before.
async fn enrolled(node: &Service) -> Authenticator {
    let wanted = AdministratorCreate {
        upn: UPN.into(),
        role: AdministratorRole::GlobalAdministrator,
        tenant: None,
    };
    let made = node.admin.create_administrator(&wanted).await.unwrap();
    let anybody = node.client_without_token();
    let begin = EnrolmentBegin {
        tenant: None,
        upn: UPN.into(),
        enrolment_code: made.enrolment_code.clone(),
    };
    let begun = anybody.begin_enrolment(&begin).await.unwrap();
    let app = Authenticator::new(begun.otpauth_uri.expose());
    let finish = EnrolmentFinish {
        tenant: None,
        upn: UPN.into(),
        enrolment_code: made.enrolment_code,
        password: SecretText::new(PASSWORD),
        code: SecretText::new(app.code(-1)),
    };
    anybody.finish_enrolment(&finish).await.unwrap();
    app
}
