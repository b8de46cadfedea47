//! SMB hosts at the API: their tokens, how soon they receive a change, which users and groups they may look up.

use crate::common::Service;
use crossrealm_api::{
    Client, Code, DismissalKey, EventQuery, HostStateAnswer, HostTokenCreate, ResolveNames,
    RotateAccountKey, SecretText, ShareCreate, StorageAccountDelete,
};
use crossrealm_types::{ActorKind, HostReport, HostSession, KeySlot, StorageAccountCreate};
use serde_json::json;
use std::time::{Duration, Instant};

const SID: &str = "S-1-5-21-1111-2222-3333";

/// A tenant with the accounts `acct1` and `acct2`, alice, and bob, who was deleted in AD.
async fn service() -> Service {
    let service = Service::start().await;
    service.contoso().await;
    for name in ["acct1", "acct2"] {
        make_account(&service.admin, name).await;
    }
    let domain = json!({"dns_name": "corp.contoso.com", "flat_name": "CORP", "sid": SID});
    let person = |digit: char, name: &str, rid: u32| {
        let guid: String = "dddddddd-dddd-dddd-dddd-dddddddddddd".replace('d', &digit.to_string());
        json!({"op": "upsert", "identity": {
            "object_guid": guid, "kind": "user", "sid": format!("{SID}-{rid}"), "account_name": name,
            "upn": format!("{name}@corp.contoso.com"), "display_name": name, "state": "enabled",
            "primary_group_rid": 513, "members": []}})
    };
    let group = json!({"op": "upsert", "identity": {
        "object_guid": "33333333-3333-3333-3333-333333333333", "kind": "group", "sid": format!("{SID}-1200"),
        "account_name": "Sales", "upn": "", "display_name": "Sales", "state": "enabled",
        "primary_group_rid": 0, "members": []}});
    let deleted = json!({"op": "delete", "object_guid": "22222222-2222-2222-2222-222222222222"});
    for changes in [
        json!([person('1', "alice", 1104), person('2', "bob", 1105), group]),
        json!([deleted]),
    ] {
        let apply = json!({"run_id": "99999999-9999-9999-9999-999999999999", "domain": domain,
            "changes": changes, "skipped": 0, "cursor": null, "last": true});
        let apply = serde_json::from_value(apply).unwrap();
        let done = service
            .admin
            .apply_identities("contoso", "corp.contoso.com", &apply)
            .await
            .unwrap();
        assert!(done.refused.is_empty(), "{done:?}");
    }
    service
}

async fn make_account(admin: &Client, name: &str) {
    let account = StorageAccountCreate {
        name: name.into(),
        aliases: vec![],
    };
    admin
        .create_storage_account("contoso", &account)
        .await
        .unwrap();
}

fn named(name: &str) -> HostTokenCreate {
    HostTokenCreate { name: name.into() }
}

