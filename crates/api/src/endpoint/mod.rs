//! The endpoints, each declared once: method, path, callers, query, request, response, status and summary.
//!
//! From a declaration come the server's route and access check, the method of [`crate::Client`], the matrix test of callers
//! and the operation in the OpenAPI document. To add an endpoint, declare it in `table.rs` and write the handler of the
//! same name in the server. `special.rs` has the methods of the client that are more than one request and its answer.

#[macro_use]
mod declare;
mod special;
mod table;

pub use crate::declaration::{Access, Endpoint, MAX_BODY, MAX_PUBLIC_BODY, SchemaOf, Spec};
pub use special::HostStateAnswer;
pub use table::*;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declaration::schema_of;
    use schemars::SchemaGenerator;
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

    /// S2: what anyone may send is small, and nothing is taken where no body is declared.
    #[test]
    fn bodies_without_a_token_are_small() {
        for spec in ENDPOINTS {
            let public = spec.access.is_none();
            assert!(!public || spec.max_body <= MAX_PUBLIC_BODY, "{}", spec.name);
            assert_eq!(spec.max_body == 0, spec.body.is_none(), "{}", spec.name);
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
