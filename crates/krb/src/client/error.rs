//! Why an exchange did not yield a ticket.

use crate::crypto::CryptoError;
use crate::fast::FastError;
use crate::messages::{self, KrbError, MessageError, MethodData, PaData, error_code, pa_type};
use crate::principal::Principal;

/// The most characters of a KDC's own text that are repeated to the user.
const MAX_TEXT: usize = 200;

/// Why an exchange did not yield a ticket. Each variant names the cause: the user's input, the account, the clock, the KDC.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// KDC_ERR_C_PRINCIPAL_UNKNOWN.
    #[error("the directory knows no account `{0}`")]
    UnknownPrincipal(Principal),
    /// KDC_ERR_PREAUTH_FAILED: the password or key is not the account's.
    #[error("wrong password for `{0}`")]
    WrongPassword(Principal),
    /// The keytab's key did not fit.
    #[error("the keytab's key for `{0}` is not the account's current one")]
    WrongKey(Principal),
    /// The keytab holds no usable key for the principal.
    #[error("the keytab holds no AES key for `{0}`")]
    NoKey(Principal),
    /// KDC_ERR_CLIENT_REVOKED, and the KDC does not say why.
    #[error("the account `{0}` is disabled, locked or expired")]
    Revoked(Principal),
    /// KDC_ERR_CLIENT_REVOKED because an administrator disabled the account.
    #[error("the account `{0}` is disabled")]
    Disabled(Principal),
    /// KDC_ERR_CLIENT_REVOKED because of too many wrong passwords.
    #[error("the account `{0}` is locked after too many wrong passwords")]
    Locked(Principal),
    /// KDC_ERR_CLIENT_REVOKED because the account's own time is over (`accountExpires`).
    #[error("the account `{0}` has expired")]
    AccountExpired(Principal),
    /// KDC_ERR_KEY_EXPIRED: too old, or an administrator asks for another at the next sign-in.
    #[error("the password of `{0}` has expired and must be changed")]
    PasswordExpired(Principal),
    /// KDC_ERR_S_PRINCIPAL_UNKNOWN.
    #[error("no service `{0}` is known there")]
    UnknownService(Principal),
    /// KDC_ERR_ETYPE_NOSUPP, or a KDC that offers only RC4 or DES.
    #[error("no AES encryption type is shared for `{0}`")]
    NoCommonEnctype(Principal),
    /// KRB_AP_ERR_SKEW, or a ticket that starts in the future.
    #[error("the clocks differ by more than five minutes{}", ahead(*.ahead_s))]
    Skew {
        /// How far the KDC's clock is ahead of ours in seconds, where it sent its time.
        ahead_s: Option<i64>,
    },
    /// KRB_AP_ERR_TKT_EXPIRED.
    #[error("the ticket-granting ticket of `{0}` has expired")]
    TicketExpired(Principal),
    /// KDC_ERR_POLICY and its like: understood and refused.
    #[error("the KDC refused `{principal}`{}", quoted(.text))]
    Refused {
        /// What was asked for.
        principal: Principal,
        /// The KDC's reason, where it gave one.
        text: Option<String>,
    },
    /// Another error of the KDC.
    #[error("the KDC answered with error {code}{}", quoted(.text))]
    Kdc {
        /// The code, RFC 4120 §7.5.9.
        code: i32,
        /// The KDC's text, where it gave one.
        text: Option<String>,
    },
    /// The KDC can only be asked with a kind of pre-authentication that is not supported here.
    #[error("the account `{0}` does not accept a password or key for signing in")]
    NoPreAuthentication(Principal),
    /// The answer does not decrypt with the key, or a checksum in it is wrong.
    #[error(
        "the answer does not verify: it is not from this realm's KDC, or was changed on the way"
    )]
    Forged,
    /// The answer breaks the protocol.
    #[error("unusable answer from the KDC: {0}")]
    UnexpectedReply(&'static str),
    /// Referrals led in a circle or on for too long.
    #[error("referrals for `{0}` lead nowhere")]
    ReferralLoop(Principal),
    /// A message could not be read or written.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// The KDC's string-to-key parameters are out of bounds.
    #[error("unusable answer from the KDC: {0}")]
    StringToKey(CryptoError),
    /// `received` was called when no answer was awaited.
    #[error("an answer came when none was awaited")]
    NotWaiting,
}

impl From<FastError> for ClientError {
    fn from(error: FastError) -> Self {
        match error {
            FastError::Malformed(error) => Self::Message(error),
            _ => Self::Forged,
        }
    }
}

