//! AD domains: the identities that the sync agent reads and writes, its lease, and how far it has come.

use super::access::{InTenant, SyncIdentities};
use super::body::{JsonBody, Parameters};
use super::convert;
use super::error::ApiError;
use crate::app::App;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use crossrealm_api::{
    self as api, ApplyIdentities, ApplyIdentitiesResult, Code, DomainIdentitiesPage,
    IdentitiesFound, IdentityChange, IdentityLookup, LeaseHolder, Page, PageQuery, SyncFailure,
    SyncLease, SyncLeaseRelease, SyncLeaseRequest, SyncState, SyncedIdentity,
};
use crossrealm_directory::{self as directory, NewDomain, NewEvent, Outcome, Uuid};

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
        app.audit.record(other_domain(&at, &wanted.domain.dns_name));
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
        holder: wanted.holder,
        previous_cursor: wanted.previous_cursor,
        failures: wanted
            .failures
            .into_iter()
            .map(failure_in)
            .collect::<Result<_, _>>()?,
        failed: wanted.failed,
        incremental: wanted.incremental,
        accept_deletions: wanted.accept_deletions,
    };
    let outcome = app
        .directory
        .apply_identities(&at.actor, at.id(), wanted)
        .await?;
    Ok(Json(ApplyIdentitiesResult {
        created: outcome.created,
        updated: outcome.updated,
        deleted: outcome.deleted,
        disabled: outcome.disabled,
        unchanged: outcome.unchanged,
        memberships_added: outcome.memberships_added,
        memberships_removed: outcome.memberships_removed,
        refused: outcome.refused.into_iter().map(refused).collect(),
    }))
}

/// The event of a request that names one domain in its path and another in its body.
fn other_domain(at: &InTenant<SyncIdentities>, named: &str) -> NewEvent {
    NewEvent {
        outcome: Outcome::Refused,
        reason: Code::InvalidRequest.as_str().into(),
        target: convert::shorten(named),
        detail: "the domain in the body is not the one in the path".into(),
        ..NewEvent::audit(&at.actor, Some(at.id()), "sync.refuse")
    }
}

/// `GET /tenants/{tenant}/domains/{domain}/sync-state`.
pub(crate) async fn sync_state(
    State(app): State<App>,
    at: InTenant<SyncIdentities>,
    Path((_, domain)): DomainPath,
) -> Result<Json<SyncState>, ApiError> {
    let state = app.directory.sync_state(at.id(), &domain).await?;
    let refusals = app.directory.sync_refusals(at.id(), &domain).await?;
    let failures = app.directory.sync_failures(at.id(), &domain).await?;
    Ok(Json(SyncState {
        refusals: refusals.into_iter().map(refused).collect(),
        failures: failures.into_iter().map(failure).collect(),
        ..sync_view(state)
    }))
}

/// `POST /tenants/{tenant}/domains/{domain}/identities/lookup`.
pub(crate) async fn lookup(
    State(app): State<App>,
    at: InTenant<SyncIdentities>,
    Path((_, domain)): DomainPath,
    JsonBody(wanted): JsonBody<IdentityLookup>,
) -> Result<Json<IdentitiesFound>, ApiError> {
    let found = app
        .directory
        .lookup_domain_identities(at.id(), &domain, &guids(&wanted.object_guids)?)
        .await?;
    Ok(Json(IdentitiesFound {
        identities: found.into_iter().map(synced).collect(),
    }))
}

/// `GET /tenants/{tenant}/domains/{domain}/identities/{object}/members`.
pub(crate) async fn members(
    State(app): State<App>,
    at: InTenant<SyncIdentities>,
    Path((_, domain, object)): Path<(String, String, String)>,
    Parameters(query): Parameters<PageQuery>,
) -> Result<Json<Page<String>>, ApiError> {
    let members = app
        .directory
        .domain_members(
            at.id(),
            &domain,
            convert::guid(&object)?,
            &convert::page(query),
        )
        .await?;
    Ok(Json(convert::paged(members, |guid| guid.to_string())))
}

/// `POST /tenants/{tenant}/domains/{domain}/sync-lease`.
pub(crate) async fn take_lease(
    State(app): State<App>,
    at: InTenant<SyncIdentities>,
    Path((_, domain)): DomainPath,
    JsonBody(wanted): JsonBody<SyncLeaseRequest>,
) -> Result<Json<SyncLease>, ApiError> {
    let lease = app
        .directory
        .take_sync_lease(at.id(), &domain, &wanted.holder, wanted.seconds)
        .await?;
    Ok(Json(SyncLease {
        granted: lease.holder == wanted.holder,
        holder: lease.holder,
        expires_at: lease.expires_at,
    }))
}

/// `DELETE /tenants/{tenant}/domains/{domain}/sync-lease`.
pub(crate) async fn release_lease(
    State(app): State<App>,
    at: InTenant<SyncIdentities>,
    Path((_, domain)): DomainPath,
    JsonBody(lease): JsonBody<SyncLeaseRelease>,
) -> Result<StatusCode, ApiError> {
    app.directory
        .release_sync_lease(at.id(), &domain, &lease.holder)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

fn change(change: IdentityChange) -> Result<directory::IdentityChange, ApiError> {
    Ok(match change {
        IdentityChange::Upsert { identity } => {
            directory::IdentityChange::Upsert(synced_in(identity)?)
        }
        IdentityChange::Members {
            object_guid,
            add,
            remove,
        } => directory::IdentityChange::Members {
            group: convert::guid(&object_guid)?,
            add: guids(&add)?,
            remove: guids(&remove)?,
        },
        IdentityChange::Delete { object_guid } => {
            directory::IdentityChange::Delete(convert::guid(&object_guid)?)
        }
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
        more_members: false,
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
        more_members: identity.more_members,
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
        failed: state.failed,
        lease: state.lease.map(|lease| LeaseHolder {
            holder: lease.holder,
            expires_at: lease.expires_at,
        }),
        refusals: Vec::new(),
        failures: Vec::new(),
    }
}

fn failure(failure: directory::SyncFailure) -> SyncFailure {
    SyncFailure {
        object_guid: failure.object_guid.map(|guid| guid.to_string()),
        name: failure.name,
        reason: failure.reason,
    }
}

fn failure_in(failure: SyncFailure) -> Result<directory::SyncFailure, ApiError> {
    let guid = failure.object_guid.as_deref().map(convert::guid);
    Ok(directory::SyncFailure {
        object_guid: guid.transpose()?,
        name: failure.name,
        reason: failure.reason,
    })
}

fn refused(refusal: directory::RefusedChange) -> api::RefusedChange {
    api::RefusedChange {
        object_guid: refusal.object_guid.to_string(),
        account_name: refusal.account_name,
        code: refusal.code.as_str().into(),
        message: refusal.message,
    }
}
