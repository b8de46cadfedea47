//! Connectors: the tokens of sync agents, one for each AD domain.

use super::access::{InTenant, ManageIdentities};
use super::body::JsonBody;
use super::convert;
use super::error::ApiError;
use crate::app::App;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use crossrealm_api::{Connector, ConnectorCreate, ConnectorCreated, Page, SecretText};
use crossrealm_directory::ConnectorInfo;

/// `GET /tenants/{tenant}/connectors`.
pub(crate) async fn list(
    State(app): State<App>,
    at: InTenant<ManageIdentities>,
) -> Result<Json<Page<Connector>>, ApiError> {
    let connectors = app.directory.connectors(at.id()).await?;
    Ok(Json(convert::complete(connectors, connector)))
}

/// `POST /tenants/{tenant}/connectors`.
pub(crate) async fn create(
    State(app): State<App>,
    at: InTenant<ManageIdentities>,
    JsonBody(wanted): JsonBody<ConnectorCreate>,
) -> Result<(StatusCode, Json<ConnectorCreated>), ApiError> {
    // Such a connector is given trust secrets, which no lesser role sees.
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
            created_at: info.created_at,
            last_success_at: None,
        },
        token: SecretText::new(token.as_str()),
    };
    Ok((StatusCode::CREATED, Json(created)))
}

/// `DELETE /tenants/{tenant}/connectors/{domain}`.
pub(crate) async fn revoke(
    State(app): State<App>,
    at: InTenant<ManageIdentities>,
    Path((_, domain)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    app.directory
        .revoke_connector(&at.actor, at.id(), &domain)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

fn connector(info: ConnectorInfo) -> Connector {
    Connector {
        domain: info.domain,
        rotate_trust: info.rotate_trust,
        created_at: info.created_at,
        last_success_at: info.last_success_at,
    }
}
