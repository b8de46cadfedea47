//! What the tenant has recorded of the domain, and who may change it.

use crate::error::AgentError;
use crossrealm_api::{Client, ClientError, Code};
use crossrealm_types::{AdministratorRole, KerberosServer, Trust};

/// Refuses a token that may not change trusts, before AD is changed.
///
/// # Errors
/// [`AgentError::NotGlobalAdministrator`], or the service's.
pub async fn require_global_administrator(client: &Client) -> Result<(), AgentError> {
    let caller = client.whoami().await?;
    match caller.role {
        Some(AdministratorRole::GlobalAdministrator) => Ok(()),
        _ => Err(AgentError::NotGlobalAdministrator { name: caller.name }),
    }
}

/// The tenant's record of the trust, where there is one.
pub(crate) async fn trust(
    client: &Client,
    tenant: &str,
    domain: &str,
) -> Result<Option<Trust>, AgentError> {
    found(client.trust(tenant, domain).await, Code::TrustNotFound)
}

/// The tenant's record of the Kerberos server object, where there is one.
pub(crate) async fn kerberos_server(
    client: &Client,
    tenant: &str,
    domain: &str,
) -> Result<Option<KerberosServer>, AgentError> {
    let record = client.kerberos_server(tenant, domain).await;
    found(record, Code::KerberosServerNotFound)
}

fn found<T>(answer: Result<T, ClientError>, missing: Code) -> Result<Option<T>, AgentError> {
    match answer {
        Ok(record) => Ok(Some(record)),
        Err(error) if error.code() == Some(missing) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
