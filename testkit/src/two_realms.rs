//! The test world: an on-premises realm that issues referrals, a tenant that trusts it, and a clock, all in memory.
//!
//! `TwoRealms` owns every key of both sides, so a test, a fuzzer or a bench can make an honest request, change any one
//! thing in it before it is signed and encrypted ([`Referral`], [`RequestDraft`]), and drive the exchange to its end.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test support: a world that cannot be built must stop the test"
)]
#![allow(
    missing_docs,
    reason = "fields are named after the messages they go into"
)]

use crossrealm_kdc::{
    Event, EventId, Exchange, ExchangeStep, Forest, ForestDomain, Identity, KeyState, Now, Policy,
    Records, Service, ServiceKey, ServiceName, Tenant, TenantId, Trust, TrustGeneration, TrustKey,
    Wanted,
};
use crossrealm_krb::crypto::{Enctype, Key};
use crossrealm_krb::fast::{self, FastReq};
use crossrealm_krb::key_usage;
use crossrealm_krb::messages::{
    ApReq, Authenticator, AuthorizationDataElement, Checksum, EncKdcRepPart, EncTgsRepPart,
    EncTicketPart, EncryptedData, EncryptionKey, KdcReq, KdcReqBody, KerberosFlags, KerberosTime,
    KrbError, PVNO, PaData, PrincipalName, TgsRep, TgsReq, Ticket, TransitedEncoding, ad_type,
    decode, encode, flags, kdc_option, name_type, pa_type,
};
use crossrealm_krb::pac::{self, Buffer, ClientInfo, FileTime, LogonInfo, UpnAccount, UpnDnsInfo};
use crossrealm_types::{IdentityKind, IdentitySource, IdentityState, Sid};
use std::sync::Arc;

pub const AD_REALM: &str = "CORP.CONTOSO.COM";
pub const TENANT_REALM: &str = "KERBEROS.CONTOSO.CLOUD.EXAMPLE";
pub const SHARE_HOST: &str = "acct1.file.contoso.cloud.example";
/// 2027-01-15 08:00:00 UTC.
pub const START_S: i64 = 1_800_000_000;

/// Both realms.
pub struct TwoRealms {
    pub now: Now,
    pub tenant: Tenant,
    pub trust: Trust,
    pub service: Service,
    pub service_name: ServiceName,
    pub identities: Vec<Identity>,
    pub trust_key: Key,
    /// The key of AD's own krbtgt, which signs the PAC of a referral too.
    pub ad_krbtgt: Key,
    counter: u64,
}

/// A referral TGT before it is signed and encrypted.
pub struct Referral {
    pub part: EncTicketPart,
    /// The PAC's content; `None` leaves the PAC out.
    pub pac: Option<Vec<Buffer>>,
    /// Signs the PAC as the server.
    pub pac_key: Key,
    /// Encrypts the ticket.
    pub ticket_key: Key,
    pub kvno: Option<u32>,
    pub realm: String,
    pub sname: PrincipalName,
    /// Changes the signed PAC's bytes.
    pub tamper_pac: Option<fn(&mut Vec<u8>)>,
}

/// A TGS request before it is signed and encrypted.
pub struct RequestDraft {
    pub body: KdcReqBody,
    pub authenticator: Authenticator,
    /// Whether the authenticator gets the checksum of the body.
    pub checksum: bool,
    pub fast: bool,
    pub padata: Vec<PaData>,
}

/// How an exchange ended.
#[derive(Debug)]
pub enum Ending {
    Reply(Vec<u8>, Event),
    Dropped(Event),
}

/// A decrypted reply.
pub struct Granted {
    pub part: EncKdcRepPart,
    pub ticket: Ticket,
    /// The encrypted part of the ticket, decrypted with the service's key.
    pub enc_part: EncTicketPart,
    pub event: Event,
}

impl Default for TwoRealms {
    fn default() -> Self {
        Self::new()
    }
}

