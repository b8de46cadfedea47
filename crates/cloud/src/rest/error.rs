//! Refusals of the API: one place where an error becomes a status, a stable code and words.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use crossrealm_api::{Code, ErrorBody};
use crossrealm_directory::{DirectoryError, Kind};
use std::sync::Arc;

/// A refusal.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    body: ErrorBody,
    fault: Option<String>,
}

/// What went wrong inside, for the log of the server alone.
#[derive(Clone)]
pub(crate) struct Fault(pub(crate) Arc<str>);

impl ApiError {
    /// A refusal with this status, code and message.
    pub(crate) fn new(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self {
            status,
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
        Self::new(StatusCode::BAD_REQUEST, Code::InvalidRequest, message)
    }

    /// No or no valid token.
    pub(crate) fn unauthenticated(message: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, Code::Unauthenticated, message)
            .hint("sign in with `crossrealm login`, or give a token by `CROSSREALM_TOKEN`; `crossrealm init` left the first one in `admin.token`")
    }

    /// No such tenant, or none that the caller may know of.
    pub(crate) fn tenant_not_found(name: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            Code::TenantNotFound,
            format!("no tenant `{name}`"),
        )
        .hint("`crossrealm tenant list` shows those there are")
    }

    /// No such endpoint.
    pub(crate) fn endpoint_not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            Code::EndpointNotFound,
            "there is no such endpoint",
        )
    }

    /// The endpoint knows no such method.
    pub(crate) fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            Code::MethodNotAllowed,
            "the endpoint knows no such method",
        )
    }

    /// The database does not answer as it should: the caller learns that, the log what it was.
    pub(crate) fn store_unavailable(fault: impl Into<String>) -> Self {
        let mut error = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            Code::StoreUnavailable,
            "the directory does not answer",
        );
        error.fault = Some(fault.into());
        error
    }

    /// A fault of the server: the caller learns that there was one, the log what it was.
    pub(crate) fn internal(fault: impl Into<String>) -> Self {
        let mut error = Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            Code::Internal,
            "the server failed to do this",
        );
        error.fault = Some(fault.into());
        error
    }
}

impl From<DirectoryError> for ApiError {
    fn from(error: DirectoryError) -> Self {
        let message = error.to_string();
        let hint = error.hint().map(ToOwned::to_owned);
        let mut refusal = match &error {
            DirectoryError::NotFound {
                kind: Kind::Domain,
                name,
            } => Self::new(StatusCode::NOT_FOUND, Code::DomainNotFound, message).hint(format!(
                "`crossrealm kerberos-server set --domain {name}` makes it known to the tenant"
            )),
            DirectoryError::NotFound { kind, name } => {
                let mut refusal = Self::new(StatusCode::NOT_FOUND, not_found(*kind), message);
                refusal.body.hint = what_there_is(*kind, name);
                refusal
            }
            DirectoryError::Exists { kind, .. } => {
                Self::new(StatusCode::CONFLICT, exists(*kind), message)
            }
            DirectoryError::Invalid { .. } => {
                Self::new(StatusCode::BAD_REQUEST, Code::InvalidName, message)
            }
            DirectoryError::Ambiguous { .. } => {
                Self::new(StatusCode::CONFLICT, Code::PrincipalAmbiguous, message)
                    .hint("name it by its UPN or SID")
            }
            DirectoryError::Refused { code, .. } => refused(code, message),
            DirectoryError::Database(_) => Self::store_unavailable(message),
            _ => Self::internal(message),
        };
        if hint.is_some() {
            refusal.body.hint = hint;
        }
        refusal
    }
}

/// The command that shows what there is of this kind. Shares and grants are named `ACCOUNT/SHARE…`.
fn what_there_is(kind: Kind, name: &str) -> Option<String> {
    let list = match kind {
        Kind::StorageAccount => "storage-account list".to_owned(),
        Kind::ServicePrincipal => "service-principal list".to_owned(),
        Kind::Administrator => "admin list".to_owned(),
        Kind::Connector => "connector list".to_owned(),
        Kind::HostToken => "storage-account host-tokens ACCOUNT".to_owned(),
        Kind::Share | Kind::Grant => format!("share list {}", name.split_once('/')?.0),
        Kind::Principal => {
            let lists = "`crossrealm user list` and `crossrealm group list` show those there are";
            return Some(format!(
                "{lists}; one that is new in AD comes with the next sync"
            ));
        }
        _ => return None,
    };
    Some(format!("`crossrealm {list}` shows those there are"))
}

fn refused(code: &str, message: String) -> ApiError {
    let (status, code) = match code {
        "hybrid" => (StatusCode::CONFLICT, Code::UserIsHybrid),
        "sign_in_refused" => (StatusCode::UNAUTHORIZED, Code::SignInRefused),
        "sign_in_locked" => (StatusCode::TOO_MANY_REQUESTS, Code::SignInLocked),
        "bad_password" => (StatusCode::BAD_REQUEST, Code::BadPassword),
        "too_many_changes" => (StatusCode::BAD_REQUEST, Code::TooManyChanges),
        other => (
            StatusCode::CONFLICT,
            Code::from_text(other).unwrap_or(Code::Conflict),
        ),
    };
    ApiError::new(status, code, message)
}

fn not_found(kind: Kind) -> Code {
    match kind {
        Kind::Tenant => Code::TenantNotFound,
        Kind::Domain => Code::DomainNotFound,
        Kind::Trust => Code::TrustNotFound,
        Kind::KerberosServer => Code::KerberosServerNotFound,
        Kind::User => Code::UserNotFound,
        Kind::Group => Code::GroupNotFound,
        Kind::StorageAccount => Code::StorageAccountNotFound,
        Kind::ServicePrincipal => Code::ServicePrincipalNotFound,
        Kind::Share => Code::ShareNotFound,
        Kind::Administrator => Code::AdministratorNotFound,
        Kind::Grant => Code::GrantNotFound,
        Kind::Token | Kind::Connector => Code::ConnectorNotFound,
        Kind::HostToken => Code::HostTokenNotFound,
        _ => Code::PrincipalNotFound,
    }
}

fn exists(kind: Kind) -> Code {
    match kind {
        Kind::Tenant => Code::TenantExists,
        Kind::User | Kind::Principal => Code::UserExists,
        Kind::Administrator => Code::AdministratorExists,
        Kind::StorageAccount => Code::StorageAccountExists,
        Kind::ServicePrincipal => Code::ServicePrincipalExists,
        Kind::Share => Code::ShareExists,
        _ => Code::Conflict,
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        if let Some(fault) = self.fault {
            response.extensions_mut().insert(Fault(fault.into()));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = axum::http::HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(axum::http::header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}
