//! Dependency rules: which crate may depend on which.
//!
//! `types ← krb ← kdc ← directory ← cloud`, `krb ← {onprem, files}`, `types ← api ← {cloud, files, agent, doctor, cli}`,
//! `onprem ← {agent, doctor, cli}`, `agent, doctor ← cli`; `cli` depends on `cloud` only to mount `init` and `serve`. The core
//! crates (`types`, `krb`, `kdc`) must not reach a runtime, socket, clock, source of randomness or SQL library through any
//! dependency.

use std::collections::BTreeSet;

use crate::metadata::{self, Graph};
use crate::{Outcome, process};

/// Our crates and the crates of ours each may use.
const ALLOWED: &[(&str, &[&str])] = &[
    ("crossrealm-types", &[]),
    ("crossrealm-os", &[]),
    ("crossrealm-krb", &["crossrealm-types"]),
    ("crossrealm-kdc", &["crossrealm-types", "crossrealm-krb"]),
    (
        "crossrealm-directory",
        &[
            "crossrealm-os",
            "crossrealm-types",
            "crossrealm-krb",
            "crossrealm-kdc",
        ],
    ),
    (
        "crossrealm-onprem",
        &["crossrealm-os", "crossrealm-types", "crossrealm-krb"],
    ),
    ("crossrealm-api", &["crossrealm-types"]),
    (
        "crossrealm-agent",
        &[
            "crossrealm-os",
            "crossrealm-types",
            "crossrealm-onprem",
            "crossrealm-api",
        ],
    ),
    (
        "crossrealm-cloud",
        &[
            "crossrealm-os",
            "crossrealm-types",
            "crossrealm-krb",
            "crossrealm-kdc",
            "crossrealm-directory",
            "crossrealm-api",
        ],
    ),
    (
        "crossrealm-files",
        &[
            "crossrealm-os",
            "crossrealm-types",
            "crossrealm-krb",
            "crossrealm-api",
        ],
    ),
    (
        "crossrealm-doctor",
        &[
            "crossrealm-types",
            "crossrealm-os",
            "crossrealm-krb",
            "crossrealm-api",
            "crossrealm-onprem",
        ],
    ),
    (
        "crossrealm-cli",
        &[
            "crossrealm-types",
            "crossrealm-os",
            "crossrealm-api",
            "crossrealm-agent",
            "crossrealm-cloud",
            "crossrealm-doctor",
            "crossrealm-files",
            // Its types alone: credentials and the scope of a sync are parsed from options, and what agent returns is printed.
            "crossrealm-onprem",
        ],
    ),
    (
        "crossrealm-testkit",
        &[
            "crossrealm-os",
            "crossrealm-types",
            "crossrealm-krb",
            "crossrealm-kdc",
            "crossrealm-api",
        ],
    ),
    (
        "crossrealm-fuzz-oracles",
        &[
            "crossrealm-types",
            "crossrealm-krb",
            "crossrealm-kdc",
            "crossrealm-api",
            "crossrealm-files",
            "crossrealm-testkit",
        ],
    ),
    ("crossrealm-programs", &[]),
    ("crossrealm-lab", &["crossrealm-programs"]),
    (
        "crossrealm-chaos",
        &[
            "crossrealm-api",
            "crossrealm-lab",
            "crossrealm-programs",
            "crossrealm-testkit",
            "crossrealm-types",
        ],
    ),
    (
        "crossrealm-benches",
        &[
            "crossrealm-types",
            "crossrealm-krb",
            "crossrealm-kdc",
            "crossrealm-directory",
            "crossrealm-api",
            "crossrealm-lab",
            "crossrealm-programs",
            "crossrealm-testkit",
        ],
    ),
    (
        "crossrealm-conformance",
        &["crossrealm-lab", "crossrealm-types"],
    ),
    (
        "xtask",
        &[
            "crossrealm-lab",
            "crossrealm-conformance",
            "crossrealm-programs",
        ],
    ),
];

/// Crates, and what must not be anywhere in their trees of run-time dependencies.
const UNREACHABLE: &[(&[&str], &[&str])] = &[
    (
        &["crossrealm-types", "crossrealm-krb", "crossrealm-kdc"],
        NOT_IN_CORE,
    ),
    // The console and other programs use them, too.
    (&["crossrealm-agent", "crossrealm-doctor"], &["clap"]),
];

/// Runtimes, sockets, clocks, operating system randomness and SQL.
const NOT_IN_CORE: &[&str] = &[
    "async-io",
    "async-std",
    "axum",
    "crossrealm-os",
    "fastrand",
    "futures-executor",
    "getrandom",
    "hickory-resolver",
    "hyper",
    "mio",
    "native-tls",
    "openssl",
    "rand",
    "reqwest",
    "rusqlite",
    "rustls",
    "smol",
    "socket2",
    "sqlx",
    "sqlx-core",
    "tokio",
];

