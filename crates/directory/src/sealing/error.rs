//! Why a value could not be sealed or unsealed.

use crate::random::RandomError;

/// A value could not be sealed or unsealed. Names the record, never what is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// A sealed value does not decrypt under its context.
    #[error(
        "cannot unseal the {record}: it was changed, moved from another record, or sealed under another master key"
    )]
    Unseal {
        /// Which record.
        record: String,
    },
    /// A value is longer than the cipher takes.
    #[error("cannot seal the {record}: it is too long")]
    TooLong {
        /// Which record.
        record: String,
    },
    /// There is no nonce.
    #[error(transparent)]
    Random(#[from] RandomError),
}
