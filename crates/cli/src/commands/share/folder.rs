//! The folder of a share on this machine, and the names of the principals in its permissions.

use super::ShareName;
use crate::context::Context;
use crate::failure::Failure;
use clap::Args;
use crossrealm_api::{Client, MAX_RESOLVED, ResolveNames};
use crossrealm_files::acl::disk::DiskError;
use crossrealm_files::acl::names;
use crossrealm_types::Sid;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// The option for the data directory.
#[derive(Args, Debug)]
pub(crate) struct Data {
    /// Data directory of `files serve`; the command runs on the SMB host, as root
    #[arg(
        long,
        value_name = "DIR",
        default_value = crossrealm_files::DEFAULT_DATA
    )]
    data: PathBuf,
}

/// A SID and its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Named {
    /// The SID.
    pub sid: Sid,
    /// `CORP\Sales`, a UPN, or `System`; empty where it is unknown.
    pub name: String,
}

/// A share with its folder on this machine, and the tenant's directory.
pub(super) struct ShareFolder<'a> {
    /// The folder of the share's files.
    pub root: PathBuf,
    client: Client,
    tenant: &'a str,
    account: &'a str,
}

impl<'a> ShareFolder<'a> {
    /// Finds the folder of the share and makes sure that it is this tenant's.
    pub(super) async fn find(
        share: &'a ShareName,
        data: &Data,
        context: &'a Context,
    ) -> Result<Self, Failure> {
        let root = crossrealm_files::share_folder(&data.data, &share.account, &share.share)?;
        let folder = Self {
            root,
            client: context.client()?,
            tenant: context.tenant()?,
            account: &share.account,
        };
        let tenant = match folder.client.whoami().await?.tenant {
            Some(own) => own,
            None => folder.client.tenant(folder.tenant).await?.id,
        };
        crossrealm_files::check_tenant(&data.data, &share.account, &tenant.to_string())?;
        Ok(folder)
    }

    /// The names of SIDs: well-known ones, and those of the tenant's directory.
    pub(super) async fn names(&self, sids: BTreeSet<Sid>) -> Result<Names, Failure> {
        let mut names = BTreeMap::new();
        let mut unknown = Vec::new();
        for sid in sids {
            match names::well_known(&sid) {
                Some(name) => drop(names.insert(sid, name.to_owned())),
                None => unknown.push(sid),
            }
        }
        for some in unknown.chunks(MAX_RESOLVED) {
            let asked = ResolveNames {
                sids: some.iter().map(ToString::to_string).collect(),
                names: Vec::new(),
            };
            let answer = self
                .client
                .resolve_names(self.tenant, self.account, &asked)
                .await?;
            for found in answer.found {
                let name = if found.upn.is_empty() {
                    found.name
                } else {
                    found.upn
                };
                names.insert(found.sid, name);
            }
        }
        Ok(Names(names))
    }

    /// The SIDs of names: SIDs themselves, well-known names, and users and groups of the tenant.
    pub(super) async fn sids(
        &self,
        texts: BTreeSet<String>,
    ) -> Result<BTreeMap<String, Sid>, Failure> {
        let mut sids = BTreeMap::new();
        let mut names = Vec::new();
        for text in texts {
            match text.parse() {
                Ok(sid) => drop(sids.insert(text, sid)),
                Err(_) => names.push(text),
            }
        }
        for some in names.chunks(MAX_RESOLVED) {
            let asked = ResolveNames {
                sids: Vec::new(),
                names: some.to_vec(),
            };
            let answer = self
                .client
                .resolve_names(self.tenant, self.account, &asked)
                .await?;
            for text in some {
                let found = answer.found.iter().find(|found| found.asked == *text);
                let found = found.map(|found| found.sid.clone());
                sids.insert(text.clone(), one(text, found)?);
            }
        }
        Ok(sids)
    }
}

/// The one SID that a name means.
fn one(text: &str, found: Option<Sid>) -> Result<Sid, Failure> {
    match (names::parse_well_known(text), found) {
        (Some(sid), None) | (None, Some(sid)) => Ok(sid),
        (Some(known), Some(found)) => Err(Failure::new(format!(
            "`{text}` is both the well-known {known} and {found} of the tenant"
        ))
        .hint("give its SID")),
        (None, None) => Err(Failure::new(format!("no single user or group `{text}`")).hint(
            "it is not synchronized, or several domains have one: give a UPN, `FLATNAME\\name` or a SID; see `crossrealm user list` and `group list`",
        )),
    }
}

/// Names by SID.
pub(super) struct Names(BTreeMap<Sid, String>);

impl Names {
    /// A SID with its name.
    pub(super) fn of(&self, sid: &Sid) -> Named {
        let name = self.0.get(sid).cloned().unwrap_or_default();
        Named {
            sid: sid.clone(),
            name,
        }
    }
}

impl From<DiskError> for Failure {
    fn from(error: DiskError) -> Self {
        let hint = match &error {
            DiskError::BadPath(_) => {
                "give the path from the root of the share, e.g. `/reports/2026`"
            }
            DiskError::NotFound(_) => {
                "run this on the SMB host, with the `--data` of its `files serve`; names are case-sensitive here"
            }
            DiskError::Link(_) => "links are not followed: give the path of the file itself",
            DiskError::NoPermissions(_) => {
                "it was not created over SMB, and smbd uses its mode: give it a whole list with `--sddl`"
            }
            DiskError::System { reason, .. } if reason.contains("(os error 13)") => {
                "run it with `sudo`: only root may access the files of shares"
            }
            DiskError::NoRoom { .. } => {
                "name groups in place of users; or keep the data on XFS or Btrfs, or on an ext4 with the feature `ea_inode` (`tune2fs -O ea_inode DEVICE` while it is not mounted)"
            }
            DiskError::Damaged { .. } | DiskError::Version(_) => "`--sddl` replaces it",
            DiskError::Special(_) | DiskError::System { .. } => {
                return Self::new(error.to_string());
            }
        };
        Self::new(error.to_string()).hint(hint)
    }
}
