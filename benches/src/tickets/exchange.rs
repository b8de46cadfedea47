//! One ticket inside the process: the exchange against the cryptography that it cannot do without, and its allocations.

use std::sync::Arc;

use crossrealm_kdc::{EventId, Exchange, ExchangeStep, Records, Wanted};
use crossrealm_krb::crypto::Key;
use crossrealm_krb::fast;
use crossrealm_krb::messages::{KdcReq, PaData, TgsRep, TgsReq, decode, pa_type};
use crossrealm_testkit::two_realms::TwoRealms;
use stats_alloc::Region;

use super::ours;
use crate::ALLOCATOR;
use crate::report::{Line, Report, Samples, Unit};

/// Measures `rounds` rounds of `count` tickets.
pub(super) fn measure(count: usize, rounds: usize, report: &mut Report) -> Result<(), String> {
    let mut world = TwoRealms::new();
    world.now = crossrealm_testkit::trusted_tenant::now();
    let known = Known::of(&world);
    let key = world.trust_key.clone();
    let requests = ours::requests(&key, count);
    let first = requests.first().ok_or("no requests")?;
    let sizes = Sizes::of(first, &known.exchange(&mut world, first)?)?;
    let (mut whole, mut crypto, mut pieces) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let region = Region::new(ALLOCATOR);
        let began = processor_s()?;
        for request in requests.iter() {
            known.exchange(&mut world, request)?;
        }
        whole.push((processor_s()? - began) / count as f64);
        pieces.push(region.change().allocations as f64 / count as f64);
        let began = processor_s()?;
        for _ in 0..count {
            sizes.work(&key, &mut world.random())?;
        }
        crypto.push((processor_s()? - began) / count as f64);
    }
    report.add(
        Line::new("one ticket in the process, lookups answered at once (processor time)", Unit::Seconds, Samples::new(whole))
            .against("its cryptography alone", Samples::new(crypto))
            .note(format!("the cryptography is the same number of AES and HMAC operations on as many bytes: {sizes:?}")),
    );
    report.add(Line::new(
        "allocations for one ticket",
        Unit::Count,
        Samples::new(pieces),
    ));
    Ok(())
}

/// The processor time of this thread so far, in seconds: what a busy machine does not change.
fn processor_s() -> Result<f64, String> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text
        .split(' ')
        .next()
        .and_then(|field| field.parse::<f64>().ok());
    let nanoseconds = nanoseconds.ok_or("the kernel does not tell a thread's processor time")?;
    Ok(nanoseconds / 1e9)
}

/// What the directory answers, ready to be handed out.
struct Known {
    parties: Parties,
    grant: Grant,
}

type Parties = (
    Arc<crossrealm_kdc::Tenant>,
    Option<Arc<crossrealm_kdc::Trust>>,
);
type Grant = (
    Option<Arc<crossrealm_kdc::Identity>>,
    Option<Arc<crossrealm_kdc::Service>>,
);

impl Known {
    fn of(world: &TwoRealms) -> Self {
        Self {
            parties: (
                Arc::new(world.tenant.clone()),
                Some(Arc::new(world.trust.clone())),
            ),
            grant: (
                world.identities.first().cloned().map(Arc::new),
                Some(Arc::new(world.service.clone())),
            ),
        }
    }

    fn records(&self, wanted: &Wanted) -> Records {
        match wanted {
            Wanted::Parties { .. } => Records::Parties {
                tenant: self.parties.0.clone(),
                trust: self.parties.1.clone(),
            },
            Wanted::Grant { .. } => Records::Grant {
                identity: self.grant.0.clone(),
                service: self.grant.1.clone(),
            },
        }
    }

    /// The answer to a request, which must be a ticket.
    fn exchange(&self, world: &mut TwoRealms, request: &[u8]) -> Result<Vec<u8>, String> {
        let mut step = Exchange::begin(world.tenant.id, request, world.now, EventId([9; 16]));
        loop {
            step = match step {
                ExchangeStep::Need { exchange, lookups } => {
                    exchange.resume(self.records(&lookups.wanted), &mut world.random())
                }
                ExchangeStep::Reply { bytes, .. } if bytes.first() == Some(&0x6d) => {
                    return Ok(bytes);
                }
                ExchangeStep::Reply { event, .. } | ExchangeStep::Drop { event } => {
                    return Err(format!("no ticket: {event:?}"));
                }
            }
        }
    }
}

/// Bytes that must be decrypted, encrypted and signed for one ticket.
#[derive(Debug)]
struct Sizes {
    /// The referral, the authenticator, the armored request.
    opened: [usize; 3],
    /// The new ticket, the armored answer, the answer's own part.
    sealed: [usize; 3],
    /// The request's checksum and the armor's; the PAC that came; the new PAC's four signatures; the answer's ticket.
    signed: Vec<usize>,
}

impl Sizes {
    fn of(request: &[u8], reply: &[u8]) -> Result<Self, String> {
        let said = |error: crossrealm_krb::messages::MessageError| error.to_string();
        let TgsReq(request) = TgsReq::decode(request).map_err(said)?;
        let proof: crossrealm_krb::messages::ApReq =
            decode(padata(&request, pa_type::TGS_REQ)?).map_err(said)?;
        let armored = padata(&request, pa_type::FX_FAST)?.len();
        let TgsRep(reply) = decode(reply).map_err(said)?;
        let replied = reply.padata.as_deref().unwrap_or_default();
        let answer = PaData::find(replied, pa_type::FX_FAST).map_or(0, <[u8]>::len);
        let (referral, ticket) = (
            proof.ticket.enc_part.cipher.len(),
            reply.ticket.enc_part.cipher.len(),
        );
        // The PAC is all of a ticket but some 200 bytes.
        let pac = |sealed: usize| sealed.saturating_sub(200);
        Ok(Self {
            opened: [referral, proof.authenticator.cipher.len(), armored],
            sealed: [ticket, answer, reply.enc_part.cipher.len()],
            signed: vec![
                request.raw_body.len(),
                padata(&request, pa_type::TGS_REQ)?.len(),
                pac(referral),
                pac(ticket),
                12,
                ticket - pac(ticket),
                pac(ticket),
                ticket + 200,
            ],
        })
    }

    /// The operations, with one key: which key it is makes no difference to their cost.
    fn work(
        &self,
        key: &Key,
        random: &mut dyn crossrealm_krb::random::Random,
    ) -> Result<(), String> {
        let mut out = 0;
        // Decrypting costs what encrypting does: a key schedule, as many blocks, and one HMAC over all.
        for size in self.opened.iter().chain(&self.sealed) {
            out += key.encrypt(11, &vec![0; *size], random).len();
        }
        for size in &self.signed {
            out += key.checksum(17, &vec![0; *size]).len();
        }
        // The armor key and the strengthened reply key: two pseudo-random functions each.
        out += fast::armor_key(key, key).as_bytes().len();
        out += fast::strengthened_reply_key(key, key).as_bytes().len();
        match std::hint::black_box(out) {
            0 => Err("nothing was done".to_owned()),
            _ => Ok(()),
        }
    }
}

fn padata(request: &KdcReq, kind: i32) -> Result<&[u8], String> {
    PaData::find(&request.padata, kind).ok_or_else(|| format!("the request has no padata {kind}"))
}
