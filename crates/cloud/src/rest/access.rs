//! Who may call an endpoint.
//!
//! A handler that takes [`Caller<Need>`] or [`InTenant<Need>`] runs only for a token that has what `Need` says. Order: a
//! token (401), its role (403), the tenant (404). A token that is confined to one tenant finds no other.

use super::error::ApiError;
use crate::app::{App, Peer};
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use crossrealm_api::{Code, Role};
use crossrealm_directory::{Actor, NewEvent, Outcome, TenantInfo, TokenInfo, TokenRole};
use crossrealm_kdc::TenantId;
use std::marker::PhantomData;
use std::net::IpAddr;
use uuid::Uuid;

/// What an endpoint needs of its caller.
pub(crate) trait Need: Send + Sync {
    /// The administrators' roles that may call it.
    const ROLES: &'static [Role];
    /// Whether the connector of the `{domain}` in the path may.
    const CONNECTOR: bool = false;
    /// Whether the connector of the `{domain}` in the path may, where it was given the right to rotate the trust.
    const TRUST_ROTATION: bool = false;
    /// Whether the host of the `{account}` in the path may.
    const HOST: bool = false;
    /// Whether a token that is confined to one tenant may.
    const CONFINED: bool = true;
}

macro_rules! needs {
    ($($(#[doc = $doc:literal])* $name:ident: [$($role:ident),*] $($constant:ident = $value:literal)*;)*) => {
        $($(#[doc = $doc])*
        pub(crate) struct $name;
        impl Need for $name {
            const ROLES: &'static [Role] = &[$(Role::$role),*];
            $(const $constant: bool = $value;)*
        })*
    };
}

needs! {
    /// Any valid token.
    Known: [GlobalAdministrator, HybridIdentityAdministrator, StorageAdministrator, Reader] CONNECTOR = true HOST = true;
    /// Read what holds no secret.
    Read: [GlobalAdministrator, HybridIdentityAdministrator, StorageAdministrator, Reader];
    /// Read what belongs to no tenant and holds no secret.
    ReadInstallation: [GlobalAdministrator, Reader] CONFINED = false;
    /// Make and delete tenants.
    ManageTenants: [GlobalAdministrator] CONFINED = false;
    /// Make, reset and remove administrators; those of one tenant where the token is confined to it.
    ManageAdministrators: [GlobalAdministrator];
    /// Make, change and delete trusts, and see their secrets.
    ManageTrusts: [GlobalAdministrator];
    /// Give AD the next key of a trust that is set up, see its secrets for that, and report what was changed in AD.
    RotateTrusts: [GlobalAdministrator] TRUST_ROTATION = true;
    /// Make and delete connectors and cloud-only users.
    ManageIdentities: [GlobalAdministrator, HybridIdentityAdministrator];
    /// Read and write the identities of one AD domain.
    SyncIdentities: [GlobalAdministrator, HybridIdentityAdministrator] CONNECTOR = true;
    /// Manage storage accounts, shares and service principals, and export their keys.
    ManageStorage: [GlobalAdministrator, StorageAdministrator];
    /// Serve one storage account.
    ServeFiles: [GlobalAdministrator, StorageAdministrator] HOST = true;
    /// Ask for names and SIDs beside a storage account.
    ResolveAccountNames: [GlobalAdministrator, HybridIdentityAdministrator, StorageAdministrator, Reader] HOST = true;
}

/// A caller that may do what `N` says.
pub(crate) struct Caller<N> {
    pub(crate) token: TokenInfo,
    pub(crate) actor: Actor,
    need: PhantomData<N>,
}

/// A caller that may do what `N` says in the tenant of the path.
pub(crate) struct InTenant<N> {
    pub(crate) actor: Actor,
    pub(crate) tenant: TenantInfo,
    /// The id of the caller's token.
    pub(crate) token: Uuid,
    /// The caller's role, where the token is an administrator's.
    role: Option<Role>,
    need: PhantomData<N>,
}

impl<N: Need> FromRequestParts<App> for Caller<N> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let token = bearer(parts)?;
        let token = app.directory.verify_token(token).await?.ok_or_else(|| {
            ApiError::unauthenticated("the token is unknown, has ended or was revoked")
        })?;
        let address = parts
            .extensions
            .get::<Peer>()
            .map(|peer| peer.0.ip().to_canonical());
        let path = path_parameters(parts, app).await?;
        if !permits::<N>(&token, &path) {
            record_refusal(app, &token, address, parts, Code::Forbidden);
            return Err(forbidden::<N>(&token));
        }
        Ok(Self {
            actor: Actor {
                name: token.name.clone(),
                address,
            },
            token,
            need: PhantomData,
        })
    }
}

impl<N: Need> FromRequestParts<App> for InTenant<N> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let Caller { token, actor, .. } = Caller::<N>::from_request_parts(parts, app).await?;
        let path = path_parameters(parts, app).await?;
        let name = path.tenant.unwrap_or_default();
        let tenant = match find_tenant(app, &name).await {
            // For a token that is confined to one tenant there is no other; that it was tried is told to the audit alone.
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
            role: role_of(&token.role),
            need: PhantomData,
        })
    }
}

