//! Rotation of a trust password by age, interrupted removals, and the audit of changes in AD.

use crate::support::{CORP, World, assert_fails, by, code, corp, corp_trust};
use crossrealm_directory::{
    Directory, DirectoryError, EventFilter, MIN_ROTATION_S, NewKerberosServer, RecordKind,
    TrustRotation,
};
use crossrealm_kdc::TenantId;
use crossrealm_types::{
    AdStep, AdStepPhase, EventOutcome, MAX_AD_STEP, RotateTrust, TrustKeyState,
};

const DAY_S: i64 = 24 * 3600;

fn every(days: i64, holder: &str) -> RotateTrust {
    RotateTrust {
        every_s: days * DAY_S,
        holder: holder.to_owned(),
    }
}

async fn rotate(d: &Directory, tenant: TenantId, wanted: &RotateTrust) -> TrustRotation {
    d.rotate_trust(&by(), tenant, CORP, wanted).await.unwrap()
}

/// Creates the trust and lets `days` pass.
async fn trust_of_age(world: &World, tenant: TenantId, days: i64) {
    let d = &world.directory;
    let made = d.prepare_trust(&by(), tenant, CORP, &corp_trust()).await;
    let version = made.unwrap().version;
    d.confirm_trust(&by(), tenant, CORP, version, &[])
        .await
        .unwrap();
    pass(world, days).await;
}

async fn pass(world: &World, days: i64) {
    sqlx::query("UPDATE trust_secrets SET confirmed_at = confirmed_at - $1")
        .bind(days * DAY_S)
        .execute(&mut world.raw().await)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_key_is_rotated_only_at_its_age() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    let wanted = every(30, "agent-1");
    assert_fails!(
        d.rotate_trust(&by(), tenant, CORP, &wanted).await,
        DirectoryError::NotFound {
            kind: RecordKind::Trust,
            ..
        }
    );
    d.prepare_trust(&by(), tenant, CORP, &corp_trust())
        .await
        .unwrap();
    let half_made = d.rotate_trust(&by(), tenant, CORP, &wanted).await;
    assert_eq!(code(half_made), "trust_not_active");

    trust_of_age(&world, tenant, 29).await;
    let early = rotate(d, tenant, &wanted).await;
    assert!(early.prepared.is_none() && early.held_by.is_none());
    assert_eq!(early.domain_flat_name, corp().flat_name);
    pass(&world, 1).await;
    let due = rotate(d, tenant, &wanted).await.prepared.unwrap();
    assert_eq!((due.version, due.state), (2, TrustKeyState::Pending));
    assert_eq!(due.held.len(), 1);
    // Interrupted here: the same version is returned, and no third one.
    let again = rotate(d, tenant, &wanted).await.prepared.unwrap();
    assert_eq!((again.version, &*again.secret), (2, &*due.secret));
    d.confirm_trust(&by(), tenant, CORP, 2, &[]).await.unwrap();
    assert!(rotate(d, tenant, &wanted).await.prepared.is_none());
    let info = d.trust(tenant, CORP).await.unwrap();
    assert_eq!(info.keys.len(), 2);
    let events = "SELECT COUNT(*) FROM events WHERE action = 'trust.rotate'";
    assert_eq!(world.count(events).await, 2);
}

#[tokio::test]
async fn one_agent_rotates_and_another_takes_over_after_its_claim_expires() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    trust_of_age(&world, tenant, 40).await;
    let first = rotate(d, tenant, &every(30, "one")).await.prepared.unwrap();
    let other = rotate(d, tenant, &every(30, "two")).await;
    assert!(other.prepared.is_none());
    assert_eq!(other.held_by.unwrap().0, "one");
    assert!(
        rotate(d, tenant, &every(30, "one"))
            .await
            .prepared
            .is_some()
    );
    sqlx::query("UPDATE trusts SET rotation_until = 1")
        .execute(&mut world.raw().await)
        .await
        .unwrap();
    let second = rotate(d, tenant, &every(30, "two")).await.prepared.unwrap();
    assert_eq!(second.version, first.version);
    // Both may confirm: it is the same rotation.
    for _ in 0..2 {
        d.confirm_trust(&by(), tenant, CORP, 2, &[]).await.unwrap();
    }
    for name in ["one", "two"] {
        assert!(rotate(d, tenant, &every(30, name)).await.prepared.is_none());
    }
}

