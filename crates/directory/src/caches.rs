//! The caches of the answers to the KDC. Each is bounded in bytes, by an estimate of what its entries take, and all of them
//! together by [`MAX_CACHED_BYTES`].

use crate::tenant_info::TenantInfo;
use crossrealm_kdc::{
    Forest, ForestDomain, Identity, Service, ServiceName, Tenant, TenantId, Trust, TrustKey,
};
use crossrealm_krb::crypto::Key;
use crossrealm_types::Sid;
use moka::Expiry;
use moka::future::{Cache, CacheBuilder};
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How long a mark that was read is trusted. It bounds how late another node's change is seen.
const FRESH_FOR: Duration = Duration::from_millis(500);

/// How long an unused entry is kept.
const IDLE: Duration = Duration::from_secs(600);
/// How long it is remembered that there is no such record. Any user of a domain can ask for names that do not exist.
const ABSENT: Duration = Duration::from_secs(5);

/// What the cache itself takes for an entry: its place in the table, in two lists and in the timer.
const ENTRY: usize = 400;
/// A SID, with its allocation.
const SID: usize = 64;
/// A key with its version, with its allocation.
const KEY: usize = 112;

/// What each cache may take, in bytes.
const CHANGES: u64 = 2 << 20;
const CONFIGURATIONS: u64 = 8 << 20;
const SERVICES: u64 = 6 << 20;
const IDENTITIES: u64 = 24 << 20;
const LABELS: u64 = 2 << 20;
const DERIVED: u64 = 2 << 20;
/// What all caches may take together, in bytes.
pub const MAX_CACHED_BYTES: u64 =
    CHANGES + CONFIGURATIONS + SERVICES + IDENTITIES + LABELS + DERIVED;

/// The change marks of a tenant: every change renews one at random.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ChangeMarks {
    pub(crate) configuration: i64,
    pub(crate) identities: i64,
}

/// The part of a tenant that its configuration mark covers.
pub(crate) struct Configuration {
    pub(crate) tenant: Arc<Tenant>,
    pub(crate) trusts: Vec<Arc<Trust>>,
    /// The first second in which a replaced key must no longer be returned, or another one encrypts.
    pub(crate) valid_before: i64,
}

/// A cache that every ticket request asks.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CacheName {
    Changes,
    Configurations,
    Services,
    Identities,
}

/// How often each cache had what was asked for, and how often not.
#[derive(Default)]
struct Counts {
    hits: [AtomicU64; 4],
    misses: [AtomicU64; 4],
}

/// The caches. All of them are bounded.
pub(crate) struct Caches {
    counts: Counts,
    /// Increases with each change made by this node; part of every key below that has no mark.
    epoch: AtomicU64,
    pub(crate) changes: Cache<(u64, TenantId), ChangeMarks>,
    pub(crate) configurations: Cache<(TenantId, i64), Arc<Configuration>>,
    pub(crate) services: Cache<(TenantId, i64, ServiceName), Option<Arc<Service>>>,
    pub(crate) identities: Cache<(TenantId, i64, Sid), Option<Arc<Identity>>>,
    labels: Cache<(u64, String), Option<Arc<TenantInfo>>>,
    /// Trust keys by trust and sealed password: deriving a key from a password is costly. A version may come to mean another
    /// password where a database goes back in time.
    pub(crate) derived: Cache<(Uuid, Vec<u8>), Arc<[Key]>>,
}

