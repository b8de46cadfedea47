//! Shares, roles, and the effective access of users.

use crate::support::assert_fails;
use crate::support::{World, apply, by, guid, members, path, people, rid_sid};
use crossrealm_directory::{
    AccessReason, Directory, DirectoryError, EventFilter, IdentityChange, NameScope,
    NewCloudIdentity, RecordKind, Via,
};
use crossrealm_kdc::TenantId;
use crossrealm_types::{IdentityKind, ShareRole, StorageAccountCreate};

async fn share(world: &World) -> TenantId {
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    people(d, tenant).await;
    let new = StorageAccountCreate {
        name: "acct1".into(),
        aliases: Vec::new(),
    };
    d.create_storage_account(&by(), tenant, new, NameScope::Free)
        .await
        .unwrap();
    d.create_share(&by(), tenant, path("acct1", "projects"), None)
        .await
        .unwrap();
    tenant
}

async fn role(d: &Directory, tenant: TenantId, user: &str) -> Option<ShareRole> {
    d.share_access(tenant, path("acct1", "projects"), user)
        .await
        .unwrap()
        .role
}

#[tokio::test]
async fn the_highest_role_that_applies_counts() {
    let world = World::new().await;
    let tenant = share(&world).await;
    let d = &world.directory;
    let grant = |to: &'static str, role| d.grant_as(tenant, to, role);
    assert_eq!(role(d, tenant, "alice").await, None);
    grant("AllStaff", ShareRole::Contributor).await.unwrap();
    assert_eq!(role(d, tenant, "alice").await, Some(ShareRole::Contributor));
    assert_eq!(role(d, tenant, "bob").await, None);
    grant("alice", ShareRole::Reader).await.unwrap();
    grant("mallory", ShareRole::ElevatedContributor)
        .await
        .unwrap();
    d.set_default_role(&by(), tenant, "acct1", Some(ShareRole::Reader))
        .await
        .unwrap();
    assert_eq!(role(d, tenant, "bob").await, Some(ShareRole::Reader));

    let access = d
        .share_access(tenant, path("acct1", "projects"), "alice@corp.contoso.com")
        .await
        .unwrap();
    assert_eq!(access.role, Some(ShareRole::Contributor));
    let [
        AccessReason {
            via: Via::Group(groups),
            ..
        },
        rest @ ..,
    ] = access.reasons.as_slice()
    else {
        panic!("{:?}", access.reasons);
    };
    let names: Vec<&str> = groups.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["Sales", "AllStaff"]);
    let rest: Vec<&Via> = rest.iter().map(|reason| &reason.via).collect();
    assert_eq!(rest, [&Via::Default, &Via::Direct]);

    let mallory = d
        .share_access(tenant, path("acct1", "projects"), "mallory")
        .await
        .unwrap();
    assert_eq!(
        (mallory.role, mallory.reasons.len()),
        (None, 2),
        "a disabled user has roles without effect"
    );
    apply(d, tenant, vec![members(11, &[], &[10])]).await;
    assert_eq!(role(d, tenant, "alice").await, Some(ShareRole::Reader));
}

trait GrantAs {
    async fn grant_as(
        &self,
        tenant: TenantId,
        to: &str,
        role: ShareRole,
    ) -> crossrealm_directory::Result<crossrealm_directory::Grant>;
}

impl GrantAs for Directory {
    async fn grant_as(
        &self,
        tenant: TenantId,
        to: &str,
        role: ShareRole,
    ) -> crossrealm_directory::Result<crossrealm_directory::Grant> {
        self.grant(&by(), tenant, path("acct1", "projects"), to, role)
            .await
    }
}

#[tokio::test]
async fn a_cloud_only_user_has_no_effective_role() {
    let world = World::new().await;
    let tenant = share(&world).await;
    let d = &world.directory;
    let carol = NewCloudIdentity {
        kind: IdentityKind::User,
        upn: "carol@contoso.cloud.example".into(),
        account_name: String::new(),
        display_name: String::new(),
    };
    d.create_cloud_identity(&by(), tenant, carol).await.unwrap();
    d.set_default_role(&by(), tenant, "acct1", Some(ShareRole::Reader))
        .await
        .unwrap();
    assert_eq!(role(d, tenant, "carol").await, None);
}

#[tokio::test]
async fn the_host_state_version_changes_with_each_change() {
    let world = World::new().await;
    let tenant = share(&world).await;
    let d = &world.directory;
    let mut versions = vec![d.host_state(tenant, "acct1").await.unwrap().version];
    assert_eq!(
        d.host_state(tenant, "acct1").await.unwrap().version,
        versions[0]
    );
    d.grant_as(tenant, "AllStaff", ShareRole::Contributor)
        .await
        .unwrap();
    let state = d.host_state(tenant, "acct1").await.unwrap();
    let grant = &state.shares[0].grants[0];
    assert_eq!(
        (&grant.identity.sid, grant.role),
        (&rid_sid(11), ShareRole::Contributor)
    );
    assert_eq!(state.domains[0].flat_name, "CORP");
    versions.push(state.version);
    d.grant_as(tenant, "AllStaff", ShareRole::Reader)
        .await
        .unwrap();
    versions.push(d.host_state(tenant, "acct1").await.unwrap().version);
    d.rotate_storage_key(
        &by(),
        tenant,
        "acct1",
        crossrealm_types::KeySlot::Kerb1,
        false,
    )
    .await
    .unwrap();
    versions.push(d.host_state(tenant, "acct1").await.unwrap().version);
    d.revoke(&by(), tenant, path("acct1", "projects"), "AllStaff")
        .await
        .unwrap();
    let state = d.host_state(tenant, "acct1").await.unwrap();
    assert!(state.shares[0].grants.is_empty());
    versions.push(state.version);
    apply(d, tenant, vec![IdentityChange::Delete(guid(11))]).await;
    assert_eq!(
        d.host_state(tenant, "acct1").await.unwrap().version,
        versions[4],
        "it was in no grant"
    );
    versions.sort();
    versions.dedup();
    assert_eq!(versions.len(), 5);
}

