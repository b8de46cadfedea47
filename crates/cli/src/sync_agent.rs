//! The sync agent at work: what AD holds or what changed there, what the tenant holds of that, the plan between them, and
//! its batches.
//!
//! The plan itself is made in [`crossrealm_onprem::sync`] and is pure; this module only carries states and changes
//! between the two sides. The tenant applies each batch in one transaction and every change is idempotent; the bookmark
//! goes with the last batch. So a run that ends anywhere is finished by the next one.

use crate::failure::Failure;
use crossrealm_api as api;
use crossrealm_onprem::credentials::DomainCredentials;
use crossrealm_onprem::dc::Choice;
use crossrealm_onprem::sync::{
    Account, Agent, Ask, Change, CloudObject, CloudState, Cursor, DisabledReason, Kind, Observed,
    Scope, SyncPlan, Why, newcomers, plan, unknown,
};
use std::collections::BTreeSet;

/// The most members that one request carries, over all its changes: keeps a request below about one megabyte.
const MAX_MEMBERS_PER_REQUEST: usize = 10_000;

/// The most changes of the request that carries the bookmark: should the agent die before it hears which of them were
/// refused, they are all looked at again.
const MAX_LAST: usize = 100;

/// What both sides hold, and the plan between them.
pub struct Comparison {
    /// The domain controller that was read.
    pub controller: String,
    /// What AD holds, or what changed there.
    pub observed: Observed,
    /// What the tenant must change.
    pub plan: SyncPlan,
    /// Why everything was compared; `None` where it was the changes.
    pub why: Option<Why>,
    /// The bookmark behind what was read.
    pub cursor: Cursor,
}

impl Comparison {
    /// Whether it was only the changes, and nothing is to be done about them.
    pub fn is_idle(&self) -> bool {
        self.why.is_none() && self.plan.changes().is_empty()
    }
}

/// Where and for whom the agent works.
pub struct Task<'a> {
    /// The service.
    pub client: &'a api::Client,
    /// The tenant.
    pub tenant: &'a str,
    /// The domain's DNS name.
    pub domain: &'a str,
    /// The domain controller that was named, if one was.
    pub dc: Option<&'a str>,
    /// What is to be taken over.
    pub scope: &'a Scope,
    /// The name under which the agent holds the lease; `None` while it only looks.
    pub holder: Option<&'a str>,
    /// How many identities an administrator lets the run delete or disable.
    pub accept_deletions: Option<u64>,
}

/// An agent between two runs: signed in to a domain controller, and aware of what the tenant knows.
#[derive(Default)]
pub struct Worker {
    agent: Option<Agent>,
    known: Option<Known>,
}

/// What is known of the tenant between two runs.
struct Known {
    /// The bookmark as it is stored.
    stored: Option<String>,
    /// How far the agent is; it may be ahead of what is stored where nothing changed.
    cursor: Option<Cursor>,
    /// How many users and groups the tenant holds of the domain.
    held: usize,
}

