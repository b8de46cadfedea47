//! A seeded simulation of a tenant's life, for whole exchanges under everything that can go wrong around them.
//!
//! One seed is one life: clocks that skew and jump, trust and service keys that rotate (also between the two rounds of
//! one exchange), users that are disabled and regrouped while their tickets live, look-ups that fail or answer from an
//! hour ago, requests that are replayed, torn, changed and sent to the wrong tenant. After every exchange its invariants
//! hold, or [`run`] returns which one broke and at which step; the same seed plays the same life again.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "test support: a broken simulation must stop the test"
)]

use crate::two_realms::{SHARE_HOST, TENANT_REALM, TwoRealms};
use crossrealm_kdc::{
    Event, EventId, Exchange, ExchangeStep, KeyState, Lookups, Records, ServiceKey, TenantId,
    TicketOutcome, TrustKey, Wanted,
};
use crossrealm_krb::crypto::{Enctype, Key};
use crossrealm_krb::key_usage;
use crossrealm_krb::messages::{
    AuthorizationDataElement, EncTicketPart, KerberosTime, PrincipalName, TgsRep, Ticket, decode,
    name_type,
};
use crossrealm_krb::pac::Pac;
use crossrealm_types::{IdentityState, Sid};

/// How long AD continues to use the previous key after a change, in seconds (an hour, as AD does).
const AD_KEEPS_PREVIOUS_S: i64 = 3600;
/// How long a retired key decrypts old tickets: the longest ticket life.
const RETIRED_FOR_S: i64 = 36_000 + AD_KEEPS_PREVIOUS_S;

/// The outcomes of a simulated life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LifeCounts {
    /// Exchanges that ended in a ticket.
    pub issued: u32,
    /// Exchanges that ended in a refusal.
    pub refused: u32,
    /// Messages that got no answer.
    pub dropped: u32,
}

/// Plays the life of `seed` for `steps` exchanges.
///
/// # Errors
/// The invariant that broke, in words, with the step at which it did.
pub fn run(seed: u64, steps: u32) -> Result<LifeCounts, String> {
    let mut life = Life::new(seed);
    let mut counts = LifeCounts::default();
    for step in 0..steps {
        life.something_happens();
        let outcome = life
            .one_exchange()
            .map_err(|e| format!("seed {seed}, step {step}: {e}"))?;
        match outcome {
            TicketOutcome::Issued => counts.issued += 1,
            TicketOutcome::Refused(_) => counts.refused += 1,
            TicketOutcome::Dropped => counts.dropped += 1,
        }
    }
    Ok(counts)
}

/// SplitMix64: small, seeded, good enough to choose.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `n`.
    fn below(&mut self, n: usize) -> usize {
        let n = u64::try_from(n.max(1)).unwrap();
        usize::try_from(self.next() % n).unwrap()
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn key(&mut self) -> Key {
        let mut bytes = [0; 32];
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes());
        }
        Key::new(Enctype::Aes256Sha1, &bytes).unwrap()
    }
}

/// A referral with what was true when it was made.
#[derive(Clone)]
struct Held {
    ticket: Ticket,
    ends_at: i64,
}

struct Life {
    dice: Dice,
    world: TwoRealms,
    /// What a look-up that is behind answers from.
    stale: Option<Box<Snapshot>>,
    held: Vec<Held>,
    sent: Vec<Vec<u8>>,
    /// AD's own key now and before, and when it changed.
    ad_key: Key,
    ad_previous: Option<Key>,
    ad_changed_at: i64,
}

struct Snapshot {
    parties: Records,
    identity: Option<crossrealm_kdc::Identity>,
}

/// One request on its way, with what makes it honest.
struct Sent {
    bytes: Vec<u8>,
    /// Nothing was changed, replayed or skewed: if the directory agrees, it must be granted.
    honest: bool,
    tenant: TenantId,
    referral_ends_at: Option<i64>,
}

impl Life {
    fn new(seed: u64) -> Self {
        let world = TwoRealms::new();
        Self {
            dice: Dice(seed),
            ad_key: world.trust_key.clone(),
            ad_previous: None,
            ad_changed_at: world.now.unix_s,
            stale: None,
            held: vec![],
            sent: vec![],
            world,
        }
    }

