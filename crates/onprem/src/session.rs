//! A run of a tool against one domain: one domain controller, one identity.

use crate::credentials::DomainCredentials;
use crate::dc::{Choice, DomainController};
use crate::error::OnpremError;
use crate::kdc::Kdcs;
use crossrealm_krb::credential::Credential;
use crossrealm_krb::messages::name_type;
use crossrealm_krb::principal::Principal;

/// One domain controller, and a ticket-granting ticket to speak to it with.
#[derive(Clone, Debug)]
pub struct Session {
    dc: DomainController,
    kdcs: Kdcs,
    tgt: Credential,
}

impl Session {
    /// Finds a controller of `domain` and signs in.
    pub async fn open(
        domain: &str,
        choice: &Choice,
        credentials: &DomainCredentials,
    ) -> Result<Self, OnpremError> {
        let dc = DomainController::find(domain, choice).await?;
        Self::open_at(dc, credentials).await
    }

    /// Signs in at a controller that has been found.
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

    /// The same identity for another controller of the domain; its tickets come from the controller that was signed in
    /// at.
    #[must_use]
    pub fn beside(&self, dc: DomainController) -> Self {
        Self {
            dc,
            kdcs: self.kdcs.clone(),
            tgt: self.tgt.clone(),
        }
    }

    /// Who is signed in.
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

    /// A ticket for `class/host/domain`, a name that only controllers of the domain have: a server that decrypts it is one.
    pub async fn controller_ticket(&self, class: &str) -> Result<Credential, OnpremError> {
        self.service_ticket(&[class, &self.dc.host, &self.dc.domain])
            .await
    }

    /// A ticket for any service, through referrals: the components of its name.
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
