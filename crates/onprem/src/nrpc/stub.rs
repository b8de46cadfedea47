//! Request and reply stubs of the Netlogon calls, named after [MS-NRPC] 3.5.4.4.

use super::model::{AUTHENTICATE, NetlogonError, TrustAccount, fill};
use crate::nt_status::NtStatus;
use zeroize::Zeroizing;

/// The names of the calls.
pub(super) const CHALLENGE: &str = "NetrServerReqChallenge";
pub(super) const SET_PASSWORD: &str = "NetrServerPasswordSet2";

/// NETLOGON_SECURE_CHANNEL_TYPE TrustedDomainSecureChannel, [MS-NRPC] 2.2.1.3.13.
const CHANNEL_TRUSTED_DOMAIN: u16 = 4;
/// NL_PASSWORD_VERSION.PasswordVersionPresent, [MS-NRPC] 2.2.1.3.8.
const VERSION_PRESENT: u32 = 0x0223_1968;
/// NL_TRUST_PASSWORD.Buffer, [MS-NRPC] 2.2.1.3.7.
const BUFFER_LEN: usize = 512;
/// The buffer and its length field.
pub(super) const PASSWORD_LEN: usize = BUFFER_LEN + 4;
/// NL_PASSWORD_VERSION.
const VERSION_LEN: usize = 12;

pub(super) fn challenge(account: &TrustAccount, challenge: &[u8; 8]) -> Vec<u8> {
    let mut out = Vec::new();
    server_name(&mut out, account);
    string(&mut out, &account.flat_name);
    out.extend(challenge);
    out
}

pub(super) fn challenge_reply(reply: &[u8]) -> Result<[u8; 8], NetlogonError> {
    let (challenge, status) = split::<12>(CHALLENGE, reply)?;
    check(CHALLENGE, status)?;
    Ok(challenge)
}

pub(super) fn authenticate(account: &TrustAccount, credential: &[u8; 8], flags: u32) -> Vec<u8> {
    let mut out = Vec::new();
    server_name(&mut out, account);
    named(&mut out, account);
    out.extend(credential);
    number(&mut out, flags);
    out
}

/// The server's credential, and the negotiated flags.
pub(super) fn authenticate_reply(reply: &[u8]) -> Result<([u8; 8], u32), NetlogonError> {
    let (credential, status) = split::<20>(AUTHENTICATE, reply)?;
    check(AUTHENTICATE, status)?;
    Ok((credential, word(reply, 8)))
}

pub(super) fn set_password(
    account: &TrustAccount,
    authenticator: &[u8; 8],
    timestamp: u32,
    password: &[u8; PASSWORD_LEN],
) -> Vec<u8> {
    let mut out = Vec::new();
    server_name(&mut out, account);
    named(&mut out, account);
    align(&mut out);
    out.extend(authenticator);
    number(&mut out, timestamp);
    out.extend(password);
    out
}

/// The server's return authenticator.
pub(super) fn set_password_reply(reply: &[u8]) -> Result<[u8; 8], NetlogonError> {
    let (proof, status) = split::<16>(SET_PASSWORD, reply)?;
    check(SET_PASSWORD, status)?;
    Ok(proof)
}

/// NL_TRUST_PASSWORD in clear: random bytes, the version, the password at the end of the buffer, its length.
pub(super) fn password_buffer(
    secret: &str,
    version: u32,
) -> Result<Zeroizing<[u8; PASSWORD_LEN]>, NetlogonError> {
    let units: Vec<u8> = secret.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let units = Zeroizing::new(units);
    let at = BUFFER_LEN
        .checked_sub(units.len() + VERSION_LEN)
        .ok_or(NetlogonError::TooLong)?;
    let mut out = Zeroizing::new([0; PASSWORD_LEN]);
    fill(&mut out[..at])?;
    let length = u32::try_from(units.len()).map_err(|_| NetlogonError::TooLong)?;
    let mut tail = Zeroizing::new(Vec::with_capacity(PASSWORD_LEN - at));
    tail.extend(0u32.to_le_bytes());
    tail.extend(version.to_le_bytes());
    tail.extend(VERSION_PRESENT.to_le_bytes());
    tail.extend_from_slice(&units);
    tail.extend(length.to_le_bytes());
    out[at..].copy_from_slice(&tail);
    Ok(out)
}

