//! Trusts with AD domains: the secret is generated here, stays *pending* until AD is known to hold it, and is handed out
//! to the trust tool alone.

use super::access::{InTenant, ManageTrusts, Read, RotateTrusts};
use super::body::JsonBody;
use super::convert;
use super::error::ApiError;
use crate::app::App;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use crossrealm_api::{
    AdStep, AdStepPhase, ConfirmTrust, ConfirmTrustRotation, Page, PrepareTrust, PreparedTrust,
    RotateTrust, Trust, TrustRotation,
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
    Ok(Json(convert::prepared_trust(&prepared)))
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

/// `POST /tenants/{tenant}/trusts/{domain}/removal`.
pub(crate) async fn begin_removal(
    State(app): State<App>,
    at: InTenant<ManageTrusts>,
    Path((_, domain)): TrustPath,
) -> Result<StatusCode, ApiError> {
    app.directory
        .begin_trust_removal(&at.actor, at.id(), &domain)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /tenants/{tenant}/trusts/{domain}/removal`.
pub(crate) async fn cancel_removal(
    State(app): State<App>,
    at: InTenant<ManageTrusts>,
    Path((_, domain)): TrustPath,
) -> Result<StatusCode, ApiError> {
    app.directory
        .cancel_trust_removal(&at.actor, at.id(), &domain)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /tenants/{tenant}/trusts/{domain}/rotation`.
pub(crate) async fn rotate(
    State(app): State<App>,
    at: InTenant<RotateTrusts>,
    Path((_, domain)): TrustPath,
    JsonBody(wanted): JsonBody<RotateTrust>,
) -> Result<Json<TrustRotation>, ApiError> {
    let wanted = directory::RotateTrust {
        every_s: wanted.every_s,
        holder: wanted.holder,
    };
    let rotation = app
        .directory
        .rotate_trust(&at.actor, at.id(), &domain, &wanted)
        .await?;
    let (held_by, held_until) = rotation.held_by.unzip();
    Ok(Json(TrustRotation {
        due_at: rotation.due_at,
        prepared: rotation.prepared.as_ref().map(convert::prepared_trust),
        held_by,
        held_until,
        realm: at.tenant.realm,
        flat_name: at.tenant.flat_name,
        domain_flat_name: rotation.domain_flat_name,
    }))
}

/// `POST /tenants/{tenant}/trusts/{domain}/rotation/confirm`. Leaves the top-level names as they are.
pub(crate) async fn confirm_rotation(
    State(app): State<App>,
    at: InTenant<RotateTrusts>,
    Path((_, domain)): TrustPath,
    JsonBody(done): JsonBody<ConfirmTrustRotation>,
) -> Result<Json<Trust>, ApiError> {
    let trust = app
        .directory
        .confirm_trust(&at.actor, at.id(), &domain, done.version, &[])
        .await?;
    Ok(Json(convert::trust(trust)))
}

/// `POST /tenants/{tenant}/domains/{domain}/ad-steps`.
pub(crate) async fn record_ad_step(
    State(app): State<App>,
    at: InTenant<RotateTrusts>,
    Path((_, domain)): TrustPath,
    JsonBody(step): JsonBody<AdStep>,
) -> Result<StatusCode, ApiError> {
    let step = directory::AdStep {
        phase: match step.phase {
            AdStepPhase::Begun => directory::AdStepPhase::Begun,
            AdStepPhase::Done => directory::AdStepPhase::Done,
            AdStepPhase::Failed => directory::AdStepPhase::Failed,
        },
        principal: step.principal,
        controller: step.controller,
        step: step.step,
        reason: step.reason,
    };
    app.directory
        .record_ad_step(&at.actor, at.id(), &domain, &step)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