impl Worker {
    /// Reads both sides and makes the plan. `progress` is told what is being done.
    pub async fn compare(
        &mut self,
        task: &Task<'_>,
        credentials: &DomainCredentials,
        ask: Ask,
        progress: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Comparison, Failure> {
        if self.agent.as_ref().is_some_and(Agent::is_old) {
            *self = Self::default();
        }
        let known = match &mut self.known {
            Some(known) => known,
            none => {
                progress("asking the tenant");
                let state = task.client.sync_state(task.tenant, task.domain).await?;
                none.insert(Known {
                    cursor: state.cursor.as_deref().and_then(Cursor::parse),
                    stored: state.cursor,
                    held: usize::try_from(state.users + state.groups).unwrap_or(usize::MAX),
                })
            }
        };
        let agent = match &mut self.agent {
            Some(agent) => agent,
            none => {
                progress("signing in to the domain");
                let before = known
                    .cursor
                    .as_ref()
                    .map(|cursor| cursor.controller.as_str());
                none.insert(open(task, credentials, before).await?)
            }
        };
        let seen = agent
            .observe(known.cursor.as_ref(), ask, &mut |count| {
                progress(&format!("{count} objects read"));
            })
            .await?;
        let mut observed = seen.observed;
        let cloud = match observed.complete {
            true => {
                progress("reading what the tenant holds");
                whole_cloud(task, &observed).await?
            }
            false => partial_cloud(task, agent, &mut observed, known.held).await?,
        };
        Ok(Comparison {
            controller: agent.controller().to_owned(),
            plan: plan(&observed, &cloud),
            observed,
            why: seen.why,
            cursor: seen.cursor,
        })
    }

    /// Takes note of changes that need nothing done, without telling the tenant.
    pub fn go_on_from(&mut self, comparison: &Comparison) {
        if let Some(known) = &mut self.known {
            known.cursor = Some(comparison.cursor.clone());
        }
    }

    /// Applies the plan and ends the run, also when nothing is to be changed: the tenant then knows that it is up to date.
    pub async fn apply(
        &mut self,
        task: &Task<'_>,
        comparison: &Comparison,
        progress: &mut (dyn FnMut(&str) + Send),
    ) -> Result<api::ApplyIdentitiesResult, Failure> {
        let Some(known) = &mut self.known else {
            return Err(Failure::new("the tenant's state is unknown"));
        };
        let mut batches = batches(&comparison.plan);
        split_last(&mut batches);
        let count = batches.len();
        let mut run = Run::new(task, comparison, known.stored.clone());
        let mut cursor = comparison.cursor.clone();
        for (index, changes) in batches.into_iter().enumerate() {
            progress(&format!("writing batch {} of {count}", index + 1));
            let last = index + 1 == count;
            if last {
                cursor.pending.extend(objects(&changes));
            }
            run.send(changes, last.then_some(&cursor), false).await?;
            cursor.pending.extend(run.refused());
        }
        // Which of the last changes were refused is known only now.
        let mut exact = comparison.cursor.clone();
        exact.pending.extend(run.refused());
        if exact != cursor {
            run.send(Vec::new(), Some(&exact), true).await?;
        }
        let total = run.total;
        known.stored = run.previous;
        known.cursor = Some(exact);
        let gained = usize::try_from(total.created).unwrap_or(usize::MAX);
        let lost = usize::try_from(total.deleted).unwrap_or(usize::MAX);
        known.held = known.held.saturating_add(gained).saturating_sub(lost);
        Ok(total)
    }
}

/// The requests of one run.
struct Run<'a> {
    task: &'a Task<'a>,
    comparison: &'a Comparison,
    id: String,
    /// The bookmark as it is stored.
    previous: Option<String>,
    total: api::ApplyIdentitiesResult,
}

impl<'a> Run<'a> {
    fn new(task: &'a Task<'a>, comparison: &'a Comparison, previous: Option<String>) -> Self {
        Self {
            task,
            comparison,
            id: uuid::Uuid::new_v4().to_string(),
            previous,
            total: api::ApplyIdentitiesResult::default(),
        }
    }

    /// Sends changes; with a bookmark, ends the run. `only_cursor` leaves failures as they were told.
    async fn send(
        &mut self,
        changes: Vec<api::IdentityChange>,
        cursor: Option<&Cursor>,
        only_cursor: bool,
    ) -> Result<(), Failure> {
        let observed = &self.comparison.observed;
        let domain = &observed.domain;
        let failures = match cursor.is_some() && !only_cursor {
            true => failures(observed),
            false => Vec::new(),
        };
        let text = cursor.and_then(Cursor::to_text);
        let request = api::ApplyIdentities {
            run_id: self.id.clone(),
            domain: api::SyncDomain {
                dns_name: domain.dns_name.clone(),
                flat_name: domain.flat_name.clone(),
                sid: domain.sid.to_string(),
            },
            changes,
            skipped: self.comparison.cursor.left_out,
            cursor: text.clone(),
            last: cursor.is_some(),
            holder: self.task.holder.map(str::to_owned),
            accept_deletions: self.task.accept_deletions,
            previous_cursor: Some(self.previous.clone().unwrap_or_default()),
            failed: u64::try_from(failures.len()).unwrap_or(u64::MAX),
            failures: failures.into_iter().take(api::MAX_FAILURES).collect(),
            incremental: only_cursor || !observed.complete,
        };
        let result = self
            .task
            .client
            .apply_identities(self.task.tenant, &domain.dns_name, &request)
            .await?;
        if cursor.is_some() {
            self.previous = text;
        }
        self.total.created += result.created;
        self.total.updated += result.updated;
        self.total.deleted += result.deleted;
        self.total.disabled += result.disabled;
        self.total.unchanged += result.unchanged;
        self.total.memberships_added += result.memberships_added;
        self.total.memberships_removed += result.memberships_removed;
        self.total.refused.extend(result.refused);
        Ok(())
    }

    /// The objects that the tenant refused so far.
    fn refused(&self) -> BTreeSet<String> {
        let refused = self.total.refused.iter();
        refused.map(|one| one.object_guid.clone()).collect()
    }
}

