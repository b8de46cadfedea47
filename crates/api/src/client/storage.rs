//! The endpoints of storage accounts, shares and service principals, one method each. Every method fails as [`ClientError`]
//! says; a refusal carries a [`crate::Code`].

use super::error::ClientError;
use super::transport::Client;
use crate::{
    DefaultPermission, Grant, GrantCreate, HostState, KeyName, Keytab, RotateAccountKey, RotateKey,
    RotatedAccount, ServicePrincipal, ServicePrincipalCreate, Share, ShareAccess, ShareCreate,
    ShareQuota, ShareRole, StorageAccount, StorageAccountCreate,
};
use reqwest::Method;

/// What a host learns when it asks for its state.
#[derive(Clone, Debug)]
pub enum HostStateAnswer {
    /// Nothing changed since the entity tag that was sent.
    Unchanged,
    /// The state, and the entity tag to send next time.
    State {
        /// The entity tag.
        etag: Option<String>,
        /// The state.
        state: Box<HostState>,
    },
}

/// Storage accounts.
impl Client {
    /// Creates a storage account with its two keys.
    pub async fn create_storage_account(
        &self,
        tenant: &str,
        account: &StorageAccountCreate,
    ) -> Result<StorageAccount, ClientError> {
        self.call(Method::POST, &["tenants", tenant, "storage-accounts"])
            .json(account)?
            .fetch()
            .await
    }

    /// All storage accounts of a tenant.
    pub async fn storage_accounts(&self, tenant: &str) -> Result<Vec<StorageAccount>, ClientError> {
        self.call(Method::GET, &["tenants", tenant, "storage-accounts"])
            .fetch_all()
            .await
    }

    /// A storage account.
    pub async fn storage_account(
        &self,
        tenant: &str,
        account: &str,
    ) -> Result<StorageAccount, ClientError> {
        self.call(
            Method::GET,
            &["tenants", tenant, "storage-accounts", account],
        )
        .fetch()
        .await
    }

    /// Deletes a storage account that has no shares any more, with its keys. Files on its host stay.
    pub async fn delete_storage_account(
        &self,
        tenant: &str,
        account: &str,
    ) -> Result<(), ClientError> {
        self.call(
            Method::DELETE,
            &["tenants", tenant, "storage-accounts", account],
        )
        .done()
        .await
    }

    /// Deletes a storage account with its keys and the shares it still has. Files on its host stay.
    pub async fn delete_storage_account_with_shares(
        &self,
        tenant: &str,
        account: &str,
    ) -> Result<(), ClientError> {
        let path = ["tenants", tenant, "storage-accounts", account];
        self.call(Method::DELETE, &path)
            .query("with_shares", Some("true"))
            .done()
            .await
    }

    /// Replaces one of the two keys.
    pub async fn rotate_storage_account_key(
        &self,
        tenant: &str,
        account: &str,
        rotate: RotateAccountKey,
    ) -> Result<RotatedAccount, ClientError> {
        self.call(
            Method::POST,
            &["tenants", tenant, "storage-accounts", account, "rotate-key"],
        )
        .json(&rotate)?
        .fetch()
        .await
    }

    /// The keys of a storage account as a keytab. Audited.
    pub async fn storage_account_keytab(
        &self,
        tenant: &str,
        account: &str,
    ) -> Result<Keytab, ClientError> {
        self.call(
            Method::POST,
            &["tenants", tenant, "storage-accounts", account, "keytab"],
        )
        .fetch()
        .await
    }

    /// Sets what every user may do without a grant.
    pub async fn set_default_permission(
        &self,
        tenant: &str,
        account: &str,
        role: Option<ShareRole>,
    ) -> Result<StorageAccount, ClientError> {
        self.call(
            Method::PUT,
            &[
                "tenants",
                tenant,
                "storage-accounts",
                account,
                "default-permission",
            ],
        )
        .json(&DefaultPermission { role })?
        .fetch()
        .await
    }

    /// What the SMB host of an account serves by. With an entity tag, waits up to `wait_s` (at most 25) for a change.
    pub async fn host_state(
        &self,
        tenant: &str,
        account: &str,
        etag: Option<&str>,
        wait_s: u64,
    ) -> Result<HostStateAnswer, ClientError> {
        let segments = ["tenants", tenant, "storage-accounts", account, "host-state"];
        let answer = self
            .call(Method::GET, &segments)
            .query(
                "wait_s",
                (wait_s > 0).then(|| wait_s.to_string()).as_deref(),
            )
            .if_none_match(etag)
            .patience(wait_s)
            .send()
            .await?;
        if answer.status == 304 {
            return Ok(HostStateAnswer::Unchanged);
        }
        let state = Box::new(answer.read()?);
        let etag = answer.etag;
        Ok(HostStateAnswer::State { etag, state })
    }
}

/// Shares.
impl Client {
    /// Creates a share.
    pub async fn create_share(
        &self,
        tenant: &str,
        account: &str,
        share: &ShareCreate,
    ) -> Result<Share, ClientError> {
        self.call(
            Method::POST,
            &["tenants", tenant, "storage-accounts", account, "shares"],
        )
        .json(share)?
        .fetch()
        .await
    }

