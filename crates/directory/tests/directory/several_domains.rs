//! A forest of several domains, each with a connector of its own (finding S9): none takes what belongs to another.

use crate::support::{
    CORP, World, apply, by, code, corp, corp_trust, guid, identity_of, people, rid_sid, run, sid,
    user,
};
use crossrealm_directory::{ApplyIdentities, IdentityChange, NewDomain};
use crossrealm_types::{DisabledReason, IdentityState, RefusedChangeCode, SyncedIdentity};

const EMEA: &str = "emea.corp.contoso.com";
const EMEA_SID: &str = "S-1-5-21-7-7-7";

/// A request of the agent of a second domain of the forest.
fn emea(changes: Vec<IdentityChange>) -> ApplyIdentities {
    ApplyIdentities {
        domain: NewDomain {
            dns_name: EMEA.into(),
            flat_name: "EMEA".into(),
            sid: sid(EMEA_SID),
            forest_root: None,
        },
        ..run(changes)
    }
}

/// A user of that domain.
fn emea_user(n: u32, name: &str) -> SyncedIdentity {
    SyncedIdentity {
        sid: sid(EMEA_SID).with_rid(1000 + n).unwrap(),
        upn: format!("{name}@{EMEA}"),
        ..user(n, name)
    }
}

/// S9: the flat name by which users are found is an administrator's decision, and belongs to one domain.
#[tokio::test]
async fn an_agent_cannot_rename_its_domain() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await;
    let d = &world.directory;
    people(d, tenant.id).await;
    d.apply_identities(&by(), tenant.id, emea(vec![]))
        .await
        .unwrap();
    let named = |flat_name: &str| NewDomain {
        flat_name: flat_name.into(),
        ..emea(vec![]).domain
    };
    for flat_name in ["CORP", "OTHER"] {
        let renamed = ApplyIdentities {
            domain: named(flat_name),
            ..emea(vec![])
        };
        let applied = d.apply_identities(&by(), tenant.id, renamed).await;
        assert_eq!(code(applied), "flat_name_mismatch");
    }
    // An administrator may, but not to a name that another domain or the tenant has.
    for taken in ["CORP", "corp", tenant.flat_name.as_str()] {
        let registered = d.register_domain(&by(), tenant.id, &named(taken)).await;
        assert_eq!(code(registered), "flat_name_taken", "{taken}");
    }
    d.register_domain(&by(), tenant.id, &named("EUROPE"))
        .await
        .unwrap();
    let found = d.find_identity(tenant.id, "corp\\alice", None).await;
    assert_eq!(found.unwrap().guid, guid(1));
}

/// S9: a connector gives none of its users a UPN of another domain, so that no grant by that UPN reaches them.
#[tokio::test]
async fn a_upn_of_another_domain_is_refused() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    d.register_domain(&by(), tenant, &corp()).await.unwrap();
    let upsert = async |identity: SyncedIdentity| {
        let wanted = emea(vec![IdentityChange::Upsert(identity)]);
        let outcome = d.apply_identities(&by(), tenant, wanted).await.unwrap();
        let codes = outcome.refused.iter().map(|refused| refused.code);
        codes.collect::<Vec<_>>()
    };
    let claiming = |upn: &str| SyncedIdentity {
        upn: upn.into(),
        ..emea_user(50, "mallory")
    };
    for upn in [
        "ceo@corp.contoso.com",
        "ceo@Corp.Contoso.COM",
        "x@y@corp.contoso.com",
    ] {
        let refused = upsert(claiming(upn)).await;
        assert_eq!(refused, [RefusedChangeCode::UpnReserved], "{upn}");
    }
    // A suffix of the forest that is no domain of the tenant is open to all of it.
    assert_eq!(upsert(claiming("mallory@contoso.com")).await, []);
    let refused = upsert(claiming("ceo@corp.contoso.com")).await;
    assert_eq!(refused, [RefusedChangeCode::UpnReserved]);
    apply(d, tenant, vec![IdentityChange::Upsert(user(1, "ceo"))]).await;
    // What an earlier version accepted stays, so that the user can still be disabled.
    sqlx::query("UPDATE identities SET upn = 'boss@corp.contoso.com', taken_upn = 'boss@corp.contoso.com' WHERE account_name = 'mallory'")
        .execute(&mut world.raw().await)
        .await
        .unwrap();
    let disabled = SyncedIdentity {
        state: IdentityState::Disabled,
        disabled_reason: Some(DisabledReason::Disabled),
        ..claiming("boss@corp.contoso.com")
    };
    assert_eq!(upsert(disabled).await, []);
}

