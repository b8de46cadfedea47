//! `crossrealm kerberos-server`: what AD and the tenant hold of each other, and the trust between them.
//!
//! Everything said to AD goes to one domain controller, the PDC emulator unless another is named: it alone may change
//! a trust's names, and what was just written is seen there.

mod get;
pub(crate) mod handover;
pub(crate) mod journal;
mod object;
mod preflight;
mod remove;
pub(super) mod replication;
mod set;
mod trust;

use crate::context::Context;
use crate::domain_credentials::DomainArgs;
use crate::failure::Failure;
use clap::Subcommand;
use crossrealm_api::{Client, ClientError, Code, Role, Trust};
use crossrealm_onprem::dc::Choice;
use crossrealm_onprem::lsa::{Lsa, LsaError};
use crossrealm_onprem::session::Session;
use crossrealm_onprem::smb::{self, LsaPipe, NetlogonPipe};
use crossrealm_onprem::trust::{ApplyError, Refusal};
use std::net::SocketAddr;

/// What can be done with the Kerberos server object and the trust.
#[derive(Subcommand, Debug)]
pub enum Args {
    /// Show what AD and the tenant hold, and whether they agree
    Get(get::Args),
    /// Set up the service account and the cloud trust, repair them, or rotate their keys; a second run changes nothing
    Set(set::Args),
    /// Remove the service account, the cloud trust and the tenant's record of them
    Remove(remove::Args),
}

/// Runs `crossrealm kerberos-server`.
pub async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    match args {
        Args::Get(args) => get::run(args, context).await,
        Args::Set(args) => set::run(args, context).await,
        Args::Remove(args) => remove::run(args, context).await,
    }
}

/// A signed-in session with the domain controller and its open LSA.
pub(super) async fn open(domain: &DomainArgs) -> Result<(Session, Lsa<LsaPipe>), Failure> {
    let session = domain.open(Choice::Pdc).await?;
    let lsa = open_lsa(&session).await?;
    Ok((session, lsa))
}

async fn open_lsa(session: &Session) -> Result<Lsa<LsaPipe>, Failure> {
    // Whoever is at the other end gets the trust secret: the name must be one that only domain controllers bear.
    let ticket = session.controller_ticket("cifs").await?;
    let dc = session.dc();
    let address = SocketAddr::new(dc.address, smb::PORT);
    let pipe = LsaPipe::connect(&dc.host, address, ticket)
        .await
        .map_err(LsaError::from)?;
    Ok(Lsa::open(pipe).await?)
}

/// A new pipe to the domain controller's Netlogon.
async fn netlogon(session: &Session) -> Result<NetlogonPipe, Failure> {
    let ticket = session.controller_ticket("cifs").await?;
    let dc = session.dc();
    let address = SocketAddr::new(dc.address, smb::PORT);
    let pipe = NetlogonPipe::connect(&dc.host, address, ticket).await;
    Ok(pipe.map_err(LsaError::from)?)
}

/// Refuses a token that may not change trusts, before AD is touched.
pub(super) async fn require_global_administrator(client: &Client) -> Result<(), Failure> {
    let me = client.whoami().await?;
    if me.role == Some(Role::GlobalAdministrator) {
        return Ok(());
    }
    Err(
        Failure::new(format!("the token of `{}` may not change trusts", me.name))
            .hint("use the token of a global administrator of the service"),
    )
}

/// The tenant's record of the trust, where there is one.
pub(super) async fn recorded(
    client: &Client,
    tenant: &str,
    domain: &str,
) -> Result<Option<Trust>, Failure> {
    match client.trust(tenant, domain).await {
        Ok(trust) => Ok(Some(trust)),
        Err(error) if error.code() == Some(Code::TrustNotFound) => Ok(None),
        Err(error) => Err(ClientError::into(error)),
    }
}

impl From<LsaError> for Failure {
    fn from(error: LsaError) -> Self {
        Self::new(error.to_string())
            .maybe_hint(error.hint().map(str::to_owned))
            .refused(error.status().is_some())
    }
}

impl From<ApplyError> for Failure {
    fn from(error: ApplyError) -> Self {
        let refused = match &error {
            ApplyError::Lsa(error) => error.status().is_some(),
            ApplyError::Collision { .. } => true,
        };
        Self::new(error.to_string())
            .maybe_hint(error.hint().map(str::to_owned))
            .refused(refused)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.to_string()).hint(refusal.hint())
    }
}
