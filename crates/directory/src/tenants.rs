//! Tenants: the cloud side of one organisation.

use crate::{Actor, Directory, Page, Paged, Result};
use crossrealm_kdc::{Policy, TenantId};
use crossrealm_krb::sid::Sid;
use std::sync::Arc;

/// A tenant to be made. What is `None` or empty gets the default of the design's section on names.
#[derive(Clone, Debug)]
pub struct NewTenant {
    /// The name: 1 to 63 letters, digits and hyphens.
    pub name: String,
    /// The DNS domain, e.g. `contoso.cloud.example`.
    pub domain: String,
    /// The Kerberos realm; by default `KERBEROS.` and the upper-cased domain.
    pub realm: Option<String>,
    /// The flat (NetBIOS) name, at most 15 characters; by default made of the name and `-KRB`.
    pub flat_name: Option<String>,
    /// The DNS suffixes AD refers to the realm; by default the domain.
    pub top_level_names: Vec<String>,
    /// The ticket policy; by default [`NewTenant::DEFAULT_POLICY`].
    pub policy: Option<Policy>,
}

/// What is known of a tenant, without its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantInfo {
    /// Its UUID.
    pub id: TenantId,
    /// Its name, lower case.
    pub name: String,
    /// Its DNS domain, lower case.
    pub domain: String,
    /// Its Kerberos realm.
    pub realm: String,
    /// Its flat (NetBIOS) name, upper case.
    pub flat_name: String,
    /// Its own domain SID, `S-1-5-21-a-b-c`, made at random once.
    pub sid: Sid,
    /// The DNS suffixes AD refers to the realm, lower case.
    pub top_level_names: Vec<String>,
    /// When it was made, Unix seconds.
    pub created_at: i64,
    /// What it allows.
    pub policy: Policy,
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

impl Directory {
    /// Makes a tenant with a random SID and the keys of its realm.
    pub async fn create_tenant(&self, by: &Actor, new: NewTenant) -> Result<TenantInfo> {
        todo!()
    }

    /// The tenants, by name.
    pub async fn tenants(&self, page: &Page) -> Result<Paged<TenantInfo>> {
        todo!()
    }

    /// The tenant with this id.
    pub async fn tenant(&self, id: TenantId) -> Result<TenantInfo> {
        todo!()
    }

    /// The tenant with this id, name or domain, compared without case.
    pub async fn find_tenant(&self, id_name_or_domain: &str) -> Result<TenantInfo> {
        todo!()
    }

    /// The tenant a KDC proxy URL names by id or domain, from memory where it was asked for within the last second.
    /// `None` where there is none. Fit for the path of a ticket: what unknown callers send cannot fill the memory.
    pub async fn resolve_tenant(&self, id_or_domain: &str) -> Result<Option<Arc<TenantInfo>>> {
        todo!()
    }

    /// Replaces a tenant's ticket policy.
    pub async fn set_policy(&self, by: &Actor, tenant: TenantId, policy: Policy) -> Result<()> {
        todo!()
    }

    /// Removes a tenant with all its records. Its audit events stay.
    pub async fn delete_tenant(&self, by: &Actor, tenant: TenantId) -> Result<()> {
        todo!()
    }
}
