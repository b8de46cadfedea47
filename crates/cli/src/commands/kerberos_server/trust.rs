//! The trust from AD to the tenant: set up, repaired, or given a new key.
//!
//! The order makes a run that is killed anywhere one that the next run finishes: the tenant generates the secret and
//! already accepts tickets made with it, then AD gets it, then a fresh referral proves that the tenant can open what AD
//! seals, and only then does the tenant record it as confirmed. Until that proof, nothing is believed.

use super::handover::Handover;
use super::journal::{Journal, say};
use super::recorded;
use crate::failure::Failure;
use crossrealm_api::{
    Client, ConfirmTrust, PrepareTrust, PreparedTrust, Tenant, Trust, TrustKeyState,
};
use crossrealm_onprem::lsa::{ENCTYPES_AES, Lsa};
use crossrealm_onprem::os;
use crossrealm_onprem::session::Session;
use crossrealm_onprem::smb::LsaPipe;
use crossrealm_onprem::trust::{
    KeyMatch, Observed, Refusal, Step, Wanted, apply, observe, plan, top_level_names,
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
        let tenant = self.tenant_id();
        let domain = &self.session.dc().domain;
        let asked = self.client.prepare_trust(&tenant, domain, &request);
        let prepared = asked.await?;
        let version = prepared.version;
        let is_known = self
            .recorded
            .as_ref()
            .is_some_and(|trust| trust.keys.iter().any(|key| key.version == version));
        if !is_known {
            say(&format!(
                "done: make version {version} of the trust key in the tenant"
            ));
        }
        Ok(prepared)
    }

    /// Brings AD in line, sees that a fresh referral opens, and tells the tenant.
    pub(super) async fn finish(
        mut self,
        prepared: &PreparedTrust,
        journal: &Journal<'_>,
    ) -> Result<Done, Failure> {
        let steps = self.converge(prepared, journal).await?;
        let recorded = self.confirm(prepared, journal).await?;
        Ok(Done {
            version: prepared.version,
            changed: recorded || !steps.is_empty(),
            steps,
        })
    }

    async fn converge(
        &mut self,
        prepared: &PreparedTrust,
        journal: &Journal<'_>,
    ) -> Result<Vec<String>, Failure> {
        let handover = Handover {
            session: self.session,
            realm: &self.wanted.realm,
            prepared,
            journal,
        };
        let mut done = Vec::new();
        let mut has_newest = false;
        if self.observed.own.is_some() && self.recorded.is_some() {
            let tried = handover.try_keys().await;
            (self.observed.key, has_newest) = tried.unwrap_or((KeyMatch::Untried, false));
        }
        for _ in 0..MAX_ROUNDS {
            let steps = plan(&self.observed, &self.wanted)?;
            let is_new = steps.iter().any(|step| matches!(step, Step::Create { .. }));
            for step in steps {
                let secret = prepared.secret.expose();
                let work = apply(self.lsa, &step, secret, os::now().as_secs());
                let step = step.to_string();
                journal.in_ad(&step, work).await?;
                done.push(step);
            }
            let taken = match &self.observed.own {
                Some(own) if !is_new && !has_newest => {
                    let domain = &self.observed.domain.flat_name;
                    let (taken, step) = handover.hand_over(domain, &own.flat_name).await?;
                    done.extend(step);
                    taken
                }
                _ => true,
            };
            let (key, _) = handover.try_keys().await?;
            match key {
                KeyMatch::Opens if taken => return Ok(done),
                KeyMatch::Opens | KeyMatch::DoesNotOpen => {}
                KeyMatch::NoSecret | KeyMatch::Untried => {
                    return Err(handover.no_proof("it is sealed with RC4"));
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

    /// Tells the tenant what AD now holds, unless it knows. Returns whether that changed its record.
    async fn confirm(
        &self,
        prepared: &PreparedTrust,
        journal: &Journal<'_>,
    ) -> Result<bool, Failure> {
        let names = &self.wanted.top_level_names;
        let is_known = prepared.state == TrustKeyState::Current
            && self.recorded.as_ref().is_some_and(|trust| {
                trust.top_level_names == *names && trust.removal_begun_at.is_none()
            });
        if is_known {
            return Ok(false);
        }
        let request = ConfirmTrust {
            version: prepared.version,
            top_level_names: names.clone(),
        };
        let tenant = self.tenant_id();
        let told = self
            .client
            .confirm_trust(&tenant, &self.session.dc().domain, &request);
        let step = format!(
            "confirm version {} of the trust key to the tenant",
            prepared.version
        );
        journal.in_tenant(&step, told).await?;
        Ok(true)
    }

    fn tenant_id(&self) -> String {
        self.tenant.id.to_string()
    }
}
