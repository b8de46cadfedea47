//! Synchronizing a domain: reads what AD holds or what changed there, and what the tenant holds of that, plans, and writes.
//!
//! The plan itself is made in [`crossrealm_onprem::sync`] and is pure; this module only carries states and changes between
//! the two sides. The tenant applies each batch in one transaction and every change is idempotent; the sync cursor goes with
//! the last batch. So a run that ends anywhere is finished by the next one.

use super::batches::{failures, objects, requests, upserts};
use super::circles;
use crate::comparison::{Comparison, SyncJob};
use crate::error::AgentError;
use crate::progress::{Event, Progress};
use crossrealm_api as api;
use crossrealm_onprem::credentials::DomainCredentials;
use crossrealm_onprem::dc::Choice;
use crossrealm_onprem::sync::{
    Agent, CloudState, Cursor, FullSyncReason, Observed, SyncMode, newcomers, plan, unknown,
};
use crossrealm_types::{RefusedChange, RefusedChangeCode};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How many objects of a run may let go of their names for a while.
const MAX_PARKED: usize = 100;
/// How often an agent that goes on asks the tenant whether it still holds what the agent wrote.
const ASK_TENANT_EVERY: Duration = Duration::from_secs(5);

/// A sync agent between two runs: signed in to a domain controller, and aware of what the tenant holds.
#[derive(Default)]
pub struct SyncSession {
    agent: Option<Agent>,
    tenant: Option<TenantState>,
}

/// What is known of the tenant between two runs.
struct TenantState {
    /// The cursor that the tenant holds, as it is stored.
    stored_cursor: Option<String>,
    /// How far the agent is; ahead of the stored one where nothing changed.
    cursor: Option<Cursor>,
    /// How many users and groups the tenant holds of the domain.
    held: usize,
    /// When the tenant was last asked for its state.
    asked: Instant,
}

impl SyncSession {
    /// Reads both sides and makes the plan.
    ///
    /// # Errors
    /// Where the tenant or AD cannot be read, or the tenant has recorded the domain with another SID.
    pub async fn compare(
        &mut self,
        job: &SyncJob<'_>,
        credentials: &DomainCredentials,
        mode: SyncMode,
        progress: &dyn Progress,
    ) -> Result<Comparison, AgentError> {
        if self.agent.as_ref().is_some_and(Agent::is_old) {
            *self = Self::default();
        }
        let mut went_back = self.tenant_went_back(job).await?;
        if went_back {
            *self = Self::default();
        }
        let tenant = match &mut self.tenant {
            Some(tenant) => tenant,
            none => {
                progress.report(Event::Status("reading the state of the tenant"));
                let state = job.client.sync_state(job.tenant, job.domain).await?;
                went_back |= state.awaits_full_sync;
                none.insert(TenantState {
                    cursor: state.cursor.as_deref().and_then(Cursor::parse),
                    stored_cursor: state.cursor,
                    held: usize::try_from(state.users + state.groups).unwrap_or(usize::MAX),
                    asked: Instant::now(),
                })
            }
        };
        let agent = match &mut self.agent {
            Some(agent) => agent,
            none => {
                progress.report(Event::Status("signing in to the domain"));
                let last = tenant.cursor.as_ref();
                let last = last.map(|cursor| cursor.controller.as_str());
                none.insert(sign_in(job, credentials, last).await?)
            }
        };
        let mode = SyncMode {
            full: mode.full || went_back,
            ..mode
        };
        let seen = agent
            .observe(tenant.cursor.as_ref(), mode, &mut |count| {
                progress.report(Event::Status(&format!("{count} objects read")));
            })
            .await?;
        let mut observed = seen.observed;
        let cloud = match observed.complete {
            true => {
                progress.report(Event::Status("reading what the tenant holds"));
                all_identities(job, &observed).await?
            }
            false => changed_identities(job, agent, &mut observed, tenant.held).await?,
        };
        Ok(Comparison {
            controller: agent.controller().to_owned(),
            plan: plan(&observed, &cloud),
            observed,
            full_sync_reason: match went_back {
                true => Some(FullSyncReason::TenantWentBack),
                false => seen.full_sync_reason,
            },
            cursor: seen.cursor,
            stored_cursor: tenant.stored_cursor.clone(),
        })
    }

