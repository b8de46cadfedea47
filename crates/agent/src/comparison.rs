//! What AD and the tenant hold of a domain, and the plan between them.

use crate::error::AgentError;
use crossrealm_api::Client;
use crossrealm_onprem::sync::{Cursor, FullSyncReason, Observed, Scope, SyncPlan};

/// What is synchronized, and where to.
#[derive(Clone, Copy)]
pub struct SyncJob<'a> {
    /// The service.
    pub client: &'a Client,
    /// The tenant.
    pub tenant: &'a str,
    /// The domain's DNS name, as [`crate::connect::domain_name`] returns it.
    pub domain: &'a str,
    /// The domain controller that was named, if one was.
    pub dc: Option<&'a str>,
    /// Which users and groups.
    pub scope: &'a Scope,
    /// How many identities an administrator lets a run delete or disable; 0 where none was named.
    pub accept_deletions: usize,
}

/// What AD holds, or what changed there, and the plan that brings the tenant in line.
#[derive(Debug)]
pub struct Comparison {
    /// The domain controller that was read.
    pub controller: String,
    /// What AD holds, or what changed there.
    pub observed: Observed,
    /// What the tenant must change.
    pub plan: SyncPlan,
    /// Why this is a full sync; `None` for an incremental one.
    pub full_sync_reason: Option<FullSyncReason>,
    /// The sync cursor behind what was read.
    pub cursor: Cursor,
    /// The cursor that the tenant holds, as it is stored.
    pub(crate) stored_cursor: Option<String>,
}

impl Comparison {
    /// Whether this is an incremental sync that changes nothing.
    pub fn is_idle(&self) -> bool {
        self.full_sync_reason.is_none() && self.plan.changes().is_empty()
    }

    /// Refuses a plan that deletes or disables more than is accepted: a tenth of the identities within an hour, or
    /// what an administrator declares with this run or permitted in the tenant, where that is more. Counts the removals
    /// into the cursor.
    ///
    /// # Errors
    /// [`AgentError::TooManyDeletions`]; that the tenant cannot be read.
    pub async fn check_deletions(&mut self, job: &SyncJob<'_>) -> Result<(), AgentError> {
        let recent = self.cursor.recent_removals();
        let by_number = match is_accepted_by_number(&self.plan, recent, job.accept_deletions) {
            Err(AgentError::TooManyDeletions { .. }) => {
                let state = job.client.sync_state(job.tenant, job.domain).await?;
                let permitted = usize::try_from(state.deletions_allowed).unwrap_or(usize::MAX);
                is_accepted_by_number(&self.plan, recent, permitted.max(job.accept_deletions))?
            }
            decided => decided?,
        };
        let removals = self.plan.removals();
        if removals > 0 {
            self.cursor.count_removals(removals, by_number);
        }
        Ok(())
    }
}

/// Whether the plan's removals, with `recent` ones of the last hour, are accepted only by an administrator's number.
fn is_accepted_by_number(
    plan: &SyncPlan,
    recent: usize,
    accept_deletions: usize,
) -> Result<bool, AgentError> {
    let (removals, allowed) = (plan.removals() + recent, plan.allowed_removals());
    if plan.removals() == 0 || removals <= allowed {
        return Ok(false);
    }
    if removals <= accept_deletions {
        return Ok(true);
    }
    Err(AgentError::TooManyDeletions {
        removals,
        recent,
        identities: plan.held + recent,
        accepted: allowed.max(accept_deletions),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossrealm_onprem::sync::Account;
    use crossrealm_types::IdentityKind;

    fn deleting(count: usize) -> SyncPlan {
        let account = Account {
            guid: uuid::Uuid::nil(),
            kind: IdentityKind::User,
            sid: "S-1-5-21-1-2-3-1104".parse().unwrap(),
            account_name: String::new(),
            upn: String::new(),
            display_name: String::new(),
            disabled: None,
            primary_group_rid: 513,
        };
        SyncPlan {
            deletes: vec![account; count],
            held: 300,
            ..SyncPlan::default()
        }
    }

    #[test]
    fn a_plan_that_deletes_more_than_accepted_is_refused() {
        let refused = |count, recent, accept_deletions| match is_accepted_by_number(
            &deleting(count),
            recent,
            accept_deletions,
        ) {
            Err(error @ AgentError::TooManyDeletions { removals, .. }) => {
                (removals, error.to_string())
            }
            other => panic!("not refused: {other:?}"),
        };
        let (removals, message) = refused(31, 0, 0);
        assert_eq!(removals, 31);
        assert!(
            message.contains("31 of 300 identities, more than the 30"),
            "{message}"
        );
        let by_number = is_accepted_by_number(&deleting(31), 0, 31);
        assert!(by_number.unwrap());
        assert_eq!(refused(31, 1, 31).0, 32);
        let few = is_accepted_by_number(&deleting(20), 10, 0);
        assert!(!few.unwrap());
        let (_, message) = refused(20, 11, 0);
        assert!(
            message.contains("31 of 311 identities, 11 of them within the last hour"),
            "{message}"
        );
    }
}
