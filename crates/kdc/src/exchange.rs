//! The exchange: from a request to a reply and one event, with at most two look-ups between.
//!
//! ```text
//! begin ─ not Kerberos ──────────────► Drop
//!   │  └─ not a ticket request ──────► Reply (KRB-ERROR)
//!   ▼
//! Need(Parties) ─ resume ─ ticket, authenticator, armor, PAC ─ refused ──► Reply (KRB-ERROR)
//!   ▼
//! Need(Grant) ─── resume ─ identity, groups, service, ticket ─ refused ──► Reply (KRB-ERROR)
//!   ▼
//! Reply (TGS-REP)
//! ```

use crate::event::{Event, EventId, Reason, TicketOutcome, TicketRefusal};
use crate::issue::{Issue, Issued, Target};
use crate::open::{self, EffectiveRequest, Issuer, VerifiedClient};
use crate::records::{
    Identity, Lookups, Records, Service, ServiceName, Tenant, TenantId, Trust, Wanted,
};
use crate::request::{Message, TicketRequest};
use crate::{Now, grant};
use crossrealm_krb::crypto::Key;
use crossrealm_krb::fast::{self, FastResponse};
use crossrealm_krb::messages::{
    KdcReqBody, KerberosTime, KrbError, PVNO, PaData, PrincipalName, encode, name_type, pa_type,
};
use crossrealm_krb::random::Random;
use std::sync::Arc;

/// What the exchange does next.
#[derive(Debug)]
pub enum ExchangeStep {
    /// It needs records: look them up and [`Exchange::resume`] with them.
    Need {
        /// The exchange, waiting.
        exchange: Exchange,
        /// What to look up.
        lookups: Lookups,
    },
    /// It is over: send these bytes to the client.
    Reply {
        /// A TGS-REP or a KRB-ERROR.
        bytes: Vec<u8>,
        /// What happened.
        event: Box<Event>,
    },
    /// It is over: what came is not Kerberos and gets no answer.
    Drop {
        /// What happened.
        event: Box<Event>,
    },
}

/// One request on its way to a decision.
pub struct Exchange {
    stage: Stage,
    context: Context,
}

enum Stage {
    /// Waiting for the parties.
    Parties(Box<TicketRequest>),
    /// Waiting for the identity and the service.
    Grant(Box<Granting>),
}

/// What every ending needs: the event, and what a KRB-ERROR repeats.
struct Context {
    now: Now,
    event: Box<Event>,
    /// The realm asked for.
    realm: String,
    /// The service asked for.
    sname: PrincipalName,
    nonce: i64,
    /// Protects the error, as soon as it is known.
    armor: Option<Key>,
}

/// A presented ticket that was found good, waiting for the directory's record of its client.
struct Granting {
    tenant: Arc<Tenant>,
    trust: Option<Arc<Trust>>,
    client: VerifiedClient,
    effective: EffectiveRequest,
    raw_request: Vec<u8>,
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let stage = match self.stage {
            Stage::Parties(_) => "parties",
            Stage::Grant(_) => "grant",
        };
        write!(
            f,
            "Exchange({}, waiting for {stage})",
            self.context.event.id
        )
    }
}

impl Exchange {
    /// Starts the exchange for a message that came to `tenant`'s address at `now`. `id` becomes the event's id.
    pub fn begin(tenant: TenantId, message: &[u8], now: Now, id: EventId) -> ExchangeStep {
        let mut event = Box::new(Event::new(id, tenant, now.unix_s));
        match Message::read(message) {
            Message::Garbage => {
                event.detail = format!("{} bytes that are not a Kerberos request", message.len());
                ExchangeStep::Drop { event }
            }
            Message::PasswordChange => Context::new(event, now, None).refuse_password_change(),
            Message::Refused(refusal, body) => {
                // Nothing random goes into an error without armor.
                Context::new(event, now, body.as_deref()).refuse(refusal, &mut |_: &mut [u8]| {})
            }
            Message::Tgs(request) => {
                let issuer = request.ap_req.ticket.realm.to_string();
                let mut context = Context::new(event, now, Some(&request.request.body));
                context.event.issuer = Some(issuer.clone());
                ExchangeStep::Need {
                    exchange: Self {
                        stage: Stage::Parties(request),
                        context,
                    },
                    lookups: Lookups {
                        tenant,
                        wanted: Wanted::Parties { issuer },
                    },
                }
            }
        }
    }

