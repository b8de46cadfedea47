//! The AD domains registered with a tenant: their users may arrive, and their SIDs count.

use crate::audit::events::{Actor, audit};
use crate::claimed_names::{Claim, InstallationNames, claim, lies_below};
use crate::db::change::ChangeScope;
use crate::db::columns::{col, col_sid, tenant_blob};
use crate::db::statement::sql;
use crate::directory::Directory;
use crate::error::{DirectoryError, RecordKind, Refusal, Result};
use crate::names;
use crate::names::invalid;
use crate::tenants::id_ranges;
use crate::tenants::model::load_tenant;
use crossrealm_kdc::TenantId;
use crossrealm_os::clock::now_s;
use crossrealm_types::Sid;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

/// An AD domain as its administrator's tools see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDomain {
    /// Its DNS name, e.g. `corp.contoso.com`; any case. Its realm is this in upper case.
    pub dns_name: String,
    /// Its flat (NetBIOS) name.
    pub flat_name: String,
    /// Its domain SID.
    pub sid: Sid,
    /// The DNS name of the root of its forest, if known.
    pub forest_root: Option<String>,
}

/// A registered AD domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainInfo {
    /// Its DNS name, lower case.
    pub dns_name: String,
    /// Its realm, upper case.
    pub realm: String,
    /// Its flat (NetBIOS) name.
    pub flat_name: String,
    /// Its domain SID. It never changes.
    pub sid: Sid,
    /// The DNS name of the root of its forest, lower case; its users arrive through the trust with that domain.
    pub forest_root: String,
    /// When it was registered, Unix seconds.
    pub created_at: i64,
}

impl Directory {
    /// Registers an AD domain, or does nothing if it is registered. Without `forest_root` the root is the trusted
    /// domain that the name lies below, otherwise the domain itself.
    ///
    /// Refused with `domain_sid_mismatch` if the name is registered with another SID, and with `domain_sid_taken` or
    /// `flat_name_taken` if the SID or flat name belongs to another domain or to the tenant itself. Refused with `ad_domain_covers_name` or
    /// `name_reserved` if a tenant or the installation holds a name that the domain would answer for.
    pub async fn register_domain(
        &self,
        by: &Actor,
        tenant: TenantId,
        new: &NewDomain,
    ) -> Result<DomainInfo> {
        let mut tx = self.change(by, tenant, ChangeScope::Configuration).await?;
        let domain = register(&mut tx, self.installation(), by, tenant, new).await?;
        tx.commit().await?;
        Ok(domain)
    }

    /// The registered domains, by name.
    pub async fn domains(&self, tenant: TenantId) -> Result<Vec<DomainInfo>> {
        let mut conn = self.readers().acquire().await?;
        load_domains(&mut conn, tenant).await
    }

    /// The registered domain with this DNS name.
    pub async fn domain(&self, tenant: TenantId, dns_name: &str) -> Result<DomainInfo> {
        let name = names::dns_name("domain", dns_name)?;
        let mut conn = self.readers().acquire().await?;
        find_domain(&mut conn, tenant, &name)
            .await?
            .ok_or_else(|| DirectoryError::not_found(RecordKind::Domain, name))
    }
}

pub(crate) async fn load_domains(
    conn: &mut AnyConnection,
    tenant: TenantId,
) -> Result<Vec<DomainInfo>> {
    let rows = sql(
        "SELECT dns_name, flat_name, sid, forest_root, created_at FROM domains
                    WHERE tenant_id = $1 ORDER BY dns_name",
    )
    .bind(tenant_blob(tenant))
    .fetch_all(conn)
    .await?;
    rows.iter().map(domain_info).collect()
}

/// The registered domain with this DNS name, which is in lower case already.
pub(crate) async fn find_domain(
    conn: &mut AnyConnection,
    tenant: TenantId,
    dns_name: &str,
) -> Result<Option<DomainInfo>> {
    let row = sql(
        "SELECT dns_name, flat_name, sid, forest_root, created_at FROM domains
                   WHERE tenant_id = $1 AND dns_name = $2",
    )
    .bind(tenant_blob(tenant))
    .bind(dns_name)
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(domain_info).transpose()
}

fn domain_info(row: &AnyRow) -> Result<DomainInfo> {
    let dns_name: String = col(row, "dns_name")?;
    Ok(DomainInfo {
        realm: dns_name.to_ascii_uppercase(),
        dns_name,
        flat_name: col(row, "flat_name")?,
        sid: col_sid(row, "sid")?,
        forest_root: col(row, "forest_root")?,
        created_at: col(row, "created_at")?,
    })
}

