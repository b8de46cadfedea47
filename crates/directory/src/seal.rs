//! Sealing keys at rest.

/// A sealed key of the database does not open. Names the record, never what is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the sealed {record} does not open: it was changed, moved from another record, or sealed under another master key")]
pub struct UnsealError {
    /// Which record.
    pub record: String,
}
