//! The whole KDC exchange with valid keys: the request is edited first and encrypted afterwards.
//!
//! The attacker of this target is the strongest there is: it holds every trust key, old and new, the other tenant's
//! keys, and what any service and any user holds. The exchange must end in a reply or a drop, and a
//! ticket may come out only for a user that the directory grants one, with nothing in it that the directory does not
//! hold.

mod draft;
mod forge;
mod world;

use crossrealm_kdc::{
    CLOCK_SKEW_S, Event, EventId, Exchange, ExchangeStep, Identity, Reason, TicketOutcome,
};
use crossrealm_krb::crypto::{Enctype, Key};
use crossrealm_krb::fast;
use crossrealm_krb::key_usage;
use crossrealm_krb::messages::{
    Authenticator, AuthorizationData, EncKdcRepPart, EncTgsRepPart, EncTicketPart, KerberosTime,
    KrbError, PaData, TgsRep, Ticket, ad_type, decode, encode, flags, kdc_option, pa_type,
};
use crossrealm_krb::pac::{BufferKind, FileTime, Pac};
use crossrealm_testkit::two_realms::AD_REALM;
use crossrealm_types::{IdentityKind, IdentitySource, IdentityState, Sid};
use draft::Draft;
use forge::{Forged, forge, is_signed};
use world::{CHILD_REALM, DOMAINS, World, sid};

/// Edits an honest request as `script` says, encrypts it, and drives the exchange to its end.
pub fn exchange(script: &[u8]) {
    let mut world = World::new();
    let draft = Draft::new(&mut world, script);
    if let Some(forged) = forge(&mut world, &draft) {
        judge(&mut world, &draft, &forged);
    }
}

/// Drives the exchange to its end and checks everything about it; what was decided.
fn judge(world: &mut World, draft: &Draft, forged: &Forged) -> TicketOutcome {
    let (reply, event) = run(world, draft, &forged.message);
    match (&reply, event.outcome) {
        (Some(reply), TicketOutcome::Issued) => issued(world, draft, forged, reply, &event),
        (Some(reply), TicketOutcome::Refused(reason)) => {
            // The answer to a change of password has six bytes of its own in front (RFC 3244 §2).
            let framed = reason == Reason::PasswordChange;
            let error = reply.get(6..).filter(|_| framed).unwrap_or(reply);
            let error: KrbError = decode(error).expect("a refusal is a KRB-ERROR");
            assert_eq!(error.error_code, reason.error_code());
            let text = error.e_text.expect("a refusal says why").to_string();
            assert!(text.contains(&event.id.to_string()));
        }
        (None, TicketOutcome::Refused(_) | TicketOutcome::Dropped) => {}
        other => panic!("reply and event do not fit: {other:?}"),
    }
    event.outcome
}

/// Drives the exchange; what the client gets, and the event.
fn run(world: &mut World, draft: &Draft, message: &[u8]) -> (Option<Vec<u8>>, Event) {
    let (tenant, now) = (world.realms.tenant.id, world.realms.now);
    let mut step = Exchange::begin(tenant, message, now, EventId([9; 16]));
    for fault in draft.faults {
        step = match step {
            ExchangeStep::Need { exchange, lookups } => {
                assert_eq!(lookups.tenant, tenant);
                let records = world.records(&lookups.wanted, fault);
                exchange.resume(records, &mut world.realms.random())
            }
            done => done,
        };
    }
    match step {
        ExchangeStep::Reply { bytes, event } => (Some(bytes), *event),
        ExchangeStep::Drop { event } => (None, *event),
        ExchangeStep::Need { .. } => panic!("a third look-up"),
    }
}

/// Everything that must hold of an issued ticket.
fn issued(world: &World, draft: &Draft, forged: &Forged, reply: &[u8], event: &Event) {
    // Without a record of the trust only a TGT of our own is of use, without one of the identity nothing is.
    assert!(
        matches!(draft.faults, [0 | 4 | 5, 0 | 4 | 5]) || draft.own_tgt && draft.faults[0] == 2
    );
    let presented = forged.presented.as_ref().expect("a ticket was presented");
    if !draft.own_tgt {
        assert!(draft.encrypted_by_the_trust());
        let signed = is_signed(&pac_bytes(presented), &draft.sealing_key());
        assert_eq!(signed, Some(true), "the PAC's signature");
    }
    let identity = granted_identity(world, draft, presented, event);
    check_request(world, forged, presented);

    let TgsRep(reply) = decode(reply).expect("an issued ticket comes in a TGS-REP");
    let (inside, key) = open_ticket(world, &reply.ticket);
    check_ticket(world, forged, presented, &inside);
    check_pac(world, &inside, &key, &reply.ticket, &identity);
    assert_eq!(
        (&reply.crealm, &reply.cname),
        (&inside.crealm, &inside.cname)
    );

    let part = open_reply(forged, &reply);
    let body = forged.body.as_ref().expect("a body was sent");
    assert_eq!(part.nonce, body.nonce);
    assert_eq!(part.key, inside.key);
    assert_eq!((part.flags, part.endtime), (inside.flags, inside.endtime));
    assert_eq!(part.sname, reply.ticket.sname);
}

