//! Kerberos over TCP and UDP on one port (RFC 4120 §7.2), if it is enabled.
//!
//! Without a URL, the realm in the request names the tenant; a request for a realm that is not served gets no
//! reply. The sender address of a datagram may be forged: a reply is never more than
//! [`GAIN`] times as long as its request, and never longer than [`MAX_REPLY`]; a longer one becomes
//! KRB_ERR_RESPONSE_TOO_BIG, and the client repeats its request over TCP. A request beyond a limit gets KDC_ERR_SVC_UNAVAILABLE, and the client tries another KDC.

use crate::app::{App, AppState};
use crate::http::connection::FIRST_REQUEST;
use crate::kerberos::exchange::{self, Answer};
use crate::limits::held_bytes::{HeldBytes, NoMemory};
use crate::limits::{ConcurrencyLimit, LogThrottle, sender};
use crossrealm_kdc::TenantId;
use crossrealm_krb::kkdcp;
use crossrealm_krb::messages::{
    AsReq, KerberosTime, KrbError, PVNO, PrincipalName, TgsReq, encode, error_code,
};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long a TCP client may take to send a message, to receive a reply, and to send the next message.
const TCP_STEP: Duration = Duration::from_secs(10);
/// Messages on one TCP connection.
const TCP_MESSAGES: usize = 100;

/// The largest datagram there is.
const MAX_DATAGRAM: usize = 65_535;
/// The longest reply in a datagram, in bytes: short enough not to be fragmented on the path.
const MAX_REPLY: usize = 1400;
/// How many times as long as the request a reply may be, so that forged sender addresses amplify little. The same factor
/// as QUIC's (RFC 9000 §8.1).
pub(crate) const GAIN: usize = 3;
/// Datagrams handled concurrently, in all and per sender. Those beyond are dropped unread: clients retransmit.
const DATAGRAMS: usize = 256;
const DATAGRAMS_PER_SENDER: usize = 32;
/// How long to wait after the system failed to receive.
const BREATH: Duration = Duration::from_millis(100);

/// The tags of AS-REQ and TGS-REQ, RFC 4120 §5.4.1: nothing else is ever answered.
const AS_REQ: u8 = 0x6A;
const TGS_REQ: u8 = 0x6C;

/// Serves one TCP connection. On shutdown, a message that has arrived is still answered.
pub(crate) async fn serve_tcp(mut stream: TcpStream, peer: SocketAddr, app: App) {
    let mut ending = app.ending.clone();
    for number in 0..TCP_MESSAGES {
        let end = async {
            let _ = ending.wait_for(|ending| *ending).await;
            if number == 0 {
                tokio::time::sleep(FIRST_REQUEST).await;
            }
        };
        let message = tokio::select! {
            message = within(TCP_STEP, read_message(&mut stream, peer, &app)) => message,
            () = end => return,
        };
        let answered = match message {
            Ok(message) => answer_tcp(&mut stream, peer, &app, message.as_slice()).await,
            Err(error) => Err(error),
        };
        match answered {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return tracing::debug!(%peer, %error, "Kerberos connection ended"),
        }
    }
}

/// Answers the first message of a connection beyond the limit with KDC_ERR_SVC_UNAVAILABLE, without processing it.
pub(crate) async fn shed_tcp(mut stream: TcpStream, peer: SocketAddr, app: App) {
    let answered = within(TCP_STEP, async {
        let message = read_message(&mut stream, peer, &app).await?;
        let Some((_, realm)) = tenant_of(&app, message.as_slice()).await else {
            return Ok(());
        };
        let reply = error(&realm, error_code::SVC_UNAVAILABLE)?;
        let framed = kkdcp::frame(&reply).map_err(io::Error::other)?;
        stream.write_all(&framed).await
    });
    if let Err(error) = answered.await {
        tracing::debug!(%peer, %error, "a Kerberos connection beyond the limit ended");
    }
}

/// Answers one message. Returns whether another may follow.
async fn answer_tcp(
    stream: &mut TcpStream,
    peer: SocketAddr,
    app: &AppState,
    message: &[u8],
) -> io::Result<bool> {
    let Some((tenant, realm)) = tenant_of(app, message).await else {
        return Ok(false);
    };
    let (reply, more) = match exchange::answer(app, tenant, message, peer).await {
        Answer::Reply(reply) => (reply, true),
        Answer::Overloaded => (error(&realm, error_code::SVC_UNAVAILABLE)?, false),
        Answer::Dropped => return Ok(false),
    };
    let framed = kkdcp::frame(&reply).map_err(io::Error::other)?;
    within(TCP_STEP, stream.write_all(&framed)).await?;
    Ok(more)
}