    /// All shares of an account.
    pub async fn shares(&self, tenant: &str, account: &str) -> Result<Vec<Share>, ClientError> {
        self.call(
            Method::GET,
            &["tenants", tenant, "storage-accounts", account, "shares"],
        )
        .fetch_all()
        .await
    }

    /// A share with its grants.
    pub async fn share(
        &self,
        tenant: &str,
        account: &str,
        share: &str,
    ) -> Result<Share, ClientError> {
        self.call(
            Method::GET,
            &[
                "tenants",
                tenant,
                "storage-accounts",
                account,
                "shares",
                share,
            ],
        )
        .fetch()
        .await
    }

    /// Sets how much a share may hold, in GiB; `None` takes the quota away.
    pub async fn set_share_quota(
        &self,
        tenant: &str,
        account: &str,
        share: &str,
        quota_gib: Option<u32>,
    ) -> Result<Share, ClientError> {
        self.call(
            Method::PUT,
            &[
                "tenants",
                tenant,
                "storage-accounts",
                account,
                "shares",
                share,
                "quota",
            ],
        )
        .json(&ShareQuota { quota_gib })?
        .fetch()
        .await
    }

    /// Deletes the record of a share and its grants. Files on its host stay.
    pub async fn delete_share(
        &self,
        tenant: &str,
        account: &str,
        share: &str,
    ) -> Result<(), ClientError> {
        self.call(
            Method::DELETE,
            &[
                "tenants",
                tenant,
                "storage-accounts",
                account,
                "shares",
                share,
            ],
        )
        .done()
        .await
    }

    /// Gives a user or group a role on a share; replaces the one it had.
    pub async fn grant(
        &self,
        tenant: &str,
        account: &str,
        share: &str,
        grant: &GrantCreate,
    ) -> Result<Grant, ClientError> {
        self.call(
            Method::PUT,
            &[
                "tenants",
                tenant,
                "storage-accounts",
                account,
                "shares",
                share,
                "grants",
            ],
        )
        .json(grant)?
        .fetch()
        .await
    }

    /// Takes a user's or group's role on a share away.
    pub async fn revoke(
        &self,
        tenant: &str,
        account: &str,
        share: &str,
        principal: &str,
    ) -> Result<(), ClientError> {
        self.call(
            Method::DELETE,
            &[
                "tenants",
                tenant,
                "storage-accounts",
                account,
                "shares",
                share,
                "grants",
                principal,
            ],
        )
        .done()
        .await
    }

    /// What a user may do on a share, and why.
    pub async fn share_access(
        &self,
        tenant: &str,
        account: &str,
        share: &str,
        user: &str,
    ) -> Result<ShareAccess, ClientError> {
        let segments = [
            "tenants",
            tenant,
            "storage-accounts",
            account,
            "shares",
            share,
            "access",
        ];
        self.call(Method::GET, &segments)
            .query("user", Some(user))
            .fetch()
            .await
    }
}

/// Service principals.
impl Client {
    /// Creates a service principal with its key.
    pub async fn create_service_principal(
        &self,
        tenant: &str,
        service: &ServicePrincipalCreate,
    ) -> Result<ServicePrincipal, ClientError> {
        self.call(Method::POST, &["tenants", tenant, "service-principals"])
            .json(service)?
            .fetch()
            .await
    }

    /// All service principals of a tenant.
    pub async fn service_principals(
        &self,
        tenant: &str,
    ) -> Result<Vec<ServicePrincipal>, ClientError> {
        self.call(Method::GET, &["tenants", tenant, "service-principals"])
            .fetch_all()
            .await
    }

    /// A service principal.
    pub async fn service_principal(
        &self,
        tenant: &str,
        spn: &str,
    ) -> Result<ServicePrincipal, ClientError> {
        self.call(Method::GET, &["tenants", tenant, "service-principals", spn])
            .fetch()
            .await
    }

    /// Deletes a service principal and its keys.
    pub async fn delete_service_principal(
        &self,
        tenant: &str,
        spn: &str,
    ) -> Result<(), ClientError> {
        self.call(
            Method::DELETE,
            &["tenants", tenant, "service-principals", spn],
        )
        .done()
        .await
    }

    /// Replaces one of the two keys.
    pub async fn rotate_service_principal_key(
        &self,
        tenant: &str,
        spn: &str,
        key: KeyName,
    ) -> Result<ServicePrincipal, ClientError> {
        self.call(
            Method::POST,
            &["tenants", tenant, "service-principals", spn, "rotate-key"],
        )
        .json(&RotateKey { key })?
        .fetch()
        .await
    }

    /// The keys of a service principal as a keytab. Audited.
    pub async fn service_principal_keytab(
        &self,
        tenant: &str,
        spn: &str,
    ) -> Result<Keytab, ClientError> {
        self.call(
            Method::POST,
            &["tenants", tenant, "service-principals", spn, "keytab"],
        )
        .fetch()
        .await
    }
}
