//! Users whose role on a share is lower than their tickets imply.

use crate::revoked_users::account;
use crate::support::{
    World, apply, by, domain_users, group, guid, members, path, people, rid_sid, user,
};
use crossrealm_directory::{Directory, IdentityChange, MAX_REVOKED_USERS, ReducedRoles};
use crossrealm_kdc::TenantId;
use crossrealm_types::{ReducedRole, ShareRole};

const SHARE: &str = "projects";

async fn share(world: &World) -> TenantId {
    let tenant = account(world).await;
    let d = &world.directory;
    people(d, tenant).await;
    d.create_share(&by(), tenant, path("acct1", SHARE), None)
        .await
        .unwrap();
    tenant
}

async fn grant(d: &Directory, tenant: TenantId, to: &str, role: ShareRole) {
    d.grant(&by(), tenant, path("acct1", SHARE), to, role)
        .await
        .unwrap();
}

async fn reduced_roles(d: &Directory, tenant: TenantId) -> ReducedRoles {
    let state = d.host_state(tenant, "acct1").await.unwrap();
    state.shares[0].reduced_roles.clone()
}

fn role(n: u32, had: ShareRole, has: Option<ShareRole>) -> ReducedRole {
    ReducedRole {
        sid: rid_sid(n),
        had,
        has,
    }
}

async fn age(world: &World, seconds: i64) {
    let text = format!("UPDATE ended_memberships SET ended_at = ended_at - {seconds}");
    sqlx::query(sqlx::AssertSqlSafe(text))
        .execute(&mut world.raw().await)
        .await
        .unwrap();
}

#[tokio::test]
async fn leaving_a_nested_group_reduces_the_role_until_the_ticket_expires() {
    let world = World::new().await;
    let tenant = share(&world).await;
    let d = &world.directory;
    grant(d, tenant, "AllStaff", ShareRole::Contributor).await;
    apply(d, tenant, vec![members(10, &[2], &[])]).await;
    assert_eq!(reduced_roles(d, tenant).await.roles, []);
    let before = d.host_state(tenant, "acct1").await.unwrap().version;
    apply(d, tenant, vec![members(10, &[], &[1])]).await;
    let gone = role(1, ShareRole::Contributor, None);
    assert_eq!(reduced_roles(d, tenant).await.roles, [gone]);
    assert_ne!(d.host_state(tenant, "acct1").await.unwrap().version, before);
    // A role by another path is kept.
    grant(d, tenant, "alice@corp.contoso.com", ShareRole::Reader).await;
    let less = role(1, ShareRole::Contributor, Some(ShareRole::Reader));
    assert_eq!(
        reduced_roles(d, tenant).await.roles,
        std::slice::from_ref(&less)
    );
    // The membership is restored, also by another path.
    apply(d, tenant, vec![members(11, &[1], &[])]).await;
    assert_eq!(reduced_roles(d, tenant).await.roles, []);
    apply(d, tenant, vec![members(11, &[], &[1])]).await;
    assert_eq!(reduced_roles(d, tenant).await.roles, [less]);
    age(&world, 10 * 3600 + 700).await;
    assert_eq!(reduced_roles(d, tenant).await.roles, []);
    let kept = "SELECT COUNT(*) FROM ended_memberships";
    assert_eq!(world.count(kept).await, 2);
    apply(d, tenant, vec![members(10, &[], &[2])]).await;
    assert_eq!(world.count(kept).await, 1);
}

#[tokio::test]
async fn a_later_grant_to_a_group_does_not_apply_to_former_members() {
    let world = World::new().await;
    let tenant = share(&world).await;
    let d = &world.directory;
    apply(d, tenant, vec![members(10, &[], &[1])]).await;
    assert_eq!(reduced_roles(d, tenant).await.roles, []);
    grant(d, tenant, "AllStaff", ShareRole::Reader).await;
    let gone = role(1, ShareRole::Reader, None);
    assert_eq!(reduced_roles(d, tenant).await.roles, [gone]);
}

