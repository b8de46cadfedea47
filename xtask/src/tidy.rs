//! Habits that a compiler does not check: no unfinished marks, files of a readable length, every package in ARCHITECTURE.md,
//! links that lead somewhere, the words of STYLE.md, and commands named where no caller can type them.

mod commands;
pub(crate) mod links;
mod words;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::{process, program_starts};

const MOST_LINES: usize = 800;

/// Checks the files git knows, so that nobody's scratch files are in the way.
pub(crate) fn run() -> Outcome {
    let listing = process::output(&mut process::command(
        "git",
        &[
            "ls-files", "--cached", "--", "*.rs", "*.py", "*.md", "*.c", "*.go", "*.java", "*.sh",
        ],
    ))?;
    let files: Vec<PathBuf> = listing
        .lines()
        .map(PathBuf::from)
        .filter(|file| process::root().join(file).exists())
        .collect();
    let map = std::fs::read_to_string(process::root().join("ARCHITECTURE.md")).unwrap_or_default();
    let unnamed = packages(&files)
        .into_iter()
        .filter(|package| !names(&map, package));
    let mut found: Vec<String> = unnamed
        .map(|package| format!("ARCHITECTURE.md does not name the package `{package}/`"))
        .collect();
    let mut texts = BTreeMap::new();
    for file in files {
        let text = std::fs::read_to_string(process::root().join(&file))
            .map_err(|error| format!("{}: {error}", file.display()))?;
        texts.insert(file, text);
    }
    let reference = texts.get(Path::new("docs/reference/command-line.md"));
    let commands = commands::of_reference(reference.map_or("", String::as_str));
    if commands.is_empty() {
        return Err("docs/reference/command-line.md names no command".to_owned());
    }
    for (file, text) in &texts {
        if file.extension().is_some_and(|extension| extension == "rs") {
            found.extend(complaints(file, text));
        }
        found.extend(words::complaints(file, text));
        if is_product(file) {
            found.extend(commands::complaints(file, text, &commands));
        }
    }
    found.extend(links::complaints(&texts, |path| {
        process::root().join(path).exists()
    }));
    let security = texts.get(Path::new("SECURITY.md"));
    found.extend(unlisted_findings(security.map_or("", String::as_str)));
    found.extend(program_starts::check()?);
    if found.is_empty() {
        Ok(())
    } else {
        Err(format!("untidy:\n  {}", found.join("\n  ")))
    }
}

/// The findings of attacks and injected faults without a row in SECURITY.md. That the tests in a row exist is for the links.
fn unlisted_findings(security: &str) -> Vec<String> {
    let numbers = (1..=15).map(|n| format!("S{n}"));
    let numbers = numbers.chain((1..=12).map(|n| format!("R{n}")));
    let is_listed = |number: &String| {
        let begin = format!("| {number} |");
        let row = security.lines().find(|line| line.starts_with(&begin));
        row.is_some_and(|row| row.contains("](") && row.contains("[`"))
    };
    numbers
        .filter(|number| !is_listed(number))
        .map(|number| format!("SECURITY.md has no row with a test for {number}"))
        .collect()
}

/// Whether the map names a package: its folder as code, or as a folder in a picture.
fn names(map: &str, package: &str) -> bool {
    map.contains(&format!("`{package}`")) || map.contains(&format!("{package}/"))
}

/// The folders that hold a package, but for the root and the fuzz workspace.
fn packages(files: &[PathBuf]) -> Vec<String> {
    let manifests = files.iter().filter(|file| file.ends_with("Cargo.toml"));
    let folders = manifests
        .filter_map(|file| file.parent())
        .map(|folder| folder.display().to_string());
    folders.filter(|folder| !folder.is_empty()).collect()
}

fn complaints(file: &Path, text: &str) -> Vec<String> {
    // Put together here, so that this file does not complain of itself.
    let marks = [
        ["TO", "DO"],
        ["FIX", "ME"],
        ["HA", "CK:"],
        ["XX", "X:"],
        ["dbg", "!("],
    ]
    .map(|halves| halves.concat());
    let name = file.display();
    let mut found = Vec::new();
    let lines = text.lines().count();
    if lines > MOST_LINES {
        found.push(format!("{name} has {lines} lines, more than {MOST_LINES}"));
    }
    for (number, line) in text.lines().enumerate() {
        if let Some(mark) = marks.iter().find(|mark| line.contains(mark.as_str())) {
            found.push(format!("{name}:{}: `{mark}`", number + 1));
        }
        if is_product(file) && compares_a_secret(line) {
            found.push(format!(
                "{name}:{}: compare MACs and keys by `subtle`, not by `==`",
                number + 1
            ));
        }
    }
    found
}

