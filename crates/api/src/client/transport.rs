//! How a call travels: HTTPS with a bearer token, bounded in time and size.

use super::error::ClientError;
use crate::declaration::Endpoint;
use crate::{Page, SecretText, encode_segment};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, IF_NONE_MATCH};
use reqwest::{Certificate, Method, Response, StatusCode, Url, redirect};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long a connection may take to come up, in seconds.
const CONNECT_TIMEOUT_S: u64 = 5;
/// How long a call may take in all, in seconds, besides the time that it asks the server to wait.
const CALL_TIMEOUT_S: u64 = 30;
/// The largest answer accepted, in bytes: a page of 1,000 groups with their members stays well below.
const MAX_ANSWER: usize = 32 << 20;

/// The most pages that a list is gathered from.
const MAX_PAGES: usize = 1000;

/// A client of one server. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    authorization: Option<HeaderValue>,
}

/// A success: its status, entity tag and whole body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    url: String,
    pub(crate) etag: Option<String>,
    date: Option<String>,
    body: Zeroizing<Vec<u8>>,
}

/// A call to be made.
pub(crate) struct Call<'a> {
    client: &'a Client,
    method: Method,
    url: Url,
    if_none_match: Option<String>,
    body: Option<Vec<u8>>,
    limit_s: u64,
}

impl Client {
    /// A client of the server at `server` (`https://host[:port]`; the scheme may be left out).
    ///
    /// `ca_pem` names the only certificate authorities to trust; without it the system's are. Redirects are not followed,
    /// so that the token reaches nobody but this server.
    ///
    /// # Errors
    ///
    /// [`ClientError::BadUrl`], [`ClientError::BadCa`], [`ClientError::BadToken`].
    pub fn new(
        server: &str,
        token: Option<SecretText>,
        ca_pem: Option<&[u8]>,
    ) -> Result<Self, ClientError> {
        Self::build(builder(), server, token, ca_pem)
    }

    /// The same, but the client connects to the server itself, also if the environment names a web proxy.
    ///
    /// # Errors
    ///
    /// As [`Client::new`].
    pub fn without_web_proxy(
        server: &str,
        token: Option<SecretText>,
        ca_pem: Option<&[u8]>,
    ) -> Result<Self, ClientError> {
        Self::build(builder().no_proxy(), server, token, ca_pem)
    }

    fn build(
        mut builder: reqwest::ClientBuilder,
        server: &str,
        token: Option<SecretText>,
        ca_pem: Option<&[u8]>,
    ) -> Result<Self, ClientError> {
        if let Some(pem) = ca_pem {
            builder = builder.tls_certs_only(certificates(pem)?);
        }
        Self::with(builder, server, token)
    }

    /// A client that believes any certificate. It sends no token, and what it receives proves nothing by itself.
    pub(super) fn unverified(server: &str) -> Result<Self, ClientError> {
        Self::with(
            builder().tls_danger_accept_invalid_certs(true),
            server,
            None,
        )
    }

    fn with(
        builder: reqwest::ClientBuilder,
        server: &str,
        token: Option<SecretText>,
    ) -> Result<Self, ClientError> {
        let http = builder.build().map_err(|error| ClientError::BadCa {
            reason: error.to_string(),
        })?;
        Ok(Self {
            http,
            base: parse_server(server)?,
            authorization: token.as_ref().map(bearer).transpose()?,
        })
    }

    /// The server's URL.
    pub fn server(&self) -> &str {
        self.base.as_str()
    }

    /// A call of an endpoint with these values of its path's parameters; each stays one segment, with any characters.
    pub(crate) fn call<E: Endpoint>(&self, parameters: &[&str]) -> Call<'_> {
        let mut values = parameters.iter();
        let segments = E::SPEC
            .path
            .split('/')
            .map(|segment| match segment.strip_prefix('{') {
                Some(_) => encode_segment(values.next().copied().unwrap_or_default()),
                None => segment.to_owned(),
            });
        let path = segments.collect::<Vec<_>>().join("/");
        let mut url = self.base.clone();
        url.set_path(&path);
        self.call_url(E::SPEC.method.clone(), url)
    }

    fn call_url(&self, method: Method, url: Url) -> Call<'_> {
        Call {
            client: self,
            method,
            url,
            if_none_match: None,
            body: None,
            limit_s: CALL_TIMEOUT_S,
        }
    }
}

