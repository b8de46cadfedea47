//! The options for an AD domain: which one, and who signs in.
//!
//! A password is taken from a file, the environment or a prompt, never from the command line, where others could read
//! it. Without a user and a keytab the caller's current Kerberos tickets are used.

use crate::activity;
use crate::failure::Failure;
use crate::input_file::read_bounded;
use clap::Args;
use crossrealm_agent::connect::DomainTarget;
use crossrealm_onprem::credentials::DomainCredentials;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The longest password file; AD takes 256 characters.
const MAX_PASSWORD_BYTES: usize = 4096;
/// The environment variable that may hold the password.
const PASSWORD_VARIABLE: &str = "CROSSREALM_DOMAIN_PASSWORD";

/// The options for an AD domain.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Domain options")]
pub(crate) struct DomainArgs {
    /// DNS name of the AD domain
    #[arg(long, value_name = "DOMAIN")]
    pub domain: String,
    #[command(flatten)]
    pub sign_in: SignInArgs,
}

/// The options for a domain controller and who signs in there.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Domain options")]
pub(crate) struct SignInArgs {
    /// Host name of the domain controller [default: found by DNS]
    #[arg(long, value_name = "HOST")]
    pub dc: Option<String>,
    /// Account that signs in, e.g. `admin@corp.contoso.com` [default: that of the current Kerberos tickets]
    ///
    /// The password comes from `--domain-password-file`, the environment variable `CROSSREALM_DOMAIN_PASSWORD`, or a
    /// prompt.
    #[arg(long, value_name = "USER")]
    pub domain_user: Option<String>,
    /// File with the password of `--domain-user` [default: systemd's credential `sync_password`]
    #[arg(
        long,
        value_name = "FILE",
        requires = "domain_user",
        conflicts_with = "domain_keytab"
    )]
    pub domain_password_file: Option<PathBuf>,
    /// Keytab to sign in with instead of a password [default: systemd's credential `sync_keytab`]
    #[arg(long, value_name = "FILE")]
    pub domain_keytab: Option<PathBuf>,
}

impl DomainArgs {
    /// The domain, and who signs in: `credentials` are those of [`SignInArgs::credentials`].
    pub(crate) fn target<'a>(&'a self, credentials: &'a DomainCredentials) -> DomainTarget<'a> {
        DomainTarget {
            domain: &self.domain,
            dc: self.sign_in.dc.as_deref(),
            credentials,
        }
    }
}

impl SignInArgs {
    /// The credentials of the account that signs in.
    pub(crate) fn credentials(&self) -> Result<DomainCredentials, Failure> {
        let (password, keytab) = (self.password_file(), self.keytab());
        credentials(
            self.domain_user.as_deref(),
            password.as_deref(),
            keytab.as_deref(),
        )
    }

    /// The file with the password: that of the option, or the service's credential, for a user and no keytab.
    pub(crate) fn password_file(&self) -> Option<PathBuf> {
        let credential = || match (&self.domain_user, self.keytab()) {
            (Some(_), None) => service_credential("sync_password"),
            _ => None,
        };
        self.domain_password_file.clone().or_else(credential)
    }

    /// The keytab: that of the option, or the service's credential where no password is named.
    fn keytab(&self) -> Option<PathBuf> {
        let credential = || match self.domain_password_file {
            None => service_credential("sync_keytab"),
            Some(_) => None,
        };
        self.domain_keytab.clone().or_else(credential)
    }
}

/// The credentials of a user with a password or a keytab; without either those of the current tickets.
pub(crate) fn credentials(
    user: Option<&str>,
    password_file: Option<&Path>,
    keytab: Option<&Path>,
) -> Result<DomainCredentials, Failure> {
    Ok(match (keytab, user) {
        (Some(path), user) => DomainCredentials::Keytab {
            path: path.to_owned(),
            user: user.map(str::to_owned),
        },
        (None, None) => DomainCredentials::Ccache { path: None },
        (None, Some(user)) => DomainCredentials::Password {
            user: user.to_owned(),
            password: match password_file {
                Some(path) => password_in(path)?,
                None => password_of(user)?,
            },
        },
    })
}

/// The file of a credential that systemd gave to this service, if it did.
pub(crate) fn service_credential(name: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("CREDENTIALS_DIRECTORY")?);
    Some(folder.join(name)).filter(|path| path.is_file())
}

/// The password of the environment, or that the user types.
fn password_of(user: &str) -> Result<Zeroizing<String>, Failure> {
    match std::env::var(PASSWORD_VARIABLE) {
        Ok(password) if !password.is_empty() => return Ok(Zeroizing::new(password)),
        Err(std::env::VarError::NotUnicode(_)) => {
            return Err(Failure::new(format!("`{PASSWORD_VARIABLE}` is not UTF-8")));
        }
        Ok(_) | Err(std::env::VarError::NotPresent) => {}
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(format!("no password for `{user}`")).hint(format!(
            "give `--domain-password-file FILE`, set `{PASSWORD_VARIABLE}`, or run it at a terminal"
        )));
    }
    let _asking = activity::hold();
    rpassword::prompt_password(format!("Password for {user}: "))
        .map(Zeroizing::new)
        .map_err(|error| Failure::new(format!("cannot read the password: {error}")))
}

/// The first line of the file, without its line end.
fn password_in(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let bytes = Zeroizing::new(read_bounded(path, MAX_PASSWORD_BYTES, "password")?);
    let text = std::str::from_utf8(&bytes).map_err(|_| {
        Failure::new(format!(
            "the password file `{}` is not UTF-8",
            path.display()
        ))
    })?;
    match text.lines().next() {
        None | Some("") => Err(Failure::new(format!(
            "the password file `{}` is empty",
            path.display()
        ))),
        Some(password) => Ok(Zeroizing::new(password.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        file
    }

    #[test]
    fn the_line_end_is_not_part_of_the_password() {
        for content in [&b"pa ss"[..], b"pa ss\n", b"pa ss\r\n"] {
            assert_eq!(*password_in(file(content).path()).unwrap(), "pa ss");
        }
    }

    #[test]
    fn an_invalid_password_file_is_refused_without_showing_its_content() {
        for content in [
            &b""[..],
            b"\n",
            b"\xff\xfesecret",
            &[b'x'; MAX_PASSWORD_BYTES + 1],
        ] {
            let failure = password_in(file(content).path()).unwrap_err();
            assert!(!failure.to_string().contains("secret"));
        }
    }

    #[test]
    fn a_keytab_takes_precedence_and_no_user_means_the_current_tickets() {
        let mut args = SignInArgs {
            dc: None,
            domain_user: None,
            domain_password_file: None,
            domain_keytab: None,
        };
        assert!(matches!(
            args.credentials().unwrap(),
            DomainCredentials::Ccache { path: None }
        ));
        args.domain_keytab = Some("x.keytab".into());
        assert!(matches!(
            args.credentials().unwrap(),
            DomainCredentials::Keytab { user: None, .. }
        ));
    }
}
