//! Why an operation on-premises failed, with a hint where there is one.

use crate::ldap::LdapError;
use crossrealm_krb::ccache::CcacheError;
use crossrealm_krb::client::ClientError;
use crossrealm_krb::gss::GssError;
use crossrealm_krb::keytab::KeytabError;
use crossrealm_krb::principal::Principal;
use std::io;
use std::path::PathBuf;

/// Why something could not be done on-premises.
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
        /// What was meant to be there: LDAP, Kerberos, SMB.
        service: &'static str,
        /// The operating system's reason.
        source: io::Error,
    },
    /// A connection broke or the peer went silent.
    #[error("the connection to `{host}` ({service}) failed: {source}")]
    Broken {
        /// The host.
        host: String,
        /// LDAP, Kerberos, SMB.
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
        /// The domain that was asked for.
        wanted: String,
    },
    /// The host answers LDAP but does not look like a domain controller.
    #[error("`{0}` is not an Active Directory domain controller")]
    NotAController(String),
    /// An option of the sync's scope names what is not there.
    #[error("the directory holds no `{name}`, which `{option}` names; nothing was changed")]
    NoScope {
        /// `--scope-ou` or `--scope-group`.
        option: &'static str,
        /// What it names.
        name: String,
    },
    /// The credentials could not be read.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// A Kerberos exchange failed.
    #[error(transparent)]
    Kerberos(#[from] ClientError),
    /// The service and we could not authenticate each other.
    #[error("`{host}` ({service}): {source}")]
    Gss {
        /// The host.
        host: String,
        /// LDAP or SMB.
        service: &'static str,
        /// Why.
        source: GssError,
    },
    /// LDAP refused or broke.
    #[error(transparent)]
    Ldap(#[from] LdapError),
}

impl OnpremError {
    /// What the user can do, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::BadDomain(_) => Some("give the AD domain as in `--domain corp.contoso.com`".to_owned()),
            Self::NoController { .. } => Some(
                "use the domain's DNS servers on this computer, or name a domain controller with `--dc HOST`".to_owned(),
            ),
            Self::NoAddress { .. } => Some("check the name, and this computer's DNS servers".to_owned()),
            Self::NoneAnswers { .. } | Self::Unreachable { .. } => Some(
                "run this on-premises, on a computer that reaches the domain controller on TCP ports 88, 389 and 445".to_owned(),
            ),
            Self::OtherDomain { found, .. } => Some(format!("give `--domain {found}` or another `--dc HOST`")),
            Self::NoScope { option: "--scope-group", .. } => {
                Some("give the group's account name (`sAMAccountName`), such as `Sales`".to_owned())
            }
            Self::NoScope { .. } => Some("give the whole DN, such as `OU=Sales,DC=corp,DC=contoso,DC=com`".to_owned()),
            Self::Credentials(error) => error.hint().map(str::to_owned),
            Self::Kerberos(error) => error.hint().map(str::to_owned),
            Self::Ldap(error) => error.hint().map(str::to_owned),
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
    /// There is no credential cache.
    #[error("there are no Kerberos tickets: `{0}` does not exist")]
    NoTickets(PathBuf),
    /// The keytab's content is unusable.
    #[error("keytab `{path}`: {source}")]
    Keytab {
        /// The file.
        path: PathBuf,
        /// Why.
        source: KeytabError,
    },
    /// The cache's content is unusable.
    #[error("credential cache `{path}`: {source}")]
    Ccache {
        /// The file.
        path: PathBuf,
        /// Why.
        source: CcacheError,
    },
    /// The keytab holds no AES key, or none of this realm.
    #[error("the keytab `{path}` holds no AES key of a principal in `{realm}`")]
    NothingUsable {
        /// The file.
        path: PathBuf,
        /// The domain's realm.
        realm: String,
    },
    /// The cache holds no ticket-granting ticket that is still valid.
    #[error("the tickets of `{0}` hold no valid ticket-granting ticket")]
    NoTgt(Principal),
    /// `KRB5CCNAME` names a kind of cache that is not a file.
    #[error("credential caches of type `{0}` are not supported")]
    CacheType(String),
    /// The user's name cannot be one.
    #[error("`{0}` is not a user name: expected `user@corp.contoso.com`")]
    BadUser(String),
}

impl CredentialsError {
    /// What the user can do, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoTickets(_) | Self::NoTgt(_) => Some(
                "sign in with `kinit`, or give `--domain-user user@corp.contoso.com` or `--domain-keytab FILE`",
            ),
            Self::CacheType(_) => Some("use a file: `export KRB5CCNAME=FILE:/path` before `kinit`"),
            Self::NothingUsable { .. } => {
                Some("list it with `klist -ke`; export the key again with AES")
            }
            _ => None,
        }
    }
}
