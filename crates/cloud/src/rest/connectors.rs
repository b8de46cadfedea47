//! Connectors: the tokens of sync agents, one for each AD domain.

use super::access::InTenant;
use super::convert;
use super::error::ApiError;
use super::route::Input;
use crate::app::App;
use crossrealm_api::endpoint;
use crossrealm_api::{ConnectorCreated, Page, SecretText};
use crossrealm_types::{Connector, Timestamp};

/// [`endpoint::Connectors`]
pub(crate) async fn connectors(
    app: App,
    at: InTenant<endpoint::Connectors>,
    _: Input<endpoint::Connectors>,
) -> Result<Page<Connector>, ApiError> {
    let connectors = app.directory.connectors(at.id()).await?;
    Ok(convert::complete(connectors, |connector| connector))
}

/// [`endpoint::CreateConnector`]
pub(crate) async fn create_connector(
    app: App,
    at: InTenant<endpoint::CreateConnector>,
    Input { body: wanted, .. }: Input<endpoint::CreateConnector>,
) -> Result<ConnectorCreated, ApiError> {
    // Such a connector reads trust passwords, which other roles must not.
    if wanted.rotate_trust {
        at.require_global_administrator(&app, "let a connector rotate the trust key")?;
    }
    let (token, info) = app
        .directory
        .create_connector(&at.actor, at.id(), &wanted.domain, wanted.rotate_trust)
        .await?;
    let created = ConnectorCreated {
        connector: Connector {
            domain: wanted.domain.to_ascii_lowercase(),
            rotate_trust: wanted.rotate_trust,
            created_at: Timestamp::from_unix(info.created_at),
            last_success_at: None,
        },
        token: SecretText::new(token.as_str()),
    };
    Ok(created)
}

/// [`endpoint::DeleteConnector`]
pub(crate) async fn delete_connector(
    app: App,
    at: InTenant<endpoint::DeleteConnector>,
    Input {
        path: [_, domain], ..
    }: Input<endpoint::DeleteConnector>,
) -> Result<(), ApiError> {
    app.directory
        .revoke_connector(&at.actor, at.id(), &domain)
        .await?;
    Ok(())
}
