//! Encrypted LDAP against a server on the loopback interface that misbehaves on request.

use super::connection::{Connection, MAX_MESSAGE_LEN};
use crate::error::OnpremError;
use crate::random::OsRandom;
use crossrealm_krb::credential::Credential;
use crossrealm_krb::crypto::{Enctype, Key};
use crossrealm_krb::gss::{Context, GssError, Side};
use crossrealm_krb::key_usage;
use crossrealm_krb::messages::{
    self, ApRep, ApReq, Authenticator, EncApRepPart, EncTicketPart, EncryptedData, EncryptionKey,
    KerberosFlags, KerberosTime, PrincipalName, Ticket, TransitedEncoding,
};
use crossrealm_krb::principal::Principal;
use ldap3_proto::proto::{LdapBindCred, LdapBindResponse, LdapMsg, LdapOp, LdapResult};
use ldap3_proto::{LdapCodec, LdapResultCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::bytes::BytesMut;
use tokio_util::codec::{Decoder, Encoder};

const KERBEROS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    Honest,
    /// Sends a clear message in one segment with the bind response.
    Injects,
    /// Reports that the bind succeeded, without a token.
    NoProof,
    /// Answers the bind like a server that cannot decrypt the ticket.
    WrongKey,
    /// Refuses the bind.
    Rejects,
    /// Answers the first request in clear.
    Clear,
    /// Flips a bit of the encrypted response.
    Tampers,
    /// Sends the encrypted response twice.
    Replays,
    /// Announces a frame above the bound.
    HugeFrame,
    /// Sends two messages in one frame, and a third in two frames.
    Splits,
}

fn key(byte: u8) -> Key {
    Key::new(Enctype::Aes256Sha1, &[byte; 32]).unwrap()
}

/// A ticket encrypted with `key(1)`, the server's, whose session key is `key(7)`.
fn credential() -> Credential {
    let part = EncTicketPart {
        flags: KerberosFlags(0),
        key: EncryptionKey::from(&key(7)),
        crealm: "CORP".into(),
        cname: PrincipalName::new(1, &["alice"]),
        transited: TransitedEncoding {
            tr_type: 1,
            contents: Vec::new().into(),
        },
        authtime: KerberosTime(0),
        starttime: None,
        endtime: KerberosTime(1),
        renew_till: None,
        caddr: None,
        authorization_data: None,
    };
    let plain = messages::encode(&part).unwrap();
    let ticket = Ticket {
        tkt_vno: 5,
        realm: "CORP".into(),
        sname: PrincipalName::new(2, &["ldap", "dc1", "corp"]),
        enc_part: EncryptedData::encrypt(&key(1), None, key_usage::TICKET, &plain, &mut OsRandom),
    };
    Credential {
        client: Principal::parse("alice@CORP", None).unwrap(),
        server: Principal::parse("ldap/dc1/corp@CORP", None).unwrap(),
        key: key(7),
        auth_time: 0,
        start_time: 0,
        end_time: 1,
        renew_until: None,
        flags: 0,
        ticket: messages::encode(&ticket).unwrap(),
    }
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    let mut out = vec![tag];
    match content.len() {
        short @ 0..0x80 => out.push(u8::try_from(short).unwrap()),
        0x80..0x100 => out.extend([0x81, length[1]]),
        _ => out.extend([0x82, length[0], length[1]]),
    }
    out.extend(content);
    out
}

/// Accepts the client's token: the token of the response and the server's context.
fn accept(token: &[u8], kind: Server) -> (Vec<u8>, Context) {
    // The AP-REQ follows the last mechanism identifier and its token id.
    let at = token
        .windows(KERBEROS.len())
        .rposition(|window| window == KERBEROS)
        .unwrap();
    let request: ApReq = messages::decode(&token[at + KERBEROS.len() + 2..]).unwrap();
    let ticket = request
        .ticket
        .enc_part
        .decrypt(&key(1), key_usage::TICKET)
        .unwrap();
    let session = messages::decode::<EncTicketPart>(&ticket)
        .unwrap()
        .key
        .to_key()
        .unwrap();
    let plain = request
        .authenticator
        .decrypt(&session, key_usage::AP_REQ_AUTHENTICATOR)
        .unwrap();
    let authenticator: Authenticator = messages::decode(&plain).unwrap();
    let part = EncApRepPart {
        ctime: authenticator.ctime,
        cusec: authenticator.cusec,
        subkey: Some(EncryptionKey::from(&key(9))),
        seq_number: Some(77),
    };
    let proof_key = if kind == Server::WrongKey {
        key(8)
    } else {
        session
    };
    let plain = messages::encode(&part).unwrap();
    let reply = ApRep {
        pvno: 5,
        msg_type: ApRep::MSG_TYPE,
        enc_part: EncryptedData::encrypt(
            &proof_key,
            None,
            key_usage::AP_REP,
            &plain,
            &mut OsRandom,
        ),
    };
    let inner = [
        &tlv(6, KERBEROS)[..],
        &[2, 0],
        &messages::encode(&reply).unwrap(),
    ]
    .concat();
    let body = [
        tlv(0xa0, &[10, 1, 0]),
        tlv(0xa2, &tlv(4, &tlv(0x60, &inner))),
    ]
    .concat();
    let first = u64::try_from(authenticator.seq_number.unwrap()).unwrap();
    let context = Context::new(Side::Acceptor, key(9), true, 77, first);
    (tlv(0xa1, &tlv(0x30, &body)), context)
}

fn encode(msgid: i32, op: LdapOp) -> Vec<u8> {
    let mut out = BytesMut::new();
    let message = LdapMsg {
        msgid,
        op,
        ctrl: Vec::new(),
    };
    LdapCodec::default().encode(message, &mut out).unwrap();
    out.to_vec()
}