/// What all clients have in common.
fn builder() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .https_only(true)
        .redirect(redirect::Policy::none())
        .connect_timeout(Duration::from_secs(CONNECT_TIMEOUT_S))
        .user_agent(concat!("crossrealm/", env!("CARGO_PKG_VERSION")))
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({})", self.base)
    }
}

impl Call<'_> {
    /// Adds the query parameters that have a value.
    pub(crate) fn query<Q: Serialize>(mut self, query: &Q) -> Result<Self, ClientError> {
        let query = serde_json::to_value(query).map_err(|error| self.malformed(&error))?;
        for (name, value) in query.as_object().into_iter().flatten() {
            let text = match value {
                Value::Null => continue,
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            self.url.query_pairs_mut().append_pair(name, &text);
        }
        Ok(self)
    }

    /// Asks for a change since this entity tag only.
    pub(crate) fn if_none_match(mut self, etag: Option<&str>) -> Self {
        self.if_none_match = etag.map(ToOwned::to_owned);
        self
    }

    /// Waits this much longer, since the server was asked to wait.
    pub(crate) fn extend_limit(mut self, wait_s: u64) -> Self {
        self.limit_s = self.limit_s.saturating_add(wait_s);
        self
    }

    /// Sends `value` as the JSON body.
    pub(crate) fn json<B: Serialize>(mut self, value: &B) -> Result<Self, ClientError> {
        let body = serde_json::to_vec(value).map_err(|error| self.malformed(&error))?;
        self.body = Some(body);
        Ok(self)
    }

    /// Makes the call and reads the JSON of its success.
    pub(crate) async fn fetch<T: DeserializeOwned>(self) -> Result<T, ClientError> {
        self.send().await?.read()
    }

    /// Makes the call and those for the pages behind it; at most [`MAX_PAGES`].
    pub(crate) async fn fetch_all<T: DeserializeOwned>(self) -> Result<Vec<T>, ClientError> {
        let (client, method, first) = (self.client, self.method.clone(), self.url.clone());
        let mut page: Page<T> = self.fetch().await?;
        let mut items = page.items;
        for _ in 1..MAX_PAGES {
            let Some(after) = page.next else {
                return Ok(items);
            };
            let mut url = first.clone();
            url.query_pairs_mut().append_pair("after", &after);
            page = client.call_url(method.clone(), url).fetch().await?;
            items.append(&mut page.items);
        }
        Err(ClientError::Malformed {
            url: first.to_string(),
            reason: "the list does not end".into(),
        })
    }

    /// Makes the call.
    pub(crate) async fn send(self) -> Result<Answer, ClientError> {
        let url = self.url.to_string();
        let limit_s = self.limit_s;
        let failed = |error: reqwest::Error| ClientError::of_transport(&error, &url, limit_s);
        let mut request = self
            .client
            .http
            .request(self.method, self.url)
            .timeout(Duration::from_secs(limit_s))
            .header(ACCEPT, "application/json");
        if let Some(authorization) = &self.client.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        if let Some(etag) = &self.if_none_match {
            request = request.header(IF_NONE_MATCH, etag);
        }
        if let Some(body) = self.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let mut response = request.send().await.map_err(failed)?;
        let body = read_body(&mut response, &url, limit_s).await?;
        let status = response.status();
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            return Ok(Answer {
                status: status.as_u16(),
                etag: text_header(&response, "etag"),
                date: text_header(&response, "date"),
                url,
                body,
            });
        }
        let request_id = text_header(&response, "x-request-id");
        Err(ClientError::of_refusal(
            status.as_u16(),
            request_id,
            &url,
            &body,
        ))
    }

    fn malformed(&self, error: &serde_json::Error) -> ClientError {
        ClientError::Malformed {
            url: self.url.to_string(),
            reason: error.to_string(),
        }
    }
}

impl Answer {
    /// When the server answered, by its own clock, in Unix seconds; `None` where it does not say (RFC 9110 §6.6.1).
    pub(crate) fn sent_at(&self) -> Option<i64> {
        let date = httpdate::parse_http_date(self.date.as_deref()?).ok()?;
        let since = date.duration_since(std::time::UNIX_EPOCH).ok()?;
        i64::try_from(since.as_secs()).ok()
    }