/// Checks the workspace.
pub(crate) fn run() -> Outcome {
    let mut found = breaches(&metadata::load()?);
    let trees = UNREACHABLE.iter();
    for (package, forbidden) in
        trees.flat_map(|(packages, forbidden)| packages.iter().map(move |one| (one, forbidden)))
    {
        // A tree of this package alone: what other crates switch on in a shared dependency is not its doing, and
        // procedural macros run in the compiler, never in the product.
        let tree = [
            "tree",
            "--locked",
            "--package",
            package,
            "--edges",
            "normal,no-proc-macro",
            "--prefix",
            "none",
        ];
        let tree = process::output(&mut process::cargo(&tree))?;
        found.extend(forbidden_in(package, &tree, forbidden));
    }
    if found.is_empty() {
        Ok(())
    } else {
        Err(format!(
            "dependency rules are broken:\n  {}",
            found.join("\n  ")
        ))
    }
}

/// Every edge that must not be.
pub(crate) fn breaches(graph: &Graph) -> Vec<String> {
    let mut found = Vec::new();
    for package in graph.values().filter(|package| package.member) {
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == package.name) else {
            found.push(format!(
                "`{}` has no line in xtask/src/dependencies.rs: say what it may depend on",
                package.name
            ));
            continue;
        };
        let ours = package
            .normal
            .iter()
            .filter_map(|id| graph.get(id))
            .filter(|dependency| dependency.member);
        found.extend(
            ours.filter(|dependency| !allowed.contains(&dependency.name.as_str()))
                .map(|dependency| {
                    format!(
                        "`{}` must not depend on `{}`",
                        package.name, dependency.name
                    )
                }),
        );
    }
    found
}

/// What must not be among the lines `name vVERSION …` of a dependency tree.
fn forbidden_in(package: &str, tree: &str, forbidden: &[&str]) -> Vec<String> {
    let names: BTreeSet<&str> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    let reached = forbidden.iter().filter(|name| names.contains(*name));
    reached
        .map(|name| {
            format!(
                "`{package}` must not reach `{name}`: see `cargo tree -p {package} -e normal -i {name}`"
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Package;

    fn graph(edges: &[(&str, &[&str])]) -> Graph {
        let names: BTreeSet<&str> = edges
            .iter()
            .flat_map(|(from, to)| to.iter().chain([from]))
            .copied()
            .collect();
        names
            .into_iter()
            .map(|name| {
                let normal = edges
                    .iter()
                    .find(|(from, _)| *from == name)
                    .map_or(&[][..], |(_, to)| to);
                let normal = normal.iter().map(|to| (*to).to_owned()).collect();
                let member = name.starts_with("crossrealm") || name == "xtask";
                (
                    name.to_owned(),
                    Package {
                        name: name.into(),
                        member,
                        normal,
                        ..Package::default()
                    },
                )
            })
            .collect()
    }

    #[test]
    fn the_intended_dependencies_are_allowed() {
        let intended = graph(&[
            ("crossrealm-kdc", &["crossrealm-krb", "thiserror"]),
            ("crossrealm-directory", &["crossrealm-kdc", "sqlx"]),
            (
                "crossrealm-cloud",
                &["crossrealm-directory", "crossrealm-api", "tokio"],
            ),
            (
                "crossrealm-cli",
                &["crossrealm-cloud", "crossrealm-onprem", "crossrealm-files"],
            ),
        ]);
        assert_eq!(breaches(&intended), Vec::<String>::new());
    }

    #[test]
    fn an_inner_crate_must_not_depend_on_an_outer_one() {
        let broken = graph(&[
            ("crossrealm-krb", &["crossrealm-kdc"]),
            ("crossrealm-cli", &["crossrealm-directory"]),
        ]);
        let found = breaches(&broken);
        assert!(
            found.contains(&"`crossrealm-krb` must not depend on `crossrealm-kdc`".to_owned()),
            "{found:?}"
        );
        assert!(
            found
                .contains(&"`crossrealm-cli` must not depend on `crossrealm-directory`".to_owned()),
            "{found:?}"
        );
    }

    #[test]
    fn indirect_dependencies_of_core_crates_are_checked() {
        let tree = "crossrealm-krb v0.1.0 (/x)\naes v0.9.4\ncipher v0.5.0\ntokio v1.54.0\naes v0.9.4 (*)\n";
        let found = forbidden_in("crossrealm-krb", tree, NOT_IN_CORE);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("must not reach `tokio`"), "{found:?}");
        assert!(
            forbidden_in(
                "crossrealm-krb",
                "crossrealm-krb v0.1.0\ntokio-like v1.0.0\n",
                NOT_IN_CORE
            )
            .is_empty()
        );
    }

    #[test]
    fn a_crate_without_a_rule_is_refused() {
        assert_eq!(breaches(&graph(&[("crossrealm-attic", &[])])).len(), 1);
    }
}
