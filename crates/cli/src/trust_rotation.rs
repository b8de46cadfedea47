//! The unattended rotation of the trust key, beside the sync agent.
//!
//! The tenant says when a rotation is due and lets one agent at a time do it; this module carries the next secret to AD
//! and sees that a fresh referral opens. The domain controller takes it from the trust's own account, by Netlogon: the
//! agent's account needs no right in AD beyond signing in, which opens the session and gets the referral. Secrets are in
//! memory for the time of the rotation alone. What was begun and cut off is finished by the next attempt, whoever makes
//! it.

use crate::commands::kerberos_server::handover::Handover;
use crate::commands::kerberos_server::journal::Journal;
use crate::context::Context;
use crate::domain_credentials::DomainArgs;
use crate::failure::Failure;
use crate::sync_lease::holder;
use crossrealm_api::{ConfirmTrustRotation, PreparedTrust, RotateTrust, TrustRotation};
use crossrealm_onprem::credentials::DomainCredentials;
use crossrealm_onprem::dc::Choice;
use crossrealm_onprem::os;
use crossrealm_onprem::session::Session;
use crossrealm_onprem::trust::KeyMatch;
use std::time::Duration;

/// How long the tenant is not asked again at the most: the age of the key can be looked at as rarely as that.
const MAX_PAUSE_S: u64 = 3600;
/// The pause after a first failure; it doubles with every further one, up to [`MAX_PAUSE_S`].
const FIRST_PAUSE_S: u64 = 60;

/// When the next rotation is to be tried, and as whom.
pub struct Rotator {
    every: Duration,
    holder: String,
    next_s: u64,
    failures: u32,
}

/// What an attempt came to.
enum Attempt {
    /// AD has a new key, and the tenant knows.
    Rotated(u32),
    /// Nothing is to be done until then, Unix seconds.
    NotBefore(u64),
}

impl Rotator {
    /// Rotates keys that are as old as `every`; the first attempt is due at once.
    pub fn new(every: Duration) -> Self {
        Self {
            every,
            holder: holder(),
            next_s: 0,
            failures: 0,
        }
    }

    /// Rotates the key if it is due. A failure is told and tried again later; it never stops the caller.
    pub async fn run_if_due(
        &mut self,
        domain: &DomainArgs,
        credentials: &DomainCredentials,
        context: &Context,
    ) {
        let now_s = os::now().as_secs();
        if now_s < self.next_s {
            return;
        }
        let pause_s = match self.attempt(domain, credentials, context).await {
            Ok(Attempt::Rotated(version)) => {
                self.failures = 0;
                tracing::info!(domain = domain.domain, version, "trust key rotated");
                MAX_PAUSE_S
            }
            Ok(Attempt::NotBefore(at_s)) => {
                self.failures = 0;
                at_s.saturating_sub(now_s).clamp(1, MAX_PAUSE_S)
            }
            Err(failure) => {
                let pause_s = pause_after(self.failures);
                self.failures = self.failures.saturating_add(1);
                tracing::error!(
                    "the trust key was not rotated, next try in {pause_s} s: {failure}"
                );
                pause_s
            }
        };
        self.next_s = now_s.saturating_add(pause_s);
    }

    async fn attempt(
        &self,
        domain: &DomainArgs,
        credentials: &DomainCredentials,
        context: &Context,
    ) -> Result<Attempt, Failure> {
        let (client, tenant) = (context.client()?, context.tenant()?);
        let name = domain.domain.trim_end_matches('.').to_lowercase();
        let wanted = RotateTrust {
            every_s: i64::try_from(self.every.as_secs()).unwrap_or(i64::MAX),
            holder: self.holder.clone(),
        };
        let rotation = client.rotate_trust(tenant, &name, &wanted).await?;
        let Some(prepared) = &rotation.prepared else {
            let at = rotation.held_until.unwrap_or(rotation.due_at);
            return Ok(Attempt::NotBefore(u64::try_from(at).unwrap_or_default()));
        };
        // The PDC emulator: where `kerberos-server set` changes trusts too.
        let choice = Choice::named_or(domain.dc.as_deref(), Choice::Pdc);
        let session = Session::open(&name, &choice, credentials).await?;
        let journal = Journal::new(&client, tenant, &session);
        give(&rotation, prepared, &session, &journal).await?;
        let version = prepared.version;
        let done = ConfirmTrustRotation { version };
        let step = format!("confirm version {version} of the trust key to the tenant");
        let told = client.confirm_trust_rotation(tenant, &name, &done);
        journal.in_tenant(&step, told).await?;
        Ok(Attempt::Rotated(version))
    }
}

/// Gives AD the secret, and sees that a referral opens.
async fn give(
    rotation: &TrustRotation,
    prepared: &PreparedTrust,
    session: &Session,
    journal: &Journal<'_>,
) -> Result<(), Failure> {
    let handover = Handover {
        session,
        realm: &rotation.realm,
        prepared,
        journal,
    };
    let (domain, tenant) = (&rotation.domain_flat_name, &rotation.flat_name);
    let (taken, _) = handover.hand_over(domain, tenant).await?;
    if !taken {
        return Err(Failure::new(format!(
            "`{}` accepts none of the trust keys that the tenant holds",
            session.dc().host
        ))
        .hint("an administrator makes the trust anew with `crossrealm kerberos-server set --setup-cloud-trust`"));
    }
    match handover.try_keys().await? {
        (KeyMatch::Opens, _) => Ok(()),
        _ => Err(handover.no_proof("it does not open with any key that the tenant holds")),
    }
}

/// The pause after a failure that follows on `failures` others, in seconds.
fn pause_after(failures: u32) -> u64 {
    FIRST_PAUSE_S
        .saturating_mul(1 << failures.min(10))
        .min(MAX_PAUSE_S)
}

/// An age such as `30d`, from one day to ten years.
pub fn age(text: &str) -> Result<Duration, String> {
    let days = text
        .strip_suffix('d')
        .and_then(|number| number.parse::<u64>().ok());
    match days {
        Some(days @ 1..=3650) => Ok(Duration::from_secs(days * 24 * 3600)),
        _ => Err("expected a number of days such as `30d`, from `1d` to `3650d`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_days() {
        assert_eq!(age("30d"), Ok(Duration::from_secs(30 * 86_400)));
        for bad in [
            "",
            "d",
            "30",
            "0d",
            "3651d",
            "-1d",
            "24h",
            "1.5d",
            "99999999999999999999d",
        ] {
            assert!(age(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn pauses_grow_up_to_an_hour() {
        let pauses: Vec<u64> = (0..8).map(pause_after).collect();
        assert_eq!(pauses, [60, 120, 240, 480, 960, 1920, 3600, 3600]);
        assert_eq!(pause_after(u32::MAX), MAX_PAUSE_S);
    }
}
