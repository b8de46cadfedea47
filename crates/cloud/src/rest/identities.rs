//! Users and groups, as administrators read them, and users that exist only in the tenant.

use super::access::{InTenant, ManageIdentities, Read};
use super::body::{JsonBody, Parameters};
use super::convert;
use super::error::ApiError;
use crate::app::App;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use crossrealm_api::{
    Code, EffectiveGroup, GroupDetails, Identity, MAX_GROUPS, Page, PageQuery, UserCreate,
    UserDetails,
};
use crossrealm_directory::{self as directory, DirectoryError, IdentityInfo, NewCloudIdentity};
use crossrealm_kdc::{IdentityKind, TenantId};

type NamePath = Path<(String, String)>;

/// `GET /tenants/{tenant}/users`.
pub(crate) async fn users(
    State(app): State<App>,
    at: InTenant<Read>,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Json<Page<Identity>>, ApiError> {
    list(&app, at.id(), IdentityKind::User, query).await
}

/// `GET /tenants/{tenant}/groups`.
pub(crate) async fn groups(
    State(app): State<App>,
    at: InTenant<Read>,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Json<Page<Identity>>, ApiError> {
    list(&app, at.id(), IdentityKind::Group, query).await
}

/// `GET /tenants/{tenant}/users/{user}`.
pub(crate) async fn user(
    State(app): State<App>,
    at: InTenant<Read>,
    Path((_, user)): NamePath,
) -> Result<Json<UserDetails>, ApiError> {
    let user = find(&app, at.id(), &user, IdentityKind::User).await?;
    let (effective_groups, more_groups) = effective_groups(&app, at.id(), &user).await?;
    Ok(Json(UserDetails {
        origins: convert::origins(&user),
        user: convert::identity(user),
        effective_groups,
        more_groups,
    }))
}

/// The groups that an answer names, and how many more there are.
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

/// `GET /tenants/{tenant}/groups/{group}`.
pub(crate) async fn group(
    State(app): State<App>,
    at: InTenant<Read>,
    Path((_, group)): NamePath,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Json<GroupDetails>, ApiError> {
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
    Ok(Json(GroupDetails {
        origins,
        effective_groups,
        more_groups,
        group: convert::identity(group),
        members: convert::paged(members, convert::principal),
    }))
}

/// `POST /tenants/{tenant}/users`: a cloud-only user.
pub(crate) async fn create_user(
    State(app): State<App>,
    at: InTenant<ManageIdentities>,
    JsonBody(wanted): JsonBody<UserCreate>,
) -> Result<(StatusCode, Json<Identity>), ApiError> {
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
    Ok((StatusCode::CREATED, Json(convert::identity(user))))
}

/// `DELETE /tenants/{tenant}/users/{user}`: a cloud-only user.
pub(crate) async fn delete_user(
    State(app): State<App>,
    at: InTenant<ManageIdentities>,
    Path((_, user)): NamePath,
) -> Result<StatusCode, ApiError> {
    let user = find(&app, at.id(), &user, IdentityKind::User).await?;
    app.directory
        .delete_cloud_identity(&at.actor, at.id(), &user.guid.to_string())
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list(
    app: &App,
    tenant: TenantId,
    kind: IdentityKind,
    query: PageQuery,
) -> Result<Json<Page<Identity>>, ApiError> {
    let filter = directory::IdentityFilter {
        kind: Some(kind),
        deleted: false,
    };
    let page = convert::page(query);
    let identities = app.directory.identities(tenant, &filter, &page).await?;
    Ok(Json(convert::paged(identities, convert::identity)))
}

/// The user or group of this name; a refusal that says which of both was looked for.
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
                .hint(format!("`crossrealm {word} list` shows those there are; one that is new in AD comes with the next sync"))
        }
        other => other.into(),
    })
}
