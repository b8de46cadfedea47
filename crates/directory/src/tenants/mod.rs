//! Tenants: the cloud side of one organisation.

pub(crate) mod domains;
pub(crate) mod id_ranges;
pub(crate) mod model;

use crate::audit::events::{Actor, audit};
use crate::claimed_names::{Claim, InstallationNames, NameScope, claim};
use crate::db::change::ChangeScope;
use crate::db::columns::{col, tenant_blob};
use crate::db::statement::{Statement, is_taken, sql};
use crate::directory::Directory;
use crate::error::{DirectoryError, RecordKind, Result};
use crate::names;
use crate::names::invalid;
use crate::page::{Page, Paged};
use crate::random::{random, random_uuid};
use crate::service_keys::{self, RealmKeyRotation, insert_key, krbtgt};
use crate::tenant_info::TenantInfo;
use crate::tenants::model::{NewTenant, load_tenant, tenant_info};
use crossrealm_kdc::{Policy, TenantId};
use crossrealm_os::clock::now_s;
use crossrealm_types::{KeySlot, Sid};
use sqlx::AnyConnection;
use std::sync::Arc;

const SELECT_BY_LABEL: &str =
    "SELECT id, name, domain, realm, flat_name, sid, top_level_names, max_ticket_life_s,
    max_renewable_life_s, allow_low_rids, created_at FROM tenants WHERE domain = $1 OR id = $2";

const SELECT_BY_REALM: &str =
    "SELECT id, name, domain, realm, flat_name, sid, top_level_names, max_ticket_life_s,
    max_renewable_life_s, allow_low_rids, created_at FROM tenants WHERE realm = $1";

/// The longest ticket life a policy may allow, in seconds: 30 days.
const MAX_LIFE_S: u32 = 30 * 24 * 3600;

impl Directory {
    /// Creates a tenant with a random SID and the keys of its realm.
    ///
    /// Refused with `name_reserved`, `name_in_ad_domain` or `name_of_other_tenant` if its domain, realm or one of its
    /// top-level names belongs to the installation, an AD domain or another tenant.
    pub async fn create_tenant(&self, by: &Actor, new: NewTenant) -> Result<TenantInfo> {
        let mut tx = self.begin().await?;
        let info = checked(&mut tx, self.installation(), new).await?;
        sql("INSERT INTO tenants (id, name, domain, realm, flat_name, sid, top_level_names, max_ticket_life_s,
             max_renewable_life_s, allow_low_rids, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)")
            .bind(tenant_blob(info.id))
            .bind(info.name.clone())
            .bind(info.domain.clone())
            .bind(info.realm.clone())
            .bind(info.flat_name.clone())
            .bind(info.sid.to_string())
            .bind(info.top_level_names.join(","))
            .bind(i64::from(info.policy.max_ticket_life_s))
            .bind(i64::from(info.policy.max_renewable_life_s))
            .bind(i64::from(info.policy.allow_low_rids))
            .bind(info.created_at)
            .execute(&mut *tx)
            .await
            .map_err(|error| match is_taken(&error) {
                true => DirectoryError::exists(RecordKind::Tenant, &info.name),
                false => error.into(),
            })?;
        let owner = krbtgt(info.id);
        insert_key(&mut tx, self.sealer(), &owner, KeySlot::Kerb1, 1, true).await?;
        audit(
            &mut tx,
            by,
            Some(info.id),
            "tenant.create",
            &info.name,
            &info.realm,
        )
        .await?;
        self.commit(tx).await?;
        Ok(info)
    }

    /// The tenants, by name.
    pub async fn tenants(&self, page: &Page) -> Result<Paged<TenantInfo>> {
        let rows = sql(
            "SELECT id, name, domain, realm, flat_name, sid, top_level_names, max_ticket_life_s,
                        max_renewable_life_s, allow_low_rids, created_at FROM tenants
                        WHERE name > $1 ORDER BY name LIMIT $2",
        )
        .bind(page.after())
        .bind(page.limit())
        .fetch_all(self.readers())
        .await?;
        let items = rows.iter().map(tenant_info).collect::<Result<Vec<_>>>()?;
        Ok(page.paged(items, |tenant| tenant.name.clone()))
    }

    /// The tenant with this id.
    pub async fn tenant(&self, id: TenantId) -> Result<TenantInfo> {
        let mut conn = self.readers().acquire().await?;
        load_tenant(&mut conn, id).await
    }

