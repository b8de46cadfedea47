//! Drives the exchange: gives it the time, the randomness and the directory's records, and its event to the audit.
//!
//! Also serves Kerberos over plain TCP (RFC 4120 §7.2.2), where that is switched on: there the realm in the request says
//! which tenant is meant, since there is no URL.

use crate::app::{App, AppState};
use crate::audit::now_ms;
use crossrealm_directory::{EventCategory, NewEvent, Outcome, TrustKeySeen};
use crossrealm_kdc::{self as kdc, EventId, Exchange, Lookups, Now, Records, Step, TenantId};
use crossrealm_krb::kkdcp::{self, MAX_BODY_LEN};
use crossrealm_krb::messages::{AsReq, TgsReq};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long the directory may take for one round of lookups.
pub(crate) const LOOKUP: Duration = Duration::from_secs(3);
/// The most rounds of an exchange; it promises two.
const MAX_ROUNDS: usize = 4;
/// How long a TCP client may take to send a message, to take an answer, and to send the next.
const TCP_STEP: Duration = Duration::from_secs(10);
/// Messages on one TCP connection.
const TCP_MESSAGES: usize = 100;

/// What became of a message.
pub(crate) enum Answer {
    /// Send this to the client.
    Reply(Vec<u8>),
    /// It is not Kerberos.
    Dropped,
    /// There is no capacity for it now.
    Overloaded,
}

/// Answers one Kerberos message that came to `tenant`'s address.
pub(crate) async fn answer(
    app: &AppState,
    tenant: TenantId,
    message: &[u8],
    peer: SocketAddr,
) -> Answer {
    let Some(_pass) = app.tickets.enter(tenant) else {
        return Answer::Overloaded;
    };
    let mut entropy = Entropy::default();
    let id = EventId(entropy.id());
    let mut step = Exchange::begin(tenant, message, now(), id);
    for _ in 0..MAX_ROUNDS {
        match step {
            Step::Need { exchange, lookups } => {
                let records = look_up(app, &lookups).await;
                step = exchange.resume(records, &mut |bytes: &mut [u8]| entropy.fill(bytes));
            }
            Step::Reply { bytes, event } if !entropy.failed => {
                record(app, &event, peer);
                return Answer::Reply(bytes);
            }
            Step::Reply { event, .. } | Step::Drop { event } => {
                record(app, &event, peer);
                return Answer::Dropped;
            }
        }
    }
    tracing::error!(event = %id, "an exchange did not end");
    Answer::Dropped
}

async fn look_up(app: &AppState, lookups: &Lookups) -> Records {
    timeout(LOOKUP, app.directory.records(lookups))
        .await
        .unwrap_or_else(|_| Records::Unavailable("the lookup took too long".into()))
}

/// The operating system's randomness. Where it fails, nothing that was made with it may leave.
#[derive(Default)]
struct Entropy {
    failed: bool,
}

impl Entropy {
    fn fill(&mut self, bytes: &mut [u8]) {
        if let Err(error) = getrandom::fill(bytes) {
            tracing::error!(%error, "the operating system gave no random bytes");
            self.failed = true;
        }
    }

    fn id(&mut self) -> [u8; 16] {
        let mut id = [0; 16];
        self.fill(&mut id);
        id
    }
}

fn now() -> Now {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Now {
        unix_s: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        micros: i32::try_from(since.subsec_micros()).unwrap_or(0),
    }
}

/// Hands the event of an exchange to the audit.
fn record(app: &AppState, event: &kdc::Event, peer: SocketAddr) {
    let (outcome, reason) = match event.outcome {
        kdc::Outcome::Issued => (Outcome::Done, String::new()),
        kdc::Outcome::Refused(reason) => (Outcome::Refused, reason.code().to_owned()),
        kdc::Outcome::Dropped => (Outcome::Dropped, "not-kerberos".to_owned()),
    };
    let client = event.client.clone().unwrap_or_default();
    tracing::info!(
        event = %event.id, tenant = %event.tenant, ?outcome, reason, client,
        service = event.service.as_deref().unwrap_or_default(), %peer, "ticket request"
    );
    let new = NewEvent {
        id: Some(event.id.to_string()),
        at_ms: now_ms(),
        tenant: Some(event.tenant),
        category: EventCategory::Ticket,
        outcome,
        action: "ticket.issue".into(),
        reason,
        user: client.clone(),
        actor: client,
        target: event.service.clone().unwrap_or_default(),
        address: Some(peer.ip().to_canonical()),
        detail: detail(event),
        trust_key: seen(event),
    };
    match &event.client_sid {
        Some(sid) => app.audit.record_about(new, sid.clone()),
        None => record_unknown(app, event.tenant, new),
    }
}

