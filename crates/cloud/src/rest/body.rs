//! The content of a request: JSON bodies and query parameters.

use super::error::ApiError;
use crate::app::{App, Peer};
use crate::http::body::{self, BodyError};
use crate::limits::Permit;
use axum::body::Body;
use axum::extract::Query;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use crossrealm_api::Code;
use crossrealm_types::SidError;
use serde::de::DeserializeOwned;
use std::net::IpAddr;

/// The JSON body of a request, of at most `max` bytes; and its part of the memory for bodies, to be kept as long
/// as the value.
pub(crate) async fn json<T: DeserializeOwned>(
    parts: &Parts,
    body: Body,
    max: usize,
    app: &App,
) -> Result<(T, Permit<IpAddr>), ApiError> {
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
    let peer = parts.extensions.get::<Peer>();
    let peer = peer.ok_or_else(|| ApiError::internal("a request without an address"))?;
    let body = body::read(app, peer.sender(), body, max)
        .await
        .map_err(|error| refusal(error, max))?;
    let value = serde_json::from_slice(body.as_slice()).map_err(|error| malformed(&error))?;
    // The parser also takes the fields of an object from an array, by their order.
    if body.as_slice().trim_ascii_start().first() != Some(&b'{') {
        return Err(ApiError::invalid("invalid body: expected a JSON object"));
    }
    Ok((value, body.into_permit()))
}

/// The refusal of a body that is not what the endpoint takes.
fn malformed(error: &serde_json::Error) -> ApiError {
    let text = error.to_string();
    // serde hands on as text what the parser of a value says.
    match text.starts_with(&SidError::Malformed.to_string()) {
        true => ApiError::new(Code::InvalidSid, text),
        false => ApiError::invalid(format!("invalid body: {text}")),
    }
}

/// The query parameters of a request.
pub(crate) fn query<T: DeserializeOwned>(parts: &Parts) -> Result<T, ApiError> {
    Query::try_from_uri(&parts.uri)
        .map(|Query(value)| value)
        .map_err(|error| ApiError::invalid(error.body_text()))
}

fn refusal(error: BodyError, max: usize) -> ApiError {
    match error {
        BodyError::TooLarge => ApiError::new(
            Code::TooLarge,
            format!("the body is larger than {max} bytes"),
        ),
        BodyError::Incomplete => ApiError::invalid("the body of the request ended too early"),
        BodyError::TooSlow => ApiError::new(
            Code::RequestTimeout,
            "the body of the request took too long",
        ),
        BodyError::NoMemory => ApiError::new(Code::Overloaded, "too many large requests at once"),
    }
}
