//! Named pipes of a domain controller that carry RPC: `\PIPE\lsarpc` and `\PIPE\netlogon`.

use super::{Pipe, Wire};
use crate::smb::{SmbError, Watched, classify, tree};
use crossrealm_krb::credential::Credential;
use smolder_core::pipe::{NamedPipe, PipeAccess};
use smolder_core::rpc::PipeRpcClient;
use smolder_core::transport::TokioTcpTransport;
use smolder_proto::rpc::{SyntaxId, Uuid};
use std::net::SocketAddr;
use std::time::Duration;
use zeroize::Zeroizing;

/// The time limit for an LSA call; creating a trust writes to the directory.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);
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

/// An open `\PIPE\lsarpc`.
pub struct LsaPipe {
    rpc: PipeRpcClient<Watched<TokioTcpTransport>>,
    application_key: Zeroizing<[u8; 16]>,
}

impl LsaPipe {
    /// Connects to the domain controller `host` (its DNS name) at `address`, signs in with a ticket for its service `cifs`,
    /// and binds to the LSA. Only the holder of the service's key can decrypt the ticket, which authenticates the server.
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

/// An open `\PIPE\netlogon`, for RPC fragments.
pub struct NetlogonPipe(NamedPipe<Watched<TokioTcpTransport>>);

impl NetlogonPipe {
    /// Connects like [`LsaPipe::connect`]. Any account of the domain may open this pipe.
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

/// Signs in to the domain controller and opens a pipe. Returns the application key of the session too.
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
