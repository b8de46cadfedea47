//! What the exchange asks the directory for, and what the directory answers.
//!
//! These types are the whole contract between the decision and the store. A lookup cannot be written without a
//! [`TenantId`], so one tenant's records can never answer another tenant's request. Records are shared (`Arc`), so that
//! a cache can hand them out without copying keys.

use crossrealm_krb::crypto::Key;
use crossrealm_types::{IdentityKind, IdentitySource, IdentityState, Sid};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The identity of a tenant: a UUID (RFC 9562).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(pub [u8; 16]);

/// What is to be looked up, always within one tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookups {
    /// The tenant whose records are meant; no other tenant's may answer.
    pub tenant: TenantId,
    /// The records of this round.
    pub wanted: Wanted,
}

/// The records of one round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Round one, before anything is decrypted: the tenant itself, and the trust whose on-premises realm issued the ticket.
    Parties {
        /// The realm that issued the presented ticket, as the ticket names it (compare without case).
        issuer: String,
    },
    /// Round two, when ticket and armor are verified: the client and the service.
    Grant {
        /// The SID from the verified PAC of the presented ticket.
        sid: Sid,
        /// The service the client asks a ticket for.
        service: ServiceName,
    },
}

/// The name of a service in the tenant's realm: `class/host`, two components, compared without case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServiceName {
    /// The service class, lower-cased: `cifs`, `host`, `postgres`.
    pub class: String,
    /// The host name, lower-cased.
    pub host: String,
}

/// The answer to one [`Lookups`].
#[derive(Clone, Debug)]
pub enum Records {
    /// Answers [`Wanted::Parties`].
    Parties {
        /// The tenant of the lookup.
        tenant: Arc<Tenant>,
        /// The trust with the issuing realm; `None` where the tenant has no such trust.
        trust: Option<Arc<Trust>>,
    },
    /// Answers [`Wanted::Grant`].
    Grant {
        /// The identity with that SID; `None` where the tenant holds none.
        identity: Option<Arc<Identity>>,
        /// The service; `None` where the tenant has no such service.
        service: Option<Arc<Service>>,
    },
    /// The directory could not answer in time; the text is for the event, never for the client.
    Unavailable(String),
}

/// The cloud side of one organisation.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Its UUID.
    pub id: TenantId,
    /// Its name, for events.
    pub name: String,
    /// Its Kerberos realm, e.g. `KERBEROS.CONTOSO.CLOUD.EXAMPLE`.
    pub realm: String,
    /// The keys of `krbtgt/REALM@REALM`. The first signs PACs and encrypts the realm's own TGTs; the others decrypt TGTs.
    /// Never empty.
    pub krbtgt_keys: Vec<ServiceKey>,
    /// Ticket policy.
    pub policy: Policy,
    /// The trusted forests. A client with a TGT of this realm must still be of one of them, and only groups of its own
    /// forest pass.
    pub forests: Vec<Forest>,
}

/// What a tenant allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The longest life of a ticket, in seconds.
    pub max_ticket_life_s: u32,
    /// The longest renewable life of a TGT, in seconds.
    pub max_renewable_life_s: u32,
    /// Whether users with a RID below 1000 (Administrator and other built-in accounts) may get tickets.
    pub allow_low_rids: bool,
}

/// The trust between a tenant and one AD forest.
#[derive(Clone, Debug)]
pub struct Trust {
    /// The realm of the forest's root domain, upper case, e.g. `CORP.CONTOSO.COM`.
    pub realm: String,
    /// The forest whose users may arrive through this trust.
    pub forest: Forest,
    /// The inter-realm keys, newest first.
    pub keys: Vec<TrustKey>,
}

/// A trusted forest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forest {
    /// Which trust with it counts. TGTs of this realm name the generation that they were issued under.
    pub generation: TrustGeneration,
    /// Its registered domains, the root included.
    pub domains: Vec<ForestDomain>,
}

/// What distinguishes a trust from earlier ones with the same forest, and from itself before its key was stolen: a number
/// that never comes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustGeneration(pub [u8; 16]);

