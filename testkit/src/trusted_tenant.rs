//! The tenant `contoso` with a trust, a storage account and alice, made through the REST API of a running service, and
//! the [`TwoRealms`] that issues her referrals with the trust key of that service.

use crate::two_realms::{AD_REALM, TENANT_REALM, TwoRealms};
use crossrealm_api::{
    ApplyIdentities, Client, ClientError, IdentityChange, SyncDomain, TenantCreate,
};
use crossrealm_kdc::Now;
use crossrealm_krb::crypto::{Enctype, Key};
use crossrealm_os::clock;
use crossrealm_types::{
    IdentityKind, IdentityState, PrepareTrust, StorageAccountCreate, SyncedIdentity,
};
use uuid::Uuid;

/// The tenant.
pub const TENANT: &str = "contoso";
/// The AD domain it trusts.
pub const DOMAIN: &str = "corp.contoso.com";
/// Its storage account.
pub const ACCOUNT: &str = "acct1";

/// Creates the tenant with its trust and its storage account. The returned realms hold the trust key that the service
/// generated, and the time of now.
///
/// # Errors
/// What the service refuses.
pub async fn create(admin: &Client) -> Result<TwoRealms, ClientError> {
    let wanted = TenantCreate {
        name: TENANT.into(),
        ..TenantCreate::default()
    };
    admin.create_tenant(&wanted).await?;
    let mut realms = TwoRealms::new();
    realms.now = now();
    let prepare = prepare_trust(&realms);
    let prepared = admin.prepare_trust(TENANT, DOMAIN, &prepare).await?;
    realms.trust_key = trust_key(prepared.secret.expose(), Enctype::Aes256Sha1);
    let account = StorageAccountCreate {
        name: ACCOUNT.into(),
        aliases: vec![],
    };
    admin.create_storage_account(TENANT, &account).await?;
    Ok(realms)
}

/// The request for the trust with the AD forest of `realms`, without a rotation.
pub fn prepare_trust(realms: &TwoRealms) -> PrepareTrust {
    let domain = sync_domain(realms);
    PrepareTrust {
        realm: AD_REALM.into(),
        flat_name: domain.flat_name,
        sid: domain.sid,
        top_level_names: vec![],
        rotate: false,
    }
}

/// The key of this encryption type that a domain controller derives from the trust password, with the salt of
/// [MS-KILE] 3.1.1.2.
pub fn trust_key(password: &str, enctype: Enctype) -> Key {
    let salt = format!("{AD_REALM}krbtgt{TENANT_REALM}");
    Key::from_password(enctype, password, &salt, None).expect("AES keys take any password")
}

/// Alice as AD holds her.
pub fn alice(realms: &TwoRealms) -> SyncedIdentity {
    let alice = realms.identities.first().expect("alice is always there");
    SyncedIdentity {
        object_guid: Uuid::from_u128(0x1111_1111_1111_1111_1111_1111_1111_1111),
        kind: IdentityKind::User,
        sid: alice.sid.clone(),
        account_name: alice.account_name.clone(),
        upn: alice.upn.clone(),
        display_name: alice.display_name.clone(),
        state: IdentityState::Enabled,
        disabled_reason: None,
        primary_group_rid: 513,
        members: vec![],
        more_members: false,
    }
}

/// Writes `changes` as the last batch of a sync run.
///
/// # Errors
/// What the service refuses.
///
/// # Panics
/// If a single change was refused.
pub async fn apply(
    admin: &Client,
    realms: &TwoRealms,
    changes: Vec<IdentityChange>,
) -> Result<(), ClientError> {
    let run = sync_run(sync_domain(realms), changes);
    let result = admin.apply_identities(TENANT, DOMAIN, &run).await?;
    assert_eq!(result.refused, [], "{result:?}");
    Ok(())
}

/// A sync run of one request with these changes.
pub fn sync_run(domain: SyncDomain, changes: Vec<IdentityChange>) -> ApplyIdentities {
    ApplyIdentities {
        run_id: Uuid::from_u128(0x9999_9999_9999_9999_9999_9999_9999_9999),
        domain,
        changes,
        skipped: 0,
        cursor: None,
        last: true,
        holder: None,
        previous_cursor: None,
        failures: Vec::new(),
        failed: 0,
        accept_deletions: None,
        incremental: false,
    }
}

/// The domain that [`apply`] writes for.
pub fn sync_domain(realms: &TwoRealms) -> SyncDomain {
    let domain = realms
        .trust
        .forest
        .domains
        .first()
        .expect("the forest's root");
    SyncDomain {
        dns_name: domain.dns_name.clone(),
        flat_name: domain.flat_name.clone(),
        sid: domain.sid.clone(),
    }
}

/// The time of the operating system's clock.
pub fn now() -> Now {
    Now {
        unix_s: clock::now_s(),
        micros: 0,
    }
}