    /// What happens between two exchanges.
    fn something_happens(&mut self) {
        self.world.now.unix_s += i64::try_from(self.dice.below(120)).unwrap();
        match self.dice.below(12) {
            0 => self.world.now.unix_s += i64::try_from(self.dice.below(7200)).unwrap(),
            1 => self.world.now.unix_s -= i64::try_from(self.dice.below(600)).unwrap(),
            2 => self.rotate_trust(),
            3 => self.rotate_service(),
            4 => {
                let states = [
                    IdentityState::Enabled,
                    IdentityState::Disabled,
                    IdentityState::Deleted,
                ];
                self.world.identities[0].state = states[self.dice.below(3)];
            }
            5 => self.world.identities[0].state = IdentityState::Enabled,
            6 => self.regroup(),
            7 => self.stale = Some(Box::new(self.snapshot())),
            8 => self.stale = None,
            _ => {}
        }
        self.retire();
        if self.held.is_empty() || self.dice.one_in(4) {
            self.sign_in();
        }
    }

    fn rotate_trust(&mut self) {
        let key = self.dice.key();
        let version = self.world.trust.keys.first().map_or(1, |k| k.version + 1);
        // Twice by force: what was previous is retired, not forgotten.
        let until = self.world.now.unix_s + RETIRED_FOR_S;
        for old in &mut self.world.trust.keys {
            old.state = match old.state {
                KeyState::Current => KeyState::Previous { until },
                KeyState::Previous { until } => KeyState::Retired { until },
                retired => retired,
            };
        }
        self.world.trust.keys.insert(
            0,
            TrustKey {
                version,
                state: KeyState::Current,
                keys: vec![key.clone()],
            },
        );
        self.ad_previous = Some(std::mem::replace(&mut self.ad_key, key));
        self.ad_changed_at = self.world.now.unix_s;
    }

    fn rotate_service(&mut self) {
        let kvno = self
            .world
            .service
            .keys
            .iter()
            .map(|k| k.kvno)
            .max()
            .unwrap()
            + 1;
        let key = self.dice.key();
        self.world.service.keys.insert(0, ServiceKey { kvno, key });
        self.world.service.keys.truncate(2);
    }

    fn regroup(&mut self) {
        let domain = self.world.identities[0].sid.domain().unwrap();
        let count = match self.dice.below(6) {
            0 => 1011,
            1 => 1010,
            n => n,
        };
        let first = 2000 + u32::try_from(self.dice.below(1000)).unwrap();
        self.world.identities[0].groups = (first..)
            .take(count)
            .map(|rid| domain.with_rid(rid).unwrap())
            .collect();
    }