/// PrimaryName: a unique pointer to a string.
fn server_name(out: &mut Vec<u8>, account: &TrustAccount) {
    number(out, 0x0002_0000);
    string(out, &format!(r"\\{}", account.host));
}

/// AccountName, SecureChannelType, ComputerName.
fn named(out: &mut Vec<u8>, account: &TrustAccount) {
    string(out, &format!("{}$", account.flat_name));
    out.extend(CHANNEL_TRUSTED_DOMAIN.to_le_bytes());
    string(out, &account.flat_name);
}

/// A conformant varying string of UTF-16 units with its terminator.
fn string(out: &mut Vec<u8>, text: &str) {
    let units: Vec<u16> = text.encode_utf16().chain([0]).collect();
    let count = u32::try_from(units.len()).unwrap_or(u32::MAX);
    for value in [count, 0, count] {
        number(out, value);
    }
    out.extend(units.into_iter().flat_map(u16::to_le_bytes));
}

fn number(out: &mut Vec<u8>, value: u32) {
    align(out);
    out.extend(value.to_le_bytes());
}

fn align(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

/// The first eight bytes, and the status at the end, of a reply of exactly `N` bytes.
fn split<const N: usize>(
    call: &'static str,
    reply: &[u8],
) -> Result<([u8; 8], NtStatus), NetlogonError> {
    let whole: &[u8; N] = reply
        .try_into()
        .map_err(|_| NetlogonError::Malformed(call))?;
    let first = whole
        .first_chunk::<8>()
        .ok_or(NetlogonError::Malformed(call))?;
    Ok((*first, NtStatus(word(reply, N - 4))))
}

fn word(reply: &[u8], at: usize) -> u32 {
    reply
        .get(at..)
        .and_then(<[u8]>::first_chunk::<4>)
        .map_or(u32::MAX, |bytes| u32::from_le_bytes(*bytes))
}

fn check(call: &'static str, status: NtStatus) -> Result<(), NetlogonError> {
    if status == NtStatus::SUCCESS {
        Ok(())
    } else {
        Err(NetlogonError::Status { call, status })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_stands_at_the_end_behind_its_version() {
        let buffer = password_buffer("Pä1", 7).unwrap();
        assert_eq!(buffer[512..], [6, 0, 0, 0]);
        assert_eq!(buffer[506..512], [b'P', 0, 0xe4, 0, b'1', 0]);
        assert_eq!(
            buffer[494..506],
            [0, 0, 0, 0, 7, 0, 0, 0, 0x68, 0x19, 0x23, 0x02]
        );
        assert!(password_buffer(&"x".repeat(250), 1).is_ok());
        assert!(matches!(
            password_buffer(&"x".repeat(251), 1),
            Err(NetlogonError::TooLong)
        ));
    }

    #[test]
    fn replies_of_another_length_are_refused_and_refusals_named() {
        for reply in [&[][..], &[0; 11], &[0; 13]] {
            assert!(matches!(
                challenge_reply(reply),
                Err(NetlogonError::Malformed(_))
            ));
        }
        let mut denied = [0; 20];
        denied[16..].copy_from_slice(&NtStatus::ACCESS_DENIED.0.to_le_bytes());
        let error = authenticate_reply(&denied).unwrap_err();
        assert!(error.is_other_secret());
        let mut denied = [0; 16];
        denied[12..].copy_from_slice(&NtStatus::ACCESS_DENIED.0.to_le_bytes());
        assert!(!set_password_reply(&denied).unwrap_err().is_other_secret());
    }
}