    /// The body as JSON; none at all reads as `null`.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        let body: &[u8] = match self.body.is_empty() {
            true => b"null",
            false => &self.body,
        };
        serde_json::from_slice(body).map_err(|error| ClientError::Malformed {
            url: self.url.clone(),
            reason: error.to_string(),
        })
    }
}

/// Reads the body piece by piece, so that a server cannot make the client hold more than [`MAX_ANSWER`].
async fn read_body(
    response: &mut Response,
    url: &str,
    limit_s: u64,
) -> Result<Zeroizing<Vec<u8>>, ClientError> {
    let mut body = Zeroizing::new(Vec::new());
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > MAX_ANSWER => {
                return Err(ClientError::TooLarge {
                    url: url.to_owned(),
                    limit: MAX_ANSWER,
                });
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) => return Err(ClientError::of_transport(&error, url, limit_s)),
        }
    }
}

fn text_header(response: &Response, name: &str) -> Option<String> {
    let value = response.headers().get(name)?.to_str().ok()?;
    Some(value.to_owned())
}

fn parse_server(server: &str) -> Result<Url, ClientError> {
    let bad = |reason| ClientError::BadUrl {
        url: server.to_owned(),
        reason,
    };
    let text = if server.contains("://") {
        server.to_owned()
    } else {
        format!("https://{server}")
    };
    let url = Url::parse(&text).map_err(|_| bad("it cannot be read as one"))?;
    if url.scheme() != "https" {
        return Err(bad("only `https` is spoken, since tokens travel"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(bad("it names no host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("it must not hold a user or password"));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(bad("it must end after the host and port"));
    }
    Ok(url)
}

fn bearer(token: &SecretText) -> Result<HeaderValue, ClientError> {
    let text = Zeroizing::new(format!("Bearer {}", token.expose().trim()));
    let mut value = HeaderValue::from_str(&text).map_err(|_| ClientError::BadToken)?;
    value.set_sensitive(true);
    Ok(value)
}

fn certificates(pem: &[u8]) -> Result<Vec<Certificate>, ClientError> {
    let bad = |reason: String| ClientError::BadCa { reason };
    let list = Certificate::from_pem_bundle(pem).map_err(|error| bad(error.to_string()))?;
    if list.is_empty() {
        return Err(bad("there is none in it".into()));
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_urls() {
        for good in [
            "https://login.cloud.example",
            "login.cloud.example:8443",
            "https://[::1]:1/",
        ] {
            assert!(parse_server(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "http://login.cloud.example",
            "https://",
            "https://u:p@login.cloud.example",
            "https://login.cloud.example/api",
            "https://login.cloud.example/?x",
        ] {
            assert!(
                matches!(parse_server(bad), Err(ClientError::BadUrl { .. })),
                "{bad}"
            );
        }
    }

    #[test]
    fn settings_are_checked_before_anything_is_sent() {
        let server = "https://localhost";
        assert!(matches!(
            Client::new(server, None, Some(b"not pem")),
            Err(ClientError::BadCa { .. })
        ));
        assert!(matches!(
            Client::new(server, Some(SecretText::new("a\nb")), None),
            Err(ClientError::BadToken)
        ));
    }

    #[test]
    fn debug_shows_no_token() {
        let client = Client::new("localhost", Some(SecretText::new("hunter2\n")), None).unwrap();
        assert!(!format!("{client:?}").contains("hunter2"));
    }

    #[tokio::test]
    async fn an_unreachable_server_is_named() {
        let client = Client::new("https://127.0.0.1:1", None, None).unwrap();
        let error = client.whoami().await.unwrap_err();
        assert!(error.is_transient());
        assert!(
            error
                .to_string()
                .starts_with("cannot reach `https://127.0.0.1:1/api/v1/whoami`: "),
            "{error}"
        );
        assert!(error.hint().is_some());
    }

    #[test]
    fn names_cannot_leave_their_segment() {
        let client = Client::new("localhost", None, None).unwrap();
        let call = client.call::<crate::endpoint::ShowTenant>(&["a/../b?c#d"]);
        assert_eq!(call.url.path(), "/api/v1/tenants/a%2F..%2Fb%3Fc%23d");
    }
}
