//! Encrypted SMB 3.1.1 sessions to a domain controller: its `\PIPE\lsarpc` and `\PIPE\netlogon`, and the files of `SYSVOL`.
//!
//! SMB, signing, encryption and the RPC transport are `smolder`'s; the authentication is our own Kerberos initiator
//! ([`crossrealm_krb::gss`]) with a ticket that the caller has got. This module adds what the library leaves out: the SMB
//! application key, derived from the messages it watches go by, and errors that name the domain controller. It refuses
//! a session that is not SMB 3.1.1 with encryption, never falls back to an older dialect or to a guest, and gives up
//! on anything that takes too long.

mod application_key;
mod connection;
mod error;
mod files;
mod gss;
mod pipes;
pub mod share;

pub use error::SmbError;
pub use files::FileShare;
pub use pipes::{LsaPipe, NetlogonPipe};

/// The SMB port.
pub const PORT: u16 = 445;