async fn within<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Reads a message, with its part of the memory for bodies.
async fn read_message(
    stream: &mut TcpStream,
    peer: SocketAddr,
    app: &AppState,
) -> io::Result<HeldBytes> {
    let mut prefix = [0; 4];
    stream.read_exact(&mut prefix).await?;
    let len = kkdcp::message_len(prefix)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let mut message = HeldBytes::new(app.bodies.none(sender(peer.ip())));
    while message.len() < len {
        let left = len - message.len();
        let buffer = message
            .reserve(1, len)
            .map_err(|NoMemory| io::Error::from(io::ErrorKind::OutOfMemory))?;
        let mut rest = (&mut *stream).take(left.min(buffer.capacity() - buffer.len()) as u64);
        if rest.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(message)
}

/// Serves datagrams, each of which is one message, until shutdown; those that have arrived are still answered.
pub(crate) async fn serve_udp(socket: UdpSocket, app: App) {
    let socket = Arc::new(socket);
    // Datagrams alone must never exhaust a tenant's limit: their sender addresses may be forged.
    let at_once = || (app.limits().ticket_requests_per_tenant / 2).clamp(1, DATAGRAMS);
    let datagrams = ConcurrencyLimit::new(at_once(), at_once().min(DATAGRAMS_PER_SENDER));
    let mut ending = app.ending.clone();
    let mut buffer = vec![0; MAX_DATAGRAM];
    let mut tasks = JoinSet::new();
    let mut failed = LogThrottle::default();
    loop {
        let received = tokio::select! {
            _ = ending.wait_for(|ending| *ending) => break,
            Some(_) = tasks.join_next() => continue,
            received = socket.recv_from(&mut buffer) => received,
        };
        let (len, peer) = match received {
            Ok(received) => received,
            Err(error) => {
                if let Some(count) = failed.add(Instant::now()) {
                    tracing::warn!(%error, count, "cannot receive datagrams");
                }
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        let Some(message @ [AS_REQ | TGS_REQ, ..]) = buffer.get(..len) else {
            continue;
        };
        // The limits may have been reloaded.
        datagrams.set(at_once(), at_once().min(DATAGRAMS_PER_SENDER));
        let Some(permit) = datagrams.try_acquire(sender(peer.ip())) else {
            continue;
        };
        let (message, socket, app) = (message.to_vec(), Arc::clone(&socket), Arc::clone(&app));
        tasks.spawn(async move {
            if let Some(reply) = answer_datagram(peer, &app, &message).await
                && let Err(error) = socket.send_to(&reply, peer).await
            {
                tracing::debug!(%peer, %error, "cannot send a datagram");
            }
            drop(permit);
        });
    }
    while tasks.join_next().await.is_some() {}
}

/// What to send back to a datagram, if anything.
async fn answer_datagram(peer: SocketAddr, app: &AppState, message: &[u8]) -> Option<Vec<u8>> {
    let (tenant, realm) = tenant_of(app, message).await?;
    let reply = match exchange::answer(app, tenant, message, peer).await {
        Answer::Reply(reply) if may_follow(message, &reply) => return Some(reply),
        Answer::Reply(_) => error(&realm, error_code::RESPONSE_TOO_BIG),
        Answer::Overloaded => error(&realm, error_code::SVC_UNAVAILABLE),
        Answer::Dropped => return None,
    };
    reply.ok().filter(|reply| may_follow(message, reply))
}

/// Whether a datagram with this reply may be sent to the apparent sender of the request.
fn may_follow(request: &[u8], reply: &[u8]) -> bool {
    reply.len() <= MAX_REPLY.min(request.len().saturating_mul(GAIN))
}

/// A minimal KRB-ERROR (RFC 4120 §5.9.1) about the transport of a request.
fn error(realm: &str, error_code: i32) -> io::Result<Vec<u8>> {
    let now = exchange::now();
    let error = KrbError {
        pvno: PVNO,
        msg_type: KrbError::MSG_TYPE,
        ctime: None,
        cusec: None,
        stime: KerberosTime(now.unix_s),
        susec: now.micros,
        error_code,
        crealm: None,
        cname: None,
        realm: realm.into(),
        sname: PrincipalName::krbtgt(realm),
        e_text: None,
        e_data: None,
    };
    encode(&error).map_err(io::Error::other)
}

/// The tenant whose realm the request names, and that realm.
async fn tenant_of(app: &AppState, message: &[u8]) -> Option<(TenantId, String)> {
    let body = match *message.first()? {
        TGS_REQ => TgsReq::decode(message).ok()?.0.body,
        _ => AsReq::decode(message).ok()?.0.body,
    };
    let realm = body.realm.as_str();
    let lookup = app.realms.tenant(&app.directory, realm);
    let tenant = timeout(exchange::LOOKUP, lookup).await.ok()?.ok()??;
    Some((tenant, realm.to_uppercase()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossrealm_krb::messages::decode;

    #[test]
    fn a_reply_is_bounded_by_its_request_and_by_the_path_mtu() {
        assert!(may_follow(&[0; 100], &[0; 300]));
        assert!(!may_follow(&[0; 100], &[0; 301]));
        assert!(may_follow(&[0; 1000], &[0; MAX_REPLY]));
        assert!(!may_follow(&[0; 60_000], &[0; MAX_REPLY + 1]));
    }

    #[test]
    fn a_transport_error_is_short() {
        let realm = "KERBEROS.CONTOSO.CLOUD.EXAMPLE";
        let bytes = error(realm, error_code::RESPONSE_TOO_BIG).unwrap();
        assert!(bytes.len() < 100 + 2 * realm.len(), "{}", bytes.len());
        let error: KrbError = decode(&bytes).unwrap();
        assert_eq!((error.error_code, error.realm.as_str()), (52, realm));
    }
}
