//! AD domains: the identities that the sync agent reads and writes, its lease, and how far it has come.

use super::access::InTenant;
use super::convert;
use super::error::ApiError;
use super::route::Input;
use crate::app::App;
use crossrealm_api::endpoint;
use crossrealm_api::{
    self as api, Code, DeletionPermit, DomainIdentitiesPage, ErrorDetails, IdentitiesFound,
    IdentityChange, MemberElsewhere, Page, SyncLease, SyncState,
};
use crossrealm_directory::{self as directory, NewDomain, NewEvent, Uuid};
use crossrealm_types::{ApplyIdentitiesResult, EventOutcome, Sid, Timestamp};
use std::collections::HashMap;

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
            sid: domain.sid,
        }),
        sync: sync_view(held.sync),
        identities: held.identities.items,
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
    if let Some(deletions) = wanted.accept_deletions
        && !at.is_administrator()
    {
        app.audit.record(own_permission(&at, &domain));
        return Err(deletions_not_allowed(&domain, deletions));
    }
    let wanted = directory::ApplyIdentities {
        run_id: wanted.run_id,
        domain: NewDomain {
            dns_name: wanted.domain.dns_name,
            flat_name: wanted.domain.flat_name,
            sid: wanted.domain.sid,
            forest_root: None,
        },
        changes: wanted.changes.into_iter().map(change).collect(),
        skipped: wanted.skipped,
        cursor: wanted.cursor,
        last: wanted.last,
        holder: wanted.holder,
        previous_cursor: wanted.previous_cursor,
        failures: wanted.failures,
        failed: wanted.failed,
        incremental: wanted.incremental,
        accept_deletions: wanted.accept_deletions,
    };
    let outcome = app
        .directory
        .apply_identities(&at.actor, at.id(), wanted)
        .await?;
    Ok(outcome)
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

/// The event of a connector that would let itself delete.
fn own_permission(at: &InTenant<endpoint::ApplyIdentities>, domain: &str) -> NewEvent {
    NewEvent {
        outcome: EventOutcome::Refused,
        reason: Code::DeletionsNotAllowed.as_str().into(),
        target: convert::shorten(domain),
        detail: "the connector declared how many identities it deletes".into(),
        ..NewEvent::audit(&at.actor, Some(at.id()), "sync.refuse")
    }
}

fn deletions_not_allowed(domain: &str, deletions: u64) -> ApiError {
    ApiError::new(
        Code::DeletionsNotAllowed,
        format!(
            "a connector may not allow itself {deletions} deletions in domain `{domain}`; an administrator may; the request changed nothing"
        ),
    )
    .details(ErrorDetails {
        domain: Some(domain.to_owned()),
        deletions: i64::try_from(deletions).ok(),
        ..ErrorDetails::default()
    })
}

/// [`endpoint::AllowDeletions`]
pub(crate) async fn allow_deletions(
    app: App,
    at: InTenant<endpoint::AllowDeletions>,
    Input {
        path: [_, domain],
        body: wanted,
        ..
    }: Input<endpoint::AllowDeletions>,
) -> Result<DeletionPermit, ApiError> {
    let (deletions, life_s) = (wanted.deletions, wanted.expires_in_s);
    let permit = app
        .directory
        .allow_deletions(&at.actor, at.id(), &domain, deletions, life_s)
        .await?;
    Ok(DeletionPermit {
        deletions: permit.deletions,
        expires_at: Timestamp::from_unix(permit.expires_at),
    })
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
    Ok(SyncState {
        refusals: app.directory.sync_refusals(at.id(), &domain).await?,
        failures: app.directory.sync_failures(at.id(), &domain).await?,
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
        .lookup_domain_identities(at.id(), &domain, &wanted.object_guids)
        .await?;
    Ok(IdentitiesFound { identities: found })
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
) -> Result<Page<Uuid>, ApiError> {
    let members = app
        .directory
        .domain_members(
            at.id(),
            &domain,
            convert::guid(&object)?,
            &convert::page(query),
        )
        .await?;
    Ok(convert::paged(members, |guid| guid))
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
        .release_sync_lease(at.id(), &domain, &lease.holder, lease.problem.as_deref())
        .await?;
    Ok(())
}

/// The domains of members, by their GUIDs.
fn domains_of(members: Vec<MemberElsewhere>) -> HashMap<Uuid, Sid> {
    let domain = |member: MemberElsewhere| (member.object_guid, member.domain_sid);
    members.into_iter().map(domain).collect()
}

fn change(change: IdentityChange) -> directory::IdentityChange {
    match change {
        IdentityChange::Upsert { identity } => directory::IdentityChange::Upsert(identity),
        IdentityChange::Members {
            object_guid: group,
            add,
            remove,
            elsewhere,
        } => directory::IdentityChange::Members {
            group,
            add,
            remove,
            elsewhere: elsewhere.map(domains_of),
        },
        IdentityChange::Delete { object_guid } => directory::IdentityChange::Delete(object_guid),
    }
}

fn sync_view(state: directory::SyncState) -> SyncState {
    SyncState {
        cursor: state.cursor,
        last_run_id: state.last_run_id,
        last_success_at: state.last_success_at,
        users: state.users,
        groups: state.groups,
        skipped: state.skipped,
        refused: state.refused,
        failed: state.failed,
        awaits_full_sync: state.awaits_full_sync,
        lease: state.lease,
        problem: state.problem,
        deletions_allowed: state.deletions_allowed,
        refusals: Vec::new(),
        failures: Vec::new(),
    }
}