impl Caches {
    pub(crate) fn new() -> Self {
        Self {
            counts: Counts::default(),
            epoch: AtomicU64::new(0),
            changes: bounded(CHANGES, |_, _| 0).time_to_live(FRESH_FOR).build(),
            configurations: bounded(CONFIGURATIONS, |_, found| configuration_len(found))
                .time_to_idle(IDLE)
                .build(),
            services: bounded(
                SERVICES,
                |(_, _, name): &(_, _, ServiceName), found: &Option<Arc<Service>>| {
                    name.class.len() + name.host.len() + found.as_deref().map_or(0, service_len)
                },
            )
            .expire_after(AbsentIsShort)
            .build(),
            identities: bounded(IDENTITIES, |_, found: &Option<Arc<Identity>>| {
                SID + found.as_deref().map_or(0, identity_len)
            })
            .expire_after(AbsentIsShort)
            .build(),
            labels: bounded(
                LABELS,
                |(_, text): &(u64, String), found: &Option<Arc<TenantInfo>>| {
                    text.len() + found.as_deref().map_or(0, tenant_len)
                },
            )
            .time_to_live(Duration::from_secs(1))
            .build(),
            derived: bounded(DERIVED, |(_, sealed): &(_, Vec<u8>), keys: &Arc<[Key]>| {
                sealed.len() + KEY * keys.len()
            })
            .time_to_idle(IDLE)
            .build(),
        }
    }

    /// Counts a lookup of a ticket request, and returns what it found.
    pub(crate) fn counted<T>(&self, cache: CacheName, found: Option<T>) -> Option<T> {
        let count = match found {
            Some(_) => &self.counts.hits,
            None => &self.counts.misses,
        };
        if let Some(count) = count.get(cache as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        found
    }

    /// See [`Directory::cache_use`](crate::Directory::cache_use).
    pub(crate) fn in_use(&self) -> Vec<(&'static str, u64, u64, u64)> {
        let read = |counts: &[AtomicU64; 4], cache: CacheName| {
            counts
                .get(cache as usize)
                .map_or(0, |count| count.load(Ordering::Relaxed))
        };
        [
            (CacheName::Changes, "changes", self.changes.weighted_size()),
            (
                CacheName::Configurations,
                "configurations",
                self.configurations.weighted_size(),
            ),
            (
                CacheName::Services,
                "services",
                self.services.weighted_size(),
            ),
            (
                CacheName::Identities,
                "identities",
                self.identities.weighted_size(),
            ),
        ]
        .map(|(cache, name, bytes)| {
            let hits = read(&self.counts.hits, cache);
            (name, hits, read(&self.counts.misses, cache), bytes)
        })
        .to_vec()
    }

    /// This node changed something: marks that were read before are no longer used.
    pub(crate) fn invalidate(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// The number of changes by this node. Read it before the database, and store it with what was read.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    pub(crate) async fn label(&self, text: &str) -> Option<Option<Arc<TenantInfo>>> {
        self.labels.get(&(self.epoch(), text.to_owned())).await
    }

    pub(crate) async fn keep_label(
        &self,
        epoch: u64,
        text: String,
        found: Option<Arc<TenantInfo>>,
    ) {
        self.labels.insert((epoch, text), found).await;
    }
}

/// A cache that holds entries of at most `max_bytes`. `len` estimates what an entry takes beside itself and the cache's own
/// records of it.
fn bounded<K, V>(
    max_bytes: u64,
    len: impl Fn(&K, &V) -> usize + Send + Sync + 'static,
) -> CacheBuilder<K, V, Cache<K, V>>
where
    K: Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    let fixed = ENTRY + size_of::<K>() + size_of::<V>();
    Cache::builder()
        .max_capacity(max_bytes)
        .weigher(move |key, value| u32::try_from(fixed + len(key, value)).unwrap_or(u32::MAX))
}

