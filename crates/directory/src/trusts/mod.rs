//! Trusts with AD forests and the versions of their passwords.
//!
//! A version is *pending* before AD has it, *current* once AD is known to hold it, *previous* when a newer one is
//! confirmed, and *retired* with the one after that, or when its time is over. Keys of pending and current versions decrypt
//! referrals; those of a version that was replaced only for [`PREVIOUS_LIFE_S`] from then on. No ticket fails at any moment of
//! a rotation, and no key that was stolen before one works for ever. Versions that are known to be stolen are retired at once
//! ([`Directory::retire_trust_keys`]).

pub(crate) mod kerberos_servers;
pub(crate) mod model;
pub(crate) mod removals;
pub(crate) mod rotation;
pub(crate) mod secrets;

use crate::audit::events::Actor;
use crate::claimed_names::{Claim, InstallationNames, NameScope, claim, lies_below};
use crate::db::change::ChangeScope;
use crate::db::columns::{col, col_names, col_sid, col_uuid, tenant_blob, uuid_blob};
use crate::db::statement::sql;
use crate::directory::Directory;
use crate::error::{DirectoryError, RecordKind, Refusal, Result};
use crate::names;
use crate::names::invalid;
use crate::random::random_uuid;
use crate::tenants::domains;
use crate::tenants::domains::{NewDomain, load_domains};
use crate::tenants::model::load_tenant;
use crate::trusts::model::PreparedTrust;
use crate::trusts::removals::RemovalStep;
use crate::trusts::secrets::{PREVIOUS_LIFE_S, StoredSecret, held, make_secret, secrets};
use crossrealm_kdc::{TenantId, TrustGeneration};
use crossrealm_os::clock::now_s;
use crossrealm_types::{PrepareTrust, Trust, TrustKeyState, TrustState};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;
use uuid::Uuid;

impl Directory {
    /// The trust password to set in AD. Creates the trust (and registers its domain) with a pending version if there is
    /// none; returns the pending version again if there is one; otherwise the current one, or with `rotate` a new
    /// pending one. An interrupted run of the trust tool can therefore be repeated at any point.
    ///
    /// Refused with `trust_sid_mismatch` if the domain is registered with another SID.
    pub async fn prepare_trust(
        &self,
        by: &Actor,
        tenant: TenantId,
        domain: &str,
        wanted: &PrepareTrust,
    ) -> Result<PreparedTrust> {
        let domain = names::dns_name("domain", domain)?;
        if !wanted.realm.eq_ignore_ascii_case(&domain) {
            return Err(invalid(
                "realm",
                &wanted.realm,
                "the realm of an AD domain is its DNS name in upper case",
            ));
        }
        let mut tx = self.change(by, tenant, ChangeScope::Configuration).await?;
        register_root(&mut tx, self.installation(), by, tenant, &domain, wanted).await?;
        let id = match find(&mut tx, tenant, &domain).await? {
            Some((id, _)) => id,
            None => insert(&mut tx, tenant, &domain).await?,
        };
        if !wanted.top_level_names.is_empty() {
            let names = names::top_level_names(&wanted.top_level_names)?;
            self.claim_suffixes(&mut tx, tenant, id, &names).await?;
            sql("UPDATE trusts SET top_level_names = $2 WHERE id = $1 AND confirmed_at IS NULL")
                .bind(uuid_blob(id))
                .bind(names.join(","))
                .execute(&mut *tx)
                .await?;
        }
        // Setting up the trust cancels an interrupted removal.
        sql("UPDATE trusts SET removal_begun_at = NULL WHERE id = $1")
            .bind(uuid_blob(id))
            .execute(&mut *tx)
            .await?;
        let known = secrets(&mut tx, id).await?;
        let mut prepared = match known.first() {
            Some(secret) if secret.info.state == TrustKeyState::Pending || !wanted.rotate => {
                PreparedTrust {
                    version: secret.info.version,
                    state: secret.info.state,
                    secret: secret.open(self.sealer(), tenant, id)?,
                    held: Vec::new(),
                }
            }
            newest => {
                let version = newest
                    .map_or(0, |secret| secret.info.version)
                    .saturating_add(1);
                make_secret(&mut tx, self.sealer(), tenant, id, version).await?
            }
        };
        prepared.held = held(&known, prepared.version, self.sealer(), tenant, id)?;
        let detail = format!("version {} ({})", prepared.version, prepared.state.as_str());
        tx.audit("trust.prepare", &domain, &detail).await?;
        tx.commit().await?;
        Ok(prepared)
    }

