//! Giving AD the next trust key by Netlogon, as the trust's own account ([MS-NRPC] 3.5.4.4.5), and the proof that it worked.
//!
//! For about an hour after a rotation AD goes on encrypting with the previous key. A referral is therefore good when it
//! decrypts with any version the tenant still holds, and whether AD took the new one is asked of AD itself, by Netlogon.

use crate::connect::netlogon;
use crate::error::AgentError;
use crate::journal::Journal;
use crossrealm_api::{PreparedTrust, SecretText};
use crossrealm_onprem::nrpc::{self, TrustAccount};
use crossrealm_onprem::session::Session;
use crossrealm_onprem::trust::{KeyMatch, TrustRealms, VerifyError, decrypts};
use crossrealm_os::clock;

/// The trust key of one trust at one domain controller.
pub(super) struct KeyUpdate<'a> {
    /// Who asks, and which domain controller.
    pub(super) session: &'a Session,
    /// The tenant's realm.
    pub(super) realm: &'a str,
    /// The trust password to be set, and those that AD may have.
    pub(super) prepared: &'a PreparedTrust,
    /// Where the change is reported.
    pub(super) journal: &'a Journal<'a>,
}

impl KeyUpdate<'_> {
    /// Makes sure that AD has the prepared trust password: asks whether it has, else sets it, proving one that AD has. `domain`
    /// and `trust` are the flat names of the AD domain and of the trust. Returns whether AD has it now, and the step
    /// made; AD has not where it accepts none of the passwords.
    pub(super) async fn run(
        &self,
        domain: &str,
        trust: &str,
    ) -> Result<(bool, Option<String>), AgentError> {
        let account = TrustAccount {
            host: self.session.dc().host.clone(),
            ad_flat_name: domain.to_owned(),
            flat_name: trust.to_owned(),
        };
        let new = self.prepared.secret.expose();
        let mut pipe = netlogon(self.session).await?;
        if nrpc::prove(&mut pipe, &account, new).await?.is_some() {
            return Ok((true, None));
        }
        for held in &self.prepared.held {
            // A pipe serves one attempt.
            let mut pipe = netlogon(self.session).await?;
            let Some(proven) = nrpc::prove(&mut pipe, &account, held.secret.expose()).await? else {
                continue;
            };
            let version = self.prepared.version;
            let step = format!(
                "give AD version {version} of the trust key of `{}` by Netlogon, as the trust's own account",
                self.realm
            );
            let mut pipe = netlogon(self.session).await?;
            let now = u32::try_from(clock::since_epoch().as_secs()).unwrap_or(u32::MAX);
            let set = nrpc::set_secret(&mut pipe, &account, proven, new, version, now);
            self.journal.in_ad(&step, set).await?;
            return Ok((true, Some(step)));
        }
        Ok((false, None))
    }

    /// Whether a fresh referral to the tenant's realm decrypts with any version that the tenant holds, and whether with the
    /// prepared one, which AD then has.
    pub(super) async fn verify(&self) -> Result<(KeyMatch, bool), AgentError> {
        let referral = self
            .session
            .service_ticket(&["krbtgt", self.realm])
            .await
            .map_err(|error| self.no_referral(error.to_string()))?;
        let ad_realm = self.session.dc().realm();
        let realms = TrustRealms {
            ad: &ad_realm,
            tenant: self.realm,
        };
        let try_one = |secret: &SecretText| {
            match decrypts(&referral.ticket, secret.expose(), realms) {
                // RC4 until the encryption types are set: says nothing about the key.
                Err(VerifyError::WeakEnctype(_)) => Ok(KeyMatch::Untried),
                other => other.map_err(|error| self.no_referral(error.to_string())),
            }
        };
        let newest = try_one(&self.prepared.secret)?;
        if newest != KeyMatch::DoesNotDecrypt {
            return Ok((newest, newest == KeyMatch::Decrypts));
        }
        for held in &self.prepared.held {
            if try_one(&held.secret)? == KeyMatch::Decrypts {
                return Ok((KeyMatch::Decrypts, false));
            }
        }
        Ok((KeyMatch::DoesNotDecrypt, false))
    }

    /// There is no referral that could prove the key.
    pub(super) fn no_referral(&self, reason: impl Into<String>) -> AgentError {
        AgentError::NoReferral {
            controller: self.session.dc().host.clone(),
            realm: self.realm.to_owned(),
            reason: reason.into(),
        }
    }
}
