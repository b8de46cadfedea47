//! A thin LDAP client for domain controllers: RFC 4511 over TCP port 389, encrypted by Kerberos (SASL GSS-SPNEGO).
//!
//! Everything but the rootDSE is encrypted in both directions; there is no other way to bind. One request is outstanding at a
//! time. Messages, pages and waiting times are bounded. Errors carry the server's diagnostic message.

mod client;
mod connection;
mod entry;
mod filter;

/// The TCP port of LDAP.
pub const PORT: u16 = 389;

pub use crate::error::LdapError;
pub use client::{AllValues, Change, Control, Ldap, Pages, Search, range, sd_flags};
pub use connection::{Connection, MAX_MESSAGE_LEN};
pub use entry::{Entry, RootDse};
pub use filter::parse as parse_filter;
pub use ldap3_proto::{LdapFilter as Filter, LdapResultCode, LdapSearchScope as Scope};

#[cfg(test)]
mod tests;