/// F1, S9: users of every domain of a forest may have the root's name as suffix of their UPN; but a name that a user of the
/// root has, or gets, is that user's.
#[tokio::test]
async fn the_suffix_of_the_forest_root_is_open_to_its_domains_behind_its_own_users() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    d.prepare_trust(&by(), tenant, CORP, &corp_trust())
        .await
        .unwrap();
    let send = async |wanted: ApplyIdentities| {
        let outcome = d.apply_identities(&by(), tenant, wanted).await.unwrap();
        let refused = outcome.refused.into_iter();
        refused
            .map(|one| (one.object_guid, one.code))
            .collect::<Vec<_>>()
    };
    let emea_user = |n, name: &str| {
        IdentityChange::Upsert(SyncedIdentity {
            upn: format!("{name}@corp.contoso.com"),
            ..emea_user(n, name)
        })
    };
    apply(d, tenant, vec![IdentityChange::Upsert(user(1, "alice"))]).await;
    assert_eq!(
        send(emea(vec![emea_user(50, "eva"), emea_user(51, "ceo")])).await,
        []
    );
    let conflict = RefusedChangeCode::UpnConflict;
    let refused = send(emea(vec![emea_user(52, "alice")])).await;
    assert_eq!(refused, [(guid(52), conflict)]);
    // The root's own user gets the name that a user of a child took before.
    apply(d, tenant, vec![IdentityChange::Upsert(user(2, "ceo"))]).await;
    let found = d.find_identity(tenant, "ceo@corp.contoso.com", None).await;
    assert_eq!(found.unwrap().guid, guid(2));
    assert_eq!(
        send(emea(vec![emea_user(51, "ceo")])).await,
        [(guid(51), conflict)]
    );
    let taken = d.find_identity(tenant, "emea\\ceo", None).await.unwrap();
    assert_eq!((taken.guid, taken.upn.as_str()), (guid(51), ""));
    // A sibling's name is not the root's.
    let asia = ApplyIdentities {
        domain: NewDomain {
            dns_name: "asia.corp.contoso.com".into(),
            flat_name: "ASIA".into(),
            sid: sid("S-1-5-21-8-8-8"),
            forest_root: None,
        },
        ..run(vec![IdentityChange::Upsert(SyncedIdentity {
            sid: sid("S-1-5-21-8-8-8-1060"),
            upn: "x@emea.corp.contoso.com".into(),
            ..user(60, "x")
        })])
    };
    assert_eq!(
        send(asia).await,
        [(guid(60), RefusedChangeCode::UpnReserved)]
    );
}

/// S9: a member that is not synced yet is created by the domain that the group's agent named, and by no other.
#[tokio::test]
async fn a_pending_member_belongs_to_the_domain_that_is_expected() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    people(d, tenant).await;
    let other = "S-1-5-21-8-8-8";
    let pending = |elsewhere: Option<&[(u32, &str)]>, add: &[u32]| IdentityChange::Members {
        group: guid(10),
        add: add.iter().map(|n| guid(*n)).collect(),
        remove: vec![],
        elsewhere: elsewhere.map(|list| list.iter().map(|(n, s)| (guid(*n), sid(s))).collect()),
    };
    let changes = vec![
        // 50 of the group's own domain, 51 of a third one, 52 of this one, 53 unknown.
        pending(Some(&[(51, other), (52, EMEA_SID)]), &[50, 51, 52]),
        pending(None, &[53]),
    ];
    apply(d, tenant, changes).await;
    let users = [50, 51, 52, 53].map(|n| IdentityChange::Upsert(emea_user(n, &format!("u{n}"))));
    let claimed = d.apply_identities(&by(), tenant, emea(users.into())).await;
    let claimed = claimed.unwrap();
    let refused: Vec<_> = claimed
        .refused
        .iter()
        .map(|r| (r.object_guid, r.code))
        .collect();
    let reserved = RefusedChangeCode::GuidReserved;
    assert_eq!(refused, [(guid(50), reserved), (guid(51), reserved)]);
    assert_eq!(claimed.created, 2);
    // The expected domain creates it, as a member of the group.
    apply(d, tenant, vec![IdentityChange::Upsert(user(50, "fifty"))]).await;
    let groups = identity_of(d, tenant, 50).await.unwrap().groups.clone();
    assert!(groups.contains(&rid_sid(10)), "{groups:?}");
}
