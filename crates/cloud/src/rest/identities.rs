//! Users and groups, as administrators read them, and users that exist only in the tenant.

use super::access::InTenant;
use super::convert;
use super::error::ApiError;
use super::route::Input;
use crate::app::App;
use crossrealm_api::endpoint;
use crossrealm_api::{
    Code, EffectiveGroup, GroupDetails, Identity, MAX_GROUPS, Page, PageQuery, UserDetails,
};
use crossrealm_directory::{self as directory, DirectoryError, IdentityInfo, NewCloudIdentity};
use crossrealm_kdc::TenantId;
use crossrealm_types::IdentityKind;

/// [`endpoint::Users`]
pub(crate) async fn users(
    app: App,
    at: InTenant<endpoint::Users>,
    Input { query, .. }: Input<endpoint::Users>,
) -> Result<Page<Identity>, ApiError> {
    list(&app, at.id(), IdentityKind::User, query).await
}

/// [`endpoint::Groups`]
pub(crate) async fn groups(
    app: App,
    at: InTenant<endpoint::Groups>,
    Input { query, .. }: Input<endpoint::Groups>,
) -> Result<Page<Identity>, ApiError> {
    list(&app, at.id(), IdentityKind::Group, query).await
}

/// [`endpoint::ShowUser`]
pub(crate) async fn user(
    app: App,
    at: InTenant<endpoint::ShowUser>,
    Input {
        path: [_, user], ..
    }: Input<endpoint::ShowUser>,
) -> Result<UserDetails, ApiError> {
    let user = find(&app, at.id(), &user, IdentityKind::User).await?;
    let (effective_groups, more_groups) = effective_groups(&app, at.id(), &user).await?;
    Ok(UserDetails {
        origins: convert::origins(&user),
        user: convert::identity(user),
        effective_groups,
        more_groups,
    })
}

/// The groups of an answer, and how many more there are.
async fn effective_groups(
    app: &App,
    tenant: TenantId,
    identity: &IdentityInfo,
) -> Result<(Vec<EffectiveGroup>, u64), ApiError> {
    let mut groups = app
        .directory
        .effective_groups(tenant, identity.guid)
        .await?;
    let more = groups.len().saturating_sub(MAX_GROUPS);
    groups.truncate(MAX_GROUPS);
    let groups = groups.into_iter().map(convert::effective_group);
    Ok((groups.collect(), u64::try_from(more).unwrap_or(u64::MAX)))
}

/// [`endpoint::ShowGroup`]
pub(crate) async fn group(
    app: App,
    at: InTenant<endpoint::ShowGroup>,
    Input {
        path: [_, group],
        query,
        ..
    }: Input<endpoint::ShowGroup>,
) -> Result<GroupDetails, ApiError> {
    let group = find(&app, at.id(), &group, IdentityKind::Group).await?;
    let (origins, (effective_groups, more_groups)) = match &query.after {
        None => (
            convert::origins(&group),
            effective_groups(&app, at.id(), &group).await?,
        ),
        Some(_) => Default::default(),
    };
    let members = app
        .directory
        .members(at.id(), group.guid, &convert::page(query))
        .await?;
    Ok(GroupDetails {
        origins,
        effective_groups,
        more_groups,
        group: convert::identity(group),
        members: convert::paged(members, convert::identity_ref),
    })
}

/// [`endpoint::CreateUser`]
pub(crate) async fn create_user(
    app: App,
    at: InTenant<endpoint::CreateUser>,
    Input { body: wanted, .. }: Input<endpoint::CreateUser>,
) -> Result<Identity, ApiError> {
    let new = NewCloudIdentity {
        kind: IdentityKind::User,
        upn: wanted.upn,
        account_name: String::new(),
        display_name: wanted.display_name,
    };
    let user = app
        .directory
        .create_cloud_identity(&at.actor, at.id(), new)
        .await?;
    Ok(convert::identity(user))
}

/// [`endpoint::DeleteUser`]
pub(crate) async fn delete_user(
    app: App,
    at: InTenant<endpoint::DeleteUser>,
    Input {
        path: [_, user], ..
    }: Input<endpoint::DeleteUser>,
) -> Result<(), ApiError> {
    let user = find(&app, at.id(), &user, IdentityKind::User).await?;
    app.directory
        .delete_cloud_identity(&at.actor, at.id(), &user.guid.to_string())
        .await?;
    Ok(())
}

async fn list(
    app: &App,
    tenant: TenantId,
    kind: IdentityKind,
    query: PageQuery,
) -> Result<Page<Identity>, ApiError> {
    let filter = directory::IdentityFilter {
        kind: Some(kind),
        deleted: false,
    };
    let page = convert::page(query);
    let identities = app.directory.identities(tenant, &filter, &page).await?;
    Ok(convert::paged(identities, convert::identity))
}

/// The user or group of this name; the refusal names which of both was wanted.
pub(crate) async fn find(
    app: &App,
    tenant: TenantId,
    name: &str,
    kind: IdentityKind,
) -> Result<IdentityInfo, ApiError> {
    let found = app.directory.find_identity(tenant, name, Some(kind)).await;
    found.map_err(|error| match error {
        DirectoryError::NotFound { .. } => {
            let (code, word) = match kind {
                IdentityKind::User => (Code::UserNotFound, "user"),
                IdentityKind::Group => (Code::GroupNotFound, "group"),
            };
            ApiError::new(code, format!("no {word} `{name}`"))
        }
        other => other.into(),
    })
}
