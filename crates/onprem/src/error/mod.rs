//! Why an operation on-premises failed, with a hint where there is one.

mod ldap;

pub use ldap::LdapError;

use crate::ccache::{CacheError, SIGN_IN};
use crossrealm_krb::client::ClientError;
use crossrealm_krb::gss::GssError;
use crossrealm_krb::keytab::KeytabError;
use crossrealm_krb::principal::Principal;
use std::io;
use std::path::PathBuf;

/// Why an operation on-premises failed.
#[derive(Debug, thiserror::Error)]
pub enum OnpremError {
    /// The domain's name is not a DNS name.
    #[error("`{0}` is not the DNS name of a domain")]
    BadDomain(String),
    /// DNS knows no domain controller of the domain.
    #[error("DNS names no domain controller of `{domain}`: {reason}")]
    NoController {
        /// The domain.
        domain: String,
        /// DNS's answer.
        reason: String,
    },
    /// A host name does not resolve.
    #[error("the name `{host}` does not resolve: {reason}")]
    NoAddress {
        /// The host.
        host: String,
        /// The resolver's reason.
        reason: String,
    },
    /// No candidate answered.
    #[error("no domain controller of `{domain}` answers: {reason}")]
    NoneAnswers {
        /// The domain.
        domain: String,
        /// Why the last one did not.
        reason: String,
    },
    /// A TCP connection could not be made.
    #[error("cannot connect to `{host}` port {port} ({service}): {source}")]
    Unreachable {
        /// The host.
        host: String,
        /// The port.
        port: u16,
        /// The service: LDAP, Kerberos or SMB.
        service: &'static str,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The connection broke, or the peer did not answer in time.
    #[error("the connection to `{host}` ({service}) failed: {source}")]
    Broken {
        /// The host.
        host: String,
        /// The service: LDAP, Kerberos or SMB.
        service: &'static str,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The host is a domain controller of another domain.
    #[error("`{host}` is a domain controller of `{found}`, not of `{wanted}`")]
    OtherDomain {
        /// The host.
        host: String,
        /// The domain it serves.
        found: String,
        /// The domain that was wanted.
        wanted: String,
    },
    /// The host answers LDAP, but is not a domain controller.
    #[error("`{0}` is not an Active Directory domain controller")]
    NotAController(String),
    /// The sync is limited to an organizational unit that does not exist.
    #[error("AD holds no organizational unit `{0}`, which limits the sync; nothing was changed")]
    NoScopeOu(String),
    /// The sync is limited to a group that does not exist.
    #[error("AD holds no group `{0}`, which limits the sync; nothing was changed")]
    NoScopeGroup(String),
    /// The credentials could not be read.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// A Kerberos exchange failed.
    #[error(transparent)]
    Kerberos(#[from] ClientError),
    /// Client and server could not authenticate each other.
    #[error("`{host}` ({service}): {source}")]
    Gss {
        /// The host.
        host: String,
        /// LDAP or SMB.
        service: &'static str,
        /// The cause.
        source: GssError,
    },
    /// An LDAP operation was refused, or failed.
    #[error(transparent)]
    Ldap(#[from] LdapError),
}

impl OnpremError {
    /// Whether the KDC holds the password or key for wrong, and has counted the attempt: another one, at any domain controller,
    /// brings the account closer to its lockout.
    pub fn refuses_credentials(&self) -> bool {
        matches!(
            self,
            Self::Kerberos(ClientError::WrongPassword(_) | ClientError::WrongKey(_))
        )
    }

    /// What the user can do, where that is known. It names no command or option of ours: the caller knows its own.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::BadDomain(_) => {
                Some("give the DNS name of the AD domain, such as `corp.contoso.com`")
            }
            Self::NoController { .. } => {
                Some("use the domain's DNS servers on this computer, or name a domain controller")
            }
            Self::NoAddress { .. } => Some("check the name, and this computer's DNS servers"),
            Self::NoneAnswers { .. } | Self::Unreachable { .. } => Some(
                "run this on-premises, on a computer that reaches the domain controller on TCP ports 88, 389 and 445",
            ),
            Self::OtherDomain { .. } => Some("give that domain, or another domain controller"),
            Self::NoScopeGroup(_) => {
                Some("give the group's account name (`sAMAccountName`), such as `Sales`")
            }
            Self::NoScopeOu(_) => {
                Some("give the whole DN, such as `OU=Sales,DC=corp,DC=contoso,DC=com`")
            }
            Self::Credentials(error) => error.hint(),
            Self::Kerberos(error) => error.hint(),
            Self::Ldap(error) => error.hint(),
            Self::Broken { .. } | Self::NotAController(_) | Self::Gss { .. } => None,
        }
    }
}

/// Why credentials could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A file cannot be read.
    #[error("cannot read the {what} `{path}`: {source}")]
    Unreadable {
        /// Keytab or credential cache.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The keytab's content is unusable.
    #[error("keytab `{path}`: {source}")]
    Keytab {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: KeytabError,
    },
    /// The credential cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The keytab holds no AES key, or none of this realm.
    #[error("the keytab `{path}` holds no AES key of a principal in `{realm}`")]
    NothingUsable {
        /// The file.
        path: PathBuf,
        /// The domain's realm.
        realm: String,
    },
    /// The cache holds no ticket-granting ticket with enough lifetime left.
    #[error("the tickets of `{0}` hold no valid ticket-granting ticket")]
    NoTgt(Principal),
    /// The user name is malformed.
    #[error("`{0}` is not a user name: expected `user@corp.contoso.com`")]
    BadUser(String),
}

impl CredentialsError {
    /// What the user can do, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Cache(error) => Some(error.hint()),
            Self::NoTgt(_) => Some(SIGN_IN),
            Self::NothingUsable { .. } => {
                Some("list it with `klist -ke`; export the key again with AES")
            }
            _ => None,
        }
    }
}
