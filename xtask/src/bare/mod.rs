//! `cargo xtask bare`: the README's commands on a machine that has nothing.
//!
//! The machine is a minimal Debian 12 in a folder, with git, a C linker and this machine's Rust toolchain, entered with mount,
//! PID, UTS and IPC namespaces of its own. It shares the network, because cargo, apt and pip must reach their registries; the
//! lab makes its own network namespaces inside. What a developer once installed by hand is not there, so a program that the
//! table of `crossrealm-programs` does not name is found missing.

mod machine;
pub(crate) mod root;

use std::path::{Path, PathBuf};

use crossrealm_lab::need;

use crate::process::{self, command, output};
use crate::{Outcome, setup};
use machine::Machine;

/// Free space that a run takes, in MiB: the packages, and with the long form also a build of the workspace.
const SHORT_MIB: u64 = 4_000;
const LONG_MIB: u64 = 16_000;

/// Runs the long form, or with `--short` the one of CI.
pub(crate) fn run(arguments: &[&str]) -> Outcome {
    let short = match arguments {
        [] => false,
        ["--short"] => true,
        _ => return Err("usage: cargo xtask bare [--short]".to_owned()),
    };
    if !need::is_root() {
        return Err(
            "`cargo xtask bare` makes namespaces and a root file system: run it as root".to_owned(),
        );
    }
    setup::run()?;
    let cache = cache_folder()?;
    demand_space(&cache, if short { SHORT_MIB } else { LONG_MIB })?;
    remove_leftovers(&cache);
    let pristine = root::cached(&cache)?;
    let machine = Machine::new(&pristine, &cache)?;
    match short {
        true => {
            machine.cargo_xtask("setup")?;
            machine.cargo_xtask("programs")
        }
        false => {
            // Both, so that one run shows all that is missing.
            let demo = machine.cargo_xtask("demo");
            let test = machine.cargo_xtask("test");
            demo.and(test)
        }
    }
}

/// Where the pristine root is kept: beyond one clone of the repository, since it takes a minute to make.
pub(crate) fn cache_folder() -> Result<PathBuf, String> {
    let variable = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let base = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    let folder = base
        .ok_or("neither XDG_CACHE_HOME nor HOME is set")?
        .join("crossrealm/bare");
    std::fs::create_dir_all(&folder)
        .map_err(|error| format!("cannot create `{}`: {error}", folder.display()))?;
    Ok(folder)
}

pub(crate) fn demand_space(folder: &Path, needed_mib: u64) -> Outcome {
    let mut df = command("df", &["--output=avail", "--block-size=1M"]);
    let text = output(df.arg(folder))?;
    let free_mib: u64 = text
        .lines()
        .last()
        .and_then(|line| line.trim().parse().ok())
        .ok_or_else(|| format!("`df` printed no free space: {text}"))?;
    match free_mib >= needed_mib {
        true => Ok(()),
        false => Err(format!(
            "`{}` has {free_mib} MiB free, {needed_mib} MiB are needed",
            folder.display()
        )),
    }
}

/// Removes the folders of runs that were killed. Their mounts went with their namespaces.
pub(crate) fn remove_leftovers(cache: &Path) {
    let entries = std::fs::read_dir(cache).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name
            .strip_prefix("run-")
            .or_else(|| name.strip_prefix("draft-"));
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            remove(&entry.path());
        }
    }
}

/// Removes a root file system.
pub(crate) fn remove(folder: &Path) {
    let removed = process::run(command("rm", &["-rf", "--one-file-system", "--"]).arg(folder));
    if let Err(reason) = removed {
        eprintln!("warning: {reason}");
    }
}
