//! Tenants and their events.

use super::access::{Caller, InTenant};
use super::convert;
use super::error::ApiError;
use super::route::Input;
use crate::app::{App, AppState};
use crossrealm_api::endpoint;
use crossrealm_api::{Code, Event, EventQuery, Page, RealmKey, Tenant};
use crossrealm_directory::{self as directory, NewTenant, TenantInfo};
use crossrealm_kdc::{Policy, Reason, TenantId};
use crossrealm_types::{IdentityKind, Timestamp};

/// [`endpoint::CreateTenant`]
pub(crate) async fn create_tenant(
    app: App,
    caller: Caller<endpoint::CreateTenant>,
    Input { body: wanted, .. }: Input<endpoint::CreateTenant>,
) -> Result<Tenant, ApiError> {
    let mut new = NewTenant::named(&wanted.name, &app.config.base_domain);
    if let Some(domain) = wanted.domain {
        new.domain = domain;
    }
    new.realm = wanted.realm;
    new.flat_name = wanted.flat_name;
    new.top_level_names = wanted.top_level_names.unwrap_or_default();
    new.policy = Some(Policy {
        allow_low_rids: wanted.allow_low_rids,
        ..NewTenant::DEFAULT_POLICY
    });
    let tenant = app.directory.create_tenant(&caller.actor, new).await?;
    Ok(view(&app, tenant))
}

/// [`endpoint::Tenants`]
pub(crate) async fn tenants(
    app: App,
    caller: Caller<endpoint::Tenants>,
    Input { query, .. }: Input<endpoint::Tenants>,
) -> Result<Page<Tenant>, ApiError> {
    if let Some(id) = caller.token.tenant {
        let own = app.directory.tenant(id).await?;
        return Ok(convert::complete(vec![own], |t| view(&app, t)));
    }
    let tenants = app.directory.tenants(&convert::page(query)).await?;
    Ok(convert::paged(tenants, |t| view(&app, t)))
}

/// [`endpoint::ShowTenant`]
pub(crate) async fn tenant(
    app: App,
    at: InTenant<endpoint::ShowTenant>,
    _: Input<endpoint::ShowTenant>,
) -> Result<Tenant, ApiError> {
    Ok(view(&app, at.tenant))
}

/// [`endpoint::SetTenantPolicy`]
pub(crate) async fn set_tenant_policy(
    app: App,
    at: InTenant<endpoint::SetTenantPolicy>,
    Input { body: wanted, .. }: Input<endpoint::SetTenantPolicy>,
) -> Result<Tenant, ApiError> {
    let mut tenant = at.tenant;
    if let Some(allowed) = wanted.allow_low_rids {
        tenant.policy.allow_low_rids = allowed;
        app.directory
            .set_policy(&at.actor, tenant.id, tenant.policy.clone())
            .await?;
    }
    Ok(view(&app, tenant))
}

/// [`endpoint::RotateRealmKey`]
pub(crate) async fn rotate_realm_key(
    app: App,
    at: InTenant<endpoint::RotateRealmKey>,
    Input { body: wanted, .. }: Input<endpoint::RotateRealmKey>,
) -> Result<RealmKey, ApiError> {
    let made = app
        .directory
        .rotate_realm_key(&at.actor, at.id(), wanted.compromised)
        .await?;
    Ok(RealmKey {
        realm: at.tenant.realm,
        kvno: made.kvno,
        encrypts_from: Timestamp::from_unix(made.encrypts_from),
        previous_until: made.previous_until.map(Timestamp::from_unix),
    })
}

/// [`endpoint::DeleteTenant`]
pub(crate) async fn delete_tenant(
    app: App,
    at: InTenant<endpoint::DeleteTenant>,
    _: Input<endpoint::DeleteTenant>,
) -> Result<(), ApiError> {
    let first = directory::Page {
        after: None,
        limit: 1,
    };
    let accounts = app.directory.storage_accounts(at.id(), &first).await?;
    let services = app.directory.service_principals(at.id(), &first).await?;
    let trusts = app.directory.trusts(at.id()).await?;
    let held = accounts
        .items
        .first()
        .map(|account| format!("storage account `{}`", account.name))
        .or_else(|| {
            services
                .items
                .first()
                .map(|s| format!("service principal `{}`", s.spn))
        })
        .or_else(|| {
            trusts
                .first()
                .map(|trust| format!("trust with `{}`", trust.domain))
        });
    if let Some(held) = held {
        return Err(ApiError::new(
            Code::TenantNotEmpty,
            format!("tenant `{}` still holds the {held}", at.tenant.name),
        ));
    }
    app.directory.delete_tenant(&at.actor, at.id()).await?;
    Ok(())
}

/// [`endpoint::Events`]
pub(crate) async fn events(
    app: App,
    at: InTenant<endpoint::Events>,
    Input { query, .. }: Input<endpoint::Events>,
) -> Result<Page<Event>, ApiError> {
    let user = match query.user.clone() {
        Some(user) => Some(upn_of(&app, at.id(), user).await?),
        None => None,
    };
    let filter = directory::EventFilter {
        tenant: Some(at.id()),
        user,
        ..event_filter(query)
    };
    let events = app.directory.events(&filter).await?;
    Ok(convert::complete(events, event))
}

/// The events that a query asks for, but for the tenant.
pub(crate) fn event_filter(query: EventQuery) -> directory::EventFilter {
    directory::EventFilter {
        tenant: None,
        installation: false,
        since_ms: query.since.map(Timestamp::unix_ms),
        until_ms: query.until.map(Timestamp::unix_ms),
        user: query.user,
        id: query.id,
        refused: query.refused,
        action: query.action,
        after: query.after,
        limit: query.limit.unwrap_or(100),
    }
}

/// The name by which the events of a user are recorded: the UPN where the directory knows the user, else the given name.
async fn upn_of(app: &AppState, tenant: TenantId, name: String) -> Result<String, ApiError> {
    match app
        .directory
        .find_identity(tenant, &name, Some(IdentityKind::User))
        .await
    {
        Ok(user) if !user.upn.is_empty() => Ok(user.upn),
        Ok(_) | Err(directory::DirectoryError::NotFound { .. }) => Ok(name),
        Err(error) => Err(error.into()),
    }
}

/// How the API shows an event.
pub(crate) fn event(recorded: directory::Event) -> Event {
    let event = recorded.event;
    let reason = Reason::ALL.iter().find(|r| r.code() == event.reason);
    Event {
        reason_text: reason.map(|r| r.text().to_owned()),
        hint: reason.map(|r| r.hint().to_owned()),
        sequence: recorded.sequence,
        id: event.id,
        at: Timestamp::from_unix_ms(event.at_ms),
        kind: event.category,
        outcome: event.outcome,
        action: event.action,
        reason: event.reason,
        actor_kind: event.actor_kind,
        actor: event.actor,
        user: event.user,
        target: event.target,
        address: event.address.map(|address| address.to_string()),
        detail: event.detail,
    }
}

/// How the API shows a tenant.
pub(super) fn view(app: &AppState, tenant: TenantInfo) -> Tenant {
    let url = app.config.kdc_proxy_url(&tenant.id.to_string());
    convert::tenant(tenant, url)
}
