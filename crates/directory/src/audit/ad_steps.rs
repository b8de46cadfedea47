//! The audit of changes that the tools make in AD.
//!
//! AD keeps no log that the tenant's administrators can read, so the tool reports each change before it begins and when
//! it ended. A change without an end was interrupted.

use crate::audit::events::{Actor, NewEvent, record};
use crate::db::change::{ChangeScope, lock_and_bump};
use crate::directory::Directory;
use crate::error::Result;
use crate::names;
use crate::names::plain_text;
use crossrealm_kdc::TenantId;
use crossrealm_types::{AdStepPhase, EventOutcome};

/// The longest description of a step, in characters.
pub const MAX_AD_STEP: usize = 300;
/// The longest name of an AD account, of a domain controller, and of a reason, in characters.
const MAX_NAME: usize = 256;

/// A change in AD, as the tool that makes it reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdStep {
    /// Its phase.
    pub phase: AdStepPhase,
    /// The AD account it is made as: `administrator@CORP.CONTOSO.COM`.
    pub principal: String,
    /// The domain controller it is made at.
    pub controller: String,
    /// What is changed.
    pub step: String,
    /// Why it failed; empty if it did not.
    pub reason: String,
}

impl Directory {
    /// Records a change in AD: `ad.begin`, `ad.done` or `ad.fail`, by `by`, as the AD account, with the address.
    pub async fn record_ad_step(
        &self,
        by: &Actor,
        tenant: TenantId,
        domain: &str,
        step: &AdStep,
    ) -> Result<()> {
        let domain = names::dns_name("domain", domain)?;
        plain_text("AD account", &step.principal, MAX_NAME, false)?;
        plain_text("domain controller", &step.controller, MAX_NAME, false)?;
        plain_text("step", &step.step, MAX_AD_STEP, false)?;
        plain_text("reason", &step.reason, MAX_NAME, true)?;
        let (action, outcome) = match step.phase {
            AdStepPhase::Begun => ("ad.begin", EventOutcome::Done),
            AdStepPhase::Done => ("ad.done", EventOutcome::Done),
            AdStepPhase::Failed => ("ad.fail", EventOutcome::Refused),
        };
        let mut event = NewEvent::audit(by, Some(tenant), action);
        event.outcome = outcome;
        event.user = step.principal.clone();
        event.target = domain;
        event.detail = format!("{} (at {})", step.step, step.controller);
        if step.phase == AdStepPhase::Failed {
            event.reason = "ad-refused".to_owned();
            event.detail = format!("{}: {}", event.detail, step.reason);
        }
        let mut tx = self.begin().await?;
        lock_and_bump(&mut tx, tenant, ChangeScope::Nothing).await?;
        record(&mut tx, &event).await?;
        self.commit(tx).await
    }
}
