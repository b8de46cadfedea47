//! Administrators, and how they sign in. The endpoints of sign-in are the only ones that change something without a token:
//! what they take is bounded, counted and answered alike, whatever is wrong with it.

use super::access::{Caller, Known, ManageAdministrators, find_tenant, role_of};
use super::body::JsonBody;
use super::convert;
use super::error::ApiError;
use crate::app::{App, AppState, Peer};
use crate::limits::sender;
use axum::Json;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use crossrealm_api::{
    Administrator, AdministratorCreate, AdministratorEnrolment, Code, EnrolmentBegin,
    EnrolmentBegun, EnrolmentFinish, Page, Role, SecretText, Session, SignIn,
};
use crossrealm_directory::{self as directory, AdministratorInfo, SignInAs, TokenRole};
use zeroize::Zeroizing;

/// `POST /administrators`.
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller<ManageAdministrators>,
    JsonBody(wanted): JsonBody<AdministratorCreate>,
) -> Result<(StatusCode, Json<AdministratorEnrolment>), ApiError> {
    let own = caller.token.tenant;
    let tenant = match wanted.tenant {
        Some(name) => match find_tenant(&app, &name).await?.id {
            other if own.is_some_and(|own| own != other) => {
                return Err(ApiError::tenant_not_found(&name));
            }
            id => Some(id),
        },
        // Whoever is confined makes others who are.
        None => own,
    };
    let role = match wanted.role {
        Role::GlobalAdministrator => TokenRole::GlobalAdministrator,
        Role::HybridIdentityAdministrator => TokenRole::HybridIdentityAdministrator,
        Role::StorageAdministrator => TokenRole::StorageAdministrator,
        Role::Reader => TokenRole::Reader,
    };
    let made = app
        .directory
        .create_administrator(&caller.actor, tenant, &wanted.upn, role)
        .await?;
    Ok((StatusCode::CREATED, Json(enrolment(made)?)))
}

/// `GET /administrators`: those that the caller may know of.
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller<ManageAdministrators>,
) -> Result<Json<Page<Administrator>>, ApiError> {
    let all = app.directory.administrators(caller.token.tenant).await?;
    let all = all
        .into_iter()
        .map(view)
        .collect::<Result<Vec<_>, ApiError>>()?;
    Ok(Json(convert::complete(all, |one| one)))
}

/// `POST /administrators/{upn}/reset`.
pub(crate) async fn reset(
    State(app): State<App>,
    caller: Caller<ManageAdministrators>,
    Path(upn): Path<String>,
) -> Result<Json<AdministratorEnrolment>, ApiError> {
    let made = app
        .directory
        .reset_administrator(&caller.actor, caller.token.tenant, &upn)
        .await?;
    Ok(Json(enrolment(made)?))
}

/// `DELETE /administrators/{upn}`.
pub(crate) async fn remove(
    State(app): State<App>,
    caller: Caller<ManageAdministrators>,
    Path(upn): Path<String>,
) -> Result<StatusCode, ApiError> {
    app.directory
        .remove_administrator(&caller.actor, caller.token.tenant, &upn)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /sign-in/enrolment`.
pub(crate) async fn begin_enrolment(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    JsonBody(wanted): JsonBody<EnrolmentBegin>,
) -> Result<Json<EnrolmentBegun>, ApiError> {
    let _pass = room(&app, peer)?;
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
    Ok(Json(EnrolmentBegun { otpauth_uri }))
}

/// `POST /sign-in/enrolment/finish`.
pub(crate) async fn finish_enrolment(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    JsonBody(wanted): JsonBody<EnrolmentFinish>,
) -> Result<Json<Session>, ApiError> {
    let _pass = room(&app, peer)?;
    let session = app
        .directory
        .finish_enrolment(
            &who(wanted.upn, peer),
            wanted.enrolment_code.expose(),
            text(&wanted.password),
            wanted.code.expose(),
        )
        .await?;
    Ok(Json(begun(session)?))
}

/// `POST /sign-in`.
pub(crate) async fn sign_in(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    JsonBody(wanted): JsonBody<SignIn>,
) -> Result<Json<Session>, ApiError> {
    let _pass = room(&app, peer)?;
    let session = app
        .directory
        .sign_in(
            &who(wanted.upn, peer),
            text(&wanted.password),
            wanted.code.expose(),
        )
        .await?;
    Ok(Json(begun(session)?))
}

/// `POST /sign-out`: ends the token that the call is made with.
pub(crate) async fn sign_out(
    State(app): State<App>,
    caller: Caller<Known>,
) -> Result<StatusCode, ApiError> {
    app.directory
        .end_token(&caller.actor, &caller.token)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Room for one more sign-in: each takes tens of milliseconds of a processor, and memory.
fn room(app: &AppState, peer: Peer) -> Result<impl Drop + use<>, ApiError> {
    app.sign_ins.enter(sender(peer.0.ip())).ok_or_else(|| {
        ApiError::new(Code::Overloaded, "too many sign-ins at once").hint("try again in a moment")
    })
}

fn who(upn: String, peer: Peer) -> SignInAs {
    SignInAs {
        upn,
        address: peer.0.ip().to_canonical(),
        sender: sender(peer.0.ip()),
    }
}

fn text(secret: &SecretText) -> Zeroizing<String> {
    Zeroizing::new(secret.expose().to_owned())
}

fn begun((token, info): directory::Session) -> Result<Session, ApiError> {
    Ok(Session {
        token: SecretText::new(token.as_str()),
        role: people_role(&info.role)?,
        upn: info.name,
        tenant: info.tenant.map(convert::uuid),
        expires_at: info.expires_at.unwrap_or(info.created_at),
    })
}

fn enrolment((code, info): directory::Enrolment) -> Result<AdministratorEnrolment, ApiError> {
    Ok(AdministratorEnrolment {
        administrator: view(info)?,
        enrolment_code: SecretText::new(code.as_str()),
    })
}

fn view(info: AdministratorInfo) -> Result<Administrator, ApiError> {
    Ok(Administrator {
        role: people_role(&info.role)?,
        upn: info.upn,
        tenant: info.tenant.map(convert::uuid),
        tenant_name: info.tenant_name,
        created_at: info.created_at,
        enrolled_at: info.enrolled_at,
        code_expires_at: info.code_expires_at,
        signed_in_at: info.signed_in_at,
    })
}

fn people_role(role: &TokenRole) -> Result<Role, ApiError> {
    role_of(role).ok_or_else(|| ApiError::internal("an administrator without a person's role"))
}
