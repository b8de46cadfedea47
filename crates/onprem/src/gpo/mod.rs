//! A group policy object that configures the domain's computers for a tenant ([MS-GPOL], [MS-GPREG]).
//!
//! It has two parts that must agree: a container in the directory, and a folder in the share `sysvol`, each with a version and
//! with permissions. Its GUID is the tenant's id, so that every run finds the same object; changes that others made to it are
//! reverted. [`observe`] and [`plan()`] change nothing; [`Policies::apply`] carries out one step. If a run is killed, the next
//! one completes it.

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

/// The client-side extension that applies `Registry.pol`, and its administrative tool, [MS-GPREG] 1.9.
pub const EXTENSIONS: &str =
    "[{35378EAC-683F-11D2-A89A-00C04FBBCFA2}{D02B1F72-3407-48AE-BA88-E8213C6761F1}]";
/// `flags` of a container, [MS-GPOL] 2.2.4: the user settings are disabled; user and computer settings are.
const USERS_OFF: i64 = 1;
const ALL_OFF: i64 = 3;
/// The largest `Registry.pol` or `GPT.INI` that is read, in bytes.
const MAX_FILE: usize = 4 << 20;

/// The object as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The display name.
    pub name: String,
    /// The content of `Registry.pol`.
    pub settings: Vec<u8>,
    /// The DN of the domain or organisational unit whose computers it is for.
    pub link: String,
    /// The groups and computers that apply it; if empty, every computer of the domain.
    pub apply_to: Vec<Sid>,
}

/// One change of the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GpoStep {
    /// Create the container, disabled.
    CreateContainer,
    /// Create `Machine` or `User` below the container.
    CreateHalf(&'static str),
    /// Let only these accounts apply it; if empty, every authenticated computer.
    Filter(Vec<Sid>),
    /// Create the folder and its subfolders.
    CreateFolder,
    /// Give the folder the permissions of the container.
    FolderPermissions,
    /// Write the version of the folder: the computer half, since the user half stays empty.
    FolderVersion(u16),
    /// Write the settings.
    Settings(Vec<u8>),
    /// Set name, version, extension and path of the container, and enable it.
    Container {
        /// The name for display.
        name: String,
        /// The version, the same as the folder's.
        version: u16,
    },
    /// Link it to this domain or organisational unit.
    Link(Link),
    /// Unlink it there.
    Unlink(Link),
    /// Delete the folder.
    RemoveFolder,
    /// Delete the container.
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

/// Why a group policy object could not be read or written. The steps before are done; running again completes the rest.
#[derive(Debug, thiserror::Error)]
pub enum GpoError {
    /// LDAP or Kerberos.
    #[error(transparent)]
    Directory(#[from] OnpremError),
    /// SMB.
    #[error(transparent)]
    Sysvol(#[from] SmbError),
    /// The domain or organisational unit to link to does not exist.
    #[error("there is no `{0}` to link the group policy to")]
    NoTarget(String),
    /// A part of the object is malformed.
    #[error("{0}")]
    Damaged(String),
    /// All 65,535 versions are used.
    #[error("the group policy object has had every version that there is")]
    NoVersionLeft,
}
