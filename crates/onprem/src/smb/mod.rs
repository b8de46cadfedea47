//! Encrypted SMB 3.1.1 sessions to a domain controller: its `\PIPE\lsarpc` and `\PIPE\netlogon`, and the files of `SYSVOL`.
//!
//! SMB, signing, encryption and the RPC transport are `smolder`'s; the authentication is our own Kerberos initiator
//! ([`crossrealm_krb::gss`]) with a ticket that the caller has got. This room adds what the library leaves out: the SMB
//! application key, derived from the messages it watches go by, and errors that name the domain controller. It refuses
//! a session that is not SMB 3.1.1 with encryption, never falls back to an older dialect or to a guest, and gives up
//! on anything that takes too long.

mod application_key;
mod files;
mod gss;
pub mod share;

pub use files::FileShare;

use crate::lsa::{NtStatus, Pipe};
use crate::nrpc::Wire;
use application_key::{Transcript, Watched};
use crossrealm_krb::credential::Credential;
use gss::KerberosAuth;
use smolder_core::auth::AuthError;
use smolder_core::client::{Authenticated, Connection, TreeConnected};
use smolder_core::error::CoreError;
use smolder_core::pipe::{NamedPipe, PipeAccess};
use smolder_core::policy::{OperationTimeouts, ResourceLimits, SecurityPolicy};
use smolder_core::rpc::PipeRpcClient;
use smolder_core::transport::TokioTcpTransport;
use smolder_proto::rpc::{SyntaxId, Uuid};
use smolder_proto::smb::smb2::{
    CipherId, Dialect, EncryptionCapabilities, GlobalCapabilities, NegotiateContext,
    NegotiateRequest, PreauthIntegrityCapabilities, PreauthIntegrityHashId, SigningMode,
    TreeConnectRequest,
};
use std::net::SocketAddr;
use std::time::Duration;
use zeroize::Zeroizing;

/// The SMB port.
pub const PORT: u16 = 445;

/// How long a domain controller has to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one SMB message and its answer may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long one LSA call may take; creating a trust writes to the directory.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
/// The largest SMB message accepted.
const MAX_MESSAGE: usize = 1024 * 1024;
/// The interface of the LSA, [MS-LSAD] 2.1: 12345778-1234-abcd-ef00-0123456789ab, version 0.0.
const LSARPC: SyntaxId = SyntaxId::new(
    Uuid::new(
        0x1234_5778,
        0x1234,
        0xabcd,
        [0xef, 0x00, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab],
    ),
    0,
    0,
);

/// Why there is no session, or no longer one.
#[derive(Debug, thiserror::Error)]
pub enum SmbError {
    /// Nothing answered at the address.
    #[error("the domain controller `{host}` cannot be reached at {address} (SMB): {reason}")]
    Unreachable {
        /// The domain controller's name.
        host: String,
        /// Where it was sought.
        address: SocketAddr,
        /// What the operating system said.
        reason: String,
    },
    /// It answered too late or not at all.
    #[error("the domain controller did not answer in time: {0}")]
    TimedOut(&'static str),
    /// The Kerberos exchange inside of the session set-up failed.
    #[error("the sign-in to the domain controller by SMB failed: {0}")]
    Authentication(String),
    /// The domain controller refused a step.
    #[error("the domain controller refused {step}: {} ({status})", status.meaning())]
    Refused {
        /// The step.
        step: &'static str,
        /// Its answer.
        status: NtStatus,
    },
    /// The RPC server answered with a fault, [MS-RPCE] 2.2.2.4 and C706 appendix E.
    #[error("the domain controller refused the call: RPC fault 0x{0:08X}")]
    Fault(u32),
    /// The other side does not speak SMB 3.1.1 with encryption as it should.
    #[error("the SMB session with the domain controller failed: {0}")]
    Protocol(String),
}

impl SmbError {
    /// What to do about it, where something can be done.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unreachable { .. } | Self::TimedOut(_) => Some(
                "check `--dc`, and that a firewall lets port 445 of the domain controller through",
            ),
            Self::Refused { status, .. } => status.hint(),
            // nca_s_access_denied and rpc_s_access_denied
            Self::Fault(5 | 0x1C00_0009) => NtStatus::ACCESS_DENIED.hint(),
            Self::Protocol(_) => {
                Some("the domain controller must offer SMB 3.1.1 with encryption (AES-GCM)")
            }
            Self::Authentication(_) | Self::Fault(_) => None,
        }
    }
}

/// An open `\PIPE\lsarpc`.
pub struct LsaPipe {
    rpc: PipeRpcClient<Watched<TokioTcpTransport>>,
    application_key: Zeroizing<[u8; 16]>,
}

