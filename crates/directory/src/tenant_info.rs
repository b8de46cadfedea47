//! The record of a tenant. It stands by itself since the caches, which every operation works with, hold it.

use crossrealm_kdc::{Policy, TenantId};
use crossrealm_types::Sid;

/// A tenant without its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantInfo {
    /// Its UUID.
    pub id: TenantId,
    /// Its name, lower case.
    pub name: String,
    /// Its DNS domain, lower case.
    pub domain: String,
    /// Its Kerberos realm.
    pub realm: String,
    /// Its flat (NetBIOS) name, upper case.
    pub flat_name: String,
    /// Its own domain SID, `S-1-5-21-a-b-c`, generated at random.
    pub sid: Sid,
    /// The DNS suffixes AD refers to the realm, lower case.
    pub top_level_names: Vec<String>,
    /// When it was created, Unix seconds.
    pub created_at: i64,
    /// Its ticket policy.
    pub policy: Policy,
}
