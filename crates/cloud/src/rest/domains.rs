//! AD domains: their connectors, and the identities that the sync agent reads and writes.

use super::access::{InTenant, ManageIdentities, SyncIdentities};
use super::body::{JsonBody, Parameters};
use super::convert;
use super::error::ApiError;
use crate::app::App;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use crossrealm_api::{
    self as api, ApplyIdentities, ApplyIdentitiesResult, Code, Connector, ConnectorCreate,
    ConnectorCreated, DomainIdentitiesPage, IdentityChange, Page, PageQuery, SecretText, SyncState,
    SyncedIdentity,
};
use crossrealm_directory::{
    self as directory, Change, NewDomain, NewToken, TokenInfo, TokenRole, Uuid,
};

type DomainPath = Path<(String, String)>;

/// `GET /tenants/{tenant}/domains/{domain}/identities`.
pub(crate) async fn read(
    State(app): State<App>,
    at: InTenant<SyncIdentities>,
    Path((_, domain)): DomainPath,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Json<DomainIdentitiesPage>, ApiError> {
    let held = app
        .directory
        .domain_identities(at.id(), &domain, &convert::page(query))
        .await?;
    Ok(Json(DomainIdentitiesPage {
        domain: held.domain.map(|domain| api::SyncDomain {
            dns_name: domain.dns_name,
            flat_name: domain.flat_name,
            sid: domain.sid.to_string(),
        }),
        sync: sync_view(held.sync),
        identities: held.identities.items.into_iter().map(synced).collect(),
        next: held.identities.next,
    }))
}

/// `POST /tenants/{tenant}/domains/{domain}/identities`.
pub(crate) async fn apply(
    State(app): State<App>,
    at: InTenant<SyncIdentities>,
    Path((_, domain)): DomainPath,
    JsonBody(wanted): JsonBody<ApplyIdentities>,
) -> Result<Json<ApplyIdentitiesResult>, ApiError> {
    // The token was checked against the path alone: the body must not name another domain.
    if !wanted.domain.dns_name.eq_ignore_ascii_case(&domain) {
        return Err(ApiError::invalid(
            "the domain in the body is not the one in the path",
        ));
    }
    let wanted = directory::ApplyIdentities {
        run_id: convert::guid(&wanted.run_id)?,
        domain: NewDomain {
            dns_name: wanted.domain.dns_name,
            flat_name: wanted.domain.flat_name,
            sid: convert::sid(&wanted.domain.sid)?,
            forest_root: None,
        },
        changes: wanted
            .changes
            .into_iter()
            .map(change)
            .collect::<Result<_, _>>()?,
        skipped: wanted.skipped,
        cursor: wanted.cursor,
        last: wanted.last,
    };
    let outcome = app
        .directory
        .apply_identities(&at.actor, at.id(), wanted)
        .await?;
    Ok(Json(ApplyIdentitiesResult {
        created: outcome.created,
        updated: outcome.updated,
        deleted: outcome.deleted,
        unchanged: outcome.unchanged,
        memberships_added: outcome.memberships_added,
        memberships_removed: outcome.memberships_removed,
        refused: outcome.refused.into_iter().map(refused).collect(),
    }))
}

/// `GET /tenants/{tenant}/domains/{domain}/sync-state`.
pub(crate) async fn sync_state(
    State(app): State<App>,
    at: InTenant<SyncIdentities>,
    Path((_, domain)): DomainPath,
) -> Result<Json<SyncState>, ApiError> {
    let state = app.directory.sync_state(at.id(), &domain).await?;
    Ok(Json(sync_view(state)))
}

/// `GET /tenants/{tenant}/connectors`.
pub(crate) async fn connectors(
    State(app): State<App>,
    at: InTenant<ManageIdentities>,
) -> Result<Json<Page<Connector>>, ApiError> {
    let tokens = app.directory.tokens(Some(at.id())).await?;
    let connectors = tokens.iter().filter_map(connector).collect();
    Ok(Json(convert::complete(connectors, |c| c)))
}

/// `POST /tenants/{tenant}/connectors`.
pub(crate) async fn create_connector(
    State(app): State<App>,
    at: InTenant<ManageIdentities>,
    JsonBody(wanted): JsonBody<ConnectorCreate>,
) -> Result<(StatusCode, Json<ConnectorCreated>), ApiError> {
    let domain = app
        .directory
        .domain(at.id(), &wanted.domain)
        .await?
        .dns_name;
    let tokens = app.directory.tokens(Some(at.id())).await?;
    if tokens
        .iter()
        .filter_map(connector)
        .any(|c| c.domain == domain)
    {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            Code::ConnectorExists,
            format!("there is a connector for `{domain}` already"),
        )
        .hint("delete it first; its token ends then"));
    }
    let new = NewToken {
        tenant: Some(at.id()),
        role: TokenRole::Connector {
            domain: domain.clone(),
        },
        name: format!("connector {domain}"),
        expires_at: None,
    };
    let (token, info) = app.directory.create_token(&at.actor, new).await?;
    let created = ConnectorCreated {
        connector: Connector {
            domain,
            created_at: info.created_at,
        },
        token: SecretText::new(token.as_str()),
    };
    Ok((StatusCode::CREATED, Json(created)))
}

