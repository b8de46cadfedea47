//! S10: rows that grant rights are authentic, or grant nothing. The attacker writes to the database and lacks the master key.

use crate::support::{World, by, open, path, people};
use crossrealm_directory::{
    Directory, DirectoryError, EventFilter, MasterKey, MasterKeyError, NameScope, NewToken,
    TenantInfo, TokenRole,
};
use crossrealm_types::{AdministratorRole, ShareRole, StorageAccountCreate};

async fn token(d: &Directory, role: AdministratorRole, tenant: &TenantInfo) -> String {
    let new = NewToken {
        tenant: Some(tenant.id),
        role: TokenRole::Administrator(role),
        name: "reader".into(),
        expires_at: Some(4_000_000_000),
    };
    d.create_token(&by(), new).await.unwrap().0.to_string()
}

async fn tamper(world: &World, statement: &str) {
    let done = sqlx::query(sqlx::AssertSqlSafe(statement.to_owned()))
        .execute(&mut world.raw().await)
        .await
        .unwrap();
    assert!(done.rows_affected() > 0, "{statement}");
}

async fn refused_rows(d: &Directory) -> Vec<String> {
    let all = EventFilter {
        limit: 1000,
        ..EventFilter::default()
    };
    let events = d.events(&all).await.unwrap();
    let refused = events.into_iter().map(|event| event.event);
    refused
        .filter(|event| event.action == "row.refuse" && event.reason == "row-not-authentic")
        .map(|event| event.target)
        .collect()
}

/// S10: every column that decides what a token grants is authenticated.
#[tokio::test]
async fn a_token_that_was_changed_in_the_database_is_refused_and_reported() {
    let world = World::new().await;
    let d = &world.directory;
    let tenant = world.tenant("contoso").await;
    let other = world.tenant("fabrikam").await;
    token(d, AdministratorRole::GlobalAdministrator, &other).await;
    let changes = [
        "UPDATE tokens SET role = 'global-administrator' WHERE name = 'reader'",
        "UPDATE tokens SET tenant_id = NULL WHERE name = 'reader'",
        "UPDATE tokens SET tenant_id = (SELECT id FROM tenants WHERE name = 'fabrikam') WHERE role = 'reader'",
        "UPDATE tokens SET role = 'connector', scope = 'corp.contoso.com', rotate_trust = 1 WHERE role = 'reader'",
        "UPDATE tokens SET expires_at = NULL WHERE role = 'reader'",
        "UPDATE tokens SET name = 'alice@corp.contoso.com' WHERE role = 'reader'",
        "UPDATE tokens SET tag = NULL WHERE role = 'reader'",
        "UPDATE tokens SET tag = (SELECT tag FROM tokens WHERE role = 'global-administrator' AND name = 'reader') WHERE role = 'reader'",
    ];
    for (place, change) in changes.into_iter().enumerate() {
        let reader = token(d, AdministratorRole::Reader, &tenant).await;
        assert!(d.verify_token(&reader).await.unwrap().is_some());
        tamper(&world, change).await;
        assert_eq!(d.verify_token(&reader).await.unwrap(), None, "{change}");
        assert_eq!(d.verify_token(&reader).await.unwrap(), None, "{change}");
        assert_eq!(refused_rows(d).await.len(), place + 1, "{change}");
        tamper(&world, "DELETE FROM tokens WHERE tag IS NULL OR role <> 'global-administrator' OR tenant_id <> (SELECT id FROM tenants WHERE name = 'fabrikam')").await;
    }
}

/// S10: a revocation cannot be undone by clearing its time.
#[tokio::test]
async fn a_revoked_token_is_not_revived_by_the_database() {
    let world = World::new().await;
    let d = &world.directory;
    let tenant = world.tenant("contoso").await;
    let reader = token(d, AdministratorRole::Reader, &tenant).await;
    let id = d.verify_token(&reader).await.unwrap().unwrap().id;
    d.revoke_token(&by(), Some(tenant.id), id).await.unwrap();
    tamper(&world, "UPDATE tokens SET revoked_at = NULL").await;
    assert_eq!(d.verify_token(&reader).await.unwrap(), None);
    assert!(!d.token_lives(id).await.unwrap());
}

/// S10: an administrator that was inserted or promoted is unknown, and does not keep the name from being given.
#[tokio::test]
async fn an_administrator_that_the_installation_did_not_write_is_unknown() {
    let world = World::new().await;
    let d = &world.directory;
    let tenant = world.tenant("contoso").await;
    let upn = "alice@contoso.com";
    for change in [
        "UPDATE administrators SET role = 'global-administrator'",
        "UPDATE administrators SET tenant_id = NULL",
        "UPDATE administrators SET code_hash = NULL, password = code_hash",
        "UPDATE administrators SET code_expires_at = 4000000000",
    ] {
        d.create_administrator(&by(), Some(tenant.id), upn, AdministratorRole::Reader)
            .await
            .unwrap();
        assert_eq!(d.administrators(None).await.unwrap().len(), 1);
        tamper(&world, change).await;
        assert_eq!(d.administrators(None).await.unwrap(), [], "{change}");
        assert!(
            d.reset_administrator(&by(), None, upn).await.is_err(),
            "{change}"
        );
    }
    assert_eq!(refused_rows(d).await.len(), 4);
}

