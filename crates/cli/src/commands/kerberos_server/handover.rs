//! Giving AD the next trust key by Netlogon, as the trust's own account, and the proof that it worked.
//!
//! For about an hour after a rotation AD goes on sealing with the previous key. A referral is therefore good when it
//! opens with any version the tenant still holds, and that AD took the new one is asked of AD itself, by Netlogon.

use super::journal::Journal;
use super::netlogon;
use crate::failure::Failure;
use crossrealm_api::{PreparedTrust, SecretText};
use crossrealm_onprem::nrpc::{self, NetlogonError, TrustAccount};
use crossrealm_onprem::os;
use crossrealm_onprem::session::Session;
use crossrealm_onprem::trust::{KeyMatch, VerifyError, opens};

/// The trust key of one trust at one domain controller.
pub(crate) struct Handover<'a> {
    /// Who asks, and which domain controller.
    pub(crate) session: &'a Session,
    /// The tenant's realm.
    pub(crate) realm: &'a str,
    /// The secret to be given, and those that AD may hold.
    pub(crate) prepared: &'a PreparedTrust,
    /// Whom the change is told.
    pub(crate) journal: &'a Journal<'a>,
}

impl Handover<'_> {
    /// Sees to it that AD holds the prepared secret: asks whether it does, and else gives it to it, proving a secret
    /// that it holds. `domain` and `tenant` are the flat names of the AD domain and of the trust. Returns whether AD has
    /// it now, and what was done; it has not where AD accepts none of the secrets.
    pub(crate) async fn hand_over(
        &self,
        domain: &str,
        tenant: &str,
    ) -> Result<(bool, Option<String>), Failure> {
        let account = TrustAccount {
            host: self.session.dc().host.clone(),
            ad_flat_name: domain.to_owned(),
            flat_name: tenant.to_owned(),
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
            let now = u32::try_from(os::now().as_secs()).unwrap_or(u32::MAX);
            let set = nrpc::set_secret(&mut pipe, &account, proven, new, version, now);
            self.journal.in_ad(&step, set).await?;
            return Ok((true, Some(step)));
        }
        Ok((false, None))
    }

    /// Whether a fresh referral to the tenant's realm opens with any secret that the tenant holds, and whether with the
    /// prepared one, which AD then has.
    pub(crate) async fn try_keys(&self) -> Result<(KeyMatch, bool), Failure> {
        let referral = self
            .session
            .service_ticket(&["krbtgt", self.realm])
            .await
            .map_err(|error| self.no_proof(&error.to_string()))?;
        let ad_realm = self.session.dc().realm();
        let try_one = |secret: &SecretText| {
            match opens(&referral.ticket, secret.expose(), &ad_realm, self.realm) {
                // RC4 until the encryption types are set: says nothing about the key.
                Err(VerifyError::WeakEnctype(_)) => Ok(KeyMatch::Untried),
                other => other.map_err(|error| self.no_proof(&error.to_string())),
            }
        };
        let newest = try_one(&self.prepared.secret)?;
        if newest != KeyMatch::DoesNotOpen {
            return Ok((newest, newest == KeyMatch::Opens));
        }
        for held in &self.prepared.held {
            if try_one(&held.secret)? == KeyMatch::Opens {
                return Ok((KeyMatch::Opens, false));
            }
        }
        Ok((KeyMatch::DoesNotOpen, false))
    }

    /// There is no referral that could prove anything.
    pub(crate) fn no_proof(&self, reason: &str) -> Failure {
        Failure::new(format!(
            "`{}` gives no referral to `{}` that could prove the trust key: {reason}",
            self.session.dc().host,
            self.realm
        ))
        .hint("nothing was confirmed to the tenant; run it again")
    }
}

impl From<NetlogonError> for Failure {
    fn from(error: NetlogonError) -> Self {
        Self::new(error.to_string()).maybe_hint(error.hint().map(str::to_owned))
    }
}
