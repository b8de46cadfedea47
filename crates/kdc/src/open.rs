//! Opening what the client presents: the ticket with the right key, the authenticator, the armor, the PAC.
//!
//! Everything in here is still only a claim; each function turns one claim into a fact or a [`TicketRefusal`]. What comes out,
//! [`VerifiedClient`], is believed by the rest of the exchange.

use crate::event::{Reason, TicketRefusal};
use crate::records::{ForestDomain, KeyState, Tenant, Trust};
use crate::request::TicketRequest;
use crate::{CLOCK_SKEW_S, Now};
use crossrealm_krb::crypto::{Enctype, Key};
use crossrealm_krb::fast::{self, FastError};
use crossrealm_krb::messages::{
    Authenticator, AuthorizationDataElement, EncTicketPart, KdcReqBody, PaData, ad_type, decode,
    flags, kdc_option, key_usage, pa_type,
};
use crossrealm_krb::pac::{FileTime, Pac, PacError};
use crossrealm_krb::transited;
use crossrealm_types::Sid;

/// The least RID of an account that an administrator made; those below are built in ([MS-SAMR] 3.1.1.9.2.1).
const FIRST_ACCOUNT_RID: u32 = 1000;

/// Who vouches for the presented ticket.
pub(crate) enum Issuer<'a> {
    /// The on-premises realm: a referral TGT, sealed with the trust key.
    Trust(&'a Trust),
    /// This realm itself: a TGT that we issued.
    Own,
}

/// A presented ticket that is what it claims to be, with the request that counts.
pub(crate) struct VerifiedClient {
    pub(crate) ticket: EncTicketPart,
    pub(crate) session_key: Key,
    pub(crate) subkey: Option<Key>,
    pub(crate) trust_key_version: Option<u32>,
    pub(crate) sid: Sid,
    /// The transited field of a ticket made from this one.
    pub(crate) transited: String,
}

/// The request that counts: the inner one where there is armor.
pub(crate) struct EffectiveRequest {
    pub(crate) body: KdcReqBody,
    pub(crate) padata: Vec<PaData>,
    pub(crate) armor: Option<Key>,
}

/// The ticket and its header, before armor and PAC: enough to protect an error.
pub(crate) struct HeaderTicket {
    pub(crate) ticket: EncTicketPart,
    session_key: Key,
    subkey: Option<Key>,
    opened_with: Key,
    trust_key_version: Option<u32>,
}

/// Opens the ticket and proves that the request comes from its header.
pub(crate) fn header_ticket(
    request: &TicketRequest,
    tenant: &Tenant,
    issuer: &Issuer<'_>,
    now: Now,
) -> Result<HeaderTicket, TicketRefusal> {
    let (ticket, opened_with, trust_key_version) = ticket(request, tenant, issuer, now)?;
    check_times(&ticket, now)?;
    let session_key = aes_key(&ticket.key.to_key(), ticket.key.keytype, "session key")?;
    let authenticator = authenticator(request, &session_key)?;
    if authenticator.crealm != ticket.crealm || !authenticator.cname.same_components(&ticket.cname)
    {
        return Err(Reason::AuthenticatorMismatch.because(format!(
            "the authenticator names {}@{}, the ticket {}@{}",
            authenticator.cname, authenticator.crealm, ticket.cname, ticket.crealm
        )));
    }
    let skew_s = now.unix_s.saturating_sub(authenticator.ctime.0);
    if skew_s.unsigned_abs() > CLOCK_SKEW_S.unsigned_abs() {
        return Err(Reason::ClockSkew.because(format!("the clocks differ by {skew_s} s")));
    }
    check_body(request, &authenticator, &session_key)?;
    let subkey = match &authenticator.subkey {
        Some(key) => Some(aes_key(&key.to_key(), key.keytype, "subkey")?),
        None => None,
    };
    Ok(HeaderTicket {
        ticket,
        session_key,
        subkey,
        opened_with,
        trust_key_version,
    })
}

