//! The scheduled rotation of the trust key, beside the sync agent.
//!
//! The tenant decides when a rotation is due and lets one agent at a time do it; this module gives AD the next trust password
//! and verifies that a fresh referral decrypts. The domain controller takes the password from the trust's own account, by Netlogon:
//! the agent's account needs no right in AD beyond signing in, which opens the session and gets the referral. Trust passwords are
//! in memory for the time of the rotation alone. A rotation that was begun and cut off is finished by the next attempt of any agent.

use super::key_update::KeyUpdate;
use crate::connect::DomainTarget;
use crate::error::AgentError;
use crate::holder::holder_name;
use crate::journal::Journal;
use crate::progress::{Event, Progress};
use crossrealm_api::{Client, ConfirmTrustRotation, PreparedTrust, TrustRotation};
use crossrealm_onprem::session::Session;
use crossrealm_onprem::trust::KeyMatch;
use crossrealm_os::{clock, retry};
use crossrealm_types::RotateTrust;
use std::time::Duration;

/// The longest time between two questions to the tenant.
const MAX_PAUSE_S: u64 = 3600;
/// The pause after a first failure; it doubles with every further one, up to [`MAX_PAUSE_S`].
const FIRST_PAUSE_S: u64 = 60;

/// When the next rotation is to be tried, and as which holder.
pub(crate) struct TrustRotator {
    every: Duration,
    holder: String,
    next_s: u64,
    failures: u32,
}

/// The result of an attempt.
enum Attempt {
    /// AD has this version of the trust key, and the tenant has recorded it.
    Rotated(u32),
    /// Nothing is to be done until then, Unix seconds.
    NotBefore(u64),
}

impl TrustRotator {
    /// Rotates keys that are as old as `every`; the first attempt is due at once.
    pub(crate) fn new(every: Duration) -> Self {
        Self {
            every,
            holder: holder_name(),
            next_s: 0,
            failures: 0,
        }
    }

    /// Rotates the key if it is due. A failure is reported and tried again later; it never stops the caller. Returns the
    /// error if the domain refused the credentials.
    pub(crate) async fn check_key_rotation(
        &mut self,
        client: &Client,
        tenant: &str,
        target: &DomainTarget<'_>,
        progress: &dyn Progress,
    ) -> Option<AgentError> {
        let mut refused = None;
        let now_s = clock::since_epoch().as_secs();
        if now_s < self.next_s {
            return None;
        }
        let pause_s = match self.attempt(client, tenant, target, progress).await {
            Ok(Attempt::Rotated(version)) => {
                self.failures = 0;
                let domain = target.domain;
                progress.report(Event::TrustKeyRotated { domain, version });
                MAX_PAUSE_S
            }
            Ok(Attempt::NotBefore(at_s)) => {
                self.failures = 0;
                at_s.saturating_sub(now_s).clamp(1, MAX_PAUSE_S)
            }
            Err(error) => {
                let pause_s = pause_after(self.failures);
                self.failures = self.failures.saturating_add(1);
                progress.report(Event::RotationFailed {
                    error: &error,
                    retry_in: Duration::from_secs(pause_s),
                });
                refused = error.refuses_credentials().then_some(error);
                pause_s
            }
        };
        self.next_s = now_s.saturating_add(pause_s);
        refused
    }

    async fn attempt(
        &self,
        client: &Client,
        tenant: &str,
        target: &DomainTarget<'_>,
        progress: &dyn Progress,
    ) -> Result<Attempt, AgentError> {
        let domain = target.domain;
        let wanted = RotateTrust {
            every_s: i64::try_from(self.every.as_secs()).unwrap_or(i64::MAX),
            holder: self.holder.clone(),
        };
        let rotation = client.rotate_trust(tenant, domain, &wanted).await?;
        let Some(prepared) = &rotation.prepared else {
            let at = rotation.held_until.unwrap_or(rotation.due_at);
            return Ok(Attempt::NotBefore(u64::try_from(at).unwrap_or_default()));
        };
        let session = target.sign_in().await?;
        let journal = Journal::new(client, tenant, &session, progress);
        update(&rotation, prepared, &session, &journal).await?;
        let version = prepared.version;
        let done = ConfirmTrustRotation { version };
        let step = format!("confirm version {version} of the trust key to the tenant");
        let confirmed = client.confirm_trust_rotation(tenant, domain, &done);
        journal.in_tenant(&step, confirmed).await?;
        Ok(Attempt::Rotated(version))
    }
}

/// Gives AD the prepared trust password, and verifies that a referral decrypts.
async fn update(
    rotation: &TrustRotation,
    prepared: &PreparedTrust,
    session: &Session,
    journal: &Journal<'_>,
) -> Result<(), AgentError> {
    let update = KeyUpdate {
        session,
        realm: &rotation.realm,
        prepared,
        journal,
    };
    let (domain, trust) = (&rotation.domain_flat_name, &rotation.flat_name);
    let (taken, _) = update.run(domain, trust).await?;
    if !taken {
        let controller = session.dc().host.clone();
        return Err(AgentError::NoKeyAccepted { controller });
    }
    match update.verify().await? {
        (KeyMatch::Decrypts, _) => Ok(()),
        _ => Err(update.no_referral("it does not decrypt with any key that the tenant holds")),
    }
}

/// The pause after a failure that follows on `failures` others, in seconds.
fn pause_after(failures: u32) -> u64 {
    let [first, longest] = [FIRST_PAUSE_S, MAX_PAUSE_S].map(Duration::from_secs);
    retry::delay(first, failures, longest).as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_an_hour() {
        let pauses: Vec<u64> = (0..8).map(pause_after).collect();
        assert_eq!(pauses, [60, 120, 240, 480, 960, 1920, 3600, 3600]);
        assert_eq!(pause_after(u32::MAX), MAX_PAUSE_S);
    }
}
