//! One run of the sync agent: what the tenant holds, what AD holds, the plan between them, and its batches.
//!
//! The plan itself is made in [`crossrealm_onprem::sync`] and is pure; this module only carries states and changes
//! between the two sides. The tenant applies each batch in one transaction and every change is idempotent, so a run that
//! ends anywhere is finished by the next one.

use crate::failure::Failure;
use crossrealm_api as api;
use crossrealm_onprem::credentials::DomainCredentials;
use crossrealm_onprem::dc::Choice;
use crossrealm_onprem::ldap::Ldap;
use crossrealm_onprem::session::Session;
use crossrealm_onprem::sync::{
    Account, Change, CloudObject, CloudState, DisabledReason, Kind, Observed, SyncPlan, plan, read,
};
use std::collections::BTreeSet;

/// The most members that one request carries, over all its changes: keeps a request below about one megabyte.
const MAX_MEMBERS_PER_REQUEST: usize = 10_000;

/// What both sides hold, and the plan between them.
pub struct Comparison {
    /// The domain controller that was read.
    pub controller: String,
    /// What AD holds.
    pub observed: Observed,
    /// What the tenant must change.
    pub plan: SyncPlan,
}

/// Reads both sides and makes the plan. `progress` is told what is being done.
pub async fn compare(
    client: &api::Client,
    tenant: &str,
    domain: &str,
    choice: &Choice,
    credentials: &DomainCredentials,
    mut progress: impl FnMut(&str),
) -> Result<Comparison, Failure> {
    progress("asking the tenant");
    let (known, cloud) = cloud_state(client, tenant, domain).await?;
    progress("signing in to the domain");
    let session = Session::open(domain, choice, credentials).await?;
    let mut ldap = Ldap::connect(&session).await?;
    let observed = read(&session, &mut ldap, |count| {
        progress(&format!("{count} objects read"));
    })
    .await?;
    if let Some(known) = known.filter(|known| known.sid != observed.domain.sid.to_string()) {
        return Err(Failure::new(format!(
            "the tenant knows `{domain}` with the SID `{}`, but the domain's is `{}`",
            known.sid, observed.domain.sid
        ))
        .hint("this is another domain of the same name; use a tenant of its own for it"));
    }
    Ok(Comparison {
        controller: session.dc().host.clone(),
        plan: plan(&observed, &cloud),
        observed,
    })
}

/// Applies the plan and ends the run, also when nothing is to be changed: the tenant then knows that it is up to date.
pub async fn apply(
    client: &api::Client,
    tenant: &str,
    comparison: &Comparison,
    mut progress: impl FnMut(&str),
) -> Result<api::ApplyIdentitiesResult, Failure> {
    let domain = &comparison.observed.domain;
    let run_id = uuid::Uuid::new_v4().to_string();
    let batches = batches(&comparison.plan);
    let count = batches.len();
    let mut total = api::ApplyIdentitiesResult::default();
    for (index, changes) in batches.into_iter().enumerate() {
        progress(&format!("writing batch {} of {count}", index + 1));
        let request = api::ApplyIdentities {
            run_id: run_id.clone(),
            domain: api::SyncDomain {
                dns_name: domain.dns_name.clone(),
                flat_name: domain.flat_name.clone(),
                sid: domain.sid.to_string(),
            },
            changes,
            skipped: u64::try_from(comparison.plan.skipped.len()).unwrap_or(u64::MAX),
            last: index + 1 == count,
            ..api::ApplyIdentities::default()
        };
        let result = client
            .apply_identities(tenant, &domain.dns_name, &request)
            .await?;
        total.created += result.created;
        total.updated += result.updated;
        total.deleted += result.deleted;
        total.unchanged += result.unchanged;
        total.memberships_added += result.memberships_added;
        total.memberships_removed += result.memberships_removed;
        total.refused.extend(result.refused);
    }
    Ok(total)
}

/// The plan's changes in requests that the API takes; at least one, since the last one ends the run.
fn batches(plan: &SyncPlan) -> Vec<Vec<api::IdentityChange>> {
    let mut batches = vec![Vec::new()];
    let mut members = 0;
    for change in plan.changes() {
        for (change, weight) in wire(&change) {
            let full = batches.last().is_some_and(|batch| {
                batch.len() >= api::MAX_CHANGES || members + weight > MAX_MEMBERS_PER_REQUEST
            });
            if full {
                batches.push(Vec::new());
                members = 0;
            }
            members += weight;
            if let Some(batch) = batches.last_mut() {
                batch.push(change);
            }
        }
    }
    batches
}

/// A change as the API has it, with the number of members it carries; large groups become several.
fn wire(change: &Change<'_>) -> Vec<(api::IdentityChange, usize)> {
    match change {
        Change::Upsert(account) => {
            let identity = identity(account);
            vec![(api::IdentityChange::Upsert { identity }, 0)]
        }
        Change::Delete(account) => {
            let object_guid = account.guid.clone();
            vec![(api::IdentityChange::Delete { object_guid }, 0)]
        }
        Change::Members(membership) => {
            let part = |add: &[String], remove: &[String]| {
                let weight = add.len() + remove.len();
                let change = api::IdentityChange::Members {
                    object_guid: membership.group.clone(),
                    add: add.to_vec(),
                    remove: remove.to_vec(),
                };
                (change, weight)
            };
            let added = membership
                .add
                .chunks(api::MAX_MEMBER_CHANGES)
                .map(|chunk| part(chunk, &[]));
            let removed = membership
                .remove
                .chunks(api::MAX_MEMBER_CHANGES)
                .map(|chunk| part(&[], chunk));
            added.chain(removed).collect()
        }
    }
}