/// The ticket, the key that opened it, and that key's version if it is a trust key.
fn ticket(
    request: &TicketRequest,
    tenant: &Tenant,
    issuer: &Issuer<'_>,
    now: Now,
) -> Result<(EncTicketPart, Key, Option<u32>), TicketRefusal> {
    let sealed = &request.ap_req.ticket.enc_part;
    if Enctype::from_number(sealed.etype).is_none() {
        return Err(Reason::EncryptionTypeNotSupported.because(format!(
            "the presented ticket has encryption type {}",
            sealed.etype
        )));
    }
    let candidates: Vec<(Option<u32>, &Key)> = match issuer {
        Issuer::Trust(trust) => trust_keys(trust, sealed.kvno(), now.unix_s),
        Issuer::Own => tenant
            .krbtgt_keys
            .iter()
            .filter(|k| sealed.kvno().is_none_or(|v| v == k.kvno))
            .map(|k| (None, &k.key))
            .collect(),
    };
    let (version, key, plain) = candidates
        .into_iter()
        .find_map(|(version, key)| {
            Some((version, key, sealed.decrypt(key, key_usage::TICKET).ok()?))
        })
        .ok_or_else(|| {
            Reason::TicketIntegrity.because(format!(
                "issued by {}, encryption type {}, kvno {:?}",
                request.ap_req.ticket.realm, sealed.etype, sealed.kvno
            ))
        })?;
    let ticket = decode(&plain)
        .map_err(|e| Reason::MalformedTicket.because(format!("its encrypted part: {e}")))?;
    Ok((ticket, key.clone(), version))
}

/// The keys that may open a referral, the likeliest first. AD mostly sends no key version; where it does, it counts in
/// its own way, so a version only moves a key to the front.
fn trust_keys(trust: &Trust, kvno: Option<u32>, now_s: i64) -> Vec<(Option<u32>, &Key)> {
    let mut usable: Vec<_> = trust
        .keys
        .iter()
        .filter(|key| match key.state {
            KeyState::Current | KeyState::Previous => true,
            KeyState::Retired { until } => now_s <= until,
        })
        .collect();
    usable.sort_by_key(|key| (kvno != Some(key.version), rank(key.state)));
    usable
        .into_iter()
        .flat_map(|key| key.keys.iter().map(|k| (Some(key.version), k)))
        .collect()
}

fn rank(state: KeyState) -> u8 {
    match state {
        KeyState::Current => 0,
        KeyState::Previous => 1,
        KeyState::Retired { .. } => 2,
    }
}

fn check_times(ticket: &EncTicketPart, now: Now) -> Result<(), TicketRefusal> {
    let starts = ticket.starttime.unwrap_or(ticket.authtime).0;
    if ticket.flags.has(flags::INVALID) || starts.saturating_sub(CLOCK_SKEW_S) > now.unix_s {
        return Err(Reason::TicketNotYetValid.because(format!(
            "it starts {} s from now",
            starts.saturating_sub(now.unix_s)
        )));
    }
    if ticket.endtime.0 <= now.unix_s {
        return Err(Reason::TicketExpired.because(format!(
            "it ended {} s ago",
            now.unix_s.saturating_sub(ticket.endtime.0)
        )));
    }
    Ok(())
}

fn aes_key(key: &Option<Key>, keytype: i32, what: &str) -> Result<Key, TicketRefusal> {
    key.clone().ok_or_else(|| {
        Reason::EncryptionTypeNotSupported
            .because(format!("the {what} has encryption type {keytype}"))
    })
}

fn authenticator(
    request: &TicketRequest,
    session_key: &Key,
) -> Result<Authenticator, TicketRefusal> {
    let plain = request
        .ap_req
        .authenticator
        .decrypt(session_key, key_usage::TGS_REQ_AUTHENTICATOR)
        .map_err(|e| Reason::AuthenticatorIntegrity.because(e.to_string()))?;
    decode(&plain).map_err(|e| Reason::AuthenticatorIntegrity.because(e.to_string()))
}

/// The authenticator's checksum ties the request to its header. It covers the bytes of the body as they came.
fn check_body(
    request: &TicketRequest,
    authenticator: &Authenticator,
    session_key: &Key,
) -> Result<(), TicketRefusal> {
    let Some(checksum) = &authenticator.cksum else {
        return Err(Reason::ChecksumMissing.because("the authenticator holds none"));
    };
    if checksum.cksumtype != session_key.enctype().checksum_type() {
        return Err(Reason::ChecksumMissing.because(format!(
            "the authenticator's checksum has type {}",
            checksum.cksumtype
        )));
    }
    checksum
        .verify(
            session_key,
            key_usage::TGS_REQ_CHECKSUM,
            &request.request.raw_body,
        )
        .map_err(|_| Reason::RequestModified.because("the checksum does not match the body"))
}

