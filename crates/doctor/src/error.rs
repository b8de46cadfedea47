//! Why a probe got no answer.

use std::io;
use std::path::Path;
use std::time::Duration;

/// Why a probe got no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    /// The service's name has not been resolved.
    #[error("the service's address is not known")]
    NoServiceAddress,
    /// The server's certificate is not trusted.
    #[error("{0}")]
    Certificate(String),
    /// Any other reason; the finding shows it.
    #[error("{0}")]
    Other(String),
}

impl ProbeError {
    /// A reason that is only shown.
    pub(crate) fn other(reason: impl ToString) -> Self {
        Self::Other(reason.to_string())
    }

    /// A file that cannot be used.
    pub(crate) fn file(path: &Path, reason: impl ToString) -> Self {
        Self::Other(format!("`{}`: {}", path.display(), reason.to_string()))
    }

    /// The name server or peer did not answer in time.
    pub(crate) fn timeout(limit: Duration) -> Self {
        Self::Other(format!("no answer within {} s", limit.as_secs()))
    }
}

impl From<io::Error> for ProbeError {
    fn from(error: io::Error) -> Self {
        Self::other(error)
    }
}
