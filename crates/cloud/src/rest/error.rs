//! Refusals of the API: maps each error to a code and a message.

use axum::Json;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use crossrealm_api::{Code, ErrorBody, ErrorDetails};
use crossrealm_directory::{DirectoryError, RecordKind, Refusal, StoreFault};
use std::sync::Arc;

/// A refusal.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    body: Box<ErrorBody>,
    fault: Option<String>,
    /// After how many seconds the same request may succeed (RFC 9110 §10.2.3), where that is known.
    retry_after: Option<&'static str>,
}

/// The internal error, for the log only.
#[derive(Clone)]
pub(crate) struct Fault(pub(crate) Arc<str>);

impl ApiError {
    /// A refusal with this code, the status that belongs to it, and this message.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            body: Box::new(ErrorBody {
                code,
                message: message.into(),
                details: ErrorDetails::default(),
            }),
            fault: None,
            retry_after: (code == Code::Overloaded).then_some("1"),
        }
    }

    /// The same with the objects and numbers concerned.
    pub(crate) fn details(mut self, details: ErrorDetails) -> Self {
        self.body.details = details;
        self
    }

    /// The request is not what the endpoint takes.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidRequest, message)
    }

    /// No or no valid token.
    pub(crate) fn unauthenticated(message: &str) -> Self {
        Self::new(Code::Unauthenticated, message)
    }

    /// No such tenant, or none that the caller may know of.
    pub(crate) fn tenant_not_found(name: &str) -> Self {
        Self::new(Code::TenantNotFound, format!("no tenant `{name}`"))
    }

    /// No such endpoint.
    pub(crate) fn endpoint_not_found() -> Self {
        Self::new(Code::EndpointNotFound, "there is no such endpoint")
    }

    /// The endpoint does not have the method.
    pub(crate) fn method_not_allowed() -> Self {
        Self::new(
            Code::MethodNotAllowed,
            "the endpoint does not have this method",
        )
    }

    /// The database failed. The caller learns what kind of fault it is; the error itself is logged.
    pub(crate) fn store_unavailable(what: StoreFault, fault: impl Into<String>) -> Self {
        let message = format!("the database cannot be used: {what}");
        let mut error = Self::new(Code::StoreUnavailable, message);
        error.fault = Some(fault.into());
        error.retry_after = what.is_passing().then_some("5");
        error
    }

    /// An internal error. The caller gets no details; these are logged.
    pub(crate) fn internal(fault: impl Into<String>) -> Self {
        let mut error = Self::new(Code::Internal, "the server failed to do this");
        error.fault = Some(fault.into());
        error
    }
}

impl From<DirectoryError> for ApiError {
    fn from(error: DirectoryError) -> Self {
        let message = error.to_string();
        let code = match &error {
            DirectoryError::NotFound { kind, .. } => not_found(*kind),
            DirectoryError::Exists { kind, .. } => exists(*kind),
            DirectoryError::Invalid { .. } => Code::InvalidName,
            DirectoryError::Ambiguous { .. } => Code::PrincipalAmbiguous,
            DirectoryError::Refused(why) => refused(why),
            DirectoryError::Database(_)
            | DirectoryError::Unwritable { .. }
            | DirectoryError::StoreReplaced { .. } => {
                let what = error.fault().unwrap_or(StoreFault::Unreachable);
                return Self::store_unavailable(what, message);
            }
            DirectoryError::MasterKey(_)
            | DirectoryError::Seal(_)
            | DirectoryError::Damaged { .. }
            | DirectoryError::AwaitsSync { .. }
            | DirectoryError::WentBack
            | DirectoryError::Open { .. }
            | DirectoryError::StoreEmpty { .. }
            | DirectoryError::StoreInUse { .. }
            | DirectoryError::Random(_) => return Self::internal(message),
        };
        let mut refusal = Self::new(code, message);
        refusal.body.details = details(&error);
        refusal
    }
}

