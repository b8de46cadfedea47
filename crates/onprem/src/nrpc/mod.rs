//! Changing the secret of a trust as the trust's own account, by Netlogon ([MS-NRPC]) over `\PIPE\netlogon`.
//!
//! This is the protocol made for it, and the only one that works everywhere: the holder of a secret of the trust that
//! the domain controller accepts (the current or the previous one) gives it the next, without being an administrator.
//! The domain controller keeps the old one as "previous". AES credentials and an AES-sealed secure channel or nothing;
//! a domain controller that offers less is refused. Secrets come from the caller and are neither kept nor shown.

mod channel;
mod credential;
mod model;
mod stub;

use crate::rpc::Wire;
use channel::Channel;
use credential::Credentials;
use model::{AUTHENTICATE, fill};
pub use model::{NetlogonError, TrustAccount};

/// What the client asks for and the server must grant: AES and the secure channel, [MS-NRPC] 3.1.4.2, bits W and Y.
const FLAGS_REQUIRED: u32 = 0x4100_0000;
/// What the client offers: what Windows offers.
const FLAGS_OFFERED: u32 = 0x612F_FFFF;

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
    let reply = channel.call(AUTHENTICATE, 26, &request).await?;
    let (proof, flags) = stub::authenticate_reply(&reply)?;
    if flags & FLAGS_REQUIRED != FLAGS_REQUIRED {
        return Err(NetlogonError::Weak(flags));
    }
    // Who cannot prove this never knew the secret: the session is not with a domain controller of the domain.
    if !credentials.is_servers(&theirs, &proof) {
        return Err(NetlogonError::Forged(AUTHENTICATE));
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

#[cfg(test)]
mod tests;
