//! `cargo xtask samba`: the tests of the SMB host once more, on the Samba of Debian's backports.
//!
//! Debian 12 has Samba 4.17, its backports have 4.22. Their packages are downloaded from this machine's own mirror and unpacked
//! into a folder; nothing is installed. Only the hosts of the tests see it (`crossrealm_lab::HOST_SAMBA`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crossrealm_lab::{HOST_SAMBA, MARK, need};

use crate::bare::{cache_folder, remove, remove_leftovers, root};
use crate::process::{cargo, command, output, run as run_command};
use crate::{Outcome, setup};

/// The suite of newer packages, built for Debian 12.
const SUITE: &str = "bookworm-backports";
/// The keys that sign Debian's suites.
const KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// What a host runs; apt adds what these need in a newer version.
const PACKAGES: [&str; 8] = [
    "libnss-winbind",
    "samba",
    "samba-ad-dc",
    "samba-common-bin",
    "samba-testsuite",
    "samba-vfs-modules",
    "smbclient",
    "winbind",
];
/// The test programs with an SMB host in them.
const TESTS: [&str; 4] = ["host", "host_outage", "files", "volumes"];

/// Runs the tests; arguments go to each test program.
pub(crate) fn run(arguments: &[&str]) -> Outcome {
    if !need::is_root() {
        return Err("the tests of the SMB host make namespaces: run them as root".to_owned());
    }
    setup::run()?;
    let folder = unpacked()?;
    let binary = crossrealm_lab::build_product().map_err(|failure| failure.to_string())?;
    // The whole workspace, so that nothing is built in another way than for the other tests.
    let mut test = cargo(&["test", "--workspace", "--locked", "--no-fail-fast"]);
    test.args(TESTS.iter().flat_map(|name| ["--test", name]));
    test.arg("--").args(arguments);
    test.env(HOST_SAMBA, &folder)
        .env("CROSSREALM_BIN", binary)
        .env(need::REQUIRE_WORLD, "1");
    run_command(&mut test)
}

/// The folder with the packages' `/usr`, made where it is not there.
fn unpacked() -> Result<PathBuf, String> {
    let cache = cache_folder()?;
    remove_leftovers(&cache);
    let draft = cache.join(format!("draft-{}", std::process::id()));
    let made = make(&cache, &draft);
    remove(&draft);
    made.map_err(|reason| format!("cannot get the Samba of `{SUITE}`: {reason}"))
}

fn make(cache: &Path, draft: &Path) -> Result<PathBuf, String> {
    let packages = draft.join("packages");
    make_folders(&[&packages, &draft.join("lists/partial")])?;
    let mirror = root::mirror()?;
    let mut lines = root::source_lines_of_this_machine()?;
    lines.push(format!("deb [signed-by={KEYS}] {mirror} {SUITE} main"));
    write(&draft.join("sources.list"), lines.join("\n") + "\n")?;
    run_command(apt(draft, &["update", "-q"]).env("LC_ALL", "C.UTF-8"))?;
    let wanted = newer(&output(
        apt(draft, &["install", "--simulate", "--no-install-recommends"]).args(PACKAGES),
    )?);
    let version = wanted.iter().find(|package| package.name == "samba");
    let version = version.map(|package| package.version.as_str());
    let version = version.ok_or("it is not newer than the one of this machine")?;
    let folder = cache.join(format!("samba-{version}"));
    if folder.join(MARK).exists() {
        return Ok(folder);
    }
    let names = wanted
        .iter()
        .map(|package| format!("{}={}", package.name, package.version));
    let mut download = apt(draft, &["download", "-q"]);
    run_command(download.args(names).current_dir(&packages))?;
    let unpacked = draft.join("root");
    for package in fs::read_dir(&packages).map_err(|error| error.to_string())? {
        let package = package.map_err(|error| error.to_string())?.path();
        let mut unpack = command("dpkg-deb", &["--extract"]);
        run_command(unpack.arg(package).arg(&unpacked))?;
    }
    // Packages of before the merger of `/` and `/usr` have folders beside `usr`.
    for folder in ["bin", "lib", "sbin"] {
        let from = unpacked.join(folder);
        if from.is_dir() {
            let to = unpacked.join("usr").join(folder);
            make_folders(&[&to])?;
            run_command(command("cp", &["-aT", "--"]).arg(from).arg(to))?;
        }
    }
    write(&unpacked.join("usr").join(MARK), version.to_owned())?;
    fs::rename(unpacked.join("usr"), &folder)
        .map_err(|error| format!("cannot rename to `{}`: {error}", folder.display()))?;
    Ok(folder)
}

/// A package that apt would install.
#[derive(Debug, PartialEq, Eq)]
struct Package {
    name: String,
    version: String,
}

/// The packages of a simulated installation that are of the backports, or missing here: `Inst NAME [OLD] (NEW ORIGIN …`.
fn newer(simulation: &str) -> Vec<Package> {
    let lines = simulation
        .lines()
        .filter_map(|line| line.strip_prefix("Inst "));
    let packages = lines.filter_map(|line| {
        let name = line.split(' ').next()?;
        let version = line.split('(').nth(1)?.split(' ').next()?;
        Some(Package {
            name: name.to_owned(),
            version: version.to_owned(),
        })
    });
    packages.collect()
}

/// `apt-get` with sources, lists and a cache of its own, and the packages that are installed here.
fn apt(draft: &Path, arguments: &[&str]) -> Command {
    let of = |file: &str| draft.join(file).display().to_string();
    let mut apt = command("apt-get", &[]);
    for (name, value) in [
        ("Dir::Etc::SourceList", of("sources.list")),
        ("Dir::Etc::SourceParts", "/dev/null".to_owned()),
        ("Dir::State::Lists", of("lists")),
        ("Dir::Cache", of("cache")),
        // What it downloads, it does as root into a folder that only root reads.
        ("APT::Sandbox::User", "root".to_owned()),
    ] {
        apt.arg("-o").arg(format!("{name}={value}"));
    }
    apt.args(["-t", SUITE]).args(arguments);
    apt
}

fn make_folders(folders: &[&Path]) -> Outcome {
    for folder in folders {
        fs::create_dir_all(folder)
            .map_err(|error| format!("cannot create `{}`: {error}", folder.display()))?;
    }
    Ok(())
}

fn write(file: &Path, text: String) -> Outcome {
    fs::write(file, text).map_err(|error| format!("cannot write `{}`: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_read_from_a_simulation() {
        let simulation = "Remv samba [2:4.17]\n\
            Inst samba [2:4.17] (2:4.22.6~bpo12+1 Debian Backports:x [amd64])\n\
            Inst python3-markdown (3.4.1-2 Debian:12 [all]) []\n\
            Conf samba (2:4.22.6~bpo12+1 Debian Backports:x [amd64])\n";
        let found = newer(simulation);
        let shown: Vec<_> = found
            .iter()
            .map(|package| (package.name.as_str(), package.version.as_str()))
            .collect();
        assert_eq!(
            shown,
            [
                ("samba", "2:4.22.6~bpo12+1"),
                ("python3-markdown", "3.4.1-2")
            ]
        );
    }
}
