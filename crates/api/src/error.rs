//! What the server answers where it refuses: a stable code, a sentence, and the next step where one is known.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The body of every answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What went wrong, for programs. Codes are never renamed.
    pub code: Code,
    /// What went wrong, for people: one line without a full stop.
    pub message: String,
    /// What to do next, where that is known.
    #[serde(default)]
    pub hint: Option<String>,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident = $text:literal,)*) => {
        /// The stable code of a refusal. Its text form is what travels.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[doc = $doc])* #[serde(rename = $text)] $name,)*
            /// A code of a newer server.
            #[serde(other, rename = "unknown")]
            Unknown,
        }

        impl Code {
            /// The text form, as it travels.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Unknown => "unknown",
                }
            }

            /// The code of this text form.
            pub fn from_text(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.as_str() == text)
            }

            const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

codes! {
    /// No token, or one that the server does not know (401).
    Unauthenticated = "unauthenticated",
    /// The token lacks the role that the endpoint needs (403).
    Forbidden = "forbidden",
    /// No such endpoint (404).
    EndpointNotFound = "endpoint_not_found",
    /// The endpoint knows no such method (405).
    MethodNotAllowed = "method_not_allowed",
    /// The body or a parameter is not what the endpoint takes (400).
    InvalidRequest = "invalid_request",
    /// A name breaks the rules of its kind (400).
    InvalidName = "invalid_name",
    /// A SID is not a SID, or not one of the kind needed (400).
    InvalidSid = "invalid_sid",
    /// The body is larger than the endpoint takes (413).
    TooLarge = "too_large",
    /// The request did not arrive in time (408).
    RequestTimeout = "request_timeout",
    /// More requests than the server takes at once (503).
    Overloaded = "overloaded",
    /// No such tenant (404).
    TenantNotFound = "tenant_not_found",
    /// A tenant with this name, domain or realm is there already (409).
    TenantExists = "tenant_exists",
    /// The tenant still holds storage accounts, service principals or trusts (409).
    TenantNotEmpty = "tenant_not_empty",
    /// The tenant has no trust with this AD domain (404).
    TrustNotFound = "trust_not_found",
    /// The tenant has no record of a Kerberos server object in this AD domain (404).
    KerberosServerNotFound = "kerberos_server_not_found",
    /// The trust is recorded with another domain SID (409).
    TrustSidMismatch = "trust_sid_mismatch",
    /// The trust holds no key of this version that could be confirmed (409).
    TrustVersionUnknown = "trust_version_unknown",
    /// The trust is not completely set up, or is being removed (409).
    TrustNotActive = "trust_not_active",
    /// The tenant does not know this AD domain (404).
    DomainNotFound = "domain_not_found",
    /// No such user (404).
    UserNotFound = "user_not_found",
    /// A user with this UPN is there already (409).
    UserExists = "user_exists",
    /// The user comes from AD and is changed there (409).
    UserIsHybrid = "user_is_hybrid",
    /// No such group (404).
    GroupNotFound = "group_not_found",
    /// No user or group of this name or SID (404).
    PrincipalNotFound = "principal_not_found",
    /// More than one user or group has this name (409).
    PrincipalAmbiguous = "principal_ambiguous",
    /// No such storage account (404).
    StorageAccountNotFound = "storage_account_not_found",
    /// A storage account, service principal or alias of this name is there already (409).
    StorageAccountExists = "storage_account_exists",
    /// The storage account still has shares (409).
    AccountHasShares = "account_has_shares",
    /// A host that serves the account lacks the key that would seal after the rotation (409).
    HostLacksKey = "host_lacks_key",
    /// No such share (404).
    ShareNotFound = "share_not_found",
    /// A share of this name is there already (409).
    ShareExists = "share_exists",
    /// The share has no grant to this principal (404).
    GrantNotFound = "grant_not_found",
    /// No such service principal (404).
    ServicePrincipalNotFound = "service_principal_not_found",
    /// A service principal or storage account of this name is there already (409).
    ServicePrincipalExists = "service_principal_exists",
    /// No such token of a host of this storage account (404).
    HostTokenNotFound = "host_token_not_found",
    /// The storage account has as many host tokens as it may (409).
    TooManyHostTokens = "too_many_host_tokens",
    /// The storage account has as many hosts as are remembered (409).
    TooManyHosts = "too_many_hosts",
    /// Name, password or code of a sign-in is wrong, or the code was used already (401).
    SignInRefused = "sign_in_refused",
    /// Too many sign-ins of this name or from this address failed: wait (429).
    SignInLocked = "sign_in_locked",
    /// The password is too short, too long or holds the name (400).
    BadPassword = "bad_password",
    /// No such administrator (404).
    AdministratorNotFound = "administrator_not_found",
    /// An administrator of this name is there already (409).
    AdministratorExists = "administrator_exists",
    /// After this nobody could administer the installation (409).
    LastAdministrator = "last_administrator",
    /// No such connector (404).
    ConnectorNotFound = "connector_not_found",
    /// A connector for this AD domain is there already (409).
    ConnectorExists = "connector_exists",
    /// The AD domain is recorded with another domain SID (409).
    DomainSidMismatch = "domain_sid_mismatch",
    /// The domain SID belongs to another domain, or to the tenant itself (409).
    DomainSidTaken = "domain_sid_taken",
    /// The request holds more changes than one may (400).
    TooManyChanges = "too_many_changes",
    /// The sync would delete or disable more identities than may go unasked (409).
    TooManyDeletions = "too_many_deletions",
    /// Another sync agent holds the lease of the domain's sync (409).
    LeaseLost = "lease_lost",
    /// Another run has synced the domain since this one began (409).
    CursorMoved = "cursor_moved",
    /// The request contradicts what is recorded, in a way that has no code of its own (409).
    Conflict = "conflict",
    /// The store did not answer (503).
    StoreUnavailable = "store_unavailable",
    /// A fault of the server; its log has the request id (500).
    Internal = "internal",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_travel_as_their_text() {
        for code in Code::ALL {
            let json = serde_json::to_string(code).unwrap();
            assert_eq!(json, format!("\"{code}\""));
            assert_eq!(serde_json::from_str::<Code>(&json).unwrap(), *code);
        }
        assert_eq!(
            serde_json::from_str::<Code>("\"of_the_future\"").unwrap(),
            Code::Unknown
        );
    }

    #[test]
    fn a_body_without_hint_is_read() {
        let body: ErrorBody =
            serde_json::from_str(r#"{"code":"forbidden","message":"no"}"#).unwrap();
        assert_eq!((body.code, body.hint), (Code::Forbidden, None));
    }
}