impl TwoRealms {
    pub fn new() -> Self {
        let key = |byte: u8| Key::new(Enctype::Aes256Sha1, &[byte; 32]).unwrap();
        let domain_sid: Sid = "S-1-5-21-1111-2222-3333".parse().unwrap();
        let group = |rid| domain_sid.with_rid(rid).unwrap();
        let identities = vec![Identity {
            sid: group(1104),
            kind: IdentityKind::User,
            source: IdentitySource::Hybrid,
            state: IdentityState::Enabled,
            account_name: "alice".into(),
            upn: "alice@corp.contoso.com".into(),
            display_name: "Alice Müller".into(),
            domain_dns_name: "corp.contoso.com".into(),
            domain_flat_name: "CORP".into(),
            primary_group_rid: 513,
            groups: vec![group(513), group(1201), group(1200)],
        }];
        Self {
            now: Now {
                unix_s: START_S,
                micros: 0,
            },
            tenant: Tenant {
                id: TenantId([7; 16]),
                name: "contoso".into(),
                realm: TENANT_REALM.into(),
                krbtgt_keys: vec![ServiceKey {
                    kvno: 1,
                    key: key(1),
                }],
                policy: Policy {
                    max_ticket_life_s: 36_000,
                    max_renewable_life_s: 604_800,
                    allow_low_rids: false,
                },
                forests: vec![],
            },
            trust: Trust {
                realm: AD_REALM.into(),
                forest: Forest {
                    generation: TrustGeneration([9; 16]),
                    domains: vec![ForestDomain {
                        realm: AD_REALM.into(),
                        dns_name: "corp.contoso.com".into(),
                        flat_name: "CORP".into(),
                        sid: domain_sid,
                    }],
                },
                keys: vec![TrustKey {
                    version: 1,
                    state: KeyState::Current,
                    keys: vec![key(2)],
                }],
            },
            service: Service {
                name: "acct1".into(),
                keys: vec![
                    ServiceKey {
                        kvno: 1,
                        key: key(3),
                    },
                    ServiceKey {
                        kvno: 2,
                        key: key(4),
                    },
                ],
            },
            service_name: ServiceName::new("cifs", SHARE_HOST),
            identities,
            trust_key: key(2),
            ad_krbtgt: key(5),
            counter: 0,
        }
    }