/// Whether the file is part of what runs at an operator's, tests left out.
fn is_product(file: &Path) -> bool {
    let tests = |part: &str| part == "tests" || part == "tests.rs" || part == "examples";
    let mut parts = file.iter().filter_map(|part| part.to_str());
    file.starts_with("crates") && !parts.any(tests)
}

/// Whether a line compares what must be compared in constant time: a name that ends like that of a MAC, or the bytes of a
/// key, on either side of `==` or `!=`. Types and lengths of these are no secrets.
fn compares_a_secret(line: &str) -> bool {
    const SECRETS: [&str; 5] = ["mac", "hmac", "signature", "checksum", "digest"];
    let secret = |side: Option<&str>| {
        let name = side
            .unwrap_or_default()
            .trim_matches(['&', '*', '(', ')', ',', ';']);
        let name = name.strip_prefix("self.").unwrap_or(name);
        SECRETS.contains(&name) || name.ends_with(".mac") || name.ends_with("key.as_bytes")
    };
    ["==", "!="].iter().any(|operator| {
        line.match_indices(operator).any(|(at, _)| {
            let (before, after) = (&line[..at], &line[at + 2..]);
            secret(before.split_whitespace().last()) || secret(after.split_whitespace().next())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_without_a_test_is_found() {
        let row = |number: &str| format!("| {number} | what | [`test`](file.rs) |\n");
        let all: String = (1..=15).map(|n| row(&format!("S{n}"))).collect();
        let all = all + &(1..=12).map(|n| row(&format!("R{n}"))).collect::<String>();
        assert!(unlisted_findings(&all).is_empty());
        let without = all.replace(&row("R7"), "| R7 | what | none |\n");
        assert_eq!(
            unlisted_findings(&without),
            ["SECURITY.md has no row with a test for R7"]
        );
    }

    #[test]
    fn marks_and_long_files_are_found() {
        let mark = ["TO", "DO"].concat();
        assert_eq!(
            complaints(
                Path::new("a.rs"),
                &format!("fn a() {{}}\n// {mark}: later\n")
            ),
            [format!("a.rs:2: `{mark}`")]
        );
        assert_eq!(
            complaints(Path::new("b.rs"), &"x\n".repeat(MOST_LINES + 1)).len(),
            1
        );
        assert!(complaints(Path::new("c.rs"), &"x\n".repeat(MOST_LINES)).is_empty());
    }

    #[test]
    fn comparisons_that_leak_time_are_found() {
        for leak in [
            "if mac == expected {",
            "if expected != self.signature.mac {",
            "a.key.as_bytes() == b.key.as_bytes()",
            "(digest == stored)",
        ] {
            assert!(compares_a_secret(leak), "{leak}");
        }
        for fine in [
            "if checksum.cksumtype != key.checksum_type() {",
            "if mac.len() == 12 {",
            "let mac = key.checksum(usage, data);",
            "if bool::from(mac.ct_eq(tag)) {",
        ] {
            assert!(!compares_a_secret(fine), "{fine}");
        }
        let leak = "if mac == expected {";
        assert!(!complaints(Path::new("crates/krb/src/pac/signature.rs"), leak).is_empty());
        assert!(complaints(Path::new("crates/krb/src/pac/tests.rs"), leak).is_empty());
    }

    #[test]
    fn a_map_names_a_package_as_a_folder() {
        assert!(names("crates/krb/   CORE", "crates/krb"));
        assert!(names("see `lab`, `xtask`", "lab"));
        assert!(!names("a lab for all", "lab"));
    }

    #[test]
    fn packages_are_the_folders_of_manifests() {
        let files = [
            "Cargo.toml",
            "crates/krb/Cargo.toml",
            "lab/Cargo.toml",
            "lab/src/lib.rs",
        ]
        .map(PathBuf::from);
        assert_eq!(packages(&files), ["crates/krb", "lab"]);
    }
}
