//! The OpenAPI 3.1 document of the API, made from [`ENDPOINTS`] and the schemas of the types.

use crate::declaration::{Access, Spec};
use crate::endpoint::ENDPOINTS;
use crate::{Code, ErrorBody};
use reqwest::Method;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

/// Where the server serves the document.
pub const OPENAPI_PATH: &str = "/openapi.json";

const ABOUT: &str = "\
The REST API of Crossrealm. Names in a path are percent-encoded as one segment (RFC 3986 §3.3); `{tenant}` is the name, \
domain or id of a tenant. SIDs are text (`S-1-…`), ids are UUIDs, a time is written as RFC 3339 in UTC to the millisecond and \
read in any form of RFC 3339, `…_s` is a length in seconds. What SMB hosts and sync agents of earlier versions read and write \
has times in Unix seconds, as the schemas say: reports of hosts, the sync of a domain, trusts and their rotation.\n\n\
Every answer carries `X-Request-Id`. Every answer that is not a success has the body `ErrorBody`, whose `code` is for \
programs and never renamed; a client must accept codes and fields that it does not know. A path that is no endpoint is \
answered with 404 and `endpoint_not_found`, a method that the endpoint does not have with 405 and `method_not_allowed`.";

/// The document.
pub fn openapi() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut generator = settings.into_generator();
    let error = generator.subschema_for::<ErrorBody>();
    let mut paths = Map::new();
    for spec in ENDPOINTS {
        let path = paths.entry(spec.path).or_insert_with(|| json!({}));
        path[spec.method.as_str().to_ascii_lowercase()] = operation(spec, &mut generator);
    }
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Crossrealm",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": {"name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT"},
        },
        "servers": [{
            "url": "https://{host}",
            "variables": {"host": {"default": "login.cloud.example"}},
        }],
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "responses": refusals(&error.to_value()),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
            },
        },
    });
    without_rustdoc_links(&mut document);
    document
}

fn operation(spec: &Spec, generator: &mut SchemaGenerator) -> Value {
    let (summary, rest) = paragraphs(spec.doc);
    let callers = match &spec.access {
        None => "Needs no token.".to_owned(),
        Some(access) => format!("Callers: {}.", callers(access)),
    };
    let mut operation = json!({
        "operationId": spec.name,
        "tags": [tag(spec.path)],
        "summary": summary,
        "description": format!("{rest}{callers}"),
        "responses": responses(spec, generator),
        "security": match spec.access {
            None => json!([]),
            Some(_) => json!([{"token": []}]),
        },
    });
    let parameters = parameters(spec, generator);
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(body) = spec.body {
        let schema = body(generator);
        operation["requestBody"] = json!({
            "required": true,
            "content": {"application/json": {"schema": schema}},
        });
    }
    operation
}

fn parameters(spec: &Spec, generator: &mut SchemaGenerator) -> Vec<Value> {
    let mut parameters: Vec<Value> = spec
        .parameters
        .iter()
        .map(|name| {
            json!({
                "name": name,
                "in": "path",
                "required": true,
                "schema": {"type": "string", "minLength": 1},
            })
        })
        .collect();
    if let Some(query) = spec.query {
        parameters.append(&mut query_parameters(&query(generator), generator));
    }
    if spec.other_status == Some(304) {
        parameters.push(json!({
            "name": "If-None-Match",
            "in": "header",
            "description": "The entity tag of the state that the caller has.",
            "schema": {"type": "string"},
        }));
    }
    parameters
}

/// One parameter for each property of a query's schema, which is a reference to a definition.
fn query_parameters(query: &schemars::Schema, generator: &SchemaGenerator) -> Vec<Value> {
    let name = query
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|reference| reference.rsplit('/').next())
        .unwrap_or_default();
    let definition = generator.definitions().get(name).unwrap_or(&Value::Null);
    let required = |name: &String| {
        let required = definition["required"].as_array();
        required.is_some_and(|required| required.iter().any(|one| one == name))
    };
    let properties = definition["properties"].as_object().into_iter().flatten();
    properties
        .map(|(name, property)| {
            let mut schema = property.clone();
            let description = schema
                .as_object_mut()
                .and_then(|schema| schema.remove("description"));
            // In a query an absent parameter is left out; there is no `null`.
            if let Some(kind) = schema["type"].as_array().and_then(|kinds| kinds.first()) {
                schema["type"] = kind.clone();
            }
            json!({
                "name": name,
                "in": "query",
                "required": required(name),
                "description": description,
                "schema": schema,
            })
        })
        .collect()
}

