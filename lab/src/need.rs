//! What the test world needs of the machine, and the message where something is missing.

use std::path::Path;

use crossrealm_programs::{command, packages};

/// Whether this process may make namespaces: its effective user is root.
pub fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))
        .and_then(|ids| ids.split_whitespace().nth(1))
        .is_some_and(|effective| effective == "0")
}

/// Why the test world cannot run here; `None` when it can.
pub fn unmet() -> Option<String> {
    if std::env::consts::OS != "linux" {
        return Some(format!(
            "the test world needs Linux (network namespaces, Samba); this is {}",
            std::env::consts::OS
        ));
    }
    if !is_root() {
        return Some("the test world needs root: it makes network and mount namespaces and starts a domain controller. Run it again as root".into());
    }
    let missing = packages::missing();
    if missing.is_empty() {
        return None;
    }
    Some(format!(
        "missing Debian packages: {}. `cargo xtask setup` installs them",
        missing.join(" ")
    ))
}

/// When this variable is set, a test that would be skipped fails instead.
pub const REQUIRE_WORLD: &str = "CROSSREALM_REQUIRE_WORLD";

/// Whether the tests of a test world must be skipped; reports it on standard error.
///
/// # Panics
/// When they must not be: `CROSSREALM_REQUIRE_WORLD` is set, as CI does.
pub fn skipped() -> bool {
    let Some(reason) = unmet() else { return false };
    skip(&reason);
    true
}

/// Reports on standard error that a test cannot run here.
///
/// # Panics
/// When it must: [`REQUIRE_WORLD`] is set, as CI does.
pub fn skip(reason: &str) {
    assert!(std::env::var_os(REQUIRE_WORLD).is_none(), "{reason}");
    eprintln!("\n*** SKIPPED, NOTHING WAS TESTED: {reason} ***\n");
}

/// Whether a test of this file system, on a loop device, must be skipped, since the kernel lacks one of both, which no package
/// brings; reports it on standard error.
pub fn skipped_without(file_system: &str) -> bool {
    let kernel = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let is_there = kernel.split_whitespace().any(|word| word == file_system) || load(file_system);
    let has_loop = Path::new("/dev/loop-control").exists() || load("loop");
    if is_there && has_loop {
        return false;
    }
    eprintln!(
        "\n*** SKIPPED, NOTHING WAS TESTED: the kernel has no {file_system} or no loop devices ***\n"
    );
    true
}

fn load(module: &str) -> bool {
    let loaded = command("modprobe").arg(module).status();
    loaded.is_ok_and(|status| status.success())
}