impl LsaPipe {
    /// Connects to the domain controller `host` (its DNS name) at `address`, signs in with a ticket for its service
    /// `cifs`, and binds to the LSA. The ticket decides whom the session reaches: whoever opens it.
    pub async fn connect(
        host: &str,
        address: SocketAddr,
        ticket: Credential,
    ) -> Result<Self, SmbError> {
        let (pipe, application_key) = open(host, address, ticket, "lsarpc").await?;
        let mut rpc = PipeRpcClient::new(pipe);
        rpc.bind_context(0, LSARPC)
            .await
            .map_err(|error| classify("the binding to the LSA", error))?;
        Ok(Self {
            rpc,
            application_key,
        })
    }
}

/// An open `\PIPE\netlogon`, for whole fragments.
pub struct NetlogonPipe(NamedPipe<Watched<TokioTcpTransport>>);

impl NetlogonPipe {
    /// Connects as [`LsaPipe::connect`] does. Any account of the domain may open this pipe.
    pub async fn connect(
        host: &str,
        address: SocketAddr,
        ticket: Credential,
    ) -> Result<Self, SmbError> {
        let (pipe, _) = open(host, address, ticket, "netlogon").await?;
        Ok(Self(pipe))
    }
}

impl Wire for NetlogonPipe {
    async fn exchange(&mut self, fragment: Vec<u8>) -> Result<Vec<u8>, SmbError> {
        match tokio::time::timeout(CALL_TIMEOUT, self.0.call(fragment)).await {
            Ok(reply) => reply.map_err(|error| classify("the call", error)),
            Err(_) => Err(SmbError::TimedOut("a Netlogon call")),
        }
    }
}

/// A signed-in, encrypted session.
type Session = Connection<Watched<TokioTcpTransport>, Authenticated>;

/// Connects to an SMB server and signs in with a ticket for its service `cifs`; with what was said on the way.
async fn sign_in(
    host: &str,
    address: SocketAddr,
    ticket: Credential,
) -> Result<(Session, Transcript), SmbError> {
    let transport = TokioTcpTransport::connect_with_timeout(address, CONNECT_TIMEOUT)
        .await
        .map_err(|error| SmbError::Unreachable {
            host: host.to_owned(),
            address,
            reason: error.to_string(),
        })?
        .with_max_message_size(MAX_MESSAGE);
    let transcript = Transcript::default();
    let connection = Connection::new(Watched::new(transport, transcript.clone()))
        .with_security_policy(SecurityPolicy::pandora())
        .with_resource_limits(limits())
        .with_operation_timeouts(OperationTimeouts {
            connect: CONNECT_TIMEOUT,
            request: REQUEST_TIMEOUT,
        })
        .negotiate(&negotiate_request()?)
        .await
        .map_err(|error| classify("the SMB negotiation", error))?
        .authenticate(&mut KerberosAuth::new(ticket))
        .await
        .map_err(|error| classify("the sign-in", error))?;
    Ok((connection, transcript))
}

/// Signs in to the domain controller and opens one of its pipes; with the session's application key.
async fn open(
    host: &str,
    address: SocketAddr,
    ticket: Credential,
    name: &'static str,
) -> Result<(NamedPipe<Watched<TokioTcpTransport>>, Zeroizing<[u8; 16]>), SmbError> {
    let (tree, application_key) = tree(host, address, ticket, "IPC$").await?;
    let pipe = NamedPipe::open(tree, name, PipeAccess::ReadWrite)
        .await
        .map_err(|error| classify("access to the pipe", error))?;
    Ok((pipe, application_key))
}

/// A share that is connected to.
type Tree = Connection<Watched<TokioTcpTransport>, TreeConnected>;

/// Signs in to the domain controller and connects to one of its shares; with the session's application key.
async fn tree(
    host: &str,
    address: SocketAddr,
    ticket: Credential,
    share: &str,
) -> Result<(Tree, Zeroizing<[u8; 16]>), SmbError> {
    let (connection, transcript) = sign_in(host, address, ticket).await?;
    let session_key = connection
        .session_key()
        .ok_or_else(|| SmbError::Protocol("the session has no key".to_owned()))?;
    let application_key = transcript
        .application_key(session_key)
        .ok_or_else(|| SmbError::Protocol("the session set-up was not observed".to_owned()))?;
    let tree = connection
        .tree_connect(&TreeConnectRequest::from_unc(&format!(r"\\{host}\{share}")))
        .await
        .map_err(|error| classify("access to the share", error))?;
    Ok((tree, application_key))
}

