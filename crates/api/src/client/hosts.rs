//! The endpoints of SMB hosts.

use super::error::ClientError;
use super::transport::Client;
use crate::{
    Host, HostReport, HostToken, HostTokenCreate, HostTokenCreated, ResolveNames, ResolvedNames,
};
use reqwest::Method;
use uuid::Uuid;

/// Hosts of storage accounts.
impl Client {
    /// Makes a token for a host of the account.
    pub async fn create_host_token(
        &self,
        tenant: &str,
        account: &str,
        new: &HostTokenCreate,
    ) -> Result<HostTokenCreated, ClientError> {
        let path = [
            "tenants",
            tenant,
            "storage-accounts",
            account,
            "host-tokens",
        ];
        self.call(Method::POST, &path).json(new)?.fetch().await
    }

    /// The tokens of the account's hosts, revoked ones included.
    pub async fn host_tokens(
        &self,
        tenant: &str,
        account: &str,
    ) -> Result<Vec<HostToken>, ClientError> {
        let path = [
            "tenants",
            tenant,
            "storage-accounts",
            account,
            "host-tokens",
        ];
        self.call(Method::GET, &path).fetch().await
    }

    /// Revokes a token of a host of the account.
    pub async fn revoke_host_token(
        &self,
        tenant: &str,
        account: &str,
        id: Uuid,
    ) -> Result<(), ClientError> {
        let id = id.to_string();
        let path = [
            "tenants",
            tenant,
            "storage-accounts",
            account,
            "host-tokens",
            &id,
        ];
        self.call(Method::DELETE, &path).done().await
    }

    /// Tells what a host of the account does.
    pub async fn report_host(
        &self,
        tenant: &str,
        account: &str,
        host: &str,
        report: &HostReport,
    ) -> Result<(), ClientError> {
        let path = [
            "tenants",
            tenant,
            "storage-accounts",
            account,
            "hosts",
            host,
        ];
        self.call(Method::PUT, &path).json(report)?.done().await
    }

    /// The hosts of the account, and what each said last.
    pub async fn hosts(&self, tenant: &str, account: &str) -> Result<Vec<Host>, ClientError> {
        let path = ["tenants", tenant, "storage-accounts", account, "hosts"];
        self.call(Method::GET, &path).fetch().await
    }

    /// Who is meant by SIDs and names, at most [`crate::MAX_RESOLVED`] of both together.
    pub async fn resolve_names(
        &self,
        tenant: &str,
        account: &str,
        names: &ResolveNames,
    ) -> Result<ResolvedNames, ClientError> {
        let path = ["tenants", tenant, "storage-accounts", account, "names"];
        self.call(Method::POST, &path).json(names)?.fetch().await
    }
}