fn result(code: LdapResultCode) -> LdapResult {
    LdapResult {
        code,
        matcheddn: String::new(),
        message: String::new(),
        referral: Vec::new(),
    }
}

fn entry(msgid: i32, name: &str) -> Vec<u8> {
    let entry = ldap3_proto::LdapSearchResultEntry {
        dn: String::new(),
        attributes: vec![ldap3_proto::LdapPartialAttribute {
            atype: "dnsHostName".into(),
            vals: vec![name.as_bytes().to_vec()],
        }],
    };
    encode(msgid, LdapOp::SearchResultEntry(entry))
}

fn done(msgid: i32) -> Vec<u8> {
    encode(
        msgid,
        LdapOp::SearchResultDone(result(LdapResultCode::Success)),
    )
}

fn frame(token: &[u8]) -> Vec<u8> {
    [
        &u32::try_from(token.len()).unwrap().to_be_bytes()[..],
        token,
    ]
    .concat()
}

async fn serve(mut stream: TcpStream, kind: Server) {
    let mut codec = LdapCodec::default();
    let mut received = BytesMut::new();
    let bind = loop {
        stream.read_buf(&mut received).await.unwrap();
        if let Some(message) = codec.decode(&mut received).unwrap() {
            break message;
        }
    };
    let LdapOp::BindRequest(request) = bind.op else {
        panic!("not a bind");
    };
    let LdapBindCred::SASL(sasl) = request.cred else {
        panic!("not SASL");
    };
    assert_eq!(sasl.mechanism, "GSS-SPNEGO");
    let (token, mut context) = accept(&sasl.credentials, kind);
    let (code, saslcreds) = match kind {
        Server::NoProof => (LdapResultCode::Success, None),
        Server::Rejects => (LdapResultCode::InvalidCredentials, None),
        _ => (LdapResultCode::Success, Some(token)),
    };
    let response = LdapBindResponse {
        res: result(code),
        saslcreds,
    };
    let mut answer = encode(bind.msgid, LdapOp::BindResponse(response));
    if kind == Server::Injects {
        answer.extend(entry(bind.msgid + 1, "evil"));
    }
    stream.write_all(&answer).await.unwrap();
    // The encrypted request. A client that gave up closes the connection instead.
    let mut length = [0; 4];
    if stream.read_exact(&mut length).await.is_err() {
        return;
    }
    let mut token = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap()];
    stream.read_exact(&mut token).await.unwrap();
    let plain = context.unwrap(&token).unwrap();
    let request = codec
        .decode(&mut BytesMut::from(&plain[..]))
        .unwrap()
        .unwrap();
    let id = request.msgid;
    let both = [entry(id, "dc1"), done(id)].concat();
    let mut sealed = frame(&context.wrap(&both, &mut OsRandom));
    let answer = match kind {
        Server::Clear => both,
        Server::HugeFrame => u32::try_from(MAX_MESSAGE_LEN + 1)
            .unwrap()
            .to_be_bytes()
            .to_vec(),
        Server::Tampers => {
            *sealed.last_mut().unwrap() ^= 1;
            sealed
        }
        Server::Replays => {
            let once = frame(&context.clone().wrap(&entry(id, "dc1"), &mut OsRandom));
            [once.clone(), once].concat()
        }
        Server::Splits => {
            let mut context = Context::new(Side::Acceptor, key(9), true, 77, 0);
            let last = done(id);
            let (head, tail) = last.split_at(5);
            let first = [&entry(id, "old")[..], &entry(id, "dc1"), head].concat();
            let frames = [
                context.wrap(&first, &mut OsRandom),
                context.wrap(tail, &mut OsRandom),
            ];
            frames.iter().flat_map(|token| frame(token)).collect()
        }
        _ => sealed,
    };
    stream.write_all(&answer).await.unwrap();
}

/// Binds to a server that misbehaves so, and reads its name.
async fn against(kind: Server) -> Result<String, OnpremError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        serve(stream, kind).await;
    });
    let mut connection = Connection::open("dc1", address).await?;
    let outcome = async {
        connection.bind(credential()).await?;
        Ok(connection.root_dse().await?.dns_host_name)
    }
    .await;
    drop(connection);
    server.await.unwrap();
    outcome
}

#[tokio::test]
async fn encrypted_answers_are_read() {
    assert_eq!(against(Server::Honest).await.unwrap(), "dc1");
    assert_eq!(against(Server::Splits).await.unwrap(), "dc1");
}

#[tokio::test]
async fn nothing_in_clear_is_believed() {
    let injected = against(Server::Injects).await.unwrap_err();
    assert!(injected.to_string().contains("does not fit"), "{injected}");
    // A clear message is parsed as a frame, with an absurd length.
    assert!(against(Server::Clear).await.is_err());
}

#[tokio::test]
async fn a_server_without_the_key_gets_no_request() {
    for kind in [Server::NoProof, Server::WrongKey] {
        let error = against(kind).await.unwrap_err();
        assert!(
            matches!(error, OnpremError::Gss { .. }),
            "{kind:?}: {error}"
        );
    }
    let error = against(Server::Rejects).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the directory refused to sign in to `dc1`: InvalidCredentials"
    );
}

#[tokio::test]
async fn changed_replayed_and_huge_frames_are_refused() {
    let gss = async |kind| match against(kind).await {
        Err(OnpremError::Gss { source, .. }) => source,
        other => panic!("{kind:?}: {other:?}"),
    };
    assert_eq!(gss(Server::Tampers).await, GssError::Integrity);
    assert_eq!(gss(Server::Replays).await, GssError::OutOfSequence);
    let huge = against(Server::HugeFrame).await.unwrap_err();
    assert!(huge.to_string().contains("too large"), "{huge}");
}