    /// The tenant with this id, name or domain, compared case-insensitively.
    pub async fn find_tenant(&self, id_name_or_domain: &str) -> Result<TenantInfo> {
        let text = id_name_or_domain.to_ascii_lowercase();
        if let Ok(id) = text.parse() {
            return self.tenant(id).await;
        }
        let rows = sql(
            "SELECT id, name, domain, realm, flat_name, sid, top_level_names, max_ticket_life_s,
                        max_renewable_life_s, allow_low_rids, created_at FROM tenants
                        WHERE name = $1 OR domain = $1",
        )
        .bind(names::shown(&text))
        .fetch_all(self.readers())
        .await?;
        // A name has no dot and a domain has one, so at most one row matches.
        rows.first().map(tenant_info).unwrap_or_else(|| {
            let shown = names::shown(id_name_or_domain);
            Err(DirectoryError::not_found(RecordKind::Tenant, shown))
        })
    }

    /// The tenant that a KDC proxy URL names by id or domain; cached for a second. `None` if there is none. Safe on the
    /// path of a ticket: the cache is bounded against unknown callers.
    pub async fn resolve_tenant(&self, id_or_domain: &str) -> Result<Option<Arc<TenantInfo>>> {
        let text = id_or_domain.to_ascii_lowercase();
        let id = text.parse::<TenantId>().ok();
        if id.is_none() && names::dns_name("domain", &text).is_err() {
            return Ok(None);
        }
        let select = sql(SELECT_BY_LABEL)
            .bind(text.clone())
            .bind(id.map(tenant_blob));
        self.resolve(text, select).await
    }

    /// The tenant with this realm, compared case-insensitively, for requests that come without a URL. Otherwise as
    /// [`Directory::resolve_tenant`].
    pub async fn resolve_realm(&self, realm: &str) -> Result<Option<Arc<TenantInfo>>> {
        match names::realm(realm) {
            Ok(realm) => {
                let select = sql(SELECT_BY_REALM).bind(realm.clone());
                self.resolve(realm, select).await
            }
            Err(_) => Ok(None),
        }
    }

    /// Finds a tenant by one text, cached. A realm is in upper case, an id or a domain in lower case, so they do not
    /// collide in the cache.
    async fn resolve(
        &self,
        text: String,
        select: Statement<'_>,
    ) -> Result<Option<Arc<TenantInfo>>> {
        if let Some(known) = self.caches().label(&text).await {
            return Ok(known);
        }
        let epoch = self.caches().epoch();
        let row = select.fetch_optional(self.readers()).await?;
        let found = row.as_ref().map(tenant_info).transpose()?.map(Arc::new);
        self.caches().keep_label(epoch, text, found.clone()).await;
        Ok(found)
    }

    /// Replaces a tenant's ticket policy.
    pub async fn set_policy(&self, by: &Actor, tenant: TenantId, policy: Policy) -> Result<()> {
        check_policy(&policy)?;
        let mut tx = self.change(by, tenant, ChangeScope::Configuration).await?;
        sql("UPDATE tenants SET max_ticket_life_s = $2, max_renewable_life_s = $3, allow_low_rids = $4 WHERE id = $1")
            .bind(tenant_blob(tenant))
            .bind(i64::from(policy.max_ticket_life_s))
            .bind(i64::from(policy.max_renewable_life_s))
            .bind(i64::from(policy.allow_low_rids))
            .execute(&mut *tx)
            .await?;
        let detail = format!(
            "ticket life {} s, renewable {} s, low RIDs {}",
            policy.max_ticket_life_s, policy.max_renewable_life_s, policy.allow_low_rids
        );
        let name = load_tenant(&mut tx, tenant).await?.name;
        tx.audit("tenant.policy", &name, &detail).await?;
        tx.commit().await
    }

    /// Creates a new key of the realm. No ticket fails: TGTs of the keys before are good until their life ends. With
    /// `compromised` these keys are deleted at once, and every TGT of the realm ends.
    ///
    /// Refused with `too_many_realm_keys` while too many keys are in use.
    pub async fn rotate_realm_key(
        &self,
        by: &Actor,
        tenant: TenantId,
        compromised: bool,
    ) -> Result<RealmKeyRotation> {
        let mut tx = self.change(by, tenant, ChangeScope::Configuration).await?;
        let info = load_tenant(&mut tx, tenant).await?;
        let made =
            service_keys::rotate_realm_key(&mut tx, self.sealer(), &info, compromised).await?;
        let before = match made.previous_until {
            Some(_) => "earlier ones decrypt until the last of their tickets ends",
            None => "earlier ones deleted, all TGTs of the realm ended",
        };
        let detail = format!("kvno {}; {before}", made.kvno);
        tx.audit("tenant.rotate-key", &info.name, &detail).await?;
        tx.commit().await?;
        Ok(made)
    }

