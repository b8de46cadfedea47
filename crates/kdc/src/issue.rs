//! Issuing the ticket and the reply: RFC 4120 §3.3.3 (ticket), §5.4.2 (reply), RFC 6113 §5.4.3 (FAST), [MS-PAC] 4.1.2 (PAC).
//!
//! The PAC is built from the tenant's own directory alone; of the presented ticket only the client's name, its sign-in
//! time and its bounds live on. What was signed is verified again before it leaves.

use crate::Now;
use crate::event::{Reason, TicketRefusal};
use crate::open::{AD_TRUST_GENERATION, EffectiveRequest, VerifiedClient};
use crate::records::{Identity, Policy, ServiceKey, Tenant};
use crossrealm_krb::crypto::{Enctype, Key};
use crossrealm_krb::fast::{self, FastFinished, FastResponse};
use crossrealm_krb::key_usage;
use crossrealm_krb::messages::{
    AuthorizationData, AuthorizationDataElement, Checksum, EncKdcRepPart, EncTgsRepPart,
    EncTicketPart, EncryptedData, EncryptionKey, KdcRep, KerberosFlags, KerberosTime, LastReq,
    PVNO, PaData, PaPacOptions, PrincipalName, TgsRep, Ticket, TransitedEncoding, ad_type, encode,
    flags, kdc_option, pa_type,
};
use crossrealm_krb::pac::{
    self, Attributes, Buffer, ClientInfo, FileTime, LogonInfo, Pac, UpnAccount, UpnDnsInfo,
};
use crossrealm_krb::random::Random;
use crossrealm_types::Sid;

/// The encryption types that every current Kerberos service supports, RFC 3962.
const EVERYWHERE: [Enctype; 2] = [Enctype::Aes256Sha1, Enctype::Aes128Sha1];

/// What the ticket is for.
pub(crate) enum Target<'a> {
    /// A service with its keys; the first encrypts.
    Service(&'a [ServiceKey]),
    /// The ticket-granting service of this realm.
    TicketGranting,
}

/// All that goes into a ticket.
pub(crate) struct Issue<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) client: &'a VerifiedClient,
    pub(crate) effective: &'a EffectiveRequest,
    pub(crate) sname: &'a PrincipalName,
    pub(crate) target: Target<'a>,
    pub(crate) identity: &'a Identity,
    pub(crate) groups: Vec<&'a Sid>,
    /// The bytes of the request, which a protected reply can prove.
    pub(crate) raw_request: &'a [u8],
    pub(crate) now: Now,
}

/// A finished reply, and what the event records of it.
pub(crate) struct Issued {
    pub(crate) reply: Vec<u8>,
    pub(crate) ticket_etype: i32,
    pub(crate) kvno: u32,
    pub(crate) ends_at: i64,
}

/// The times of the new ticket, in Unix seconds.
struct Times {
    start: i64,
    end: i64,
    renew_till: Option<i64>,
}

