//! Trusts with AD domains: the secret is generated here, stays *pending* until AD is known to hold it, and is handed out
//! to the trust tool alone.

use super::access::{InTenant, ManageTrusts, Read};
use super::body::JsonBody;
use super::convert;
use super::error::ApiError;
use crate::app::App;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use crossrealm_api::{
    ConfirmTrust, HeldSecret, Page, PrepareTrust, PreparedTrust, SecretText, Trust,
};
use crossrealm_directory as directory;

/// The parameters of a path below a trust.
type TrustPath = Path<(String, String)>;

/// `GET /tenants/{tenant}/trusts`.
pub(crate) async fn list(
    State(app): State<App>,
    at: InTenant<Read>,
) -> Result<Json<Page<Trust>>, ApiError> {
    let trusts = app.directory.trusts(at.id()).await?;
    Ok(Json(convert::complete(trusts, convert::trust)))
}

/// `GET /tenants/{tenant}/trusts/{domain}`.
pub(crate) async fn show(
    State(app): State<App>,
    at: InTenant<Read>,
    Path((_, domain)): TrustPath,
) -> Result<Json<Trust>, ApiError> {
    let trust = app.directory.trust(at.id(), &domain).await?;
    Ok(Json(convert::trust(trust)))
}

/// `POST /tenants/{tenant}/trusts/{domain}/prepare`.
pub(crate) async fn prepare(
    State(app): State<App>,
    at: InTenant<ManageTrusts>,
    Path((_, domain)): TrustPath,
    JsonBody(wanted): JsonBody<PrepareTrust>,
) -> Result<Json<PreparedTrust>, ApiError> {
    let wanted = directory::PrepareTrust {
        sid: convert::sid(&wanted.sid)?,
        realm: wanted.realm,
        flat_name: wanted.flat_name,
        top_level_names: wanted.top_level_names,
        rotate: wanted.rotate,
    };
    let prepared = app
        .directory
        .prepare_trust(&at.actor, at.id(), &domain, &wanted)
        .await?;
    Ok(Json(PreparedTrust {
        version: prepared.version,
        state: convert::trust_key_state(prepared.state),
        secret: SecretText::new(prepared.secret.as_str()),
        held: prepared
            .held
            .iter()
            .map(|held| HeldSecret {
                version: held.version,
                state: convert::trust_key_state(held.state),
                secret: SecretText::new(held.secret.as_str()),
            })
            .collect(),
    }))
}

/// `POST /tenants/{tenant}/trusts/{domain}/confirm`.
pub(crate) async fn confirm(
    State(app): State<App>,
    at: InTenant<ManageTrusts>,
    Path((_, domain)): TrustPath,
    JsonBody(done): JsonBody<ConfirmTrust>,
) -> Result<Json<Trust>, ApiError> {
    let trust = app
        .directory
        .confirm_trust(
            &at.actor,
            at.id(),
            &domain,
            done.version,
            &done.top_level_names,
        )
        .await?;
    Ok(Json(convert::trust(trust)))
}

/// `DELETE /tenants/{tenant}/trusts/{domain}`.
pub(crate) async fn delete(
    State(app): State<App>,
    at: InTenant<ManageTrusts>,
    Path((_, domain)): TrustPath,
) -> Result<StatusCode, ApiError> {
    app.directory
        .delete_trust(&at.actor, at.id(), &domain)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