fn configuration_len(found: &Arc<Configuration>) -> usize {
    let tenant = &found.tenant;
    let domains = |domains: &[ForestDomain]| -> usize {
        let len = |domain: &ForestDomain| {
            size_of::<ForestDomain>()
                + SID
                + domain.realm.len()
                + domain.dns_name.len()
                + domain.flat_name.len()
        };
        domains.iter().map(len).sum()
    };
    let trust = |trust: &Arc<Trust>| {
        let keys = trust
            .keys
            .iter()
            .map(|key| size_of::<TrustKey>() + KEY * key.keys.len());
        size_of::<Trust>()
            + trust.realm.len()
            + domains(&trust.forest.domains)
            + keys.sum::<usize>()
    };
    size_of::<Configuration>()
        + size_of::<Tenant>()
        + tenant.name.len()
        + tenant.realm.len()
        + KEY * tenant.krbtgt_keys.len()
        + tenant
            .forests
            .iter()
            .map(|forest| size_of::<Forest>() + domains(&forest.domains))
            .sum::<usize>()
        + found.trusts.iter().map(trust).sum::<usize>()
}

fn service_len(service: &Service) -> usize {
    size_of::<Service>() + service.name.len() + KEY * service.keys.len()
}

fn identity_len(identity: &Identity) -> usize {
    let texts = [
        &identity.account_name,
        &identity.upn,
        &identity.display_name,
        &identity.domain_dns_name,
        &identity.domain_flat_name,
    ];
    size_of::<Identity>()
        + texts.iter().map(|text| text.len()).sum::<usize>()
        + SID * (1 + identity.groups.len())
}

fn tenant_len(tenant: &TenantInfo) -> usize {
    let names = tenant.top_level_names.iter();
    size_of::<TenantInfo>()
        + SID
        + tenant.name.len()
        + tenant.domain.len()
        + tenant.realm.len()
        + tenant.flat_name.len()
        + names
            .map(|name| size_of::<String>() + name.len())
            .sum::<usize>()
}

/// Records that exist are kept while they are used, the absence of one for [`ABSENT`].
struct AbsentIsShort;

impl<K, V> Expiry<K, Option<V>> for AbsentIsShort {
    fn expire_after_create(&self, _: &K, found: &Option<V>, _: Instant) -> Option<Duration> {
        Some(if found.is_some() { IDLE } else { ABSENT })
    }

    fn expire_after_read(
        &self,
        _: &K,
        found: &Option<V>,
        _: Instant,
        left: Option<Duration>,
        _: Instant,
    ) -> Option<Duration> {
        if found.is_some() { Some(IDLE) } else { left }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// S3: names of services that do not exist fill no more than their share, however many are asked for.
    #[tokio::test]
    async fn absent_services_are_bounded_in_bytes() {
        let caches = Caches::new();
        for n in 0..20_000 {
            let name = ServiceName::new("cifs", &format!("{n:0>253}"));
            caches
                .services
                .insert((TenantId([1; 16]), 1, name), None)
                .await;
        }
        caches.services.run_pending_tasks().await;
        assert!(caches.services.entry_count() > 1000);
        assert!(caches.services.weighted_size() <= SERVICES);
    }

    /// S3: an entry is weighed with everything it refers to.
    #[tokio::test]
    async fn identities_in_many_groups_are_bounded_in_bytes() {
        let caches = Caches::new();
        let sid = |n: u32| format!("S-1-5-21-1-2-3-{n}").parse::<Sid>().unwrap();
        let identity = |n| {
            Arc::new(Identity {
                sid: sid(n),
                kind: crossrealm_types::IdentityKind::User,
                source: crossrealm_types::IdentitySource::Hybrid,
                state: crossrealm_types::IdentityState::Enabled,
                account_name: "alice".into(),
                upn: "alice@corp.contoso.com".into(),
                display_name: String::new(),
                domain_dns_name: "corp.contoso.com".into(),
                domain_flat_name: "CORP".into(),
                primary_group_rid: 513,
                groups: (0..4096).map(sid).collect(),
            })
        };
        for n in 0..200 {
            let key = (TenantId([1; 16]), 1, sid(n));
            caches.identities.insert(key, Some(identity(n))).await;
        }
        caches.identities.run_pending_tasks().await;
        let most = IDENTITIES / (4096 * SID as u64);
        assert!((1..=most).contains(&caches.identities.entry_count()));
    }
}
