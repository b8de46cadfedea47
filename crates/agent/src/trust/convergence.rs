//! The trust from AD to the tenant: set up, repaired, or given a new key.
//!
//! The order makes a run that is killed anywhere one that the next run finishes: the tenant generates the trust password and
//! already accepts tickets made with it, then AD gets it, then a fresh referral proves that the tenant can decrypt what AD
//! encrypts, and only then does the tenant record it as confirmed. Until that proof, nothing is believed.

use super::key_update::KeyUpdate;
use crate::error::AgentError;
use crate::journal::Journal;
use crate::progress::{Event, Progress};
use crate::records;
use crossrealm_api::{Client, ConfirmTrust, PreparedTrust, Tenant};
use crossrealm_onprem::lsa::{ENCTYPES_AES, Lsa};
use crossrealm_onprem::rpc::LsaPipe;
use crossrealm_onprem::session::Session;
use crossrealm_onprem::trust::{
    KeyMatch, Observed, TrustDifference, TrustRefusal, TrustStep, Wanted, apply, key_difference,
    observe, plan, top_level_names,
};
use crossrealm_os::clock;
use crossrealm_types::{PrepareTrust, Trust, TrustKeyState};

/// How often AD is brought in line before the run fails: once for what can be seen, once more where the key then proves to
/// be another.
const MAX_ROUNDS: usize = 2;

/// Everything one run works with.
pub(crate) struct TrustSetup<'a> {
    client: &'a Client,
    tenant: &'a Tenant,
    session: &'a Session,
    lsa: &'a mut Lsa<LsaPipe>,
    recorded: Option<Trust>,
    /// How AD's key was judged to be another one than the tenant's, before it is tried.
    key_difference: Option<TrustDifference>,
    /// What AD should hold.
    pub(crate) wanted: Wanted,
    /// What AD holds.
    pub(crate) observed: Observed,
}

/// What was done.
pub(crate) struct TrustChange {
    /// The version of the trust key that AD has, by the tenant's count.
    pub(crate) version: u32,
    /// The steps made in AD.
    pub(crate) steps: Vec<String>,
    /// Whether AD or the tenant's record changed.
    pub(crate) changed: bool,
}

impl<'a> TrustSetup<'a> {
    /// Reads both sides. Without `names` the recorded top-level names are wanted, at first the tenant's. `key_set_at` is when AD
    /// got the trust key it has (Unix seconds), for the caller who wants it judged.
    pub(crate) async fn open(
        client: &'a Client,
        tenant: &'a Tenant,
        session: &'a Session,
        lsa: &'a mut Lsa<LsaPipe>,
        names: Option<&[String]>,
        key_set_at: Option<i64>,
    ) -> Result<Self, AgentError> {
        let mut observed = observe(lsa, &tenant.realm).await?;
        let id = tenant.id.to_string();
        let recorded = records::trust(client, &id, &session.dc().domain).await?;
        if recorded.is_none() {
            observed.key = KeyMatch::NoSecret;
        }
        let key_difference = match (&recorded, &observed.own) {
            (Some(trust), Some(_)) => key_set_at.and_then(|at| key_difference(trust, at)),
            _ => None,
        };
        // For about an hour a referral that the tenant can decrypt proves nothing: AD still encrypts with its previous key.
        if matches!(key_difference, Some(TrustDifference::NewerKey { .. })) {
            observed.key = KeyMatch::DoesNotDecrypt;
        }
        let names = names
            .map(<[String]>::to_vec)
            .or_else(|| recorded.as_ref().map(|trust| trust.top_level_names.clone()))
            .filter(|names| !names.is_empty())
            .unwrap_or_else(|| tenant.top_level_names.clone());
        let wanted = Wanted {
            // An invalid name is refused together with every other reason.
            top_level_names: top_level_names(&tenant.realm, &names).unwrap_or(names),
            realm: tenant.realm.clone(),
            flat_name: tenant.flat_name.clone(),
            sid: tenant.sid.clone(),
            enctypes: ENCTYPES_AES,
        };
        Ok(Self {
            client,
            tenant,
            session,
            lsa,
            recorded,
            key_difference,
            wanted,
            observed,
        })
    }

    /// The steps that can be planned; whether the key fits shows only when it is tried.
    pub(crate) fn planned_steps(&self, rotate: bool) -> Result<Vec<String>, TrustRefusal> {
        let steps = plan(&self.observed, &self.wanted)?;
        let is_new = creates(&steps);
        let mut lines: Vec<String> = steps.iter().map(ToString::to_string).collect();
        if self.half_rotated_since().is_some() || (rotate && !is_new) {
            lines.push(format!(
                "give AD a new trust key of `{}` by Netlogon, as the trust's own account",
                self.wanted.realm
            ));
        }
        Ok(lines)
    }

    /// When an earlier run began a rotation that has not ended, Unix seconds.
    pub(crate) fn half_rotated_since(&self) -> Option<i64> {
        let keys = &self.recorded.as_ref()?.keys;
        let has_current = keys.iter().any(|key| key.state == TrustKeyState::Current);
        let pending = keys.iter().find(|key| key.state == TrustKeyState::Pending);
        pending.filter(|_| has_current).map(|key| key.created_at)
    }

    /// Whether AD has another key than the tenant believes: it gets a new one, at any age.
    pub(crate) fn has_other_key(&self) -> bool {
        self.key_difference.is_some()
    }

    /// Whether the tenant had this version of the trust key before the run.
    pub(crate) fn knew(&self, version: u32) -> bool {
        let recorded = self.recorded.as_ref();
        recorded.is_some_and(|trust| trust.keys.iter().any(|key| key.version == version))
    }

