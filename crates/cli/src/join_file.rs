//! Join files: all that a sync agent or an SMB host needs to reach its tenant, in one file for its owner alone.

use crate::failure::Failure;
use crate::input_file::read_bounded;
use crossrealm_api::SecretText;
use serde::{Deserialize, Serialize};
use std::path::Path;
use zeroize::Zeroizing;

const MAX_FILE_BYTES: usize = 64 * 1024;
/// The version of the format.
pub(crate) const VERSION: u32 = 1;

/// The content of a join file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JoinFile {
    /// The version of the format, [`VERSION`].
    pub join: u32,
    /// The address of the service.
    pub server: String,
    /// The private CA that issued the service's certificate, PEM; absent where it is public.
    pub ca_pem: Option<String>,
    /// Name, domain or id of the tenant.
    pub tenant: String,
    /// The holder of the token.
    pub member: Member,
    /// The token.
    pub token: SecretText,
}

/// The holder of a join file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Member {
    /// An SMB host of this storage account.
    SmbHost(String),
    /// The sync agent of this AD domain.
    SyncAgent(String),
}

impl JoinFile {
    /// The bytes of the file.
    pub(crate) fn encode(&self) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let failed = |error| Failure::new(format!("cannot encode the join file as JSON: {error}"));
        let mut bytes = Zeroizing::new(serde_json::to_vec_pretty(self).map_err(failed)?);
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// The file at `path`.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = read_bounded(path, MAX_FILE_BYTES, "join").map_err(|failure| failure.hint(
            "`crossrealm storage-account host-token NAME --join FILE` or `crossrealm connector create --domain DOMAIN --join FILE` creates one; the units take it from `/etc/crossrealm/smb/ACCOUNT/join` or `/etc/crossrealm/sync/DOMAIN/join`",
        ))?;
        let bytes = Zeroizing::new(bytes);
        let refused = |reason: &str| {
            Failure::new(format!("`{}` is not a join file: {reason}", path.display())).hint(
                "create one with `crossrealm storage-account host-token NAME --join FILE` or `crossrealm connector create --domain DOMAIN --join FILE`",
            )
        };
        // The parser's error could quote the token.
        let file: Self = serde_json::from_slice(&bytes).map_err(|error| {
            refused(&format!("line {}, column {}", error.line(), error.column()))
        })?;
        if file.join != VERSION {
            return Err(refused(&format!("its version is {}", file.join)));
        }
        Ok(file)
    }

    /// The storage account that an SMB host serves.
    pub(crate) fn account(&self, path: &Path) -> Result<&str, Failure> {
        match &self.member {
            Member::SmbHost(account) => Ok(account),
            Member::SyncAgent(domain) => Err(Failure::new(format!(
                "`{}` is for the sync agent of `{domain}`, not for an SMB host",
                path.display()
            ))
            .hint("`crossrealm storage-account host-token NAME --join FILE` creates one for an SMB host")),
        }
    }

    /// The AD domain that a sync agent synchronizes.
    pub(crate) fn domain(&self, path: &Path) -> Result<&str, Failure> {
        match &self.member {
            Member::SyncAgent(domain) => Ok(domain),
            Member::SmbHost(account) => Err(Failure::new(format!(
                "`{}` is for an SMB host of `{account}`, not for a sync agent",
                path.display()
            ))
            .hint("`crossrealm connector create --domain DOMAIN --join FILE` creates one for a sync agent")),
        }
    }
}
