//! Connections to the domain controller that an operation works with.
//!
//! Every request to AD goes to one domain controller, the PDC emulator unless another is named: it alone may change a
//! trust's names ([MS-LSAD] 3.1.4.7.16), and what was just written is seen there.

use crate::error::AgentError;
use crossrealm_onprem::credentials::DomainCredentials;
use crossrealm_onprem::dc::Choice;
use crossrealm_onprem::lsa::{Lsa, LsaError};
use crossrealm_onprem::rpc::{LsaPipe, NetlogonPipe};
use crossrealm_onprem::session::Session;
use crossrealm_onprem::smb;
use std::net::SocketAddr;

/// An AD domain, and who speaks to it.
#[derive(Clone, Copy)]
pub struct DomainTarget<'a> {
    /// Its DNS name.
    pub domain: &'a str,
    /// The domain controller that was named; `None` for the PDC emulator.
    pub dc: Option<&'a str>,
    /// Who signs in.
    pub credentials: &'a DomainCredentials,
}

impl DomainTarget<'_> {
    /// Finds the domain controller and signs in.
    ///
    /// # Errors
    /// [`AgentError::Onprem`].
    pub async fn sign_in(&self) -> Result<Session, AgentError> {
        let choice = Choice::named_or(self.dc, Choice::Pdc);
        Ok(Session::open(self.domain, &choice, self.credentials).await?)
    }
}

/// The domain's DNS name as the tenant records it: lower case, without a dot at its end.
pub fn domain_name(text: &str) -> String {
    text.trim_end_matches('.').to_lowercase()
}

/// Opens the domain controller's LSA.
pub(crate) async fn lsa(session: &Session) -> Result<Lsa<LsaPipe>, AgentError> {
    // The peer receives the trust password: the ticket's service name must be one that only domain controllers have.
    let ticket = session.controller_ticket("cifs").await?;
    let dc = session.dc();
    let address = SocketAddr::new(dc.address, smb::PORT);
    let pipe = LsaPipe::connect(&dc.host, address, ticket)
        .await
        .map_err(LsaError::from)?;
    Ok(Lsa::open(pipe).await?)
}

/// Opens a new pipe to the domain controller's Netlogon.
pub(crate) async fn netlogon(session: &Session) -> Result<NetlogonPipe, AgentError> {
    let ticket = session.controller_ticket("cifs").await?;
    let dc = session.dc();
    let address = SocketAddr::new(dc.address, smb::PORT);
    let pipe = NetlogonPipe::connect(&dc.host, address, ticket).await;
    Ok(pipe.map_err(LsaError::from)?)
}