impl ClientError {
    /// What the user can do, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::UnknownPrincipal(_) => Some("check the name and the realm after the `@`"),
            Self::WrongPassword(_) => {
                Some("check the password; too many wrong ones may lock the account")
            }
            Self::WrongKey(_) => Some("export the keytab again: the password was changed since"),
            Self::NoKey(_) => {
                Some("list the keytab with `klist -ke` and name one of its principals")
            }
            Self::Revoked(_) => Some("ask an administrator to enable or unlock the account"),
            Self::Disabled(_) => {
                Some("have an administrator enable the account, or use another one")
            }
            Self::Locked(_) => Some(
                "wait until the domain's lockout time is over, or have an administrator unlock the account; then check the password",
            ),
            Self::AccountExpired(_) => Some(
                "have an administrator set another expiry date (`accountExpires`), or use another account",
            ),
            Self::PasswordExpired(_) => {
                Some("change the password on a domain-joined computer or with `kpasswd`")
            }
            Self::NoCommonEnctype(_) => Some(
                "enable AES for the account (`msDS-SupportedEncryptionTypes`) and set its password anew",
            ),
            Self::Skew { .. } => {
                Some("synchronise this computer's clock with the domain controller's")
            }
            Self::TicketExpired(_) => Some("sign in again, for example with `kinit`"),
            _ => None,
        }
    }
}

/// STATUS_ACCOUNT_DISABLED, [MS-ERREF] 2.3.
const ACCOUNT_DISABLED: u32 = 0xC000_0072;
/// STATUS_ACCOUNT_EXPIRED.
const ACCOUNT_EXPIRED: u32 = 0xC000_0193;
/// STATUS_ACCOUNT_LOCKED_OUT.
const ACCOUNT_LOCKED_OUT: u32 = 0xC000_0234;

/// Why a KDC holds the account of `client` revoked; `proven` says that a pre-authentication was sent. Samba looks at a
/// lock while it checks the pre-authentication and names no status then; disabled and expired accounts come with one.
pub(super) fn revoked(error: &KrbError, client: &Principal, proven: bool) -> ClientError {
    let client = client.clone();
    match nt_status(error) {
        Some(ACCOUNT_DISABLED) => ClientError::Disabled(client),
        Some(ACCOUNT_EXPIRED) => ClientError::AccountExpired(client),
        Some(ACCOUNT_LOCKED_OUT) => ClientError::Locked(client),
        None if proven => ClientError::Locked(client),
        _ => ClientError::Revoked(client),
    }
}

/// The NTSTATUS that an AD KDC puts into the e-data of an error: KERB-EXT-ERROR in a KERB-ERROR-DATA of type 3
/// ([MS-KILE] 2.2.1, 2.2.2), or, from Samba, in the element PA-PW-SALT, also 3, of a METHOD-DATA.
fn nt_status(error: &KrbError) -> Option<u32> {
    let data = error.e_data.as_deref()?;
    let value = match messages::decode::<MethodData>(data) {
        Ok(methods) => PaData::find(&methods, pa_type::PW_SALT)?.to_vec(),
        Err(_) => {
            let only = messages::decode::<PaData>(data).ok()?;
            (only.padata_type == pa_type::PW_SALT).then(|| only.padata_value.to_vec())?
        }
    };
    // KERB-EXT-ERROR: status, reserved, flags, 4 bytes each.
    let (status, rest) = value.split_first_chunk::<4>()?;
    (rest.len() == 8).then(|| u32::from_le_bytes(*status))
}

/// The reason of a KDC's error about a request of `client` for `server`.
pub(super) fn from_kdc(
    error: &KrbError,
    client: &Principal,
    server: &Principal,
    now: i64,
) -> ClientError {
    let text = error
        .e_text
        .as_ref()
        .map(|text| shown(text.as_str()))
        .filter(|text| !text.is_empty());
    match error.error_code {
        error_code::C_PRINCIPAL_UNKNOWN => ClientError::UnknownPrincipal(client.clone()),
        error_code::S_PRINCIPAL_UNKNOWN => ClientError::UnknownService(server.clone()),
        error_code::CLIENT_REVOKED => revoked(error, client, false),
        error_code::KEY_EXPIRED => ClientError::PasswordExpired(client.clone()),
        error_code::ETYPE_NOSUPP => ClientError::NoCommonEnctype(client.clone()),
        error_code::TKT_EXPIRED => ClientError::TicketExpired(client.clone()),
        error_code::SKEW => ClientError::Skew {
            ahead_s: error.stime.0.checked_sub(now),
        },
        error_code::POLICY => ClientError::Refused {
            principal: server.clone(),
            text,
        },
        code => ClientError::Kdc { code, text },
    }
}

/// Text of an unauthenticated peer, made fit for a terminal.
fn shown(text: &str) -> String {
    text.chars()
        .filter(|character| !character.is_control())
        .take(MAX_TEXT)
        .collect()
}

fn quoted(text: &Option<String>) -> String {
    text.as_ref()
        .map(|text| format!(": {text}"))
        .unwrap_or_default()
}

fn ahead(seconds: Option<i64>) -> String {
    match seconds {
        Some(seconds) if seconds < 0 => {
            format!(" (the KDC is {} s behind)", seconds.unsigned_abs())
        }
        Some(seconds) => format!(" (the KDC is {seconds} s ahead)"),
        None => String::new(),
    }
}