/// [`Directory::register_domain`] in the caller's transaction, which holds the tenant's lock.
pub(crate) async fn register(
    conn: &mut AnyConnection,
    installation: &InstallationNames,
    by: &Actor,
    tenant: TenantId,
    new: &NewDomain,
) -> Result<DomainInfo> {
    let dns_name = names::dns_name("domain", &new.dns_name)?;
    let flat_name = names::flat_name(&new.flat_name)?;
    if !new.sid.is_account_domain() {
        return Err(invalid(
            "domain SID",
            &new.sid.to_string(),
            "expected `S-1-5-21-a-b-c`",
        ));
    }
    let domains = load_domains(conn, tenant).await?;
    let known = domains.iter().find(|domain| domain.dns_name == dns_name);
    refuse_other_sid(conn, tenant, &dns_name, known, &domains, new).await?;
    if known.is_none_or(|known| known.flat_name != flat_name) {
        refuse_taken_flat_name(conn, tenant, &dns_name, &flat_name, &domains).await?;
    }
    let forest_root = match (&new.forest_root, known) {
        (Some(root), _) => names::dns_name("forest root", root)?,
        (None, Some(known)) => known.forest_root.clone(),
        (None, None) => trusted_above(conn, tenant, &dns_name).await?,
    };
    let domain = DomainInfo {
        realm: dns_name.to_ascii_uppercase(),
        created_at: known.map_or_else(now_s, |known| known.created_at),
        sid: new.sid.clone(),
        dns_name,
        flat_name,
        forest_root,
    };
    if known == Some(&domain) {
        return Ok(domain);
    }
    let held = |name: &str| {
        let mut held = domains.iter();
        held.any(|domain| domain.dns_name == name || domain.forest_root == name)
    };
    for name in [&domain.dns_name, &domain.forest_root] {
        if !held(name) {
            claim(conn, installation, tenant, name, Claim::AdDomain).await?;
        }
    }
    sql(
        "INSERT INTO domains (tenant_id, dns_name, flat_name, sid, forest_root, created_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (tenant_id, dns_name) DO UPDATE SET flat_name = $3, forest_root = $5",
    )
    .bind(tenant_blob(tenant))
    .bind(domain.dns_name.as_str())
    .bind(domain.flat_name.as_str())
    .bind(domain.sid.to_string())
    .bind(domain.forest_root.as_str())
    .bind(domain.created_at)
    .execute(&mut *conn)
    .await?;
    id_ranges::assign(conn, tenant, &domain.sid).await?;
    let detail = format!("SID {}, forest {}", domain.sid, domain.forest_root);
    audit(
        conn,
        by,
        Some(tenant),
        "domain.register",
        &domain.dns_name,
        &detail,
    )
    .await?;
    Ok(domain)
}

async fn refuse_other_sid(
    conn: &mut AnyConnection,
    tenant: TenantId,
    dns_name: &str,
    known: Option<&DomainInfo>,
    domains: &[DomainInfo],
    new: &NewDomain,
) -> Result<()> {
    if let Some(known) = known.filter(|known| known.sid != new.sid) {
        return Err(Refusal::DomainSidMismatch {
            domain: dns_name.to_owned(),
            known: known.sid.clone(),
            given: new.sid.clone(),
        }
        .into());
    }
    let holder = domains
        .iter()
        .find(|domain| domain.sid == new.sid && domain.dns_name != dns_name)
        .map(|domain| format!("domain `{}`", domain.dns_name));
    let tenant_sid = load_tenant(conn, tenant).await?.sid;
    let holder = holder.or_else(|| (tenant_sid == new.sid).then(|| "the tenant itself".to_owned()));
    match holder {
        None => Ok(()),
        Some(holder) => Err(Refusal::DomainSidTaken {
            domain: dns_name.to_owned(),
            sid: new.sid.clone(),
            holder,
        }
        .into()),
    }
}

async fn refuse_taken_flat_name(
    conn: &mut AnyConnection,
    tenant: TenantId,
    dns_name: &str,
    flat_name: &str,
    domains: &[DomainInfo],
) -> Result<()> {
    let other = domains
        .iter()
        .find(|other| other.flat_name == flat_name && other.dns_name != dns_name)
        .map(|other| format!("domain `{}`", other.dns_name));
    let tenant_name = load_tenant(conn, tenant).await?.flat_name;
    let holder =
        other.or_else(|| (tenant_name == flat_name).then(|| "the tenant itself".to_owned()));
    match holder {
        None => Ok(()),
        Some(holder) => Err(Refusal::FlatNameTaken {
            domain: dns_name.to_owned(),
            flat_name: flat_name.to_owned(),
            holder,
        }
        .into()),
    }
}

/// The trusted domain that `dns_name` lies below, otherwise `dns_name` itself.
async fn trusted_above(
    conn: &mut AnyConnection,
    tenant: TenantId,
    dns_name: &str,
) -> Result<String> {
    let rows = sql("SELECT dns_name FROM trusts WHERE tenant_id = $1")
        .bind(tenant_blob(tenant))
        .fetch_all(conn)
        .await?;
    for row in &rows {
        let root: String = col(row, "dns_name")?;
        if lies_below(dns_name, &root) {
            return Ok(root);
        }
    }
    Ok(dns_name.to_owned())
}