/// The identity of the event: one that may sign in, of a registered domain, and for a referral the one in its PAC.
fn granted_identity(
    world: &World,
    draft: &Draft,
    presented: &EncTicketPart,
    event: &Event,
) -> Identity {
    let client = event
        .client_sid
        .as_ref()
        .expect("the event names the client");
    let identity = world
        .identity(client)
        .expect("the directory holds the client");
    assert_eq!(identity.kind, IdentityKind::User);
    assert_eq!(identity.source, IdentitySource::Hybrid);
    assert_eq!(identity.state, IdentityState::Enabled);
    assert!(client.rid() >= 1000);
    let domain = match presented.crealm.as_str() {
        AD_REALM => sid(DOMAINS[0]),
        CHILD_REALM => sid(DOMAINS[1]),
        other => panic!("a ticket for a client of {other:?}"),
    };
    assert!(client.is_in_domain(&domain));
    let claimed = pac_of(presented).logon_info().expect("checked").user_sid();
    assert_eq!(claimed.as_ref(), Some(client));
    if draft.own_tgt {
        assert_eq!(client.rid(), 1104);
    }
    identity
}

/// The request was timely, by the ticket's holder, unchanged, and for nothing that is refused.
fn check_request(world: &World, forged: &Forged, presented: &EncTicketPart) {
    let now_s = world.realms.now.unix_s;
    let starts = presented.starttime.unwrap_or(presented.authtime);
    assert!(starts.0 <= now_s + CLOCK_SKEW_S && presented.endtime.0 > now_s);
    assert!(!presented.flags.has(flags::INVALID));

    let authenticator: Authenticator = decode(&forged.authenticator).expect("it was believed");
    assert!((authenticator.ctime.0 - now_s).abs() <= CLOCK_SKEW_S);
    assert_eq!(authenticator.crealm, presented.crealm);
    assert!(authenticator.cname.same_components(&presented.cname));
    assert!(authenticator.cksum.is_some());

    let body = forged.body.as_ref().expect("a body was sent");
    let realm = &world.realms.tenant.realm;
    assert!(body.realm.as_str().eq_ignore_ascii_case(realm));
    assert!(body.additional_tickets.as_ref().is_none_or(Vec::is_empty));
    for refused in [
        kdc_option::ENC_TKT_IN_SKEY,
        kdc_option::CNAME_IN_ADDL_TKT,
        kdc_option::ALLOW_POSTDATE,
        kdc_option::POSTDATED,
        kdc_option::VALIDATE,
        kdc_option::PROXY,
    ] {
        assert!(!body.kdc_options.has(refused), "{refused:#x}");
    }
}

/// The encrypted part of the issued ticket and the one key that decrypts it.
fn open_ticket(world: &World, ticket: &Ticket) -> (EncTicketPart, Key) {
    let realms = &world.realms;
    assert_eq!(ticket.realm.as_str(), realms.tenant.realm);
    let tgt = ticket.sname.pair() == Some(("krbtgt", realms.tenant.realm.as_str()));
    let sealing = match tgt {
        true => realms.tenant.krbtgt_keys.first(),
        false => realms.service.keys.first(),
    };
    let sealing = sealing.expect("a key");
    assert_eq!(ticket.enc_part.kvno(), Some(sealing.kvno));
    let open = |key: &Key| ticket.enc_part.decrypt(key, key_usage::TICKET);
    for foreign in world.foreign_keys() {
        assert!(foreign.as_bytes() == sealing.key.as_bytes() || open(&foreign).is_err());
    }
    let plain = open(&sealing.key).expect("the service decrypts its ticket");
    let inside = decode(&plain).expect("the service reads its ticket");
    (inside, sealing.key.clone())
}

