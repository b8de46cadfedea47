//! The SMB host of a storage account: runs Samba's `smbd` and `winbindd`, without joining a domain, as the service's state of
//! the account requires.
//!
//! Two processes share the work. The *supervisor* ([`serve`]) fetches the account's [`HostState`] from the API and never
//! touches Samba. The *worker* ([`worker`]) has its own mount and process namespaces, no token and no connection to the API; it
//! turns the states that the supervisor sends it over a pipe into configuration, share permissions and two supervised daemons.
//! If either process dies, for any reason, nothing of the host keeps running.
//!
//! This crate never decides who gets a ticket (the KDC does) and never deletes users' data: a share that is no longer in the
//! account is no longer served, but its directory stays.
//!
//! [`HostState`]: crossrealm_api::HostState

pub mod acl;
mod check;
mod error;
mod file;
mod ipc;
mod listen;
mod paths;
mod share_permissions;
mod smbconf;
mod supervisor;
mod tools;
pub mod worker;

pub use error::FilesError;
pub use listen::Listen;
pub use paths::{DEFAULT_DATA, DEFAULT_STATE, share_folder};
pub use share_permissions::rights_of_role;
pub use supervisor::{NONCE_LEN, Options, Progress, SealKey, check_tenant, serve};
