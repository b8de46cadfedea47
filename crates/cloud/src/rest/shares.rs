//! Shares and the roles granted on them.

use super::access::{InTenant, ManageStorage, Read};
use super::body::{JsonBody, Parameters};
use super::convert;
use super::error::ApiError;
use crate::app::{App, AppState};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use crossrealm_api::{
    AccessReason, AccessVia, Grant, GrantCreate, Page, Share, ShareAccess, ShareCreate, ShareQuota,
};
use crossrealm_directory::{self as directory, Via};
use crossrealm_kdc::TenantId;
use serde::Deserialize;

type SharePath = Path<(String, String, String)>;

/// Whose access is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfUser {
    user: String,
}

/// `GET /tenants/{tenant}/storage-accounts/{account}/shares`.
pub(crate) async fn list(
    State(app): State<App>,
    at: InTenant<Read>,
    Path((_, account)): Path<(String, String)>,
) -> Result<Json<Page<Share>>, ApiError> {
    let shares = app.directory.shares(at.id(), &account).await?;
    let mut items = Vec::with_capacity(shares.len());
    for share in shares {
        items.push(with_grants(&app, at.id(), share).await?);
    }
    Ok(Json(Page { items, next: None }))
}

/// `POST /tenants/{tenant}/storage-accounts/{account}/shares`.
pub(crate) async fn create(
    State(app): State<App>,
    at: InTenant<ManageStorage>,
    Path((_, account)): Path<(String, String)>,
    JsonBody(wanted): JsonBody<ShareCreate>,
) -> Result<(StatusCode, Json<Share>), ApiError> {
    let share = app
        .directory
        .create_share(&at.actor, at.id(), &account, &wanted.name, wanted.quota_gib)
        .await?;
    Ok((StatusCode::CREATED, Json(view(share, Vec::new()))))
}

/// `GET /tenants/{tenant}/storage-accounts/{account}/shares/{share}`.
pub(crate) async fn show(
    State(app): State<App>,
    at: InTenant<Read>,
    Path((_, account, share)): SharePath,
) -> Result<Json<Share>, ApiError> {
    let share = find(&app, at.id(), &account, &share).await?;
    Ok(Json(with_grants(&app, at.id(), share).await?))
}

/// `PUT /tenants/{tenant}/storage-accounts/{account}/shares/{share}/quota`.
pub(crate) async fn set_quota(
    State(app): State<App>,
    at: InTenant<ManageStorage>,
    Path((_, account, share)): SharePath,
    JsonBody(wanted): JsonBody<ShareQuota>,
) -> Result<Json<Share>, ApiError> {
    let share = app
        .directory
        .set_share_quota(&at.actor, at.id(), &account, &share, wanted.quota_gib)
        .await?;
    Ok(Json(with_grants(&app, at.id(), share).await?))
}

/// `DELETE /tenants/{tenant}/storage-accounts/{account}/shares/{share}`.
pub(crate) async fn delete(
    State(app): State<App>,
    at: InTenant<ManageStorage>,
    Path((_, account, share)): SharePath,
) -> Result<StatusCode, ApiError> {
    app.directory
        .delete_share(&at.actor, at.id(), &account, &share)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `PUT /tenants/{tenant}/storage-accounts/{account}/shares/{share}/grants`.
pub(crate) async fn grant(
    State(app): State<App>,
    at: InTenant<ManageStorage>,
    Path((_, account, share)): SharePath,
    JsonBody(wanted): JsonBody<GrantCreate>,
) -> Result<Json<Grant>, ApiError> {
    let role = convert::role_in(wanted.role);
    let grant = app
        .directory
        .grant(&at.actor, at.id(), &account, &share, &wanted.to, role)
        .await?;
    Ok(Json(convert::grant(grant)))
}

/// `DELETE /tenants/{tenant}/storage-accounts/{account}/shares/{share}/grants/{principal}`.
pub(crate) async fn revoke(
    State(app): State<App>,
    at: InTenant<ManageStorage>,
    Path((_, account, share, principal)): Path<(String, String, String, String)>,
) -> Result<StatusCode, ApiError> {
    app.directory
        .revoke(&at.actor, at.id(), &account, &share, &principal)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /tenants/{tenant}/storage-accounts/{account}/shares/{share}/access?user=…`.
pub(crate) async fn access(
    State(app): State<App>,
    at: InTenant<Read>,
    Path((_, account, share)): SharePath,
    Parameters(of): Parameters<OfUser>,
) -> Result<Json<ShareAccess>, ApiError> {
    let access = app
        .directory
        .share_access(at.id(), &account, &share, &of.user)
        .await?;
    Ok(Json(ShareAccess {
        effective: access.role.map(convert::role),
        user: convert::identity(access.user),
        reasons: access.reasons.into_iter().map(reason).collect(),
    }))
}

fn reason(reason: directory::AccessReason) -> AccessReason {
    let (via, path) = match reason.via {
        Via::Default => (AccessVia::Default, Vec::new()),
        Via::Direct => (AccessVia::Direct, Vec::new()),
        Via::Group(path) => (AccessVia::Group, path),
    };
    AccessReason {
        role: convert::role(reason.role),
        via,
        path: path.into_iter().map(convert::principal).collect(),
    }
}

async fn find(
    app: &AppState,
    tenant: TenantId,
    account: &str,
    name: &str,
) -> Result<directory::Share, ApiError> {
    let shares = app.directory.shares(tenant, account).await?;
    shares
        .into_iter()
        .find(|share| share.name.eq_ignore_ascii_case(name))
        .ok_or_else(|| {
            directory::DirectoryError::NotFound {
                kind: directory::RecordKind::Share,
                name: format!("{account}/{name}"),
            }
            .into()
        })
}

async fn with_grants(
    app: &AppState,
    tenant: TenantId,
    share: directory::Share,
) -> Result<Share, ApiError> {
    let grants = app
        .directory
        .grants(tenant, &share.account, &share.name)
        .await?;
    Ok(view(share, grants))
}

fn view(share: directory::Share, grants: Vec<directory::Grant>) -> Share {
    Share {
        account: share.account,
        name: share.name,
        quota_gib: share.quota_gib,
        grants: grants.into_iter().map(convert::grant).collect(),
        created_at: share.created_at,
    }
}
