//! Administrators, and how they sign in. The endpoints of sign-in are the only ones that change something without a token:
//! requests are limited, attempts are counted, and every refusal is the same.

use super::access::{Caller, SigningIn, find_tenant};
use super::convert;
use super::error::ApiError;
use super::route::Input;
use crate::app::{App, Peer};
use crossrealm_api::endpoint;
use crossrealm_api::{
    Administrator, AdministratorEnrolment, EnrolmentBegun, Page, SecretText, Session,
};
use crossrealm_directory::{
    self as directory, AdministratorInfo, ClaimedIdentity, DirectoryError, TokenInfo, TokenRole,
};
use crossrealm_kdc::TenantId;
use crossrealm_types::Timestamp;
use zeroize::Zeroizing;

/// [`endpoint::CreateAdministrator`]
pub(crate) async fn create_administrator(
    app: App,
    caller: Caller<endpoint::CreateAdministrator>,
    Input { body: wanted, .. }: Input<endpoint::CreateAdministrator>,
) -> Result<AdministratorEnrolment, ApiError> {
    let tenant = named_tenant(&app, &caller.token, wanted.tenant).await?;
    let made = app
        .directory
        .create_administrator(&caller.actor, tenant, &wanted.upn, wanted.role)
        .await?;
    app.directory
        .keep_token(&caller.actor, &caller.token)
        .await?;
    Ok(enrolment(made))
}

/// [`endpoint::Administrators`]
pub(crate) async fn administrators(
    app: App,
    caller: Caller<endpoint::Administrators>,
    _: Input<endpoint::Administrators>,
) -> Result<Page<Administrator>, ApiError> {
    let all = app.directory.administrators(caller.token.tenant).await?;
    Ok(convert::complete(all, view))
}

/// [`endpoint::ResetAdministrator`]
pub(crate) async fn reset_administrator(
    app: App,
    caller: Caller<endpoint::ResetAdministrator>,
    Input {
        path: [upn], query, ..
    }: Input<endpoint::ResetAdministrator>,
) -> Result<AdministratorEnrolment, ApiError> {
    let tenant = named_tenant(&app, &caller.token, query.tenant).await?;
    let made = app
        .directory
        .reset_administrator(&caller.actor, tenant, &upn)
        .await?;
    Ok(enrolment(made))
}

/// [`endpoint::RemoveAdministrator`]
pub(crate) async fn remove_administrator(
    app: App,
    caller: Caller<endpoint::RemoveAdministrator>,
    Input {
        path: [upn], query, ..
    }: Input<endpoint::RemoveAdministrator>,
) -> Result<(), ApiError> {
    let tenant = named_tenant(&app, &caller.token, query.tenant).await?;
    app.directory
        .remove_administrator(&caller.actor, tenant, &upn)
        .await?;
    Ok(())
}

/// [`endpoint::BeginEnrolment`]
pub(crate) async fn begin_enrolment(
    app: App,
    SigningIn { peer, .. }: SigningIn<endpoint::BeginEnrolment>,
    Input { body: wanted, .. }: Input<endpoint::BeginEnrolment>,
) -> Result<EnrolmentBegun, ApiError> {
    let issuer = format!("Crossrealm {}", app.config.base_domain);
    let uri = app
        .directory
        .begin_enrolment(
            &who(&app, wanted.upn, wanted.tenant, peer).await?,
            wanted.enrolment_code.expose(),
            &issuer,
        )
        .await?;
    let otpauth_uri = SecretText::new(uri.as_str());
    Ok(EnrolmentBegun { otpauth_uri })
}

/// [`endpoint::FinishEnrolment`]
pub(crate) async fn finish_enrolment(
    app: App,
    SigningIn { peer, .. }: SigningIn<endpoint::FinishEnrolment>,
    Input { body: wanted, .. }: Input<endpoint::FinishEnrolment>,
) -> Result<Session, ApiError> {
    let session = app
        .directory
        .finish_enrolment(
            &who(&app, wanted.upn, wanted.tenant, peer).await?,
            wanted.enrolment_code.expose(),
            text(&wanted.password),
            wanted.code.expose(),
        )
        .await?;
    begun(session)
}

/// [`endpoint::SignIn`]
pub(crate) async fn sign_in(
    app: App,
    SigningIn { peer, .. }: SigningIn<endpoint::SignIn>,
    Input { body: wanted, .. }: Input<endpoint::SignIn>,
) -> Result<Session, ApiError> {
    let session = app
        .directory
        .sign_in(
            &who(&app, wanted.upn, wanted.tenant, peer).await?,
            text(&wanted.password),
            wanted.code.expose(),
        )
        .await?;
    begun(session)
}

/// [`endpoint::SignOut`]
pub(crate) async fn sign_out(
    app: App,
    caller: Caller<endpoint::SignOut>,
    _: Input<endpoint::SignOut>,
) -> Result<(), ApiError> {
    app.directory
        .end_token(&caller.actor, &caller.token)
        .await?;
    Ok(())
}

/// The tenant of an administrator that the caller names: for a caller of one tenant never another one.
async fn named_tenant(
    app: &App,
    caller: &TokenInfo,
    name: Option<String>,
) -> Result<Option<TenantId>, ApiError> {
    let own = caller.tenant;
    match name {
        Some(name) => match find_tenant(app, &name).await?.id {
            other if own.is_some_and(|own| own != other) => Err(ApiError::tenant_not_found(&name)),
            id => Ok(Some(id)),
        },
        None => Ok(own),
    }
}

/// Who signs in. A tenant that does not exist has no administrators: the attempt is refused as any other, and counted.
async fn who(
    app: &App,
    upn: String,
    tenant: Option<String>,
    peer: Peer,
) -> Result<ClaimedIdentity, ApiError> {
    let tenant = match tenant {
        None => None,
        Some(name) => match app.directory.find_tenant(&name).await {
            Ok(found) => Some(found.id),
            Err(DirectoryError::NotFound { .. }) => Some(TenantId([0; 16])),
            Err(error) => return Err(error.into()),
        },
    };
    Ok(ClaimedIdentity {
        upn,
        tenant,
        address: peer.0.ip().to_canonical(),
        sender: peer.sender(),
    })
}

fn text(secret: &SecretText) -> Zeroizing<String> {
    Zeroizing::new(secret.expose().to_owned())
}

fn begun((token, info): directory::Session) -> Result<Session, ApiError> {
    let TokenRole::Administrator(role) = info.role else {
        return Err(ApiError::internal("the session is not an administrator's"));
    };
    Ok(Session {
        token: SecretText::new(token.as_str()),
        role,
        upn: info.name,
        tenant: info.tenant.map(convert::uuid),
        expires_at: Timestamp::from_unix(info.expires_at.unwrap_or(info.created_at)),
    })
}

fn enrolment((code, info): directory::Enrolment) -> AdministratorEnrolment {
    AdministratorEnrolment {
        administrator: view(info),
        enrolment_code: SecretText::new(code.as_str()),
    }
}

fn view(info: AdministratorInfo) -> Administrator {
    Administrator {
        role: info.role,
        upn: info.upn,
        tenant: info.tenant.map(convert::uuid),
        tenant_name: info.tenant_name,
        created_at: Timestamp::from_unix(info.created_at),
        enrolled_at: info.enrolled_at.map(Timestamp::from_unix),
        code_expires_at: info.code_expires_at.map(Timestamp::from_unix),
        signed_in_at: info.signed_in_at.map(Timestamp::from_unix),
    }
}
