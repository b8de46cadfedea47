//! Encrypted SMB 3.1.1 sessions to a domain controller: the files of `SYSVOL`, and what [`crate::rpc`] opens its pipes over.
//!
//! SMB, signing, encryption and the RPC transport come from `smolder`; the authentication is our own Kerberos initiator
//! ([`crossrealm_krb::gss`]) with a ticket from the caller. This module adds what the library lacks: the SMB application key,
//! and errors that name the domain controller. A session that is not SMB 3.1.1 with encryption is refused; there is no
//! fallback to an older dialect or to a guest, and every step has a time limit.

mod application_key;
mod connection;
mod error;
mod files;
mod gss;
pub mod share;

pub(crate) use application_key::Watched;
pub(crate) use connection::tree;
pub use error::SmbError;
pub(crate) use error::classify;
pub use files::FileShare;

/// The TCP port of SMB.
pub const PORT: u16 = 445;
