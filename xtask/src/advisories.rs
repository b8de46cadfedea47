//! `cargo xtask advisories --db FOLDER`: the locked dependencies against a copy of the RustSec advisory database.
//!
//! Nothing is fetched: the caller says where the copy lies. A vulnerability or an unsound crate fails the check; an unmaintained or yanked
//! one is printed. Exceptions stand in [`ACCEPTED`], each with its reason.

use std::path::{Path, PathBuf};

use rustsec::advisory::Informational;
use rustsec::{Advisory, Database, Lockfile};

use crate::{Outcome, process};

/// Where CI finds the database: beside the checkout.
const BESIDE: &str = "../shared/advisory-db";

/// Advisories that do not concern us, by id, and why.
const ACCEPTED: &[(&str, &str)] = &[];

/// Checks every lock file of the repository.
pub(crate) fn run(database: &Path) -> Outcome {
    let database = Database::open(database)
        .map_err(|error| format!("{}: no advisory database: {error}", database.display()))?;
    if database.iter().next().is_none() {
        return Err("the advisory database holds no advisory".into());
    }
    let mut fatal = Vec::new();
    for name in ["Cargo.lock", "fuzz/Cargo.lock"] {
        let path = process::root().join(name);
        let lock = Lockfile::load(&path).map_err(|error| format!("{name}: {error}"))?;
        for package in &lock.packages {
            for advisory in database
                .iter()
                .filter(|advisory| concerns(advisory, package))
            {
                let line = describe(name, package, advisory);
                if is_fatal(advisory) {
                    fatal.push(line);
                } else {
                    eprintln!("warning: {line}");
                }
            }
        }
    }
    if fatal.is_empty() {
        eprintln!(
            "{} advisories, none concerns a locked crate",
            database.iter().count()
        );
        Ok(())
    } else {
        Err(format!(
            "vulnerable dependencies:\n  {}",
            fatal.join("\n  ")
        ))
    }
}

/// The check as CI runs it: with the database beside the checkout where there is one.
pub(crate) fn run_beside() -> Outcome {
    let beside: PathBuf = process::root().join(BESIDE);
    if !beside.is_dir() {
        eprintln!(
            "skipped: no advisory database at {BESIDE}; `cargo xtask advisories --db FOLDER` checks against a copy elsewhere"
        );
        return Ok(());
    }
    run(&beside)
}

/// Whether an advisory is about this version of this package.
fn concerns(advisory: &Advisory, package: &rustsec::package::Package) -> bool {
    let from_registry = package
        .source
        .as_ref()
        .is_some_and(|source| source.is_remote_registry());
    from_registry
        && !advisory.withdrawn()
        && advisory.metadata.package == package.name
        && advisory.versions.is_vulnerable(&package.version)
        && !ACCEPTED.iter().any(|(id, _)| *id == advisory.id().as_str())
}

/// Vulnerabilities and unsoundness are; notices that a crate is no longer maintained are not.
fn is_fatal(advisory: &Advisory) -> bool {
    !matches!(
        advisory.metadata.informational,
        Some(Informational::Unmaintained | Informational::Notice | Informational::Other(_))
    )
}

fn describe(lock: &str, package: &rustsec::package::Package, advisory: &Advisory) -> String {
    let patched = advisory.versions.patched();
    let mend = match patched {
        [] => "no version is patched".to_owned(),
        versions => {
            let versions: Vec<String> = versions.iter().map(ToString::to_string).collect();
            format!("patched in {}", versions.join(" or "))
        }
    };
    format!(
        "{lock}: {} {}: {} {} ({mend})",
        package.name,
        package.version,
        advisory.id(),
        advisory.title()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = "version = 4\n\n[[package]]\nname = \"example\"\nversion = \"1.2.0\"\nsource = \"registry+https://registry.cloud.example/index\"\n";

    fn advisory(more: &str, patched: &str) -> Advisory {
        let text = format!(
            "```toml\n[advisory]\nid = \"RUSTSEC-2099-0001\"\npackage = \"example\"\ndate = \"2099-01-01\"\n{more}\n[versions]\npatched = [{patched}]\n```\n\n# A hole\n\nText.\n"
        );
        text.parse().unwrap()
    }

    fn package() -> rustsec::package::Package {
        LOCK.parse::<Lockfile>().unwrap().packages.remove(0)
    }

    #[test]
    fn a_version_below_the_patched_one_is_reported_with_the_way_out() {
        let advisory = advisory("", "\">= 1.2.1\"");
        assert!(concerns(&advisory, &package()) && is_fatal(&advisory));
        let line = describe("Cargo.lock", &package(), &advisory);
        assert!(
            line.contains("example 1.2.0: RUSTSEC-2099-0001 A hole (patched in >=1.2.1)"),
            "{line}"
        );
    }

    #[test]
    fn patched_withdrawn_and_unmaintained_do_not_fail() {
        assert!(!concerns(&advisory("", "\">= 1.2.0\""), &package()));
        assert!(!concerns(
            &advisory("withdrawn = \"2099-02-01\"", ""),
            &package()
        ));
        let unmaintained = advisory("informational = \"unmaintained\"", "");
        assert!(concerns(&unmaintained, &package()) && !is_fatal(&unmaintained));
        assert!(is_fatal(&advisory("informational = \"unsound\"", "")));
    }

    #[test]
    fn a_folder_that_is_no_database_is_refused() {
        assert!(run(Path::new("/no/such/folder")).is_err());
    }
}
