//! The content of a request: JSON bodies and query parameters, bounded in size and time.

use super::error::ApiError;
use crate::app::App;
use axum::body::{Body, to_bytes};
use axum::extract::Query;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use crossrealm_api::Code;
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::time::timeout;
use zeroize::Zeroizing;

/// The largest body, in bytes: a thousand changes by the sync agent fit well.
const MAX_BODY: usize = 8 << 20;

/// The JSON body of a request.
pub(crate) async fn json<T: DeserializeOwned>(
    parts: &Parts,
    body: Body,
    app: &App,
) -> Result<T, ApiError> {
    let is_json = parts
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.split(';').next())
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"));
    if !is_json {
        return Err(ApiError::invalid(
            "the `Content-Type` must be `application/json`",
        ));
    }
    let limit = Duration::from_secs(app.config.limits.body_timeout_s);
    let body = match timeout(limit, to_bytes(body, MAX_BODY)).await {
        Ok(Ok(body)) => Zeroizing::new(body.to_vec()),
        Ok(Err(error)) => return Err(broken(&error)),
        Err(_) => {
            return Err(ApiError::new(
                Code::RequestTimeout,
                "the body of the request took too long",
            ));
        }
    };
    serde_json::from_slice(&body)
        .map_err(|error| ApiError::invalid(format!("invalid body: {error}")))
}

/// The query parameters of a request.
pub(crate) fn query<T: DeserializeOwned>(parts: &Parts) -> Result<T, ApiError> {
    Query::try_from_uri(&parts.uri)
        .map(|Query(value)| value)
        .map_err(|error| ApiError::invalid(error.body_text()))
}

fn broken(error: &axum::Error) -> ApiError {
    // The length limit is the only failure that does not come from the connection.
    let text = std::error::Error::source(error)
        .map(ToString::to_string)
        .unwrap_or_default();
    if text.contains("length limit") {
        return ApiError::new(
            Code::TooLarge,
            format!("the body is larger than {MAX_BODY} bytes"),
        );
    }
    ApiError::invalid("the body of the request ended too early")
}
