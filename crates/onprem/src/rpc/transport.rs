//! RPC transports: in the product a named pipe in an encrypted SMB session, in tests a script.

use crate::smb::SmbError;
use std::future::Future;

/// A pipe that carries LSA calls.
pub trait Pipe: Send {
    /// Sends the request stub of call `opnum` and returns the reply stub.
    fn call(
        &mut self,
        opnum: u16,
        stub: Vec<u8>,
    ) -> impl Future<Output = Result<Vec<u8>, SmbError>> + Send;

    /// The key that encrypts secrets inside calls: the SMB application key, [MS-SMB2] 3.2.1.3.
    fn application_key(&self) -> &[u8];
}

/// A pipe that carries RPC fragments: one request, one reply.
pub trait Wire: Send {
    /// Sends a fragment and returns the one that answers it.
    fn exchange(
        &mut self,
        fragment: Vec<u8>,
    ) -> impl Future<Output = Result<Vec<u8>, SmbError>> + Send;
}
