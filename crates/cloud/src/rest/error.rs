//! Refusals of the API: one place where an error becomes a status, a stable code and words.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use crossrealm_api::{Code, ErrorBody};
use crossrealm_directory::{DirectoryError, RecordKind, Refusal};
use std::sync::Arc;

/// A refusal.
#[derive(Debug)]
pub(crate) struct ApiError {
    body: ErrorBody,
    fault: Option<String>,
}

/// What went wrong inside, for the log of the server alone.
#[derive(Clone)]
pub(crate) struct Fault(pub(crate) Arc<str>);

impl ApiError {
    /// A refusal with this code, the status that belongs to it, and this message.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            body: ErrorBody {
                code,
                message: message.into(),
                hint: None,
            },
            fault: None,
        }
    }

    /// The same with a next step.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.body.hint = Some(hint.into());
        self
    }

    /// The request is not what the endpoint takes.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidRequest, message)
    }

    /// No or no valid token.
    pub(crate) fn unauthenticated(message: &str) -> Self {
        Self::new(Code::Unauthenticated, message)
            .hint("sign in with `crossrealm login`, or give a token by `CROSSREALM_TOKEN`; `crossrealm init` left the first one in `admin.token`")
    }

    /// No such tenant, or none that the caller may know of.
    pub(crate) fn tenant_not_found(name: &str) -> Self {
        Self::new(Code::TenantNotFound, format!("no tenant `{name}`"))
            .hint("`crossrealm tenant list` shows those there are")
    }

    /// No such endpoint.
    pub(crate) fn endpoint_not_found() -> Self {
        Self::new(Code::EndpointNotFound, "there is no such endpoint")
    }

    /// The endpoint knows no such method.
    pub(crate) fn method_not_allowed() -> Self {
        Self::new(Code::MethodNotAllowed, "the endpoint knows no such method")
    }

    /// The database does not answer as it should: the caller learns that, the log what it was.
    pub(crate) fn store_unavailable(fault: impl Into<String>) -> Self {
        let mut error = Self::new(Code::StoreUnavailable, "the directory does not answer");
        error.fault = Some(fault.into());
        error
    }

    /// A fault of the server: the caller learns that there was one, the log what it was.
    pub(crate) fn internal(fault: impl Into<String>) -> Self {
        let mut error = Self::new(Code::Internal, "the server failed to do this");
        error.fault = Some(fault.into());
        error
    }
}

impl From<DirectoryError> for ApiError {
    fn from(error: DirectoryError) -> Self {
        let message = error.to_string();
        match error {
            DirectoryError::NotFound { kind, name } => {
                let mut refusal = Self::new(not_found(kind), message);
                refusal.body.hint = what_there_is(kind, &name);
                refusal
            }
            DirectoryError::Exists { kind, .. } => Self::new(exists(kind), message),
            DirectoryError::Invalid { .. } => Self::new(Code::InvalidName, message),
            DirectoryError::Ambiguous { .. } => {
                Self::new(Code::PrincipalAmbiguous, message).hint("name it by its UPN or SID")
            }
            DirectoryError::Refused(why) => {
                let mut refusal = Self::new(refused(&why), message);
                refusal.body.hint = hint(&why);
                refusal
            }
            DirectoryError::Database(_) => Self::store_unavailable(message),
            DirectoryError::MasterKey(_)
            | DirectoryError::Seal(_)
            | DirectoryError::Damaged { .. }
            | DirectoryError::Open { .. }
            | DirectoryError::StoreInUse { .. }
            | DirectoryError::Random(_) => Self::internal(message),
        }
    }
}

/// The code of a refusal of the directory.
fn refused(why: &Refusal) -> Code {
    match why {
        Refusal::AccountHasShares { .. } => Code::AccountHasShares,
        Refusal::HostLacksKey { .. } => Code::HostLacksKey,
        Refusal::TooManyHostTokens { .. } => Code::TooManyHostTokens,
        Refusal::TooManyHosts { .. } => Code::TooManyHosts,
        Refusal::UserIsHybrid { .. } => Code::UserIsHybrid,
        Refusal::ConnectorExists { .. } => Code::ConnectorExists,
        Refusal::LeaseLost { .. } => Code::LeaseLost,
        Refusal::CursorMoved { .. } => Code::CursorMoved,
        Refusal::TooManyChanges { .. } => Code::TooManyChanges,
        Refusal::TooManyDeletions { .. } => Code::TooManyDeletions,
        Refusal::DomainSidMismatch { .. } => Code::DomainSidMismatch,
        Refusal::TrustSidMismatch { .. } => Code::TrustSidMismatch,
        Refusal::DomainSidTaken { .. } => Code::DomainSidTaken,
        Refusal::TrustVersionUnknown { .. } => Code::TrustVersionUnknown,
        Refusal::TrustNotActive { .. } => Code::TrustNotActive,
        Refusal::TenantRequired { .. } => Code::TenantRequired,
        Refusal::TooManyAdministrators { .. } => Code::TooManyAdministrators,
        Refusal::LastAdministrator => Code::LastAdministrator,
        Refusal::SignInRefused => Code::SignInRefused,
        Refusal::SignInLocked { .. } => Code::SignInLocked,
        Refusal::BadPassword { .. } => Code::BadPassword,
    }
}

