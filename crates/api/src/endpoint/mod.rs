//! The endpoints, each declared once: method, path, callers, query, request, response, status and summary.
//!
//! From a declaration come the server's route and access check, the method of [`crate::Client`], the matrix test of callers
//! and the operation in the OpenAPI document. To add an endpoint, declare it in `table.rs` and write the handler of the
//! same name in the server.

mod access;
#[macro_use]
mod declare;
mod table;

pub use access::Access;
pub use table::*;

use reqwest::Method;
use schemars::generate::SchemaGenerator;
use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// An endpoint, as types.
pub trait Endpoint: Send + Sync + 'static {
    /// The values of the path's parameters, in their order.
    type Path: TryFrom<Vec<String>> + Send;
    /// The query parameters; `()` where there are none.
    type Query: DeserializeOwned + Send;
    /// The body of the request; `()` where there is none.
    type Body: DeserializeOwned + Send;
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
    /// The schema of the success's body.
    pub response: SchemaOf,
}

/// Adds the schema of a type to a generator's.
pub type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

/// The schema of `T`, as a reference where it has a name.
pub(crate) fn schema_of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn paths_have_the_parameters_that_are_declared() {
        for spec in ENDPOINTS {
            let in_path: Vec<&str> = spec
                .path
                .split('/')
                .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
                .collect();
            assert_eq!(in_path, spec.parameters, "{}", spec.name);
        }
    }

    #[test]
    fn no_endpoint_is_declared_twice() {
        let mut names = HashSet::new();
        let mut routes = HashSet::new();
        for spec in ENDPOINTS {
            assert!(names.insert(spec.name), "{}", spec.name);
            assert!(
                routes.insert((spec.method.as_str(), spec.path)),
                "{}",
                spec.name
            );
        }
    }

    #[test]
    fn success_has_a_body_unless_its_status_is_204() {
        let mut generator = SchemaGenerator::default();
        for spec in ENDPOINTS {
            let is_null = (spec.response)(&mut generator) == schema_of::<()>(&mut generator);
            assert_eq!(is_null, spec.status == 204, "{}", spec.name);
        }
    }
}