#[tokio::test]
async fn invalid_intervals_are_refused() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    trust_of_age(&world, tenant, 40).await;
    for every_s in [i64::MIN, 0, MIN_ROTATION_S - 1, 3651 * DAY_S, i64::MAX] {
        let wanted = RotateTrust {
            every_s,
            holder: "one".to_owned(),
        };
        let refused = d.rotate_trust(&by(), tenant, CORP, &wanted).await;
        assert_fails!(refused, DirectoryError::Invalid { .. });
    }
    let long = "x".repeat(129);
    for holder in ["", "a\nb", &long] {
        let refused = d.rotate_trust(&by(), tenant, CORP, &every(1, holder)).await;
        assert_fails!(refused, DirectoryError::Invalid { .. });
    }
}

#[tokio::test]
async fn a_begun_removal_is_recorded_until_it_ends_or_is_cancelled() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    assert!(d.begin_trust_removal(&by(), tenant, CORP).await.is_err());
    trust_of_age(&world, tenant, 40).await;
    let removal = async || d.trust(tenant, CORP).await.unwrap().removal_begun_at;
    assert_eq!(removal().await, None);
    d.begin_trust_removal(&by(), tenant, CORP).await.unwrap();
    assert!(removal().await.is_some());
    let refused = d.rotate_trust(&by(), tenant, CORP, &every(1, "one")).await;
    assert_eq!(code(refused), "trust_not_active");
    d.prepare_trust(&by(), tenant, CORP, &corp_trust())
        .await
        .unwrap();
    assert_eq!(removal().await, None);

    let seen = NewKerberosServer {
        domain: corp(),
        number: 56754,
        display_name: "krbtgt_56754".to_owned(),
        key_version: 1,
        key_updated_at: 1_700_000_000,
        account: None,
        computer: None,
    };
    let begin = async || d.begin_kerberos_server_removal(&by(), tenant, CORP).await;
    assert!(begin().await.is_err());
    let recorded = d.record_kerberos_server(&by(), tenant, &seen).await;
    assert_eq!(recorded.unwrap().removal_begun_at, None);
    begin().await.unwrap();
    let known = d.kerberos_server(tenant, CORP).await.unwrap();
    assert!(known.removal_begun_at.is_some());
    let recorded = d.record_kerberos_server(&by(), tenant, &seen).await;
    assert_eq!(recorded.unwrap().removal_begun_at, None);
}

#[tokio::test]
async fn changes_in_ad_are_audited_with_actor_step_and_address() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    let step = |phase, reason: &str| AdStep {
        phase,
        principal: "administrator@CORP.CONTOSO.COM".to_owned(),
        controller: "dc1.corp.contoso.com".to_owned(),
        step: "create the computer".to_owned(),
        reason: reason.to_owned(),
    };
    for (phase, reason) in [
        (AdStepPhase::Begun, ""),
        (AdStepPhase::Done, ""),
        (AdStepPhase::Failed, "insufficient rights"),
    ] {
        d.record_ad_step(&by(), tenant, CORP, &step(phase, reason))
            .await
            .unwrap();
    }
    let filter = EventFilter {
        tenant: Some(tenant),
        user: Some("Administrator@corp.contoso.com".to_owned()),
        limit: 10,
        ..EventFilter::default()
    };
    let events = d.events(&filter).await.unwrap();
    let recorded: Vec<_> = events
        .iter()
        .map(|e| (e.event.action.as_str(), e.event.outcome))
        .collect();
    assert_eq!(
        recorded,
        [
            ("ad.begin", EventOutcome::Done),
            ("ad.done", EventOutcome::Done),
            ("ad.fail", EventOutcome::Refused)
        ]
    );
    for event in events {
        assert_eq!(event.event.actor, by().name);
        assert_eq!(event.event.address, by().address);
        assert_eq!(event.event.target, CORP);
        assert!(event.event.detail.contains("create the computer (at dc1."));
    }
    let refused = [
        AdStep {
            step: "x".repeat(MAX_AD_STEP + 1),
            ..step(AdStepPhase::Done, "")
        },
        AdStep {
            principal: String::new(),
            ..step(AdStepPhase::Done, "")
        },
        AdStep {
            reason: "a\nb".to_owned(),
            ..step(AdStepPhase::Failed, "")
        },
    ];
    for step in refused {
        let outcome = d.record_ad_step(&by(), tenant, CORP, &step).await;
        assert_fails!(outcome, DirectoryError::Invalid { .. });
    }
}
