//! Trusted domain objects by LSA RPC ([MS-LSAD]), the only protocol that can create them.
//!
//! [`Lsa`] calls over a [`Pipe`]: in the product an encrypted SMB session ([`crate::smb`]), in tests a script. The stubs are
//! pure functions between values and bytes, and everything they decode is bounded. Which trust is wanted, and what has to
//! change, is planned in [`crate::trust`].

mod model;
mod secret;
mod stub;

use crate::rpc::Pipe;
use crate::smb::SmbError;

pub use model::{
    ATTRIBUTE_FOREST_TRANSITIVE, Collision, DIRECTION_INBOUND, DomainInfo, ENCTYPES_AES,
    ForestRecord, LsaError, NewTrust, TYPE_UPLEVEL, TrustedDomain,
};
pub use stub::PolicyHandle;

/// ACCESS_MASK MAXIMUM_ALLOWED: the server checks the caller's rights at each call ([MS-LSAD] 3.1.4.2.2).
const MAXIMUM_ALLOWED: u32 = 0x0200_0000;
/// The most pages of an enumeration.
const MAX_PAGES: usize = 64;

/// An open policy handle of the domain controller's LSA.
pub struct Lsa<P> {
    pipe: P,
    policy: PolicyHandle,
}

impl<P: Pipe> Lsa<P> {
    /// Opens the policy object (LsarOpenPolicy2, [MS-LSAD] 3.1.4.4.1).
    pub async fn open(mut pipe: P) -> Result<Self, LsaError> {
        let call = "LsarOpenPolicy2";
        let reply = pipe.call(44, stub::open_policy(MAXIMUM_ALLOWED)).await?;
        let policy = stub::handle_reply(call, &reply)?;
        Ok(Self { pipe, policy })
    }

    /// Reads which domain this is (LsarQueryInformationPolicy2, [MS-LSAD] 3.1.4.4.3).
    pub async fn domain(&mut self) -> Result<DomainInfo, LsaError> {
        let request = stub::query_policy(&self.policy, stub::POLICY_DNS_DOMAIN);
        let reply = self.pipe.call(46, request).await?;
        stub::dns_domain_reply(&reply)
    }

    /// Reads whether this domain controller is the PDC emulator (LsarQueryInformationPolicy2, [MS-LSAD] 3.1.4.4.3).
    pub async fn is_primary(&mut self) -> Result<bool, LsaError> {
        let request = stub::query_policy(&self.policy, stub::POLICY_SERVER_ROLE);
        let reply = self.pipe.call(46, request).await?;
        stub::server_role_reply(&reply)
    }

    /// Reads every trust of the domain (LsarEnumerateTrustedDomainsEx, [MS-LSAD] 3.1.4.7.7).
    pub async fn trusts(&mut self) -> Result<Vec<TrustedDomain>, LsaError> {
        let mut trusts = Vec::new();
        let mut context = 0;
        for _ in 0..MAX_PAGES {
            let request = stub::enumerate_trusts(&self.policy, context);
            let reply = self.pipe.call(50, request).await?;
            let (page, next) = stub::trusts_reply(&reply)?;
            trusts.extend(page);
            match next {
                Some(next) if next != context => context = next,
                _ => return Ok(trusts),
            }
        }
        Err(LsaError::Malformed("LsarEnumerateTrustedDomainsEx"))
    }

    /// Reads `msDS-SupportedEncryptionTypes` of a trust (LsarQueryTrustedDomainInfoByName, [MS-LSAD] 3.1.4.7.5).
    pub async fn trust_enctypes(&mut self, name: &str) -> Result<u32, LsaError> {
        let request = stub::query_trust(&self.policy, name, stub::TRUST_ENCTYPES)?;
        let reply = self.pipe.call(48, request).await?;
        stub::enctypes_reply(&reply)
    }

    /// Reads the forest trust information of a trust, empty if none is set (LsarQueryForestTrustInformation, [MS-LSAD]
    /// 3.1.4.7.15).
    pub async fn forest_records(&mut self, name: &str) -> Result<Vec<ForestRecord>, LsaError> {
        let request = stub::query_forest(&self.policy, name)?;
        let reply = self.pipe.call(73, request).await?;
        stub::forest_reply(&reply)
    }

    /// Creates an inbound, forest-transitive trust with `secret`, and closes its handle (LsarCreateTrustedDomainEx2, [MS-LSAD]
    /// 3.1.4.7.10). `now` is the time of creation as a FILETIME (100 ns since 1601).
    pub async fn create_trust(
        &mut self,
        trust: &NewTrust<'_>,
        secret: &str,
        now: u64,
    ) -> Result<(), LsaError> {
        let call = "LsarCreateTrustedDomainEx2";
        let mut confounder = [0; secret::CONFOUNDER_LEN];
        getrandom::fill(&mut confounder)
            .map_err(|error| SmbError::Protocol(format!("no randomness: {error}")))?;
        let blob = secret::auth_blob(secret, now, &confounder, self.pipe.application_key());
        let request = stub::create_trust(&self.policy, trust, &blob, MAXIMUM_ALLOWED)?;
        let reply = self.pipe.call(59, request).await?;
        let handle = stub::handle_reply(call, &reply)?;
        self.close(handle).await
    }

    /// Sets the encryption types of a trust (LsarSetInformationTrustedDomain, [MS-LSAD] 3.1.4.7.14).
    pub async fn set_trust_enctypes(&mut self, name: &str, bits: u32) -> Result<(), LsaError> {
        let handle = self.open_trust(name).await?;
        let request = stub::set_enctypes(&handle, bits);
        let reply = self.pipe.call(27, request).await?;
        stub::status_reply("LsarSetInformationTrustedDomain", &reply)?;
        self.close(handle).await
    }

    /// Replaces the top-level names of a trust (LsarSetForestTrustInformation, [MS-LSAD] 3.1.4.7.16). Returns the collisions
    /// with other trusts; if there is one, nothing has changed.
    pub async fn set_top_level_names(
        &mut self,
        name: &str,
        top_level_names: &[String],
    ) -> Result<Vec<Collision>, LsaError> {
        let request = stub::set_forest(&self.policy, name, top_level_names)?;
        let reply = self.pipe.call(74, request).await?;
        stub::collisions_reply(&reply)
    }

    /// Deletes a trust and its account (LsarDeleteObject, [MS-LSAD] 3.1.4.9.3).
    pub async fn delete_trust(&mut self, name: &str) -> Result<(), LsaError> {
        let handle = self.open_trust(name).await?;
        let reply = self.pipe.call(34, stub::handle_only(&handle)).await?;
        stub::handle_reply("LsarDeleteObject", &reply).map(|_| ())
    }

    async fn open_trust(&mut self, name: &str) -> Result<PolicyHandle, LsaError> {
        let request = stub::open_trust(&self.policy, name, MAXIMUM_ALLOWED)?;
        let reply = self.pipe.call(55, request).await?;
        stub::handle_reply("LsarOpenTrustedDomainByName", &reply)
    }

    async fn close(&mut self, handle: PolicyHandle) -> Result<(), LsaError> {
        let reply = self.pipe.call(0, stub::handle_only(&handle)).await?;
        stub::handle_reply("LsarClose", &reply).map(|_| ())
    }
}

#[cfg(test)]
mod tests;
