//! Tenants as the database has them.

use crate::db::columns::{col, col_names, col_sid, col_u32, tenant_blob};
use crate::db::statement::sql;
use crate::error::{DirectoryError, RecordKind, Result};
use crate::tenant_info::TenantInfo;
use crossrealm_kdc::{Policy, TenantId};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;

/// A tenant to create. Fields that are `None` or empty get the default.
#[derive(Clone, Debug)]
pub struct NewTenant {
    /// The name: 1 to 63 letters, digits and hyphens.
    pub name: String,
    /// The DNS domain, e.g. `contoso.cloud.example`.
    pub domain: String,
    /// The Kerberos realm; by default `KERBEROS.` and the upper-cased domain.
    pub realm: Option<String>,
    /// The flat (NetBIOS) name, at most 15 characters; by default derived from the name, with `-KRB`.
    pub flat_name: Option<String>,
    /// The DNS suffixes AD refers to the realm; by default the domain.
    pub top_level_names: Vec<String>,
    /// The ticket policy; by default [`NewTenant::DEFAULT_POLICY`].
    pub policy: Option<Policy>,
}

impl NewTenant {
    /// Tickets of at most ten hours, renewable for seven days; no built-in accounts.
    pub const DEFAULT_POLICY: Policy = Policy {
        max_ticket_life_s: 10 * 3600,
        max_renewable_life_s: 7 * 24 * 3600,
        allow_low_rids: false,
    };

    /// A tenant with every default, below the operator's `base_domain`.
    pub fn named(name: &str, base_domain: &str) -> Self {
        Self {
            name: name.to_owned(),
            domain: format!("{name}.{base_domain}"),
            realm: None,
            flat_name: None,
            top_level_names: Vec::new(),
            policy: None,
        }
    }
}

pub(crate) async fn load_tenant(conn: &mut AnyConnection, id: TenantId) -> Result<TenantInfo> {
    let row = sql(
        "SELECT id, name, domain, realm, flat_name, sid, top_level_names, max_ticket_life_s,
                   max_renewable_life_s, allow_low_rids, created_at FROM tenants WHERE id = $1",
    )
    .bind(tenant_blob(id))
    .fetch_optional(conn)
    .await?
    .ok_or_else(|| DirectoryError::not_found(RecordKind::Tenant, id))?;
    tenant_info(&row)
}

pub(crate) fn tenant_info(row: &AnyRow) -> Result<TenantInfo> {
    let id: Vec<u8> = col(row, "id")?;
    let id = id
        .try_into()
        .map_err(|_| DirectoryError::damaged("tenant id", "not a UUID"))?;
    Ok(TenantInfo {
        id: TenantId(id),
        name: col(row, "name")?,
        domain: col(row, "domain")?,
        realm: col(row, "realm")?,
        flat_name: col(row, "flat_name")?,
        sid: col_sid(row, "sid")?,
        top_level_names: col_names(row, "top_level_names")?,
        created_at: col(row, "created_at")?,
        policy: Policy {
            max_ticket_life_s: col_u32(row, "max_ticket_life_s")?,
            max_renewable_life_s: col_u32(row, "max_renewable_life_s")?,
            allow_low_rids: col::<i64>(row, "allow_low_rids")? != 0,
        },
    })
}