/// Takes off the armor, if there is any, and refuses what is not done here.
pub(crate) fn effective_request(
    request: &TicketRequest,
    header: &HeaderTicket,
) -> Result<EffectiveRequest, TicketRefusal> {
    let padata = &request.request.padata;
    let Some(fast) = PaData::find(padata, pa_type::FX_FAST) else {
        return Ok(EffectiveRequest {
            body: request.request.body.clone(),
            padata: padata.clone(),
            armor: None,
        });
    };
    let Some(subkey) = &header.subkey else {
        return Err(Reason::ArmorIntegrity.because("the authenticator holds no subkey"));
    };
    let armor = fast::armor_key(subkey, &header.session_key);
    match fast::open_request(fast, &armor, &request.raw_ap_req) {
        Ok(inner) => Ok(EffectiveRequest {
            body: inner.req_body,
            padata: inner.padata,
            armor: Some(armor),
        }),
        Err(error @ (FastError::ExplicitArmor | FastError::UnknownOption)) => {
            Err(Reason::OptionNotSupported.because(error.to_string()))
        }
        Err(error) => Err(Reason::ArmorIntegrity.because(error.to_string())),
    }
}

/// Options that are not done across a cloud trust (`docs/design.md` 6.6), with their names.
const REFUSED_OPTIONS: [(u32, &str); 7] = [
    (kdc_option::ENC_TKT_IN_SKEY, "user-to-user"),
    (kdc_option::CNAME_IN_ADDL_TKT, "constrained delegation"),
    (kdc_option::POSTDATED, "a postdated ticket"),
    (kdc_option::VALIDATE, "validation of a postdated ticket"),
    (kdc_option::FORWARDED, "a forwarded ticket"),
    (kdc_option::PROXY, "a proxy ticket"),
    (kdc_option::ALLOW_POSTDATE, "postdating"),
];

/// Refuses requests for delegation, postdating and the like.
pub(crate) fn check_options(effective: &EffectiveRequest) -> Result<(), TicketRefusal> {
    for (option, name) in REFUSED_OPTIONS {
        if effective.body.kdc_options.has(option) {
            return Err(Reason::OptionNotSupported.because(format!("asked for {name}")));
        }
    }
    if effective
        .body
        .additional_tickets
        .as_ref()
        .is_some_and(|t| !t.is_empty())
    {
        return Err(Reason::OptionNotSupported.because("additional tickets came"));
    }
    for s4u in [pa_type::FOR_USER, pa_type::S4U_X509_USER] {
        if PaData::find(&effective.padata, s4u).is_some() {
            return Err(Reason::OptionNotSupported.because("asked for a ticket of another user"));
        }
    }
    Ok(())
}

/// Verifies the PAC and finds out who the client is: by SID, never by name.
pub(crate) fn verified_client(
    header: HeaderTicket,
    tenant: &Tenant,
    issuer: &Issuer<'_>,
) -> Result<VerifiedClient, TicketRefusal> {
    let pac = verified_pac(&header, issuer)?;
    let sid = client_sid(&pac, &header.ticket)?;
    let domain = client_domain(tenant, issuer, &header.ticket)?;
    if !sid.is_in_domain(&domain.sid) {
        return Err(Reason::SidOutsideDomain.because(format!(
            "SID {sid} of a client of {}, whose SID is {}",
            domain.realm, domain.sid
        )));
    }
    let transited = match issuer {
        Issuer::Trust(trust) => checked_path(trust, &header.ticket)?,
        // We wrote it ourselves when we issued the ticket.
        Issuer::Own => String::from_utf8_lossy(&header.ticket.transited.contents).into_owned(),
    };
    if sid.rid() < FIRST_ACCOUNT_RID && !tenant.policy.allow_low_rids {
        return Err(Reason::SidReserved.because(format!("SID {sid}")));
    }
    Ok(VerifiedClient {
        ticket: header.ticket,
        session_key: header.session_key,
        subkey: header.subkey,
        trust_key_version: header.trust_key_version,
        sid,
        transited,
    })
}

/// The one PAC of the ticket, its signature checked with the key that opened the ticket.
fn verified_pac(header: &HeaderTicket, issuer: &Issuer<'_>) -> Result<Pac, TicketRefusal> {
    let raw = pac_bytes(
        header
            .ticket
            .authorization_data
            .as_deref()
            .unwrap_or_default(),
    )?;
    let pac = Pac::decode(&raw).map_err(|e| Reason::PacMalformed.because(e.to_string()))?;
    let verified = match issuer {
        Issuer::Trust(_) => pac.verify_server(&header.opened_with),
        Issuer::Own => pac.verify_all(&header.opened_with, &header.opened_with, None),
    };
    verified.map_err(|e| Reason::PacSignature.because(e.to_string()))?;
    Ok(pac)
}

