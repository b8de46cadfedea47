//! The endpoints, one method each. Every method fails as [`ClientError`] says; a refusal carries a [`crate::Code`].

use super::error::ClientError;
use super::transport::Client;
use crate::{
    ApplyIdentities, ApplyIdentitiesResult, CaCertificate, ClientConfig, ConfirmTrust, Connector,
    ConnectorCreate, ConnectorCreated, DefaultPermission, DomainIdentitiesPage, Event, EventQuery,
    Grant, GrantCreate, GroupDetails, Health, HostState, Identity, KeyName, Keytab, Page,
    PageQuery, PrepareTrust, PreparedTrust, RotateKey, ServicePrincipal, ServicePrincipalCreate,
    Share, ShareAccess, ShareCreate, ShareRole, StorageAccount, StorageAccountCreate, SyncState,
    Tenant, TenantCreate, Trust, UserCreate, UserDetails, WhoAmI,
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

/// The server itself.
impl Client {
    /// Who the token is.
    pub async fn whoami(&self) -> Result<WhoAmI, ClientError> {
        self.call(Method::GET, &["whoami"]).fetch().await
    }

    /// The server's private certificate authority, where it has one. Needs no token.
    pub async fn ca(&self) -> Result<CaCertificate, ClientError> {
        self.call(Method::GET, &["ca"]).fetch().await
    }

    /// Whether the server serves. Needs no token.
    pub async fn health(&self) -> Result<Health, ClientError> {
        self.call_path(Method::GET, "/healthz").fetch().await
    }
}

/// Tenants.
impl Client {
    /// Creates a tenant.
    pub async fn create_tenant(&self, tenant: &TenantCreate) -> Result<Tenant, ClientError> {
        self.call(Method::POST, &["tenants"])
            .json(tenant)?
            .fetch()
            .await
    }

    /// All tenants that the token may see.
    pub async fn tenants(&self) -> Result<Vec<Tenant>, ClientError> {
        self.call(Method::GET, &["tenants"]).fetch_all().await
    }

    /// A tenant by name, domain or id.
    pub async fn tenant(&self, tenant: &str) -> Result<Tenant, ClientError> {
        self.call(Method::GET, &["tenants", tenant]).fetch().await
    }

    /// Deletes a tenant that holds nothing any more.
    pub async fn delete_tenant(&self, tenant: &str) -> Result<(), ClientError> {
        self.call(Method::DELETE, &["tenants", tenant]).done().await
    }

    /// What a client's configuration is made from.
    pub async fn client_config(&self, tenant: &str) -> Result<ClientConfig, ClientError> {
        self.call(Method::GET, &["tenants", tenant, "client-config"])
            .fetch()
            .await
    }

    /// Events in the order of recording. To follow, ask again with the last one's `sequence` as `after`.
    pub async fn events(
        &self,
        tenant: &str,
        query: &EventQuery,
    ) -> Result<Vec<Event>, ClientError> {
        let page: Page<Event> = self
            .call(Method::GET, &["tenants", tenant, "events"])
            .query("after", query.after.map(|n| n.to_string()).as_deref())
            .query(
                "since_ms",
                query.since_ms.map(|at| at.to_string()).as_deref(),
            )
            .query("user", query.user.as_deref())
            .query("limit", query.limit.map(|n| n.to_string()).as_deref())
            .fetch()
            .await?;
        Ok(page.items)
    }
}

/// Trusts.
impl Client {
    /// All trusts of a tenant.
    pub async fn trusts(&self, tenant: &str) -> Result<Vec<Trust>, ClientError> {
        self.call(Method::GET, &["tenants", tenant, "trusts"])
            .fetch_all()
            .await
    }

    /// The trust with an AD domain; [`crate::Code::TrustNotFound`] where there is none.
    pub async fn trust(&self, tenant: &str, domain: &str) -> Result<Trust, ClientError> {
        self.call(Method::GET, &["tenants", tenant, "trusts", domain])
            .fetch()
            .await
    }

    /// The secret to make the trust in AD with; the same again until it is confirmed.
    pub async fn prepare_trust(
        &self,
        tenant: &str,
        domain: &str,
        trust: &PrepareTrust,
    ) -> Result<PreparedTrust, ClientError> {
        self.call(
            Method::POST,
            &["tenants", tenant, "trusts", domain, "prepare"],
        )
        .json(trust)?
        .fetch()
        .await
    }

    /// AD now holds this version.
    pub async fn confirm_trust(
        &self,
        tenant: &str,
        domain: &str,
        trust: &ConfirmTrust,
    ) -> Result<Trust, ClientError> {
        self.call(
            Method::POST,
            &["tenants", tenant, "trusts", domain, "confirm"],
        )
        .json(trust)?
        .fetch()
        .await
    }

    /// Forgets a trust and its keys.
    pub async fn delete_trust(&self, tenant: &str, domain: &str) -> Result<(), ClientError> {
        self.call(Method::DELETE, &["tenants", tenant, "trusts", domain])
            .done()
            .await
    }

    /// Registers the sync agent of an AD domain.
    pub async fn create_connector(
        &self,
        tenant: &str,
        connector: &ConnectorCreate,
    ) -> Result<ConnectorCreated, ClientError> {
        self.call(Method::POST, &["tenants", tenant, "connectors"])
            .json(connector)?
            .fetch()
            .await
    }

    /// All connectors of a tenant.
    pub async fn connectors(&self, tenant: &str) -> Result<Vec<Connector>, ClientError> {
        self.call(Method::GET, &["tenants", tenant, "connectors"])
            .fetch_all()
            .await
    }

    /// Deletes a connector; its token is refused from then on.
    pub async fn delete_connector(&self, tenant: &str, domain: &str) -> Result<(), ClientError> {
        self.call(Method::DELETE, &["tenants", tenant, "connectors", domain])
            .done()
            .await
    }
}

/// Identities.
impl Client {
    /// What the tenant holds of an AD domain, one page.
    pub async fn domain_identities(
        &self,
        tenant: &str,
        domain: &str,
        after: Option<&str>,
        limit: Option<u32>,
    ) -> Result<DomainIdentitiesPage, ClientError> {
        self.call(
            Method::GET,
            &["tenants", tenant, "domains", domain, "identities"],
        )
        .query("after", after)
        .query("limit", limit.map(|n| n.to_string()).as_deref())
        .fetch()
        .await
    }

    /// Writes changes of one run of the sync agent.
    pub async fn apply_identities(
        &self,
        tenant: &str,
        domain: &str,
        changes: &ApplyIdentities,
    ) -> Result<ApplyIdentitiesResult, ClientError> {
        self.call(
            Method::POST,
            &["tenants", tenant, "domains", domain, "identities"],
        )
        .json(changes)?
        .fetch()
        .await
    }

    /// How far the sync of an AD domain has come.
    pub async fn sync_state(&self, tenant: &str, domain: &str) -> Result<SyncState, ClientError> {
        self.call(
            Method::GET,
            &["tenants", tenant, "domains", domain, "sync-state"],
        )
        .fetch()
        .await
    }

    /// One page of the users of a tenant.
    pub async fn users(
        &self,
        tenant: &str,
        page: &PageQuery,
    ) -> Result<Page<Identity>, ClientError> {
        self.call(Method::GET, &["tenants", tenant, "users"])
            .query("after", page.after.as_deref())
            .query("limit", page.limit.map(|n| n.to_string()).as_deref())
            .fetch()
            .await
    }

    /// One page of the groups of a tenant.
    pub async fn groups(
        &self,
        tenant: &str,
        page: &PageQuery,
    ) -> Result<Page<Identity>, ClientError> {
        self.call(Method::GET, &["tenants", tenant, "groups"])
            .query("after", page.after.as_deref())
            .query("limit", page.limit.map(|n| n.to_string()).as_deref())
            .fetch()
            .await
    }

    /// A user by UPN, account name or SID, with effective groups.
    pub async fn user(&self, tenant: &str, user: &str) -> Result<UserDetails, ClientError> {
        self.call(Method::GET, &["tenants", tenant, "users", user])
            .fetch()
            .await
    }

    /// Creates a cloud-only user.
    pub async fn create_user(
        &self,
        tenant: &str,
        user: &UserCreate,
    ) -> Result<Identity, ClientError> {
        self.call(Method::POST, &["tenants", tenant, "users"])
            .json(user)?
            .fetch()
            .await
    }

    /// A group by name or SID, with one page of its direct members.
    pub async fn group(
        &self,
        tenant: &str,
        group: &str,
        page: &PageQuery,
    ) -> Result<GroupDetails, ClientError> {
        self.call(Method::GET, &["tenants", tenant, "groups", group])
            .query("after", page.after.as_deref())
            .query("limit", page.limit.map(|n| n.to_string()).as_deref())
            .fetch()
            .await
    }
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

    /// Replaces one of the two keys.
    pub async fn rotate_storage_account_key(
        &self,
        tenant: &str,
        account: &str,
        key: KeyName,
    ) -> Result<StorageAccount, ClientError> {
        self.call(
            Method::POST,
            &["tenants", tenant, "storage-accounts", account, "rotate-key"],
        )
        .json(&RotateKey { key })?
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
