//! Changing the secret of a trust as the trust's own account, by Netlogon ([MS-NRPC]) over `\PIPE\netlogon`.
//!
//! This is the protocol made for it, and the only one that works everywhere: whoever holds a secret of the trust that
//! the domain controller accepts (the current or the previous one) gives it the next, without being an administrator.
//! The domain controller keeps the old one as "previous". AES credentials and an AES-sealed secure channel or nothing;
//! a domain controller that offers less is refused. Secrets come from the caller and are neither kept nor shown.

mod channel;
mod credential;
mod stub;

use crate::lsa::NtStatus;
use crate::smb::SmbError;
use channel::Channel;
use credential::Credentials;
use std::future::Future;
use zeroize::Zeroizing;

/// What the client asks for and the server must grant: AES and the secure channel, [MS-NRPC] 3.1.4.2, bits W and Y.
const FLAGS_REQUIRED: u32 = 0x4100_0000;
/// What the client offers: what Windows offers.
const FLAGS_OFFERED: u32 = 0x612F_FFFF;

/// A pipe that carries whole RPC fragments, one out, one back.
pub trait Wire: Send {
    /// Sends one fragment and returns the one that answers it.
    fn exchange(
        &mut self,
        fragment: Vec<u8>,
    ) -> impl Future<Output = Result<Vec<u8>, SmbError>> + Send;
}

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
    #[error("the trust secret is longer than the protocol carries")]
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

    /// Whether the domain controller was spoken to and did not accept the secret.
    fn is_other_secret(&self) -> bool {
        matches!(
            self,
            Self::Status {
                call: stub::AUTHENTICATE,
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

/// A secret that was proven to be accepted, and what later calls are made with.
pub struct Proven(Credentials);

/// Whether the domain controller accepts `secret` as that of the trust; with what follows from it.
///
/// `Ok(None)`: it does not. It accepts the current and the previous one.
pub async fn prove<W: Wire>(
    wire: &mut W,
    account: &TrustAccount,
    secret: &str,
) -> Result<Option<Proven>, NetlogonError> {
    match authenticate(wire, account, secret).await {
        Ok(credentials) => Ok(Some(Proven(credentials))),
        Err(error) if error.is_other_secret() => Ok(None),
        Err(error) => Err(error),
    }
}

async fn authenticate<W: Wire>(
    wire: &mut W,
    account: &TrustAccount,
    secret: &str,
) -> Result<Credentials, NetlogonError> {
    let mut channel = Channel::plain(wire);
    channel.bind(account).await?;
    let mut ours = [0; 8];
    fill(&mut ours)?;
    let reply = channel
        .call(stub::CHALLENGE, 4, &stub::challenge(account, &ours))
        .await?;
    let theirs = stub::challenge_reply(&reply)?;
    let credentials = Credentials::new(secret, &ours, &theirs);
    let request = stub::authenticate(account, &credentials.client(&ours), FLAGS_OFFERED);
    let reply = channel.call(stub::AUTHENTICATE, 26, &request).await?;
    let (proof, flags) = stub::authenticate_reply(&reply)?;
    if flags & FLAGS_REQUIRED != FLAGS_REQUIRED {
        return Err(NetlogonError::Weak(flags));
    }
    // Who cannot prove this never knew the secret: the session is not with a domain controller of the domain.
    if !credentials.is_servers(&theirs, &proof) {
        return Err(NetlogonError::Forged(stub::AUTHENTICATE));
    }
    Ok(credentials)
}

/// Gives the domain controller the next secret of the trust, as `version` (NetrServerPasswordSet2). `wire` is a new pipe.
/// `now` is the time in Unix seconds.
pub async fn set_secret<W: Wire>(
    wire: &mut W,
    account: &TrustAccount,
    proven: Proven,
    secret: &str,
    version: u32,
    now: u32,
) -> Result<(), NetlogonError> {
    let Proven(mut credentials) = proven;
    let mut buffer = stub::password_buffer(secret, version)?;
    credentials.encrypt(buffer.as_mut());
    let mut channel = Channel::sealed(wire, credentials.session_key());
    channel.bind(account).await?;
    let authenticator = credentials.authenticator(now);
    let request = stub::set_password(account, &authenticator, now, &buffer);
    let reply = channel.call(stub::SET_PASSWORD, 30, &request).await?;
    let proof = stub::set_password_reply(&reply)?;
    if credentials.accepts(&proof) {
        Ok(())
    } else {
        Err(NetlogonError::Forged(stub::SET_PASSWORD))
    }
}

fn fill(bytes: &mut [u8]) -> Result<(), NetlogonError> {
    getrandom::fill(bytes).map_err(|error| NetlogonError::Random(error.to_string()))
}

/// 16 bytes that wipe themselves.
type Key = Zeroizing<[u8; 16]>;

#[cfg(test)]
mod tests;
