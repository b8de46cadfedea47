//! From the declaration of an endpoint and its handler to a route.

use super::access::CallerOf;
use super::body;
use super::error::ApiError;
use crate::app::App;
use axum::body::Body;
use axum::extract::{RawPathParams, Request, State};
use axum::http::header::{ETAG, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use axum::{Json, Router};
use crossrealm_api::endpoint::Endpoint;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What a call of `E` carries beside its caller.
pub(crate) struct Input<E: Endpoint> {
    /// The values of the path's parameters, in their order.
    pub(crate) path: E::Path,
    pub(crate) query: E::Query,
    pub(crate) body: E::Body,
    /// The entity tag of what the caller has.
    pub(crate) if_none_match: Option<String>,
}

/// Marks the response to a caller whose token was checked.
#[derive(Clone, Copy)]
pub(crate) struct Authenticated;

/// The answer to a call that is not refused.
pub(crate) enum Answer<T> {
    /// With the status that the endpoint declares.
    Success(T),
    /// The same with an entity tag.
    Tagged(T, HeaderValue),
    /// What the caller has is the newest (304).
    NotModified,
    /// The service is degraded (503).
    Degraded(T),
}

impl<T> From<T> for Answer<T> {
    fn from(success: T) -> Self {
        Self::Success(success)
    }
}

/// Adds the route of `E`. The caller is checked before anything else of a request is looked at.
pub(crate) fn add<E, C, R, F>(
    router: Router<App>,
    handler: impl Fn(App, C, Input<E>) -> F + Clone + Send + Sync + 'static,
) -> Router<App>
where
    E: Endpoint,
    C: CallerOf<E>,
    R: Into<Answer<E::Response>>,
    F: Future<Output = Result<R, ApiError>> + Send,
{
    let method = match E::SPEC.method {
        Method::POST => MethodFilter::POST,
        Method::PUT => MethodFilter::PUT,
        Method::DELETE => MethodFilter::DELETE,
        _ => MethodFilter::GET,
    };
    let serve = move |State(app): State<App>, request: Request| {
        let handler = handler.clone();
        async move {
            let (mut parts, body) = request.into_parts();
            let caller = match C::check(&mut parts, &app).await {
                Ok(caller) => caller,
                Err(refusal) => return refusal.into_response(),
            };
            let answered = call(app, caller, parts, body, handler).await;
            let mut response = answered.map_or_else(ApiError::into_response, respond::<E>);
            if E::SPEC.access.is_some() {
                response.extensions_mut().insert(Authenticated);
            }
            response
        }
    };
    router.route(E::SPEC.path, on(method, serve))
}

/// Decodes the request of a caller that may call `E`, and passes it to the handler.
async fn call<E, C, R, F>(
    app: App,
    caller: C,
    mut parts: Parts,
    body: Body,
    handler: impl Fn(App, C, Input<E>) -> F,
) -> Result<Answer<E::Response>, ApiError>
where
    E: Endpoint,
    R: Into<Answer<E::Response>>,
    F: Future<Output = Result<R, ApiError>>,
{
    // The body's part of the memory for bodies is kept until the handler is done with what was decoded from it.
    let (body, _held) = match E::SPEC.body {
        Some(_) => {
            let (value, held) = body::json(&parts, body, E::SPEC.max_body, &app).await?;
            (value, Some(held))
        }
        None => (nothing()?, None),
    };
    let input = Input {
        path: path::<E>(&mut parts, &app).await?,
        query: match E::SPEC.query {
            Some(_) => body::query(&parts)?,
            None => nothing()?,
        },
        body,
        if_none_match: parts
            .headers
            .get(IF_NONE_MATCH)
            .and_then(|value| value.to_str().ok().map(ToOwned::to_owned)),
    };
    Ok(handler(app, caller, input).await?.into())
}

async fn path<E: Endpoint>(parts: &mut Parts, app: &App) -> Result<E::Path, ApiError> {
    use axum::extract::FromRequestParts as _;
    let raw = RawPathParams::from_request_parts(parts, app)
        .await
        .map_err(|_| ApiError::invalid("the path is not valid UTF-8"))?;
    let values: Vec<String> = raw.iter().map(|(_, value)| value.to_owned()).collect();
    E::Path::try_from(values).map_err(|_| ApiError::internal("a path with other parameters"))
}

/// The `()` of an endpoint that takes no query parameters, or no body.
fn nothing<T: DeserializeOwned>() -> Result<T, ApiError> {
    serde_json::from_value(serde_json::Value::Null)
        .map_err(|_| ApiError::internal("an endpoint takes what it does not declare"))
}

fn respond<E: Endpoint>(answer: Answer<E::Response>) -> Response {
    let status = StatusCode::from_u16(E::SPEC.status).unwrap_or(StatusCode::OK);
    let success = |status: StatusCode, value: E::Response| match status {
        StatusCode::NO_CONTENT => status.into_response(),
        _ => json(status, &value),
    };
    match answer {
        Answer::Success(value) => success(status, value),
        Answer::Tagged(value, tag) => {
            let mut response = success(status, value);
            response.headers_mut().insert(ETAG, tag);
            response
        }
        Answer::NotModified => StatusCode::NOT_MODIFIED.into_response(),
        Answer::Degraded(value) => success(StatusCode::SERVICE_UNAVAILABLE, value),
    }
}

fn json(status: StatusCode, value: &impl Serialize) -> Response {
    (status, Json(value)).into_response()
}