/// The bytes of the AD-WIN2K-PAC in AD-IF-RELEVANT. Two PACs would leave open which one counts.
fn pac_bytes(elements: &[AuthorizationDataElement]) -> Result<Vec<u8>, TicketRefusal> {
    let mut pacs = Vec::new();
    for element in elements
        .iter()
        .filter(|e| e.ad_type == ad_type::IF_RELEVANT)
    {
        let inner: Vec<AuthorizationDataElement> = decode(&element.data)
            .map_err(|e| Reason::PacMalformed.because(format!("AD-IF-RELEVANT: {e}")))?;
        pacs.extend(
            inner
                .into_iter()
                .filter(|e| e.ad_type == ad_type::WIN2K_PAC),
        );
    }
    match pacs.as_slice() {
        [pac] => Ok(pac.data.to_vec()),
        [] => Err(Reason::PacMissing.because("no AD-WIN2K-PAC in the ticket")),
        _ => Err(Reason::PacMalformed.because("more than one PAC in the ticket")),
    }
}

/// The client's SID, on which every buffer of the PAC and the ticket itself must agree.
fn client_sid(pac: &Pac, ticket: &EncTicketPart) -> Result<Sid, TicketRefusal> {
    let malformed = |e: PacError| Reason::PacMalformed.because(e.to_string());
    let info = pac.client_info().map_err(malformed)?;
    let name = ticket.cname.to_string();
    if info.name != name || info.auth_time != FileTime::from_unix_seconds(ticket.authtime.0) {
        return Err(Reason::PacMismatch.because(format!(
            "the PAC is for {:?}, the ticket for {name:?}",
            info.name
        )));
    }
    let sid = pac
        .logon_info()
        .map_err(malformed)?
        .user_sid()
        .ok_or_else(|| Reason::PacMalformed.because("the PAC names no user of its domain"))?;
    let requester = pac.requester();
    let upn_account = pac
        .upn_dns()
        .and_then(|u| u.account.as_ref())
        .map(|a| &a.sid);
    for other in [requester, upn_account].into_iter().flatten() {
        if *other != sid {
            return Err(Reason::PacMismatch.because(format!(
                "the PAC names both {sid} and {other} as the client"
            )));
        }
    }
    Ok(sid)
}

/// The registered domain that the client comes from.
fn client_domain<'a>(
    tenant: &'a Tenant,
    issuer: &Issuer<'a>,
    ticket: &EncTicketPart,
) -> Result<&'a ForestDomain, TicketRefusal> {
    let realm = ticket.crealm.as_str();
    let trust = match issuer {
        Issuer::Trust(trust) => Some(*trust),
        Issuer::Own => None,
    };
    forest(tenant, trust, realm)
        .iter()
        .find(|d| d.realm == realm)
        .ok_or_else(|| Reason::ClientRealmNotTrusted.because(format!("client realm {realm}")))
}

/// The registered domains of the forest that a client of `realm` belongs to: the forest of the trust that vouched for it,
/// or, for a TGT of our own, whichever forest of the tenant has that realm. Empty where none has.
pub(crate) fn forest<'a>(
    tenant: &'a Tenant,
    trust: Option<&'a Trust>,
    realm: &str,
) -> &'a [ForestDomain] {
    match trust {
        Some(trust) => &trust.domains,
        None => tenant
            .forests
            .iter()
            .find(|forest| forest.iter().any(|d| d.realm == realm))
            .map_or(&[], Vec::as_slice),
    }
}

/// The path of the new ticket: what the presented one passed through, and the issuer unless the client is its own
/// (RFC 4120 §3.3.3.2). Every realm on it must be a registered domain of the forest.
fn checked_path(trust: &Trust, ticket: &EncTicketPart) -> Result<String, TicketRefusal> {
    let refuse = |why: String| {
        let field = String::from_utf8_lossy(&ticket.transited.contents);
        Reason::PathNotAccepted.because(format!("transited field {field:?}: {why}"))
    };
    if ticket.transited.tr_type != transited::DOMAIN_X500_COMPRESS
        && !ticket.transited.contents.is_empty()
    {
        return Err(refuse(format!("type {}", ticket.transited.tr_type)));
    }
    let client = ticket.crealm.as_str();
    let mut realms = transited::expand(&ticket.transited.contents, client, &trust.realm)
        .map_err(|e| refuse(e.to_string()))?;
    if let Some(unknown) = realms
        .iter()
        .find(|realm| !trust.domains.iter().any(|d| d.realm == **realm))
    {
        return Err(refuse(format!("{unknown} is not a domain of the forest")));
    }
    if client != trust.realm && !realms.contains(&trust.realm) {
        realms.push(trust.realm.clone());
    }
    Ok(transited::encode(&realms))
}