impl Pipe for LsaPipe {
    async fn call(&mut self, opnum: u16, stub: Vec<u8>) -> Result<Vec<u8>, SmbError> {
        match tokio::time::timeout(CALL_TIMEOUT, self.rpc.call(0, opnum, stub)).await {
            Ok(reply) => reply.map_err(|error| classify("the call", error)),
            Err(_) => Err(SmbError::TimedOut("an LSA call")),
        }
    }

    fn application_key(&self) -> &[u8] {
        self.application_key.as_slice()
    }
}

fn limits() -> ResourceLimits {
    ResourceLimits {
        max_transport_message: MAX_MESSAGE,
        max_authentication_token_size: 64 * 1024,
        max_authentication_key_size: 64,
        max_rpc_stub_size: 4 * MAX_MESSAGE,
        ..ResourceLimits::conservative()
    }
}

/// SMB 3.1.1 and AES-GCM, nothing else.
fn negotiate_request() -> Result<NegotiateRequest, SmbError> {
    let mut client_guid = [0; 16];
    let mut salt = vec![0; 32];
    getrandom::fill(&mut client_guid)
        .and_then(|()| getrandom::fill(&mut salt))
        .map_err(|error| SmbError::Protocol(format!("no randomness: {error}")))?;
    Ok(NegotiateRequest {
        security_mode: SigningMode::ENABLED | SigningMode::REQUIRED,
        capabilities: GlobalCapabilities::LARGE_MTU | GlobalCapabilities::ENCRYPTION,
        client_guid,
        dialects: vec![Dialect::Smb311],
        negotiate_contexts: vec![
            NegotiateContext::preauth_integrity(PreauthIntegrityCapabilities {
                hash_algorithms: vec![PreauthIntegrityHashId::Sha512],
                salt,
            }),
            NegotiateContext::encryption_capabilities(EncryptionCapabilities {
                ciphers: vec![CipherId::Aes128Gcm],
            }),
        ],
    })
}

/// The library's error in the words of this room.
fn classify(step: &'static str, error: CoreError) -> SmbError {
    match error {
        CoreError::UnexpectedStatus { status, .. } => SmbError::Refused {
            step,
            status: NtStatus(status),
        },
        CoreError::RemoteOperation { code, .. } => SmbError::Fault(code),
        CoreError::Auth(AuthError::Backend(reason)) => SmbError::Authentication(reason),
        CoreError::Auth(error) => SmbError::Authentication(error.to_string()),
        CoreError::Timeout(what) => SmbError::TimedOut(what),
        CoreError::Io(error) | CoreError::LocalIo(error) => {
            SmbError::Protocol(format!("{step}: {error}"))
        }
        other => SmbError::Protocol(format!("{step}: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossrealm_krb::crypto::{Enctype, Key};
    use crossrealm_krb::messages::{self, EncryptedData, KerberosString, PrincipalName, Ticket};
    use crossrealm_krb::principal::Principal;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    fn ticket() -> Credential {
        let mut random = |bytes: &mut [u8]| bytes.fill(7);
        let key = Key::generate(Enctype::Aes256Sha1, &mut random);
        let realm = "CORP.CONTOSO.COM";
        let ticket = Ticket {
            tkt_vno: 5,
            realm: KerberosString(realm.to_owned()),
            sname: PrincipalName::new(2, &["cifs", "dc1"]),
            enc_part: EncryptedData::encrypt(&key, None, 2, b"sealed", &mut random),
        };
        Credential {
            client: Principal::parse("admin", Some(realm)).unwrap(),
            server: Principal::parse("cifs/dc1", Some(realm)).unwrap(),
            key,
            auth_time: 0,
            start_time: 0,
            end_time: i64::MAX,
            renew_until: None,
            flags: 0,
            ticket: messages::encode(&ticket).unwrap(),
        }
    }

    async fn refused_by(answer: &'static [u8]) -> SmbError {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(answer).await.unwrap();
        });
        let result = LsaPipe::connect("dc1", address, ticket()).await;
        server.await.unwrap();
        result.err().unwrap()
    }

    #[tokio::test]
    async fn a_closed_port_names_the_domain_controller() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = LsaPipe::connect("dc1", address, ticket())
            .await
            .err()
            .unwrap();
        assert!(matches!(error, SmbError::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains("`dc1`"));
        assert!(error.hint().unwrap().contains("445"));
    }

    #[tokio::test]
    async fn what_is_not_smb_is_refused() {
        for answer in [
            &b""[..],
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            // a length of 16 MiB that is not followed by anything
            &[0, 0xff, 0xff, 0xff],
            // a session message that holds no SMB
            &[0, 0, 0, 4, 1, 2, 3, 4],
        ] {
            let error = refused_by(answer).await;
            assert!(matches!(error, SmbError::Protocol(_)), "{error}");
        }
    }
}