/// The code of a refusal of the directory.
pub(crate) fn refused(why: &Refusal) -> Code {
    match why {
        Refusal::AccountHasShares { .. } => Code::AccountHasShares,
        Refusal::HostLacksKey { .. } => Code::HostLacksKey,
        Refusal::TooManyHostTokens { .. } => Code::TooManyHostTokens,
        Refusal::TooManyHosts { .. } => Code::TooManyHosts,
        Refusal::TooManyAliases { .. } => Code::TooManyAliases,
        Refusal::NameReserved { .. } => Code::NameReserved,
        Refusal::NameInAdDomain { .. } => Code::NameInAdDomain,
        Refusal::NameOfOtherTenant { .. } => Code::NameOfOtherTenant,
        Refusal::NameOutsideTenant { .. } => Code::NameOutsideTenant,
        Refusal::AdDomainCoversName { .. } => Code::AdDomainCoversName,
        Refusal::SpnOfStorageAccounts { .. } => Code::SpnOfStorageAccounts,
        Refusal::HostTokenBound { .. } => Code::HostTokenBound,
        Refusal::HostNameTaken { .. } => Code::HostNameTaken,
        Refusal::UserIsHybrid { .. } => Code::UserIsHybrid,
        Refusal::ConnectorExists { .. } => Code::ConnectorExists,
        Refusal::LeaseLost { .. } => Code::LeaseLost,
        Refusal::CursorMoved { .. } => Code::CursorMoved,
        Refusal::TooManyChanges { .. } => Code::TooManyChanges,
        Refusal::TooManyDeletions { .. } => Code::TooManyDeletions,
        // Only `admin recover` meets it, which does not come over the API.
        Refusal::NotGlobalAdministrator { .. } => Code::Conflict,
        Refusal::DomainSidMismatch { .. } => Code::DomainSidMismatch,
        Refusal::TrustSidMismatch { .. } => Code::TrustSidMismatch,
        Refusal::FlatNameMismatch { .. } => Code::FlatNameMismatch,
        Refusal::FlatNameTaken { .. } => Code::FlatNameTaken,
        Refusal::DomainSidTaken { .. } => Code::DomainSidTaken,
        Refusal::TrustVersionUnknown { .. } => Code::TrustVersionUnknown,
        Refusal::TooManyRealmKeys { .. } => Code::TooManyRealmKeys,
        Refusal::TrustNotActive { .. } => Code::TrustNotActive,
        Refusal::TenantRequired { .. } => Code::TenantRequired,
        Refusal::TooManyAdministrators { .. } => Code::TooManyAdministrators,
        Refusal::AdministratorAmbiguous { .. } => Code::AdministratorAmbiguous,
        Refusal::LastAdministrator => Code::LastAdministrator,
        Refusal::SignInRefused => Code::SignInRefused,
        Refusal::SignInLocked { .. } => Code::SignInLocked,
        Refusal::SignInBusy => Code::Overloaded,
        Refusal::BadPassword { .. } => Code::BadPassword,
    }
}

/// The objects and numbers of an error of the directory. Shares and grants are named `ACCOUNT/SHARE…`.
fn details(error: &DirectoryError) -> ErrorDetails {
    let none = ErrorDetails::default();
    match error {
        DirectoryError::Refused(refusal) => details_of_refusal(refusal),
        DirectoryError::NotFound { kind, name } => match kind {
            RecordKind::Domain => ErrorDetails {
                domain: Some(name.clone()),
                ..none
            },
            RecordKind::Share | RecordKind::Grant | RecordKind::Alias => ErrorDetails {
                account: name.split_once('/').map(|(account, _)| account.to_owned()),
                ..none
            },
            RecordKind::Tenant
            | RecordKind::Trust
            | RecordKind::KerberosServer
            | RecordKind::Identity
            | RecordKind::User
            | RecordKind::Group
            | RecordKind::StorageAccount
            | RecordKind::ServicePrincipal
            | RecordKind::Token
            | RecordKind::HostToken
            | RecordKind::Connector
            | RecordKind::Administrator => none,
        },
        DirectoryError::Exists { .. }
        | DirectoryError::Invalid { .. }
        | DirectoryError::Ambiguous { .. }
        | DirectoryError::MasterKey(_)
        | DirectoryError::Seal(_)
        | DirectoryError::Damaged { .. }
        | DirectoryError::Open { .. }
        | DirectoryError::StoreEmpty { .. }
        | DirectoryError::StoreInUse { .. }
        | DirectoryError::StoreReplaced { .. }
        | DirectoryError::AwaitsSync { .. }
        | DirectoryError::WentBack
        | DirectoryError::Unwritable { .. }
        | DirectoryError::Database(_)
        | DirectoryError::Random(_) => none,
    }
}

