//! A group policy object that configures the domain's computers for a tenant ([MS-GPOL], [MS-GPREG]).
//!
//! It lives in two places that must agree: a container in the directory and a folder in the share `sysvol`, each with the
//! version and with who may read it. The object bears the tenant's id, so that every run finds the same one; it is ours
//! alone, and changes that others made in it are corrected. Reading ([`observe`]) and deciding ([`plan()`]) change nothing;
//! [`Policies::apply`] carries out one step, and a run that was cut off is finished by the next.

mod apply;
mod observe;
mod permissions;
mod plan;

pub use apply::Policies;
pub use observe::{Container, Folder, Link, Observed};
pub use plan::{plan, plan_removal};

use crate::error::OnpremError;
use crate::smb::SmbError;
use crossrealm_types::Sid;
use std::fmt;

/// The client-side extension that applies `Registry.pol`, and the editor of administrative templates: [MS-GPREG] 1.9.
pub const EXTENSIONS: &str =
    "[{35378EAC-683F-11D2-A89A-00C04FBBCFA2}{D02B1F72-3407-48AE-BA88-E8213C6761F1}]";
/// `flags` of a container, [MS-GPOL] 2.2.4: the half for users is off, both halves are off.
const USERS_OFF: i64 = 1;
const ALL_OFF: i64 = 3;
/// The largest `Registry.pol` or `GPT.INI` that is read back.
const MAX_FILE: usize = 4 << 20;

/// What the object is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name for display.
    pub name: String,
    /// The content of `Registry.pol`.
    pub settings: Vec<u8>,
    /// The DN of the domain or organisational unit whose computers it is for.
    pub link: String,
    /// The groups (or computers) that apply it; none for every computer that may read it.
    pub apply_to: Vec<Sid>,
}

/// One step towards it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GpoStep {
    /// Make the container, switched off.
    CreateContainer,
    /// Make one of the two containers below it: `Machine`, `User`.
    CreateHalf(&'static str),
    /// Let only these apply it; none stands for every authenticated computer.
    Filter(Vec<Sid>),
    /// Make the folder and those below it.
    CreateFolder,
    /// Give the folder the permissions that the container has.
    FolderPermissions,
    /// Write the version of the folder: the machine's half, which alone is used.
    FolderVersion(u16),
    /// Write the settings.
    Settings(Vec<u8>),
    /// Write name, version, extension and path of the container, and switch it on.
    Container {
        /// The name for display.
        name: String,
        /// The version, the same as the folder's.
        version: u16,
    },
    /// Link it to this domain or organisational unit.
    Link(Link),
    /// Take it off there.
    Unlink(Link),
    /// Remove the folder.
    RemoveFolder,
    /// Remove the container.
    RemoveContainer,
}

impl fmt::Display for GpoStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateContainer => f.write_str("create the group policy object in AD, disabled"),
            Self::CreateHalf(half) => {
                write!(f, "create the part `{half}` of the group policy object")
            }
            Self::Filter(sids) if sids.is_empty() => {
                f.write_str("apply the group policy object to every computer of the domain")
            }
            Self::Filter(sids) => {
                let sids: Vec<String> = sids.iter().map(Sid::to_string).collect();
                write!(
                    f,
                    "apply the group policy object to {} alone",
                    sids.join(", ")
                )
            }
            Self::CreateFolder => {
                f.write_str("create the folder of the group policy object in SYSVOL")
            }
            Self::FolderPermissions => {
                f.write_str("copy the permissions of the group policy object to its folder")
            }
            Self::FolderVersion(version) => write!(f, "write version {version} to GPT.INI"),
            Self::Settings(bytes) => write!(f, "write Registry.pol ({} bytes)", bytes.len()),
            Self::Container { name, version } => {
                write!(
                    f,
                    "name the group policy object `{name}`, set version {version}, enable it"
                )
            }
            Self::Link(link) => write!(f, "link the group policy object to `{}`", link.dn),
            Self::Unlink(link) => write!(f, "unlink the group policy object from `{}`", link.dn),
            Self::RemoveFolder => {
                f.write_str("delete the folder of the group policy object from SYSVOL")
            }
            Self::RemoveContainer => f.write_str("delete the group policy object from AD"),
        }
    }
}

/// Why a group policy could not be read or written. What came before has been done; running again finishes the rest.
#[derive(Debug, thiserror::Error)]
pub enum GpoError {
    /// LDAP or Kerberos.
    #[error(transparent)]
    Directory(#[from] OnpremError),
    /// SMB.
    #[error(transparent)]
    Sysvol(#[from] SmbError),
    /// The domain or organisational unit to link to is not there.
    #[error("there is no `{0}` to link the group policy to")]
    NoTarget(String),
    /// Something in the directory or in SYSVOL is not of its form.
    #[error("{0}")]
    Damaged(String),
    /// All versions are used up: 65,535 changes.
    #[error("the group policy object has had every version that there is")]
    NoVersionLeft,
}

impl GpoError {
    /// What to do about it, where something can be done.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Directory(error) => error.hint(),
            Self::Sysvol(error) => error.hint().map(str::to_owned),
            Self::NoTarget(_) => Some(
                "give the DN of the domain or of an organisational unit, e.g. `--link \"OU=Workstations,DC=corp,DC=contoso,DC=com\"`".to_owned(),
            ),
            Self::Damaged(_) | Self::NoVersionLeft => Some(
                "`crossrealm client deploy-gpo --remove` takes it away; then deploy it anew".to_owned(),
            ),
        }
    }
}
