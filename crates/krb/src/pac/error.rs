//! Why a PAC was refused, or could not be made.

use super::BufferKind;
use crate::ndr::NdrError;

/// Why bytes are not a PAC, a PAC is not believed, or a PAC cannot be made.
///
/// None of the texts holds anything of the PAC's contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacError {
    /// Longer than [`super::MAX_PAC_LEN`].
    #[error("the PAC has {len} bytes, more than the limit of {limit}", limit = super::MAX_PAC_LEN)]
    TooLarge {
        /// Its length in bytes.
        len: usize,
    },
    /// The table of buffers ends early.
    #[error("the PAC ends inside its table of buffers")]
    Truncated,
    /// A version other than 0.
    #[error("the PAC has version {0}, expected 0")]
    Version(u32),
    /// More buffers than [`super::MAX_BUFFERS`].
    #[error("the PAC has {0} buffers, more than the limit of {limit}", limit = super::MAX_BUFFERS)]
    TooManyBuffers(u32),
    /// A buffer does not begin at a multiple of 8 bytes.
    #[error("{0} does not begin at a multiple of 8 bytes")]
    Misaligned(BufferKind),
    /// A buffer reaches into the table or beyond the end.
    #[error("{0} lies outside the PAC's data")]
    OutOfRange(BufferKind),
    /// Two buffers share bytes.
    #[error("{0} and {1} overlap")]
    Overlap(BufferKind, BufferKind),
    /// A kind of buffer comes twice.
    #[error("{0} comes twice")]
    Duplicate(BufferKind),
    /// A required buffer is not there.
    #[error("{0} is missing")]
    Missing(BufferKind),
    /// A buffer that must not be there is.
    #[error("{0} must not be in this PAC")]
    Unexpected(BufferKind),
    /// The contents of a buffer are malformed.
    #[error("{buffer}: {reason}")]
    Malformed {
        /// The buffer.
        buffer: BufferKind,
        /// What is wrong with it.
        reason: NdrError,
    },
    /// A signature of a type that no supported key makes.
    #[error("{buffer} has checksum type {found}, which is not known")]
    UnknownSignatureType {
        /// The signature.
        buffer: BufferKind,
        /// Its checksum type, RFC 3961 §8.
        found: i32,
    },
    /// A signature whose length does not fit its type.
    #[error("{0} has a wrong length")]
    SignatureLength(BufferKind),
    /// A signature of another type than the key makes: a downgrade.
    #[error("{buffer} has checksum type {found}, expected {expected}")]
    SignatureType {
        /// The signature.
        buffer: BufferKind,
        /// The checksum type of the key's encryption type.
        expected: i32,
        /// The checksum type found.
        found: i32,
    },
    /// A signature that the key did not make over these bytes.
    #[error("{0} does not verify")]
    BadSignature(BufferKind),
}
