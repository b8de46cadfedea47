//! The endpoints, one method each. Every method fails as [`ClientError`] says; a refusal carries a [`crate::Code`].

use super::error::ClientError;
use super::transport::Client;
use crate::{
    AdStep, ApplyIdentities, ApplyIdentitiesResult, CaCertificate, ClientConfig, ConfirmTrust,
    ConfirmTrustRotation, Connector, ConnectorCreate, ConnectorCreated, DomainIdentitiesPage,
    Event, EventQuery, GroupDetails, Health, IdentitiesFound, Identity, IdentityLookup,
    KerberosServer, Page, PageQuery, PrepareTrust, PreparedTrust, RecordKerberosServer,
    RotateTrust, SyncLease, SyncLeaseRelease, SyncLeaseRequest, SyncState, SyncedIdentity, Tenant,
    TenantCreate, Trust, TrustRotation, UserCreate, UserDetails, WhoAmI,
};
use reqwest::Method;

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

    /// The server's clock in Unix seconds, where its answer carries it. Needs no token.
    pub async fn clock(&self) -> Result<Option<i64>, ClientError> {
        let answer = self.call_path(Method::GET, "/healthz").send().await?;
        Ok(answer.sent_at())
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

    /// Notes that a trust is about to be taken out of AD.
    pub async fn begin_trust_removal(&self, tenant: &str, domain: &str) -> Result<(), ClientError> {
        self.call(
            Method::POST,
            &["tenants", tenant, "trusts", domain, "removal"],
        )
        .done()
        .await
    }

    /// Takes back that a trust is about to be taken out of AD.
    pub async fn cancel_trust_removal(
        &self,
        tenant: &str,
        domain: &str,
    ) -> Result<(), ClientError> {
        self.call(
            Method::DELETE,
            &["tenants", tenant, "trusts", domain, "removal"],
        )
        .done()
        .await
    }

    /// Takes back that a domain's Kerberos server object is about to be taken out of AD.
    pub async fn cancel_kerberos_server_removal(
        &self,
        tenant: &str,
        domain: &str,
    ) -> Result<(), ClientError> {
        self.call(
            Method::DELETE,
            &["tenants", tenant, "kerberos-servers", domain, "removal"],
        )
        .done()
        .await
    }

    /// Whether a rotation by age is due, and with which secrets.
    pub async fn rotate_trust(
        &self,
        tenant: &str,
        domain: &str,
        wanted: &RotateTrust,
    ) -> Result<TrustRotation, ClientError> {
        self.call(
            Method::POST,
            &["tenants", tenant, "trusts", domain, "rotation"],
        )
        .json(wanted)?
        .fetch()
        .await
    }

    /// AD now holds this version: the rotation by age ends.
    pub async fn confirm_trust_rotation(
        &self,
        tenant: &str,
        domain: &str,
        done: &ConfirmTrustRotation,
    ) -> Result<Trust, ClientError> {
        self.call(
            Method::POST,
            &["tenants", tenant, "trusts", domain, "rotation", "confirm"],
        )
        .json(done)?
        .fetch()
        .await
    }

    /// Tells the tenant's audit of a change in AD.
    pub async fn record_ad_step(
        &self,
        tenant: &str,
        domain: &str,
        step: &AdStep,
    ) -> Result<(), ClientError> {
        self.call(
            Method::POST,
            &["tenants", tenant, "domains", domain, "ad-steps"],
        )
        .json(step)?
        .done()
        .await
    }

    /// Notes that a domain's Kerberos server object is about to be taken out of AD.
    pub async fn begin_kerberos_server_removal(
        &self,
        tenant: &str,
        domain: &str,
    ) -> Result<(), ClientError> {
        self.call(
            Method::POST,
            &["tenants", tenant, "kerberos-servers", domain, "removal"],
        )
        .done()
        .await
    }

    /// The record of a domain's Kerberos server object; [`crate::Code::KerberosServerNotFound`] where there is none.
    pub async fn kerberos_server(
        &self,
        tenant: &str,
        domain: &str,
    ) -> Result<KerberosServer, ClientError> {
        self.call(
            Method::GET,
            &["tenants", tenant, "kerberos-servers", domain],
        )
        .fetch()
        .await
    }

    /// Records what AD holds as the domain's Kerberos server object.
    pub async fn record_kerberos_server(
        &self,
        tenant: &str,
        domain: &str,
        seen: &RecordKerberosServer,
    ) -> Result<KerberosServer, ClientError> {
        self.call(
            Method::PUT,
            &["tenants", tenant, "kerberos-servers", domain],
        )
        .json(seen)?
        .fetch()
        .await
    }

    /// Forgets a domain's Kerberos server object.
    pub async fn delete_kerberos_server(
        &self,
        tenant: &str,
        domain: &str,
    ) -> Result<(), ClientError> {
        self.call(
            Method::DELETE,
            &["tenants", tenant, "kerberos-servers", domain],
        )
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

    /// What the tenant holds of these objects of an AD domain; at most [`crate::MAX_CHANGES`] are asked for.
    pub async fn lookup_identities(
        &self,
        tenant: &str,
        domain: &str,
        wanted: &IdentityLookup,
    ) -> Result<Vec<SyncedIdentity>, ClientError> {
        let found: IdentitiesFound = self
            .call(
                Method::POST,
                &["tenants", tenant, "domains", domain, "identities", "lookup"],
            )
            .json(wanted)?
            .fetch()
            .await?;
        Ok(found.identities)
    }

    /// One page of the direct members of a group of an AD domain, by `objectGUID`, in order.
    pub async fn domain_members(
        &self,
        tenant: &str,
        domain: &str,
        object_guid: &str,
        after: Option<&str>,
    ) -> Result<Page<String>, ClientError> {
        let path = [
            "tenants",
            tenant,
            "domains",
            domain,
            "identities",
            object_guid,
            "members",
        ];
        self.call(Method::GET, &path)
            .query("after", after)
            .query("limit", Some(&crate::MAX_PAGE.to_string()))
            .fetch()
            .await
    }

    /// Reads the members of a group that the answer which brought it had no room for.
    pub async fn complete_members(
        &self,
        tenant: &str,
        domain: &str,
        group: &mut SyncedIdentity,
    ) -> Result<(), ClientError> {
        while group.more_members {
            let after = group.members.last().cloned();
            let page = self
                .domain_members(tenant, domain, &group.object_guid, after.as_deref())
                .await?;
            group.more_members = page.next.is_some() && !page.items.is_empty();
            group.members.extend(page.items);
        }
        Ok(())
    }

    /// Takes or renews the lease of the sync of an AD domain.
    pub async fn take_sync_lease(
        &self,
        tenant: &str,
        domain: &str,
        lease: &SyncLeaseRequest,
    ) -> Result<SyncLease, ClientError> {
        self.call(
            Method::POST,
            &["tenants", tenant, "domains", domain, "sync-lease"],
        )
        .json(lease)?
        .fetch()
        .await
    }

    /// Gives the lease of the sync of an AD domain back.
    pub async fn release_sync_lease(
        &self,
        tenant: &str,
        domain: &str,
        lease: &SyncLeaseRelease,
    ) -> Result<(), ClientError> {
        self.call(
            Method::DELETE,
            &["tenants", tenant, "domains", domain, "sync-lease"],
        )
        .json(lease)?
        .done()
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