    /// Records that AD holds this version: pending becomes current, current previous, previous retired. Confirming the
    /// current version again only stores the names. Empty `top_level_names` do not change them.
    ///
    /// Refused with `trust_version_unknown` for a version that is neither pending nor current.
    pub async fn confirm_trust(
        &self,
        by: &Actor,
        tenant: TenantId,
        domain: &str,
        version: u32,
        top_level_names: &[String],
    ) -> Result<Trust> {
        let domain = names::dns_name("domain", domain)?;
        let top_level_names = names::top_level_names(top_level_names)?;
        let mut tx = self.change(by, tenant, ChangeScope::Configuration).await?;
        let (id, _) = find(&mut tx, tenant, &domain)
            .await?
            .ok_or_else(|| DirectoryError::not_found(RecordKind::Trust, &domain))?;
        let state = secrets(&mut tx, id)
            .await?
            .into_iter()
            .find(|secret| secret.info.version == version)
            .map(|secret| secret.info.state);
        match state {
            Some(TrustKeyState::Pending) => promote(&mut tx, id, version).await?,
            Some(TrustKeyState::Current) => {}
            _ => {
                return Err(Refusal::TrustVersionUnknown { domain, version }.into());
            }
        }
        if !top_level_names.is_empty() {
            self.claim_suffixes(&mut tx, tenant, id, &top_level_names)
                .await?;
            sql("UPDATE trusts SET top_level_names = $2 WHERE id = $1")
                .bind(uuid_blob(id))
                .bind(top_level_names.join(","))
                .execute(&mut *tx)
                .await?;
        }
        let detail = format!("version {version}");
        tx.audit("trust.confirm", &domain, &detail).await?;
        let info = info(&mut tx, tenant, &domain).await?;
        tx.commit().await?;
        Ok(info)
    }

    /// Retires every version before `before` at once, and ends all TGTs of the tenant's realm that were issued to users of this
    /// forest: for a trust key that was stolen. A domain controller goes on encrypting with its previous key for a while: no
    /// ticket of an honest user fails if `before` is that version.
    ///
    /// Refused with `trust_version_unknown` if `before` is not the current version or the previous one.
    pub async fn retire_trust_keys(
        &self,
        by: &Actor,
        tenant: TenantId,
        domain: &str,
        before: u32,
    ) -> Result<Trust> {
        let domain = names::dns_name("domain", domain)?;
        let mut tx = self.change(by, tenant, ChangeScope::Configuration).await?;
        let (id, _) = find(&mut tx, tenant, &domain)
            .await?
            .ok_or_else(|| DirectoryError::not_found(RecordKind::Trust, &domain))?;
        let is_in_ad = |secret: &StoredSecret| {
            let state = secret.info.state;
            secret.info.version == before
                && matches!(state, TrustKeyState::Current | TrustKeyState::Previous)
        };
        if !secrets(&mut tx, id).await?.iter().any(is_in_ad) {
            let version = before;
            return Err(Refusal::TrustVersionUnknown { domain, version }.into());
        }
        sql("UPDATE trust_secrets SET state = 'retired', retires_at = $3 WHERE trust_id = $1 AND version < $2")
            .bind(uuid_blob(id))
            .bind(i64::from(before))
            .bind(now_s().saturating_sub(1))
            .execute(&mut *tx)
            .await?;
        sql("UPDATE trusts SET generation = $2 WHERE id = $1")
            .bind(uuid_blob(id))
            .bind(uuid_blob(random_uuid()?))
            .execute(&mut *tx)
            .await?;
        let detail = format!("versions before {before}, and the TGTs of the realm until now");
        tx.audit("trust.retire-keys", &domain, &detail).await?;
        let info = info(&mut tx, tenant, &domain).await?;
        tx.commit().await?;
        Ok(info)
    }

