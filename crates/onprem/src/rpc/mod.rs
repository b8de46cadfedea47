//! What the RPC clients [`crate::lsa`] and [`crate::nrpc`] share: the transports and the status values.

mod status;
mod transport;

pub use status::NtStatus;
pub use transport::{Pipe, Wire};
