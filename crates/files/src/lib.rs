//! The SMB host of a storage account: drives Samba's `smbd` and `winbindd`, never joined to a domain, by what the service
//! says of the account.
//!
//! Two processes share the work. The *outer* one ([`serve`]) asks the API for the account's [`HostState`] and never
//! touches Samba. The *inner* one ([`inside`]) lives in a mount and a process namespace of its own, has no token and no
//! way to the API, and turns the states that the outer one hands it over a pipe into configuration, share permissions and
//! two supervised programs. When either of them dies, however it dies, nothing of the host is left running.
//!
//! This room never decides who may have a ticket (that is the KDC's work) and never deletes a user's data: a share that
//! is gone from the account is gone from view, its folder stays.
//!
//! [`HostState`]: crossrealm_api::HostState

pub mod acl;
mod check;
mod error;
mod file;
pub mod inside;
mod kept;
mod listen;
mod outer;
mod pipe;
mod places;
mod poll;
mod preflight;
mod sharesec;
mod smbconf;
mod snapshots;
mod tools;

pub use crossrealm_types::Sid;
pub use error::FilesError;
pub use kept::SealKey;
pub use listen::Listen;
pub use outer::{Options, Progress, serve};
pub use places::{DEFAULT_DATA, share_folder};
pub use preflight::check_tenant;
pub use sharesec::rights_of_role;