fn details_of_refusal(refusal: &Refusal) -> ErrorDetails {
    let none = ErrorDetails::default();
    match refusal {
        Refusal::HostLacksKey { account, kvno, .. } => ErrorDetails {
            account: Some(account.clone()),
            kvno: Some(*kvno),
            ..none
        },
        Refusal::HostTokenBound { account, .. } | Refusal::HostNameTaken { account, .. } => {
            ErrorDetails {
                account: Some(account.clone()),
                ..none
            }
        }
        Refusal::NameReserved { name, .. }
        | Refusal::NameOfOtherTenant { name, .. }
        | Refusal::NameOutsideTenant { name, .. } => ErrorDetails {
            name: Some(name.clone()),
            ..none
        },
        Refusal::NameInAdDomain { name, domain } => ErrorDetails {
            name: Some(name.clone()),
            domain: domain.clone(),
            ..none
        },
        Refusal::AdDomainCoversName { domain, name } => ErrorDetails {
            name: name.clone(),
            domain: Some(domain.clone()),
            ..none
        },
        Refusal::SpnOfStorageAccounts { spn } => ErrorDetails {
            name: spn.split_once('/').map(|(_, host)| host.to_owned()),
            ..none
        },
        Refusal::ConnectorExists { domain } | Refusal::FlatNameMismatch { domain, .. } => {
            ErrorDetails {
                domain: Some(domain.clone()),
                ..none
            }
        }
        Refusal::TooManyDeletions { domain, by_run, .. } => ErrorDetails {
            domain: Some(domain.clone()),
            deletions: Some(*by_run),
            ..none
        },
        Refusal::AccountHasShares { .. }
        | Refusal::TooManyHostTokens { .. }
        | Refusal::TooManyHosts { .. }
        | Refusal::TooManyAliases { .. }
        | Refusal::UserIsHybrid { .. }
        | Refusal::LeaseLost { .. }
        | Refusal::CursorMoved { .. }
        | Refusal::TooManyChanges { .. }
        | Refusal::DomainSidMismatch { .. }
        | Refusal::TrustSidMismatch { .. }
        | Refusal::FlatNameTaken { .. }
        | Refusal::DomainSidTaken { .. }
        | Refusal::TrustVersionUnknown { .. }
        | Refusal::TooManyRealmKeys { .. }
        | Refusal::TrustNotActive { .. }
        | Refusal::TenantRequired { .. }
        | Refusal::TooManyAdministrators { .. }
        | Refusal::AdministratorAmbiguous { .. }
        | Refusal::LastAdministrator
        | Refusal::NotGlobalAdministrator { .. }
        | Refusal::SignInRefused
        | Refusal::SignInLocked { .. }
        | Refusal::SignInBusy
        | Refusal::BadPassword { .. } => none,
    }
}

fn not_found(kind: RecordKind) -> Code {
    match kind {
        RecordKind::Tenant => Code::TenantNotFound,
        RecordKind::Domain => Code::DomainNotFound,
        RecordKind::Trust => Code::TrustNotFound,
        RecordKind::KerberosServer => Code::KerberosServerNotFound,
        RecordKind::Identity => Code::PrincipalNotFound,
        RecordKind::User => Code::UserNotFound,
        RecordKind::Group => Code::GroupNotFound,
        RecordKind::StorageAccount => Code::StorageAccountNotFound,
        RecordKind::ServicePrincipal => Code::ServicePrincipalNotFound,
        RecordKind::Share => Code::ShareNotFound,
        RecordKind::Alias => Code::AliasNotFound,
        RecordKind::Grant => Code::GrantNotFound,
        RecordKind::Token | RecordKind::Connector => Code::ConnectorNotFound,
        RecordKind::HostToken => Code::HostTokenNotFound,
        RecordKind::Administrator => Code::AdministratorNotFound,
    }
}

fn exists(kind: RecordKind) -> Code {
    match kind {
        RecordKind::Tenant => Code::TenantExists,
        RecordKind::User | RecordKind::Identity => Code::UserExists,
        RecordKind::Administrator => Code::AdministratorExists,
        RecordKind::StorageAccount => Code::StorageAccountExists,
        RecordKind::ServicePrincipal => Code::ServicePrincipalExists,
        RecordKind::Share => Code::ShareExists,
        RecordKind::Connector => Code::ConnectorExists,
        RecordKind::Domain
        | RecordKind::Trust
        | RecordKind::KerberosServer
        | RecordKind::Group
        | RecordKind::Alias
        | RecordKind::Grant
        | RecordKind::Token
        | RecordKind::HostToken => Code::Conflict,
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = self.body.code.status();
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.body)).into_response();
        if let Some(fault) = self.fault {
            response.extensions_mut().insert(Fault(fault.into()));
        }
        if let Some(seconds) = self.retry_after {
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from_static(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
