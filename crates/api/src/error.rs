//! What the server answers where it refuses: a stable code, a sentence, and the objects concerned.

use crate::Dismissal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The body of every answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorBody {
    /// What went wrong, for programs. Codes are never renamed.
    pub code: Code,
    /// What went wrong, for people: one line without a full stop.
    pub message: String,
    /// The objects and numbers that a client needs to say what to do next.
    #[serde(default, skip_serializing_if = "ErrorDetails::is_empty")]
    pub details: ErrorDetails,
}

/// The objects and numbers of a refusal, where its code has some.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorDetails {
    /// The storage account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The DNS name of the AD domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The DNS name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The key version that a host lacks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kvno: Option<u32>,
    /// How many identities the sync run would delete or disable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletions: Option<i64>,
    /// Whether the connector lacks the right to rotate the trust key of its domain.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub needs_trust_rotation: bool,
    /// The proof that the token was an SMB host's and was revoked; a host obeys nothing less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dismissal: Option<Dismissal>,
}

impl ErrorDetails {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident = $status:literal $text:literal,)*) => {
        /// The stable code of a refusal. Its text form is what travels.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
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

            /// The HTTP status of the answer that carries it.
            pub const fn status(self) -> u16 {
                match self {
                    $(Self::$name => $status,)*
                    Self::Unknown => 500,
                }
            }

