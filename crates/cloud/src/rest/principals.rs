//! Service principals: Kerberos services that are not storage accounts.

use super::access::InTenant;
use super::convert;
use super::error::ApiError;
use super::route::Input;
use crate::app::App;
use crossrealm_api::endpoint;
use crossrealm_api::{Keytab, Page};
use crossrealm_types::ServicePrincipal;

/// [`endpoint::ServicePrincipals`]
pub(crate) async fn service_principals(
    app: App,
    at: InTenant<endpoint::ServicePrincipals>,
    Input { query, .. }: Input<endpoint::ServicePrincipals>,
) -> Result<Page<ServicePrincipal>, ApiError> {
    let page = convert::page(query);
    let services = app.directory.service_principals(at.id(), &page).await?;
    Ok(convert::paged(services, |service| service))
}

/// [`endpoint::CreateServicePrincipal`]
pub(crate) async fn create_service_principal(
    app: App,
    at: InTenant<endpoint::CreateServicePrincipal>,
    Input { body: wanted, .. }: Input<endpoint::CreateServicePrincipal>,
) -> Result<ServicePrincipal, ApiError> {
    let service = app
        .directory
        .create_service_principal(&at.actor, at.id(), &wanted.spn, at.name_scope())
        .await?;
    Ok(service)
}

/// [`endpoint::ShowServicePrincipal`]
pub(crate) async fn service_principal(
    app: App,
    at: InTenant<endpoint::ShowServicePrincipal>,
    Input { path: [_, spn], .. }: Input<endpoint::ShowServicePrincipal>,
) -> Result<ServicePrincipal, ApiError> {
    Ok(app.directory.service_principal(at.id(), &spn).await?)
}

/// [`endpoint::DeleteServicePrincipal`]
pub(crate) async fn delete_service_principal(
    app: App,
    at: InTenant<endpoint::DeleteServicePrincipal>,
    Input { path: [_, spn], .. }: Input<endpoint::DeleteServicePrincipal>,
) -> Result<(), ApiError> {
    app.directory
        .delete_service_principal(&at.actor, at.id(), &spn)
        .await?;
    Ok(())
}

/// [`endpoint::RotateServicePrincipalKey`]
pub(crate) async fn rotate_service_principal_key(
    app: App,
    at: InTenant<endpoint::RotateServicePrincipalKey>,
    Input {
        path: [_, spn],
        body: rotate,
        ..
    }: Input<endpoint::RotateServicePrincipalKey>,
) -> Result<ServicePrincipal, ApiError> {
    let slot = rotate.key;
    let service = app
        .directory
        .rotate_service_principal_key(&at.actor, at.id(), &spn, slot)
        .await?;
    Ok(service)
}

/// [`endpoint::ServicePrincipalKeytab`]
pub(crate) async fn service_principal_keytab(
    app: App,
    at: InTenant<endpoint::ServicePrincipalKeytab>,
    Input { path: [_, spn], .. }: Input<endpoint::ServicePrincipalKeytab>,
) -> Result<Keytab, ApiError> {
    let material = app
        .directory
        .service_principal_keytab(&at.actor, at.id(), &spn)
        .await?;
    convert::keytab(&material)
}
