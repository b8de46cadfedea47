//! A copy of the pristine root for one run, with a copy of the repository in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::remove;
use crate::Outcome;
use crate::process::{command, output, root as repository, run, run_as};

/// Where the repository lies in the machine.
const REPOSITORY: &str = "/root/crossrealm";
/// Where the Rust toolchain is mounted.
const TOOLCHAIN: &str = "/usr/local/rust";
/// Enters the root `$1`, a mount point, with the toolchain `$2` at `$3`; the rest is the command.
const ENTER: &str = r#"set -e
root=$1 toolchain=$2 place=$3
shift 3
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=755 run "$root/run"
mount --bind "$toolchain" "$root$place"
mount -o remount,bind,ro "$root$place"
echo bare >/proc/sys/kernel/hostname
# This shell is the first process of its namespace and reaps orphans, as an init does.
chroot "$root" "$@" &
wait $!"#;
/// Variables that say how cargo, apt and pip reach their registries.
const CARRIED: [&str; 8] = [
    "CARGO_HTTP_",
    "CARGO_NET_",
    "CARGO_REGISTR",
    "CARGO_SOURCE_",
    "CURL_CA_BUNDLE",
    "PIP_",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_",
];
/// Files that say the same.
const FILES: [&str; 3] = ["/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf"];
/// The same in the home folder.
const HOME_FILES: [&str; 3] = [
    ".cargo/config.toml",
    ".config/pip/pip.conf",
    ".pip/pip.conf",
];

/// A machine that is removed on drop.
pub(super) struct Machine {
    root: PathBuf,
    toolchain: PathBuf,
    variables: Vec<(String, String)>,
}

impl Drop for Machine {
    fn drop(&mut self) {
        remove(&self.root);
    }
}

impl Machine {
    /// Copies the root and the repository.
    pub(super) fn new(pristine: &Path, cache: &Path) -> Result<Self, String> {
        let machine = Self {
            root: cache.join(format!("run-{}", std::process::id())),
            toolchain: toolchain()?,
            variables: carried(),
        };
        run(command("cp", &["-aT", "--reflink=auto", "--"])
            .arg(pristine)
            .arg(&machine.root))?;
        machine.make_folder(TOOLCHAIN)?;
        machine.copy_settings()?;
        machine.copy_repository()?;
        Ok(machine)
    }

    /// Runs one of the README's commands in it.
    pub(super) fn cargo_xtask(&self, name: &str) -> Outcome {
        let line = format!("(on the bare machine) cargo xtask {name}");
        run_as(&line, self.enter().args(["cargo", "xtask", name]))
    }

    /// Its namespaces end with this process, and with them every process and mount inside.
    fn enter(&self) -> Command {
        let shell = crossrealm_programs::shell(ENTER);
        let mut enter = command(
            "setpriv",
            &[
                "--pdeathsig",
                "KILL",
                "--",
                "unshare",
                "--mount",
                "--pid",
                "--fork",
                "--kill-child",
            ],
        );
        enter
            .args(["--uts", "--ipc", "--"])
            .arg(shell.get_program())
            .args(shell.get_args());
        enter.arg(&self.root).arg(&self.toolchain).arg(TOOLCHAIN);
        enter.args([
            "env",
            "-i",
            "-C",
            REPOSITORY,
            "HOME=/root",
            "LC_ALL=C.UTF-8",
        ]);
        enter.arg(format!(
            "PATH={TOOLCHAIN}/bin:{}",
            crossrealm_programs::PATH
        ));
        enter.args(
            self.variables
                .iter()
                .map(|(name, value)| format!("{name}={value}")),
        );
        enter
    }

    fn inside(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    fn make_folder(&self, path: &str) -> Outcome {
        let folder = self.inside(path);
        std::fs::create_dir_all(&folder)
            .map_err(|error| format!("cannot create `{}`: {error}", folder.display()))
    }

    /// Copies a file to the path `to` in the machine; one that is not here is left out.
    fn copy(&self, from: &Path, to: &str) -> Outcome {
        if !from.is_file() {
            return Ok(());
        }
        let place = self.inside(to);
        place
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .map_err(|error| format!("cannot create the folder of `{to}`: {error}"))?;
        let copied = std::fs::copy(from, &place);
        copied
            .map(drop)
            .map_err(|error| format!("cannot copy `{}`: {error}", from.display()))
    }

    fn copy_settings(&self) -> Outcome {
        for file in FILES {
            self.copy(Path::new(file), file)?;
        }
        let home = std::env::var_os("HOME")
            .map(PathBuf::from)
            .unwrap_or_default();
        for file in HOME_FILES {
            self.copy(&home.join(file), &format!("/root/{file}"))?;
        }
        // A certificate that a variable names must be there; what the machine has itself is newer.
        for (_, value) in self
            .variables
            .iter()
            .filter(|(_, value)| value.starts_with('/'))
        {
            if !self.inside(value).exists() {
                self.copy(Path::new(value), value)?;
            }
        }
        Ok(())
    }

    /// The last commit, and over it what is in the working tree and not ignored.
    fn copy_repository(&self) -> Outcome {
        let clone = command(
            "git",
            &["clone", "--quiet", "--no-local", "--depth", "1", "--"],
        );
        let mut clone = clone;
        run(clone
            .arg(format!("file://{}", repository().display()))
            .arg(self.inside(REPOSITORY)))?;
        let listed = output(&mut command(
            "git",
            &[
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ],
        ))?;
        for file in listed.split('\0').filter(|file| !file.is_empty()) {
            let (here, there) = (repository().join(file), format!("{REPOSITORY}/{file}"));
            match here.exists() {
                true => self.copy(&here, &there)?,
                // Deleted in the working tree.
                false => {
                    let _ = std::fs::remove_file(self.inside(&there));
                }
            }
        }
        Ok(())
    }
}

/// The toolchain of the cargo that runs this: `bin/cargo` and `bin/rustc` in one folder.
fn toolchain() -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO")
        .map(PathBuf::from)
        .ok_or("run it by `cargo xtask bare`")?;
    let folder = cargo.parent().and_then(Path::parent).unwrap_or(&cargo);
    match folder.join("bin/rustc").is_file() && folder.join("lib/rustlib").is_dir() {
        true => Ok(folder.to_owned()),
        false => Err(format!(
            "there is no Rust toolchain around `{}`",
            cargo.display()
        )),
    }
}

fn carried() -> Vec<(String, String)> {
    let is_carried = |name: &str| {
        name.to_uppercase().ends_with("_PROXY")
            || CARRIED.iter().any(|begin| name.starts_with(begin))
    };
    std::env::vars()
        .filter(|(name, _)| is_carried(name))
        .collect()
}