/// `DELETE /tenants/{tenant}/connectors/{domain}`.
pub(crate) async fn delete_connector(
    State(app): State<App>,
    at: InTenant<ManageIdentities>,
    Path((_, domain)): DomainPath,
) -> Result<StatusCode, ApiError> {
    let tokens = app.directory.tokens(Some(at.id())).await?;
    let of_domain = |token: &&TokenInfo| {
        connector(token).is_some_and(|c| c.domain.eq_ignore_ascii_case(&domain))
    };
    let found: Vec<&TokenInfo> = tokens.iter().filter(of_domain).collect();
    if found.is_empty() {
        return Err(ApiError::new(
            StatusCode::NOT_FOUND,
            Code::ConnectorNotFound,
            format!("no connector for `{domain}`"),
        ));
    }
    for token in found {
        app.directory
            .revoke_token(&at.actor, Some(at.id()), token.id)
            .await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// The connector that a token is, where it is one and not revoked.
fn connector(token: &TokenInfo) -> Option<Connector> {
    match &token.role {
        TokenRole::Connector { domain } if token.revoked_at.is_none() => Some(Connector {
            domain: domain.clone(),
            created_at: token.created_at,
        }),
        _ => None,
    }
}

fn change(change: IdentityChange) -> Result<Change, ApiError> {
    Ok(match change {
        IdentityChange::Upsert { identity } => Change::Upsert(synced_in(identity)?),
        IdentityChange::Members {
            object_guid,
            add,
            remove,
        } => Change::Members {
            group: convert::guid(&object_guid)?,
            add: guids(&add)?,
            remove: guids(&remove)?,
        },
        IdentityChange::Delete { object_guid } => Change::Delete(convert::guid(&object_guid)?),
    })
}

fn guids(texts: &[String]) -> Result<Vec<Uuid>, ApiError> {
    texts.iter().map(|text| convert::guid(text)).collect()
}

fn synced_in(identity: SyncedIdentity) -> Result<directory::SyncedIdentity, ApiError> {
    Ok(directory::SyncedIdentity {
        object_guid: convert::guid(&identity.object_guid)?,
        kind: convert::kind_in(identity.kind),
        sid: convert::sid(&identity.sid)?,
        account_name: identity.account_name,
        upn: identity.upn,
        display_name: identity.display_name,
        state: convert::state_in(identity.state),
        disabled_reason: identity.disabled_reason.map(convert::disabled_reason_in),
        primary_group_rid: identity.primary_group_rid,
        members: Vec::new(),
    })
}

fn synced(identity: directory::SyncedIdentity) -> SyncedIdentity {
    SyncedIdentity {
        object_guid: identity.object_guid.to_string(),
        kind: convert::kind(identity.kind),
        sid: identity.sid.to_string(),
        account_name: identity.account_name,
        upn: identity.upn,
        display_name: identity.display_name,
        state: convert::state(identity.state),
        disabled_reason: convert::disabled_reason(identity.disabled_reason.as_deref()),
        primary_group_rid: identity.primary_group_rid,
        members: identity.members.iter().map(ToString::to_string).collect(),
    }
}

fn sync_view(state: directory::SyncState) -> SyncState {
    SyncState {
        cursor: state.cursor,
        last_run_id: state.last_run_id.map(|id| id.to_string()),
        last_success_at: state.last_success_at,
        users: state.users,
        groups: state.groups,
        skipped: state.skipped,
        refused: state.refused,
    }
}

fn refused(refusal: directory::Refusal) -> api::RefusedChange {
    api::RefusedChange {
        object_guid: refusal.object_guid.to_string(),
        account_name: refusal.account_name,
        code: refusal.code.as_str().into(),
        message: refusal.message,
    }
}
