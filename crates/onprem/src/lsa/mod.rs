//! Trusted domain objects by LSA RPC ([MS-LSAD]), the only protocol that may create them.
//!
//! [`Lsa`] speaks over a [`Pipe`]: in the product the encrypted SMB session of [`crate::smb`], in tests a script. The
//! stubs are pure: values in, request bytes out, and reply bytes in, bounded, values out. What this room never does is
//! decide: which trust is wanted and what has to change is the plan's business ([`crate::trust`]).

mod ndr;
mod secret;
mod status;
mod stub;

use crate::smb::SmbError;
use crossrealm_types::Sid;
use std::future::Future;

pub use status::NtStatus;
pub use stub::PolicyHandle;

/// TRUSTED_DOMAIN_INFORMATION_EX.TrustDirection: the partner trusts this domain ([MS-LSAD] 2.2.7.9).
pub const DIRECTION_INBOUND: u32 = 1;
/// TRUSTED_DOMAIN_INFORMATION_EX.TrustType: an Active Directory domain, known by DNS name ([MS-LSAD] 2.2.7.9).
pub const TYPE_UPLEVEL: u32 = 2;
/// TRUSTED_DOMAIN_INFORMATION_EX.TrustAttributes: the trust is between forests ([MS-LSAD] 2.2.7.9).
pub const ATTRIBUTE_FOREST_TRANSITIVE: u32 = 8;
/// `msDS-SupportedEncryptionTypes` bits for AES128 and AES256 with HMAC-SHA1 ([MS-KILE] 2.2.7).
pub const ENCTYPES_AES: u32 = 0x18;

/// ACCESS_MASK MAXIMUM_ALLOWED: what the caller may do, checked by the server at each call.
const MAXIMUM_ALLOWED: u32 = 0x0200_0000;
/// The most pages of an enumeration that are fetched.
const MAX_PAGES: usize = 64;

/// A pipe that carries LSA calls.
pub trait Pipe: Send {
    /// Sends the request stub of call `opnum` and returns the reply stub.
    fn call(
        &mut self,
        opnum: u16,
        stub: Vec<u8>,
    ) -> impl Future<Output = Result<Vec<u8>, SmbError>> + Send;

    /// The key under which secrets inside of calls are enciphered: the SMB application key, [MS-SMB2] 3.2.1.3.
    fn application_key(&self) -> &[u8];
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum LsaError {
    /// The session broke, or could not carry the call.
    #[error(transparent)]
    Smb(#[from] SmbError),
    /// The domain controller refused.
    #[error("`{call}` failed: {} ({status})", status.meaning())]
    Status {
        /// The name of the call in [MS-LSAD].
        call: &'static str,
        /// What it answered.
        status: NtStatus,
    },
    /// The reply is not what [MS-LSAD] defines.
    #[error("the domain controller's answer to `{0}` could not be read")]
    Malformed(&'static str),
}

impl LsaError {
    /// The status the domain controller answered, if it was one.
    pub fn status(&self) -> Option<NtStatus> {
        match self {
            Self::Status { status, .. } => Some(*status),
            Self::Smb(_) | Self::Malformed(_) => None,
        }
    }

    /// What to do about it, where something can be done.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Status { status, .. } => status.hint(),
            Self::Smb(error) => error.hint(),
            Self::Malformed(_) => None,
        }
    }
}

/// The domain as its controller describes it: POLICY_DNS_DOMAIN_INFO, [MS-LSAD] 2.2.4.14.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainInfo {
    /// The flat (NetBIOS) name.
    pub flat_name: String,
    /// The DNS name.
    pub dns_name: String,
    /// The DNS name of the forest's root domain.
    pub forest_name: String,
    /// The domain's SID.
    pub sid: Sid,
}

/// A trust as the domain holds it: TRUSTED_DOMAIN_INFORMATION_EX, [MS-LSAD] 2.2.7.9.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedDomain {
    /// The partner's DNS name or realm.
    pub name: String,
    /// The partner's flat name.
    pub flat_name: String,
    /// The partner's SID; a realm of type MIT has none.
    pub sid: Option<Sid>,
    /// Direction bits.
    pub direction: u32,
    /// Type.
    pub kind: u32,
    /// Attribute bits.
    pub attributes: u32,
}

/// A record of a trust's forest information: LSA_FOREST_TRUST_RECORD, [MS-LSAD] 2.2.7.21.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForestRecord {
    /// A DNS suffix whose services belong to the partner.
    TopLevelName {
        /// The suffix.
        name: String,
        /// Flags; not 0 where the name is disabled.
        flags: u32,
    },
    /// A DNS suffix below a top-level name that does not belong to the partner.
    Excluded(String),
    /// A domain of the partner's forest.
    Domain {
        /// Its DNS name.
        dns_name: String,
        /// Its flat name.
        flat_name: String,
        /// Its SID.
        sid: Option<Sid>,
    },
    /// A record of another type, which this product does not read.
    Other(u16),
}

