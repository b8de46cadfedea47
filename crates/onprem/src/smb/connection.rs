//! Encrypted SMB 3.1.1 connections: negotiation, session set-up with a Kerberos ticket, tree connect.

use super::application_key::{Transcript, Watched};
use super::error::{SmbError, classify};
use super::gss::KerberosAuth;
use crossrealm_krb::credential::Credential;
use smolder_core::client::{Authenticated, Connection, TreeConnected};
use smolder_core::policy::{OperationTimeouts, ResourceLimits, SecurityPolicy};
use smolder_core::transport::TokioTcpTransport;
use smolder_proto::smb::smb2::{
    CipherId, Dialect, EncryptionCapabilities, GlobalCapabilities, NegotiateContext,
    NegotiateRequest, PreauthIntegrityCapabilities, PreauthIntegrityHashId, SigningMode,
    TreeConnectRequest,
};
use std::net::SocketAddr;
use std::time::Duration;
use zeroize::Zeroizing;

/// The time limit for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The time limit for one SMB request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest SMB message that is accepted, in bytes.
const MAX_MESSAGE: usize = 1024 * 1024;

/// An authenticated, encrypted session.
pub(super) type Session = Connection<Watched<TokioTcpTransport>, Authenticated>;

/// Connects to an SMB server and signs in with a ticket for its service `cifs`. Returns the hashes of the set-up too.
pub(super) async fn sign_in(
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

/// A connected share (tree connect).
pub(crate) type Tree = Connection<Watched<TokioTcpTransport>, TreeConnected>;

/// Signs in to a domain controller and connects to one of its shares. Returns the application key of the session too.
pub(crate) async fn tree(
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

fn limits() -> ResourceLimits {
    ResourceLimits {
        max_transport_message: MAX_MESSAGE,
        max_authentication_token_size: 64 * 1024,
        max_authentication_key_size: 64,
        max_rpc_stub_size: 4 * MAX_MESSAGE,
        ..ResourceLimits::conservative()
    }
}

/// Offers SMB 3.1.1 with AES-GCM, and nothing else.
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
