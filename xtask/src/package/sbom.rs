//! The software bill of materials, in the form of CycloneDX 1.5: every crate that is linked into the binary, with version, licence
//! and checksum, from `cargo metadata` and `Cargo.lock`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};

use super::{Release, read, write};
use crate::Outcome;
use crate::metadata::{self, Graph};
use crate::process::root;

/// Writes the bill.
pub(super) fn write_bill(release: &Release, path: &Path) -> Outcome {
    let graph = metadata::load()?;
    let sums = checksums(&read(&root().join("Cargo.lock"))?);
    let bill = bill(&graph, &sums, release)?;
    let text = serde_json::to_string_pretty(&bill).map_err(|error| error.to_string())?;
    write(path, format!("{text}\n").as_bytes())
}

fn bill(
    graph: &Graph,
    sums: &BTreeMap<(String, String), String>,
    release: &Release,
) -> Result<Value, String> {
    let product = graph
        .iter()
        .find(|(_, package)| package.name == "crossrealm-cli");
    let (product, _) = product.ok_or("cargo metadata does not name `crossrealm-cli`")?;
    let linked = reachable(graph, product);
    let mut components = Vec::new();
    let mut dependencies = Vec::new();
    for id in &linked {
        let Some(package) = graph.get(id) else {
            continue;
        };
        let needs: Vec<String> = package.normal.iter().map(|id| purl(graph, id)).collect();
        dependencies.push(json!({ "ref": purl(graph, id), "dependsOn": needs }));
        if id == product {
            continue;
        }
        let mut component = json!({
            "type": "library",
            "bom-ref": purl(graph, id),
            "name": package.name,
            "version": package.version,
            "purl": purl(graph, id),
        });
        if let Some(licence) = &package.licence {
            component["licenses"] = json!([{ "expression": licence.replace('/', " OR ") }]);
        }
        if let Some(sum) = sums.get(&(package.name.clone(), package.version.clone())) {
            component["hashes"] = json!([{ "alg": "SHA-256", "content": sum }]);
        }
        components.push(component);
    }
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": time_of(release.epoch)?,
            "component": {
                "type": "application",
                "bom-ref": purl(graph, product),
                "name": "crossrealm",
                "version": release.version,
                "licenses": [{ "expression": "Apache-2.0 OR MIT" }],
            },
        },
        "components": components,
        "dependencies": dependencies,
    }))
}

pub(super) fn time_of(epoch: i64) -> Result<String, String> {
    let date = format!("--date=@{epoch}");
    let text = crate::process::output(&mut crate::process::command(
        "date",
        &["--utc", "+%Y-%m-%dT%H:%M:%SZ", &date],
    ))?;
    Ok(text.trim().to_owned())
}

/// The package URL.
fn purl(graph: &Graph, id: &str) -> String {
    graph.get(id).map_or_else(String::new, |package| {
        format!("pkg:cargo/{}@{}", package.name, package.version)
    })
}

/// Everything that the package needs at run time, itself included.
fn reachable(graph: &Graph, from: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![from.to_owned()];
    while let Some(id) = open.pop() {
        if let (true, Some(package)) = (found.insert(id.clone()), graph.get(&id)) {
            open.extend(package.normal.iter().cloned());
        }
    }
    found
}

/// The checksums in `Cargo.lock`, by name and version.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let value = |block: &str, key: &str| {
        let begin = format!("{key} = \"");
        let line = block.lines().find_map(|line| line.strip_prefix(&begin))?;
        Some(line.trim_end_matches('"').to_owned())
    };
    let blocks = lock.split("[[package]]").skip(1);
    blocks
        .filter_map(|block| {
            let name = (value(block, "name")?, value(block, "version")?);
            Some((name, value(block, "checksum")?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bill_holds_what_is_linked_and_nothing_else() {
        let json = r#"{"workspace_members":["cli","test"],
            "packages":[{"id":"cli","name":"crossrealm-cli","version":"1.0.0","license":"MIT"},{"id":"test","name":"t","version":"1.0.0","license":"MIT"},
                        {"id":"a","name":"a","version":"2.0.0","license":"MIT/Apache-2.0"},{"id":"b","name":"b","version":"1.0.0","license":"MIT"}],
            "resolve":{"nodes":[{"id":"cli","deps":[{"pkg":"a","dep_kinds":[{"kind":null}]}]},
                        {"id":"test","deps":[{"pkg":"b","dep_kinds":[{"kind":null}]}]}]}}"#;
        let graph = metadata::parse(json).unwrap();
        let lock = "[[package]]\nname = \"a\"\nversion = \"2.0.0\"\nchecksum = \"5d\"\n";
        let release = Release {
            version: "1.0.0".to_owned(),
            epoch: 0,
        };
        let bill = bill(&graph, &checksums(lock), &release).unwrap();
        assert_eq!(
            bill["components"],
            json!([{ "type": "library", "bom-ref": "pkg:cargo/a@2.0.0", "name": "a", "version": "2.0.0", "purl": "pkg:cargo/a@2.0.0",
                "licenses": [{ "expression": "MIT OR Apache-2.0" }], "hashes": [{ "alg": "SHA-256", "content": "5d" }] }])
        );
        assert_eq!(bill["metadata"]["timestamp"], "1970-01-01T00:00:00Z");
        assert_eq!(bill["dependencies"].as_array().unwrap().len(), 2);
    }
}