    /// Refuses a top-level name that the tenant may not claim. Those that the trust has stay.
    async fn claim_suffixes(
        &self,
        conn: &mut AnyConnection,
        tenant: TenantId,
        trust: Uuid,
        names: &[String],
    ) -> Result<()> {
        let row = sql("SELECT top_level_names FROM trusts WHERE id = $1")
            .bind(uuid_blob(trust))
            .fetch_one(&mut *conn)
            .await?;
        let held = col_names(&row, "top_level_names")?;
        for name in names.iter().filter(|name| !held.contains(name)) {
            // The trust tool's caller is a global administrator. Names below the base domain are given to tenants, not
            // to trusts.
            let wanted = Claim::Service(NameScope::Free);
            claim(conn, self.installation(), tenant, name, wanted).await?;
        }
        Ok(())
    }

    /// The trust with this AD domain.
    pub async fn trust(&self, tenant: TenantId, domain: &str) -> Result<Trust> {
        let domain = names::dns_name("domain", domain)?;
        let mut conn = self.readers().acquire().await?;
        info(&mut conn, tenant, &domain).await
    }

    /// The trusts, by domain.
    pub async fn trusts(&self, tenant: TenantId) -> Result<Vec<Trust>> {
        let mut conn = self.readers().acquire().await?;
        let mut trusts = Vec::new();
        for domain in trusted_domains(&mut conn, tenant).await? {
            trusts.push(info(&mut conn, tenant, &domain).await?);
        }
        Ok(trusts)
    }

    /// Records that the trust is about to be removed from AD, so that an interrupted removal is detected. Its keys
    /// decrypt tickets until [`Directory::delete_trust`].
    pub async fn begin_trust_removal(
        &self,
        by: &Actor,
        tenant: TenantId,
        domain: &str,
    ) -> Result<()> {
        let step = RemovalStep::Begin(
            "UPDATE trusts SET removal_begun_at = COALESCE(removal_begun_at, $3)
             WHERE tenant_id = $1 AND dns_name = $2",
        );
        let step = (RecordKind::Trust, "trust.begin_removal", step);
        self.removal(by, tenant, domain, step).await
    }

    /// Cancels [`Directory::begin_trust_removal`], if AD refused the removal and nothing was done. Without such a trust
    /// it does nothing.
    pub async fn cancel_trust_removal(
        &self,
        by: &Actor,
        tenant: TenantId,
        domain: &str,
    ) -> Result<()> {
        let step = RemovalStep::Cancel(
            "UPDATE trusts SET removal_begun_at = NULL WHERE tenant_id = $1 AND dns_name = $2",
        );
        let step = (RecordKind::Trust, "trust.cancel_removal", step);
        self.removal(by, tenant, domain, step).await
    }

    /// Deletes the trust and its passwords. The domain stays registered, and its identities stay.
    pub async fn delete_trust(&self, by: &Actor, tenant: TenantId, domain: &str) -> Result<()> {
        let step = RemovalStep::End("DELETE FROM trusts WHERE tenant_id = $1 AND dns_name = $2");
        let step = (RecordKind::Trust, "trust.delete", step);
        self.removal(by, tenant, domain, step).await
    }
}

/// The DNS names of the trusted forest roots.
pub(crate) async fn trusted_domains(
    conn: &mut AnyConnection,
    tenant: TenantId,
) -> Result<Vec<String>> {
    let rows = sql("SELECT dns_name FROM trusts WHERE tenant_id = $1 ORDER BY dns_name")
        .bind(tenant_blob(tenant))
        .fetch_all(conn)
        .await?;
    rows.iter().map(|row| col(row, "dns_name")).collect()
}