fn responses(spec: &Spec, generator: &mut SchemaGenerator) -> Value {
    let content = |generator: &mut SchemaGenerator| json!({"application/json": {"schema": (spec.response)(generator)}});
    let mut responses = Map::new();
    for status in refusal_statuses(spec) {
        let reference = json!({"$ref": format!("#/components/responses/{status}")});
        responses.insert(status.to_string(), reference);
    }
    let mut success = json!({"description": "Success."});
    if spec.status != 204 {
        success["content"] = content(generator);
    }
    if spec.other_status == Some(304) {
        success["headers"] = json!({"ETag": {"schema": {"type": "string"}}});
    }
    responses.insert(spec.status.to_string(), success);
    match spec.other_status {
        Some(304) => {
            responses.insert("304".into(), json!({"description": "Not modified."}));
        }
        Some(status) => {
            let other = json!({"description": "Degraded.", "content": content(generator)});
            responses.insert(status.to_string(), other);
        }
        None => {}
    }
    responses.into()
}

/// The statuses of the refusals that an endpoint's declaration makes possible.
fn refusal_statuses(spec: &Spec) -> Vec<u16> {
    let signs_in = spec.access.is_none() && spec.body.is_some();
    let possible = [
        (true, &[400, 500, 503][..]),
        (spec.access.is_some(), &[401, 403]),
        (signs_in, &[401, 429]),
        (!spec.parameters.is_empty() || spec.body.is_some(), &[404]),
        (spec.body.is_some(), &[408, 413]),
        (
            spec.method != Method::GET || !spec.parameters.is_empty(),
            &[409],
        ),
    ];
    let possible = possible.into_iter().filter(|(is_possible, _)| *is_possible);
    possible
        .flat_map(|(_, statuses)| statuses)
        .copied()
        .collect()
}

/// The refusals by status, each with its codes.
fn refusals(error: &Value) -> Value {
    let mut refusals = Map::new();
    for code in Code::ALL {
        let refusal = refusals
            .entry(code.status().to_string())
            .or_insert_with(|| {
                json!({
                    "description": "",
                    "content": {"application/json": {"schema": error}},
                })
            });
        let codes = match refusal["description"].as_str().unwrap_or_default() {
            "" => format!("Refused: `{code}`"),
            codes => format!("{codes}, `{code}`"),
        };
        refusal["description"] = codes.into();
    }
    refusals.into()
}

pub(crate) fn callers(access: &Access) -> String {
    let of_all = match access.confined {
        true => "",
        false => " of the whole installation",
    };
    let roles = access.roles.iter().map(|role| format!("`{role}`{of_all}"));
    let others = [
        (access.connector, "the connector of the domain"),
        (
            access.trust_rotation,
            "the connector of the domain that may rotate its trust key",
        ),
        (access.host, "an SMB host of the storage account"),
    ];
    let others = others.into_iter().filter(|(may, _)| *may);
    let all: Vec<String> = roles.chain(others.map(|(_, who)| who.to_owned())).collect();
    all.join(", ")
}

/// The resource that a path is about: its first fixed segment below the tenant, or below the base path.
pub(crate) fn tag(path: &str) -> &str {
    let below = path.strip_prefix("/api/v1/").unwrap_or(&path[1..]);
    let below = below.strip_prefix("tenants/{tenant}/").unwrap_or(below);
    below.split('/').next().unwrap_or(below)
}

/// The first paragraph of a doc comment, and the others, each followed by an empty line.
pub(crate) fn paragraphs(doc: &str) -> (String, String) {
    let lines: Vec<&str> = doc.lines().map(str::trim).collect();
    let mut paragraphs = lines
        .split(|line| line.is_empty())
        .map(|lines| lines.join(" "));
    let summary = paragraphs.next().unwrap_or_default();
    let rest = paragraphs.map(|text| format!("{text}\n\n")).collect();
    (summary, rest)
}

/// Descriptions come from doc comments: their links lose the brackets and the path, so that `[crate::NAME]` reads `NAME`.
fn without_rustdoc_links(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(text) if name == "description" || name == "title" => {
                        *text = text
                            .replace("[`crate::", "`")
                            .replace("[`", "`")
                            .replace("`]", "`");
                    }
                    other => without_rustdoc_links(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(without_rustdoc_links),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `docs/openapi.json` is reviewed as a diff. `CROSSREALM_WRITE_DOCS=1 cargo test -p crossrealm-api openapi` writes it.
    #[test]
    fn the_committed_document_is_the_generated_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
        let generated = serde_json::to_string_pretty(&openapi()).unwrap() + "\n";
        if std::env::var_os("CROSSREALM_WRITE_DOCS").is_some() {
            std::fs::write(path, &generated).unwrap();
        }
        assert!(
            std::fs::read_to_string(path).is_ok_and(|committed| committed == generated),
            "docs/openapi.json is stale: run `CROSSREALM_WRITE_DOCS=1 cargo test -p crossrealm-api openapi` and commit it"
        );
    }

    #[test]
    fn every_refusal_that_an_operation_names_is_described() {
        let document = openapi();
        for spec in ENDPOINTS {
            for status in refusal_statuses(spec) {
                let refusal = &document["components"]["responses"][status.to_string()];
                assert!(refusal.is_object(), "{}: {status}", spec.name);
            }
        }
    }
}