    fn retire(&mut self) {
        let now = self.world.now.unix_s;
        self.world.trust.keys.retain(|k| match k.state {
            KeyState::Previous { until } | KeyState::Retired { until } => until >= now - 7200,
            KeyState::Current => true,
        });
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            parties: self.world.records(&Wanted::Parties {
                issuer: self.world.trust.realm.clone(),
            }),
            identity: self.world.identities.first().cloned(),
        }
    }

    /// AD issues a referral, with the previous key for an hour after a change.
    fn sign_in(&mut self) {
        let mut referral = self.world.referral();
        let key = match &self.ad_previous {
            Some(previous)
                if self.world.now.unix_s < self.ad_changed_at + AD_KEEPS_PREVIOUS_S
                    && self.dice.one_in(2) =>
            {
                previous.clone()
            }
            _ => self.ad_key.clone(),
        };
        referral.pac_key = key.clone();
        referral.ticket_key = key;
        let ends_at = referral.part.endtime.0;
        let ticket = self.world.encrypt_referral(referral);
        self.held.push(Held { ticket, ends_at });
        if self.held.len() > 8 {
            self.held.remove(0);
        }
    }

    fn send(&mut self) -> Sent {
        let home = self.world.tenant.id;
        if !self.sent.is_empty() && self.dice.one_in(8) {
            let bytes = self.sent[self.dice.below(self.sent.len())].clone();
            return Sent {
                bytes,
                honest: false,
                tenant: home,
                referral_ends_at: None,
            };
        }
        let held = self.held[self.dice.below(self.held.len())].clone();
        let mut ask = self.world.request_draft();
        ask.fast = self.dice.one_in(2);
        let mut honest = true;
        if self.dice.one_in(10) {
            let skew = i64::try_from(self.dice.below(1000)).unwrap() - 500;
            ask.authenticator.ctime = KerberosTime(self.world.now.unix_s + skew);
            honest = false;
        }
        match self.dice.below(10) {
            0 => ask.body.sname = Some(PrincipalName::krbtgt(TENANT_REALM)),
            1 => {
                ask.body.sname = Some(PrincipalName::new(
                    name_type::SRV_HST,
                    &["CIFS", SHARE_HOST],
                ));
            }
            2 => {
                ask.body.sname = Some(PrincipalName::new(name_type::SRV_HST, &["cifs", "nowhere"]));
                honest = false;
            }
            _ => {}
        }
        let mut bytes = self.world.request(held.ticket, ask);
        self.sent.push(bytes.clone());
        if self.sent.len() > 16 {
            self.sent.remove(0);
        }
        let mut referral_ends_at = Some(held.ends_at);
        if self.dice.one_in(6) {
            honest = false;
            // Two spliced requests may have become the other one, whole.
            referral_ends_at = None;
            self.damage(&mut bytes);
        }
        let mut tenant = home;
        if self.dice.one_in(20) {
            tenant = TenantId([8; 16]);
            honest = false;
        }
        Sent {
            bytes,
            honest,
            tenant,
            referral_ends_at,
        }
    }

    /// A torn frame, a flipped bit, two halves of two requests.
    fn damage(&mut self, bytes: &mut Vec<u8>) {
        let at = self.dice.below(bytes.len());
        match self.dice.below(3) {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= 1 << self.dice.below(8),
            _ => {
                let other = &self.sent[self.dice.below(self.sent.len())];
                let tail = other.get(at..).unwrap_or_default().to_vec();
                bytes.truncate(at);
                bytes.extend(tail);
            }
        }
    }

    fn one_exchange(&mut self) -> Result<TicketOutcome, String> {
        let sent = self.send();
        let mut seen = Seen::default();
        let mut step = Exchange::begin(sent.tenant, &sent.bytes, self.world.now, EventId([3; 16]));
        for _ in 0..=2 {
            match step {
                ExchangeStep::Need { exchange, lookups } => {
                    if lookups.tenant != sent.tenant {
                        return Err("a look-up for another tenant".into());
                    }
                    let records = self.answer(&lookups, &mut seen);
                    step = exchange.resume(records, &mut self.world.random());
                }
                ExchangeStep::Reply { bytes, event } => {
                    return self.check(&sent, &seen, &bytes, &event);
                }
                ExchangeStep::Drop { event } if event.outcome != TicketOutcome::Dropped => {
                    return Err(format!("dropped with {:?}", event.outcome));
                }
                ExchangeStep::Drop { .. } if sent.honest => {
                    return Err("an honest request was dropped".into());
                }
                ExchangeStep::Drop { .. } => return Ok(TicketOutcome::Dropped),
            }
        }
        Err("more than two rounds".into())
    }

    /// The directory's answer: fresh, from an hour ago, or none. A rotation may fall between two rounds.
    fn answer(&mut self, lookups: &Lookups, seen: &mut Seen) -> Records {
        if self.dice.one_in(15) {
            seen.exact = false;
            return Records::Unavailable("simulated".into());
        }
        if self.dice.one_in(20) {
            self.rotate_service();
        }
        let mut records = self.world.records(&lookups.wanted);
        // Another tenant has another realm and neither this trust nor these keys. Now and then the directory errs and
        // answers for the wrong tenant all the same.
        if lookups.tenant != self.world.tenant.id
            && self.dice.one_in(2)
            && let Records::Parties { tenant, trust } = &mut records
        {
            let other = std::sync::Arc::make_mut(tenant);
            other.id = lookups.tenant;
            other.realm = "KERBEROS.OTHER.CLOUD.EXAMPLE".into();
            *trust = None;
        }
        if let Some(stale) = &self.stale {
            seen.exact = false;
            match &mut records {
                Records::Parties { .. } => records = stale.parties.clone(),
                Records::Grant { identity, .. } => {
                    *identity = stale.identity.clone().map(std::sync::Arc::new);
                }
                Records::Unavailable(_) => {}
            }
        }
        if let Records::Grant { identity, service } = &records {
            seen.identity = identity.as_deref().cloned();
            seen.sealing = service.as_ref().and_then(|s| s.keys.first().cloned());
        }
        records
    }

    /// The invariants of an answered exchange.
    fn check(
        &self,
        sent: &Sent,
        seen: &Seen,
        bytes: &[u8],
        event: &Event,
    ) -> Result<TicketOutcome, String> {
        let identity = seen.identity.as_ref();
        match event.outcome {
            TicketOutcome::Dropped => return Err("answered, but the event records a drop".into()),
            TicketOutcome::Refused(reason) => {
                let enabled = identity.is_some_and(|i| {
                    i.state == IdentityState::Enabled
                        && i.groups.len() <= crossrealm_kdc::MAX_GROUPS
                });
                let live = sent
                    .referral_ends_at
                    .is_some_and(|end| end > self.world.now.unix_s);
                if sent.honest && seen.exact && enabled && live {
                    return Err(format!(
                        "an honest request was refused: {reason}: {}",
                        event.detail
                    ));
                }
                return Ok(event.outcome);
            }
            TicketOutcome::Issued => {}
        }
        let identity = identity.ok_or("a ticket without an identity")?;
        if identity.state != IdentityState::Enabled {
            return Err(format!(
                "a ticket for an identity that is {:?}",
                identity.state
            ));
        }
        if sent.tenant != self.world.tenant.id {
            return Err("a ticket at another tenant's address".into());
        }
        let part = self.opened(seen, bytes)?;
        if sent
            .referral_ends_at
            .is_some_and(|end| part.endtime.0 > end)
        {
            return Err("a ticket that outlives its referral".into());
        }
        let life = part.endtime.0 - self.world.now.unix_s;
        if life > i64::from(self.world.tenant.policy.max_ticket_life_s) || life <= 0 {
            return Err(format!("a ticket with a life of {life} s"));
        }
        check_sids(&part, identity)?;
        Ok(TicketOutcome::Issued)
    }

    /// Decrypts the issued ticket with the key it must be encrypted with, and with no other.
    fn opened(&self, seen: &Seen, bytes: &[u8]) -> Result<EncTicketPart, String> {
        let TgsRep(reply) = decode(bytes).map_err(|e| e.to_string())?;
        let krbtgt = &self.world.tenant.krbtgt_keys[0];
        let right = match reply.ticket.sname.pair() {
            Some(("krbtgt", TENANT_REALM)) => krbtgt,
            _ => seen
                .sealing
                .as_ref()
                .ok_or("a ticket for an unknown service")?,
        };
        for wrong in self.world.trust.keys.iter().flat_map(|k| &k.keys) {
            if reply
                .ticket
                .enc_part
                .decrypt(wrong, key_usage::TICKET)
                .is_ok()
            {
                return Err("a service ticket that a trust key decrypts".into());
            }
        }
        let plain = reply
            .ticket
            .enc_part
            .decrypt(&right.key, key_usage::TICKET)
            .map_err(|e| format!("the service cannot decrypt its ticket: {e}"))?;
        decode(&plain).map_err(|e| e.to_string())
    }
}

