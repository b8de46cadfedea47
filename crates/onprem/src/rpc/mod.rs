//! What the RPC clients [`crate::lsa`] and [`crate::nrpc`] speak over: the named pipes of a domain controller.

mod pipes;
mod transport;

pub use pipes::{LsaPipe, NetlogonPipe};
pub use transport::{Pipe, Wire};