    /// Deletes a tenant with all its records. Its audit events stay.
    pub async fn delete_tenant(&self, by: &Actor, tenant: TenantId) -> Result<()> {
        let mut tx = self.change(by, tenant, ChangeScope::Configuration).await?;
        let info = load_tenant(&mut tx, tenant).await?;
        // The tenant's tokens go with it; its hosts must still learn that they were revoked.
        sql("INSERT INTO dismissed_hosts (hash, id)
             SELECT hash, id FROM tokens WHERE tenant_id = $1 AND role = 'host'")
        .bind(tenant_blob(tenant))
        .execute(&mut *tx)
        .await?;
        sql("DELETE FROM tenants WHERE id = $1")
            .bind(tenant_blob(tenant))
            .execute(&mut *tx)
            .await?;
        tx.audit("tenant.delete", &info.name, &info.realm).await?;
        tx.commit().await
    }
}

/// The tenant to store: names in canonical spelling, defaults filled in, and nothing taken.
async fn checked(
    conn: &mut AnyConnection,
    installation: &InstallationNames,
    new: NewTenant,
) -> Result<TenantInfo> {
    let name = names::tenant_name(&new.name)?;
    let domain = names::dns_name("tenant domain", &new.domain)?;
    let realm = names::realm(&new.realm.unwrap_or_else(|| format!("KERBEROS.{domain}")))?;
    let top_level_names = match new.top_level_names.as_slice() {
        [] => vec![domain.clone()],
        given => names::top_level_names(given)?,
    };
    let policy = new.policy.unwrap_or(NewTenant::DEFAULT_POLICY);
    check_policy(&policy)?;
    for (column, value) in [("name", &name), ("domain", &domain), ("realm", &realm)] {
        if let Some(holder) = holder(conn, column, value).await? {
            return Err(DirectoryError::Exists {
                kind: RecordKind::Tenant,
                name: name.clone(),
                by: (holder != name)
                    .then(|| format!("tenant `{holder}`, by its {column} `{value}`")),
            });
        }
    }
    let flat_name = match new.flat_name {
        Some(given) => names::flat_name(&given)?,
        None => free_flat_name(conn, &name).await?,
    };
    let id = TenantId(*random_uuid()?.as_bytes());
    for name in [&domain, &realm].into_iter().chain(&top_level_names) {
        // Tenants are created by administrators of the installation.
        let wanted = Claim::Service(NameScope::Installation);
        claim(conn, installation, id, name, wanted).await?;
    }
    Ok(TenantInfo {
        id,
        name,
        domain,
        realm,
        flat_name,
        sid: random_domain_sid()?,
        top_level_names,
        created_at: now_s(),
        policy,
    })
}

/// The name of the tenant that has a value, if any.
async fn holder(conn: &mut AnyConnection, column: &str, value: &str) -> Result<Option<String>> {
    let text = match column {
        "name" => "SELECT name FROM tenants WHERE name = $1",
        "domain" => "SELECT name FROM tenants WHERE domain = $1",
        "realm" => "SELECT name FROM tenants WHERE realm = $1",
        _ => "SELECT name FROM tenants WHERE flat_name = $1",
    };
    let row = sql(text)
        .bind(value.to_owned())
        .fetch_optional(conn)
        .await?;
    row.map(|row| col(&row, "name")).transpose()
}

/// `CONTOSO-KRB`, which differs from the name of the AD domain; other tenants of the same prefix get a number, so that
/// one AD can trust both.
async fn free_flat_name(conn: &mut AnyConnection, tenant_name: &str) -> Result<String> {
    for attempt in 0..1000u32 {
        let suffix = match attempt {
            0 => "-KRB".to_owned(),
            n => format!("-KRB{n}"),
        };
        let max_len = 15 - suffix.len();
        let start = tenant_name.get(..max_len).unwrap_or(tenant_name);
        let name = names::flat_name(&format!("{}{suffix}", start.trim_end_matches('-')))?;
        if holder(conn, "flat_name", &name).await?.is_none() {
            return Ok(name);
        }
    }
    Err(invalid(
        "tenant name",
        tenant_name,
        "no flat name can be derived from it; give one",
    ))
}

/// A SID for a tenant: `S-1-5-21-` and 96 random bits, as Windows makes one for a new domain.
fn random_domain_sid() -> Result<Sid> {
    let mut bytes = [0; 12];
    random(&mut bytes)?;
    let parts: Vec<u32> = std::iter::once(21)
        .chain(bytes.chunks_exact(4).map(|chunk| {
            chunk
                .iter()
                .fold(0, |sum, byte| sum << 8 | u32::from(*byte))
        }))
        .collect();
    Sid::new(5, &parts).map_err(|error| DirectoryError::damaged("tenant SID", error))
}

fn check_policy(policy: &Policy) -> Result<()> {
    for (what, value) in [
        ("ticket life in seconds", policy.max_ticket_life_s),
        ("renewable life in seconds", policy.max_renewable_life_s),
    ] {
        if !(300..=MAX_LIFE_S).contains(&value) {
            return Err(invalid(
                what,
                &value.to_string(),
                "expected 5 minutes to 30 days",
            ));
        }
    }
    Ok(())
}
