//! What is declared of an endpoint: its types, its path, who may call it, and its sizes.
//!
//! The client and the server are written against this; [`crate::endpoint`] has the declarations themselves.

pub(crate) mod access;

pub use access::Access;

use reqwest::Method;
use schemars::generate::SchemaGenerator;
use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The largest body of a request where its declaration gives no other size, in bytes.
pub const MAX_BODY: usize = 64 * 1024;
/// The largest body of a request that anyone may send, in bytes.
pub const MAX_PUBLIC_BODY: usize = 8 * 1024;

/// An endpoint, as types.
pub trait Endpoint: Send + Sync + 'static {
    /// The values of the path's parameters, in their order.
    type Path: TryFrom<Vec<String>> + Send;
    /// The query parameters; `()` where there are none.
    type Query: DeserializeOwned + Send;
    /// The body of the request; `()` where there is none.
    type Body: Serialize + DeserializeOwned + Send;
    /// The body of the success; `()` where there is none.
    type Response: Serialize + DeserializeOwned + Send;
    /// The rest of the declaration.
    const SPEC: &Spec;
}

/// What the declaration of an endpoint says beside its Rust types.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The name of the operation, of the client's method and of the server's handler.
    pub name: &'static str,
    /// The HTTP method.
    pub method: Method,
    /// The whole path, with its parameters in braces.
    pub path: &'static str,
    /// The names of the path's parameters, in their order.
    pub parameters: &'static [&'static str],
    /// Who may call it; `None` where no token is needed.
    pub access: Option<Access>,
    /// The status of the success.
    pub status: u16,
    /// Another status that is no refusal: 304 without a body, or one with the body of the success.
    pub other_status: Option<u16>,
    /// What it does: the first line is the summary.
    pub doc: &'static str,
    /// The schema of the query parameters.
    pub query: Option<SchemaOf>,
    /// The schema of the request's body.
    pub body: Option<SchemaOf>,
    /// The largest body of the request, in bytes.
    pub max_body: usize,
    /// The schema of the success's body.
    pub response: SchemaOf,
}

/// Adds the schema of a type to a generator's.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// The schema of `T`, as a reference where it has a name.
pub(crate) fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}
