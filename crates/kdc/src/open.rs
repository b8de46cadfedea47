//! Verifying what the client presents: the ticket and its authenticator (RFC 4120 §3.2.3, §3.3.2), the FAST armor
//! (RFC 6113 §5.4.2), and the PAC of the ticket ([MS-PAC] 4.1.2.2).
//!
//! A request is only a set of claims. Each function here turns one claim into a fact or a [`TicketRefusal`]; the rest of
//! the exchange relies on the result, [`VerifiedClient`].

use crate::event::{ClientClock, Reason, TicketRefusal};
use crate::records::{Forest, ForestDomain, KeyState, Tenant, Trust, TrustGeneration};
use crate::request::TicketRequest;
use crate::{CLOCK_SKEW_S, Now};
use crossrealm_krb::crypto::{Enctype, Key};
use crossrealm_krb::fast::{self, FastError};
use crossrealm_krb::key_usage;
use crossrealm_krb::messages::{
    Authenticator, AuthorizationDataElement, EncTicketPart, KdcReqBody, PaData, ad_type, decode,
    flags, kdc_option, pa_type,
};
use crossrealm_krb::pac::{FileTime, Pac, PacError};
use crossrealm_krb::transited;
use crossrealm_types::Sid;

/// The least RID of an account that an administrator created; those below belong to built-in accounts ([MS-SAMR] 3.1.1.9.2.1).
const FIRST_ACCOUNT_RID: u32 = 1000;

/// The element of a TGT of this realm that names the generation of its trust. Negative types are for local use (RFC 4120 §5.2.6);
/// it is inside of the encrypted part, which this realm alone writes and reads.
pub(crate) const AD_TRUST_GENERATION: i32 = -29_810;

/// Which realm issued the presented ticket.
pub(crate) enum Issuer<'a> {
    /// The on-premises realm: a referral TGT (RFC 4120 §1.2), encrypted with the trust key.
    Trust(&'a Trust),
    /// This realm itself: a TGT issued by an earlier exchange.
    Own,
}

/// The client of a presented ticket whose ticket, authenticator and PAC were all verified.
pub(crate) struct VerifiedClient {
    pub(crate) ticket: EncTicketPart,
    pub(crate) session_key: Key,
    pub(crate) subkey: Option<Key>,
    pub(crate) trust_key_version: Option<u32>,
    pub(crate) sid: Sid,
    /// The transited field of a ticket made from this one.
    pub(crate) transited: String,
    /// The generation of the trust that vouches for the client.
    pub(crate) generation: TrustGeneration,
}

/// The request that takes effect: the inner one of FAST where there is armor (RFC 6113 §5.4.2), else the outer one.
pub(crate) struct EffectiveRequest {
    pub(crate) body: KdcReqBody,
    pub(crate) padata: Vec<PaData>,
    pub(crate) armor: Option<Key>,
}

/// The decrypted ticket of the AP-REQ with its keys; the armor and the PAC are not verified yet.
pub(crate) struct HeaderTicket {
    pub(crate) ticket: EncTicketPart,
    session_key: Key,
    subkey: Option<Key>,
    /// The key that decrypted the ticket, which must have signed its PAC too.
    decrypted_with: Key,
    trust_key_version: Option<u32>,
}

/// Decrypts the ticket and verifies that the request comes from the client that holds it (RFC 4120 §3.2.3). `clock` takes what its
/// authenticator says of the clocks, also where the ticket is refused.
pub(crate) fn header_ticket(
    request: &TicketRequest,
    tenant: &Tenant,
    issuer: &Issuer<'_>,
    now: Now,
    clock: &mut Option<ClientClock>,
) -> Result<HeaderTicket, TicketRefusal> {
    let (ticket, decrypted_with, trust_key_version) = ticket(request, tenant, issuer, now)?;
    let read = aes_key(&ticket.key.to_key(), ticket.key.keytype, "session key")
        .and_then(|key| Ok((authenticator(request, &key)?, key)));
    // Where this service's clock is ahead, every ticket seems to have ended, and only the authenticator says why.
    *clock = read.as_ref().ok().map(|(authenticator, _)| ClientClock {
        client: format!("{}@{}", ticket.cname, ticket.crealm),
        lead_s: now.unix_s.saturating_sub(authenticator.ctime.0),
    });
    check_times(&ticket, now)?;
    let (authenticator, session_key) = read?;
    // RFC 4120 §3.2.3: a name in the authenticator other than the ticket's is KRB_AP_ERR_BADMATCH.
    if authenticator.crealm != ticket.crealm || !authenticator.cname.same_components(&ticket.cname)
    {
        return Err(Reason::AuthenticatorMismatch.because(format!(
            "the authenticator names {}@{}, the ticket {}@{}",
            authenticator.cname, authenticator.crealm, ticket.cname, ticket.crealm
        )));
    }
    // RFC 4120 §3.2.3, KRB_AP_ERR_SKEW. There is no replay cache: the reply to a replayed request is encrypted with a
    // key that only the client of the ticket has.
    let skew_s = now.unix_s.saturating_sub(authenticator.ctime.0);
    if skew_s.unsigned_abs() > CLOCK_SKEW_S.unsigned_abs() {
        return Err(Reason::ClockSkew.because(format!("the clocks differ by {skew_s} s")));
    }
    check_body(request, &authenticator, &session_key)?;
    // RFC 4120 §3.3.3: the reply is encrypted with the subkey where the authenticator holds one.
    let subkey = match &authenticator.subkey {
        Some(key) => Some(aes_key(&key.to_key(), key.keytype, "subkey")?),
        None => None,
    };
    Ok(HeaderTicket {
        ticket,
        session_key,
        subkey,
        decrypted_with,
        trust_key_version,
    })
}

