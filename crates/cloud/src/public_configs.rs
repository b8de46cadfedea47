//! What clients are configured with, kept for callers without a token: it bounds what anyone can make the database do.

use crossrealm_api::ClientConfig;
use crossrealm_kdc::TenantId;
use moka::future::Cache;
use std::sync::Arc;
use std::time::Duration;

/// How long an answer may be out of date.
const FRESH_FOR: Duration = Duration::from_secs(10);
/// What the answers may take together, in bytes.
const MAX_CACHED_BYTES: u64 = 4 << 20;
/// What an answer takes beside its lists, in bytes.
const ANSWER_BYTES: usize = 2048;
/// What a host takes: a DNS name of 253 bytes, with its allocation.
const HOST_BYTES: usize = 300;
/// What an AD realm takes: its two names, its flat name and its SID.
const REALM_BYTES: usize = 768;

/// The answers of the last seconds, one for each tenant.
#[derive(Debug)]
pub(crate) struct PublicConfigs(Cache<TenantId, Arc<ClientConfig>>);

impl Default for PublicConfigs {
    fn default() -> Self {
        let cache = Cache::builder()
            .time_to_live(FRESH_FOR)
            .weigher(|_, config: &Arc<ClientConfig>| weight(config))
            .max_capacity(MAX_CACHED_BYTES);
        Self(cache.build())
    }
}

impl PublicConfigs {
    /// The answer for a tenant; `load` is called where there is none, once for all that ask at the same time.
    pub(crate) async fn get_or<E: Send + Sync + 'static>(
        &self,
        tenant: TenantId,
        load: impl Future<Output = Result<ClientConfig, E>>,
    ) -> Result<ClientConfig, Arc<E>> {
        let load = async { load.await.map(Arc::new) };
        let config = self.0.try_get_with(tenant, load).await?;
        Ok(config.as_ref().clone())
    }
}

fn weight(config: &ClientConfig) -> u32 {
    let bytes =
        ANSWER_BYTES + HOST_BYTES * config.hosts.len() + REALM_BYTES * config.ad_realms.len();
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