/// Records an event whose sender has shown nothing that only AD could have given.
fn record_unknown(app: &AppState, tenant: TenantId, mut event: NewEvent) {
    let Some(unrecorded) = app.flood.admit(tenant, Instant::now()) else {
        return;
    };
    if unrecorded > 0 {
        event.detail = format!(
            "{}; {unrecorded} like it before it were not recorded",
            event.detail
        );
    }
    app.audit.record(event);
}

/// Records a request that was refused before the exchange saw it.
pub(crate) fn record_foreign(app: &AppState, tenant: TenantId, realm: &str, peer: SocketAddr) {
    let event = NewEvent {
        id: None,
        at_ms: now_ms(),
        tenant: Some(tenant),
        category: EventCategory::Ticket,
        outcome: Outcome::Refused,
        action: "ticket.issue".into(),
        reason: kdc::Reason::WrongRealm.code().into(),
        actor: String::new(),
        user: String::new(),
        target: String::new(),
        address: Some(peer.ip().to_canonical()),
        detail: format!("the KDC proxy was asked for realm {realm:?}"),
        trust_key: None,
    };
    record_unknown(app, tenant, event);
}

fn detail(event: &kdc::Event) -> String {
    let mut parts = Vec::new();
    if !event.detail.is_empty() {
        parts.push(event.detail.clone());
    }
    if let Some(sid) = &event.client_sid {
        parts.push(format!("SID {sid}"));
    }
    let numbers = [
        ("etype", event.ticket_etype.map(i64::from)),
        ("kvno", event.kvno.map(i64::from)),
        ("ends at", event.ends_at),
    ];
    parts.extend(
        numbers
            .iter()
            .filter_map(|(name, value)| value.map(|v| format!("{name} {v}"))),
    );
    parts.join("; ")
}

fn seen(event: &kdc::Event) -> Option<TrustKeySeen> {
    Some(TrustKeySeen {
        realm: event.issuer.clone()?,
        version: event.trust_key_version?,
    })
}

/// Serves one TCP connection. When the server is to end, a message that has arrived is still answered.
pub(crate) async fn serve_tcp(mut stream: TcpStream, peer: SocketAddr, app: App) {
    let mut ending = app.ending.clone();
    for _ in 0..TCP_MESSAGES {
        let message = tokio::select! {
            message = within(TCP_STEP, read_message(&mut stream)) => message,
            _ = ending.wait_for(|ending| *ending) => return,
        };
        let answered = match message {
            Ok(message) => answer_tcp(&mut stream, peer, &app, &message).await,
            Err(error) => Err(error),
        };
        match answered {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return tracing::debug!(%peer, %error, "Kerberos connection ended"),
        }
    }
}

/// Answers one message; says whether another may follow.
async fn answer_tcp(
    stream: &mut TcpStream,
    peer: SocketAddr,
    app: &App,
    message: &[u8],
) -> io::Result<bool> {
    let Some(tenant) = tenant_of(app, message).await else {
        return Ok(false);
    };
    let Answer::Reply(reply) = answer(app, tenant, message, peer).await else {
        return Ok(false);
    };
    let framed = kkdcp::frame(&reply).map_err(io::Error::other)?;
    within(TCP_STEP, stream.write_all(&framed)).await?;
    Ok(true)
}

async fn within<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn read_message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let len = stream.read_u32().await?;
    // The highest bit is reserved for extensions (RFC 5021); none is known here.
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    if len == 0 || len > MAX_BODY_LEN {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a length beyond the bound",
        ));
    }
    let mut message = vec![0; len];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

/// The tenant whose realm a request names.
async fn tenant_of(app: &AppState, message: &[u8]) -> Option<TenantId> {
    let body = match message.first()? {
        0x6C => TgsReq::decode(message).ok()?.0.body,
        _ => AsReq::decode(message).ok()?.0.body,
    };
    let lookup = app.realms.tenant(&app.directory, body.realm.as_str());
    timeout(LOOKUP, lookup).await.ok()?.ok()?
}
