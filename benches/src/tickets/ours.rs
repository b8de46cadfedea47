//! The tenant whose tickets are asked for: a trust, a storage account and alice, made through the API.

use std::path::Path;
use std::sync::Arc;

use crossrealm_api::IdentityChange;
use crossrealm_krb::crypto::{Enctype, Key};
use crossrealm_krb::keytab::Keytab;
use crossrealm_krb::principal::Principal;
use crossrealm_testkit::trusted_tenant::{self, ACCOUNT, TENANT, now};
use crossrealm_testkit::two_realms::{SHARE_HOST, TENANT_REALM, TwoRealms};

use crate::service::Service;

/// A service with the tenant in it.
pub(crate) struct Ours {
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
    pub(crate) async fn start(product: &Path) -> Result<Self, String> {
        let service = Service::start(product)?;
        let said = |error: crossrealm_api::ClientError| error.to_string();
        let admin = &service.admin;
        let realms = trusted_tenant::create(admin).await.map_err(said)?;
        let identity = trusted_tenant::alice(&realms);
        let changes = vec![IdentityChange::Upsert { identity }];
        trusted_tenant::apply(admin, &realms, changes)
            .await
            .map_err(said)?;
        let keytab = admin
            .storage_account_keytab(TENANT, ACCOUNT)
            .await
            .map_err(said)?;
        let account = account_key(keytab.keytab.expose()).ok_or("the keytab lacks the key")?;
        Ok(Self {
            service,
            trust: realms.trust_key,
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
pub(crate) fn requests(trust: &Key, count: usize) -> Arc<Vec<Vec<u8>>> {
    let mut world = TwoRealms::new();
    world.now = now();
    world.trust_key = trust.clone();
    let referral = world.referral();
    let ticket = world.encrypt_referral(referral);
    let all = (0..count).map(|n| {
        let mut ask = world.request_draft();
        ask.fast = true;
        ask.body.nonce = 1_000 + n as i64;
        ask.authenticator.cusec = i32::try_from(n % 1_000_000).unwrap_or_default();
        world.request(ticket.clone(), ask)
    });
    Arc::new(all.collect())
}
