//! Credentials for a domain: a password, a keytab, or the caller's current tickets.

use crate::ccache::{CacheName, read_bounded};
use crate::error::{CredentialsError, OnpremError};
use crate::kdc::Kdcs;
use crossrealm_krb::client::{ClientError, Secret};
use crossrealm_krb::credential::Credential;
use crossrealm_krb::keytab::{Keytab, MAX_KEYTAB_LEN};
use crossrealm_krb::messages::name_type;
use crossrealm_krb::principal::Principal;
use crossrealm_os::clock::since_epoch;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The least lifetime that a cached ticket-granting ticket must have left, in seconds: a run should not outlive it.
const MIN_LIFETIME_S: i64 = 60;

/// How the caller authenticates to the domain.
#[derive(Clone)]
pub enum DomainCredentials {
    /// A user (`user@corp.contoso.com`, `CORP\user` or `user`) and the password.
    Password {
        /// The user.
        user: String,
        /// The password.
        password: Zeroizing<String>,
    },
    /// A keytab.
    Keytab {
        /// The file.
        path: PathBuf,
        /// The principal; `None` for the first one of the domain's realm.
        user: Option<String>,
    },
    /// The caller's current tickets.
    Ccache {
        /// The file; `None` for the cache that `KRB5CCNAME` names, of whichever kind, or the system's default.
        path: Option<PathBuf>,
    },
}

impl DomainCredentials {
    /// What would be presented to a KDC, to see whether it changed; empty if it cannot be read.
    pub fn presented(&self) -> Zeroizing<Vec<u8>> {
        match self {
            Self::Password { user, password } => {
                Zeroizing::new([user.as_bytes(), b"\0", password.as_bytes()].concat())
            }
            Self::Keytab { path, .. } => read_keytab(path).unwrap_or_default(),
            // No attempt to sign in is made with tickets.
            Self::Ccache { .. } => Zeroizing::default(),
        }
    }

    /// Gets a ticket-granting ticket of `realm` by an AS exchange with `kdcs`, or takes it from the credential cache.
    pub async fn sign_in(&self, realm: &str, kdcs: &Kdcs) -> Result<Credential, OnpremError> {
        match self {
            Self::Password { user, password } => {
                let client = client(user, realm)?;
                kdcs.initial_ticket(&client, &Secret::Password(password.clone()))
                    .await
            }
            Self::Keytab { path, user } => {
                let (client, secret) = from_keytab(path, user.as_deref(), realm)?;
                kdcs.initial_ticket(&client, &secret).await
            }
            Self::Ccache { path } => Ok(from_ccache(path.as_deref())?),
        }
    }
}

impl std::fmt::Debug for DomainCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Password { user, .. } => write!(f, "Password({user})"),
            Self::Keytab { path, user } => write!(f, "Keytab({}, {user:?})", path.display()),
            Self::Ccache { path } => write!(f, "Ccache({path:?})"),
        }
    }
}

/// The principal for a user name as typed. A suffix other than the domain makes it an enterprise name, which the KDC looks up
/// as a UPN (RFC 6806 §5).
fn client(user: &str, realm: &str) -> Result<Principal, OnpremError> {
    let bad = |_| CredentialsError::BadUser(user.to_owned());
    let name = user.rsplit_once('\\').map_or(user, |(_, name)| name);
    let principal = match name.rsplit_once('@') {
        None => Principal::new(name_type::PRINCIPAL, [name], realm),
        Some((name, suffix)) if suffix.eq_ignore_ascii_case(realm) => {
            Principal::new(name_type::PRINCIPAL, [name], realm)
        }
        Some(_) => Principal::new(name_type::ENTERPRISE, [name], realm),
    };
    Ok(principal.map_err(bad)?)
}

fn from_keytab(
    path: &Path,
    user: Option<&str>,
    realm: &str,
) -> Result<(Principal, Secret), OnpremError> {
    let bytes = read_keytab(path)?;
    let keytab = Keytab::from_bytes(&bytes).map_err(|source| CredentialsError::Keytab {
        path: path.to_owned(),
        source,
    })?;
    let principal = match user {
        Some(user) => client(user, realm)?,
        None => keytab
            .entries
            .iter()
            .map(|entry| &entry.principal)
            .find(|principal| principal.realm().eq_ignore_ascii_case(realm))
            .cloned()
            .ok_or_else(|| CredentialsError::NothingUsable {
                path: path.to_owned(),
                realm: realm.to_owned(),
            })?,
    };
    let keys = keytab.keys_of(&principal);
    if keys.is_empty() {
        return Err(ClientError::NoKey(principal).into());
    }
    Ok((principal, Secret::from_keytab(&keys)))
}

fn from_ccache(path: Option<&Path>) -> Result<Credential, CredentialsError> {
    let name = match path {
        Some(path) => CacheName::file(path),
        None => CacheName::current()?,
    };
    let cache = name.read()?;
    let now_s = i64::try_from(since_epoch().as_secs()).unwrap_or(i64::MAX);
    cache
        .tgt(cache.principal.realm())
        .filter(|tgt| tgt.is_valid_at(now_s, MIN_LIFETIME_S))
        .cloned()
        .ok_or(CredentialsError::NoTgt(cache.principal))
}

fn read_keytab(path: &Path) -> Result<Zeroizing<Vec<u8>>, CredentialsError> {
    read_bounded(path, MAX_KEYTAB_LEN).map_err(|source| CredentialsError::Unreadable {
        what: "keytab",
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_as_people_write_them() {
        let name = |user: &str| {
            let principal = client(user, "CORP.CONTOSO.COM").unwrap();
            (
                principal.name_type(),
                principal.components().concat(),
                principal.realm().to_owned(),
            )
        };
        let realm = || "CORP.CONTOSO.COM".to_owned();
        assert_eq!(
            name("alice@corp.contoso.com"),
            (name_type::PRINCIPAL, "alice".into(), realm())
        );
        assert_eq!(
            name("CORP\\alice"),
            (name_type::PRINCIPAL, "alice".into(), realm())
        );
        assert_eq!(
            name("müller"),
            (name_type::PRINCIPAL, "müller".into(), realm())
        );
        assert_eq!(
            name("a.smith@contoso.com"),
            (name_type::ENTERPRISE, "a.smith@contoso.com".into(), realm())
        );
        assert!(client("", "R").is_err());
        assert!(client("@corp", "CORP").is_err());
    }
}