/// The decrypted ticket (RFC 4120 §5.3), the key that decrypted it, and that key's version if it is a trust key.
fn ticket(
    request: &TicketRequest,
    tenant: &Tenant,
    issuer: &Issuer<'_>,
    now: Now,
) -> Result<(EncTicketPart, Key, Option<u32>), TicketRefusal> {
    let encrypted = &request.ap_req.ticket.enc_part;
    if Enctype::from_number(encrypted.etype).is_none() {
        return Err(Reason::EncryptionTypeNotSupported.because(format!(
            "the presented ticket has encryption type {}",
            encrypted.etype
        )));
    }
    // A TGT of this realm names the version of its key (RFC 4120 §5.2.9), because this realm wrote it.
    let candidates: Vec<(Option<u32>, &Key)> = match issuer {
        Issuer::Trust(trust) => trust_keys(trust, encrypted.kvno(), now.unix_s),
        Issuer::Own => tenant
            .krbtgt_keys
            .iter()
            .filter(|k| encrypted.kvno().is_none_or(|v| v == k.kvno))
            .map(|k| (None, &k.key))
            .collect(),
    };
    let (version, key, plain) = candidates
        .into_iter()
        .find_map(|(version, key)| {
            Some((
                version,
                key,
                encrypted.decrypt(key, key_usage::TICKET).ok()?,
            ))
        })
        .ok_or_else(|| {
            Reason::TicketIntegrity.because(format!(
                "issued by {}, encryption type {}, kvno {:?}",
                request.ap_req.ticket.realm, encrypted.etype, encrypted.kvno
            ))
        })?;
    let ticket = decode(&plain)
        .map_err(|e| Reason::MalformedTicket.because(format!("its encrypted part: {e}")))?;
    Ok((ticket, key.clone(), version))
}

/// The keys that may decrypt a referral, the likeliest first. AD mostly sends no key version; where it does, it counts
/// versions in its own way, so a version moves a key to the front and excludes none. The previous key stays valid because
/// a domain controller that the new trust password has not reached yet still encrypts with the old one; it ends with the
/// last ticket that such a domain controller can have encrypted, so that a stolen key does not work for ever.
fn trust_keys(trust: &Trust, kvno: Option<u32>, now_s: i64) -> Vec<(Option<u32>, &Key)> {
    let mut usable: Vec<_> = trust
        .keys
        .iter()
        .filter(|key| match key.state {
            KeyState::Current => true,
            KeyState::Previous { until } | KeyState::Retired { until } => now_s <= until,
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
        KeyState::Previous { .. } => 1,
        KeyState::Retired { .. } => 2,
    }
}

/// The ticket's life, RFC 4120 §3.2.3: KRB_AP_ERR_TKT_NYV before its start time (the sign-in time where it has none,
/// §5.3) or with the INVALID flag (§2.2), KRB_AP_ERR_TKT_EXPIRED after its end. The start may lie ahead by the clock
/// skew; the end may not lie behind by it, because a ticket must never outlive what its issuer allowed.
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

/// The key, where it has one of the AES encryption types of RFC 3962 and RFC 8009; all others are refused.
fn aes_key(key: &Option<Key>, keytype: i32, what: &str) -> Result<Key, TicketRefusal> {
    key.clone().ok_or_else(|| {
        Reason::EncryptionTypeNotSupported
            .because(format!("the {what} has encryption type {keytype}"))
    })
}

/// The decrypted authenticator (RFC 4120 §5.5.1), with the key usage of a TGS-REQ (§7.5.1, number 7).
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

/// The authenticator's checksum binds the request to the client (RFC 4120 §3.3.2): one that is missing or not keyed is
/// KRB_AP_ERR_INAPP_CKSUM, one that does not match is KRB_AP_ERR_MODIFIED. It covers the body as it was received: encoding
/// the decoded body again could give other bytes.
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

/// Unwraps FAST, if there is any (RFC 6113 §5.4.2). The armor of a TGS-REQ is implicit: its key comes from the session key
/// and the authenticator's subkey, which must therefore be there (§5.4.1.1).
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
        // Explicit armor would add a second ticket (compound identity, [MS-KILE] 3.3.5.7.4); an unknown critical option
        // must be refused (RFC 6113 §5.4.2).
        Err(error @ (FastError::ExplicitArmor | FastError::UnknownOption)) => {
            Err(Reason::OptionNotSupported.because(error.to_string()))
        }
        Err(error) => Err(Reason::ArmorIntegrity.because(error.to_string())),
    }
}

