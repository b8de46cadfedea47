//! The whole exchange against a server that knows a secret, and against ones that misbehave.

use super::credential::Credentials;
use super::*;

/// A domain controller's Netlogon, as far as one fragment in clear goes.
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
            // The seed of a fresh session is the client's proof.
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
