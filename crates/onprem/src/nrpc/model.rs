//! The trust whose password is changed, and why that failed.

use crate::rpc::NtStatus;
use crate::smb::SmbError;
use zeroize::Zeroizing;

/// The call that proves the secret.
pub(super) const AUTHENTICATE: &str = "NetrServerAuthenticate3";

/// Why the secret could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum NetlogonError {
    /// The session broke, or could not carry the call.
    #[error(transparent)]
    Smb(#[from] SmbError),
    /// The domain controller refused.
    #[error("`{call}` failed: {} ({status})", status.meaning())]
    Status {
        /// The name of the call in [MS-NRPC].
        call: &'static str,
        /// What it answered.
        status: NtStatus,
    },
    /// The domain controller does not offer AES or the secure channel.
    #[error("the domain controller offers no AES for its secure channel (flags 0x{0:08X})")]
    Weak(u32),
    /// The domain controller does not know the secret that it accepted, or an answer was changed on its way.
    #[error(
        "the domain controller's answer to `{0}` does not bear out that it is who it claims to be"
    )]
    Forged(&'static str),
    /// The answer is not what the specification defines.
    #[error("the domain controller's answer to `{0}` could not be read")]
    Malformed(&'static str),
    /// The secret does not fit into the call.
    #[error("the trust password is longer than the protocol carries")]
    TooLong,
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes: {0}")]
    Random(String),
}

impl NetlogonError {
    /// What to do about it, where something can be done.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Smb(error) => error.hint(),
            Self::Status { .. } => {
                Some("compare the two sides with `crossrealm kerberos-server get`")
            }
            Self::Weak(_) => Some("the domain controller must allow AES for its secure channel"),
            _ => None,
        }
    }

    /// Whether the domain controller answered and did not accept the secret.
    pub(super) fn is_other_secret(&self) -> bool {
        matches!(
            self,
            Self::Status {
                call: AUTHENTICATE,
                status: NtStatus::ACCESS_DENIED,
            }
        )
    }
}

/// The trust whose secret is meant.
#[derive(Clone, Debug)]
pub struct TrustAccount {
    /// The domain controller's DNS name.
    pub host: String,
    /// The flat name of the AD domain.
    pub ad_flat_name: String,
    /// The flat name of the tenant: the account is this and a `$`.
    pub flat_name: String,
}

pub(super) fn fill(bytes: &mut [u8]) -> Result<(), NetlogonError> {
    getrandom::fill(bytes).map_err(|error| NetlogonError::Random(error.to_string()))
}

/// 16 bytes that wipe themselves.
pub(super) type Key = Zeroizing<[u8; 16]>;
