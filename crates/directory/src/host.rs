//! All that the SMB host of a storage account needs.

use crate::accounts::StorageAccount;
use crate::domains::DomainInfo;
use crate::keys::KeytabMaterial;
use crate::shares::Grant;
use crate::tenants::TenantInfo;
use crate::{Directory, Result};
use crossrealm_kdc::TenantId;

/// The state of a storage account for its SMB host.
#[derive(Clone, Debug)]
pub struct HostState {
    /// Changes whenever anything below changes.
    pub version: String,
    /// The tenant: realm, flat name, SID.
    pub tenant: TenantInfo,
    /// The account: host name, aliases, default role.
    pub account: StorageAccount,
    /// The AD domains of the tenant.
    pub domains: Vec<DomainInfo>,
    /// What its keytab is made of.
    pub keytab: KeytabMaterial,
    /// Its shares.
    pub shares: Vec<HostShare>,
}

/// A share of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostShare {
    /// Its name.
    pub name: String,
    /// The roles granted on it, by SID.
    pub grants: Vec<Grant>,
}

impl Directory {
    /// The state of a storage account for its SMB host. Not audited: the host asks every second or two.
    pub async fn host_state(&self, tenant: TenantId, account: &str) -> Result<HostState> {
        todo!()
    }
}
