//! Dependencies that nothing names: of each package, and of the workspace's table of versions.
//!
//! A dependency is used where its crate's name stands as a word in any source of the package. That is weaker than what the compiler knows and
//! enough: a dependency that no source names can only be there for its features, and those stand in [`FOR_FEATURES`] with the reason.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{Outcome, process};

/// Packages that need a crate only for what its features switch on elsewhere, and why.
const FOR_FEATURES: &[(&str, &str, &str)] = &[];

/// Checks every package of the workspace.
pub(crate) fn run() -> Outcome {
    let metadata = process::output(&mut process::cargo(&[
        "metadata",
        "--format-version",
        "1",
        "--locked",
    ]))?;
    let metadata: Value = serde_json::from_str(&metadata)
        .map_err(|error| format!("cargo metadata is not JSON: {error}"))?;
    let mut found = Vec::new();
    let mut named: BTreeSet<String> = BTreeSet::new();
    let packages = || metadata["packages"].as_array().into_iter().flatten();
    let libraries: BTreeMap<&str, &str> = packages().filter_map(library).collect();
    // Only packages of the workspace have no source.
    for package in packages().filter(|package| package["source"].is_null()) {
        let name = package["name"].as_str().unwrap_or_default();
        let manifest = Path::new(package["manifest_path"].as_str().unwrap_or_default());
        let words = words_of(&sources(manifest.parent().unwrap_or(manifest))?)?;
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let on = dependency["name"].as_str().unwrap_or_default();
            named.insert(on.to_owned());
            let library = libraries.get(on).copied();
            let word = dependency["rename"].as_str().or(library).unwrap_or(on);
            let word = word.replace('-', "_");
            let excused = FOR_FEATURES
                .iter()
                .any(|(who, what, _)| (*who, *what) == (name, on));
            if !words.contains(&word) && !excused {
                found.push(format!("{name} depends on {on} and names it nowhere"));
            }
        }
    }
    let manifest = std::fs::read_to_string(process::root().join("Cargo.toml"))
        .map_err(|error| format!("Cargo.toml: {error}"))?;
    let idle = versions(&manifest)
        .into_iter()
        .filter(|version| !named.contains(version));
    found.extend(idle.map(|version| format!("no package takes {version} from the workspace")));
    if found.is_empty() {
        Ok(())
    } else {
        Err(format!("unused dependencies:\n  {}", found.join("\n  ")))
    }
}

/// A package's name and that of its library, which may differ.
fn library(package: &Value) -> Option<(&str, &str)> {
    let is_library = |target: &&Value| {
        target["kind"]
            .as_array()
            .is_some_and(|kinds| kinds.iter().any(|kind| kind == "lib"))
    };
    let target = package["targets"].as_array()?.iter().find(is_library)?;
    Some((package["name"].as_str()?, target["name"].as_str()?))
}

/// The names in the table `[workspace.dependencies]`.
fn versions(manifest: &str) -> Vec<String> {
    let lines = manifest.lines();
    let table = lines.skip_while(|line| *line != "[workspace.dependencies]");
    let rows = table.skip(1).take_while(|line| !line.starts_with('['));
    rows.filter_map(|row| row.split_once(" = "))
        .map(|(name, _)| name.trim().to_owned())
        .collect()
}

/// The Rust sources below a package's folder, without those of packages inside it.
fn sources(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        let entries =
            std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() {
                let inside = path.join("Cargo.toml").exists() || path.ends_with("target");
                waiting.extend((!inside).then_some(path));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// Every word of these files.
fn words_of(files: &[PathBuf]) -> Result<BTreeSet<String>, String> {
    let mut words = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(file)
            .map_err(|error| format!("{}: {error}", file.display()))?;
        words.extend(words_in(&text).map(str::to_owned));
    }
    Ok(words)
}

fn words_in(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_versions_ends_at_the_next_one() {
        let manifest = "[package]\na = \"1\"\n\n[workspace.dependencies]\nserde = \"1\"\nserde-json = { version = \"1\" }\n\n[profile.dev]\ndebug = 1\n";
        assert_eq!(versions(manifest), ["serde", "serde-json"]);
    }

    #[test]
    fn a_name_inside_another_one_is_no_word() {
        let words: Vec<&str> = words_in("use serde_json::Value; // hex").collect();
        assert!(words.contains(&"serde_json") && words.contains(&"hex"));
        assert!(!words.contains(&"serde"));
    }
}