    /// Fills `bytes` from a counter: different every time, the same in every run.
    pub fn random(&mut self) -> impl FnMut(&mut [u8]) + use<'_> {
        |bytes: &mut [u8]| {
            for chunk in bytes.chunks_mut(8) {
                self.counter = self.counter.wrapping_add(0x9E37_79B9_7F4A_7C15);
                let mixed =
                    (self.counter ^ (self.counter >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                for (to, from) in chunk.iter_mut().zip(mixed.to_le_bytes()) {
                    *to = from;
                }
            }
        }
    }

    pub fn session_key(&self) -> Key {
        Key::new(Enctype::Aes256Sha1, &[0x5E; 32]).unwrap()
    }

    pub fn subkey(&self) -> Key {
        Key::new(Enctype::Aes256Sha1, &[0x5B; 32]).unwrap()
    }

    /// Alice's honest referral TGT.
    pub fn referral(&self) -> Referral {
        let alice = &self.identities.first().unwrap();
        let authtime = self.now.unix_s - 60;
        let cname = PrincipalName::new(name_type::PRINCIPAL, &["alice"]);
        let domain = alice.sid.domain().unwrap();
        let mut info = LogonInfo::new(domain, alice.sid.rid(), 513, "alice");
        info.logon_domain = "CORP".into();
        info.set_groups(alice.groups.iter());
        let auth_time = FileTime::from_unix_seconds(authtime);
        Referral {
            part: EncTicketPart {
                flags: KerberosFlags(flags::FORWARDABLE | flags::PRE_AUTHENT | flags::RENEWABLE),
                key: EncryptionKey::from(&self.session_key()),
                crealm: AD_REALM.into(),
                cname: cname.clone(),
                transited: TransitedEncoding {
                    tr_type: 1,
                    contents: vec![].into(),
                },
                authtime: KerberosTime(authtime),
                starttime: Some(KerberosTime(authtime)),
                endtime: KerberosTime(authtime + 36_000),
                renew_till: Some(KerberosTime(authtime + 604_800)),
                caddr: None,
                authorization_data: None,
            },
            pac: Some(vec![
                Buffer::LogonInfo(Box::new(info)),
                Buffer::ClientInfo(ClientInfo {
                    auth_time,
                    name: "alice".into(),
                }),
                Buffer::UpnDns(UpnDnsInfo {
                    upn: alice.upn.clone(),
                    dns_domain_name: AD_REALM.into(),
                    upn_is_constructed: false,
                    account: Some(UpnAccount {
                        name: "alice".into(),
                        sid: alice.sid.clone(),
                    }),
                }),
                Buffer::Requester(alice.sid.clone()),
            ]),
            pac_key: self.trust_key.clone(),
            ticket_key: self.trust_key.clone(),
            kvno: None,
            realm: AD_REALM.into(),
            sname: PrincipalName::krbtgt(TENANT_REALM),
            tamper_pac: None,
        }
    }

    /// An honest request for the share with the ticket of `part`.
    pub fn request_draft(&self) -> RequestDraft {
        RequestDraft {
            body: KdcReqBody {
                kdc_options: KerberosFlags(kdc_option::FORWARDABLE | kdc_option::CANONICALIZE),
                cname: None,
                realm: TENANT_REALM.into(),
                sname: Some(PrincipalName::new(
                    name_type::SRV_HST,
                    &["cifs", SHARE_HOST],
                )),
                from: None,
                till: KerberosTime(self.now.unix_s + 36_000),
                rtime: None,
                nonce: 12345,
                etype: vec![18, 17, 20, 19, 23],
                addresses: None,
                enc_authorization_data: None,
                additional_tickets: None,
            },
            authenticator: Authenticator {
                authenticator_vno: PVNO,
                crealm: AD_REALM.into(),
                cname: PrincipalName::new(name_type::PRINCIPAL, &["alice"]),
                cksum: None,
                cusec: 0,
                ctime: KerberosTime(self.now.unix_s),
                subkey: Some(EncryptionKey::from(&self.subkey())),
                seq_number: None,
                authorization_data: None,
            },
            checksum: true,
            fast: false,
            padata: vec![],
        }
    }

    /// Signs and encrypts a referral.
    pub fn encrypt_referral(&mut self, referral: Referral) -> Ticket {
        let mut part = referral.part;
        if let Some(buffers) = referral.pac {
            let mut pac =
                pac::sign(&buffers, &referral.pac_key, &self.ad_krbtgt, None).unwrap_or_default();
            if let Some(tamper) = referral.tamper_pac {
                tamper(&mut pac);
            }
            let element = |ad_type, data: Vec<u8>| AuthorizationDataElement {
                ad_type,
                data: data.into(),
            };
            let inner = encode(&vec![element(ad_type::WIN2K_PAC, pac)]).unwrap();
            part.authorization_data
                .get_or_insert_default()
                .push(element(ad_type::IF_RELEVANT, inner));
        }
        let plain = encode(&part).unwrap();
        Ticket {
            tkt_vno: PVNO,
            realm: referral.realm.as_str().into(),
            sname: referral.sname,
            enc_part: EncryptedData::encrypt(
                &referral.ticket_key,
                referral.kvno,
                key_usage::TICKET,
                &plain,
                &mut self.random(),
            ),
        }
    }

    /// Signs and encrypts a request with this ticket.
    pub fn request(&mut self, ticket: Ticket, draft: RequestDraft) -> Vec<u8> {
        self.request_with(ticket, draft, &self.session_key())
    }

    /// [`Self::request`] where the ticket's session key is another.
    pub fn request_with(
        &mut self,
        ticket: Ticket,
        draft: RequestDraft,
        session_key: &Key,
    ) -> Vec<u8> {
        let mut request = KdcReq::new(draft.padata.clone(), draft.body.clone()).unwrap();
        let mut authenticator = draft.authenticator;
        if draft.checksum {
            authenticator.cksum = Some(Checksum::make(
                session_key,
                key_usage::TGS_REQ_CHECKSUM,
                &request.raw_body,
            ));
        }
        let plain = encode(&authenticator).unwrap();
        let ap_req = encode(&ApReq {
            pvno: PVNO,
            msg_type: ApReq::MSG_TYPE,
            ap_options: KerberosFlags(0),
            ticket,
            authenticator: EncryptedData::encrypt(
                session_key,
                None,
                key_usage::TGS_REQ_AUTHENTICATOR,
                &plain,
                &mut self.random(),
            ),
        })
        .unwrap();
        if draft.fast {
            let armor = fast::armor_key(&self.subkey(), session_key);
            let inner = FastReq {
                fast_options: KerberosFlags(0),
                padata: draft.padata,
                req_body: draft.body,
            };
            let value = fast::wrap_request(&inner, &armor, &ap_req, &mut self.random()).unwrap();
            request.padata = vec![PaData::new(pa_type::FX_FAST, value)];
        }
        request
            .padata
            .insert(0, PaData::new(pa_type::TGS_REQ, ap_req));
        TgsReq(request).encode().unwrap()
    }

    /// Drives the exchange to its end, answering from this world.
    pub fn exchange(&mut self, message: &[u8]) -> Ending {
        let mut step = Exchange::begin(self.tenant.id, message, self.now, EventId([9; 16]));
        for _ in 0..3 {
            match step {
                ExchangeStep::Need { exchange, lookups } => {
                    assert_eq!(lookups.tenant, self.tenant.id);
                    let records = self.records(&lookups.wanted);
                    step = exchange.resume(records, &mut self.random());
                }
                ExchangeStep::Reply { bytes, event } => return Ending::Reply(bytes, *event),
                ExchangeStep::Drop { event } => return Ending::Dropped(*event),
            }
        }
        panic!("the exchange wanted more than two rounds");
    }

    /// What the directory of this world answers.
    pub fn records(&self, wanted: &Wanted) -> Records {
        match wanted {
            Wanted::Parties { issuer } => Records::Parties {
                tenant: Arc::new(Tenant {
                    forests: vec![self.trust.forest.clone()],
                    ..self.tenant.clone()
                }),
                trust: Some(&self.trust)
                    .filter(|t| t.realm.eq_ignore_ascii_case(issuer))
                    .map(|t| Arc::new(t.clone())),
            },
            Wanted::Grant { sid, service } => Records::Grant {
                identity: self
                    .identities
                    .iter()
                    .find(|i| i.sid == *sid)
                    .map(|i| Arc::new(i.clone())),
                service: Some(&self.service)
                    .filter(|_| *service == self.service_name)
                    .map(|s| Arc::new(s.clone())),
            },
        }
    }

    /// Decrypts a reply as the client and its ticket as the service would.
    pub fn decrypt_reply(
        &self,
        ending: Ending,
        fast: bool,
    ) -> Result<Granted, Box<(KrbError, Event)>> {
        let Ending::Reply(bytes, event) = ending else {
            panic!("dropped: {ending:?}");
        };
        if let Ok(error) = decode::<KrbError>(&bytes) {
            return Err(Box::new((error, event)));
        }
        let TgsRep(reply) = decode(&bytes).expect("a TGS-REP");
        let mut key = self.subkey();
        if fast {
            let armor = fast::armor_key(&self.subkey(), &self.session_key());
            let padata = reply.padata.as_ref().expect("FAST padata");
            let value = PaData::find(padata, pa_type::FX_FAST).expect("PA-FX-FAST");
            let response = fast::open_response(value, &armor).expect("a FAST response");
            let ticket = encode(&reply.ticket).unwrap();
            let finished = response.finished.expect("finished");
            finished
                .ticket_checksum
                .verify(&armor, key_usage::FAST_FINISHED, &ticket)
                .expect("the ticket checksum");
            let strengthen = response.strengthen_key.unwrap().to_key().unwrap();
            key = fast::strengthened_reply_key(&strengthen, &key);
        }
        let plain = reply
            .enc_part
            .decrypt(&key, key_usage::TGS_REP_SUBKEY)
            .expect("the reply decrypts");
        let EncTgsRepPart(part) = decode(&plain).unwrap();
        let ticket_key = match reply.ticket.sname.pair() {
            Some(("krbtgt", _)) => self.tenant.krbtgt_keys.first(),
            _ => self.service.keys.first(),
        };
        let plain = reply
            .ticket
            .enc_part
            .decrypt(&ticket_key.unwrap().key, key_usage::TICKET)
            .expect("the ticket decrypts with the service's key");
        Ok(Granted {
            part,
            enc_part: decode(&plain).unwrap(),
            ticket: reply.ticket,
            event,
        })
    }
}