    /// Continues with the records that were asked for. Records of another kind count as unavailable.
    pub fn resume(self, records: Records, random: &mut dyn Random) -> ExchangeStep {
        let Self { stage, mut context } = self;
        let step = match (stage, records) {
            // The directory was asked about one tenant; an answer about another must not become a ticket.
            (_, Records::Parties { tenant, .. }) if tenant.id != context.event.tenant => {
                Err(Reason::DirectoryUnavailable.because("records of another tenant came"))
            }
            (Stage::Parties(request), Records::Parties { tenant, trust }) => {
                context.open(*request, tenant, trust)
            }
            (Stage::Grant(granting), Records::Grant { identity, service }) => context
                .decide(&granting, identity.as_deref(), service.as_deref(), random)
                .map(Progress::Issued),
            (_, Records::Unavailable(why)) => Err(Reason::DirectoryUnavailable.because(why)),
            _ => Err(Reason::DirectoryUnavailable.because("records of another kind came")),
        };
        match step {
            Ok(Progress::Opened(granting)) => ExchangeStep::Need {
                lookups: context.grant_lookups(&granting),
                exchange: Self {
                    stage: Stage::Grant(granting),
                    context,
                },
            },
            Ok(Progress::Issued(issued)) => context.issued(issued),
            Err(refusal) => context.refuse(refusal, random),
        }
    }
}

/// KRB5_KPASSWD_ACCESSDENIED, RFC 3244 §2.
const ACCESS_DENIED: [u8; 2] = [0, 5];

/// How far a round came.
enum Progress {
    Opened(Box<Granting>),
    Issued(Issued),
}

impl Context {
    fn new(event: Box<Event>, now: Now, body: Option<&KdcReqBody>) -> Self {
        let mut context = Self {
            now,
            event,
            realm: String::new(),
            sname: PrincipalName::new(name_type::UNKNOWN, &[]),
            nonce: 0,
            armor: None,
        };
        if let Some(body) = body {
            context.asks(body);
        }
        context
    }

    /// Notes what the client asks for.
    fn asks(&mut self, body: &KdcReqBody) {
        self.realm = body.realm.to_string();
        self.nonce = body.nonce;
        if let Some(sname) = &body.sname {
            self.sname = sname.clone();
            self.event.service = Some(sname.to_string());
        }
    }

    /// Round one: verifies everything that the client presents; no further lookup is needed for that.
    fn open(
        &mut self,
        request: TicketRequest,
        tenant: Arc<Tenant>,
        trust: Option<Arc<Trust>>,
    ) -> Result<Progress, TicketRefusal> {
        check_realm(&tenant, &request.request.body)?;
        check_ticket_name(&tenant, &request)?;
        let issuer = issuer(&tenant, trust.as_deref(), &request)?;
        let header = open::header_ticket(
            &request,
            &tenant,
            &issuer,
            self.now,
            &mut self.event.client_clock,
        )?;
        let effective = open::effective_request(&request, &header)?;
        self.armor.clone_from(&effective.armor);
        self.asks(&effective.body);
        check_realm(&tenant, &effective.body)?;
        self.realm.clone_from(&tenant.realm);
        self.event.client = Some(format!("{}@{}", header.ticket.cname, header.ticket.crealm));
        let client = open::verified_client(header, &tenant, &issuer)?;
        self.event.client_sid = Some(client.sid.clone());
        self.event.trust_key_version = client.trust_key_version;
        open::check_options(&effective)?;
        Ok(Progress::Opened(Box::new(Granting {
            tenant,
            trust,
            client,
            effective,
            raw_request: request.raw,
        })))
    }

    fn grant_lookups(&self, granting: &Granting) -> Lookups {
        let (class, host) = self.sname.pair().unwrap_or_default();
        Lookups {
            tenant: granting.tenant.id,
            wanted: Wanted::Grant {
                sid: granting.client.sid.clone(),
                service: ServiceName::new(class, host),
            },
        }
    }

    /// Round two: decides by the directory's records of the client and the service.
    fn decide(
        &self,
        granting: &Granting,
        identity: Option<&Identity>,
        service: Option<&Service>,
        random: &mut dyn Random,
    ) -> Result<Issued, TicketRefusal> {
        let identity = grant::check(identity, &granting.client.sid)?;
        grant::check_name(identity, &granting.client.ticket.cname.to_string())?;
        let realm = granting.client.ticket.crealm.as_str();
        let forest = open::forest(&granting.tenant, granting.trust.as_deref(), realm)
            .map_or(&[][..], |forest| &forest.domains);
        let target = match service {
            _ if names_krbtgt(&self.sname, &granting.tenant.realm) => Target::TicketGranting,
            Some(service) => Target::Service(&service.keys),
            None => return Err(Reason::ServiceUnknown.because(self.sname.to_string())),
        };
        Issue {
            tenant: &granting.tenant,
            client: &granting.client,
            effective: &granting.effective,
            sname: &self.sname,
            target,
            identity,
            groups: grant::groups(identity, forest)?,
            raw_request: &granting.raw_request,
            now: self.now,
        }
        .issue(random)
    }

    fn issued(mut self, issued: Issued) -> ExchangeStep {
        self.event.outcome = TicketOutcome::Issued;
        self.event.ticket_etype = Some(issued.ticket_etype);
        self.event.kvno = Some(issued.kvno);
        self.event.ends_at = Some(issued.ends_at);
        ExchangeStep::Reply {
            bytes: issued.reply,
            event: self.event,
        }
    }

