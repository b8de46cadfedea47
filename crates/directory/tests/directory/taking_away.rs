//! F1: nobody keeps more in the tenant than AD grants, for whichever reason an object of AD is refused.

use crate::support::{
    World, apply, by, group, guid, identity_of, members, people, rid_sid, run, sid, user,
};
use crossrealm_directory::IdentityChange;
use crossrealm_types::{DisabledReason, IdentityState, RefusedChangeCode, SyncedIdentity};

fn disabled(identity: SyncedIdentity) -> SyncedIdentity {
    SyncedIdentity {
        state: IdentityState::Disabled,
        disabled_reason: Some(DisabledReason::Expired),
        ..identity
    }
}

/// F1: a user who was disabled is disabled although the rest of the object is refused, for every reason that a connector can
/// cause; the names stay as they were.
#[tokio::test]
async fn a_refused_update_disables_all_the_same() {
    type Break = fn(SyncedIdentity) -> SyncedIdentity;
    let world = World::new().await;
    let d = &world.directory;
    let breaks: [(&str, RefusedChangeCode, Break); 7] = [
        ("account", RefusedChangeCode::UpnConflict, |alice| {
            SyncedIdentity {
                account_name: "BOB".into(),
                ..alice
            }
        }),
        ("upn", RefusedChangeCode::UpnConflict, |alice| {
            SyncedIdentity {
                upn: user(2, "bob").upn,
                ..alice
            }
        }),
        ("malformed", RefusedChangeCode::Invalid, |alice| {
            SyncedIdentity {
                upn: "no-at-sign".into(),
                ..alice
            }
        }),
        ("unstorable", RefusedChangeCode::Invalid, |alice| {
            SyncedIdentity {
                account_name: "a\0b".into(),
                ..alice
            }
        }),
        ("sid", RefusedChangeCode::SidChanged, |alice| {
            SyncedIdentity {
                sid: rid_sid(77),
                ..alice
            }
        }),
        ("foreign", RefusedChangeCode::SidOutsideDomain, |alice| {
            SyncedIdentity {
                sid: sid("S-1-5-21-9-9-9-1001"),
                ..alice
            }
        }),
        ("kind", RefusedChangeCode::Invalid, |alice| SyncedIdentity {
            kind: group(1, "x").kind,
            ..alice
        }),
    ];
    for (name, code, damage) in breaks {
        let tenant = world.tenant(name).await.id;
        people(d, tenant).await;
        let before = identity_of(d, tenant, 1).await.unwrap();
        let wanted = run(vec![
            IdentityChange::Upsert(damage(disabled(user(1, "alice")))),
            members(10, &[], &[1]),
        ]);
        let outcome = d.apply_identities(&by(), tenant, wanted).await.unwrap();
        let refused: Vec<_> = outcome.refused.iter().map(|one| one.code).collect();
        assert_eq!(refused, [code], "{name}");
        assert_eq!(
            (
                outcome.disabled,
                outcome.updated,
                outcome.memberships_removed
            ),
            (1, 1, 1),
            "{name}"
        );
        let alice = identity_of(d, tenant, 1).await.unwrap();
        assert_eq!(alice.state, IdentityState::Disabled, "{name}");
        assert_eq!(
            (&alice.account_name, &alice.upn, &alice.sid),
            (&before.account_name, &before.upn, &before.sid)
        );
        assert!(!alice.groups.contains(&rid_sid(10)), "{name}");
        // What is given is not given to a refused object, and the tenant holds no other user in the name of this one.
        let enabled = IdentityChange::Upsert(damage(user(1, "alice")));
        d.apply_identities(&by(), tenant, run(vec![enabled]))
            .await
            .unwrap();
        let alice = identity_of(d, tenant, 1).await.unwrap();
        assert_eq!(alice.state, IdentityState::Disabled, "{name}");
        // Once the object is in order, the user is as in AD.
        apply(d, tenant, vec![IdentityChange::Upsert(user(1, "alice"))]).await;
        let alice = identity_of(d, tenant, 1).await.unwrap();
        assert_eq!(alice.state, IdentityState::Enabled, "{name}");
    }
}

/// F1: a primary group that AD took away ends with the next request, and is noted as ended for tickets that are out.
#[tokio::test]
async fn a_refused_update_ends_the_primary_group() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    people(d, tenant).await;
    let domain_users = sid(crate::support::CORP_SID).with_rid(513).unwrap();
    let alice = identity_of(d, tenant, 1).await.unwrap();
    assert!(alice.groups.contains(&domain_users));
    let moved = SyncedIdentity {
        primary_group_rid: 1010,
        account_name: "bob".into(),
        ..user(1, "alice")
    };
    let outcome = d
        .apply_identities(&by(), tenant, run(vec![IdentityChange::Upsert(moved)]))
        .await
        .unwrap();
    assert_eq!(outcome.refused.len(), 1);
    let alice = identity_of(d, tenant, 1).await.unwrap();
    assert!(!alice.groups.contains(&domain_users), "{:?}", alice.groups);
    let ended = "SELECT COUNT(*) FROM ended_memberships";
    assert_eq!(world.count(ended).await, 1);
}

/// F1: a connector takes nothing from users of another domain by writing their GUIDs.
#[tokio::test]
async fn an_identity_of_another_domain_is_left_alone() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    people(d, tenant).await;
    let mut wanted = run(vec![IdentityChange::Upsert(SyncedIdentity {
        sid: sid("S-1-5-21-7-7-7-1001"),
        ..disabled(user(1, "alice"))
    })]);
    wanted.domain.dns_name = "emea.corp.contoso.com".into();
    wanted.domain.flat_name = "EMEA".into();
    wanted.domain.sid = sid("S-1-5-21-7-7-7");
    let outcome = d.apply_identities(&by(), tenant, wanted).await.unwrap();
    assert_eq!((outcome.refused.len(), outcome.disabled), (1, 0));
    let alice = identity_of(d, tenant, 1).await.unwrap();
    assert_eq!(alice.state, IdentityState::Enabled);
}

/// F1: a display name refuses nothing. It is stored in its normal form, and the same value again changes nothing.
#[tokio::test]
async fn a_display_name_never_refuses_an_object() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    for (display_name, stored) in [
        ("Alice\r\n", "Alice".to_owned()),
        ("\0", String::new()),
        (&"ü".repeat(20_000), "ü".repeat(256)),
    ] {
        let alice = || {
            vec![IdentityChange::Upsert(SyncedIdentity {
                display_name: display_name.into(),
                ..user(1, "alice")
            })]
        };
        apply(d, tenant, alice()).await;
        let info = d.find_identity(tenant, "alice", None).await.unwrap();
        assert_eq!((info.guid, info.display_name), (guid(1), stored));
        assert_eq!(apply(d, tenant, alice()).await.unchanged, 1);
    }
}