#[tokio::test]
async fn grants_on_missing_shares_or_to_missing_users_are_refused() {
    let world = World::new().await;
    let tenant = share(&world).await;
    let d = &world.directory;
    assert_fails!(
        d.grant_as(tenant, "nobody", ShareRole::Reader).await,
        DirectoryError::NotFound {
            kind: RecordKind::Identity,
            ..
        }
    );
    let nowhere = d
        .grant(
            &by(),
            tenant,
            path("acct1", "gone"),
            "alice",
            ShareRole::Reader,
        )
        .await;
    assert_fails!(
        nowhere,
        DirectoryError::NotFound {
            kind: RecordKind::Share,
            ..
        }
    );
    assert_fails!(
        d.revoke(&by(), tenant, path("acct1", "projects"), "alice")
            .await,
        DirectoryError::NotFound {
            kind: RecordKind::Grant,
            ..
        }
    );
    assert_fails!(
        d.create_share(&by(), tenant, path("acct1", "projects"), None)
            .await,
        DirectoryError::Exists { .. }
    );
    assert_fails!(
        d.create_share(&by(), tenant, path("acct9", "projects"), None)
            .await,
        DirectoryError::NotFound { .. }
    );
    for (account, share) in [("acct1", "x\0y"), ("acct1\0", "projects"), ("acct1", "..")] {
        let nowhere = d.share(tenant, path(account, share)).await;
        assert_fails!(nowhere, DirectoryError::NotFound { .. });
    }
    for bad in ["..", "../../etc", "a/b", "global", "IPC$", "a\0b"] {
        assert_fails!(
            d.create_share(&by(), tenant, path("acct1", bad), None)
                .await,
            DirectoryError::Invalid { .. }
        );
    }
    apply(d, tenant, vec![IdentityChange::Delete(guid(2))]).await;
    let tombstone = rid_sid(2).to_string();
    let dead = d
        .grant(
            &by(),
            tenant,
            path("acct1", "projects"),
            &tombstone,
            ShareRole::Reader,
        )
        .await;
    assert_fails!(dead, DirectoryError::NotFound { .. });
}

#[tokio::test]
async fn a_recreated_share_has_no_old_grants() {
    let world = World::new().await;
    let tenant = share(&world).await;
    let d = &world.directory;
    d.grant_as(tenant, "alice", ShareRole::Reader)
        .await
        .unwrap();
    d.delete_share(&by(), tenant, path("acct1", "projects"))
        .await
        .unwrap();
    assert!(d.shares(tenant, "acct1").await.unwrap().is_empty());
    assert_fails!(
        d.delete_share(&by(), tenant, path("acct1", "projects"))
            .await,
        DirectoryError::NotFound { .. }
    );
    d.create_share(&by(), tenant, path("acct1", "projects"), None)
        .await
        .unwrap();
    assert_eq!(
        d.share(tenant, path("acct1", "projects"))
            .await
            .unwrap()
            .grants,
        []
    );
}

/// F12: a share keeps the name that it is created with, is found in any case and composition, and is unique among all of them.
#[tokio::test]
async fn shares_keep_their_spelling_and_are_found_without_case() {
    let world = World::new().await;
    let tenant = share(&world).await;
    let d = &world.directory;
    let create = async |name| {
        d.create_share(&by(), tenant, path("acct1", name), None)
            .await
    };
    for name in ["HR", "Human Resources", "O\u{308}ffentlich"] {
        create(name).await.unwrap();
    }
    let names = async || -> Vec<String> {
        let shares = d.shares(tenant, "acct1").await.unwrap();
        shares.into_iter().map(|share| share.name).collect()
    };
    assert_eq!(
        names().await,
        ["HR", "Human Resources", "projects", "Öffentlich"]
    );
    for other in ["hr", "Hr", "HUMAN resources", "ÖFFENTLICH", "Projects"] {
        assert_fails!(create(other).await, DirectoryError::Exists { .. });
        d.share(tenant, path("acct1", other)).await.unwrap();
    }
    let granted = path("acct1", "öffentlich");
    d.grant(&by(), tenant, granted, "alice", ShareRole::Reader)
        .await
        .unwrap();
    d.delete_share(&by(), tenant, path("acct1", "hr"))
        .await
        .unwrap();
    let again = create("hR").await.unwrap();
    assert_eq!(again.name, "hR");
    assert_eq!(
        names().await,
        ["hR", "Human Resources", "projects", "Öffentlich"]
    );
    // The events name the share, not what was typed.
    let filter = EventFilter {
        tenant: Some(tenant),
        limit: 50,
        ..EventFilter::default()
    };
    let events = d.events(&filter).await.unwrap();
    let granted = events
        .iter()
        .find(|event| event.event.action == "share.grant");
    assert_eq!(granted.unwrap().event.target, "acct1/Öffentlich");
}