/// Options (RFC 4120 §5.4.1) that a cloud trust does not serve, with their names in refusals: user-to-user (§2.9.2),
/// constrained delegation ([MS-SFU] 3.2.5.2), postdated (§2.4), forwarded (§2.6) and proxy tickets (§2.5).
const REFUSED_OPTIONS: [(u32, &str); 7] = [
    (kdc_option::ENC_TKT_IN_SKEY, "user-to-user"),
    (kdc_option::CNAME_IN_ADDL_TKT, "constrained delegation"),
    (kdc_option::POSTDATED, "a postdated ticket"),
    (kdc_option::VALIDATE, "validation of a postdated ticket"),
    (kdc_option::FORWARDED, "a forwarded ticket"),
    (kdc_option::PROXY, "a proxy ticket"),
    (kdc_option::ALLOW_POSTDATE, "postdating"),
];

/// Refuses requests for delegation, postdating and the like with KDC_ERR_BADOPTION.
pub(crate) fn check_options(effective: &EffectiveRequest) -> Result<(), TicketRefusal> {
    for (option, name) in REFUSED_OPTIONS {
        if effective.body.kdc_options.has(option) {
            return Err(Reason::OptionNotSupported.because(format!("asked for {name}")));
        }
    }
    // RFC 4120 §5.4.1: additional tickets belong to user-to-user and, in [MS-SFU], to constrained delegation.
    if effective
        .body
        .additional_tickets
        .as_ref()
        .is_some_and(|t| !t.is_empty())
    {
        return Err(Reason::OptionNotSupported.because("additional tickets came"));
    }
    // [MS-SFU] 2.2.1 and 2.2.2: a service asks for a ticket in the name of a user who has not signed in to it.
    for s4u in [pa_type::FOR_USER, pa_type::S4U_X509_USER] {
        if PaData::find(&effective.padata, s4u).is_some() {
            return Err(Reason::OptionNotSupported.because("asked for a ticket of another user"));
        }
    }
    Ok(())
}

/// Verifies the PAC and establishes who the client is: by SID, never by name. A name can be given to another account; a
/// KDC that looks the account up by name issues a ticket for the wrong one (CVE-2021-42287).
pub(crate) fn verified_client(
    header: HeaderTicket,
    tenant: &Tenant,
    issuer: &Issuer<'_>,
) -> Result<VerifiedClient, TicketRefusal> {
    let pac = verified_pac(&header, issuer)?;
    let sid = client_sid(&pac, &header.ticket)?;
    let (forest, domain) = client_domain(tenant, issuer, &header.ticket)?;
    if let Issuer::Own = issuer {
        check_generation(&header.ticket, forest)?;
    }
    // SID filtering, [MS-PAC] 4.1.2.2: a domain may vouch for its own accounts alone.
    if !sid.is_in_domain(&domain.sid) {
        return Err(Reason::SidOutsideDomain.because(format!(
            "SID {sid} of a client of {}, whose SID is {}",
            domain.realm, domain.sid
        )));
    }
    let transited = match issuer {
        Issuer::Trust(trust) => checked_path(trust, &header.ticket)?,
        // Written by this realm when it issued the ticket, and checked then.
        Issuer::Own => String::from_utf8_lossy(&header.ticket.transited.contents).into_owned(),
    };
    // Built-in accounts such as Administrator are excluded, so that control of the cloud does not follow from a domain's most
    // powerful account, nor the reverse (`docs/design.md` 6.2).
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
        generation: forest.generation,
    })
}

/// A TGT of this realm lives on the word of the trust that it came through. Where that trust was removed, or its key was
/// stolen, the word is void: a TGT that a thief bought with a forged referral must not outlive the stolen key by its renewals.
/// KDC_ERR_TGT_REVOKED, RFC 4120 §7.5.9.
fn check_generation(ticket: &EncTicketPart, forest: &Forest) -> Result<(), TicketRefusal> {
    let elements = ticket.authorization_data.as_deref().unwrap_or_default();
    let inner = if_relevant(elements)?;
    let named = inner
        .iter()
        .find(|element| element.ad_type == AD_TRUST_GENERATION)
        .map_or(&TrustGeneration::UNNAMED.0[..], |element| &element.data);
    if *named == forest.generation.0 {
        return Ok(());
    }
    Err(Reason::TrustReplaced.because(format!(
        "it was issued for a client of {} before that",
        ticket.crealm
    )))
}