/// The id and row of a trust.
pub(crate) async fn find(
    conn: &mut AnyConnection,
    tenant: TenantId,
    domain: &str,
) -> Result<Option<(Uuid, AnyRow)>> {
    let row = sql("SELECT t.id, t.top_level_names, t.created_at, t.confirmed_at, t.removal_begun_at,
                   t.rotation_holder, t.rotation_until, t.generation, d.flat_name, d.sid
                   FROM trusts t JOIN domains d ON d.tenant_id = t.tenant_id AND d.dns_name = t.dns_name
                   WHERE t.tenant_id = $1 AND t.dns_name = $2")
        .bind(tenant_blob(tenant))
        .bind(domain)
        .fetch_optional(conn)
        .await?;
    row.map(|row| Ok((col_uuid(&row, "id")?, row))).transpose()
}

/// The generation in the row of a trust.
pub(crate) fn generation(row: &AnyRow) -> Result<TrustGeneration> {
    let stored: Option<Vec<u8>> = col(row, "generation")?;
    match stored {
        None => Ok(TrustGeneration::UNNAMED),
        Some(bytes) => bytes
            .try_into()
            .map(TrustGeneration)
            .map_err(|_| DirectoryError::damaged("generation of a trust", "not 16 bytes")),
    }
}

async fn info(conn: &mut AnyConnection, tenant: TenantId, domain: &str) -> Result<Trust> {
    let (id, row) = find(conn, tenant, domain)
        .await?
        .ok_or_else(|| DirectoryError::not_found(RecordKind::Trust, domain))?;
    let confirmed_at: Option<i64> = col(&row, "confirmed_at")?;
    let keys = secrets(conn, id).await?;
    Ok(Trust {
        domain: domain.to_owned(),
        realm: domain.to_ascii_uppercase(),
        flat_name: col(&row, "flat_name")?,
        sid: col_sid(&row, "sid")?,
        state: match confirmed_at {
            Some(_) => TrustState::Active,
            None => TrustState::Pending,
        },
        top_level_names: col_names(&row, "top_level_names")?,
        created_at: col(&row, "created_at")?,
        confirmed_at,
        removal_begun_at: col(&row, "removal_begun_at")?,
        keys: keys.into_iter().map(|secret| secret.info).collect(),
    })
}

/// Registers the forest root, and assigns domains below it that are their own root to its forest.
async fn register_root(
    conn: &mut AnyConnection,
    installation: &InstallationNames,
    by: &Actor,
    tenant: TenantId,
    domain: &str,
    wanted: &PrepareTrust,
) -> Result<()> {
    let new = NewDomain {
        dns_name: domain.to_owned(),
        flat_name: wanted.flat_name.clone(),
        sid: wanted.sid.clone(),
        forest_root: Some(domain.to_owned()),
    };
    domains::register(conn, installation, by, tenant, &new)
        .await
        .map_err(|error| match error {
            DirectoryError::Refused(Refusal::DomainSidMismatch {
                domain,
                known,
                given,
            }) => Refusal::TrustSidMismatch {
                domain,
                known,
                given,
            }
            .into(),
            other => other,
        })?;
    for other in load_domains(conn, tenant).await? {
        if other.forest_root == other.dns_name && lies_below(&other.dns_name, domain) {
            let new = NewDomain {
                dns_name: other.dns_name,
                flat_name: other.flat_name,
                sid: other.sid,
                forest_root: Some(domain.to_owned()),
            };
            domains::register(conn, installation, by, tenant, &new).await?;
        }
    }
    Ok(())
}

/// Inserts a trust with the tenant's own top-level names.
async fn insert(conn: &mut AnyConnection, tenant: TenantId, domain: &str) -> Result<Uuid> {
    let names = load_tenant(conn, tenant).await?.top_level_names;
    let id = random_uuid()?;
    sql(
        "INSERT INTO trusts (id, tenant_id, dns_name, top_level_names, created_at, generation)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(uuid_blob(id))
    .bind(tenant_blob(tenant))
    .bind(domain)
    .bind(names.join(","))
    .bind(now_s())
    .bind(uuid_blob(random_uuid()?))
    .execute(conn)
    .await?;
    Ok(id)
}

/// Moves every version to its next state; `version` becomes the current one.
async fn promote(conn: &mut AnyConnection, trust: Uuid, version: u32) -> Result<()> {
    let now = now_s();
    sql("UPDATE trust_secrets SET
           retires_at = CASE state WHEN 'current' THEN $2 WHEN 'previous' THEN COALESCE(retires_at, $2) ELSE retires_at END,
           state = CASE state WHEN 'previous' THEN 'retired' WHEN 'current' THEN 'previous' ELSE state END
         WHERE trust_id = $1")
        .bind(uuid_blob(trust))
        .bind(now + PREVIOUS_LIFE_S)
        .execute(&mut *conn)
        .await?;
    sql("UPDATE trust_secrets SET state = 'current', confirmed_at = $3 WHERE trust_id = $1 AND version = $2")
        .bind(uuid_blob(trust))
        .bind(i64::from(version))
        .bind(now)
        .execute(&mut *conn)
        .await?;
    sql("UPDATE trusts SET confirmed_at = $2, rotation_holder = NULL, rotation_until = NULL WHERE id = $1")
        .bind(uuid_blob(trust))
        .bind(now)
        .execute(conn)
        .await?;
    Ok(())
}
