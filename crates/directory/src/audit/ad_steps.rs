//! The audit of changes that the tools make in AD.
//!
//! AD keeps no log that the tenant's administrators can read, so the tool reports each change before it begins and when
//! it ended. A change without an end was interrupted.

use crate::audit::events::{Actor, NewEvent, record};
use crate::db::change::ChangeScope;
use crate::directory::Directory;
use crate::error::Result;
use crate::names;
use crate::names::plain_text;
use crossrealm_kdc::TenantId;
use crossrealm_types::{AdStep, AdStepPhase, EventOutcome, MAX_AD_REASON, MAX_AD_STEP};

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
        plain_text("AD account", &step.principal, MAX_AD_REASON, false)?;
        plain_text("domain controller", &step.controller, MAX_AD_REASON, false)?;
        plain_text("step", &step.step, MAX_AD_STEP, false)?;
        plain_text("reason", &step.reason, MAX_AD_REASON, true)?;
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
        // A step that failed changed nothing; that it is about to be made is always recorded.
        if !self.admits(&event) {
            return Ok(());
        }
        let mut tx = self.change(by, tenant, ChangeScope::Nothing).await?;
        record(&mut tx, &event).await?;
        tx.commit().await
    }
}
