//! Whether a caller may call an endpoint, by the endpoint's declaration ([`Access`]).
//!
//! A handler names in its second argument what it must know of the caller: [`Anyone`], [`Caller`] or [`InTenant`]. Order of
//! the checks: a token (401), its role (403), the tenant (404). A token that is confined to one tenant finds no other.

use super::error::ApiError;
use crate::app::{App, Peer};
use crate::limits::Permit;
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use crossrealm_api::endpoint::{Access, Endpoint};
use crossrealm_api::{Code, Dismissal, DismissalKey, ErrorDetails};
use crossrealm_directory::{Actor, NameScope, NewEvent, TenantInfo, TokenInfo, TokenRole};
use crossrealm_kdc::TenantId;
use crossrealm_types::{AdministratorRole, EventOutcome};
use std::marker::PhantomData;
use std::net::IpAddr;
use uuid::Uuid;

/// What a handler of `E` learns of the caller. Nothing of the request but its head is looked at before.
pub(crate) trait CallerOf<E: Endpoint>: Sized + Send + 'static {
    /// Checks the caller.
    fn check(parts: &mut Parts, app: &App) -> impl Future<Output = Result<Self, ApiError>> + Send;
}

/// The caller of an endpoint that needs no token.
pub(crate) struct Anyone<E> {
    peer: Peer,
    endpoint: PhantomData<E>,
}

/// The caller of an endpoint of sign-in, which needs no token. It holds one of the few permits for sign-ins: what anyone may
/// ask for is bounded before a body is read for it.
pub(crate) struct SigningIn<E> {
    pub(crate) peer: Peer,
    _permit: Permit<IpAddr>,
    endpoint: PhantomData<E>,
}

/// A caller that may call `E`.
pub(crate) struct Caller<E> {
    pub(crate) token: TokenInfo,
    pub(crate) actor: Actor,
    endpoint: PhantomData<E>,
}

/// A caller that may call `E` for the tenant of the path.
pub(crate) struct InTenant<E> {
    pub(crate) actor: Actor,
    pub(crate) tenant: TenantInfo,
    /// The id of the caller's token.
    pub(crate) token: Uuid,
    /// The caller's role, where the token is an administrator's.
    role: Option<AdministratorRole>,
    /// Whether the token is confined to the tenant.
    confined: bool,
    endpoint: PhantomData<E>,
}

impl<E: Endpoint> CallerOf<E> for Anyone<E> {
    async fn check(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        const { assert!(E::SPEC.access.is_none(), "the endpoint needs a token") };
        let peer = parts.extensions.get::<Peer>().copied();
        Ok(Self {
            peer: peer.ok_or_else(|| ApiError::internal("a request without an address"))?,
            endpoint: PhantomData,
        })
    }
}

impl<E: Endpoint> CallerOf<E> for SigningIn<E> {
    async fn check(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Anyone { peer, .. } = Anyone::<E>::check(parts, app).await?;
        let permit = app.sign_ins.try_acquire(peer.sender());
        Ok(Self {
            peer,
            _permit: permit
                .ok_or_else(|| ApiError::new(Code::Overloaded, "too many sign-ins at once"))?,
            endpoint: PhantomData,
        })
    }
}

impl<E: Endpoint> CallerOf<E> for Caller<E> {
    async fn check(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let access = const { E::SPEC.access.expect("the endpoint needs no token") };
        let presented = bearer(parts)?;
        let Some(token) = app.directory.verify_token(presented).await? else {
            return Err(refused_token(app, presented).await?);
        };
        let address = parts
            .extensions
            .get::<Peer>()
            .map(|peer| peer.0.ip().to_canonical());
        let path = path_parameters(parts, app).await?;
        if !permits(access, &token, &path) {
            record_refusal(app, &token, address, parts, Code::Forbidden);
            return Err(forbidden(access, &token));
        }
        Ok(Self {
            actor: token.actor(address),
            token,
            endpoint: PhantomData,
        })
    }
}

impl<E: Endpoint> CallerOf<E> for InTenant<E> {
    async fn check(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Caller { token, actor, .. } = Caller::<E>::check(parts, app).await?;
        let path = path_parameters(parts, app).await?;
        let name = path.tenant.unwrap_or_default();
        let tenant = match find_tenant(app, &name).await {
            // For a token that is confined to one tenant there is no other; the attempt is audited only.
            Ok(tenant) if token.tenant.is_some_and(|own| own != tenant.id) => {
                record_refusal(app, &token, actor.address, parts, Code::TenantNotFound);
                return Err(ApiError::tenant_not_found(&name));
            }
            found => found?,
        };
        Ok(Self {
            actor,
            tenant,
            token: token.id,
            confined: token.tenant.is_some(),
            role: match token.role {
                TokenRole::Administrator(role) => Some(role),
                TokenRole::Connector { .. } | TokenRole::Host { .. } => None,
            },
            endpoint: PhantomData,
        })
    }
}

impl<E> InTenant<E> {
    /// The id of the tenant.
    pub(crate) fn id(&self) -> TenantId {
        self.tenant.id
    }

    /// Which DNS names the caller may claim for the tenant.
    pub(crate) fn name_scope(&self) -> NameScope {
        match self.role {
            Some(AdministratorRole::GlobalAdministrator) if self.confined => NameScope::Free,
            Some(AdministratorRole::GlobalAdministrator) => NameScope::Installation,
            _ => NameScope::Own,
        }
    }

    /// Whether the caller is a person.
    pub(crate) fn is_administrator(&self) -> bool {
        self.role.is_some()
    }