    /// When AD last took a new key, Unix seconds.
    pub(crate) fn confirmed_at(&self) -> Option<i64> {
        let keys = &self.recorded.as_ref()?.keys;
        keys.iter().filter_map(|key| key.confirmed_at).max()
    }

    /// Asks the tenant for the trust password: the pending or the current one, or a new one where it has none or `rotate`
    /// asks for it. A trust that is created, for the first time or again, gets a new one too: what AD is given is always a version
    /// that is confirmed afterwards, and the time of the confirmation shows a key that AD got from elsewhere.
    pub(crate) async fn prepare(
        &self,
        rotate: bool,
        progress: &dyn Progress,
    ) -> Result<PreparedTrust, AgentError> {
        let domain = &self.observed.domain;
        let request = PrepareTrust {
            realm: self.session.dc().realm(),
            flat_name: domain.flat_name.clone(),
            sid: domain.sid.clone(),
            top_level_names: self.wanted.top_level_names.clone(),
            rotate: rotate || plan(&self.observed, &self.wanted).is_ok_and(|steps| creates(&steps)),
        };
        let (tenant, domain) = (self.tenant.id.to_string(), &self.session.dc().domain);
        let prepared = self.client.prepare_trust(&tenant, domain, &request).await?;
        let version = prepared.version;
        if !self.knew(version) {
            let step = format!("make version {version} of the trust key in the tenant");
            progress.report(Event::StepDone(&step));
        }
        Ok(prepared)
    }

    /// Brings AD in line, verifies that a fresh referral decrypts, and confirms to the tenant.
    pub(crate) async fn finish(
        mut self,
        mut prepared: PreparedTrust,
        journal: &Journal<'_>,
        progress: &dyn Progress,
    ) -> Result<TrustChange, AgentError> {
        let steps = self.converge(&mut prepared, journal, progress).await?;
        let recorded = self.confirm(&prepared, journal).await?;
        Ok(TrustChange {
            version: prepared.version,
            changed: recorded || !steps.is_empty(),
            steps,
        })
    }

    async fn converge(
        &mut self,
        prepared: &mut PreparedTrust,
        journal: &Journal<'_>,
        progress: &dyn Progress,
    ) -> Result<Vec<String>, AgentError> {
        let (session, realm) = (self.session, self.wanted.realm.clone());
        let mut done = Vec::new();
        let mut has_newest = false;
        let is_judged = self.observed.key == KeyMatch::DoesNotDecrypt;
        if self.observed.own.is_some() && self.recorded.is_some() && !is_judged {
            let update = KeyUpdate {
                session,
                realm: &realm,
                prepared,
                journal,
            };
            let verified = update.verify().await;
            (self.observed.key, has_newest) = verified.unwrap_or((KeyMatch::Untried, false));
        }
        for _ in 0..MAX_ROUNDS {
            let steps = plan(&self.observed, &self.wanted)?;
            let is_new = creates(&steps);
            if is_new && prepared.state == TrustKeyState::Current {
                *prepared = self.prepare(true, progress).await?;
            }
            let update = KeyUpdate {
                session,
                realm: &realm,
                prepared,
                journal,
            };
            for step in steps {
                let secret = prepared.secret.expose();
                let work = apply(self.lsa, &step, secret, clock::since_epoch().as_secs());
                let step = step.to_string();
                journal.in_ad(&step, work).await?;
                done.push(step);
            }
            let taken = match &self.observed.own {
                Some(own) if !is_new && !has_newest => {
                    let domain = &self.observed.domain.flat_name;
                    let (taken, step) = update.run(domain, &own.flat_name).await?;
                    done.extend(step);
                    taken
                }
                _ => true,
            };
            progress.report(Event::Status(
                "testing the trust key with a fresh referral of AD",
            ));
            let (key, _) = update.verify().await?;
            match key {
                KeyMatch::Decrypts if taken => return Ok(done),
                KeyMatch::Decrypts | KeyMatch::DoesNotDecrypt => {}
                KeyMatch::NoSecret | KeyMatch::Untried => {
                    return Err(update.no_referral("it is encrypted with RC4"));
                }
            }
            self.observed = observe(self.lsa, &self.wanted.realm).await?;
            self.observed.key = KeyMatch::DoesNotDecrypt;
            has_newest = false;
        }
        let controller = self.session.dc().host.clone();
        Err(AgentError::TrustKeyMismatch { controller })
    }

    /// Confirms to the tenant what AD now holds, unless the tenant has recorded it. Returns whether that changed its record.
    async fn confirm(
        &self,
        prepared: &PreparedTrust,
        journal: &Journal<'_>,
    ) -> Result<bool, AgentError> {
        let names = &self.wanted.top_level_names;
        let is_known = prepared.state == TrustKeyState::Current
            && self.recorded.as_ref().is_some_and(|trust| {
                trust.top_level_names == *names && trust.removal_begun_at.is_none()
            });
        if is_known {
            return Ok(false);
        }
        let version = prepared.version;
        let request = ConfirmTrust {
            version,
            top_level_names: names.clone(),
        };
        let (tenant, domain) = (self.tenant.id.to_string(), &self.session.dc().domain);
        let confirmed = self.client.confirm_trust(&tenant, domain, &request);
        let step = format!("confirm version {version} of the trust key to the tenant");
        journal.in_tenant(&step, confirmed).await?;
        Ok(true)
    }
}

fn creates(steps: &[TrustStep]) -> bool {
    steps
        .iter()
        .any(|step| matches!(step, TrustStep::Create { .. }))
}
