//! Storage accounts.

use super::access::{InTenant, ManageStorage, Read};
use super::body::{JsonBody, Parameters};
use super::convert;
use super::error::ApiError;
use crate::app::App;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use crossrealm_api::{
    DefaultPermission, Keytab, Page, PageQuery, RotateAccountKey, RotatedAccount, StorageAccount,
    StorageAccountCreate,
};
use crossrealm_directory::NewStorageAccount;
use serde::Deserialize;

/// Whether the shares that an account still has go with it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HowToDelete {
    #[serde(default)]
    with_shares: bool,
}

type AccountPath = Path<(String, String)>;

/// `GET /tenants/{tenant}/storage-accounts`.
pub(crate) async fn list(
    State(app): State<App>,
    at: InTenant<Read>,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Json<Page<StorageAccount>>, ApiError> {
    let accounts = app
        .directory
        .storage_accounts(at.id(), &convert::page(query))
        .await?;
    Ok(Json(convert::paged(accounts, convert::storage_account)))
}

/// `POST /tenants/{tenant}/storage-accounts`.
pub(crate) async fn create(
    State(app): State<App>,
    at: InTenant<ManageStorage>,
    JsonBody(wanted): JsonBody<StorageAccountCreate>,
) -> Result<(StatusCode, Json<StorageAccount>), ApiError> {
    let new = NewStorageAccount {
        name: wanted.name,
        aliases: wanted.aliases,
    };
    let account = app
        .directory
        .create_storage_account(&at.actor, at.id(), new)
        .await?;
    Ok((StatusCode::CREATED, Json(convert::storage_account(account))))
}

/// `GET /tenants/{tenant}/storage-accounts/{account}`.
pub(crate) async fn show(
    State(app): State<App>,
    at: InTenant<Read>,
    Path((_, account)): AccountPath,
) -> Result<Json<StorageAccount>, ApiError> {
    let account = app.directory.storage_account(at.id(), &account).await?;
    Ok(Json(convert::storage_account(account)))
}

/// `DELETE /tenants/{tenant}/storage-accounts/{account}`.
pub(crate) async fn delete(
    State(app): State<App>,
    at: InTenant<ManageStorage>,
    Path((_, account)): AccountPath,
    Parameters(how): Parameters<HowToDelete>,
) -> Result<StatusCode, ApiError> {
    let (directory, by) = (&app.directory, &at.actor);
    match how.with_shares {
        true => {
            directory
                .delete_storage_account_with_shares(by, at.id(), &account)
                .await?;
        }
        false => {
            directory
                .delete_storage_account(by, at.id(), &account)
                .await?;
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /tenants/{tenant}/storage-accounts/{account}/rotate-key`.
pub(crate) async fn rotate_key(
    State(app): State<App>,
    at: InTenant<ManageStorage>,
    Path((_, account)): AccountPath,
    JsonBody(rotate): JsonBody<RotateAccountKey>,
) -> Result<Json<RotatedAccount>, ApiError> {
    let slot = convert::slot_in(rotate.key);
    let rotated = app
        .directory
        .rotate_storage_key(&at.actor, at.id(), &account, slot, rotate.force)
        .await?;
    Ok(Json(RotatedAccount {
        account: convert::storage_account(rotated.account),
        warnings: rotated.warnings.iter().map(ToString::to_string).collect(),
    }))
}

/// `POST /tenants/{tenant}/storage-accounts/{account}/keytab`.
pub(crate) async fn keytab(
    State(app): State<App>,
    at: InTenant<ManageStorage>,
    Path((_, account)): AccountPath,
) -> Result<Json<Keytab>, ApiError> {
    let material = app
        .directory
        .storage_account_keytab(&at.actor, at.id(), &account)
        .await?;
    Ok(Json(convert::keytab(&material)?))
}

/// `PUT /tenants/{tenant}/storage-accounts/{account}/default-permission`.
pub(crate) async fn set_default(
    State(app): State<App>,
    at: InTenant<ManageStorage>,
    Path((_, account)): AccountPath,
    JsonBody(wanted): JsonBody<DefaultPermission>,
) -> Result<Json<StorageAccount>, ApiError> {
    let role = wanted.role.map(convert::role_in);
    let account = app
        .directory
        .set_default_role(&at.actor, at.id(), &account, role)
        .await?;
    Ok(Json(convert::storage_account(account)))
}