/// A name that another trust has already: LSA_FOREST_TRUST_COLLISION_RECORD, [MS-LSAD] 2.2.7.28.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collision {
    /// The index of the refused record in what was sent.
    pub index: u32,
    /// With what it collides: 0 a trusted domain object, 1 a cross reference (a domain of the own forest), 2 other.
    pub kind: u16,
    /// Flags, [MS-LSAD] 2.2.7.26.
    pub flags: u32,
    /// The other trust's name.
    pub name: String,
}

/// An open policy of the domain controller's LSA.
pub struct Lsa<P> {
    pipe: P,
    policy: PolicyHandle,
}

impl<P: Pipe> Lsa<P> {
    /// Opens the policy with the most the caller may do (LsarOpenPolicy2).
    pub async fn open(mut pipe: P) -> Result<Self, LsaError> {
        let call = "LsarOpenPolicy2";
        let reply = pipe.call(44, stub::open_policy(MAXIMUM_ALLOWED)).await?;
        let policy = stub::handle_reply(call, &reply)?;
        Ok(Self { pipe, policy })
    }

    /// Which domain this is (LsarQueryInformationPolicy2).
    pub async fn domain(&mut self) -> Result<DomainInfo, LsaError> {
        let request = stub::query_policy(&self.policy, stub::POLICY_DNS_DOMAIN);
        let reply = self.pipe.call(46, request).await?;
        stub::dns_domain_reply(&reply)
    }

    /// Whether this domain controller is the PDC emulator (LsarQueryInformationPolicy2).
    pub async fn is_primary(&mut self) -> Result<bool, LsaError> {
        let request = stub::query_policy(&self.policy, stub::POLICY_SERVER_ROLE);
        let reply = self.pipe.call(46, request).await?;
        stub::server_role_reply(&reply)
    }

    /// Every trust of the domain (LsarEnumerateTrustedDomainsEx).
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

    /// The encryption types the trust may use, as the bits of `msDS-SupportedEncryptionTypes`
    /// (LsarQueryTrustedDomainInfoByName).
    pub async fn trust_enctypes(&mut self, name: &str) -> Result<u32, LsaError> {
        let request = stub::query_trust(&self.policy, name, stub::TRUST_ENCTYPES);
        let reply = self.pipe.call(48, request).await?;
        stub::enctypes_reply(&reply)
    }

    /// The trust's forest information, empty where none is set (LsarQueryForestTrustInformation).
    pub async fn forest_records(&mut self, name: &str) -> Result<Vec<ForestRecord>, LsaError> {
        let request = stub::query_forest(&self.policy, name);
        let reply = self.pipe.call(73, request).await?;
        stub::forest_reply(&reply)
    }

    /// Creates an inbound, forest-transitive trust with `secret` and closes it again (LsarCreateTrustedDomainEx2).
    /// `now` is the time of creation as a FILETIME (100 ns since 1601).
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
        let request = stub::create_trust(&self.policy, trust, &blob, MAXIMUM_ALLOWED);
        let reply = self.pipe.call(59, request).await?;
        let handle = stub::handle_reply(call, &reply)?;
        self.close(handle).await
    }

    /// Sets the encryption types of a trust (LsarSetInformationTrustedDomain).
    pub async fn set_trust_enctypes(&mut self, name: &str, bits: u32) -> Result<(), LsaError> {
        let handle = self.open_trust(name).await?;
        let request = stub::set_enctypes(&handle, bits);
        let reply = self.pipe.call(27, request).await?;
        stub::status_reply("LsarSetInformationTrustedDomain", &reply)?;
        self.close(handle).await
    }

    /// Replaces the trust's top-level names (LsarSetForestTrustInformation). The collisions with other trusts are
    /// returned; where there is one, nothing has changed.
    pub async fn set_top_level_names(
        &mut self,
        name: &str,
        top_level_names: &[String],
    ) -> Result<Vec<Collision>, LsaError> {
        let request = stub::set_forest(&self.policy, name, top_level_names);
        let reply = self.pipe.call(74, request).await?;
        stub::collisions_reply(&reply)
    }

    /// Deletes the trust and its account (LsarDeleteObject).
    pub async fn delete_trust(&mut self, name: &str) -> Result<(), LsaError> {
        let handle = self.open_trust(name).await?;
        let reply = self.pipe.call(34, stub::handle_only(&handle)).await?;
        stub::handle_reply("LsarDeleteObject", &reply).map(|_| ())
    }

    async fn open_trust(&mut self, name: &str) -> Result<PolicyHandle, LsaError> {
        let request = stub::open_trust(&self.policy, name, MAXIMUM_ALLOWED);
        let reply = self.pipe.call(55, request).await?;
        stub::handle_reply("LsarOpenTrustedDomainByName", &reply)
    }

    async fn close(&mut self, handle: PolicyHandle) -> Result<(), LsaError> {
        let reply = self.pipe.call(0, stub::handle_only(&handle)).await?;
        stub::handle_reply("LsarClose", &reply).map(|_| ())
    }
}

/// A trust to be created; direction, type and attributes are always those of a cloud trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTrust<'a> {
    /// The partner's realm.
    pub realm: &'a str,
    /// The partner's flat name, at most 15 characters.
    pub flat_name: &'a str,
    /// The partner's domain SID.
    pub sid: &'a Sid,
}

#[cfg(test)]
mod tests;
