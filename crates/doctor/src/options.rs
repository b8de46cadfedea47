//! What to diagnose, and the access that the caller gives to it.

use crossrealm_api::SecretText;
use crossrealm_onprem::credentials::DomainCredentials;
use std::path::PathBuf;

/// What to diagnose. Everything is optional: what is absent is taken from this computer's Kerberos configuration and
/// tickets, and a check that still lacks something is skipped.
#[derive(Default)]
pub struct Options {
    /// The user, by UPN; otherwise the client of the current Kerberos tickets.
    pub user: Option<String>,
    /// The share that the user should be able to open.
    pub share: Option<Share>,
    /// The host name that the share is opened by, where it is an alias of the account.
    pub host: Option<String>,
    /// A keytab that should decrypt the service ticket.
    pub keytab: Option<PathBuf>,
    /// The DNS name of the AD domain.
    pub domain: Option<String>,
    /// The host name of the domain controller.
    pub dc: Option<String>,
    /// Credentials to read AD with, or why the given ones cannot be used; `None` uses the current tickets.
    pub credentials: Option<Result<DomainCredentials, String>>,
    /// The address of the service, e.g. `https://login.cloud.example`.
    pub server: Option<String>,
    /// The name, domain or id of the tenant.
    pub tenant: Option<String>,
    /// A PEM file with the certificate authority of the service.
    pub ca: Option<PathBuf>,
    /// An API token.
    pub token: Option<SecretText>,
}

/// A share of a storage account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The storage account.
    pub account: String,
    /// The share's name.
    pub name: String,
}
