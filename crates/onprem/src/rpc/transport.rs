//! What RPC calls travel over: in the product a named pipe of an encrypted SMB session, in tests a script.

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

    /// The key under which secrets inside of calls are enciphered: the SMB application key, [MS-SMB2] 3.2.1.3.
    fn application_key(&self) -> &[u8];
}

/// A pipe that carries whole RPC fragments, one out, one back.
pub trait Wire: Send {
    /// Sends one fragment and returns the one that answers it.
    fn exchange(
        &mut self,
        fragment: Vec<u8>,
    ) -> impl Future<Output = Result<Vec<u8>, SmbError>> + Send;
}
