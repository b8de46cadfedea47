//! The answers to the KDC: from caches that are checked against the database's change marks; nothing is written.
//!
//! Every tenant has two change marks, one for its configuration (itself, its trusts, its services) and one for its
//! identities. Every writing transaction renews one first, at random. Cache entries are stored under the mark they were
//! read at, so that a renewed mark invalidates them. A mark itself is trusted for
//! [`FRESH_FOR`](crate::caches), and not at all after a change made by this node.

use crate::caches::{CacheName, ChangeMarks, Configuration};
use crate::db::columns::{col, col_sid, col_uuid, col_word, tenant_blob};
use crate::db::health::Failing;
use crate::db::statement::sql;
use crate::directory::Directory;
use crate::error::{DirectoryError, RecordKind, Result};
use crate::identities::find::by_sid;
use crate::identities::rows::{IdentityInfo, primary_group_sid};
use crate::names::{self, visible};
use crate::readiness::heartbeats_of;
use crate::service_keys::{Owner, realm_keys, service_keys};
use crate::storage::service_names::service_name;
use crate::store_fault::StoreFault;
use crate::tenant_info::TenantInfo;
use crate::tenants::domains::load_domains;
use crate::tenants::model::load_tenant;
use crate::trusts::secrets;
use crate::trusts::secrets::StoredSecret;
use crate::trusts::{self, generation};
use crossrealm_kdc::{
    Forest, ForestDomain, Identity, KeyState, Lookups, Records, Service, ServiceName, Tenant,
    TenantId, Trust, TrustGeneration, TrustKey, Wanted,
};
use crossrealm_krb::crypto::{Enctype, Key};
use crossrealm_os::clock::now_s;
use crossrealm_types::{IdentityKind, Sid, TrustKeyState};
use sqlx::AnyConnection;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout;
use uuid::Uuid;

/// How long an exchange waits for the directory.
const PATIENCE: Duration = Duration::from_secs(3);

/// The KDC refuses identities with more group SIDs than this, so no more are read.
const MAX_GROUPS: i64 = 4096;

impl Directory {
    /// Answers the exchange. If the database does not answer in time, or a key in it cannot be unsealed, this is
    /// [`Records::Unavailable`]; it never fails otherwise. A change made by this node is seen from the next call on,
    /// one made by another node within a second.
    pub async fn records(&self, lookups: &Lookups) -> Records {
        match timeout(PATIENCE, self.answer(lookups)).await {
            Ok(Ok(records)) => records,
            Ok(Err(error)) => {
                self.note_read(&error);
                tracing::error!(tenant = %lookups.tenant, %error, "the directory cannot answer the KDC");
                Records::Unavailable(error.to_string())
            }
            Err(_) => {
                self.observed().failed(StoreFault::Unreachable);
                Records::Unavailable("the database did not answer in time".to_owned())
            }
        }
    }

    async fn answer(&self, lookups: &Lookups) -> Result<Records> {
        // Records that changes cannot reach.
        if let Some(Failing { duration, fault }) = self.health().forbids_tickets(Instant::now()) {
            return Err(DirectoryError::Unwritable { duration, fault });
        }
        let tenant = lookups.tenant;
        let changes = self.changes(tenant).await?;
        Ok(match &lookups.wanted {
            Wanted::Parties { issuer } => {
                let configuration = self.configuration(tenant, changes).await?;
                let trust = configuration
                    .trusts
                    .iter()
                    .find(|trust| trust.realm.eq_ignore_ascii_case(issuer));
                Records::Parties {
                    tenant: configuration.tenant.clone(),
                    trust: trust.cloned(),
                }
            }
            Wanted::Grant { sid, service } => Records::Grant {
                identity: self.identity(tenant, changes, sid).await?,
                service: self.service(tenant, changes, service).await?,
            },
        })
    }