    /// Refuses a part of the request that only a global administrator may ask for.
    pub(crate) fn require_global_administrator(
        &self,
        app: &App,
        what: &'static str,
    ) -> Result<(), ApiError> {
        if self.role == Some(AdministratorRole::GlobalAdministrator) {
            return Ok(());
        }
        app.audit.record(NewEvent {
            outcome: EventOutcome::Refused,
            reason: Code::Forbidden.as_str().into(),
            target: what.into(),
            detail: "the token is no global administrator's".into(),
            ..NewEvent::audit(&self.actor, Some(self.tenant.id), "api.call")
        });
        Err(ApiError::new(
            Code::Forbidden,
            format!(
                "only a `{}` may {what}",
                AdministratorRole::GlobalAdministrator
            ),
        ))
    }
}

/// The refusal of a token that is not valid. A host whose token was revoked gets the proof of that, see [`Dismissal`].
async fn refused_token(app: &App, token: &str) -> Result<ApiError, ApiError> {
    let refusal = ApiError::unauthenticated("the token is unknown, has ended or was revoked");
    let Some((id, hash)) = app.directory.revoked_host_token(token).await? else {
        return Ok(refusal);
    };
    let key = DismissalKey::of_hash(hash);
    Ok(refusal.details(ErrorDetails {
        dismissal: Dismissal::new(&key, app.directory.installation_id(), id),
        ..ErrorDetails::default()
    }))
}

/// The tenant of this name.
pub(crate) async fn find_tenant(app: &App, name: &str) -> Result<TenantInfo, ApiError> {
    match app.directory.find_tenant(name).await {
        Err(crossrealm_directory::DirectoryError::NotFound { .. }) => {
            Err(ApiError::tenant_not_found(name))
        }
        found => Ok(found?),
    }
}

fn bearer(parts: &Parts) -> Result<&str, ApiError> {
    let header = parts
        .headers
        .get(AUTHORIZATION)
        .ok_or_else(|| ApiError::unauthenticated("no token given"))?;
    header
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or_else(|| {
            ApiError::unauthenticated("the `Authorization` header must be `Bearer TOKEN`")
        })
}

/// The parameters of the path that access depends on.
#[derive(Default)]
struct PathParameters {
    tenant: Option<String>,
    domain: Option<String>,
    account: Option<String>,
}

async fn path_parameters(parts: &mut Parts, app: &App) -> Result<PathParameters, ApiError> {
    let raw = RawPathParams::from_request_parts(parts, app)
        .await
        .map_err(|_| ApiError::invalid("the path is not valid UTF-8"))?;
    let mut path = PathParameters::default();
    for (name, value) in &raw {
        let slot = match name {
            "tenant" => &mut path.tenant,
            "domain" => &mut path.domain,
            "account" => &mut path.account,
            _ => continue,
        };
        *slot = Some(value.to_owned());
    }
    Ok(path)
}

fn permits(access: Access, token: &TokenInfo, path: &PathParameters) -> bool {
    if !access.confined && token.tenant.is_some() {
        return false;
    }
    let same = |own: &str, asked: &Option<String>| {
        asked
            .as_ref()
            .is_none_or(|asked| asked.eq_ignore_ascii_case(own))
    };
    match &token.role {
        TokenRole::Connector {
            domain,
            rotate_trust,
        } => {
            (access.connector || access.trust_rotation && *rotate_trust)
                && same(domain, &path.domain)
        }
        TokenRole::Host { account } => access.host && same(account, &path.account),
        TokenRole::Administrator(role) => access.roles.contains(role),
    }
}

fn describe(role: &TokenRole) -> String {
    match role {
        TokenRole::Connector {
            domain,
            rotate_trust: true,
        } => format!("is the connector of `{domain}`, which may rotate its trust"),
        TokenRole::Connector { domain, .. } => format!("is the connector of `{domain}`"),
        TokenRole::Host { account } => format!("is the host of storage account `{account}`"),
        TokenRole::Administrator(role) => format!("has `{role}`"),
    }
}

fn forbidden(access: Access, token: &TokenInfo) -> ApiError {
    let roles: Vec<String> = access
        .roles
        .iter()
        .map(|role| format!("`{role}`"))
        .collect();
    let confined = if !access.confined && token.tenant.is_some() {
        ", for all tenants"
    } else {
        ""
    };
    let needed = match roles.is_empty() {
        // Administrators get the keys of an account by its keytab.
        true => "the token of an SMB host of this storage account".to_owned(),
        false => format!("the role {}{confined}", roles.join(" or ")),
    };
    let needs_trust_rotation =
        access.trust_rotation && matches!(token.role, TokenRole::Connector { .. });
    let connector = match needs_trust_rotation {
        true => ", or a connector of this domain that may rotate its trust key",
        false => "",
    };
    ApiError::new(
        Code::Forbidden,
        format!(
            "this needs {needed}{connector}; the token {}",
            describe(&token.role)
        ),
    )
    .details(ErrorDetails {
        needs_trust_rotation,
        ..ErrorDetails::default()
    })
}

fn record_refusal(
    app: &App,
    token: &TokenInfo,
    address: Option<IpAddr>,
    parts: &Parts,
    reason: Code,
) {
    app.audit.record(NewEvent {
        outcome: EventOutcome::Refused,
        reason: reason.as_str().into(),
        // The whole path: no router cuts the tenant off.
        target: format!("{} {}", parts.method, parts.uri.path()),
        detail: format!("the token {}", describe(&token.role)),
        ..NewEvent::audit(&token.actor(address), token.tenant, "api.call")
    });
}
