//! The trust key is known to somebody else: replaced in AD by two new ones, and retired in the tenant at once.
//!
//! One new key is not enough. AD keeps the key before as its previous one, for about an hour goes on encrypting with it, and accepts
//! it from the trust's account: a tenant that refused it at once would refuse every honest user too, and the thief could give AD a
//! key of their own. Behind the second rotation AD holds two keys that the thief never saw, and the stolen one is worth nothing on
//! either side.

use super::convergence::{TrustChange, TrustSetup};
use crate::error::AgentError;
use crate::journal::Journal;
use crate::progress::Progress;
use crossrealm_api::{Client, RetireTrustKeys, Tenant};
use crossrealm_onprem::lsa::Lsa;
use crossrealm_onprem::rpc::LsaPipe;
use crossrealm_onprem::session::Session;

/// How often a version is asked for until it is a new one: a pending one can come before it.
const MAX_ROUNDS: usize = 3;

/// What [`StolenKey::replace`] would do, for a dry run.
pub(crate) fn planned_steps(realm: &str) -> Vec<String> {
    let give = |which| {
        format!(
            "give AD a {which} new trust key of `{realm}` by Netlogon, as the trust's own account"
        )
    };
    vec![
        give("first"),
        give("second"),
        "retire the earlier versions of the trust key in the tenant at once".to_owned(),
    ]
}

/// A trust whose key is known to somebody else.
pub(crate) struct StolenKey<'a> {
    pub(crate) client: &'a Client,
    pub(crate) tenant: &'a Tenant,
    pub(crate) session: &'a Session,
    pub(crate) lsa: &'a mut Lsa<LsaPipe>,
    pub(crate) journal: &'a Journal<'a>,
    pub(crate) progress: &'a dyn Progress,
}

impl StolenKey<'_> {
    /// Replaces every version of the trust key that there was before. A run that is cut off is begun anew by the next.
    pub(crate) async fn replace(mut self) -> Result<TrustChange, AgentError> {
        let oldest_good = self.rotate().await?;
        let mut newest = self.rotate().await?;
        let before = oldest_good.version;
        let step =
            format!("retire the versions of the trust key before {before} in the tenant at once");
        let (id, domain) = (self.tenant.id.to_string(), &self.session.dc().domain);
        let wanted = RetireTrustKeys { before };
        let retired = self.client.retire_trust_keys(&id, domain, &wanted);
        self.journal.in_tenant(&step, retired).await?;
        newest.steps.splice(0..0, oldest_good.steps);
        Ok(newest)
    }

    /// One rotation, to a version that did not exist before: a pending one of an earlier run may be known too, and is completed
    /// first.
    async fn rotate(&mut self) -> Result<TrustChange, AgentError> {
        let mut completed = Vec::new();
        for _ in 0..MAX_ROUNDS {
            let (client, lsa) = (self.client, &mut *self.lsa);
            let trust =
                TrustSetup::open(client, self.tenant, self.session, lsa, None, None).await?;
            let prepared = trust.prepare(true, self.progress).await?;
            let is_new = !trust.knew(prepared.version);
            let mut done = trust.finish(prepared, self.journal, self.progress).await?;
            if is_new {
                done.steps.splice(0..0, completed);
                return Ok(done);
            }
            // Confirmed now: the next round makes a new one.
            completed.extend(done.steps);
        }
        let controller = self.session.dc().host.clone();
        Err(AgentError::TrustKeyMismatch { controller })
    }
}
