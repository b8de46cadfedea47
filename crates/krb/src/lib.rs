//! Bytes in, values out: everything Kerberos that is a format or a formula.
//!
//! Kerberos messages (DER, RFC 4120), encryption types 17–20 (RFC 3962, RFC 8009), FAST (RFC 6113), the MS-PAC (NDR),
//! the KDC-proxy envelope (MS-KKDCP), keytabs and credential caches, and the initiator's side of the AS, TGS and
//! GSS-API exchanges as state machines. This crate never opens a socket or a file, never reads the clock and never asks
//! the operating system for randomness: time and random bytes are arguments. Every length that comes from outside is
//! bounded before memory is taken for it, and no input can make it panic.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::as_conversions
)]

pub mod ccache;
pub mod client;
pub mod credential;
pub mod crypto;
mod cursor;
pub mod fast;
pub mod gss;
pub mod key_usage;
pub mod keytab;
pub mod kkdcp;
pub mod messages;
pub mod ndr;
pub mod pac;
pub mod principal;
pub mod random;
pub mod security_descriptor;
pub mod transited;
