//! Who may open a share, and what a user may open: the lists say what is said of each user and share.

use crate::support::{World, apply, by, group, guid, members, path, people, user};
use crossrealm_directory::{IdentityChange, NameScope, NewCloudIdentity, Page, Via};
use crossrealm_kdc::TenantId;
use crossrealm_types::{
    DisabledReason, IdentityKind, IdentityState, ShareRole, StorageAccountCreate,
};

const SHARES: [(&str, &str); 5] = [
    ("acct1", "empty"),
    ("acct1", "HR"),
    ("acct1", "projects"),
    ("acct2", "open"),
    ("acct2", "projects"),
];

/// A tenant with the people of the other tests, two accounts and five shares.
async fn world_with_shares() -> (World, TenantId) {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let d = &world.directory;
    people(d, tenant).await;
    for name in ["acct1", "acct2"] {
        let new = StorageAccountCreate {
            name: name.into(),
            aliases: Vec::new(),
        };
        d.create_storage_account(&by(), tenant, new, NameScope::Free)
            .await
            .unwrap();
    }
    for (account, share) in SHARES {
        d.create_share(&by(), tenant, path(account, share), None)
            .await
            .unwrap();
    }
    (world, tenant)
}

fn page(after: Option<String>, limit: u32) -> Page {
    Page { after, limit }
}

/// F22: each list says what `share_access` says of the same user and share, by every kind of grant and with every
/// length of the pages; nobody else is listed.
#[tokio::test]
async fn f22_the_lists_agree_with_the_access_of_each_user() {
    let (world, tenant) = world_with_shares().await;
    let d = &world.directory;
    // A user who is in `Domain Users` by the primary group alone, one in another primary group, and one who is disabled.
    let mut erin = user(30, "erin");
    erin.primary_group_rid = 513;
    let mut frank = user(31, "frank");
    frank.primary_group_rid = 1032;
    let mut grace = user(33, "grace");
    grace.state = IdentityState::Disabled;
    grace.disabled_reason = Some(DisabledReason::Disabled);
    let changes = vec![
        IdentityChange::Upsert(erin),
        IdentityChange::Upsert(frank),
        IdentityChange::Upsert(group(32, "Contractors")),
        IdentityChange::Upsert(grace),
        members(11, &[33], &[]),
    ];
    apply(d, tenant, changes).await;
    let dave = NewCloudIdentity {
        kind: IdentityKind::User,
        account_name: "dave".into(),
        upn: "dave@contoso.cloud.example".into(),
        display_name: String::new(),
    };
    d.create_cloud_identity(&by(), tenant, dave).await.unwrap();
    for ((account, share), to, role) in [
        (SHARES[2], "AllStaff", ShareRole::Contributor),
        (SHARES[2], "alice", ShareRole::Reader),
        (SHARES[2], "dave", ShareRole::Reader),
        (SHARES[4], "Domain Users", ShareRole::Reader),
        (SHARES[4], "Contractors", ShareRole::ElevatedContributor),
    ] {
        d.grant(&by(), tenant, path(account, share), to, role)
            .await
            .unwrap();
    }
    let users = ["alice", "bob", "mallory", "erin", "frank", "grace", "dave"];
    for default in [None, Some(ShareRole::Reader)] {
        d.set_default_role(&by(), tenant, "acct2", default)
            .await
            .unwrap();
        for (account, share) in SHARES {
            let mut expected = Vec::new();
            for name in users {
                let access = d.share_access(tenant, path(account, share), name).await;
                expected.extend(Some(access.unwrap()).filter(|access| access.role.is_some()));
            }
            expected.sort_by(|a, b| a.user.account_name.cmp(&b.user.account_name));
            for limit in [1, 2, 1000] {
                let (mut listed, mut after) = (Vec::new(), None);
                loop {
                    let asked = page(after, limit);
                    let found = d.share_users(tenant, path(account, share), &asked).await;
                    let found = found.unwrap();
                    listed.extend(found.items);
                    after = found.next;
                    if after.is_none() {
                        break;
                    }
                }
                assert_eq!(listed, expected, "{account}/{share}, {default:?}, {limit}");
            }
        }
        for name in users {
            let mut expected = Vec::new();
            for (account, share) in SHARES {
                let access = d.share_access(tenant, path(account, share), name).await;
                let access = access.unwrap();
                let at = (account.to_owned(), share.to_owned());
                let reasons = Some(access.reasons).filter(|reasons| !reasons.is_empty());
                expected.extend(reasons.map(|reasons| (at, access.role, reasons)));
            }
            let (mut listed, mut after) = (Vec::new(), None);
            loop {
                let found = d.user_shares(tenant, name, &page(after, 1)).await.unwrap();
                let items = found.items.into_iter();
                listed.extend(items.map(|one| ((one.account, one.share), one.role, one.reasons)));
                after = found.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(listed, expected, "{name}, {default:?}");
        }
    }
    let open = d
        .share_users(tenant, path("acct2", "projects"), &Page::first())
        .await
        .unwrap()
        .items;
    let erin = open
        .iter()
        .find(|one| one.user.account_name == "erin")
        .unwrap();
    assert!(
        erin.reasons.iter().any(
            |reason| matches!(&reason.via, Via::Group(path) if path[0].name == "Domain Users")
        ),
        "{erin:?}"
    );
    assert_eq!(guid(30), erin.user.guid);
}

/// F22: the shares of all accounts are listed in pages, with their grants, and those of another tenant are not.
#[tokio::test]
async fn f22_the_shares_of_a_tenant_are_listed_in_pages() {
    let (world, tenant) = world_with_shares().await;
    let d = &world.directory;
    d.grant(
        &by(),
        tenant,
        path("acct2", "open"),
        "alice",
        ShareRole::Reader,
    )
    .await
    .unwrap();
    d.delete_share(&by(), tenant, path("acct1", "empty"))
        .await
        .unwrap();
    let second = world.tenant("fabrikam").await.id;
    for limit in [1, 2, 3, 1000] {
        let (mut names, mut after) = (Vec::new(), None);
        loop {
            let found = d.tenant_shares(tenant, &page(after, limit)).await.unwrap();
            let shown = found.items.iter();
            names.extend(
                shown.map(|one| format!("{}/{}: {}", one.account, one.name, one.grants.len())),
            );
            after = found.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(
            names,
            [
                "acct1/HR: 0",
                "acct1/projects: 0",
                "acct2/open: 1",
                "acct2/projects: 0"
            ]
        );
    }
    assert_eq!(
        d.tenant_shares(second, &Page::first()).await.unwrap().items,
        []
    );
    assert!(
        d.share_users(second, path("acct1", "projects"), &Page::first())
            .await
            .is_err()
    );
    assert!(
        d.user_shares(second, "alice", &Page::first())
            .await
            .is_err()
    );
    let bad = page(Some("no-slash".into()), 10);
    assert!(d.tenant_shares(tenant, &bad).await.is_err());
}