#[tokio::test]
async fn a_host_token_is_valid_for_its_account_until_it_is_revoked() {
    let service = service().await;
    let admin = &service.admin;
    let made = admin
        .create_host_token("contoso", "acct1", &named("fs1"))
        .await
        .unwrap();
    let host = service.client(&made.token);
    assert!(host.host_state("contoso", "acct1", None, 0).await.is_ok());
    for refused in [
        host.host_state("contoso", "acct2", None, 0).await.map(drop),
        host.storage_account_keytab("contoso", "acct1")
            .await
            .map(drop),
        host.storage_accounts("contoso").await.map(drop),
        host.create_host_token("contoso", "acct1", &named("more"))
            .await
            .map(drop),
        host.host_tokens("contoso", "acct1").await.map(drop),
        host.resolve_names("contoso", "acct2", &ResolveNames::default())
            .await
            .map(drop),
    ] {
        assert_eq!(refused.unwrap_err().code(), Some(Code::Forbidden));
    }
    let listed = admin.host_tokens("contoso", "acct1").await.unwrap();
    assert_eq!(listed, std::slice::from_ref(&made.host_token));
    let unknown = admin
        .create_host_token("contoso", "nosuch", &named("fs1"))
        .await;
    let code = unknown.unwrap_err().code();
    assert_eq!(code, Some(Code::StorageAccountNotFound));

    // The token of another account is not found, and stays valid.
    let id = made.host_token.id;
    let wrong = admin
        .revoke_host_token("contoso", "acct2", &id.to_string())
        .await;
    assert_eq!(wrong.unwrap_err().code(), Some(Code::HostTokenNotFound));

    let known = host.host_state("contoso", "acct1", None, 0).await;
    let HostStateAnswer::State { state, .. } = known.unwrap() else {
        panic!("no state");
    };
    let installation = state.installation.unwrap();

    // A token that is revoked while its host waits for a change: the request is refused, and does not return the change.
    let etag = etag(&host).await;
    let waiting = host.clone();
    let waits = tokio::spawn(async move {
        waiting
            .host_state("contoso", "acct1", Some(&etag), 20)
            .await
    });
    tokio::time::sleep(Duration::from_millis(400)).await;
    admin
        .revoke_host_token("contoso", "acct1", &id.to_string())
        .await
        .unwrap();
    let began = Instant::now();
    let refused = waits.await.unwrap().unwrap_err();
    assert_eq!(refused.code(), Some(Code::Unauthenticated));
    // Earlier than at the end of its 20 s.
    assert!(began.elapsed() < Duration::from_secs(15));
    let listed = admin.host_tokens("contoso", "acct1").await.unwrap();
    assert!(listed[0].revoked_at.is_some());

    // R3: the host learns that by a proof that only the installation can give which recorded its token.
    let refusal = host.host_state("contoso", "acct1", None, 0).await;
    let refusal = refusal.unwrap_err().refusal().unwrap().clone();
    let dismissal = refusal.details.dismissal.unwrap();
    assert_eq!(dismissal.token, id);
    assert_eq!(dismissal.installation, installation);
    let key = DismissalKey::of_token(&made.token);
    assert!(dismissal.is_proven(&key, Some(installation)));
    // One that does not know the token says "unknown", and proves nothing.
    let stranger = service.client(&SecretText::new(format!("xr_{}", "0".repeat(64))));
    let refusal = stranger.host_state("contoso", "acct1", None, 0).await;
    let refusal = refusal.unwrap_err().refusal().unwrap().clone();
    assert_eq!(refusal.code, Code::Unauthenticated);
    assert_eq!(refusal.details.dismissal, None);

    // Deleting an account revokes its tokens; an account that is created later under the same name is another account.
    let made = admin
        .create_host_token("contoso", "acct2", &named("fs2"))
        .await
        .unwrap();
    admin
        .delete_storage_account("contoso", "acct2", &StorageAccountDelete::default())
        .await
        .unwrap();
    make_account(admin, "acct2").await;
    let late = service.client(&made.token);
    let code = late.host_state("contoso", "acct2", None, 0).await;
    assert_eq!(code.unwrap_err().code(), Some(Code::Unauthenticated));

    // A tenant's tokens are deleted with it; its hosts are dismissed all the same.
    let made = admin
        .create_host_token("contoso", "acct2", &named("fs3"))
        .await
        .unwrap();
    for account in ["acct1", "acct2"] {
        let wanted = StorageAccountDelete::default();
        let deleted = admin.delete_storage_account("contoso", account, &wanted);
        deleted.await.unwrap();
    }
    admin.delete_tenant("contoso").await.unwrap();
    let host = service.client(&made.token);
    let refusal = host.host_state("contoso", "acct2", None, 0).await;
    let refusal = refusal.unwrap_err().refusal().unwrap().clone();
    let dismissal = refusal.details.dismissal.unwrap();
    let key = DismissalKey::of_token(&made.token);
    assert!(dismissal.is_proven(&key, Some(installation)));
}

/// S11: only a host gets the keys of its account, and each export of keys is an event.
#[tokio::test]
async fn the_state_with_the_keys_is_for_hosts_alone_and_audited() {
    let service = service().await;
    let admin = &service.admin;
    let refused = admin.host_state("contoso", "acct1", None, 0).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.code(), Some(Code::Forbidden));
    let text = refused.to_string();
    assert!(text.contains("the token of an SMB host"), "{text}");

    let host = service.host("acct1", "fs1").await;
    let given = async || {
        let query = EventQuery::default();
        let events = admin.events("contoso", &query).await.unwrap();
        let given = events.into_iter().filter(|e| e.action == "host.keys");
        given
            .map(|e| (e.target, e.detail, e.address.is_some()))
            .collect::<Vec<_>>()
    };
    for _ in 0..3 {
        etag(&host).await;
    }
    let first = ("acct1".to_owned(), "kvno 1 and 2".to_owned(), true);
    assert_eq!(given().await, std::slice::from_ref(&first));
    let rotate = RotateAccountKey {
        key: KeySlot::Kerb1,
        force: true,
    };
    admin
        .rotate_storage_account_key("contoso", "acct1", &rotate)
        .await
        .unwrap();
    etag(&host).await;
    assert_eq!(given().await.len(), 2);
    // Another token is another host.
    etag(&service.host("acct1", "fs2").await).await;
    assert_eq!(given().await.len(), 3);
    admin
        .storage_account_keytab("contoso", "acct1")
        .await
        .unwrap();
    let query = EventQuery::default();
    let events = admin.events("contoso", &query).await.unwrap();
    assert!(events.iter().any(|e| e.action == "storage-account.keytab"));
}