impl Issue<'_> {
    /// Makes the ticket and the encrypted reply.
    pub(crate) fn issue(&self, random: &mut dyn Random) -> Result<Issued, TicketRefusal> {
        let ticket_key = self.ticket_key()?;
        let session_key = Key::generate(self.session_enctype()?, random);
        let times = self.times()?;
        let part = self.ticket_part(&session_key, &times, &ticket_key.key)?;
        let plain = zeroize::Zeroizing::new(encode(&part).map_err(internal)?);
        let ticket = Ticket {
            tkt_vno: PVNO,
            realm: self.tenant.realm.as_str().into(),
            sname: self.sname.clone(),
            enc_part: EncryptedData::encrypt(
                &ticket_key.key,
                Some(ticket_key.kvno),
                key_usage::TICKET,
                &plain,
                random,
            ),
        };
        Ok(Issued {
            reply: self.reply(ticket, &part, random)?,
            ticket_etype: ticket_key.key.enctype().number(),
            kvno: ticket_key.kvno,
            ends_at: times.end,
        })
    }

    fn ticket_key(&self) -> Result<&ServiceKey, TicketRefusal> {
        match &self.target {
            Target::Service(keys) => keys.first(),
            Target::TicketGranting => self.tenant.krbtgt_keys.first(),
        }
        .ok_or_else(|| Reason::Internal.because("the service has no key"))
    }

    fn krbtgt_key(&self) -> Result<&Key, TicketRefusal> {
        self.tenant
            .krbtgt_keys
            .first()
            .map(|k| &k.key)
            .ok_or_else(|| Reason::Internal.because("the tenant has no krbtgt key"))
    }

    /// The session key's encryption type: the first of the client's list that the service supports (RFC 4120 §3.1.3, which
    /// §3.3.3 refers to), which is one it has a key of, or one that every service supports. Otherwise KDC_ERR_ETYPE_NOSUPP.
    fn session_enctype(&self) -> Result<Enctype, TicketRefusal> {
        let understood = |e: &Enctype| match &self.target {
            Target::TicketGranting => true,
            Target::Service(keys) => {
                EVERYWHERE.contains(e) || keys.iter().any(|k| k.key.enctype() == *e)
            }
        };
        self.effective
            .body
            .etype
            .iter()
            .filter_map(|number| Enctype::from_number(*number))
            .find(understood)
            .ok_or_else(|| {
                Reason::EncryptionTypeNotSupported
                    .because(format!("the client offers {:?}", self.effective.body.etype))
            })
    }

    /// The times of the new ticket, RFC 4120 §3.3.3: its end is the earliest of what was asked for, the end of the presented
    /// ticket and the tenant's policy (`docs/design.md` 6.6).
    fn times(&self) -> Result<Times, TicketRefusal> {
        let Policy {
            max_ticket_life_s,
            max_renewable_life_s,
            ..
        } = self.tenant.policy;
        let old = &self.client.ticket;
        let start = self.now.unix_s;
        if self.effective.body.kdc_options.has(kdc_option::RENEW) {
            return self.renewed_times(start);
        }
        // RFC 4120 §5.4.1: an end time of zero asks for the latest that is permitted.
        let wanted = match self.effective.body.till.0 {
            0 => i64::MAX,
            till => till,
        };
        let end = wanted
            .min(old.endtime.0)
            .min(start.saturating_add(i64::from(max_ticket_life_s)));
        if end <= start {
            return Err(Reason::NeverValid.because(format!("asked for the end time {wanted}")));
        }
        // RFC 4120 §2.3: only a TGT is renewable, and only where the presented one was; a service ticket is asked for anew.
        let renewable = matches!(self.target, Target::TicketGranting)
            && old.flags.has(flags::RENEWABLE)
            && self.effective.body.kdc_options.has(kdc_option::RENEWABLE);
        let renew_till = old
            .renew_till
            .filter(|_| renewable)
            .map(|t| {
                let wanted = self.effective.body.rtime.map_or(i64::MAX, |r| r.0);
                t.0.min(wanted)
                    .min(start.saturating_add(i64::from(max_renewable_life_s)))
            })
            .filter(|till| *till > end);
        Ok(Times {
            start,
            end,
            renew_till,
        })
    }

    /// Renewal (RFC 4120 §2.3, §3.3.3): the new ticket lives as long as the old one did, until the renewal time ends. Only a
    /// TGT of this realm is renewed; a referral is renewed by AD, which knows whether the account still exists.
    fn renewed_times(&self, start: i64) -> Result<Times, TicketRefusal> {
        let old = &self.client.ticket;
        if self.client.trust_key_version.is_some() || !matches!(self.target, Target::TicketGranting)
        {
            return Err(Reason::OptionNotSupported.because("asked to renew a ticket of AD"));
        }
        let Some(renew_till) = old.renew_till.filter(|_| old.flags.has(flags::RENEWABLE)) else {
            return Err(Reason::OptionNotSupported.because("asked to renew what is not renewable"));
        };
        let life = old
            .endtime
            .0
            .saturating_sub(old.starttime.unwrap_or(old.authtime).0);
        let end = start
            .saturating_add(life.min(i64::from(self.tenant.policy.max_ticket_life_s)))
            .min(renew_till.0);
        if end <= start {
            return Err(Reason::TicketExpired.because("its renewal has ended"));
        }
        Ok(Times {
            start,
            end,
            renew_till: Some(renew_till.0),
        })
    }

    fn ticket_flags(&self, times: &Times) -> KerberosFlags {
        let old = self.client.ticket.flags;
        // RFC 4120 §2.7: the transited realms were checked. RFC 6806 §11: the reply can carry encrypted padata.
        let mut new = flags::TRANSITED_POLICY_CHECKED | flags::ENC_PA_REP;
        if old.has(flags::FORWARDABLE)
            && self.effective.body.kdc_options.has(kdc_option::FORWARDABLE)
        {
            new |= flags::FORWARDABLE;
        }
        if times.renew_till.is_some() {
            new |= flags::RENEWABLE;
        }
        // RFC 4120 §2.1: how the client authenticated to AD does not change. INITIAL is never copied, since this is not the
        // AS exchange; neither is OK-AS-DELEGATE (§2.8), nor the flags of postdated, forwarded and proxy tickets.
        new |= old.0 & (flags::PRE_AUTHENT | flags::HW_AUTHENT);
        KerberosFlags(new)
    }

    fn ticket_part(
        &self,
        session_key: &Key,
        times: &Times,
        server_key: &Key,
    ) -> Result<EncTicketPart, TicketRefusal> {
        let old = &self.client.ticket;
        let mut part = EncTicketPart {
            flags: self.ticket_flags(times),
            key: EncryptionKey::from(session_key),
            crealm: old.crealm.clone(),
            cname: old.cname.clone(),
            transited: TransitedEncoding {
                tr_type: 1,
                contents: self.client.transited.clone().into_bytes().into(),
            },
            authtime: old.authtime,
            starttime: Some(KerberosTime(times.start)),
            endtime: KerberosTime(times.end),
            renew_till: times.renew_till.map(KerberosTime),
            caddr: None,
            // RFC 4120 §5.3: no addresses, so that the ticket works behind address translation. [MS-PAC] 2.8.3: the ticket
            // signature covers the ticket with one zero byte in the place of the PAC.
            authorization_data: Some(self.authorization_data(vec![0])?),
        };
        let krbtgt = self.krbtgt_key()?;
        // [MS-PAC] 2.8.3: service tickets carry a ticket signature, TGTs do not.
        let unsigned = match self.target {
            Target::Service(_) => Some(encode(&part).map_err(internal)?),
            Target::TicketGranting => None,
        };
        let pac = pac::sign(&self.pac_buffers(), server_key, krbtgt, unsigned.as_deref())
            .map_err(internal)?;
        // Verified before it leaves: a defect of the encoder must not become a ticket that some servers accept.
        Pac::decode(&pac)
            .and_then(|p| p.verify_all(server_key, krbtgt, unsigned.as_deref()))
            .map_err(internal)?;
        part.authorization_data = Some(self.authorization_data(pac)?);
        Ok(part)
    }

    /// AD-IF-RELEVANT (RFC 4120 §5.2.6.1) with one AD-WIN2K-PAC, as [MS-PAC] 2 has it; in a TGT also the generation of the
    /// trust, without which the TGT would survive the trust's removal.
    fn authorization_data(&self, pac: Vec<u8>) -> Result<AuthorizationData, TicketRefusal> {
        let element = |ad_type, data: Vec<u8>| AuthorizationDataElement {
            ad_type,
            data: data.into(),
        };
        let mut inner: AuthorizationData = vec![element(ad_type::WIN2K_PAC, pac)];
        if matches!(self.target, Target::TicketGranting) {
            let generation = self.client.generation.0.to_vec();
            inner.push(element(AD_TRUST_GENERATION, generation));
        }
        let inner = encode(&inner).map_err(internal)?;
        Ok(vec![element(ad_type::IF_RELEVANT, inner)])
    }

    /// The PAC's content, from the tenant's directory alone: nothing but the sign-in time is taken from the presented PAC, so
    /// that a domain cannot add groups. KERB_VALIDATION_INFO ([MS-PAC] 2.5), PAC_CLIENT_INFO (2.7), UPN_DNS_INFO (2.10); in a TGT
    /// also PAC_ATTRIBUTES_INFO (2.14) and PAC_REQUESTOR (2.15).
    fn pac_buffers(&self) -> Vec<Buffer> {
        let identity = self.identity;
        let auth_time = FileTime::from_unix_seconds(self.client.ticket.authtime.0);
        let domain_sid = identity
            .sid
            .domain()
            .unwrap_or_else(|| identity.sid.clone());
        let mut info = LogonInfo::new(
            domain_sid,
            identity.sid.rid(),
            identity.primary_group_rid,
            &identity.account_name,
        );
        info.logon_time = auth_time;
        info.full_name = identity.display_name.as_str().into();
        info.logon_domain = identity.domain_flat_name.as_str().into();
        info.set_groups(self.groups.iter().copied());
        let upn_is_constructed = identity.upn.is_empty();
        let upn = if upn_is_constructed {
            format!("{}@{}", identity.account_name, identity.domain_dns_name)
        } else {
            identity.upn.clone()
        };
        let mut buffers = vec![
            Buffer::LogonInfo(Box::new(info)),
            Buffer::ClientInfo(ClientInfo {
                auth_time,
                name: self.client.ticket.cname.to_string(),
            }),
            Buffer::UpnDns(UpnDnsInfo {
                upn,
                dns_domain_name: identity.domain_dns_name.to_uppercase(),
                upn_is_constructed,
                account: Some(UpnAccount {
                    name: identity.account_name.clone(),
                    sid: identity.sid.clone(),
                }),
            }),
        ];
        if matches!(self.target, Target::TicketGranting) {
            buffers.push(Buffer::Attributes(Attributes::requested()));
            buffers.push(Buffer::Requester(identity.sid.clone()));
        }
        buffers
    }

    fn reply(
        &self,
        ticket: Ticket,
        part: &EncTicketPart,
        random: &mut dyn Random,
    ) -> Result<Vec<u8>, TicketRefusal> {
        // RFC 4120 §3.3.3, key usages 9 and 8 of §7.5.1.
        let (mut reply_key, usage) = match &self.client.subkey {
            Some(subkey) => (subkey.clone(), key_usage::TGS_REP_SUBKEY),
            None => (self.client.session_key.clone(), key_usage::TGS_REP_SESSION),
        };
        let mut padata = None;
        if let Some(armor) = &self.effective.armor {
            // RFC 6113 §5.4.3: the strengthen key makes the reply key depend on randomness of the KDC.
            let strengthen = Key::generate(reply_key.enctype(), random);
            reply_key = fast::strengthened_reply_key(&strengthen, &reply_key);
            let response = self.fast_response(armor, &strengthen, &ticket, part)?;
            let value = fast::wrap_response(&response, armor, random).map_err(internal)?;
            padata = Some(vec![PaData::new(pa_type::FX_FAST, value)]);
        }
        let inside = EncTgsRepPart(self.reply_part(part, &reply_key)?);
        let plain = zeroize::Zeroizing::new(encode(&inside).map_err(internal)?);
        encode(&TgsRep(KdcRep {
            pvno: PVNO,
            msg_type: TgsRep::MSG_TYPE,
            padata,
            crealm: part.crealm.clone(),
            cname: part.cname.clone(),
            ticket,
            enc_part: EncryptedData::encrypt(&reply_key, None, usage, &plain, random),
        }))
        .map_err(internal)
    }

    /// The FAST response with `finished`, whose checksum binds the ticket to the armor (RFC 6113 §5.4.3).
    fn fast_response(
        &self,
        armor: &Key,
        strengthen: &Key,
        ticket: &Ticket,
        part: &EncTicketPart,
    ) -> Result<FastResponse, TicketRefusal> {
        let ticket = encode(ticket).map_err(internal)?;
        Ok(FastResponse {
            padata: vec![],
            strengthen_key: Some(EncryptionKey::from(strengthen)),
            finished: Some(FastFinished {
                timestamp: KerberosTime(self.now.unix_s),
                usec: self.now.micros,
                crealm: part.crealm.clone(),
                cname: part.cname.clone(),
                ticket_checksum: Checksum::make(armor, key_usage::FAST_FINISHED, &ticket),
            }),
            nonce: self.effective.body.nonce,
        })
    }

    /// What the client accepts only encrypted: the proof that its request arrived unchanged and that FAST is
    /// supported (RFC 6806 §11), and which PAC options apply ([MS-KILE] 2.2.10; none of them does).
    fn protected_padata(&self, reply_key: &Key) -> Result<Option<Vec<PaData>>, TicketRefusal> {
        let mut padata = Vec::new();
        if PaData::find(&self.effective.padata, pa_type::REQ_ENC_PA_REP).is_some() {
            let proof = Checksum::make(reply_key, key_usage::AS_REQ, self.raw_request);
            let proof = encode(&proof).map_err(internal)?;
            padata.push(PaData::new(pa_type::REQ_ENC_PA_REP, proof));
            padata.push(PaData::new(pa_type::FX_FAST, vec![]));
        }
        if PaData::find(&self.effective.padata, pa_type::PAC_OPTIONS).is_some() {
            let none = PaPacOptions {
                flags: KerberosFlags(0),
            };
            let none = encode(&none).map_err(internal)?;
            padata.push(PaData::new(pa_type::PAC_OPTIONS, none));
        }
        Ok(Some(padata).filter(|p| !p.is_empty()))
    }

    fn reply_part(
        &self,
        part: &EncTicketPart,
        reply_key: &Key,
    ) -> Result<EncKdcRepPart, TicketRefusal> {
        Ok(EncKdcRepPart {
            key: part.key.clone(),
            last_req: vec![LastReq {
                lr_type: 0,
                lr_value: KerberosTime(self.now.unix_s),
            }],
            nonce: self.effective.body.nonce,
            key_expiration: None,
            flags: part.flags,
            authtime: part.authtime,
            starttime: part.starttime,
            endtime: part.endtime,
            renew_till: part.renew_till,
            srealm: self.tenant.realm.as_str().into(),
            sname: self.sname.clone(),
            caddr: None,
            encrypted_pa_data: self.protected_padata(reply_key)?,
        })
    }
}

fn internal(error: impl std::fmt::Display) -> TicketRefusal {
    Reason::Internal.because(error.to_string())
}
