//! Why something could not be done on-premises, said so that a person knows what to do next.

use crate::credentials::CredentialsError;
use crate::ldap::LdapError;
use crossrealm_krb::client::ClientError;
use crossrealm_krb::gss::GssError;
use std::io;

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
        /// What DNS said.
        reason: String,
    },
    /// A host name does not resolve.
    #[error("the name `{host}` does not resolve: {reason}")]
    NoAddress {
        /// The host.
        host: String,
        /// What the resolver said.
        reason: String,
    },
    /// Every candidate was tried in vain.
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
    /// What the person can do, where that is known.
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