    /// Whether the tenant lost what this agent wrote: its database was restored from a backup, or a replica that was behind
    /// took over.
    async fn tenant_went_back(&mut self, job: &SyncJob<'_>) -> Result<bool, AgentError> {
        let Some(tenant) = &mut self.tenant else {
            return Ok(false);
        };
        if tenant.asked.elapsed() < ASK_TENANT_EVERY {
            return Ok(false);
        }
        tenant.asked = Instant::now();
        let state = job.client.sync_state(job.tenant, job.domain).await?;
        Ok(went_back(&state, tenant.stored_cursor.as_deref()))
    }

    /// Goes on from a comparison that needs nothing done, without writing to the tenant.
    pub fn advance_cursor(&mut self, comparison: &Comparison) {
        if let Some(tenant) = &mut self.tenant {
            tenant.cursor = Some(comparison.cursor.clone());
        }
    }

    /// Applies the plan and ends the run, also when nothing is to be changed: the tenant then records that it is up to date.
    /// `lease_holder` is the name under which the agent holds the lease.
    ///
    /// # Errors
    /// Where the service cannot be reached or refuses a request. Single changes that it refuses are in the result.
    pub async fn apply(
        &mut self,
        job: &SyncJob<'_>,
        lease_holder: &str,
        comparison: &Comparison,
        progress: &dyn Progress,
    ) -> Result<crossrealm_types::ApplyIdentitiesResult, AgentError> {
        let batches = requests(&comparison.plan);
        let count = batches.len();
        let mut run = Run::new(job, lease_holder, comparison);
        let mut cursor = comparison.cursor.clone();
        for (index, changes) in batches.into_iter().enumerate() {
            progress.report(Event::Status(&format!(
                "writing batch {} of {count}",
                index + 1
            )));
            let last = index + 1 == count;
            if last {
                cursor.pending.extend(objects(&changes));
            }
            run.send(changes, last.then_some(&cursor), false).await?;
            cursor.pending.extend(run.refused());
        }
        if count > 1 {
            run.send_conflicts_again().await?;
        }
        // Which of the last changes were refused is known only now.
        let mut exact = comparison.cursor.clone();
        exact.pending.extend(run.refused());
        if exact != cursor {
            run.send(Vec::new(), Some(&exact), true).await?;
        }
        let total = run.total;
        if let Some(tenant) = &mut self.tenant {
            tenant.stored_cursor = run.stored_cursor;
            tenant.cursor = Some(exact);
            let created = usize::try_from(total.created).unwrap_or(usize::MAX);
            let deleted = usize::try_from(total.deleted).unwrap_or(usize::MAX);
            tenant.held = tenant.held.saturating_add(created).saturating_sub(deleted);
        }
        Ok(total)
    }
}

/// Whether the tenant lost what was written: it says so, or it does not hold the cursor that the agent stored last.
fn went_back(state: &api::SyncState, stored_cursor: Option<&str>) -> bool {
    state.awaits_full_sync || state.cursor.as_deref() != stored_cursor
}

/// The requests of one run.
struct Run<'a> {
    job: &'a SyncJob<'a>,
    lease_holder: &'a str,
    comparison: &'a Comparison,
    id: Uuid,
    /// The cursor that the tenant holds.
    stored_cursor: Option<String>,
    total: crossrealm_types::ApplyIdentitiesResult,
}

impl<'a> Run<'a> {
    fn new(job: &'a SyncJob<'a>, lease_holder: &'a str, comparison: &'a Comparison) -> Self {
        Self {
            job,
            lease_holder,
            comparison,
            id: Uuid::new_v4(),
            stored_cursor: comparison.stored_cursor.clone(),
            total: crossrealm_types::ApplyIdentitiesResult::default(),
        }
    }

