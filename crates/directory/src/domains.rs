//! The AD domains registered with a tenant: whose users may arrive, and whose SIDs count.

use crate::{Actor, Directory, Result};
use crossrealm_kdc::TenantId;
use crossrealm_krb::sid::Sid;

/// An AD domain as its administrator's tools see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDomain {
    /// Its DNS name, e.g. `corp.contoso.com`; any case. Its realm is this in upper case.
    pub dns_name: String,
    /// Its flat (NetBIOS) name.
    pub flat_name: String,
    /// Its domain SID.
    pub sid: Sid,
    /// The DNS name of the root of its forest, where that is known.
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
    /// Registers an AD domain, or does nothing where the same one is registered. Where `forest_root` is not given, it
    /// is the trusted domain that the name lies below, and else the domain itself.
    ///
    /// Refused with `domain_sid_mismatch` where the name is registered with another SID, and with `domain_sid_taken`
    /// where the SID belongs to another domain or to the tenant itself.
    pub async fn register_domain(
        &self,
        by: &Actor,
        tenant: TenantId,
        new: &NewDomain,
    ) -> Result<DomainInfo> {
        todo!()
    }

    /// The registered domains, by name.
    pub async fn domains(&self, tenant: TenantId) -> Result<Vec<DomainInfo>> {
        todo!()
    }

    /// The registered domain with this DNS name.
    pub async fn domain(&self, tenant: TenantId, dns_name: &str) -> Result<DomainInfo> {
        todo!()
    }
}