impl<N> InTenant<N> {
    /// The id of the tenant.
    pub(crate) fn id(&self) -> TenantId {
        self.tenant.id
    }

    /// Refuses all but a global administrator what the body of a request asks for beyond the endpoint's own need.
    pub(crate) fn require_global_administrator(
        &self,
        app: &App,
        what: &'static str,
    ) -> Result<(), ApiError> {
        if self.role == Some(Role::GlobalAdministrator) {
            return Ok(());
        }
        app.audit.record(NewEvent {
            outcome: Outcome::Refused,
            reason: Code::Forbidden.as_str().into(),
            target: what.into(),
            detail: "the token is no global administrator's".into(),
            ..NewEvent::audit(&self.actor, Some(self.tenant.id), "api.call")
        });
        Err(ApiError::new(
            Code::Forbidden,
            format!("only a `{}` may {what}", Role::GlobalAdministrator),
        )
        .hint("ask a global administrator to do it"))
    }
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
        .ok_or_else(|| ApiError::unauthenticated("a token is needed"))?;
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

fn permits<N: Need>(token: &TokenInfo, path: &PathParameters) -> bool {
    if !N::CONFINED && token.tenant.is_some() {
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
        } => (N::CONNECTOR || N::TRUST_ROTATION && *rotate_trust) && same(domain, &path.domain),
        TokenRole::Host { account } => N::HOST && same(account, &path.account),
        administrator => role_of(administrator).is_some_and(|role| N::ROLES.contains(&role)),
    }
}

/// The role of an administrator's token.
pub(crate) fn role_of(role: &TokenRole) -> Option<Role> {
    Some(match role {
        TokenRole::GlobalAdministrator => Role::GlobalAdministrator,
        TokenRole::HybridIdentityAdministrator => Role::HybridIdentityAdministrator,
        TokenRole::StorageAdministrator => Role::StorageAdministrator,
        TokenRole::Reader => Role::Reader,
        TokenRole::Connector { .. } | TokenRole::Host { .. } => return None,
    })
}

fn describe(role: &TokenRole) -> String {
    match role {
        TokenRole::Connector {
            domain,
            rotate_trust: true,
        } => format!("is the connector of `{domain}`, which may rotate its trust"),
        TokenRole::Connector { domain, .. } => format!("is the connector of `{domain}`"),
        TokenRole::Host { account } => format!("is the host of storage account `{account}`"),
        administrator => format!(
            "has `{}`",
            role_of(administrator).map_or("no role", Role::as_str)
        ),
    }
}

fn forbidden<N: Need>(token: &TokenInfo) -> ApiError {
    let roles: Vec<String> = N::ROLES.iter().map(|role| format!("`{role}`")).collect();
    let confined = if !N::CONFINED && token.tenant.is_some() {
        ", for all tenants"
    } else {
        ""
    };
    let connector = match (N::TRUST_ROTATION, &token.role) {
        (true, TokenRole::Connector { .. }) => {
            ", or a connector of this domain that was made with `--allow-trust-rotation`"
        }
        _ => "",
    };
    ApiError::new(
        Code::Forbidden,
        format!(
            "this needs the role {}{confined}{connector}; the token {}",
            roles.join(" or "),
            describe(&token.role)
        ),
    )
    .hint("ask an administrator with that role to do it, or to give you a token with it")
}

fn record_refusal(
    app: &App,
    token: &TokenInfo,
    address: Option<IpAddr>,
    parts: &Parts,
    reason: Code,
) {
    let by = Actor {
        name: token.name.clone(),
        address,
    };
    app.audit.record(NewEvent {
        outcome: Outcome::Refused,
        reason: reason.as_str().into(),
        target: format!("{} {}", parts.method, parts.uri.path()),
        detail: format!("the token {}", describe(&token.role)),
        ..NewEvent::audit(&by, token.tenant, "api.call")
    });
}
