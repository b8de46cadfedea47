//! The initiator's side of GSS-API with Kerberos (RFC 4121), bare or inside SPNEGO (RFC 4178).
//!
//! [`Initiator`] proves to a service who the client is, with a ticket that the caller has already got, and demands the
//! same of the service: mutual authentication is not optional. It then yields a [`Context`], whose key SMB takes and
//! whose wrapped messages encrypt LDAP. There is no delegation, no NTLM, no other mechanism, and no way to have a message
//! accepted that was not encrypted.

mod framing;
mod initiator;
mod message;
mod spnego;

pub use initiator::{ContextStep, Initiator, Mechanism};
pub use message::{Context, MAX_TOKEN_LEN, Side};

use crate::messages::MessageError;

/// Why a context could not be established, or a message of it not be decrypted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GssError {
    /// A token breaks the format, or is of the wrong kind for this moment.
    #[error("malformed security token")]
    Malformed,
    /// A token larger than [`MAX_TOKEN_LEN`].
    #[error("security token larger than {MAX_TOKEN_LEN} bytes")]
    TooLarge,
    /// A checksum or ciphertext does not verify.
    #[error("a security token does not verify: wrong key, or changed on the way")]
    Integrity,
    /// A message that was replayed, lost or reordered.
    #[error("an encrypted message is out of sequence")]
    OutOfSequence,
    /// A message that the peer did not encrypt.
    #[error("a message is not encrypted")]
    NotSealed,
    /// The service wants another mechanism than Kerberos.
    #[error("the service does not accept Kerberos")]
    OtherMechanism,
    /// The service rejected the negotiation.
    #[error("the service rejected the ticket")]
    Rejected,
    /// The service answered with a Kerberos error.
    #[error("the service answered with Kerberos error {0}")]
    Kerberos(i32),
    /// The service did not prove that it holds its key.
    #[error("the service did not prove its identity")]
    NotMutual,
    /// `step` was called after the end.
    #[error("the security context is already complete")]
    Complete,
    /// A message inside a token could not be read or written.
    #[error(transparent)]
    Message(#[from] MessageError),
}

#[cfg(test)]
mod tests;
