//! Shares and the roles granted on them.

use super::access::InTenant;
use super::convert;
use super::error::ApiError;
use super::route::Input;
use crate::app::App;
use crossrealm_api::endpoint;
use crossrealm_api::{AccessReason, AccessVia, Grant, OpenShare, Page, Share, ShareAccess};
use crossrealm_directory::{self as directory, SharePath, Via};
use crossrealm_types::Timestamp;

/// [`endpoint::Shares`]
pub(crate) async fn shares(
    app: App,
    at: InTenant<endpoint::Shares>,
    Input {
        path: [_, account], ..
    }: Input<endpoint::Shares>,
) -> Result<Page<Share>, ApiError> {
    let shares = app.directory.shares(at.id(), &account).await?;
    Ok(convert::complete(shares, view))
}

/// [`endpoint::CreateShare`]
pub(crate) async fn create_share(
    app: App,
    at: InTenant<endpoint::CreateShare>,
    Input {
        path: [_, account],
        body: wanted,
        ..
    }: Input<endpoint::CreateShare>,
) -> Result<Share, ApiError> {
    let share = app
        .directory
        .create_share(
            &at.actor,
            at.id(),
            path(&account, &wanted.name),
            wanted.quota_gib,
        )
        .await?;
    Ok(view(share))
}

/// [`endpoint::ShowShare`]
pub(crate) async fn share(
    app: App,
    at: InTenant<endpoint::ShowShare>,
    Input {
        path: [_, account, share],
        ..
    }: Input<endpoint::ShowShare>,
) -> Result<Share, ApiError> {
    let share = share.to_ascii_lowercase();
    let share = app.directory.share(at.id(), path(&account, &share)).await?;
    Ok(view(share))
}

/// [`endpoint::SetShareQuota`]
pub(crate) async fn set_share_quota(
    app: App,
    at: InTenant<endpoint::SetShareQuota>,
    Input {
        path: [_, account, share],
        body: wanted,
        ..
    }: Input<endpoint::SetShareQuota>,
) -> Result<Share, ApiError> {
    let share = app
        .directory
        .set_share_quota(&at.actor, at.id(), path(&account, &share), wanted.quota_gib)
        .await?;
    Ok(view(share))
}

/// [`endpoint::DeleteShare`]
pub(crate) async fn delete_share(
    app: App,
    at: InTenant<endpoint::DeleteShare>,
    Input {
        path: [_, account, share],
        ..
    }: Input<endpoint::DeleteShare>,
) -> Result<(), ApiError> {
    app.directory
        .delete_share(&at.actor, at.id(), path(&account, &share))
        .await?;
    Ok(())
}

/// [`endpoint::GrantRole`]
pub(crate) async fn grant(
    app: App,
    at: InTenant<endpoint::GrantRole>,
    Input {
        path: [_, account, share],
        body: wanted,
        ..
    }: Input<endpoint::GrantRole>,
) -> Result<Grant, ApiError> {
    let role = wanted.role;
    let grant = app
        .directory
        .grant(&at.actor, at.id(), path(&account, &share), &wanted.to, role)
        .await?;
    Ok(convert::grant(grant))
}

/// [`endpoint::RevokeRole`]
pub(crate) async fn revoke(
    app: App,
    at: InTenant<endpoint::RevokeRole>,
    Input {
        path: [_, account, share, principal],
        ..
    }: Input<endpoint::RevokeRole>,
) -> Result<(), ApiError> {
    app.directory
        .revoke(&at.actor, at.id(), path(&account, &share), &principal)
        .await?;
    Ok(())
}

/// [`endpoint::ShowShareAccess`]
pub(crate) async fn share_access(
    app: App,
    at: InTenant<endpoint::ShowShareAccess>,
    Input {
        path: [_, account, share],
        query: of,
        ..
    }: Input<endpoint::ShowShareAccess>,
) -> Result<ShareAccess, ApiError> {
    let access = app
        .directory
        .share_access(at.id(), path(&account, &share), &of.user)
        .await?;
    Ok(self::access(access))
}

fn access(access: directory::ShareAccess) -> ShareAccess {
    ShareAccess {
        effective: access.role,
        user: convert::identity(access.user),
        reasons: access.reasons.into_iter().map(reason).collect(),
    }
}

fn reason(reason: directory::AccessReason) -> AccessReason {
    let (via, path) = match reason.via {
        Via::Default => (AccessVia::Default, Vec::new()),
        Via::Direct => (AccessVia::Direct, Vec::new()),
        Via::Group(path) => (AccessVia::Group, path),
    };
    AccessReason {
        role: reason.role,
        via,
        path: path.into_iter().map(convert::identity_ref).collect(),
    }
}

/// [`endpoint::TenantShares`]
pub(crate) async fn tenant_shares(
    app: App,
    at: InTenant<endpoint::TenantShares>,
    Input { query, .. }: Input<endpoint::TenantShares>,
) -> Result<Page<Share>, ApiError> {
    let page = convert::page(query);
    let shares = app.directory.tenant_shares(at.id(), &page).await?;
    Ok(convert::paged(shares, view))
}

/// [`endpoint::ShareUsers`]
pub(crate) async fn share_users(
    app: App,
    at: InTenant<endpoint::ShareUsers>,
    Input {
        path: [_, account, share],
        query,
        ..
    }: Input<endpoint::ShareUsers>,
) -> Result<Page<ShareAccess>, ApiError> {
    let page = convert::page(query);
    let users = app
        .directory
        .share_users(at.id(), path(&account, &share), &page)
        .await?;
    Ok(convert::paged(users, access))
}

/// [`endpoint::UserShares`]
pub(crate) async fn user_shares(
    app: App,
    at: InTenant<endpoint::UserShares>,
    Input {
        path: [_, user],
        query,
        ..
    }: Input<endpoint::UserShares>,
) -> Result<Page<OpenShare>, ApiError> {
    let page = convert::page(query);
    let shares = app.directory.user_shares(at.id(), &user, &page).await?;
    Ok(convert::paged(shares, |open| OpenShare {
        account: open.account,
        share: open.share,
        effective: open.role,
        reasons: open.reasons.into_iter().map(reason).collect(),
    }))
}

fn path<'a>(account: &'a str, share: &'a str) -> SharePath<'a> {
    SharePath { account, share }
}

fn view(share: directory::Share) -> Share {
    Share {
        account: share.account,
        name: share.name,
        quota_gib: share.quota_gib,
        grants: share.grants.into_iter().map(convert::grant).collect(),
        created_at: Timestamp::from_unix(share.created_at),
    }
}