/// What the directory answered in this exchange.
struct Seen {
    identity: Option<crossrealm_kdc::Identity>,
    sealing: Option<ServiceKey>,
    /// Every answer was fresh and complete.
    exact: bool,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            identity: None,
            sealing: None,
            exact: true,
        }
    }
}

/// No ticket ever holds a SID that the directory did not grant.
fn check_sids(part: &EncTicketPart, identity: &crossrealm_kdc::Identity) -> Result<(), String> {
    let elements = part.authorization_data.as_deref().unwrap_or_default();
    let element = elements
        .first()
        .ok_or("a ticket without authorization data")?;
    let inner: Vec<AuthorizationDataElement> = decode(&element.data).map_err(|e| e.to_string())?;
    let pac = inner.first().ok_or("a ticket without a PAC")?;
    let pac = Pac::decode(&pac.data).map_err(|e| e.to_string())?;
    let primary = identity
        .sid
        .domain()
        .and_then(|d| d.with_rid(identity.primary_group_rid).ok());
    let granted = |sid: &Sid| {
        *sid == identity.sid || identity.groups.contains(sid) || primary.as_ref() == Some(sid)
    };
    let info = pac.logon_info().map_err(|e| e.to_string())?;
    match info.token_sids().iter().find(|sid| !granted(sid)) {
        Some(sid) => Err(format!(
            "a ticket with {sid}, which the directory did not grant"
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forty_seeds_keep_every_invariant() {
        let mut sum = LifeCounts::default();
        for seed in 0..40 {
            let counts = run(seed, 100).unwrap();
            sum.issued += counts.issued;
            sum.refused += counts.refused;
            sum.dropped += counts.dropped;
        }
        // The lives are worth something only if all three endings happen often.
        assert!(
            sum.issued > 400 && sum.refused > 400 && sum.dropped > 40,
            "{sum:?}"
        );
    }

    #[test]
    fn the_same_seed_gives_the_same_run() {
        assert_eq!(run(42, 200), run(42, 200));
    }
}
