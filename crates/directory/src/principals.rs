//! Service principals: Kerberos services other than storage accounts.

use crate::keys::{KeyInfo, KeySlot, KeytabMaterial};
use crate::{Actor, Directory, Page, Paged, Result};
use crossrealm_kdc::TenantId;

/// A service principal without its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePrincipal {
    /// `class/host`, lower case.
    pub spn: String,
    /// When it was made, Unix seconds.
    pub created_at: i64,
    /// Its keys, the sealing one first.
    pub keys: Vec<KeyInfo>,
}

impl Directory {
    /// Makes a service principal `class/host` with both keys.
    pub async fn create_service_principal(
        &self,
        by: &Actor,
        tenant: TenantId,
        spn: &str,
    ) -> Result<ServicePrincipal> {
        todo!()
    }

    /// The service principals, by SPN.
    pub async fn service_principals(
        &self,
        tenant: TenantId,
        page: &Page,
    ) -> Result<Paged<ServicePrincipal>> {
        todo!()
    }

    /// The service principal with this SPN, compared without case.
    pub async fn service_principal(&self, tenant: TenantId, spn: &str) -> Result<ServicePrincipal> {
        todo!()
    }

    /// Makes a new key in a slot; the other slot seals from now on.
    pub async fn rotate_service_principal_key(
        &self,
        by: &Actor,
        tenant: TenantId,
        spn: &str,
        slot: KeySlot,
    ) -> Result<ServicePrincipal> {
        todo!()
    }

    /// What the service principal's keytab is made of. Audited: it is an export of keys.
    pub async fn service_principal_keytab(
        &self,
        by: &Actor,
        tenant: TenantId,
        spn: &str,
    ) -> Result<KeytabMaterial> {
        todo!()
    }

    /// Removes a service principal and its keys.
    pub async fn delete_service_principal(
        &self,
        by: &Actor,
        tenant: TenantId,
        spn: &str,
    ) -> Result<()> {
        todo!()
    }
}
