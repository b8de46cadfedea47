//! What a run changes, step by step: told to the person, and to the tenant's audit what is changed in AD.
//!
//! A change in AD is reported before it begins and when it ended, so that none is missing from the audit however the run
//! ends: where it cannot be reported it is not made. Changes in the tenant are audited by the tenant itself.

use crate::failure::Failure;
use crossrealm_api::{AdStep, AdStepPhase, Client, MAX_AD_REASON, MAX_AD_STEP};
use crossrealm_onprem::session::Session;
use std::io::Write;

/// Tells of every step of one run.
pub(crate) struct Journal<'a> {
    client: &'a Client,
    tenant: &'a str,
    domain: String,
    principal: String,
    controller: String,
}

impl<'a> Journal<'a> {
    /// The journal of a run in this session; `tenant` is the tenant's name or id.
    pub(crate) fn new(client: &'a Client, tenant: &'a str, session: &Session) -> Self {
        Self {
            client,
            tenant,
            domain: session.dc().domain.clone(),
            principal: session.client().to_string(),
            controller: session.dc().host.clone(),
        }
    }

    /// Makes a change in AD; `step` says which, in the imperative.
    pub(crate) async fn in_ad<T, E>(
        &self,
        step: &str,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failure>
    where
        Failure: From<E>,
    {
        self.report(AdStepPhase::Begun, step, "").await?;
        match work.await {
            Ok(done) => {
                say(&format!("done: {step}"));
                self.report(AdStepPhase::Done, step, "").await?;
                Ok(done)
            }
            Err(error) => {
                let failure = Failure::from(error);
                let told = self.report(AdStepPhase::Failed, step, failure.reason());
                if let Err(untold) = told.await {
                    say(&format!("warning: {}", untold.reason()));
                }
                Err(failure.during(step))
            }
        }
    }

    /// Makes a change in the tenant.
    pub(crate) async fn in_tenant<T, E>(
        &self,
        step: &str,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failure>
    where
        Failure: From<E>,
    {
        let done = work
            .await
            .map_err(|error| Failure::from(error).during(step))?;
        say(&format!("done: {step}"));
        Ok(done)
    }

    async fn report(&self, phase: AdStepPhase, step: &str, reason: &str) -> Result<(), Failure> {
        let report = AdStep {
            phase,
            principal: plain(&self.principal, MAX_AD_REASON),
            controller: plain(&self.controller, MAX_AD_REASON),
            step: plain(step, MAX_AD_STEP),
            reason: plain(reason, MAX_AD_REASON),
        };
        let reported = self
            .client
            .record_ad_step(self.tenant, &self.domain, &report);
        reported.await.map_err(|error| {
            let when = match phase {
                AdStepPhase::Begun => "before it begins; nothing of it was done",
                AdStepPhase::Done => "after it was done in AD; run this again",
                AdStepPhase::Failed => "after it failed in AD",
            };
            Failure::new(format!(
                "the tenant's audit could not be told of `{step}` {when}: {error}"
            ))
            .maybe_hint(error.hint())
        })
    }
}

/// One line on stderr, in one write: what follows the output sees whole lines.
pub(crate) fn say(line: &str) {
    // Nobody may be listening any more; the work goes on.
    let _ = std::io::stderr()
        .lock()
        .write_all(format!("{line}\n").as_bytes());
}

/// The start of a text, without control characters.
fn plain(text: &str, max: usize) -> String {
    text.chars()
        .filter(|character| !character.is_control())
        .take(max)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn what_is_reported_fits_and_is_visible() {
        assert_eq!(plain("a\nbü\u{7}c", 3), "abü");
    }
}
