//! Why an exchange did not yield a ticket.

use crate::crypto::CryptoError;
use crate::fast::FastError;
use crate::messages::{KrbError, MessageError, error_code};
use crate::principal::Principal;

/// The most characters of a KDC's own text that are repeated to a person.
const MAX_TEXT: usize = 200;

/// Why an exchange did not yield a ticket. Says who is to blame: the person, the account, the clock, the KDC.
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
    /// KDC_ERR_CLIENT_REVOKED.
    #[error("the account `{0}` is disabled, locked or expired")]
    Revoked(Principal),
    /// KDC_ERR_KEY_EXPIRED.
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
        /// How far the KDC's clock is ahead of ours in seconds, where it said so.
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
    /// The answer does not open with the key, or a checksum in it is wrong.
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
    /// What the person can do, where that is known.
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
        error_code::CLIENT_REVOKED => ClientError::Revoked(client.clone()),
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
