//! The trust from AD to the tenant: set up, repaired, or given a new key.
//!
//! The order makes a run that is killed anywhere one that the next run finishes: the tenant generates the secret and
//! already accepts tickets made with it, then AD gets it, then a fresh referral proves that the tenant can open what AD
//! seals, and only then does the tenant record it as confirmed. Until that proof, nothing is believed.
//!
//! For about an hour after a rotation AD goes on sealing with the previous key. A referral is therefore good when it
//! opens with any version the tenant still holds, and that AD took the new one is asked of AD itself, by Netlogon.

use super::{netlogon, recorded};
use crate::failure::Failure;
use crossrealm_api::{
    Client, ConfirmTrust, PrepareTrust, PreparedTrust, SecretText, Tenant, Trust, TrustKeyState,
};
use crossrealm_onprem::lsa::{ENCTYPES_AES, Lsa};
use crossrealm_onprem::nrpc::{self, NetlogonError, TrustAccount};
use crossrealm_onprem::os;
use crossrealm_onprem::session::Session;
use crossrealm_onprem::smb::LsaPipe;
use crossrealm_onprem::trust::{
    KeyMatch, Observed, Refusal, Step, VerifyError, Wanted, apply, observe, opens, plan,
    top_level_names,
};

/// How often AD is brought in line before it is given up: once for what can be seen, once more where the key then
/// proves to be another.
const MAX_ROUNDS: usize = 2;

/// Everything one run works with.
pub(super) struct TrustRun<'a> {
    pub(super) client: &'a Client,
    pub(super) tenant: &'a Tenant,
    pub(super) session: &'a Session,
    pub(super) lsa: &'a mut Lsa<LsaPipe>,
    pub(super) recorded: Option<Trust>,
    pub(super) wanted: Wanted,
    pub(super) observed: Observed,
}

/// What was done.
pub(super) struct Done {
    pub(super) version: u32,
    pub(super) steps: Vec<String>,
    pub(super) changed: bool,
}

impl<'a> TrustRun<'a> {
    pub(super) async fn open(
        client: &'a Client,
        tenant: &'a Tenant,
        session: &'a Session,
        lsa: &'a mut Lsa<LsaPipe>,
        names: Option<&[String]>,
    ) -> Result<Self, Failure> {
        let mut observed = observe(lsa, &tenant.realm).await?;
        let recorded = recorded(client, &tenant.id.to_string(), &session.dc().domain).await?;
        if recorded.is_none() {
            observed.key = KeyMatch::NoSecret;
        }
        let names = names
            .map(<[String]>::to_vec)
            .or_else(|| recorded.as_ref().map(|trust| trust.top_level_names.clone()))
            .filter(|names| !names.is_empty())
            .unwrap_or_else(|| tenant.top_level_names.clone());
        let wanted = Wanted {
            // What is no name is refused with everything else that stands against the trust.
            top_level_names: top_level_names(&tenant.realm, &names).unwrap_or(names),
            realm: tenant.realm.clone(),
            flat_name: tenant.flat_name.clone(),
            sid: tenant.sid.parse().map_err(|_| {
                Failure::new(format!("the tenant's SID `{}` is not a SID", tenant.sid))
            })?,
            enctypes: ENCTYPES_AES,
        };
        Ok(Self {
            client,
            tenant,
            session,
            lsa,
            recorded,
            wanted,
            observed,
        })
    }

    /// The steps that can be foreseen; whether the key fits shows only when it is tried.
    pub(super) fn foreseen(&self, rotate: bool) -> Result<Vec<String>, Refusal> {
        let steps = plan(&self.observed, &self.wanted)?;
        let is_new = steps.iter().any(|step| matches!(step, Step::Create { .. }));
        let mut lines: Vec<String> = steps.iter().map(ToString::to_string).collect();
        if self.is_half_rotated() || (rotate && !is_new) {
            lines.push(format!(
                "give AD a new trust key of `{}` by Netlogon, as the trust's own account",
                self.wanted.realm
            ));
        }
        Ok(lines)
    }

