//! The trust whose password is changed, and the errors of that.

use crate::nt_status::NtStatus;
use crate::smb::SmbError;
use zeroize::Zeroizing;

/// The call that proves the password.
pub(super) const AUTHENTICATE: &str = "NetrServerAuthenticate3";

/// Why the password could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum NetlogonError {
    /// The SMB session failed, or could not carry the call.
    #[error(transparent)]
    Smb(#[from] SmbError),
    /// The domain controller refused.
    #[error("`{call}` failed: {} ({status})", status.meaning())]
    Status {
        /// The name of the call in [MS-NRPC].
        call: &'static str,
        /// The status that it returned.
        status: NtStatus,
    },
    /// The domain controller does not offer AES or the secure channel.
    #[error("the domain controller offers no AES for its secure channel (flags 0x{0:08X})")]
    Weak(u32),
    /// The server does not know the password that it accepted, or its reply was modified.
    #[error(
        "the domain controller's answer to `{0}` does not bear out that it is who it claims to be"
    )]
    Forged(&'static str),
    /// The reply is not what [MS-NRPC] defines.
    #[error("the domain controller's answer to `{0}` could not be read")]
    Malformed(&'static str),
    /// The password does not fit into the call.
    #[error("the trust password is longer than the protocol carries")]
    TooLong,
    /// The operating system returned no random bytes.
    #[error("the operating system gave no random bytes: {0}")]
    Random(String),
}

impl NetlogonError {
    /// Whether the domain controller answered that the password is another one.
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

/// The trust whose password is changed.
#[derive(Clone, Debug)]
pub struct TrustAccount {
    /// The domain controller's DNS name.
    pub host: String,
    /// The flat name of the AD domain.
    pub ad_flat_name: String,
    /// The flat name of the tenant: the account's name is this and a `$`.
    pub flat_name: String,
}

pub(super) fn fill(bytes: &mut [u8]) -> Result<(), NetlogonError> {
    getrandom::fill(bytes).map_err(|error| NetlogonError::Random(error.to_string()))
}

/// 16 bytes that are wiped when they are dropped.
pub(super) type Key = Zeroizing<[u8; 16]>;
