//! Changing a trust password as the trust's own account, by Netlogon ([MS-NRPC]) over `\PIPE\netlogon`.
//!
//! The holder of a trust password that the domain controller accepts (the current or the previous one) sets the next, without
//! any administrator's right; this works with Windows and with Samba. The domain controller keeps the old password as the
//! previous one. AES credentials and an AES-encrypted secure channel are required; a domain controller that offers less is
//! refused. Passwords come from the caller, and are neither stored nor shown.

mod channel;
mod credential;
mod model;
mod stub;

use crate::rpc::Wire;
use channel::Channel;
use credential::Credentials;
use model::{AUTHENTICATE, fill};
pub use model::{NetlogonError, TrustAccount};

/// The negotiated flags that are required: AES and the secure channel, [MS-NRPC] 3.1.4.2, bits W and Y.
const FLAGS_REQUIRED: u32 = 0x4100_0000;
/// The flags that are offered: those of Windows.
const FLAGS_OFFERED: u32 = 0x612F_FFFF;

/// A password that the domain controller accepts, with the session that proved it.
pub struct Proven(Credentials);

/// Whether the domain controller accepts `secret` for the trust (NetrServerAuthenticate3, [MS-NRPC] 3.5.4.4.2); if it does,
/// the session for further calls.
///
/// `Ok(None)`: it does not. It accepts the current password and the previous one.
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
    // The server must know the password too: else the session is not with a domain controller of the domain.
    if !credentials.is_servers(&theirs, &proof) {
        return Err(NetlogonError::Forged(AUTHENTICATE));
    }
    Ok(credentials)
}

/// Sets the next password of the trust, as `version` (NetrServerPasswordSet2, [MS-NRPC] 3.5.4.4.5). `wire` is a new pipe,
/// `now` the time in Unix seconds.
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
