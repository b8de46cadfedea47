//! Storage accounts.

use super::access::InTenant;
use super::convert;
use super::error::ApiError;
use super::route::Input;
use crate::app::App;
use crossrealm_api::endpoint;
use crossrealm_api::{Keytab, Page, RotatedAccount};
use crossrealm_types::StorageAccount;

/// [`endpoint::StorageAccounts`]
pub(crate) async fn storage_accounts(
    app: App,
    at: InTenant<endpoint::StorageAccounts>,
    Input { query, .. }: Input<endpoint::StorageAccounts>,
) -> Result<Page<StorageAccount>, ApiError> {
    let accounts = app
        .directory
        .storage_accounts(at.id(), &convert::page(query))
        .await?;
    Ok(convert::paged(accounts, |account| account))
}

/// [`endpoint::CreateStorageAccount`]
pub(crate) async fn create_storage_account(
    app: App,
    at: InTenant<endpoint::CreateStorageAccount>,
    Input { body: wanted, .. }: Input<endpoint::CreateStorageAccount>,
) -> Result<StorageAccount, ApiError> {
    let account = app
        .directory
        .create_storage_account(&at.actor, at.id(), wanted, at.name_scope())
        .await?;
    Ok(account)
}

/// [`endpoint::ShowStorageAccount`]
pub(crate) async fn storage_account(
    app: App,
    at: InTenant<endpoint::ShowStorageAccount>,
    Input {
        path: [_, account], ..
    }: Input<endpoint::ShowStorageAccount>,
) -> Result<StorageAccount, ApiError> {
    Ok(app.directory.storage_account(at.id(), &account).await?)
}

/// [`endpoint::DeleteStorageAccount`]
pub(crate) async fn delete_storage_account(
    app: App,
    at: InTenant<endpoint::DeleteStorageAccount>,
    Input {
        path: [_, account],
        query: how,
        ..
    }: Input<endpoint::DeleteStorageAccount>,
) -> Result<(), ApiError> {
    app.directory
        .delete_storage_account(&at.actor, at.id(), &account, how.with_shares)
        .await?;
    Ok(())
}

/// [`endpoint::AddAlias`]
pub(crate) async fn add_alias(
    app: App,
    at: InTenant<endpoint::AddAlias>,
    Input {
        path: [_, account, alias],
        ..
    }: Input<endpoint::AddAlias>,
) -> Result<StorageAccount, ApiError> {
    let account = app
        .directory
        .add_alias(&at.actor, at.id(), &account, &alias, at.name_scope())
        .await?;
    Ok(account)
}

/// [`endpoint::RemoveAlias`]
pub(crate) async fn remove_alias(
    app: App,
    at: InTenant<endpoint::RemoveAlias>,
    Input {
        path: [_, account, alias],
        ..
    }: Input<endpoint::RemoveAlias>,
) -> Result<(), ApiError> {
    app.directory
        .remove_alias(&at.actor, at.id(), &account, &alias)
        .await?;
    Ok(())
}

/// [`endpoint::RotateStorageAccountKey`]
pub(crate) async fn rotate_storage_account_key(
    app: App,
    at: InTenant<endpoint::RotateStorageAccountKey>,
    Input {
        path: [_, account],
        body: rotate,
        ..
    }: Input<endpoint::RotateStorageAccountKey>,
) -> Result<RotatedAccount, ApiError> {
    let slot = rotate.key;
    let rotated = app
        .directory
        .rotate_storage_key(&at.actor, at.id(), &account, slot, rotate.force)
        .await?;
    Ok(RotatedAccount {
        account: rotated.account,
        warnings: rotated.warnings.iter().map(ToString::to_string).collect(),
    })
}

/// [`endpoint::StorageAccountKeytab`]
pub(crate) async fn storage_account_keytab(
    app: App,
    at: InTenant<endpoint::StorageAccountKeytab>,
    Input {
        path: [_, account], ..
    }: Input<endpoint::StorageAccountKeytab>,
) -> Result<Keytab, ApiError> {
    let material = app
        .directory
        .storage_account_keytab(&at.actor, at.id(), &account)
        .await?;
    convert::keytab(&material)
}

/// [`endpoint::SetDefaultPermission`]
pub(crate) async fn set_default_permission(
    app: App,
    at: InTenant<endpoint::SetDefaultPermission>,
    Input {
        path: [_, account],
        body: wanted,
        ..
    }: Input<endpoint::SetDefaultPermission>,
) -> Result<StorageAccount, ApiError> {
    let role = wanted.role;
    let account = app
        .directory
        .set_default_role(&at.actor, at.id(), &account, role)
        .await?;
    Ok(account)
}
