//! AD domains: the identities that the sync agent reads and writes, its lease, and how far it has come.

use super::access::InTenant;
use super::convert;
use super::error::ApiError;
use super::route::Input;
use crate::app::App;
use crossrealm_api::endpoint;
use crossrealm_api::{
    self as api, ApplyIdentitiesResult, Code, DomainIdentitiesPage, IdentitiesFound,
    IdentityChange, LeaseHolder, Page, SyncFailure, SyncLease, SyncState, SyncedIdentity,
};
use crossrealm_directory::{self as directory, NewDomain, NewEvent, Uuid};
use crossrealm_types::EventOutcome;

/// [`endpoint::DomainIdentities`]
pub(crate) async fn domain_identities(
    app: App,
    at: InTenant<endpoint::DomainIdentities>,
    Input {
        path: [_, domain],
        query,
        ..
    }: Input<endpoint::DomainIdentities>,
) -> Result<DomainIdentitiesPage, ApiError> {
    let held = app
        .directory
        .domain_identities(at.id(), &domain, &convert::page(query))
        .await?;
    Ok(DomainIdentitiesPage {
        domain: held.domain.map(|domain| api::SyncDomain {
            dns_name: domain.dns_name,
            flat_name: domain.flat_name,
            sid: domain.sid.to_string(),
        }),
        sync: sync_view(held.sync),
        identities: held.identities.items.into_iter().map(synced).collect(),
        next: held.identities.next,
    })
}

/// [`endpoint::ApplyIdentities`]
pub(crate) async fn apply_identities(
    app: App,
    at: InTenant<endpoint::ApplyIdentities>,
    Input {
        path: [_, domain],
        body: wanted,
        ..
    }: Input<endpoint::ApplyIdentities>,
) -> Result<ApplyIdentitiesResult, ApiError> {
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
    Ok(ApplyIdentitiesResult {
        created: outcome.created,
        updated: outcome.updated,
        deleted: outcome.deleted,
        disabled: outcome.disabled,
        unchanged: outcome.unchanged,
        memberships_added: outcome.memberships_added,
        memberships_removed: outcome.memberships_removed,
        refused: outcome.refused.into_iter().map(refused).collect(),
    })
}

/// The event of a request that names one domain in its path and another in its body.
fn other_domain(at: &InTenant<endpoint::ApplyIdentities>, named: &str) -> NewEvent {
    NewEvent {
        outcome: EventOutcome::Refused,
        reason: Code::InvalidRequest.as_str().into(),
        target: convert::shorten(named),
        detail: "the domain in the body is not the one in the path".into(),
        ..NewEvent::audit(&at.actor, Some(at.id()), "sync.refuse")
    }
}

/// [`endpoint::ShowSyncState`]
pub(crate) async fn sync_state(
    app: App,
    at: InTenant<endpoint::ShowSyncState>,
    Input {
        path: [_, domain], ..
    }: Input<endpoint::ShowSyncState>,
) -> Result<SyncState, ApiError> {
    let state = app.directory.sync_state(at.id(), &domain).await?;
    let refusals = app.directory.sync_refusals(at.id(), &domain).await?;
    let failures = app.directory.sync_failures(at.id(), &domain).await?;
    Ok(SyncState {
        refusals: refusals.into_iter().map(refused).collect(),
        failures: failures.into_iter().map(failure).collect(),
        ..sync_view(state)
    })
}

/// [`endpoint::LookupIdentities`]
pub(crate) async fn lookup_identities(
    app: App,
    at: InTenant<endpoint::LookupIdentities>,
    Input {
        path: [_, domain],
        body: wanted,
        ..
    }: Input<endpoint::LookupIdentities>,
) -> Result<IdentitiesFound, ApiError> {
    let found = app
        .directory
        .lookup_domain_identities(at.id(), &domain, &guids(&wanted.object_guids)?)
        .await?;
    Ok(IdentitiesFound {
        identities: found.into_iter().map(synced).collect(),
    })
}

/// [`endpoint::DomainMembers`]
pub(crate) async fn domain_members(
    app: App,
    at: InTenant<endpoint::DomainMembers>,
    Input {
        path: [_, domain, object],
        query,
        ..
    }: Input<endpoint::DomainMembers>,
) -> Result<Page<String>, ApiError> {
    let members = app
        .directory
        .domain_members(
            at.id(),
            &domain,
            convert::guid(&object)?,
            &convert::page(query),
        )
        .await?;
    Ok(convert::paged(members, |guid| guid.to_string()))
}

/// [`endpoint::TakeSyncLease`]
pub(crate) async fn take_sync_lease(
    app: App,
    at: InTenant<endpoint::TakeSyncLease>,
    Input {
        path: [_, domain],
        body: wanted,
        ..
    }: Input<endpoint::TakeSyncLease>,
) -> Result<SyncLease, ApiError> {
    let lease = app
        .directory
        .take_sync_lease(at.id(), &domain, &wanted.holder, wanted.seconds)
        .await?;
    Ok(SyncLease {
        granted: lease.holder == wanted.holder,
        holder: lease.holder,
        expires_at: lease.expires_at,
    })
}

/// [`endpoint::ReleaseSyncLease`]
pub(crate) async fn release_sync_lease(
    app: App,
    at: InTenant<endpoint::ReleaseSyncLease>,
    Input {
        path: [_, domain],
        body: lease,
        ..
    }: Input<endpoint::ReleaseSyncLease>,
) -> Result<(), ApiError> {
    app.directory
        .release_sync_lease(at.id(), &domain, &lease.holder)
        .await?;
    Ok(())
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
        kind: identity.kind,
        sid: convert::sid(&identity.sid)?,
        account_name: identity.account_name,
        upn: identity.upn,
        display_name: identity.display_name,
        state: identity.state,
        disabled_reason: identity.disabled_reason,
        primary_group_rid: identity.primary_group_rid,
        members: Vec::new(),
        more_members: false,
    })
}

fn synced(identity: directory::SyncedIdentity) -> SyncedIdentity {
    SyncedIdentity {
        object_guid: identity.object_guid.to_string(),
        kind: identity.kind,
        sid: identity.sid.to_string(),
        account_name: identity.account_name,
        upn: identity.upn,
        display_name: identity.display_name,
        state: identity.state,
        disabled_reason: identity.disabled_reason,
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