#[tokio::test]
async fn every_way_of_leaving_a_group_reduces_the_role() {
    let world = World::new().await;
    let tenant = share(&world).await;
    let d = &world.directory;
    grant(d, tenant, "AllStaff", ShareRole::Reader).await;
    let alice = [role(1, ShareRole::Reader, None)];
    // The group of the user leaves the one with the role.
    apply(d, tenant, vec![members(11, &[], &[10])]).await;
    assert_eq!(reduced_roles(d, tenant).await.roles, alice);
    apply(d, tenant, vec![members(11, &[10], &[])]).await;
    assert_eq!(reduced_roles(d, tenant).await.roles, []);
    // One after the other: the user leaves the group, the group the other group.
    apply(d, tenant, vec![members(10, &[], &[1])]).await;
    apply(d, tenant, vec![members(11, &[], &[10])]).await;
    assert_eq!(reduced_roles(d, tenant).await.roles, alice);
    apply(
        d,
        tenant,
        vec![members(10, &[1], &[]), members(11, &[10], &[])],
    )
    .await;
    assert_eq!(reduced_roles(d, tenant).await.roles, []);
    // The intermediate group is deleted.
    apply(d, tenant, vec![IdentityChange::Delete(guid(10))]).await;
    assert_eq!(reduced_roles(d, tenant).await.roles, alice);
    // The user is deleted and restored without groups: first revoked, then accepted again with the same ticket.
    apply(d, tenant, vec![IdentityChange::Delete(guid(1))]).await;
    assert_eq!(reduced_roles(d, tenant).await.roles, []);
    apply(d, tenant, vec![IdentityChange::Upsert(user(1, "alice"))]).await;
    assert_eq!(reduced_roles(d, tenant).await.roles, alice);
    // The default counts.
    d.set_default_role(&by(), tenant, "acct1", Some(ShareRole::Reader))
        .await
        .unwrap();
    assert_eq!(reduced_roles(d, tenant).await.roles, []);
}

#[tokio::test]
async fn leaving_a_primary_group_reduces_the_role() {
    let world = World::new().await;
    let tenant = share(&world).await;
    let d = &world.directory;
    grant(d, tenant, "AllStaff", ShareRole::Reader).await;
    apply(d, tenant, vec![members(11, &[12], &[10])]).await;
    assert_eq!(reduced_roles(d, tenant).await.roles, []);
    let mut alice = user(1, "alice");
    alice.primary_group_rid = 1010;
    apply(d, tenant, vec![IdentityChange::Upsert(alice)]).await;
    assert_eq!(
        reduced_roles(d, tenant).await.roles,
        [role(1, ShareRole::Reader, None)]
    );
    // A user loses the role too if their primary group leaves the group with the role, or is deleted.
    let all = [1, 2, 3].map(|n| role(n, ShareRole::Reader, None));
    apply(d, tenant, vec![members(11, &[], &[12])]).await;
    assert_eq!(reduced_roles(d, tenant).await.roles, all);
    apply(d, tenant, vec![members(11, &[12], &[])]).await;
    assert_eq!(reduced_roles(d, tenant).await.roles, all[..1]);
    apply(d, tenant, vec![IdentityChange::Delete(guid(12))]).await;
    assert_eq!(reduced_roles(d, tenant).await.roles, all);
    apply(
        d,
        tenant,
        vec![
            IdentityChange::Upsert(domain_users(12)),
            members(11, &[12], &[]),
        ],
    )
    .await;
    assert_eq!(reduced_roles(d, tenant).await.roles, all[..1]);
}

#[tokio::test]
async fn the_list_of_reduced_roles_is_bounded_and_counts_the_rest() {
    let world = World::new().await;
    let tenant = share(&world).await;
    let d = &world.directory;
    apply(d, tenant, vec![IdentityChange::Upsert(group(20, "Many"))]).await;
    grant(d, tenant, "Many", ShareRole::Reader).await;
    let first = 100;
    let count = u32::try_from(MAX_REVOKED_USERS).unwrap() + 5;
    let users: Vec<u32> = (first..first + count).collect();
    let upserts: Vec<IdentityChange> = users
        .iter()
        .map(|n| IdentityChange::Upsert(user(*n, &format!("u{n}"))))
        .collect();
    for chunk in upserts.chunks(500) {
        apply(d, tenant, chunk.to_vec()).await;
    }
    for chunk in users.chunks(500) {
        apply(d, tenant, vec![members(20, chunk, &[])]).await;
    }
    for chunk in users.chunks(500) {
        apply(d, tenant, vec![members(20, &[], chunk)]).await;
    }
    // Revoked users take space in the list too, at most that of one entry each.
    apply(d, tenant, vec![IdentityChange::Delete(guid(first))]).await;
    let found = reduced_roles(d, tenant).await;
    assert_eq!(
        (found.roles.len(), found.beyond),
        (MAX_REVOKED_USERS - 1, 5)
    );
}
