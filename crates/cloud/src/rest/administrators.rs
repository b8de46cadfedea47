//! Administrators, and how they sign in. The endpoints of sign-in are the only ones that change something without a token:
//! requests are limited, attempts are counted, and every refusal is the same.

use super::access::{Anyone, Caller, find_tenant};
use super::convert;
use super::error::ApiError;
use super::route::Input;
use crate::app::{App, AppState, Peer};
use crate::limits::sender;
use crossrealm_api::endpoint;
use crossrealm_api::{
    Administrator, AdministratorEnrolment, Code, EnrolmentBegun, Page, SecretText, Session,
};
use crossrealm_directory::{self as directory, AdministratorInfo, ClaimedIdentity, TokenRole};
use zeroize::Zeroizing;

/// [`endpoint::CreateAdministrator`]
pub(crate) async fn create_administrator(
    app: App,
    caller: Caller<endpoint::CreateAdministrator>,
    Input { body: wanted, .. }: Input<endpoint::CreateAdministrator>,
) -> Result<AdministratorEnrolment, ApiError> {
    let own = caller.token.tenant;
    let tenant = match wanted.tenant {
        Some(name) => match find_tenant(&app, &name).await?.id {
            other if own.is_some_and(|own| own != other) => {
                return Err(ApiError::tenant_not_found(&name));
            }
            id => Some(id),
        },
        // An administrator of one tenant creates administrators of the same tenant.
        None => own,
    };
    let made = app
        .directory
        .create_administrator(&caller.actor, tenant, &wanted.upn, wanted.role)
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
    Input { path: [upn], .. }: Input<endpoint::ResetAdministrator>,
) -> Result<AdministratorEnrolment, ApiError> {
    let made = app
        .directory
        .reset_administrator(&caller.actor, caller.token.tenant, &upn)
        .await?;
    Ok(enrolment(made))
}

/// [`endpoint::RemoveAdministrator`]
pub(crate) async fn remove_administrator(
    app: App,
    caller: Caller<endpoint::RemoveAdministrator>,
    Input { path: [upn], .. }: Input<endpoint::RemoveAdministrator>,
) -> Result<(), ApiError> {
    app.directory
        .remove_administrator(&caller.actor, caller.token.tenant, &upn)
        .await?;
    Ok(())
}

/// [`endpoint::BeginEnrolment`]
pub(crate) async fn begin_enrolment(
    app: App,
    Anyone { peer, .. }: Anyone<endpoint::BeginEnrolment>,
    Input { body: wanted, .. }: Input<endpoint::BeginEnrolment>,
) -> Result<EnrolmentBegun, ApiError> {
    let _permit = admit(&app, peer)?;
    let issuer = format!("Crossrealm {}", app.config.base_domain);
    let uri = app
        .directory
        .begin_enrolment(
            &who(wanted.upn, peer),
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
    Anyone { peer, .. }: Anyone<endpoint::FinishEnrolment>,
    Input { body: wanted, .. }: Input<endpoint::FinishEnrolment>,
) -> Result<Session, ApiError> {
    let _permit = admit(&app, peer)?;
    let session = app
        .directory
        .finish_enrolment(
            &who(wanted.upn, peer),
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
    Anyone { peer, .. }: Anyone<endpoint::SignIn>,
    Input { body: wanted, .. }: Input<endpoint::SignIn>,
) -> Result<Session, ApiError> {
    let _permit = admit(&app, peer)?;
    let session = app
        .directory
        .sign_in(
            &who(wanted.upn, peer),
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

/// A permit for one sign-in, which takes tens of milliseconds of a processor, and memory.
fn admit(app: &AppState, peer: Peer) -> Result<impl Drop + use<>, ApiError> {
    app.sign_ins
        .try_acquire(sender(peer.0.ip()))
        .ok_or_else(|| ApiError::new(Code::Overloaded, "too many sign-ins at once"))
}

fn who(upn: String, peer: Peer) -> ClaimedIdentity {
    ClaimedIdentity {
        upn,
        address: peer.0.ip().to_canonical(),
        sender: sender(peer.0.ip()),
    }
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
        expires_at: info.expires_at.unwrap_or(info.created_at),
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
        created_at: info.created_at,
        enrolled_at: info.enrolled_at,
        code_expires_at: info.code_expires_at,
        signed_in_at: info.signed_in_at,
    }
}