/// Signs in: at the named domain controller, else at the one of the last run, else at any.
async fn open(
    task: &Task<'_>,
    credentials: &DomainCredentials,
    before: Option<&str>,
) -> Result<Agent, Failure> {
    let at =
        async |choice: Choice| Agent::open(task.domain, &choice, credentials, task.scope).await;
    if task.dc.is_none()
        && let Some(before) = before
    {
        match at(Choice::Named(before.to_owned())).await {
            Ok(agent) => return Ok(agent),
            Err(error) => {
                tracing::debug!(controller = before, %error, "looking for another domain controller");
            }
        }
    }
    Ok(at(Choice::named_or(task.dc, Choice::Any)).await?)
}

/// Objects that the agent could not make sense of.
fn failures(observed: &Observed) -> Vec<api::SyncFailure> {
    let failed = observed
        .skipped
        .iter()
        .filter(|one| one.reason.keeps_existing());
    failed
        .map(|one| api::SyncFailure {
            object_guid: one.guid.clone(),
            name: one.name.clone(),
            reason: one.reason.to_string(),
        })
        .collect()
}

/// Takes all but the last few changes out of the last request, into one before it.
fn split_last(batches: &mut Vec<Vec<api::IdentityChange>>) {
    if let Some(last) = batches.last_mut()
        && last.len() > MAX_LAST
    {
        let few = last.split_off(last.len() - MAX_LAST);
        batches.push(few);
    }
}

/// The objects that changes are about.
fn objects(changes: &[api::IdentityChange]) -> impl Iterator<Item = String> {
    changes.iter().filter_map(|change| match change {
        api::IdentityChange::Upsert { identity } => Some(identity.object_guid.clone()),
        api::IdentityChange::Members { object_guid, .. } => Some(object_guid.clone()),
        api::IdentityChange::Delete { .. } => None,
    })
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
        Change::Forget(guid) => {
            let object_guid = (*guid).to_owned();
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

/// All that the tenant holds of the domain.
async fn whole_cloud(task: &Task<'_>, observed: &Observed) -> Result<CloudState, Failure> {
    let (client, domain) = (task.client, task.domain);
    let mut state = CloudState::default();
    let mut after: Option<String> = None;
    loop {
        let page = client
            .domain_identities(task.tenant, domain, after.as_deref(), Some(api::MAX_PAGE))
            .await?;
        let sid = observed.domain.sid.to_string();
        if let Some(known) = page.domain.as_ref().filter(|known| known.sid != sid) {
            return Err(Failure::new(format!(
                "the tenant knows `{domain}` with the SID `{}`, but the domain's is `{sid}`",
                known.sid
            ))
            .hint("this is another domain of the same name; use a tenant of its own for it"));
        }
        take(task, &mut state, page.identities).await?;
        match page.next {
            Some(next) if Some(&next) != after.as_ref() => after = Some(next),
            _ => return Ok(state),
        }
    }
}

/// What the tenant holds of the objects that matter for a run of changes; completes what must be known of these.
async fn partial_cloud(
    task: &Task<'_>,
    agent: &mut Agent,
    observed: &mut Observed,
    held: usize,
) -> Result<CloudState, Failure> {
    let mut state = CloudState {
        held,
        ..CloudState::default()
    };
    look_up(task, &mut state, observed.seen.keys().cloned().collect()).await?;
    observed.groups_of = agent.groups_of(&newcomers(observed, &state)).await?;
    let wanted = unknown(observed, &state);
    look_up(task, &mut state, wanted.into_iter().collect()).await?;
    Ok(state)
}

async fn look_up(
    task: &Task<'_>,
    state: &mut CloudState,
    guids: Vec<String>,
) -> Result<(), Failure> {
    for chunk in guids.chunks(api::MAX_CHANGES) {
        let wanted = api::IdentityLookup {
            object_guids: chunk.to_vec(),
        };
        let found = task
            .client
            .lookup_identities(task.tenant, task.domain, &wanted)
            .await?;
        take(task, state, found).await?;
    }
    Ok(())
}

async fn take(
    task: &Task<'_>,
    state: &mut CloudState,
    found: Vec<api::SyncedIdentity>,
) -> Result<(), Failure> {
    for mut held in found {
        task.client
            .complete_members(task.tenant, task.domain, &mut held)
            .await?;
        let (guid, object) = cloud_object(held)?;
        state.objects.insert(guid, object);
    }
    Ok(())
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
    fn the_request_with_the_bookmark_is_small() {
        let plan = SyncPlan {
            creates: (0..1500).map(account).collect(),
            ..SyncPlan::default()
        };
        let mut batches = batches(&plan);
        split_last(&mut batches);
        let sizes: Vec<_> = batches.iter().map(Vec::len).collect();
        assert_eq!(sizes, [1000, 400, 100]);
        assert_eq!(objects(&batches[2]).count(), 100);
    }

    #[test]
    fn an_empty_plan_still_ends_the_run() {
        assert_eq!(batches(&SyncPlan::default()), [vec![]]);
    }
}