    /// Whether an earlier run began a rotation and did not see its end.
    pub(super) fn is_half_rotated(&self) -> bool {
        let has = |state| {
            self.recorded
                .as_ref()
                .is_some_and(|trust| trust.keys.iter().any(|key| key.state == state))
        };
        has(TrustKeyState::Pending) && has(TrustKeyState::Current)
    }

    /// When the half-done rotation was begun, Unix seconds.
    pub(super) fn half_rotated_since(&self) -> Option<i64> {
        let keys = &self
            .recorded
            .as_ref()
            .filter(|_| self.is_half_rotated())?
            .keys;
        let pending = keys.iter().find(|key| key.state == TrustKeyState::Pending);
        pending.map(|key| key.created_at)
    }

    /// When AD last took a new key, Unix seconds.
    pub(super) fn confirmed_at(&self) -> Option<i64> {
        let keys = &self.recorded.as_ref()?.keys;
        keys.iter().filter_map(|key| key.confirmed_at).max()
    }

    /// Asks the tenant for the secret: the pending or the current one, or a new one where it has none or `rotate`
    /// asks for it.
    pub(super) async fn prepare(&self, rotate: bool) -> Result<PreparedTrust, Failure> {
        let domain = &self.observed.domain;
        let request = PrepareTrust {
            realm: self.session.dc().realm(),
            flat_name: domain.flat_name.clone(),
            sid: domain.sid.to_string(),
            top_level_names: self.wanted.top_level_names.clone(),
            // Where AD holds no trust there is nothing to rotate: it is made with the newest secret.
            rotate: rotate && self.observed.own.is_some(),
        };
        let prepared = self
            .client
            .prepare_trust(&self.tenant_id(), &self.session.dc().domain, &request)
            .await?;
        Ok(prepared)
    }

    /// Brings AD in line, sees that a fresh referral opens, and tells the tenant.
    pub(super) async fn finish(mut self, prepared: &PreparedTrust) -> Result<Done, Failure> {
        let steps = self.converge(prepared).await?;
        let recorded = self.confirm(prepared).await?;
        Ok(Done {
            version: prepared.version,
            changed: recorded || !steps.is_empty(),
            steps,
        })
    }

    async fn converge(&mut self, prepared: &PreparedTrust) -> Result<Vec<String>, Failure> {
        let mut done = Vec::new();
        let mut has_newest = false;
        if self.observed.own.is_some() && self.recorded.is_some() {
            let tried = self.try_keys(prepared).await;
            (self.observed.key, has_newest) = tried.unwrap_or((KeyMatch::Untried, false));
        }
        for _ in 0..MAX_ROUNDS {
            let steps = plan(&self.observed, &self.wanted)?;
            let is_new = steps.iter().any(|step| matches!(step, Step::Create { .. }));
            for step in steps {
                eprintln!("{step}");
                let secret = prepared.secret.expose();
                apply(self.lsa, &step, secret, os::now().as_secs()).await?;
                done.push(step.to_string());
            }
            let taken = is_new || has_newest || self.hand_over(prepared, &mut done).await?;
            let (key, _) = self.try_keys(prepared).await?;
            match key {
                KeyMatch::Opens if taken => return Ok(done),
                KeyMatch::Opens | KeyMatch::DoesNotOpen => {}
                KeyMatch::NoSecret | KeyMatch::Untried => {
                    return Err(self.no_proof("it is sealed with RC4"));
                }
            }
            self.observed = observe(self.lsa, &self.wanted.realm).await?;
            self.observed.key = KeyMatch::DoesNotOpen;
            has_newest = false;
        }
        Err(Failure::new(format!(
            "the trust is in AD, but a referral by `{}` does not open with its key",
            self.session.dc().host
        ))
        .hint("run it again in a few minutes; nothing was confirmed to the tenant"))
    }

