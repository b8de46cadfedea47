//! The tenant whose tickets are asked for: a trust, a storage account and alice, made through the API.

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crossrealm_api::{
    ApplyIdentities, IdentityChange, IdentityKind, IdentityState, PrepareTrust,
    StorageAccountCreate, SyncDomain, SyncedIdentity, TenantCreate,
};
use crossrealm_kdc::Now;
use crossrealm_kdc::two_realms::{AD_REALM, SHARE_HOST, TENANT_REALM, TwoRealms};
use crossrealm_krb::crypto::{Enctype, Key};
use crossrealm_krb::keytab::Keytab;
use crossrealm_krb::principal::Principal;

use crate::service::Service;

pub const TENANT: &str = "contoso";
const DOMAIN: &str = "corp.contoso.com";

/// A service with the tenant in it.
pub struct Ours {
    pub service: Service,
    /// The key that AD seals referrals with.
    pub trust: Key,
    /// The newest key of the storage account.
    pub account: Key,
}

impl Ours {
    /// Starts it.
    ///
    /// # Errors
    /// What the service refuses.
    pub async fn start(product: &Path) -> Result<Self, String> {
        let service = Service::start(product)?;
        let said = |error: crossrealm_api::ClientError| error.to_string();
        let admin = &service.admin;
        let wanted = TenantCreate {
            name: TENANT.into(),
            ..TenantCreate::default()
        };
        admin.create_tenant(&wanted).await.map_err(said)?;
        let world = TwoRealms::new();
        let domain = world
            .trust
            .domains
            .first()
            .ok_or("a world without a domain")?;
        let prepare = PrepareTrust {
            realm: AD_REALM.into(),
            flat_name: "CORP".into(),
            sid: domain.sid.to_string(),
            top_level_names: Vec::new(),
            rotate: false,
        };
        let prepared = admin
            .prepare_trust(TENANT, DOMAIN, &prepare)
            .await
            .map_err(said)?;
        let account = StorageAccountCreate {
            name: "acct1".into(),
            aliases: Vec::new(),
        };
        admin
            .create_storage_account(TENANT, &account)
            .await
            .map_err(said)?;
        let alice = world.identities.first().ok_or("a world without alice")?;
        let identity = SyncedIdentity {
            object_guid: "11111111-1111-1111-1111-111111111111".into(),
            kind: IdentityKind::User,
            sid: alice.sid.to_string(),
            account_name: "alice".into(),
            upn: alice.upn.clone(),
            display_name: alice.display_name.clone(),
            state: IdentityState::Enabled,
            disabled_reason: None,
            primary_group_rid: 513,
            members: Vec::new(),
            more_members: false,
        };
        let changes = ApplyIdentities {
            run_id: "99999999-9999-9999-9999-999999999999".into(),
            domain: SyncDomain {
                dns_name: DOMAIN.into(),
                flat_name: "CORP".into(),
                sid: domain.sid.to_string(),
            },
            changes: vec![IdentityChange::Upsert { identity }],
            last: true,
            ..ApplyIdentities::default()
        };
        admin
            .apply_identities(TENANT, DOMAIN, &changes)
            .await
            .map_err(said)?;
        let salt = format!("{AD_REALM}krbtgt{TENANT_REALM}");
        let trust = Key::from_password(Enctype::Aes256Sha1, prepared.secret.expose(), &salt, None);
        let keytab = admin
            .storage_account_keytab(TENANT, "acct1")
            .await
            .map_err(said)?;
        let account = account_key(keytab.keytab.expose()).ok_or("the keytab lacks the key")?;
        Ok(Self {
            service,
            trust: trust.map_err(|error| error.to_string())?,
            account,
        })
    }
}

/// The key with which tickets are sealed: version 1 until a rotation.
fn account_key(keytab: &[u8]) -> Option<Key> {
    let keytab = Keytab::from_bytes(keytab).ok()?;
    let name = Principal::parse(&format!("cifs/{SHARE_HOST}"), Some(TENANT_REALM)).ok()?;
    let entries = keytab.keys_of(&name);
    let entry = entries
        .iter()
        .find(|entry| entry.kvno == 1 && entry.key.enctype() == Enctype::Aes256Sha1)?;
    Some(entry.key.clone())
}

/// `count` requests for the share with a referral that is sealed with `trust`, under FAST armor as MIT's clients send them,
/// each with an authenticator and a nonce of its own.
pub fn requests(trust: &Key, count: usize) -> Arc<Vec<Vec<u8>>> {
    let mut world = TwoRealms::new();
    world.now = now();
    world.trust_key = trust.clone();
    let referral = world.referral();
    let ticket = world.seal(referral);
    let all = (0..count).map(|n| {
        let mut ask = world.ask();
        ask.fast = true;
        ask.body.nonce = 1_000 + n as i64;
        ask.authenticator.cusec = i32::try_from(n % 1_000_000).unwrap_or_default();
        world.request(ticket.clone(), ask)
    });
    Arc::new(all.collect())
}

/// The clock.
pub fn now() -> Now {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Now {
        unix_s: i64::try_from(since.as_secs()).unwrap_or_default(),
        micros: 0,
    }
}
