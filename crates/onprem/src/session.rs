//! A session with one domain controller under one identity.

use crate::credentials::DomainCredentials;
use crate::dc::{Choice, DomainController};
use crate::error::OnpremError;
use crate::kdc::Kdcs;
use crate::ldap::{self, Connection, Ldap};
use crossrealm_krb::credential::Credential;
use crossrealm_krb::messages::name_type;
use crossrealm_krb::principal::Principal;
use std::net::SocketAddr;

/// A domain controller, and the ticket-granting ticket of who signed in there.
#[derive(Clone, Debug)]
pub struct Session {
    dc: DomainController,
    kdcs: Kdcs,
    tgt: Credential,
}

impl Session {
    /// Locates a domain controller of `domain` and signs in.
    pub async fn open(
        domain: &str,
        choice: &Choice,
        credentials: &DomainCredentials,
    ) -> Result<Self, OnpremError> {
        let dc = DomainController::find(domain, choice).await?;
        Self::open_at(dc, credentials).await
    }

    /// Signs in at a domain controller that was located before.
    pub async fn open_at(
        dc: DomainController,
        credentials: &DomainCredentials,
    ) -> Result<Self, OnpremError> {
        let kdcs = Kdcs::pinned(&dc.realm(), &dc.host, dc.address);
        let tgt = credentials.sign_in(&dc.realm(), &kdcs).await?;
        Ok(Self { dc, kdcs, tgt })
    }

    /// The domain controller.
    pub fn dc(&self) -> &DomainController {
        &self.dc
    }

    /// The same identity at another domain controller. Its tickets still come from the domain controller of the sign-in.
    #[must_use]
    pub fn beside(&self, dc: DomainController) -> Self {
        Self {
            dc,
            kdcs: self.kdcs.clone(),
            tgt: self.tgt.clone(),
        }
    }

    /// The signed-in principal.
    pub fn client(&self) -> &Principal {
        &self.tgt.client
    }

    /// The ticket-granting ticket.
    pub fn tgt(&self) -> &Credential {
        &self.tgt
    }

    /// A ticket for the controller's service of this class: `cifs/dc1.corp.contoso.com`.
    pub async fn ticket(&self, class: &str) -> Result<Credential, OnpremError> {
        self.service_ticket(&[class, &self.dc.host]).await
    }

    /// A ticket for `class/host/domain`. Only domain controllers of the domain hold a key for this name, so a server that
    /// decrypts the ticket is one.
    pub async fn controller_ticket(&self, class: &str) -> Result<Credential, OnpremError> {
        self.service_ticket(&[class, &self.dc.host, &self.dc.domain])
            .await
    }

    /// Connects to the domain controller by LDAP and binds with a ticket for `ldap/host/domain`: a server that decrypts it is a
    /// domain controller of the domain, even if DNS was forged.
    pub async fn ldap(&self) -> Result<Ldap, OnpremError> {
        let ticket = self.controller_ticket("ldap").await?;
        let address = SocketAddr::new(self.dc.address, ldap::PORT);
        let mut connection = Connection::open(&self.dc.host, address).await?;
        connection.bind(ticket).await?;
        let base = self.dc.root_dse.default_naming_context.clone();
        Ok(Ldap::over(connection, base))
    }

    /// A ticket for the service with these name components, following referrals.
    pub async fn service_ticket(&self, components: &[&str]) -> Result<Credential, OnpremError> {
        let service = Principal::new(
            name_type::SRV_INST,
            components.iter().copied(),
            self.dc.realm(),
        )
        .map_err(|_| OnpremError::NotAController(self.dc.host.clone()))?;
        self.kdcs.service_ticket(&self.tgt, service).await
    }
}
