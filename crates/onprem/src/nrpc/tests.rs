//! The whole exchange, against a server that knows the password, and servers that misbehave.

use super::channel::Seal;
use super::credential::{Cfb8, Credentials};
use super::*;
use crate::nt_status::NtStatus;
use crate::smb::SmbError;

/// A domain controller's Netlogon, for one clear fragment each way.
struct Server {
    secret: &'static str,
    credentials: Option<Credentials>,
    challenge: [u8; 8],
    flags: u32,
    knows: bool,
}

fn fragment(kind: u8, call_id: &[u8], body: &[u8]) -> Vec<u8> {
    let mut out = vec![5, 0, kind, 3, 0x10, 0, 0, 0];
    out.extend(u16::try_from(16 + body.len()).unwrap().to_le_bytes());
    out.extend([0, 0]);
    out.extend(call_id);
    out.extend(body);
    out
}

impl Wire for Server {
    async fn exchange(&mut self, request: Vec<u8>) -> Result<Vec<u8>, SmbError> {
        let id = &request[12..16];
        if request[2] == 11 {
            let mut body = vec![0xb8, 0x10, 0xb8, 0x10, 1, 0, 0, 0, 4, 0];
            body.extend(b"abc\0\0\0");
            body.extend([1, 0, 0, 0, 0, 0, 0, 0]);
            body.extend([0; 20]);
            return Ok(fragment(12, id, &body));
        }
        let opnum = request[22];
        let mut stub = Vec::new();
        if opnum == 4 {
            let ours = request.last_chunk::<8>().unwrap();
            self.credentials = Some(Credentials::new(self.secret, ours, &self.challenge));
            stub.extend(self.challenge);
            stub.extend([0; 4]);
        } else {
            let credentials = self.credentials.as_ref().unwrap();
            let proof = credentials.client(&self.challenge);
            stub.extend(if self.knows { proof } else { [1; 8] });
            stub.extend(self.flags.to_le_bytes());
            stub.extend([0; 4]);
            let given = &request[request.len() - 12..request.len() - 4];
            // The seed of a new session is the client's credential.
            let accepted = given == credentials.seed() || !self.knows;
            let status = if accepted {
                0
            } else {
                NtStatus::ACCESS_DENIED.0
            };
            stub.extend(status.to_le_bytes());
        }
        let mut body = vec![0; 8];
        body.extend(stub);
        Ok(fragment(2, id, &body))
    }
}

fn server() -> Server {
    Server {
        secret: "current",
        credentials: None,
        challenge: [7; 8],
        flags: FLAGS_OFFERED,
        knows: true,
    }
}

fn account() -> TrustAccount {
    TrustAccount {
        host: "dc1.corp.contoso.com".to_owned(),
        ad_flat_name: "CORP".to_owned(),
        flat_name: "CONTOSO-KRB".to_owned(),
    }
}

#[tokio::test]
async fn a_secret_is_accepted_or_is_another() {
    let proven = prove(&mut server(), &account(), "current").await.unwrap();
    assert!(proven.is_some());
    let other = prove(&mut server(), &account(), "older").await.unwrap();
    assert!(other.is_none());
}

#[tokio::test]
async fn a_server_without_aes_or_without_the_secret_is_refused() {
    let mut weak = server();
    weak.flags = 0x600F_FFFF;
    let refused = prove(&mut weak, &account(), "current").await;
    assert!(matches!(refused, Err(NetlogonError::Weak(0x600F_FFFF))));
    let mut impostor = server();
    impostor.knows = false;
    let refused = prove(&mut impostor, &account(), "current").await;
    assert!(matches!(refused, Err(NetlogonError::Forged(_))));
}

/// A domain controller's secure channel, which knows the session and takes one new password.
struct SealedServer {
    credentials: Credentials,
    seal: Seal,
    taken: Option<(String, u32)>,
    status: u32,
    proves: bool,
}

