//! `cargo metadata`, reduced to what the checks look at: packages, their licences and dependencies.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::process;

/// One package of the dependency graph.
#[derive(Debug, Clone, Default)]
pub(crate) struct Package {
    pub name: String,
    pub version: String,
    /// The SPDX expression of its manifest.
    pub licence: Option<String>,
    /// Whether it is one of ours.
    pub member: bool,
    /// Ids of the packages it needs at run time (not for tests or build scripts).
    pub normal: BTreeSet<String>,
}

/// Every package, by cargo's package id.
pub(crate) type Graph = BTreeMap<String, Package>;

/// Asks cargo for the workspace's graph.
pub(crate) fn load() -> Result<Graph, String> {
    parse(&process::output(&mut process::cargo(&[
        "metadata",
        "--format-version",
        "1",
        "--locked",
    ]))?)
}

/// Reads the JSON of `cargo metadata --format-version 1`.
pub(crate) fn parse(json: &str) -> Result<Graph, String> {
    let document: Value = serde_json::from_str(json)
        .map_err(|error| format!("cargo metadata is not JSON: {error}"))?;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let members: BTreeSet<String> = list(&document["workspace_members"])
        .iter()
        .map(text)
        .collect();
    let mut graph: Graph = list(&document["packages"])
        .iter()
        .map(|package| {
            let id = text(&package["id"]);
            let licence = package["license"].as_str().map(str::to_owned);
            let member = members.contains(&id);
            let (name, version) = (text(&package["name"]), text(&package["version"]));
            (
                id,
                Package {
                    name,
                    version,
                    licence,
                    member,
                    normal: BTreeSet::new(),
                },
            )
        })
        .collect();
    for node in list(&document["resolve"]["nodes"]) {
        // A kind of `null` is a normal dependency; "dev" and "build" do not end up in the product.
        let normal = list(&node["deps"])
            .iter()
            .filter(|dep| {
                list(&dep["dep_kinds"])
                    .iter()
                    .any(|kind| kind["kind"].is_null())
            })
            .map(|dep| text(&dep["pkg"]))
            .collect();
        if let Some(package) = graph.get_mut(&text(&node["id"])) {
            package.normal = normal;
        }
    }
    if graph.values().any(|package| package.member) {
        Ok(graph)
    } else {
        Err("cargo metadata names no workspace member".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dev_and_build_dependencies_are_left_out() {
        let json = r#"{"workspace_members":["a"],
            "packages":[{"id":"a","name":"a","version":"1.0.0","license":"MIT"},{"id":"b","name":"b","version":"1.0.0","license":null},
                        {"id":"c","name":"c","version":"1.0.0","license":"MIT"},{"id":"d","name":"d","version":"1.0.0","license":"MIT"}],
            "resolve":{"nodes":[{"id":"a","deps":[{"pkg":"b","dep_kinds":[{"kind":null}]},{"pkg":"c","dep_kinds":[{"kind":"dev"}]},
                        {"pkg":"d","dep_kinds":[{"kind":"build"},{"kind":null}]}]}]}}"#;
        let graph = parse(json).unwrap();
        assert_eq!(
            graph["a"].normal,
            BTreeSet::from(["b".to_owned(), "d".to_owned()])
        );
        assert!(graph["a"].member && !graph["b"].member);
        assert_eq!(graph["b"].licence, None);
    }

    #[test]
    fn what_is_not_metadata_is_refused() {
        assert!(parse("{}").is_err());
        assert!(parse("nonsense").is_err());
    }
}
