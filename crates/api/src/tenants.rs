//! Tenants, and what a client must know to reach one.

use crate::Code;
use crossrealm_types::{Sid, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A new tenant. What is absent gets its default (see the fields).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantCreate {
    /// Its name: 1 to 63 letters, digits and inner hyphens, lower case.
    pub name: String,
    /// Its DNS domain; `<name>.<base domain>` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Its Kerberos realm; `KERBEROS.<DOMAIN>` where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realm: Option<String>,
    /// Its flat (NetBIOS) name of at most 15 characters; derived from the name where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flat_name: Option<String>,
    /// The DNS suffixes whose services AD refers to the realm; the domain where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_level_names: Option<Vec<String>>,
    /// Whether built-in accounts of AD (RID below 1000, such as Administrator) may be written by a connector and
    /// get tickets; no where absent.
    #[serde(default)]
    pub allow_low_rids: bool,
}

/// What the tenant allows. What is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TenantPolicy {
    /// Whether built-in accounts of AD (RID below 1000, such as Administrator) may be written by a connector and get tickets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_low_rids: Option<bool>,
}

/// The new key of a tenant's realm that is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateRealmKey {
    /// Whether the earlier keys may be known to somebody: they are deleted at once, and every TGT of the realm ends.
    #[serde(default)]
    pub compromised: bool,
}

/// A new key of a tenant's realm. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RealmKey {
    /// The realm.
    pub realm: String,
    /// The version of the key.
    pub kvno: u32,
    /// From when it encrypts TGTs: when every node has it.
    pub encrypts_from: Timestamp,
    /// Until when the earlier keys decrypt TGTs; absent where they never do again.
    #[serde(default)]
    pub previous_until: Option<Timestamp>,
}

/// A tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tenant {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// Its DNS domain, lower case.
    pub domain: String,
    /// Its Kerberos realm.
    pub realm: String,
    /// Its flat (NetBIOS) name, at most 15 characters.
    pub flat_name: String,
    /// Its own domain SID, `S-1-5-21-a-b-c`.
    pub sid: Sid,
    /// The DNS suffixes whose services AD refers to the realm.
    pub top_level_names: Vec<String>,
    /// Where clients reach its KDC proxy: `https://login.<base domain>:443/<id>/kerberos`.
    pub kdc_proxy_url: String,
    /// Whether built-in accounts of AD (RID below 1000, such as Administrator) may be written by a connector and get tickets.
    #[serde(default)]
    pub allow_low_rids: bool,
    /// When it was created.
    pub created_at: Timestamp,
}

/// Everything that a client's configuration is made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClientConfig {
    /// The tenant.
    pub tenant: Tenant,
    /// Where clients reach its KDC proxy.
    pub kdc_proxy_url: String,
    /// The certificate authority that clients must trust, PEM; absent where the server's certificate is public.
    #[serde(default)]
    pub ca_pem: Option<String>,
    /// The AD realms that trust the tenant.
    pub ad_realms: Vec<AdRealm>,
    /// The hosts of the tenant's services: storage accounts, aliases and service principals.
    pub hosts: Vec<String>,
    /// Hosts that are served but must not be mapped to the realm: an earlier version let the tenant claim them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unmapped_hosts: Vec<UnmappedHost>,
}

/// A host of a service that clients must not map to the tenant's realm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnmappedHost {
    /// The DNS name.
    pub host: String,
    /// Why the tenant could not claim it now.
    pub reason: Code,
    /// The same for people.
    pub message: String,
}

/// An AD realm whose users reach the tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AdRealm {
    /// The realm, upper case.
    pub realm: String,
    /// The DNS name of its domain, lower case.
    pub dns_name: String,
    /// Its flat (NetBIOS) name.
    pub flat_name: String,
    /// Its domain SID.
    pub sid: Sid,
}

/// The private certificate authority of the server. Needs no token: it is public, and a client that does not
/// trust it yet cannot use the answer as proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CaCertificate {
    /// PEM; absent where the server's certificate is public.
    #[serde(default)]
    pub ca_pem: Option<String>,
}

/// Whether the server is alive, or can do its work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// `ok`, or `degraded` (then with status 503).
    pub status: String,
    /// The server's version.
    pub version: String,
    /// What is wrong with the database, for programs: `full`, `io_error`, `read_only`, `unreachable`, `busy`, `damaged` or
    /// `replaced`; absent where nothing is. Values may be added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The same for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