impl TrustGeneration {
    /// The generation of trusts, and of TGTs, from before there were generations.
    pub const UNNAMED: Self = Self([0; 16]);
}

/// A domain of the trusted forest, registered with the tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForestDomain {
    /// Its realm, upper case.
    pub realm: String,
    /// Its DNS name, lower case.
    pub dns_name: String,
    /// Its flat (NetBIOS) name.
    pub flat_name: String,
    /// Its domain SID; no client SID outside it is accepted.
    pub sid: Sid,
}

/// One version of the inter-realm key.
#[derive(Clone, Debug)]
pub struct TrustKey {
    /// The tenant's own count of versions, from 1. AD's referrals mostly carry no kvno.
    pub version: u32,
    /// Whether it may still decrypt tickets.
    pub state: KeyState,
    /// The key for each encryption type (AES only) derived from the trust password of this version.
    pub keys: Vec<Key>,
}

/// The life of a trust key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// In AD now, as far as the tenant knows.
    Current,
    /// Replaced in AD, but AD may still encrypt tickets with it.
    Previous {
        /// The last second in which it decrypts a ticket.
        until: i64,
    },
    /// Out of use in AD; decrypts old tickets until this time (Unix seconds), then never again.
    Retired {
        /// The last second in which it decrypts a ticket.
        until: i64,
    },
}

/// A Kerberos service of the tenant: a storage account or a service principal.
#[derive(Clone, Debug)]
pub struct Service {
    /// The name of the record for events: the storage account or service principal.
    pub name: String,
    /// The keys an SMB host may hold. The first encrypts new tickets. Never empty.
    pub keys: Vec<ServiceKey>,
}

/// A key with its version number.
#[derive(Clone, Debug)]
pub struct ServiceKey {
    /// The key version number (RFC 4120 §5.2.9) that tickets carry.
    pub kvno: u32,
    /// The key.
    pub key: Key,
}

/// A user or group of the tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its SID, fixed at the first sync.
    pub sid: Sid,
    /// User or group.
    pub kind: IdentityKind,
    /// Where it comes from.
    pub source: IdentitySource,
    /// Whether it may sign in.
    pub state: IdentityState,
    /// `sAMAccountName`.
    pub account_name: String,
    /// The user principal name.
    pub upn: String,
    /// The display name; may be empty.
    pub display_name: String,
    /// The DNS name of its AD domain, lower case.
    pub domain_dns_name: String,
    /// The flat name of its AD domain.
    pub domain_flat_name: String,
    /// The RID of its primary group in its own domain.
    pub primary_group_rid: u32,
    /// The SIDs of every synced group it is in, directly or through other groups, the primary group included.
    pub groups: Vec<Sid>,
}

impl TenantId {
    /// The bytes of the UUID in network order.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not a UUID of the form `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a tenant id: expected a UUID")]
pub struct NotATenantId;

impl FromStr for TenantId {
    type Err = NotATenantId;

    fn from_str(text: &str) -> Result<Self, NotATenantId> {
        let groups: Vec<&str> = text.splitn(6, '-').collect();
        if groups.iter().map(|g| g.len()).ne([8, 4, 4, 4, 12]) {
            return Err(NotATenantId);
        }
        let digits = groups.concat();
        let mut bytes = [0; 16];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| NotATenantId)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.class, self.host)
    }
}

impl ServiceName {
    /// A service name from its two components, in any case.
    pub fn new(class: &str, host: &str) -> Self {
        Self {
            class: class.to_lowercase(),
            host: host.to_lowercase(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenant_id_text_round_trips() {
        let text = "0f8fad5b-d9cb-469f-a165-70867728950e";
        assert_eq!(text.parse::<TenantId>().unwrap().to_string(), text);
        for bad in [
            "",
            "0f8fad5b",
            "0f8fad5bd9cb469fa16570867728950e",
            "0f8fad5b-d9cb-469f-a165-70867728950g",
            "0f8fad5b-d9cb-469f-a165-70867728950e-",
        ] {
            assert!(bad.parse::<TenantId>().is_err(), "{bad}");
        }
    }
}