fn identity(account: &Account) -> api::SyncedIdentity {
    api::SyncedIdentity {
        object_guid: account.guid.clone(),
        kind: match account.kind {
            Kind::User => api::IdentityKind::User,
            Kind::Group => api::IdentityKind::Group,
        },
        sid: account.sid.to_string(),
        account_name: account.account_name.clone(),
        upn: account.upn.clone(),
        display_name: account.display_name.clone(),
        state: match account.disabled {
            None => api::IdentityState::Enabled,
            Some(_) => api::IdentityState::Disabled,
        },
        disabled_reason: account.disabled.map(|reason| match reason {
            DisabledReason::Disabled => api::DisabledReason::Disabled,
            DisabledReason::Expired => api::DisabledReason::Expired,
            DisabledReason::Locked => api::DisabledReason::Locked,
        }),
        primary_group_rid: account.primary_group_rid,
        members: Vec::new(),
        more_members: false,
    }
}

async fn cloud_state(
    client: &api::Client,
    tenant: &str,
    domain: &str,
) -> Result<(Option<api::SyncDomain>, CloudState), Failure> {
    let mut state = CloudState::default();
    let mut after: Option<String> = None;
    loop {
        let page = client
            .domain_identities(tenant, domain, after.as_deref(), Some(api::MAX_PAGE))
            .await?;
        for mut held in page.identities {
            client.complete_members(tenant, domain, &mut held).await?;
            let (guid, object) = cloud_object(held)?;
            state.objects.insert(guid, object);
        }
        match page.next {
            Some(next) if Some(&next) != after.as_ref() => after = Some(next),
            _ => return Ok((page.domain, state)),
        }
    }
}

fn cloud_object(held: api::SyncedIdentity) -> Result<(String, CloudObject), Failure> {
    let sid = held.sid.parse().map_err(|_| {
        Failure::new(format!(
            "unusable answer from the service: `{}` is not a SID",
            held.sid
        ))
    })?;
    let disabled = match (held.state, held.disabled_reason) {
        (api::IdentityState::Disabled, Some(api::DisabledReason::Expired)) => {
            Some(DisabledReason::Expired)
        }
        (api::IdentityState::Disabled, Some(api::DisabledReason::Locked)) => {
            Some(DisabledReason::Locked)
        }
        (api::IdentityState::Disabled, _) => Some(DisabledReason::Disabled),
        _ => None,
    };
    let object = CloudObject {
        account: Account {
            guid: held.object_guid.clone(),
            kind: match held.kind {
                api::IdentityKind::User => Kind::User,
                api::IdentityKind::Group => Kind::Group,
            },
            sid,
            account_name: held.account_name,
            upn: held.upn,
            display_name: held.display_name,
            disabled,
            primary_group_rid: held.primary_group_rid,
        },
        deleted: held.state == api::IdentityState::Deleted,
        members: held.members.into_iter().collect::<BTreeSet<_>>(),
    };
    Ok((held.object_guid, object))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossrealm_onprem::sync::Membership;

    fn account(number: usize) -> Account {
        Account {
            guid: format!("guid-{number}"),
            kind: Kind::User,
            sid: format!("S-1-5-21-1-2-3-{}", 1000 + number).parse().unwrap(),
            account_name: format!("user{number}"),
            upn: format!("user{number}@corp.contoso.com"),
            display_name: String::new(),
            disabled: (number == 1).then_some(DisabledReason::Locked),
            primary_group_rid: 513,
        }
    }

    #[test]
    fn what_is_written_is_read_back_as_the_same() {
        for number in 0..2 {
            let account = account(number);
            let (guid, object) = cloud_object(identity(&account)).unwrap();
            assert_eq!(
                (guid, object.account, object.deleted),
                (account.guid.clone(), account, false)
            );
        }
    }

    #[test]
    fn batches_keep_the_bounds_and_the_order() {
        let plan = SyncPlan {
            creates: (0..2500).map(account).collect(),
            memberships: vec![Membership {
                group: "g".into(),
                name: "g".into(),
                add: (0..12_001).map(|n| n.to_string()).collect(),
                remove: vec!["x".into()],
            }],
            ..SyncPlan::default()
        };
        let batches = batches(&plan);
        let mut members = 0;
        for batch in &batches {
            assert!(batch.len() <= api::MAX_CHANGES);
            let in_batch: usize = batch
                .iter()
                .map(|change| match change {
                    api::IdentityChange::Members { add, remove, .. } => {
                        assert!(add.len() + remove.len() <= api::MAX_MEMBER_CHANGES);
                        add.len() + remove.len()
                    }
                    _ => 0,
                })
                .sum();
            assert!(in_batch <= MAX_MEMBERS_PER_REQUEST);
            members += in_batch;
        }
        assert_eq!(members, 12_002);
        assert_eq!(batches.iter().map(Vec::len).sum::<usize>(), 2500 + 4);
        assert!(matches!(batches[0][0], api::IdentityChange::Upsert { .. }));
    }

    #[test]
    fn an_empty_plan_still_ends_the_run() {
        assert_eq!(batches(&SyncPlan::default()), [vec![]]);
    }
}
