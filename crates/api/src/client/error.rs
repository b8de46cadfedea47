//! Why a call failed: by the caller's settings, the connection, or the server's answer.

use crate::{Code, ErrorBody, ErrorDetails};
use std::error::Error as StdError;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server's URL is not one.
    #[error("invalid server URL `{url}`: {reason}")]
    BadUrl {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The given certificate authority holds no usable PEM certificate.
    #[error("the certificate authority file holds no usable PEM certificate: {reason}")]
    BadCa {
        /// What is wrong with it.
        reason: String,
    },
    /// The token holds characters that no token has.
    #[error("invalid token: it contains characters that cannot be sent")]
    BadToken,
    /// No connection, or it broke.
    #[error("cannot reach `{url}`: {reason}")]
    Unreachable {
        /// The URL of the request.
        url: String,
        /// The innermost cause.
        reason: String,
    },
    /// The server's certificate is not trusted, or not for this name.
    #[error("cannot trust the server at `{url}`: {reason}")]
    Untrusted {
        /// The URL of the request.
        url: String,
        /// What is wrong with its certificate.
        reason: String,
    },
    /// No answer in time.
    #[error("no answer from `{url}` within {limit_s} s")]
    TimedOut {
        /// The URL of the request.
        url: String,
        /// How long was waited, in seconds.
        limit_s: u64,
    },
    /// The server refused the request.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// The answer is larger than the client takes.
    #[error("the answer of `{url}` is larger than {limit} bytes")]
    TooLarge {
        /// The URL of the request.
        url: String,
        /// The bound, in bytes.
        limit: usize,
    },
    /// The answer is not one of this API.
    #[error("the answer of `{url}` is not one of the Crossrealm API: {reason}")]
    Malformed {
        /// The URL of the request.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// A refusal by the server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The stable code.
    pub code: Code,
    /// What went wrong, for people.
    pub message: String,
    /// The objects and numbers of the refusal.
    pub details: ErrorDetails,
    /// The server's id of the request, which its log holds too.
    pub request_id: Option<String>,
}

impl ClientError {
    /// What to do next, where that is known. It names no command and no option: the caller knows its own, and those for the code
    /// of a refusal.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::BadUrl { .. } => {
                Some("give it as `https://login.cloud.example`".into())
            }
            Self::BadCa { .. } => Some(
                "give the private authority of the installation, `tls/ca.pem`".into(),
            ),
            Self::BadToken => {
                Some("give the token as it was written, without quotes or line ends inside".into())
            }
            Self::Unreachable { .. } => Some(
                "check that the service runs there, the name resolves to it, and no firewall is between".into(),
            ),
            Self::Untrusted { .. } => Some(
                "give the private authority that issued the certificate, and call the server by a name that the certificate holds".into(),
            ),
            Self::TimedOut { .. } => Some("try again; the server's log shows what it waits for".into()),
            Self::Refused(refusal) => match &refusal.request_id {
                Some(id) if refusal.status >= 500 => {
                    Some(format!("look for request `{id}` in the server's log"))
                }
                _ => None,
            },
            Self::TooLarge { .. } => None,
            Self::Malformed { .. } => {
                Some("check that the URL is that of a Crossrealm server, and that both have the same version".into())
            }
        }
    }

    /// The refusal by the server; `None` for every other failure.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// The code of a refusal by the server; `None` for every other failure.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Refused(refusal) => Some(refusal.code),
            _ => None,
        }
    }

    /// Whether the same call may succeed a little later: the way to the server or its load is to blame.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TimedOut { .. } => true,
            Self::Refused(refusal) => matches!(refusal.status, 408 | 429 | 502 | 503 | 504),
            _ => false,
        }
    }

    /// The error of a request that brought no complete answer.
    pub(super) fn of_transport(error: &reqwest::Error, url: &str, limit_s: u64) -> Self {
        let url = url.to_owned();
        let reason = innermost(error);
        if error.is_timeout() {
            Self::TimedOut { url, limit_s }
        } else if reason.contains("certificate") || reason.contains("UnknownIssuer") {
            Self::Untrusted { url, reason }
        } else {
            Self::Unreachable { url, reason }
        }
    }

    /// The error of an answer with a status that is no success.
    pub(super) fn of_refusal(
        status: u16,
        request_id: Option<String>,
        url: &str,
        body: &[u8],
    ) -> Self {
        match serde_json::from_slice::<ErrorBody>(body) {
            Ok(body) => Self::Refused(Box::new(Refusal {
                status,
                code: body.code,
                message: body.message,
                details: body.details,
                request_id,
            })),
            Err(_) => Self::Malformed {
                url: url.to_owned(),
                reason: format!("HTTP status {status} without an error body"),
            },
        }
    }
}

/// The innermost cause is the most specific ("Connection refused"); the outer ones only repeat "error sending request". The
/// URL of its library's manual that may follow is of no use here.
fn innermost(error: &dyn StdError) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let text = cause.to_string();
    match text.split_once(": https://") {
        Some((said, _)) => said.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_connection_is_reported_without_the_url_of_a_manual() {
        let lost = "peer closed connection without sending TLS close_notify";
        let text = format!("{lost}: https://docs.example/manual#unexpected-eof");
        assert_eq!(innermost(&std::io::Error::other(text)), lost);
        let refused = std::io::Error::other("Connection refused (os error 111)");
        assert_eq!(innermost(&refused), "Connection refused (os error 111)");
    }
}