/// S10: hosts serve only grants and default roles that an administrator gave.
#[tokio::test]
async fn grants_and_default_roles_of_somebody_else_are_not_served() {
    let world = World::new().await;
    let d = &world.directory;
    let tenant = world.tenant("contoso").await.id;
    people(d, tenant).await;
    for name in ["acct1", "acct2"] {
        let new = StorageAccountCreate {
            name: name.into(),
            aliases: Vec::new(),
        };
        d.create_storage_account(&by(), tenant, new, NameScope::Free)
            .await
            .unwrap();
        d.create_share(&by(), tenant, path(name, "projects"), None)
            .await
            .unwrap();
    }
    let share = path("acct1", "projects");
    let reader = ShareRole::Reader;
    for user in ["alice", "bob"] {
        d.grant(&by(), tenant, share, user, reader).await.unwrap();
    }
    d.set_default_role(&by(), tenant, "acct1", Some(reader))
        .await
        .unwrap();
    let state = d.host_state(tenant, "acct1").await.unwrap();
    assert_eq!(state.shares[0].grants.len(), 2);
    assert_eq!(state.account.default_role, Some(reader));

    for statement in [
        "UPDATE grants SET role = 'elevated-contributor' WHERE guid = (SELECT guid FROM identities WHERE account_name = 'bob')",
        "INSERT INTO grants (share_id, tenant_id, guid, role, created_at, tag)
         SELECT (SELECT s.id FROM shares s JOIN storage_accounts a ON a.id = s.account_id WHERE a.name = 'acct2'),
         tenant_id, guid, role, created_at, tag FROM grants",
        "UPDATE storage_accounts SET default_role = 'elevated-contributor' WHERE name = 'acct1'",
        "UPDATE storage_accounts SET default_role = 'reader', tag = (SELECT tag FROM storage_accounts WHERE name = 'acct1') WHERE name = 'acct2'",
    ] {
        tamper(&world, statement).await;
    }
    let state = d.host_state(tenant, "acct1").await.unwrap();
    let names: Vec<&str> = state.shares[0]
        .grants
        .iter()
        .map(|grant| grant.identity.name.as_str())
        .collect();
    assert_eq!(names, ["alice@corp.contoso.com"]);
    assert_eq!(state.account.default_role, None);
    let state = d.host_state(tenant, "acct2").await.unwrap();
    assert_eq!(state.shares[0].grants, []);
    assert_eq!(state.account.default_role, None);
    let access = d.share_access(tenant, share, "bob").await.unwrap();
    assert_eq!(access.role, None);
    assert_eq!(d.verify_token("unknown").await.unwrap(), None);
    assert!(d.administrators(None).await.unwrap().is_empty());
    assert_eq!(refused_rows(d).await.len(), 5);
}

/// S8: after a rotation the old master key opens nothing; what it sealed and authenticated goes on, and what it did not is refused as
/// before.
#[tokio::test]
async fn s8_a_rotated_master_key_carries_over_what_was_authentic_and_nothing_else() {
    let world = World::new().await;
    let d = &world.directory;
    let tenant = world.tenant("contoso").await;
    let account = StorageAccountCreate {
        name: "acct1".into(),
        aliases: Vec::new(),
    };
    d.create_storage_account(&by(), tenant.id, account, NameScope::Free)
        .await
        .unwrap();
    let keytab = async |d: &Directory| {
        let keys = d.storage_account_keytab(&by(), tenant.id, "acct1").await;
        let keys = keys.unwrap().keys;
        keys.iter()
            .map(|key| key.key.as_bytes().to_vec())
            .collect::<Vec<_>>()
    };
    let keys = keytab(d).await;
    let good = token(d, AdministratorRole::Reader, &tenant).await;
    let forged = token(d, AdministratorRole::StorageAdministrator, &tenant).await;
    tamper(
        &world,
        "UPDATE tokens SET role = 'global-administrator' WHERE role = 'storage-administrator'",
    )
    .await;
    let new = MasterKey::from_bytes([8; 32]);
    let resealed = d.clone().rotate_master_key(&new).await.unwrap();
    // The realm's key, and two of the account.
    assert_eq!(resealed.kerberos_keys, 3);
    assert!(matches!(
        open(world.url(), 7).await.err(),
        Some(DirectoryError::MasterKey(MasterKeyError::Wrong { .. }))
    ));
    let d = open(world.url(), 8).await.unwrap();
    assert_eq!(keytab(&d).await, keys);
    assert!(d.verify_token(&good).await.unwrap().is_some());
    assert_eq!(d.verify_token(&forged).await.unwrap(), None);
    let all = EventFilter {
        limit: 1000,
        ..EventFilter::default()
    };
    let events = d.events(&all).await.unwrap();
    assert!(
        events
            .iter()
            .any(|event| event.event.action == "master-key.rotate")
    );
}
