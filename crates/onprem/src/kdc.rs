//! Kerberos to the domain's KDCs over TCP port 88 (RFC 4120 §7.2.2), driving the exchanges of [`crossrealm_krb::client`].

use crate::dc;
use crate::error::OnpremError;
use crate::net::{self, KDC_TIMEOUT};
use crate::random::OsRandom;
use crossrealm_krb::client::{AsExchange, ClientStep, MAX_REPLY_LEN, Request, Secret, TgsExchange};
use crossrealm_krb::credential::Credential;
use crossrealm_krb::principal::Principal;
use crossrealm_os::clock::since_epoch;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The port of Kerberos.
pub const PORT: u16 = 88;

/// The most KDCs of one realm that are tried.
const MAX_KDCS: usize = 5;

/// Locates KDCs: one realm is pinned to a host, the others are found by DNS.
#[derive(Clone, Debug)]
pub struct Kdcs {
    realm: String,
    host: String,
    address: SocketAddr,
}

impl Kdcs {
    /// Pins `realm` to the KDC at `address`; `host` is for messages. What a run has just written is seen only at the domain
    /// controller it was written to, so its tickets must come from there too.
    pub fn pinned(realm: &str, host: &str, address: std::net::IpAddr) -> Self {
        Self {
            realm: realm.to_owned(),
            host: host.to_owned(),
            address: SocketAddr::new(address, PORT),
        }
    }

    /// The AS exchange of the client's realm. If the realm has no account of this name, the name is tried once more as an
    /// enterprise name: a UPN may differ from the account name (RFC 6806 §5).
    pub async fn initial_ticket(
        &self,
        client: &Principal,
        secret: &Secret,
    ) -> Result<Credential, OnpremError> {
        use crossrealm_krb::client::ClientError::UnknownPrincipal;
        use crossrealm_krb::messages::name_type;
        match self.sign_in(client.clone(), secret.clone()).await {
            Err(OnpremError::Kerberos(UnknownPrincipal(unknown)))
                if client.components().len() == 1 && client.name_type() == name_type::PRINCIPAL =>
            {
                let upn = format!(
                    "{}@{}",
                    client.components().concat(),
                    client.realm().to_lowercase()
                );
                let upn = Principal::new(name_type::ENTERPRISE, [upn], client.realm())
                    .map_err(|_| UnknownPrincipal(unknown.clone()))?;
                match self.sign_in(upn, secret.clone()).await {
                    Err(OnpremError::Kerberos(UnknownPrincipal(_))) => {
                        Err(UnknownPrincipal(unknown).into())
                    }
                    other => other,
                }
            }
            other => other,
        }
    }

    async fn sign_in(&self, client: Principal, secret: Secret) -> Result<Credential, OnpremError> {
        let mut exchange = AsExchange::new(client, secret);
        let mut step = exchange.begin(since_epoch(), &mut OsRandom)?;
        loop {
            match step {
                ClientStep::Done(credential) => return Ok(*credential),
                ClientStep::Send(request) => {
                    let reply = self.ask(&request).await?;
                    step = exchange.received(&reply, since_epoch(), &mut OsRandom)?;
                }
            }
        }
    }

    /// The TGS exchange for `service`, following referrals to other realms.
    pub async fn service_ticket(
        &self,
        tgt: &Credential,
        service: Principal,
    ) -> Result<Credential, OnpremError> {
        let mut exchange = TgsExchange::new(tgt.clone(), service);
        let mut step = exchange.begin(since_epoch(), &mut OsRandom)?;
        loop {
            match step {
                ClientStep::Done(credential) => return Ok(*credential),
                ClientStep::Send(request) => {
                    let reply = self.ask(&request).await?;
                    step = exchange.received(&reply, since_epoch(), &mut OsRandom)?;
                }
            }
        }
    }

    /// Sends a request to a KDC of its realm. The next KDC is tried only if one does not answer: a KRB-ERROR is an answer.
    pub async fn ask(&self, request: &Request) -> Result<Vec<u8>, OnpremError> {
        if request.realm.eq_ignore_ascii_case(&self.realm) {
            return ask_one(&self.host, self.address, &request.message).await;
        }
        let name = format!("_kerberos._tcp.{}", request.realm.to_lowercase());
        let mut last = None;
        for target in dc::targets(&name, &request.realm)
            .await?
            .into_iter()
            .take(MAX_KDCS)
        {
            for address in dc::addresses(&target.host, target.port).await? {
                match ask_one(&target.host, address, &request.message).await {
                    Ok(reply) => return Ok(reply),
                    Err(error) => last = Some(error),
                }
            }
        }
        Err(last.unwrap_or_else(|| OnpremError::NoController {
            domain: request.realm.clone(),
            reason: "no KDC is named".to_owned(),
        }))
    }
}

/// Sends one message to the KDC at `address` behind the length prefix of RFC 4120 §7.2.2, and returns the reply. `host` is for
/// messages.
pub async fn ask_one(
    host: &str,
    address: SocketAddr,
    message: &[u8],
) -> Result<Vec<u8>, OnpremError> {
    let mut stream = net::connect(host, address, "Kerberos").await?;
    let exchange = async {
        let length = u32::try_from(message.len()).map_err(io::Error::other)?;
        stream
            .write_all(&[&length.to_be_bytes(), message].concat())
            .await?;
        let mut length = [0; 4];
        stream.read_exact(&mut length).await?;
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > MAX_REPLY_LEN {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the answer is too large",
            ));
        }
        let mut reply = vec![0; length];
        stream.read_exact(&mut reply).await?;
        Ok(reply)
    };
    net::within(KDC_TIMEOUT, exchange)
        .await
        .map_err(|source| OnpremError::Broken {
            host: host.to_owned(),
            service: "Kerberos",
            source,
        })
}