/// The ticket grants no more than the presented one allows.
fn check_ticket(world: &World, forged: &Forged, presented: &EncTicketPart, inside: &EncTicketPart) {
    let (now_s, policy) = (world.realms.now.unix_s, &world.realms.tenant.policy);
    let body = forged.body.as_ref().expect("a body was sent");
    assert_eq!(inside.crealm, presented.crealm);
    assert_eq!(inside.cname, presented.cname);
    assert_eq!(inside.authtime, presented.authtime);
    assert!(inside.endtime.0 > now_s);
    assert!(inside.endtime.0 <= now_s + i64::from(policy.max_ticket_life_s));
    let bound = match body.kdc_options.has(kdc_option::RENEW) {
        true => presented
            .renew_till
            .expect("only what is renewable is renewed"),
        false => presented.endtime,
    };
    assert!(inside.endtime <= bound);
    if let Some(KerberosTime(till)) = inside.renew_till {
        assert!(Some(KerberosTime(till)) <= presented.renew_till);
        assert!(till <= now_s + i64::from(policy.max_renewable_life_s));
        assert!(inside.flags.has(flags::RENEWABLE));
    }
    let copied = flags::FORWARDABLE | flags::RENEWABLE | flags::PRE_AUTHENT | flags::HW_AUTHENT;
    let own = flags::TRANSITED_POLICY_CHECKED | flags::ENC_PA_REP;
    let allowed = presented.flags.0 & copied | own;
    assert_eq!(inside.flags.0 & !allowed, 0, "{:#x}", inside.flags.0);

    let session_key = inside.key.to_key().expect("an AES session key");
    assert!(body.etype.contains(&session_key.enctype().number()));
    assert_ne!(session_key.as_bytes(), forged.session_key.as_bytes());
}

/// The PAC is signed, belongs to the ticket, and holds only what the directory granted.
fn check_pac(
    world: &World,
    inside: &EncTicketPart,
    key: &Key,
    ticket: &Ticket,
    identity: &Identity,
) {
    let pac = pac_of(inside);
    let krbtgt = &world.realms.tenant.krbtgt_keys.first().expect("a key").key;
    let tgt = ticket
        .sname
        .pair()
        .is_some_and(|(class, _)| class == "krbtgt");
    let unsigned = encode(&with_pac(inside, vec![0])).expect("a ticket");
    let signed = Some(&*unsigned).filter(|_| !tgt);
    assert_eq!(pac.verify_all(key, krbtgt, signed), Ok(()));

    let info = pac.logon_info().expect("checked");
    assert_eq!(info.user_sid().as_ref(), Some(&identity.sid));
    let domain = identity.sid.domain().expect("an account's SID");
    let primary = domain
        .with_rid(identity.primary_group_rid)
        .expect("a group's SID");
    let registered = [sid(DOMAINS[0]), sid(DOMAINS[1])];
    for granted in info.token_sids() {
        let held = |sid: &Sid| *sid == granted;
        assert!(
            held(&identity.sid) || held(&primary) || identity.groups.iter().any(held),
            "{granted} was not granted by the directory"
        );
        let domain_known = registered.iter().any(|domain| granted.is_in_domain(domain));
        assert!(domain_known, "{granted}");
    }
    assert!(info.groups.len() + info.extra_sids.len() <= 1010);
    assert_eq!(pac.requester().is_some(), tgt);
    assert!(
        pac.requester()
            .is_none_or(|requester| *requester == identity.sid)
    );

    let client = pac.client_info().expect("checked");
    assert_eq!(client.name, inside.cname.to_string());
    assert_eq!(
        client.auth_time,
        FileTime::from_unix_seconds(inside.authtime.0)
    );
    let known = [1, 6, 7, 10, 12, 16, 17, 18, 19].map(BufferKind);
    assert!(
        pac.buffers()
            .iter()
            .all(|buffer| known.contains(&buffer.kind()))
    );
}

/// The one PAC of a ticket.
fn pac_of(part: &EncTicketPart) -> Pac {
    Pac::decode(&pac_bytes(part)).expect("a well-formed PAC")
}

/// The bytes of a ticket's one PAC.
fn pac_bytes(part: &EncTicketPart) -> Vec<u8> {
    let elements = part.authorization_data.as_deref().unwrap_or_default();
    let inner: Vec<AuthorizationData> = elements
        .iter()
        .filter(|element| element.ad_type == ad_type::IF_RELEVANT)
        .map(|element| decode(&element.data).expect("authorization data"))
        .collect();
    let pacs = inner.concat();
    let mut pacs = pacs.iter().filter(|e| e.ad_type == ad_type::WIN2K_PAC);
    let pac = pacs.next().expect("a PAC");
    assert!(pacs.next().is_none(), "two PACs");
    pac.data.to_vec()
}