    async fn changes(&self, tenant: TenantId) -> Result<ChangeMarks> {
        let key = (self.caches().epoch(), tenant);
        let known = self.caches().changes.get(&key).await;
        if let Some(known) = self.caches().counted(CacheName::Changes, known) {
            return Ok(known);
        }
        // Known before it is read: what is read later holds at least as many.
        let written = self.health().last_beat();
        let row = sql("SELECT parties_change, identities_change,
             (SELECT value FROM meta WHERE name = 'heartbeats') AS heartbeats
             FROM tenants WHERE id = $1")
        .bind(tenant_blob(tenant))
        .fetch_optional(self.readers())
        .await?
        .ok_or_else(|| DirectoryError::not_found(RecordKind::Tenant, tenant))?;
        let held = col::<Option<Vec<u8>>>(&row, "heartbeats")?.map(heartbeats_of);
        if written > held.transpose()? {
            // The next heartbeat lets the domains wait for a full sync. Until then this node alone knows of it.
            return Err(DirectoryError::WentBack);
        }
        let changes = ChangeMarks {
            configuration: col(&row, "parties_change")?,
            identities: col(&row, "identities_change")?,
        };
        self.caches().changes.insert(key, changes).await;
        Ok(changes)
    }

    async fn configuration(
        &self,
        tenant: TenantId,
        changes: ChangeMarks,
    ) -> Result<Arc<Configuration>> {
        let key = (tenant, changes.configuration);
        let known = self.caches().configurations.get(&key).await;
        let valid = known.filter(|known| now_s() < known.valid_before);
        if let Some(known) = self.caches().counted(CacheName::Configurations, valid) {
            return Ok(known);
        }
        // One snapshot: the keys and the domains of a trust belong together.
        let mut conn = self.snapshot().await?;
        let info = load_tenant(&mut conn, tenant).await?;
        let now = now_s();
        let mut trusts = Vec::new();
        let (krbtgt_keys, mut valid_before) =
            realm_keys(&mut conn, self.sealer(), tenant, now).await?;
        for domain in trusts::trusted_domains(&mut conn, tenant).await? {
            if let Some((id, row)) = trusts::find(&mut conn, tenant, &domain).await? {
                let (trust, until) = self
                    .trust_record(&mut conn, &info, (id, generation(&row)?), &domain)
                    .await?;
                trusts.push(Arc::new(trust));
                valid_before = valid_before.min(until);
            }
        }
        let configuration = Arc::new(Configuration {
            tenant: Arc::new(Tenant {
                id: tenant,
                krbtgt_keys,
                name: info.name,
                realm: info.realm,
                policy: info.policy,
                forests: trusts.iter().map(|trust| trust.forest.clone()).collect(),
            }),
            trusts,
            valid_before,
        });
        self.caches()
            .configurations
            .insert(key, configuration.clone())
            .await;
        Ok(configuration)
    }

    /// A trust with the keys that still decrypt tickets, and the first second in which one of them no longer does.
    async fn trust_record(
        &self,
        conn: &mut AnyConnection,
        tenant: &TenantInfo,
        (id, generation): (Uuid, TrustGeneration),
        domain: &str,
    ) -> Result<(Trust, i64)> {
        let now = now_s();
        let realm = domain.to_ascii_uppercase();
        let domains = load_domains(conn, tenant.id)
            .await?
            .into_iter()
            .filter(|member| member.forest_root == domain)
            .map(|member| ForestDomain {
                realm: member.realm,
                dns_name: member.dns_name,
                flat_name: member.flat_name,
                sid: member.sid,
            })
            .collect();
        let mut keys = Vec::new();
        let mut valid_before = i64::MAX;
        for secret in secrets::secrets(conn, id).await? {
            let state = match (secret.info.state, secret.info.retires_at) {
                // AD may encrypt with a pending version as soon as it holds it, before that is confirmed.
                (TrustKeyState::Pending | TrustKeyState::Current, _) => KeyState::Current,
                (_, None) => continue,
                (_, Some(until)) if until < now => continue,
                (TrustKeyState::Previous, Some(until)) => KeyState::Previous { until },
                (TrustKeyState::Retired, Some(until)) => KeyState::Retired { until },
            };
            if let KeyState::Previous { until } | KeyState::Retired { until } = state {
                valid_before = valid_before.min(until.saturating_add(1));
            }
            keys.push(TrustKey {
                version: secret.info.version,
                state,
                keys: self.derived(tenant, id, &realm, &secret).await?.to_vec(),
            });
        }
        let trust = Trust {
            realm,
            forest: Forest {
                generation,
                domains,
            },
            keys,
        };
        Ok((trust, valid_before))
    }

    /// The keys of a trust password. Derived once: it costs thousands of hashes.
    async fn derived(
        &self,
        tenant: &TenantInfo,
        trust: Uuid,
        ad_realm: &str,
        secret: &StoredSecret,
    ) -> Result<Arc<[Key]>> {
        let key = (trust, secret.sealed.clone());
        if let Some(known) = self.caches().derived.get(&key).await {
            return Ok(known);
        }
        let password = secret.open(self.sealer(), tenant.id, trust)?;
        let salt = format!("{ad_realm}krbtgt{}", tenant.realm.to_ascii_uppercase());
        let derive = move || {
            [Enctype::Aes256Sha1, Enctype::Aes128Sha1]
                .into_iter()
                .map(|enctype| Key::from_password(enctype, &password, &salt, None))
                .collect::<std::result::Result<Vec<Key>, _>>()
        };
        let keys: Arc<[Key]> = tokio::task::spawn_blocking(derive)
            .await
            .map_err(|error| DirectoryError::damaged("trust password", error))?
            .map_err(|error| DirectoryError::damaged("trust password", error))?
            .into();
        self.caches().derived.insert(key, keys.clone()).await;
        Ok(keys)
    }

    async fn service(
        &self,
        tenant: TenantId,
        changes: ChangeMarks,
        name: &ServiceName,
    ) -> Result<Option<Arc<Service>>> {
        let name = ServiceName::new(&name.class, &name.host);
        if !names::fits_spn(&name.class, &name.host) {
            // No record can have this name. It must not become a cache's key: any user of a domain can send such names.
            return Ok(None);
        }
        let key = (tenant, changes.configuration, name);
        let known = self.caches().services.get(&key).await;
        if let Some(known) = self.caches().counted(CacheName::Services, known) {
            return Ok(known);
        }
        let mut conn = self.snapshot().await?;
        let row = sql("SELECT owner_kind, owner_id FROM service_names WHERE tenant_id = $1 AND class = $2 AND host = $3")
            .bind(tenant_blob(tenant))
            .bind(visible(&key.2.class))
            .bind(visible(&key.2.host))
            .fetch_optional(&mut *conn)
            .await?;
        let service = match row {
            None => None,
            Some(row) => {
                let owner = Owner {
                    tenant,
                    kind: col_word(&row, "owner_kind")?,
                    id: col_uuid(&row, "owner_id")?,
                };
                Some(Arc::new(Service {
                    name: service_name(&mut conn, owner.kind, owner.id).await?,
                    keys: service_keys(&mut conn, self.sealer(), &owner).await?,
                }))
            }
        };
        self.caches().services.insert(key, service.clone()).await;
        Ok(service)
    }

    async fn identity(
        &self,
        tenant: TenantId,
        changes: ChangeMarks,
        sid: &Sid,
    ) -> Result<Option<Arc<Identity>>> {
        let key = (tenant, changes.identities, sid.clone());
        let known = self.caches().identities.get(&key).await;
        if let Some(known) = self.caches().counted(CacheName::Identities, known) {
            return Ok(known);
        }
        let mut conn = self.snapshot().await?;
        let identity = match by_sid(&mut conn, tenant, sid).await? {
            None => None,
            Some(info) if info.awaits_sync => {
                return Err(DirectoryError::AwaitsSync {
                    domain: info.domain_dns_name,
                });
            }
            Some(info) => {
                let groups = group_sids(&mut conn, tenant, &info).await?;
                Some(Arc::new(identity_record(info, groups)))
            }
        };
        self.caches().identities.insert(key, identity.clone()).await;
        Ok(identity)
    }
}

/// The closure of the direct groups of identity $2 of tenant $1, whose primary group has SID $3; at most $4.
const GROUP_SIDS: &str = "SELECT DISTINCT g.sid FROM group_closure c
    JOIN identities g ON g.tenant_id = c.tenant_id AND g.guid = c.ancestor_guid
    WHERE c.tenant_id = $1 AND c.group_guid IN (
      SELECT m.group_guid FROM memberships m WHERE m.tenant_id = $1 AND m.member_guid = $2
      UNION SELECT p.guid FROM identities p WHERE p.tenant_id = $1 AND p.sid = $3)
    AND g.kind = 'group' AND g.source = 'hybrid' AND g.state <> 'deleted' AND g.guid <> $2
    ORDER BY g.sid LIMIT $4";

/// The SIDs of every synced group an identity is in: its direct groups, its primary group, and the groups these are in.
/// One read at any depth of nesting.
async fn group_sids(
    conn: &mut AnyConnection,
    tenant: TenantId,
    identity: &IdentityInfo,
) -> Result<Vec<Sid>> {
    let primary = primary_group_sid(identity).map(|sid| sid.to_string());
    let rows = sql(GROUP_SIDS)
        .bind(tenant_blob(tenant))
        .bind(identity.guid.as_bytes().to_vec())
        .bind(primary)
        .bind(MAX_GROUPS)
        .fetch_all(conn)
        .await?;
    rows.iter().map(|row| col_sid(row, "sid")).collect()
}

fn identity_record(info: IdentityInfo, groups: Vec<Sid>) -> Identity {
    // AD's implicit UPN, if none is set.
    let upn = match (info.upn.is_empty(), info.kind) {
        (true, IdentityKind::User) => format!("{}@{}", info.account_name, info.domain_dns_name),
        _ => info.upn,
    };
    Identity {
        sid: info.sid,
        kind: info.kind,
        source: info.source,
        state: info.state,
        account_name: info.account_name,
        upn,
        display_name: info.display_name,
        domain_dns_name: info.domain_dns_name,
        domain_flat_name: info.domain_flat_name,
        primary_group_rid: info.primary_group_rid,
        groups,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claimed_names::InstallationNames;
    use crate::db::statement::sql_list;
    use crate::sealing::master_key::MasterKey;
    use sqlx::Row;

    /// The groups of a ticket are found by index searches: no table is scanned.
    #[tokio::test]
    async fn the_groups_of_a_ticket_are_one_indexed_read() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("d.db").display());
        let names = InstallationNames::new("cloud.example", "login.cloud.example");
        let directory = Directory::create(&url, MasterKey::from_bytes([7; 32]), names)
            .await
            .unwrap();
        let rows = sql_list(format!("EXPLAIN QUERY PLAN {GROUP_SIDS}"))
            .bind(vec![0_u8; 16])
            .bind(vec![0_u8; 16])
            .bind("S-1-5-21-1-2-3-513")
            .bind(MAX_GROUPS)
            .fetch_all(directory.readers())
            .await
            .unwrap();
        let steps: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        let reads: Vec<&String> = steps
            .iter()
            .filter(|s| s.starts_with("SEARCH") || s.starts_with("SCAN"))
            .collect();
        for (table, index) in [
            ("c", "PRIMARY KEY (tenant_id=? AND group_guid=?)"),
            ("g", "(tenant_id=? AND guid=?)"),
            ("m", "memberships_by_member (tenant_id=? AND member_guid=?)"),
            ("p", "(tenant_id=? AND sid=?)"),
        ] {
            let searched = |step: &&&String| {
                step.starts_with(&format!("SEARCH {table} USING")) && step.contains(index)
            };
            assert_eq!(
                reads.iter().filter(searched).count(),
                1,
                "{table}: {steps:#?}"
            );
        }
        assert_eq!(reads.len(), 4, "{steps:#?}");
        directory.close().await;
    }
}
