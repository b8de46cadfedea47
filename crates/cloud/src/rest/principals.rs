//! Service principals: Kerberos services that are not storage accounts.

use super::access::{InTenant, ManageStorage, Read};
use super::body::{JsonBody, Parameters};
use super::convert;
use super::error::ApiError;
use crate::app::App;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use crossrealm_api::{
    Keytab, Page, PageQuery, RotateKey, ServicePrincipal, ServicePrincipalCreate,
};
use crossrealm_directory as directory;

type SpnPath = Path<(String, String)>;

/// `GET /tenants/{tenant}/service-principals`.
pub(crate) async fn list(
    State(app): State<App>,
    at: InTenant<Read>,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Json<Page<ServicePrincipal>>, ApiError> {
    let page = convert::page(query);
    let services = app.directory.service_principals(at.id(), &page).await?;
    Ok(Json(convert::paged(services, view)))
}

/// `POST /tenants/{tenant}/service-principals`.
pub(crate) async fn create(
    State(app): State<App>,
    at: InTenant<ManageStorage>,
    JsonBody(wanted): JsonBody<ServicePrincipalCreate>,
) -> Result<(StatusCode, Json<ServicePrincipal>), ApiError> {
    let service = app
        .directory
        .create_service_principal(&at.actor, at.id(), &wanted.spn)
        .await?;
    Ok((StatusCode::CREATED, Json(view(service))))
}

/// `GET /tenants/{tenant}/service-principals/{spn}`.
pub(crate) async fn show(
    State(app): State<App>,
    at: InTenant<Read>,
    Path((_, spn)): SpnPath,
) -> Result<Json<ServicePrincipal>, ApiError> {
    let service = app.directory.service_principal(at.id(), &spn).await?;
    Ok(Json(view(service)))
}

/// `DELETE /tenants/{tenant}/service-principals/{spn}`.
pub(crate) async fn delete(
    State(app): State<App>,
    at: InTenant<ManageStorage>,
    Path((_, spn)): SpnPath,
) -> Result<StatusCode, ApiError> {
    app.directory
        .delete_service_principal(&at.actor, at.id(), &spn)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /tenants/{tenant}/service-principals/{spn}/rotate-key`.
pub(crate) async fn rotate_key(
    State(app): State<App>,
    at: InTenant<ManageStorage>,
    Path((_, spn)): SpnPath,
    JsonBody(rotate): JsonBody<RotateKey>,
) -> Result<Json<ServicePrincipal>, ApiError> {
    let slot = convert::slot_in(rotate.key);
    let service = app
        .directory
        .rotate_service_principal_key(&at.actor, at.id(), &spn, slot)
        .await?;
    Ok(Json(view(service)))
}

/// `POST /tenants/{tenant}/service-principals/{spn}/keytab`.
pub(crate) async fn keytab(
    State(app): State<App>,
    at: InTenant<ManageStorage>,
    Path((_, spn)): SpnPath,
) -> Result<Json<Keytab>, ApiError> {
    let material = app
        .directory
        .service_principal_keytab(&at.actor, at.id(), &spn)
        .await?;
    Ok(Json(convert::keytab(&material)?))
}

fn view(service: directory::ServicePrincipal) -> ServicePrincipal {
    ServicePrincipal {
        spn: service.spn,
        keys: convert::keys(service.keys),
        created_at: service.created_at,
    }
}
