//! Why an LDAP operation failed.

use ldap3_proto::LdapResultCode;
use ldap3_proto::proto::LdapResult;

/// How much of the server's diagnostic message is shown, in characters.
const MAX_TEXT: usize = 300;

/// Why an LDAP operation failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LdapError {
    /// The server returned a result code other than success.
    #[error("the directory refused to {operation} `{dn}`: {code:?}{}", quoted(.text))]
    Refused {
        /// The operation: `read`, `add`, `modify`, `delete`, `sign in to`.
        operation: &'static str,
        /// The object.
        dn: String,
        /// The result code, RFC 4511 §4.1.9.
        code: LdapResultCode,
        /// The server's diagnostic message.
        text: String,
    },
    /// A response violates the protocol or exceeds a bound.
    #[error("unusable answer from the directory: {0}")]
    Protocol(String),
    /// A message or an encrypted frame is larger than the bound.
    #[error("unusable answer from the directory: a message is too large")]
    TooLarge,
    /// An object that must exist does not.
    #[error("the directory holds no `{0}`")]
    Missing(String),
    /// A value is absent or malformed.
    #[error("`{dn}` has no usable `{attribute}`")]
    BadValue {
        /// The object.
        dn: String,
        /// The attribute.
        attribute: String,
    },
}

impl LdapError {
    /// The result code, if the server returned one.
    pub fn code(&self) -> Option<&LdapResultCode> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Whether the object does not exist.
    pub fn is_no_such_object(&self) -> bool {
        self.code() == Some(&LdapResultCode::NoSuchObject)
    }

    /// Whether the account lacks a right.
    pub fn is_access_denied(&self) -> bool {
        self.code() == Some(&LdapResultCode::InsufficentAccessRights)
    }

    /// What the user can do, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self.code()? {
            LdapResultCode::InsufficentAccessRights => Some(
                "use an account with the rights for this, for example a member of Domain Admins",
            ),
            LdapResultCode::Busy | LdapResultCode::Unavailable => {
                Some("try again in a moment, or another domain controller")
            }
            _ => None,
        }
    }

    /// `Ok` for success, else the error.
    pub(crate) fn check(operation: &'static str, dn: &str, result: LdapResult) -> Result<(), Self> {
        if result.code == LdapResultCode::Success {
            return Ok(());
        }
        Err(Self::Refused {
            operation,
            dn: if dn.is_empty() { "rootDSE" } else { dn }.to_owned(),
            code: result.code,
            text: result
                .message
                .chars()
                .filter(|character| !character.is_control())
                .take(MAX_TEXT)
                .collect(),
        })
    }
}

fn quoted(text: &str) -> String {
    match text.is_empty() {
        true => String::new(),
        false => format!(" ({text})"),
    }
}
