//! A TCP connection: messages are in clear until the bind, and encrypted from then on.

use super::entry::{Entry, RootDse};
use crate::error::{LdapError, OnpremError};
use crate::net::{self, LDAP_TIMEOUT};
use crate::random::OsRandom;
use crossrealm_krb::credential::Credential;
use crossrealm_krb::gss::{Context, ContextStep, Initiator, Mechanism};
use crossrealm_os::clock::since_epoch;
use ldap3_proto::control::LdapControl;
use ldap3_proto::proto::{
    LdapBindCred, LdapBindRequest, LdapDerefAliases, LdapMsg, LdapOp, LdapSearchRequest,
    SaslCredentials,
};
use ldap3_proto::{LdapCodec, LdapFilter, LdapResultCode, LdapSearchScope};
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::bytes::{Buf, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

/// The largest message, and the largest encrypted frame, that is accepted, in bytes. A page of 1,000 objects with large groups
/// is smaller.
pub const MAX_MESSAGE_LEN: usize = 32 << 20;

/// The deepest nesting of BER that is accepted; LDAP's own messages have less than ten levels.
const MAX_BER_DEPTH: usize = 32;

/// The most round trips that a bind may take.
const MAX_BIND_STEPS: usize = 5;

/// A connection to an LDAP server.
pub struct Connection {
    host: String,
    stream: TcpStream,
    codec: LdapCodec,
    context: Option<Context>,
    /// Bytes as received, encrypted or not.
    received: BytesMut,
    /// Decrypted bytes of LDAP messages.
    opened: BytesMut,
    last_id: i32,
}

impl Connection {
    /// Connects; nothing is sent yet.
    pub async fn open(host: &str, address: SocketAddr) -> Result<Self, OnpremError> {
        Ok(Self {
            host: host.to_owned(),
            stream: net::connect(host, address, "LDAP").await?,
            codec: LdapCodec::new(Some(MAX_MESSAGE_LEN), Some(MAX_BER_DEPTH)),
            context: None,
            received: BytesMut::new(),
            opened: BytesMut::new(),
            last_id: 0,
        })
    }

    /// Reads the rootDSE, which alone can be read without a bind.
    pub async fn root_dse(&mut self) -> Result<RootDse, OnpremError> {
        let request = LdapSearchRequest {
            base: String::new(),
            scope: LdapSearchScope::Base,
            aliases: LdapDerefAliases::Never,
            sizelimit: 1,
            timelimit: 10,
            typesonly: false,
            filter: LdapFilter::Present("objectClass".to_owned()),
            attrs: RootDse::ATTRIBUTES
                .iter()
                .map(|name| (*name).to_owned())
                .collect(),
        };
        self.send(LdapOp::SearchRequest(request), Vec::new())
            .await?;
        let mut root = RootDse::default();
        loop {
            match self.receive().await?.op {
                LdapOp::SearchResultEntry(entry) => root = RootDse::from_entry(&Entry::new(entry)),
                LdapOp::SearchResultReference(_) => {}
                LdapOp::SearchResultDone(result) => {
                    LdapError::check("read", "", result)?;
                    return Ok(root);
                }
                _ => return Err(unexpected()),
            }
        }
    }

    /// Binds with the ticket of `credential`; every later message is encrypted.
    pub(crate) async fn bind(&mut self, credential: Credential) -> Result<(), OnpremError> {
        let gss = |host: &str, source| OnpremError::Gss {
            host: host.to_owned(),
            service: "LDAP",
            source,
        };
        let mut initiator = Initiator::new(credential, Mechanism::Spnego);
        let mut incoming = Vec::new();
        let mut accepted = false;
        for _ in 0..MAX_BIND_STEPS {
            let outgoing = match initiator.context() {
                Some(_) if accepted => break,
                Some(_) => Some(Vec::new()),
                None => match initiator
                    .step(&incoming, since_epoch(), &mut OsRandom)
                    .map_err(|source| gss(&self.host, source))?
                {
                    ContextStep::Continue(token) => Some(token),
                    ContextStep::Done(token) if accepted && token.is_none() => break,
                    ContextStep::Done(token) => Some(token.unwrap_or_default()),
                },
            };
            let request = LdapBindRequest {
                version: 3,
                dn: String::new(),
                cred: LdapBindCred::SASL(SaslCredentials {
                    mechanism: "GSS-SPNEGO".to_owned(),
                    credentials: outgoing.unwrap_or_default(),
                }),
            };
            self.send(LdapOp::BindRequest(request), Vec::new()).await?;
            let LdapOp::BindResponse(response) = self.receive().await?.op else {
                return Err(unexpected());
            };
            accepted = response.res.code == LdapResultCode::Success;
            if !accepted && response.res.code != LdapResultCode::SaslBindInProgress {
                return Ok(LdapError::check("sign in to", &self.host, response.res)?);
            }
            incoming = response.saslcreds.unwrap_or_default();
        }
        // Anyone can send a success without the server's AP-REP. Clear bytes behind the response were injected: they would be
        // taken for the beginning of the encrypted stream.
        let clean = self.opened.is_empty() && self.received.is_empty();
        let context = initiator.into_context().filter(|_| accepted && clean);
        self.context = Some(context.ok_or_else(unexpected)?);
        Ok(())
    }

    /// Sends a request and returns its message id.
    pub(super) async fn send(
        &mut self,
        op: LdapOp,
        controls: Vec<LdapControl>,
    ) -> Result<i32, OnpremError> {
        self.last_id = self.last_id.checked_add(1).unwrap_or(1);
        let mut message = BytesMut::new();
        let encoded = LdapMsg {
            msgid: self.last_id,
            op,
            ctrl: controls,
        };
        self.codec
            .encode(encoded, &mut message)
            .map_err(|error| LdapError::Protocol(error.to_string()))?;
        let bytes = match &mut self.context {
            Some(context) => {
                let token = context.wrap(&message, &mut OsRandom);
                let length = u32::try_from(token.len())
                    .map_err(|_| LdapError::Protocol("a request is too large".to_owned()))?;
                [&length.to_be_bytes()[..], &token].concat()
            }
            None => message.to_vec(),
        };
        net::within(LDAP_TIMEOUT, self.stream.write_all(&bytes))
            .await
            .map_err(|source| self.broken(source))?;
        Ok(self.last_id)
    }

    /// The next response to the last request.
    pub(super) async fn receive(&mut self) -> Result<LdapMsg, OnpremError> {
        loop {
            if let Some(message) = self.decode()? {
                if message.msgid == self.last_id {
                    return Ok(message);
                }
                if let LdapOp::ExtendedResponse(notice) = message.op {
                    // The only unsolicited notification that is defined: the server disconnects, and gives the reason (RFC
                    // 4511 §4.4.1).
                    LdapError::check("go on with", &self.host, notice.res)?;
                }
                return Err(unexpected());
            }
            if !self.open_frame()? {
                self.read_more().await?;
            }
        }
    }

    fn decode(&mut self) -> Result<Option<LdapMsg>, OnpremError> {
        // The codec parses from the beginning each time, so it is called only when a whole message has arrived.
        match message_len(&self.opened) {
            Length::Incomplete => Ok(None),
            Length::Known(length) if length > MAX_MESSAGE_LEN => Err(LdapError::TooLarge.into()),
            Length::Known(length) if length > self.opened.len() => Ok(None),
            Length::Known(length) => {
                let mut whole = self.opened.split_to(length);
                match self.codec.decode(&mut whole) {
                    Ok(Some(message)) => Ok(Some(message)),
                    Ok(None) => {
                        Err(LdapError::Protocol("a message is malformed".to_owned()).into())
                    }
                    Err(error) => Err(LdapError::Protocol(error.to_string()).into()),
                }
            }
            Length::Malformed => {
                Err(LdapError::Protocol("a message is malformed".to_owned()).into())
            }
        }
    }

    /// Decrypts one frame of `received` into `opened`; returns whether there was one.
    fn open_frame(&mut self) -> Result<bool, OnpremError> {
        let Some(context) = &mut self.context else {
            let any = !self.received.is_empty();
            self.opened.unsplit(self.received.split());
            return Ok(any);
        };
        let Some(head) = self.received.first_chunk::<4>() else {
            return Ok(false);
        };
        let length = usize::try_from(u32::from_be_bytes(*head)).unwrap_or(usize::MAX);
        if length > MAX_MESSAGE_LEN {
            return Err(LdapError::TooLarge.into());
        }
        if self.received.len() < length + 4 {
            return Ok(false);
        }
        self.received.advance(4);
        let token = self.received.split_to(length);
        let plain = context.unwrap(&token).map_err(|source| OnpremError::Gss {
            host: self.host.clone(),
            service: "LDAP",
            source,
        })?;
        self.opened.extend_from_slice(&plain);
        Ok(true)
    }

    async fn read_more(&mut self) -> Result<(), OnpremError> {
        let read = net::within(LDAP_TIMEOUT, self.stream.read_buf(&mut self.received)).await;
        match read {
            Ok(0) => Err(self.broken(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(()),
            Err(source) => Err(self.broken(source)),
        }
    }

    fn broken(&self, source: io::Error) -> OnpremError {
        OnpremError::Broken {
            host: self.host.clone(),
            service: "LDAP",
            source,
        }
    }
}

fn unexpected() -> OnpremError {
    LdapError::Protocol("it does not fit the request".to_owned()).into()
}

enum Length {
    Incomplete,
    Known(usize),
    Malformed,
}

/// The length of the message at the beginning of `bytes`, with its header: an LDAPMessage is a SEQUENCE.
fn message_len(bytes: &[u8]) -> Length {
    match bytes {
        [] | [0x30] => Length::Incomplete,
        [0x30, short, ..] if *short < 0x80 => Length::Known(2 + usize::from(*short)),
        [0x30, long, rest @ ..] => {
            let digits = usize::from(*long & 0x7f);
            if !(1..=4).contains(&digits) {
                return Length::Malformed;
            }
            match rest.get(..digits) {
                Some(length) => {
                    let length = length
                        .iter()
                        .fold(0usize, |sum, digit| sum << 8 | usize::from(*digit));
                    Length::Known(length.saturating_add(2 + digits))
                }
                None => Length::Incomplete,
            }
        }
        _ => Length::Malformed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// A server that answers the first request with `answer` and closes the connection.
    async fn against(answer: Vec<u8>) -> Result<RootDse, OnpremError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await.unwrap();
            stream.write_all(&answer).await.unwrap();
        });
        let mut connection = Connection::open("dc", address).await?;
        let result = connection.root_dse().await;
        server.await.unwrap();
        result
    }

    #[tokio::test]
    async fn bad_servers_are_refused_and_named() {
        let cases: [(&[u8], &str); 6] = [
            (b"", "the connection to `dc` (LDAP) failed"),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", "malformed"),
            (&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], "too large"),
            (&[0x30, 0x80, 0, 0], "malformed"),
            // A message id of no request: the end of a search for message 9.
            (
                &[0x30, 12, 2, 1, 9, 0x65, 7, 10, 1, 0, 4, 0, 4, 0],
                "does not fit",
            ),
            // An answer to message 1, but to a bind.
            (
                &[0x30, 12, 2, 1, 1, 0x61, 7, 10, 1, 0, 4, 0, 4, 0],
                "does not fit",
            ),
        ];
        for (answer, expected) in cases {
            let error = against(answer.to_vec()).await.unwrap_err().to_string();
            assert!(error.contains(expected), "{error:?} lacks {expected:?}");
        }
    }

    #[tokio::test]
    async fn an_error_carries_the_directorys_words() {
        let mut body = vec![2, 1, 1, 0x65, 7 + 4, 10, 1, 51, 4, 0, 4, 4];
        body.extend(b"wait");
        let mut answer = vec![0x30, u8::try_from(body.len()).unwrap()];
        answer.extend(body);
        let error = against(answer).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the directory refused to read `rootDSE`: Busy (wait)"
        );
        assert!(error.hint().is_some());
    }
}