/// The one PAC of the ticket. Its server signature ([MS-PAC] 2.8.1) must be made with the key that decrypted the ticket. The
/// KDC signature (2.8.2) of a referral is made with the key of AD's own krbtgt, which this realm does not have; on a TGT of
/// this realm both are verified. A TGT has no ticket signature (2.8.3).
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
        Issuer::Trust(_) => pac.verify_server(&header.decrypted_with),
        Issuer::Own => pac.verify_all(&header.decrypted_with, &header.decrypted_with, None),
    };
    verified.map_err(|e| Reason::PacSignature.because(e.to_string()))?;
    Ok(pac)
}

/// The bytes of the AD-WIN2K-PAC in AD-IF-RELEVANT (RFC 4120 §5.2.6.1, [MS-PAC] 2). A TGT without a PAC is refused, unlike
/// in [MS-KILE] 3.3.5.7.2: the SID in the PAC is the only identity accepted. Two PACs would leave open which one takes effect.
fn pac_bytes(elements: &[AuthorizationDataElement]) -> Result<Vec<u8>, TicketRefusal> {
    let mut pacs = if_relevant(elements)?;
    pacs.retain(|element| element.ad_type == ad_type::WIN2K_PAC);
    match pacs.as_slice() {
        [pac] => Ok(pac.data.to_vec()),
        [] => Err(Reason::PacMissing.because("no AD-WIN2K-PAC in the ticket")),
        _ => Err(Reason::PacMalformed.because("more than one PAC in the ticket")),
    }
}

/// The elements in AD-IF-RELEVANT (RFC 4120 §5.2.6.1).
fn if_relevant(
    elements: &[AuthorizationDataElement],
) -> Result<Vec<AuthorizationDataElement>, TicketRefusal> {
    let mut found = Vec::new();
    for element in elements
        .iter()
        .filter(|e| e.ad_type == ad_type::IF_RELEVANT)
    {
        let inner: Vec<AuthorizationDataElement> = decode(&element.data)
            .map_err(|e| Reason::PacMalformed.because(format!("AD-IF-RELEVANT: {e}")))?;
        found.extend(inner);
    }
    Ok(found)
}

/// The client's SID, from KERB_VALIDATION_INFO ([MS-PAC] 2.5). Every buffer that names the client must agree:
/// PAC_CLIENT_INFO (2.7) with the ticket's client name and sign-in time, PAC_REQUESTOR (2.15) and UPN_DNS_INFO (2.10) with the
/// SID. Otherwise the PAC of one sign-in could be put into a ticket of another.
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

/// The registered domain of the client's realm, and its forest; a trust vouches for the domains of its forest alone
/// ([MS-PAC] 4.1.2.2).
fn client_domain<'a>(
    tenant: &'a Tenant,
    issuer: &Issuer<'a>,
    ticket: &EncTicketPart,
) -> Result<(&'a Forest, &'a ForestDomain), TicketRefusal> {
    let realm = ticket.crealm.as_str();
    let trust = match issuer {
        Issuer::Trust(trust) => Some(*trust),
        Issuer::Own => None,
    };
    forest(tenant, trust, realm)
        .and_then(|forest| {
            let domain = forest.domains.iter().find(|d| d.realm == realm)?;
            Some((forest, domain))
        })
        .ok_or_else(|| Reason::ClientRealmNotTrusted.because(format!("client realm {realm}")))
}

/// The forest that a client of `realm` belongs to: that of the trust that issued its ticket, or, for a TGT of our own, whichever
/// forest of the tenant has that realm.
pub(crate) fn forest<'a>(
    tenant: &'a Tenant,
    trust: Option<&'a Trust>,
    realm: &str,
) -> Option<&'a Forest> {
    match trust {
        Some(trust) => Some(&trust.forest),
        None => tenant
            .forests
            .iter()
            .find(|forest| forest.domains.iter().any(|d| d.realm == realm)),
    }
}

/// The transited field of the new ticket (RFC 4120 §3.3.3.2): the realms of the presented one, and its issuer unless the client is
/// of that realm. The transited policy is checked here (§2.7), and the new ticket is flagged so: every realm must be a registered
/// domain of the forest, else KDC_ERR_PATH_NOT_ACCEPTED.
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
        .find(|realm| !trust.forest.domains.iter().any(|d| d.realm == **realm))
    {
        return Err(refuse(format!("{unknown} is not a domain of the forest")));
    }
    if client != trust.realm && !realms.contains(&trust.realm) {
        realms.push(trust.realm.clone());
    }
    Ok(transited::encode(&realms))
}
