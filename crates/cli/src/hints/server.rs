//! The next step after a failure of the service, or of an SMB host, to start.

use super::api::of_client_error;
use crossrealm_api::Code;
use crossrealm_cloud::{ConfigError, InitError, ServeError};
use crossrealm_files::FilesError;

/// After an installation that could not be made.
pub(crate) fn of_init(error: &InitError) -> Option<String> {
    match error {
        InitError::Present { dir, .. } => Some(format!(
            "start it with `crossrealm serve --config {}`, or give another folder with `--dir`; nothing was changed",
            dir.join("crossrealm.toml").display()
        )),
        InitError::Unfinished { .. } => Some(
            "nothing serves from there yet: remove these files and run `crossrealm init` again"
                .to_owned(),
        ),
        other => other.hint(),
    }
}

/// After a service that cannot start.
pub(crate) fn of_serve(error: &ServeError) -> Option<String> {
    match error {
        ServeError::Config(ConfigError::Missing(_)) => Some(
            "`crossrealm init` makes one; `--config FILE` names one that is elsewhere".to_owned(),
        ),
        ServeError::NoDatabase(_) => Some(
            "restore it from your backup, or see that its disk is mounted; for a first installation `crossrealm init` makes one"
                .to_owned(),
        ),
        other => other.hint(),
    }
}

/// After an SMB host that cannot start or go on.
pub(crate) fn of_files(error: &FilesError) -> Option<String> {
    let text = match error {
        FilesError::Api(error) => return of_client_error(error),
        FilesError::PortInUse { address } => {
            return Some(format!(
                "find the program with `ss -ltnp 'sport = :{}'`, or choose another address with `--listen`; Debian's own Samba is stopped by `systemctl disable --now smbd nmbd winbind`",
                address.port()
            ));
        }
        FilesError::Terminated { account, error } | FilesError::NotAccepted { account, error }
            if matches!(error.code(), Some(Code::Unauthenticated | Code::Forbidden)) =>
        {
            return Some(format!(
                "if that was not intended, create a new token for the host: `crossrealm storage-account host-token {account} --join FILE`"
            ));
        }
        FilesError::CannotListen { .. } => {
            "`--listen` takes an address of this machine; `ip address` lists them"
        }
        FilesError::AlreadyRunning { .. } => {
            "stop it first, or give this one directories of its own with `--data` and `--state`"
        }
        FilesError::OtherTenant { .. } => {
            "each tenant needs its own directory: choose another one with `--data`"
        }
        other => return other.hint(),
    };
    Some(text.to_owned())
}