    /// Sees to it that AD holds the prepared secret: asks whether it does, and else gives it to it, proving a secret
    /// that it holds. `false` where it accepts none of them.
    async fn hand_over(
        &self,
        prepared: &PreparedTrust,
        done: &mut Vec<String>,
    ) -> Result<bool, Failure> {
        let Some(own) = &self.observed.own else {
            return Ok(true);
        };
        let account = TrustAccount {
            host: self.session.dc().host.clone(),
            ad_flat_name: self.observed.domain.flat_name.clone(),
            flat_name: own.flat_name.clone(),
        };
        let new = prepared.secret.expose();
        let mut pipe = netlogon(self.session).await?;
        if nrpc::prove(&mut pipe, &account, new).await?.is_some() {
            return Ok(true);
        }
        for held in &prepared.held {
            // A pipe serves one attempt.
            let mut pipe = netlogon(self.session).await?;
            let Some(proven) = nrpc::prove(&mut pipe, &account, held.secret.expose()).await? else {
                continue;
            };
            let step = format!(
                "give AD version {} of the trust key of `{}` by Netlogon, as the trust's own account",
                prepared.version, self.wanted.realm
            );
            eprintln!("{step}");
            let mut pipe = netlogon(self.session).await?;
            let now = u32::try_from(os::now().as_secs()).unwrap_or(u32::MAX);
            nrpc::set_secret(&mut pipe, &account, proven, new, prepared.version, now).await?;
            done.push(step);
            return Ok(true);
        }
        Ok(false)
    }

    /// Whether a fresh referral to the tenant's realm opens with any secret that the tenant holds, and whether with the
    /// prepared one, which AD then has.
    async fn try_keys(&self, prepared: &PreparedTrust) -> Result<(KeyMatch, bool), Failure> {
        let referral = self
            .session
            .service_ticket(&["krbtgt", &self.wanted.realm])
            .await
            .map_err(|error| self.no_proof(&error.to_string()))?;
        let ad_realm = self.session.dc().realm();
        let try_one = |secret: &SecretText| {
            let secret = secret.expose();
            match opens(&referral.ticket, secret, &ad_realm, &self.wanted.realm) {
                // RC4 until the encryption types are set: says nothing about the key.
                Err(VerifyError::WeakEnctype(_)) => Ok(KeyMatch::Untried),
                other => other.map_err(|error| self.no_proof(&error.to_string())),
            }
        };
        let newest = try_one(&prepared.secret)?;
        if newest != KeyMatch::DoesNotOpen {
            return Ok((newest, newest == KeyMatch::Opens));
        }
        for held in &prepared.held {
            if try_one(&held.secret)? == KeyMatch::Opens {
                return Ok((KeyMatch::Opens, false));
            }
        }
        Ok((KeyMatch::DoesNotOpen, false))
    }

    fn no_proof(&self, reason: &str) -> Failure {
        Failure::new(format!(
            "`{}` gives no referral to `{}` that could prove the trust key: {reason}",
            self.session.dc().host,
            self.wanted.realm
        ))
        .hint("nothing was confirmed to the tenant; run it again")
    }

    /// Tells the tenant what AD now holds, unless it knows. Returns whether that changed its record.
    async fn confirm(&self, prepared: &PreparedTrust) -> Result<bool, Failure> {
        let names = &self.wanted.top_level_names;
        let is_known = prepared.state == TrustKeyState::Current
            && self
                .recorded
                .as_ref()
                .is_some_and(|trust| trust.top_level_names == *names);
        if is_known {
            return Ok(false);
        }
        let request = ConfirmTrust {
            version: prepared.version,
            top_level_names: names.clone(),
        };
        self.client
            .confirm_trust(&self.tenant_id(), &self.session.dc().domain, &request)
            .await?;
        Ok(true)
    }

    fn tenant_id(&self) -> String {
        self.tenant.id.to_string()
    }
}

impl From<NetlogonError> for Failure {
    fn from(error: NetlogonError) -> Self {
        Self::new(error.to_string()).maybe_hint(error.hint().map(str::to_owned))
    }
}
