//! Calls about the installation's own people and rules.

use super::error::ClientError;
use super::transport::Client;
use crate::{Tenant, TenantPolicy};
use reqwest::Method;

/// What a tenant allows.
impl Client {
    /// Changes what a tenant allows.
    pub async fn set_tenant_policy(
        &self,
        tenant: &str,
        policy: &TenantPolicy,
    ) -> Result<Tenant, ClientError> {
        self.call(Method::PUT, &["tenants", tenant, "policy"])
            .json(policy)?
            .fetch()
            .await
    }
}