async fn etag(host: &Client) -> String {
    match host.host_state("contoso", "acct1", None, 0).await.unwrap() {
        HostStateAnswer::State { etag, .. } => etag.unwrap(),
        HostStateAnswer::Unchanged => panic!("nothing was known before"),
    }
}

#[tokio::test]
async fn a_waiting_host_is_answered_by_changes_of_its_own_account_only() {
    let service = service().await;
    let admin = &service.admin;
    let host = service.host("acct1", "fs1").await;
    let etag = etag(&host).await;
    let (waiting, tag) = (host.clone(), etag.clone());
    let waits =
        tokio::spawn(async move { waiting.host_state("contoso", "acct1", Some(&tag), 20).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    // A change of the tenant that does not affect the account.
    make_account(admin, "acct3").await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(!waits.is_finished());
    let share = ShareCreate {
        name: "projects".into(),
        quota_gib: None,
    };
    let began = Instant::now();
    admin
        .create_share("contoso", "acct1", &share)
        .await
        .unwrap();
    let HostStateAnswer::State { state, .. } = waits.await.unwrap().unwrap() else {
        panic!("a share was made");
    };
    assert_eq!(state.shares.len(), 1);
    // Earlier than at the end of its 20 s.
    assert!(began.elapsed() < Duration::from_secs(15));
}

#[tokio::test]
async fn hosts_resolve_names_and_sids() {
    let service = service().await;
    let host = service.host("acct1", "fs1").await;
    let ask = |sids: Vec<String>, names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let host = host.clone();
        async move {
            host.resolve_names("contoso", "acct1", &ResolveNames { sids, names })
                .await
        }
    };
    let sids = vec![
        format!("{SID}-1104"),
        format!("{SID}-1105"),
        format!("{SID}-9999"),
        "S-1-5-32-544".into(),
        "nonsense".into(),
    ];
    let names = [
        "CORP\\Sales",
        "alice@corp.contoso.com",
        "ALICE",
        "bob",
        "'; --",
    ];
    let found = ask(sids, &names).await.unwrap().found;
    let short: Vec<(&str, &str, bool)> = found
        .iter()
        .map(|one| (one.asked.as_str(), one.name.as_str(), one.deleted))
        .collect();
    let (alice, bob) = (format!("{SID}-1104"), format!("{SID}-1105"));
    assert_eq!(
        short,
        [
            (alice.as_str(), "CORP\\alice", false),
            (bob.as_str(), "CORP\\bob", true),
            ("CORP\\Sales", "CORP\\Sales", false),
            ("alice@corp.contoso.com", "CORP\\alice", false),
            ("ALICE", "CORP\\alice", false),
        ]
    );
    assert_eq!(found[2].sid.to_string(), format!("{SID}-1200"));
    assert_eq!(found[2].upn, "");
    let many = vec![alice.clone(); 1000];
    assert_eq!(ask(many, &[]).await.unwrap().found.len(), 1000);
    let too_many = ask(vec![alice; 1000], &["bob"]).await.unwrap_err();
    assert_eq!(too_many.code(), Some(Code::InvalidRequest));
}

#[tokio::test]
async fn host_reports_are_shown_and_bounded() {
    let service = service().await;
    let host = service.host("acct1", "fs1").await;
    let version = match host.host_state("contoso", "acct1", None, 0).await.unwrap() {
        HostStateAnswer::State { state, .. } => state.version,
        HostStateAnswer::Unchanged => panic!("nothing was known before"),
    };
    let session = HostSession {
        user: "CORP\\alice".into(),
        ..HostSession::default()
    };
    let mut report = HostReport {
        serving: true,
        state_version: Some(version),
        kvnos: vec![1, 2],
        session_count: 1,
        sessions: vec![session.clone()],
        ..HostReport::default()
    };
    let tell = async |name: &str, report: &HostReport| {
        host.report_host("contoso", "acct1", name, report).await
    };
    tell("fs1", &report).await.unwrap();
    let shown = service.admin.hosts("contoso", "acct1").await.unwrap();
    assert_eq!(shown.len(), 1);
    assert_eq!((shown[0].name.as_str(), shown[0].silent), ("fs1", false));
    assert_eq!(
        (shown[0].up_to_date, &shown[0].report),
        (Some(true), &report)
    );
    let share = ShareCreate {
        name: "projects".into(),
        quota_gib: None,
    };
    service
        .admin
        .create_share("contoso", "acct1", &share)
        .await
        .unwrap();
    let shown = service.admin.hosts("contoso", "acct1").await.unwrap();
    assert_eq!(shown[0].up_to_date, Some(false));
    let hidden = host.hosts("contoso", "acct1").await.unwrap_err();
    assert_eq!(hidden.code(), Some(Code::Forbidden));
    let other = host.report_host("contoso", "acct2", "fs1", &report).await;
    assert_eq!(other.unwrap_err().code(), Some(Code::Forbidden));

    for bad in ["", "a b", "a/b", "ä", &"x".repeat(64)] {
        assert!(tell(bad, &report).await.is_err(), "{bad}");
    }
    // Recorded once, and again if their number grows.
    for not_refused in [0, 3, 3, 2, 2, 4, 4] {
        report.not_refused = not_refused;
        tell("fs1", &report).await.unwrap();
    }
    report.not_refused = 0;
    let query = EventQuery::default();
    let events = service.admin.events("contoso", &query).await.unwrap();
    let events = events.iter().filter(|e| e.action == "host.not-refused");
    let details: Vec<_> = events.map(|e| (&*e.target, &e.detail[..7])).collect();
    assert_eq!(
        details,
        [("acct1 on fs1", "3 users"), ("acct1 on fs1", "4 users")]
    );
    report.problem = Some("x".repeat(600 << 10));
    let code = tell("fs1", &report).await.unwrap_err().code();
    assert_eq!(code, Some(Code::InvalidRequest));
    report.problem = None;
    report.sessions = vec![session; 600];
    for number in 2..=64 {
        let name = format!("fs{number}");
        let host = service.host("acct1", &name).await;
        let reported = host.report_host("contoso", "acct1", &name, &report).await;
        reported.unwrap();
    }
    let last = service.host("acct1", "fs65").await;
    let code = last.report_host("contoso", "acct1", "fs65", &report).await;
    assert_eq!(code.unwrap_err().code(), Some(Code::TooManyHosts));
    tell("fs1", &report).await.unwrap();
    let shown = service.admin.hosts("contoso", "acct1").await.unwrap();
    assert_eq!(shown.len(), 64);
    assert_eq!(shown[63].report.sessions.len(), 500);
}

/// S15: a host's token reports for that host alone, so that it cannot hold back a key rotation in the name of others.
#[tokio::test]
async fn a_host_token_reports_for_one_host() {
    let service = service().await;
    let admin = &service.admin;
    let report = HostReport {
        serving: true,
        kvnos: vec![1, 2],
        ..HostReport::default()
    };
    let made = admin
        .create_host_token("contoso", "acct1", &named("alice@corp.contoso.com"))
        .await
        .unwrap();
    let first = service.client(&made.token);
    let second = service.host("acct1", "second").await;
    let tell = async |host: &Client, name: &str| {
        let reported = host.report_host("contoso", "acct1", name, &report).await;
        reported.map_err(|error| error.code())
    };
    tell(&first, "fs1").await.unwrap();
    assert_eq!(tell(&first, "fs2").await, Err(Some(Code::HostTokenBound)));
    assert_eq!(tell(&second, "fs1").await, Err(Some(Code::HostNameTaken)));
    tell(&second, "fs2").await.unwrap();
    // The report of a token that was revoked holds nothing back, and its name can be taken.
    let rotate = |key| RotateAccountKey { key, force: false };
    admin
        .rotate_storage_account_key("contoso", "acct1", &rotate(KeySlot::Kerb1))
        .await
        .unwrap();
    let refused = admin
        .rotate_storage_account_key("contoso", "acct1", &rotate(KeySlot::Kerb2))
        .await;
    assert_eq!(refused.unwrap_err().code(), Some(Code::HostLacksKey));
    for token in admin.host_tokens("contoso", "acct1").await.unwrap() {
        let id = token.id.to_string();
        admin
            .revoke_host_token("contoso", "acct1", &id)
            .await
            .unwrap();
    }
    admin
        .rotate_storage_account_key("contoso", "acct1", &rotate(KeySlot::Kerb2))
        .await
        .unwrap();
    let third = service.host("acct1", "third").await;
    tell(&third, "fs1").await.unwrap();

    // A host that is named like a person is a host in the events.
    etag(&service.host("acct1", "alice@corp.contoso.com").await).await;
    let query = EventQuery::default();
    let events = admin.events("contoso", &query).await.unwrap();
    let given = events.iter().find(|e| e.action == "host.keys").unwrap();
    assert_eq!(given.actor, "alice@corp.contoso.com");
    assert_eq!(given.actor_kind, Some(ActorKind::Host));
    let created = events.iter().find(|e| e.action == "token.create").unwrap();
    assert_eq!(created.actor_kind, Some(ActorKind::Token));
}

#[tokio::test]
async fn the_id_range_of_a_domain_does_not_change() {
    let service = service().await;
    let host = service.host("acct1", "fs1").await;
    let ranges = async || match host.host_state("contoso", "acct1", None, 0).await.unwrap() {
        HostStateAnswer::State { state, .. } => {
            let of = state.domains.into_iter();
            of.map(|domain| (domain.sid.to_string(), domain.id_range.unwrap()))
                .collect::<Vec<_>>()
        }
        HostStateAnswer::Unchanged => panic!("nothing was known before"),
    };
    assert_eq!(ranges().await, [(SID.to_owned(), 0)]);
    let register = async |name: &str, sid: &str| {
        let flat_name = name.split('.').next();
        let domain = json!({"dns_name": name, "flat_name": flat_name, "sid": sid});
        let apply = json!({"run_id": "99999999-9999-9999-9999-999999999998", "domain": domain,
            "changes": [], "skipped": 0, "cursor": null, "last": true});
        let apply = serde_json::from_value(apply).unwrap();
        let admin = &service.admin;
        admin
            .apply_identities("contoso", name, &apply)
            .await
            .unwrap();
    };
    // Before the first one in name order, and behind it in RID order.
    register("a.contoso.com", "S-1-5-21-7-7-7").await;
    let expected = [("S-1-5-21-7-7-7".to_owned(), 1), (SID.to_owned(), 0)];
    assert_eq!(ranges().await, expected);
}

#[tokio::test]
async fn a_key_is_not_rotated_while_a_host_lacks_the_next_key() {
    let service = service().await;
    let admin = &service.admin;
    let host = service.host("acct1", "fs1").await;
    let tell = async |kvnos: &[u32]| {
        let report = HostReport {
            serving: true,
            kvnos: kvnos.to_vec(),
            ..HostReport::default()
        };
        host.report_host("contoso", "acct1", "fs1", &report)
            .await
            .unwrap();
    };
    let rotate = async |key: KeySlot, force: bool| {
        let rotate = RotateAccountKey { key, force };
        admin
            .rotate_storage_account_key("contoso", "acct1", &rotate)
            .await
    };
    tell(&[1, 2]).await;
    let rotated = rotate(KeySlot::Kerb1, false).await.unwrap();
    assert_eq!(rotated.account.keys[0].kvno, 2);
    assert!(rotated.warnings.is_empty(), "{:?}", rotated.warnings);
    // kerb1 has kvno 3 now, which the host lacks.
    let refused = rotate(KeySlot::Kerb2, false).await.unwrap_err();
    assert_eq!(refused.code(), Some(Code::HostLacksKey));
    assert!(refused.to_string().contains("`fs1`"), "{refused}");
    let sealing = async || {
        admin
            .storage_account("contoso", "acct1")
            .await
            .unwrap()
            .keys[0]
            .kvno
    };
    assert_eq!(sealing().await, 2);
    // The key that encrypts tickets already may be replaced by the other one again.
    rotate(KeySlot::Kerb1, false).await.unwrap();
    tell(&[1, 2, 3, 4]).await;
    rotate(KeySlot::Kerb2, false).await.unwrap();
    assert_eq!(sealing().await, 4);
    let forced = rotate(KeySlot::Kerb1, true).await.unwrap();
    assert!(
        forced.warnings[0].contains("`fs1`"),
        "{:?}",
        forced.warnings
    );
    assert_eq!(sealing().await, 5);
}
