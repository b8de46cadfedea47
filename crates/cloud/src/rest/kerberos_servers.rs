//! What the trust tool saw of a domain's Kerberos server object.

use super::access::{InTenant, ManageTrusts, Read};
use super::body::JsonBody;
use super::convert;
use super::error::ApiError;
use crate::app::App;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use crossrealm_api::{KerberosServer, RecordKerberosServer};
use crossrealm_directory::{KerberosServerInfo, NewDomain, NewKerberosServer};

/// The parameters of a path below a domain.
type DomainPath = Path<(String, String)>;

/// `GET /tenants/{tenant}/kerberos-servers/{domain}`.
pub(crate) async fn show(
    State(app): State<App>,
    at: InTenant<Read>,
    Path((_, domain)): DomainPath,
) -> Result<Json<KerberosServer>, ApiError> {
    let info = app.directory.kerberos_server(at.id(), &domain).await?;
    Ok(Json(answer(info)))
}

/// `PUT /tenants/{tenant}/kerberos-servers/{domain}`.
pub(crate) async fn record(
    State(app): State<App>,
    at: InTenant<ManageTrusts>,
    Path((_, domain)): DomainPath,
    JsonBody(seen): JsonBody<RecordKerberosServer>,
) -> Result<Json<KerberosServer>, ApiError> {
    let seen = NewKerberosServer {
        domain: NewDomain {
            dns_name: domain,
            flat_name: seen.flat_name,
            sid: convert::sid(&seen.sid)?,
            forest_root: Some(seen.forest),
        },
        number: seen.id,
        display_name: seen.display_name,
        key_version: seen.key_version,
        key_updated_at: seen.key_updated_at,
    };
    let info = app
        .directory
        .record_kerberos_server(&at.actor, at.id(), &seen)
        .await?;
    Ok(Json(answer(info)))
}

/// `DELETE /tenants/{tenant}/kerberos-servers/{domain}`.
pub(crate) async fn delete(
    State(app): State<App>,
    at: InTenant<ManageTrusts>,
    Path((_, domain)): DomainPath,
) -> Result<StatusCode, ApiError> {
    app.directory
        .delete_kerberos_server(&at.actor, at.id(), &domain)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /tenants/{tenant}/kerberos-servers/{domain}/removal`.
pub(crate) async fn begin_removal(
    State(app): State<App>,
    at: InTenant<ManageTrusts>,
    Path((_, domain)): DomainPath,
) -> Result<StatusCode, ApiError> {
    app.directory
        .begin_kerberos_server_removal(&at.actor, at.id(), &domain)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /tenants/{tenant}/kerberos-servers/{domain}/removal`.
pub(crate) async fn cancel_removal(
    State(app): State<App>,
    at: InTenant<ManageTrusts>,
    Path((_, domain)): DomainPath,
) -> Result<StatusCode, ApiError> {
    app.directory
        .cancel_kerberos_server_removal(&at.actor, at.id(), &domain)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

fn answer(info: KerberosServerInfo) -> KerberosServer {
    KerberosServer {
        domain: info.domain,
        id: info.number,
        display_name: info.display_name,
        key_version: info.key_version,
        key_updated_at: info.key_updated_at,
        recorded_at: info.recorded_at,
        removal_begun_at: info.removal_begun_at,
    }
}