            /// Every code but [`Code::Unknown`].
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

codes! {
    /// No token, or one that the server does not know.
    Unauthenticated = 401 "unauthenticated",
    /// The token lacks the role that the endpoint needs.
    Forbidden = 403 "forbidden",
    /// No such endpoint.
    EndpointNotFound = 404 "endpoint_not_found",
    /// The endpoint does not have the method.
    MethodNotAllowed = 405 "method_not_allowed",
    /// The body or a parameter is not what the endpoint takes.
    InvalidRequest = 400 "invalid_request",
    /// A name breaks the rules of its kind.
    InvalidName = 400 "invalid_name",
    /// A SID is not a SID, or not one of the kind needed.
    InvalidSid = 400 "invalid_sid",
    /// The body is larger than the endpoint takes.
    TooLarge = 413 "too_large",
    /// The request did not arrive in time.
    RequestTimeout = 408 "request_timeout",
    /// More requests than the server takes at once.
    Overloaded = 503 "overloaded",
    /// No such tenant.
    TenantNotFound = 404 "tenant_not_found",
    /// A tenant with this name, domain or realm is there already.
    TenantExists = 409 "tenant_exists",
    /// The tenant still holds storage accounts, service principals or trusts.
    TenantNotEmpty = 409 "tenant_not_empty",
    /// The realm of the tenant has as many keys as it may have.
    TooManyRealmKeys = 409 "too_many_realm_keys",
    /// A token of this kind belongs to one tenant.
    TenantRequired = 409 "tenant_required",
    /// The tenant has no trust with this AD domain.
    TrustNotFound = 404 "trust_not_found",
    /// The tenant has no record of a Kerberos server object in this AD domain.
    KerberosServerNotFound = 404 "kerberos_server_not_found",
    /// The trust is recorded with another domain SID.
    TrustSidMismatch = 409 "trust_sid_mismatch",
    /// The trust holds no key of this version that could be confirmed.
    TrustVersionUnknown = 409 "trust_version_unknown",
    /// The trust is not completely set up, or is being removed.
    TrustNotActive = 409 "trust_not_active",
    /// The tenant does not know this AD domain.
    DomainNotFound = 404 "domain_not_found",
    /// No such user.
    UserNotFound = 404 "user_not_found",
    /// A user with this UPN is there already.
    UserExists = 409 "user_exists",
    /// The user is synchronized from AD and is changed there.
    UserIsHybrid = 409 "user_is_hybrid",
    /// No such group.
    GroupNotFound = 404 "group_not_found",
    /// No user or group of this name or SID.
    PrincipalNotFound = 404 "principal_not_found",
    /// More than one user or group has this name.
    PrincipalAmbiguous = 409 "principal_ambiguous",
    /// No such storage account.
    StorageAccountNotFound = 404 "storage_account_not_found",
    /// A storage account, service principal or alias of this name is there already.
    StorageAccountExists = 409 "storage_account_exists",
    /// The storage account still has shares.
    AccountHasShares = 409 "account_has_shares",
    /// A host that serves the account lacks the key that would encrypt new tickets after the rotation.
    HostLacksKey = 409 "host_lacks_key",
    /// The storage account has as many aliases as it may.
    TooManyAliases = 409 "too_many_aliases",
    /// The storage account does not have the alias.
    AliasNotFound = 404 "alias_not_found",
    /// The installation itself answers at the name, at one above it or below it; or the name is a single label.
    NameReserved = 409 "name_reserved",
    /// The name is at, above or below a registered AD domain, which answers for it.
    NameInAdDomain = 409 "name_in_ad_domain",
    /// The name is at, above or below a name of another tenant.
    NameOfOtherTenant = 409 "name_of_other_tenant",
    /// The name is below no domain or top-level name of the tenant, and only a global administrator may claim others.
    NameOutsideTenant = 403 "name_outside_tenant",
    /// The AD domain is at, above or below a name that a tenant holds.
    AdDomainCoversName = 409 "ad_domain_covers_name",
    /// The service class `cifs` belongs to storage accounts.
    SpnOfStorageAccounts = 400 "spn_of_storage_accounts",
    /// No such share.
    ShareNotFound = 404 "share_not_found",
    /// A share of this name is there already.
    ShareExists = 409 "share_exists",
    /// The share has no grant to this principal.
    GrantNotFound = 404 "grant_not_found",
    /// No such service principal.
    ServicePrincipalNotFound = 404 "service_principal_not_found",
    /// A service principal or storage account of this name is there already.
    ServicePrincipalExists = 409 "service_principal_exists",
    /// No such token of a host of this storage account.
    HostTokenNotFound = 404 "host_token_not_found",
    /// The storage account has as many host tokens as it may.
    TooManyHostTokens = 409 "too_many_host_tokens",
    /// The storage account has as many hosts as are remembered.
    TooManyHosts = 409 "too_many_hosts",
    /// The host token reports for another host.
    HostTokenBound = 409 "host_token_bound",
    /// Another host token reports under this name.
    HostNameTaken = 409 "host_name_taken",
    /// Name, password or code of a sign-in is wrong, or the code was used before.
    SignInRefused = 401 "sign_in_refused",
    /// Too many sign-ins of this name or from this address failed: wait.
    SignInLocked = 429 "sign_in_locked",
    /// The password is too short, too long or contains the name.
    BadPassword = 400 "bad_password",
    /// No such administrator.
    AdministratorNotFound = 404 "administrator_not_found",
    /// There are as many administrators as there may be.
    TooManyAdministrators = 409 "too_many_administrators",
    /// Administrators of several tenants have the name; the request has to name the tenant.
    AdministratorAmbiguous = 409 "administrator_ambiguous",
    /// An administrator of this name is there already.
    AdministratorExists = 409 "administrator_exists",
    /// After this nobody could administer the installation.
    LastAdministrator = 409 "last_administrator",
    /// No such connector.
    ConnectorNotFound = 404 "connector_not_found",
    /// A connector for this AD domain is there already.
    ConnectorExists = 409 "connector_exists",
    /// The AD domain is recorded with another domain SID.
    DomainSidMismatch = 409 "domain_sid_mismatch",
    /// The AD domain is recorded with another flat name; an administrator changes it, not a sync agent.
    FlatNameMismatch = 409 "flat_name_mismatch",
    /// The flat name belongs to another domain, or to the tenant itself.
    FlatNameTaken = 409 "flat_name_taken",
    /// The domain SID belongs to another domain, or to the tenant itself.
    DomainSidTaken = 409 "domain_sid_taken",
    /// The request holds more changes than one may.
    TooManyChanges = 400 "too_many_changes",
    /// The sync would delete or disable more identities than it may without a permit.
    TooManyDeletions = 409 "too_many_deletions",
    /// A connector declared its own deletions; only an administrator may allow them.
    DeletionsNotAllowed = 403 "deletions_not_allowed",
    /// Another sync agent holds the lease of the domain's sync.
    LeaseLost = 409 "lease_lost",
    /// Another run has synced the domain since this one began.
    CursorMoved = 409 "cursor_moved",
    /// The request contradicts what is recorded, in a way that has no code of its own.
    Conflict = 409 "conflict",
    /// The store did not answer.
    StoreUnavailable = 503 "store_unavailable",
    /// A fault of the server; its log has the request id.
    Internal = 500 "internal",
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
    fn a_body_without_details_is_read_and_written() {
        let body: ErrorBody =
            serde_json::from_str(r#"{"code":"forbidden","message":"no"}"#).unwrap();
        assert_eq!(
            (body.code, body.details.clone()),
            (Code::Forbidden, ErrorDetails::default())
        );
        assert!(!serde_json::to_string(&body).unwrap().contains("details"));
    }
}