fn hint(why: &Refusal) -> Option<String> {
    Some(match why {
        Refusal::AccountHasShares { .. } => "delete its shares first, or all of it by `--force`; files on its hosts stay either way".into(),
        Refusal::HostLacksKey { account, kvno, .. } => format!("a host fetches a new key within seconds: try again when `crossrealm storage-account show {account}` tells of kvno {kvno} there; after a minute and a half without a word a host counts no more; `--force` rotates now, and new tickets fail there until the host has the key"),
        Refusal::TooManyHostTokens { .. } => "revoke those that no host uses any more".into(),
        Refusal::TooManyHosts { .. } => "hosts that are silent for a week are forgotten".into(),
        Refusal::UserIsHybrid { .. } => "delete it in AD; the next sync deletes it here".into(),
        Refusal::ConnectorExists { domain } => format!("`crossrealm connector revoke --domain {domain}` ends it and its token; then make another"),
        Refusal::LeaseLost { .. } => "wait for its end; its lease ends within 300 s where it has died".into(),
        Refusal::CursorMoved { .. } => "start the run anew from the stored cursor".into(),
        Refusal::TooManyDeletions { domain, by_run, .. } => format!("look at `crossrealm sync plan --domain {domain}`; if it is right, run `crossrealm sync once` with `--accept-deletions {by_run}` or more"),
        Refusal::DomainSidMismatch { .. } | Refusal::TrustSidMismatch { .. } => "check that the domain controller is one of the domain that was registered; a domain that was set up anew under the old name needs a new tenant".into(),
        Refusal::TrustVersionUnknown { .. } => "prepare the trust again and confirm the version that it names".into(),
        Refusal::TrustNotActive { .. } => "run `crossrealm kerberos-server set --setup-cloud-trust`".into(),
        Refusal::LastAdministrator => "let another global administrator of the installation enrol first: `crossrealm admin create UPN --role global-administrator`".into(),
        Refusal::SignInRefused => "wait for the authenticator's next code; who has not enrolled yet runs `crossrealm login --enrol`; `crossrealm admin reset UPN` by another administrator lets one enrol again".into(),
        Refusal::SignInLocked { .. } => "another administrator lets the account start afresh with `crossrealm admin reset UPN`".into(),
        Refusal::TooManyChanges { .. } | Refusal::DomainSidTaken { .. } | Refusal::TenantRequired { .. } | Refusal::TooManyAdministrators { .. } | Refusal::BadPassword { .. } => return None,
    })
}

/// The command that shows what there is of this kind. Shares and grants are named `ACCOUNT/SHARE…`.
fn what_there_is(kind: RecordKind, name: &str) -> Option<String> {
    let list = match kind {
        RecordKind::Domain => {
            return Some(format!(
                "`crossrealm kerberos-server set --domain {name}` makes it known to the tenant"
            ));
        }
        RecordKind::StorageAccount => "storage-account list".to_owned(),
        RecordKind::ServicePrincipal => "service-principal list".to_owned(),
        RecordKind::Administrator => "admin list".to_owned(),
        RecordKind::Connector => "connector list".to_owned(),
        RecordKind::HostToken => "storage-account host-tokens ACCOUNT".to_owned(),
        RecordKind::Share | RecordKind::Grant => format!("share list {}", name.split_once('/')?.0),
        RecordKind::Identity => {
            let lists = "`crossrealm user list` and `crossrealm group list` show those there are";
            return Some(format!(
                "{lists}; one that is new in AD comes with the next sync"
            ));
        }
        RecordKind::Tenant
        | RecordKind::Trust
        | RecordKind::KerberosServer
        | RecordKind::User
        | RecordKind::Group
        | RecordKind::Token => return None,
    };
    Some(format!("`crossrealm {list}` shows those there are"))
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
        | RecordKind::Grant
        | RecordKind::Token
        | RecordKind::HostToken => Code::Conflict,
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.body.code.status())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.body)).into_response();
        if let Some(fault) = self.fault {
            response.extensions_mut().insert(Fault(fault.into()));
        }
        if status == StatusCode::UNAUTHORIZED {
            let scheme = axum::http::HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(axum::http::header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}
