//! Installing what the test world needs: Debian packages, and nothing else.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crossrealm_lab::need;
use crossrealm_programs::table::PACKAGING;
use crossrealm_programs::{find, packages};

use crate::Outcome;
use crate::process::{command, run as run_command};

/// Debian asks this program before it starts a service; exit code 101 means "do not".
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs what is missing, or says what it would need.
pub(crate) fn run() -> Outcome {
    let missing = packages::missing();
    if missing.is_empty() {
        eprintln!("setup: every Debian package of the test world is installed");
        return Ok(());
    }
    install(&missing, "the test world")?;
    match packages::missing().as_slice() {
        [] => Ok(()),
        still => Err(format!(
            "apt-get succeeded, but these packages do not hold what was expected: {}",
            still.join(" ")
        )),
    }
}

/// Installs what makes and boots packages: those of these programs that are missing.
pub(crate) fn packaging(programs: &[&str]) -> Outcome {
    let packages = PACKAGING.iter().filter(|(_, of)| {
        of.iter()
            .any(|name| programs.contains(name) && find(name).is_none())
    });
    let missing: Vec<&str> = packages.map(|(package, _)| *package).collect();
    match missing.as_slice() {
        [] => Ok(()),
        missing => install(missing, "packaging"),
    }
}

fn install(missing: &[&str], purpose: &str) -> Outcome {
    let what = missing.join(" ");
    if !Path::new("/etc/debian_version").exists() || find("apt-get").is_none() {
        let needs = format!(
            "{purpose} needs Debian 12 or newer; what these Debian packages hold is missing here"
        );
        return Err(format!("{needs}: {what}"));
    }
    if !need::is_root() {
        let hint = "hint: run it as root";
        return Err(format!(
            "these Debian packages are missing, and only root can install them: {what}\n\n{hint}"
        ));
    }
    eprintln!(
        "setup: installing {} Debian packages; none of their services is started now",
        missing.len()
    );
    eprintln!("setup: {what}");
    let _policy = NoServices::hold()?;
    run_command(&mut apt(&["update", "-q"]))?;
    let options = [
        "install",
        "-q",
        "-y",
        "--no-install-recommends",
        "-o",
        "Dpkg::Options::=--force-confold",
    ];
    run_command(apt(&options).args(missing))
}

fn apt(arguments: &[&str]) -> Command {
    let mut apt = command("apt-get", arguments);
    apt.env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C.UTF-8");
    apt
}

/// While this lives, Debian starts no service it installs. An administrator's own policy is left alone.
struct NoServices {
    ours: bool,
}

impl NoServices {
    fn hold() -> Result<Self, String> {
        let path = Path::new(POLICY);
        let ours = !path.exists();
        if ours {
            let written = std::fs::write(path, "#!/bin/sh\nexit 101\n").and_then(|()| {
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
            });
            written.map_err(|error| format!("cannot write {POLICY}: {error}"))?;
        }
        Ok(Self { ours })
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours {
            let _ = std::fs::remove_file(POLICY);
        }
    }
}
