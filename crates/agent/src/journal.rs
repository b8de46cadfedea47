//! The steps of a run: reported to the caller, and those in AD to the tenant's audit.
//!
//! A change in AD is reported before it begins and when it ended, so that none is missing from the audit however the run
//! ends: a change that cannot be reported is not made. Changes in the tenant are audited by the tenant itself.

use crate::error::AgentError;
use crate::progress::{Event, Progress};
use crossrealm_api::Client;
use crossrealm_onprem::session::Session;
use crossrealm_types::{AdStep, AdStepPhase, MAX_AD_REASON, MAX_AD_STEP};

/// Reports every step of one run.
pub struct Journal<'a> {
    client: &'a Client,
    tenant: &'a str,
    domain: String,
    principal: String,
    controller: String,
    progress: &'a dyn Progress,
}

impl<'a> Journal<'a> {
    /// The journal of a run in this session; `tenant` is the tenant's name or id.
    pub fn new(
        client: &'a Client,
        tenant: &'a str,
        session: &Session,
        progress: &'a dyn Progress,
    ) -> Self {
        Self {
            client,
            tenant,
            domain: session.dc().domain.clone(),
            principal: session.client().to_string(),
            controller: session.dc().host.clone(),
            progress,
        }
    }

    /// Makes a change in AD; `step` names it in the imperative.
    ///
    /// # Errors
    /// [`AgentError::Step`] where the change failed, [`AgentError::NotAudited`] where it could not be reported.
    pub async fn in_ad<T, E>(
        &self,
        step: &str,
        change: impl Future<Output = Result<T, E>>,
    ) -> Result<T, AgentError>
    where
        AgentError: From<E>,
    {
        self.progress.report(Event::Status(step));
        self.audit(AdStepPhase::Begun, step, "").await?;
        match change.await {
            Ok(done) => {
                self.progress.report(Event::StepDone(step));
                self.audit(AdStepPhase::Done, step, "").await?;
                Ok(done)
            }
            Err(error) => {
                let error = AgentError::from(error);
                let reason = error.to_string();
                let reason = reason.lines().next().unwrap_or_default();
                if let Err(unreported) = self.audit(AdStepPhase::Failed, step, reason).await {
                    self.progress.report(Event::Warning(&unreported));
                }
                Err(during(step, error))
            }
        }
    }

    /// Makes a change in the tenant.
    ///
    /// # Errors
    /// [`AgentError::Step`] where it failed.
    pub async fn in_tenant<T, E>(
        &self,
        step: &str,
        change: impl Future<Output = Result<T, E>>,
    ) -> Result<T, AgentError>
    where
        AgentError: From<E>,
    {
        let changed = change.await;
        let done = changed.map_err(|error| during(step, AgentError::from(error)))?;
        self.progress.report(Event::StepDone(step));
        Ok(done)
    }

    /// Takes back the record of a removal that AD then refused: nothing was removed. Where AD did not answer, the removal
    /// may have been done, and the record stays.
    pub(crate) async fn withdraw<E>(
        &self,
        failure: &AgentError,
        withdrawal: impl Future<Output = Result<(), E>>,
    ) where
        AgentError: From<E>,
    {
        if failure.is_refusal()
            && let Err(error) = withdrawal.await
        {
            self.progress.report(Event::Warning(&error.into()));
        }
    }

    async fn audit(&self, phase: AdStepPhase, step: &str, reason: &str) -> Result<(), AgentError> {
        let report = AdStep {
            phase,
            principal: printable(&self.principal, MAX_AD_REASON),
            controller: printable(&self.controller, MAX_AD_REASON),
            step: printable(step, MAX_AD_STEP),
            reason: printable(reason, MAX_AD_REASON),
        };
        let reported = self
            .client
            .record_ad_step(self.tenant, &self.domain, &report);
        reported.await.map_err(|source| AgentError::NotAudited {
            step: step.to_owned(),
            phase,
            source,
        })
    }
}

fn during(step: &str, error: AgentError) -> AgentError {
    AgentError::Step {
        step: step.to_owned(),
        source: Box::new(error),
    }
}

/// The first `max` characters of a text, without control characters.
fn printable(text: &str, max: usize) -> String {
    text.chars()
        .filter(|character| !character.is_control())
        .take(max)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn audited_texts_are_bounded_and_without_control_characters() {
        assert_eq!(printable("a\nbü\u{7}c", 3), "abü");
    }
}
