//! Why a probe got no answer.

use std::io;
use std::path::Path;
use std::time::Duration;

/// Why a probe got no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    /// The name server or peer did not answer in time.
    #[error("no answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// The peer accepted the connection and did not answer in time.
    #[error("it accepts connections, but does not answer within {} s", .0.as_secs())]
    Unresponsive(Duration),
    /// The name resolves to nothing.
    #[error("it has no address")]
    NoAddress,
    /// A name does not resolve.
    #[error("`{host}` does not resolve: {reason}")]
    Unresolved {
        /// The name.
        host: String,
        /// Why.
        reason: Box<ProbeError>,
    },
    /// The text is not a host name.
    #[error("`{0}` is not a host name")]
    BadHostName(String),
    /// The configured address of the KDC proxy cannot be parsed.
    #[error("the address of the KDC proxy is not a URL")]
    BadKdcProxyUrl,
    /// The service's name has not been resolved.
    #[error("the service's address is not known")]
    NoServiceAddress,
    /// The server's certificate is not trusted.
    #[error("{0}")]
    Certificate(String),
    /// There is no certificate authority to verify the server with.
    #[error("{0}")]
    TrustAnchors(String),
    /// TLS failed for another reason than the certificate.
    #[error("{0}")]
    Tls(String),
    /// The answer is not an HTTP response.
    #[error("the answer is not HTTP")]
    NotHttp,
    /// The KDC proxy answered with an error.
    #[error("the KDC proxy returns HTTP {0}")]
    HttpStatus(u16),
    /// A message or file of Kerberos cannot be used, or the exchange failed.
    #[error("{0}")]
    Kerberos(String),
    /// A file cannot be used.
    #[error("`{path}`: {reason}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The system refused.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl ProbeError {
    /// A file that cannot be used.
    pub(crate) fn file(path: &Path, reason: impl ToString) -> Self {
        Self::File {
            path: path.display().to_string(),
            reason: reason.to_string(),
        }
    }

    /// A failure of Kerberos.
    pub(crate) fn kerberos(reason: impl ToString) -> Self {
        Self::Kerberos(reason.to_string())
    }
}