/// The ticket with `pac` in the place of its PAC.
fn with_pac(part: &EncTicketPart, pac: Vec<u8>) -> EncTicketPart {
    let mut part = part.clone();
    for wrapper in part.authorization_data.iter_mut().flatten() {
        let mut inner: AuthorizationData = decode(&wrapper.data).expect("authorization data");
        for element in &mut inner {
            element.data = pac.clone().into();
        }
        wrapper.data = encode(&inner).expect("authorization data").into();
    }
    part
}

/// The reply, decrypted as the client does it.
fn open_reply(forged: &Forged, reply: &crossrealm_krb::messages::KdcRep) -> EncKdcRepPart {
    let authenticator: Authenticator = decode(&forged.authenticator).expect("it was believed");
    let subkey = authenticator.subkey.as_ref().map(|key| key.to_key());
    let (mut key, usage) = match subkey {
        Some(subkey) => (subkey.expect("an AES subkey"), key_usage::TGS_REP_SUBKEY),
        None => (forged.session_key.clone(), key_usage::TGS_REP_SESSION),
    };
    assert!(Enctype::from_number(reply.enc_part.etype).is_some());
    if let Some(armor) = &forged.armor {
        let padata = reply.padata.as_deref().unwrap_or_default();
        let value = PaData::find(padata, pa_type::FX_FAST).expect("an armored reply");
        let response = fast::open_response(value, armor).expect("a FAST response");
        let ticket = encode(&reply.ticket).expect("a ticket");
        let finished = response
            .finished
            .expect("a FAST reply with a ticket is finished");
        let checksum = &finished.ticket_checksum;
        assert_eq!(
            checksum.verify(armor, key_usage::FAST_FINISHED, &ticket),
            Ok(())
        );
        let strengthen = response.strengthen_key.and_then(|key| key.to_key());
        key = fast::strengthened_reply_key(&strengthen.expect("a key"), &key);
    }
    let plain = reply
        .enc_part
        .decrypt(&key, usage)
        .expect("the client decrypts the reply");
    let EncTgsRepPart(part) = decode(&plain).expect("the client reads the reply");
    part
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossrealm_kdc::Reason;

    fn outcome(script: &[[u8; 4]]) -> TicketOutcome {
        let mut world = World::new();
        let draft = Draft::new(&mut world, &script.concat());
        let forged = forge(&mut world, &draft).expect("a request");
        judge(&mut world, &draft, &forged)
    }

    #[test]
    fn honest_requests_are_granted() {
        for seed in crate::seeds::all() {
            if seed.target == "exchange" && seed.name.starts_with("granted-") {
                let script = seed.bytes.as_chunks().0;
                assert_eq!(outcome(script), TicketOutcome::Issued, "{}", seed.name);
            }
        }
    }

    #[test]
    fn edits_reach_what_they_are_meant_to_reach() {
        for (script, reason) in [
            (&[[2, 2, 0, 0]][..], Reason::TicketIntegrity),
            (&[[2, 5, 0, 0]], Reason::TicketIntegrity),
            (&[[1, 1, 0, 0]], Reason::PacSignature),
            (&[[34, 0, 0, 0]], Reason::PacSignature),
            (&[[16, 0, 0, 0]], Reason::PacMissing),
            (&[[16, 3, 0, 0]], Reason::PacMalformed),
            (&[[31, 2, 0, 0]], Reason::SidOutsideDomain),
            (&[[31, 0, 1, 0]], Reason::IdentityDisabled),
            (&[[31, 0, 3, 0]], Reason::IdentityCloudOnly),
            (&[[31, 0, 4, 0]], Reason::TooManyGroups),
            (&[[31, 0, 6, 0]], Reason::SidReserved),
            (&[[28, 0, 1, 0]], Reason::PacMismatch),
            (&[[42, 0, 6, 0]], Reason::ClockSkew),
            (&[[47, 2, 0, 0]], Reason::RequestModified),
            (&[[47, 4, 0, 0]], Reason::ChecksumMissing),
            (&[[71, 0, 1, 0]], Reason::DirectoryUnavailable),
        ] {
            assert_eq!(
                outcome(script),
                TicketOutcome::Refused(reason),
                "{script:?}"
            );
        }
    }
}