    /// Ends the exchange with a KRB-ERROR that holds the reason and the id of the event.
    fn refuse(mut self, refusal: TicketRefusal, random: &mut dyn Random) -> ExchangeStep {
        self.event.outcome = TicketOutcome::Refused(refusal.reason);
        self.event.detail = refusal.detail;
        match self.error(refusal.reason, random) {
            Ok(bytes) => ExchangeStep::Reply {
                bytes,
                event: self.event,
            },
            // Only a time that Kerberos cannot express gets here; there is nothing sensible to say to the client.
            Err(error) => {
                self.event.detail = format!("{}; the error itself: {error}", self.event.detail);
                ExchangeStep::Drop { event: self.event }
            }
        }
    }

    /// Ends the exchange with the refusal of RFC 3244 §2: an empty AP-REP, then a KRB-ERROR whose
    /// e-data holds a result code and a text for the user.
    fn refuse_password_change(mut self) -> ExchangeStep {
        let reason = Reason::PasswordChange;
        self.event.outcome = TicketOutcome::Refused(reason);
        self.event.detail = "a change-password request came".to_owned();
        let mut error = self.plain_error(reason);
        error.e_data = Some(
            [&ACCESS_DENIED[..], reason.text().as_bytes()]
                .concat()
                .into(),
        );
        let framed = encode(&error).ok().and_then(|error| {
            let len = u16::try_from(error.len()).ok()?.checked_add(6)?;
            Some([&len.to_be_bytes()[..], &[0, 1, 0, 0], &error].concat())
        });
        match framed {
            Some(bytes) => ExchangeStep::Reply {
                bytes,
                event: self.event,
            },
            None => ExchangeStep::Drop { event: self.event },
        }
    }

    fn plain_error(&self, reason: Reason) -> KrbError {
        KrbError {
            pvno: PVNO,
            msg_type: KrbError::MSG_TYPE,
            ctime: None,
            cusec: None,
            stime: KerberosTime(self.now.unix_s),
            susec: self.now.micros,
            error_code: reason.error_code(),
            crealm: None,
            cname: None,
            realm: self.realm.as_str().into(),
            sname: self.sname.clone(),
            e_text: Some(
                format!(
                    "{} [{}, event {}]",
                    reason.text(),
                    reason.code(),
                    self.event.id
                )
                .as_str()
                .into(),
            ),
            e_data: None,
        }
    }

    /// The KRB-ERROR, with the same error under the armor where there is one (RFC 6113 §5.4.4).
    fn error(&self, reason: Reason, random: &mut dyn Random) -> Result<Vec<u8>, fast::FastError> {
        let mut error = self.plain_error(reason);
        if let Some(armor) = &self.armor {
            let inner = encode(&error)?;
            let response = FastResponse {
                padata: vec![PaData::new(pa_type::FX_ERROR, inner)],
                strengthen_key: None,
                finished: None,
                nonce: self.nonce,
            };
            let protected = fast::wrap_response(&response, armor, random)?;
            let method_data = vec![PaData::new(pa_type::FX_FAST, protected)];
            error.e_data = Some(encode(&method_data)?.into());
        }
        Ok(encode(&error)?)
    }
}

/// The address, the request and the ticket must all mean the same realm. As for AD, the case of the client's spelling does not
/// count; the reply has the tenant's own.
fn check_realm(tenant: &Tenant, body: &KdcReqBody) -> Result<(), TicketRefusal> {
    if body.realm.as_str().eq_ignore_ascii_case(&tenant.realm) {
        return Ok(());
    }
    Err(Reason::WrongRealm.because(format!(
        "asked for realm {}, this is {}",
        body.realm, tenant.realm
    )))
}

fn check_ticket_name(tenant: &Tenant, request: &TicketRequest) -> Result<(), TicketRefusal> {
    let ticket = &request.ap_req.ticket;
    if names_krbtgt(&ticket.sname, &tenant.realm) {
        return Ok(());
    }
    Err(Reason::TicketNotForUs.because(format!("a ticket for {}@{}", ticket.sname, ticket.realm)))
}

fn names_krbtgt(name: &PrincipalName, realm: &str) -> bool {
    name.pair() == Some(("krbtgt", realm))
}

/// Who issued the presented ticket: this realm itself, or the trusted realm of the lookup.
fn issuer<'a>(
    tenant: &Tenant,
    trust: Option<&'a Trust>,
    request: &TicketRequest,
) -> Result<Issuer<'a>, TicketRefusal> {
    let realm = request.ap_req.ticket.realm.as_str();
    if realm == tenant.realm {
        return Ok(Issuer::Own);
    }
    match trust.filter(|t| t.realm == realm) {
        Some(trust) => Ok(Issuer::Trust(trust)),
        None => Err(Reason::IssuerNotTrusted.because(format!("issued by {realm}"))),
    }
}