    /// Sends changes; with a cursor, ends the run. `only_cursor` leaves failures as they were reported.
    async fn send(
        &mut self,
        changes: Vec<api::IdentityChange>,
        cursor: Option<&Cursor>,
        only_cursor: bool,
    ) -> Result<(), AgentError> {
        let observed = &self.comparison.observed;
        let domain = &observed.domain;
        let failures = match cursor.is_some() && !only_cursor {
            true => failures(observed, &self.comparison.plan),
            false => Vec::new(),
        };
        let text = cursor.and_then(Cursor::to_text);
        let accepted = self.job.accept_deletions;
        let request = api::ApplyIdentities {
            run_id: self.id,
            domain: api::SyncDomain {
                dns_name: domain.dns_name.clone(),
                flat_name: domain.flat_name.clone(),
                sid: domain.sid.clone(),
            },
            changes,
            skipped: self.comparison.cursor.left_out,
            cursor: text.clone(),
            last: cursor.is_some(),
            holder: Some(self.lease_holder.to_owned()),
            // The tenant counts for itself, and takes the number from an administrator only.
            accept_deletions: (accepted > 0).then(|| u64::try_from(accepted).unwrap_or(u64::MAX)),
            previous_cursor: Some(self.stored_cursor.clone().unwrap_or_default()),
            failed: u64::try_from(failures.len()).unwrap_or(u64::MAX),
            failures: failures
                .into_iter()
                .take(crossrealm_types::MAX_FAILURES)
                .collect(),
            incremental: only_cursor || !observed.complete,
        };
        let (client, tenant) = (self.job.client, self.job.tenant);
        let result = client
            .apply_identities(tenant, &domain.dns_name, &request)
            .await?;
        if cursor.is_some() {
            self.stored_cursor = text;
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

    /// Sends the objects again that were refused for a name of another object: the tenant judges names by what one request
    /// leaves, and the other object may have given its name up in a later request. Ends when that helps no more.
    async fn send_conflicts_again(&mut self) -> Result<(), AgentError> {
        let plan = &self.comparison.plan;
        let mut parked = BTreeSet::new();
        loop {
            let (conflicts, others) = take_conflicts(std::mem::take(&mut self.total.refused));
            self.total.refused = others;
            if conflicts.is_empty() {
                return Ok(());
            }
            for changes in upserts(plan, &conflicts) {
                self.send(changes, None, false).await?;
            }
            let still: BTreeSet<Uuid> = self.refused().intersection(&conflicts).copied().collect();
            if still.len() < conflicts.len() {
                continue;
            }
            // What fits into one request was judged as a whole.
            let circle = match still.len() > crossrealm_types::MAX_CHANGES {
                true if parked.len() < MAX_PARKED => circles::on_a_circle(plan, &still, &parked),
                _ => None,
            };
            let Some(guid) = circle else {
                return self.give_names_back(&still, &parked).await;
            };
            parked.insert(guid);
            let change = circles::parked(plan, guid);
            self.send(change.into_iter().collect(), None, false).await?;
        }
    }

    /// Objects that let go of their names, and did not get the others, have their own again.
    async fn give_names_back(
        &mut self,
        refused: &BTreeSet<Uuid>,
        parked: &BTreeSet<Uuid>,
    ) -> Result<(), AgentError> {
        let plan = &self.comparison.plan;
        let back = parked.intersection(refused);
        let back = back.filter_map(|guid| circles::with_former_names(plan, *guid));
        let changes: Vec<_> = back.collect();
        if changes.is_empty() {
            return Ok(());
        }
        // They are reported as refused already.
        let reported = self.total.refused.clone();
        self.send(changes, None, false).await?;
        self.total.refused = reported;
        Ok(())
    }

    /// The objects that the tenant refused so far.
    fn refused(&self) -> BTreeSet<Uuid> {
        let refused = self.total.refused.iter();
        refused.map(|one| one.object_guid).collect()
    }
}

/// The objects that were refused for a name of another object, and the other refusals.
fn take_conflicts(refused: Vec<RefusedChange>) -> (BTreeSet<Uuid>, Vec<RefusedChange>) {
    let (conflicts, others): (Vec<_>, Vec<_>) = refused
        .into_iter()
        .partition(|one| one.code == RefusedChangeCode::UpnConflict);
    let conflicts = conflicts.into_iter().map(|one| one.object_guid);
    (conflicts.collect(), others)
}

/// Signs in at the named domain controller, else at the one of the last run, else at any.
async fn sign_in(
    job: &SyncJob<'_>,
    credentials: &DomainCredentials,
    last: Option<&str>,
) -> Result<Agent, AgentError> {
    let at = async |choice: Choice| Agent::open(job.domain, &choice, credentials, job.scope).await;
    if job.dc.is_none()
        && let Some(last) = last
    {
        match at(Choice::Named(last.to_owned())).await {
            Ok(agent) => return Ok(agent),
            // One attempt with a wrong password is one count: the next domain controller would count it again.
            Err(error) if error.refuses_credentials() => return Err(error.into()),
            Err(error) => {
                tracing::debug!(controller = last, %error, "looking for another domain controller");
            }
        }
    }
    Ok(at(Choice::named_or(job.dc, Choice::Any)).await?)
}

/// All that the tenant holds of the domain.
async fn all_identities(job: &SyncJob<'_>, observed: &Observed) -> Result<CloudState, AgentError> {
    let mut state = CloudState::default();
    let mut after: Option<String> = None;
    loop {
        let page = job
            .client
            .domain_identities(
                job.tenant,
                job.domain,
                &api::PageQuery {
                    after: after.clone(),
                    limit: Some(api::MAX_PAGE),
                },
            )
            .await?;
        let found = &observed.domain.sid;
        if let Some(recorded) = page.domain.filter(|recorded| recorded.sid != *found) {
            return Err(AgentError::OtherDomain {
                domain: job.domain.to_owned(),
                recorded: recorded.sid,
                found: found.clone(),
            });
        }
        add(job, &mut state, page.identities).await?;
        match page.next {
            Some(next) if Some(&next) != after.as_ref() => after = Some(next),
            _ => return Ok(state),
        }
    }
}

/// What the tenant holds of the objects that an incremental sync is about; completes what must be known of these.
async fn changed_identities(
    job: &SyncJob<'_>,
    agent: &mut Agent,
    observed: &mut Observed,
    held: usize,
) -> Result<CloudState, AgentError> {
    let mut state = CloudState {
        held,
        ..CloudState::default()
    };
    look_up(job, &mut state, observed.seen.keys().copied().collect()).await?;
    observed.groups_of = agent.groups_of(&newcomers(observed, &state)).await?;
    let missing = unknown(observed, &state);
    look_up(job, &mut state, missing.into_iter().collect()).await?;
    Ok(state)
}

async fn look_up(
    job: &SyncJob<'_>,
    state: &mut CloudState,
    guids: Vec<Uuid>,
) -> Result<(), AgentError> {
    for chunk in guids.chunks(crossrealm_types::MAX_CHANGES) {
        let wanted = api::IdentityLookup {
            object_guids: chunk.to_vec(),
        };
        let found = job
            .client
            .lookup_identities(job.tenant, job.domain, &wanted)
            .await?;
        add(job, state, found.identities).await?;
    }
    Ok(())
}

/// Adds identities with all their members to the state.
async fn add(
    job: &SyncJob<'_>,
    state: &mut CloudState,
    found: Vec<crossrealm_types::SyncedIdentity>,
) -> Result<(), AgentError> {
    for mut held in found {
        job.client
            .complete_members(job.tenant, job.domain, &mut held)
            .await?;
        state.objects.insert(held.object_guid, held.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R12: an agent that goes on notices that the tenant went back, by its cursor or because the service says so.
    #[test]
    fn a_tenant_that_lost_what_was_written_is_noticed() {
        let state = |cursor: &str, awaits_full_sync| api::SyncState {
            cursor: Some(cursor.into()),
            awaits_full_sync,
            ..api::SyncState::default()
        };
        assert!(!went_back(&state("2", false), Some("2")));
        assert!(went_back(&state("1", false), Some("2")));
        assert!(went_back(&state("2", true), Some("2")));
        assert!(went_back(&api::SyncState::default(), Some("2")));
        assert!(!went_back(&api::SyncState::default(), None));
    }
}
