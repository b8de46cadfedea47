//! Why an SMB session failed.

use crate::nt_status::NtStatus;
use smolder_core::auth::AuthError;
use smolder_core::error::CoreError;
use std::net::SocketAddr;

/// Why an SMB session could not be set up, or failed.
#[derive(Debug, thiserror::Error)]
pub enum SmbError {
    /// Nothing answered at the address.
    #[error("the domain controller `{host}` cannot be reached at {address} (SMB): {reason}")]
    Unreachable {
        /// The domain controller's name.
        host: String,
        /// Its address.
        address: SocketAddr,
        /// The operating system's reason.
        reason: String,
    },
    /// The server did not answer in time.
    #[error("the domain controller did not answer in time: {0}")]
    TimedOut(&'static str),
    /// The Kerberos exchange of the session set-up failed.
    #[error("the sign-in to the domain controller by SMB failed: {0}")]
    Authentication(String),
    /// The domain controller refused a step.
    #[error("the domain controller refused {step}: {} ({status})", status.meaning())]
    Refused {
        /// The step that it refused.
        step: &'static str,
        /// The status that it returned.
        status: NtStatus,
    },
    /// The RPC server returned a fault, [MS-RPCE] 2.2.2.4 and C706 appendix E.
    #[error("the domain controller refused the call: RPC fault 0x{0:08X}")]
    Fault(u32),
    /// The server does not speak SMB 3.1.1 with encryption, or violates the protocol.
    #[error("the SMB session with the domain controller failed: {0}")]
    Protocol(String),
}

impl SmbError {
    /// The next step, where one is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unreachable { .. } | Self::TimedOut(_) => Some(
                "check the name of the domain controller, and that a firewall lets its port 445 through",
            ),
            Self::Refused { status, .. } => status.hint(),
            // nca_s_access_denied and rpc_s_access_denied
            Self::Fault(5 | 0x1C00_0009) => NtStatus::ACCESS_DENIED.hint(),
            Self::Protocol(_) => {
                Some("the domain controller must offer SMB 3.1.1 with encryption (AES-GCM)")
            }
            Self::Authentication(_) | Self::Fault(_) => None,
        }
    }
}

/// Maps the library's error.
pub(crate) fn classify(step: &'static str, error: CoreError) -> SmbError {
    match error {
        CoreError::UnexpectedStatus { status, .. } => SmbError::Refused {
            step,
            status: NtStatus(status),
        },
        CoreError::RemoteOperation { code, .. } => SmbError::Fault(code),
        CoreError::Auth(AuthError::Backend(reason)) => SmbError::Authentication(reason),
        CoreError::Auth(error) => SmbError::Authentication(error.to_string()),
        CoreError::Timeout(what) => SmbError::TimedOut(what),
        CoreError::Io(error) | CoreError::LocalIo(error) => {
            SmbError::Protocol(format!("{step}: {error}"))
        }
        other => SmbError::Protocol(format!("{step}: {other}")),
    }
}
