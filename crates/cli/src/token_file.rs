//! New tokens in files, alone or in a join file: for their owner alone, and never a token that nobody has.

use crate::context::Context;
use crate::failure::Failure;
use crate::join_file::Member;
use crossrealm_api::{ClientError, SecretText};
use crossrealm_os::file::replace;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Where a new token goes.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct TokenFileArgs {
    /// File for the token, readable by its owner alone, instead of printing it; it is shown only once
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The same with all that is needed to reach the tenant: the service, its private CA, the tenant and the token
    #[arg(long, value_name = "FILE", conflicts_with = "out")]
    join: Option<PathBuf>,
}

impl TokenFileArgs {
    /// A join file at `path`.
    pub(crate) fn join_file(path: PathBuf) -> Self {
        Self {
            out: None,
            join: Some(path),
        }
    }

    /// The file that is written.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.join.as_deref().or(self.out.as_deref())
    }

    /// The join file that is written.
    pub(crate) fn join(&self) -> Option<&Path> {
        self.join.as_deref()
    }

    /// Writes a new token to the file, if one is wanted. Where that fails the token is lost, and `revoke` revokes it.
    pub(crate) async fn write_or_revoke(
        &self,
        token: &SecretText,
        member: Member,
        context: &Context,
        revoke: impl Future<Output = Result<(), ClientError>>,
    ) -> Result<(), Failure> {
        let Some(path) = self.path() else {
            return Ok(());
        };
        let bytes = match self.join {
            Some(_) => context
                .join_file(member, token)
                .and_then(|file| file.encode()),
            None => Ok(Zeroizing::new(format!("{}\n", token.expose()).into_bytes())),
        };
        let written = bytes.and_then(|bytes| {
            let failed = |error| {
                let path = path.display();
                Failure::new(format!("cannot write the token to `{path}`: {error}"))
            };
            replace(path, &bytes, 0o600).map_err(failed)
        });
        let Err(failure) = written else {
            return Ok(());
        };
        revoke.await?;
        Err(failure.and("the token was revoked"))
    }
}