/// The security trailer and the token of a body with `pad` bytes of padding.
fn sealed_fragment(seal: &mut Seal, call_id: &[u8], stub: &[u8]) -> Vec<u8> {
    let padded = stub.len().next_multiple_of(16);
    let mut data = stub.to_vec();
    data.resize(padded, 0);
    let token = seal.seal_as(&mut data, [5; 8], false);
    let pad = u8::try_from(padded - stub.len()).unwrap();
    let mut body = vec![0; 8];
    body.extend(data);
    body.extend([0x44, 6, pad, 0, 0, 0, 0, 0]);
    body.extend(&token);
    let mut out = fragment(2, call_id, &body);
    out[10] = 56;
    out
}

impl Wire for SealedServer {
    async fn exchange(&mut self, request: Vec<u8>) -> Result<Vec<u8>, SmbError> {
        let id = request[12..16].to_vec();
        if request[2] == 11 {
            // NL_AUTH_MESSAGE names domain and computer behind the trailer.
            assert!(request.ends_with(b"CORP\0CONTOSO-KRB\0"));
            return server().exchange(request).await;
        }
        let (body, token) = request.split_at(request.len() - 56);
        let (body, trailer) = body.split_at(body.len() - 8);
        assert_eq!(trailer[..2], [0x44, 6]);
        let mut stub = body[24..].to_vec();
        assert!(self.seal.open_as(&mut stub, token, true));
        stub.truncate(stub.len() - usize::from(trailer[2]));
        let (call, buffer) = stub.split_at(stub.len() - 516);
        let (call, timestamp) = call.split_last_chunk::<4>().unwrap();
        let proof = self
            .credentials
            .authenticator(u32::from_le_bytes(*timestamp));
        assert!(call.ends_with(&proof));
        let mut buffer = buffer.to_vec();
        Cfb8::new(self.credentials.session_key(), [0; 16]).decrypt(&mut buffer);
        let length = u32::from_le_bytes(*buffer.last_chunk().unwrap());
        let password = &buffer[512 - usize::try_from(length).unwrap()..512];
        let text: Vec<u16> = password
            .chunks(2)
            .map(|unit| u16::from_le_bytes([unit[0], unit[1]]))
            .collect();
        let version = &buffer[512 - password.len() - 8..][..4];
        let version = u32::from_le_bytes(version.try_into().unwrap());
        self.taken = Some((String::from_utf16(&text).unwrap(), version));
        // The server's authenticator uses the seed plus one.
        let mut stub = self.credentials.authenticator(1).to_vec();
        if !self.proves {
            stub[0] ^= 1;
        }
        stub.extend([0; 4]);
        stub.extend(self.status.to_le_bytes());
        Ok(sealed_fragment(&mut self.seal, &id, &stub))
    }
}

fn sealed(status: u32, proves: bool) -> (SealedServer, Proven) {
    let credentials = || Credentials::new("current", &[1; 8], &[7; 8]);
    let server = SealedServer {
        seal: Seal::new(credentials().session_key()),
        credentials: credentials(),
        taken: None,
        status,
        proves,
    };
    (server, Proven(credentials()))
}

#[tokio::test]
async fn the_next_secret_arrives_sealed_with_its_version() {
    let (mut server, proven) = sealed(0, true);
    set_secret(
        &mut server,
        &account(),
        proven,
        "next-secret",
        3,
        1_700_000_000,
    )
    .await
    .unwrap();
    assert_eq!(server.taken, Some(("next-secret".to_owned(), 3)));
}

#[tokio::test]
async fn a_refusal_or_a_missing_proof_is_no_success() {
    let (mut server, proven) = sealed(NtStatus::ACCESS_DENIED.0, true);
    let refused = set_secret(&mut server, &account(), proven, "next", 3, 1).await;
    assert!(matches!(refused, Err(NetlogonError::Status { .. })));
    let (mut server, proven) = sealed(0, false);
    let forged = set_secret(&mut server, &account(), proven, "next", 3, 1).await;
    assert!(matches!(forged, Err(NetlogonError::Forged(_))));
}
