//! `cargo xtask installed`: the Debian packages as an operator meets them, on a Debian 12 made by `debootstrap` and booted by
//! `systemd-nspawn`: installed by apt from a local folder, set up with the README's commands, reloaded, restarted and upgraded under
//! clients, broken in the ways that machines break, removed and purged.
//!
//! The packages hold the development build of the product, unless `--dist` takes those of `dist/`. `--short`, the form of CI, leaves
//! out Samba, and with it the SMB host, and what takes long.

mod clients;
mod faults;
mod life;
mod machine;
mod other_forms;
mod previous;
mod smb_host;
mod stranger;

use std::path::{Path, PathBuf};

use crossrealm_lab::need;

use crate::package::{self, Release};
use crate::process::{command, output, root as repository, run as run_command};
use crate::{Outcome, bare, setup};
use machine::{Machine, Root};

/// Where the packages are in the machine.
const PACKAGES: &str = "/packages";
/// Free space that a run takes, in MiB.
const NEEDED_MIB: u64 = 4_000;
/// What `crossrealm` depends on beyond a minimal Debian.
const NEEDS: &[&str] = &["ca-certificates"];
/// What `crossrealm-smb-host` depends on.
const SMB_HOST_NEEDS: &[&str] = &[
    "samba",
    "samba-vfs-modules",
    "winbind",
    "libnss-winbind",
    "attr",
    "acl",
];
/// The version of the packages that are installed first.
const EARLIER: &str = "0.2.0~earlier-1";

/// What is run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Short,
    Long,
}

/// Runs the long form, or with `--short` the one of CI.
pub(crate) fn run(arguments: &[&str]) -> Outcome {
    let (mut form, mut dist) = (Form::Long, false);
    for argument in arguments {
        match *argument {
            "--short" => form = Form::Short,
            "--dist" => dist = true,
            _ => return Err("usage: cargo xtask installed [--short] [--dist]".to_owned()),
        }
    }
    if !need::is_root() {
        return Err("`cargo xtask installed` boots a machine: run it as root".to_owned());
    }
    setup::run()?;
    setup::packaging(&["dpkg-shlibdeps", "systemd-analyze", "systemd-nspawn"])?;
    units_are_hardened()?;
    let cache = bare::cache_folder()?;
    bare::demand_space(&cache, NEEDED_MIB)?;
    bare::remove_leftovers(&cache);
    let pristine = bare::root::cached(&cache)?;
    let needs = match form {
        Form::Short => NEEDS.to_vec(),
        Form::Long => [NEEDS, SMB_HOST_NEEDS].concat(),
    };
    let root = Root::new(&pristine, &cache, &needs)?;
    let binary = product(dist)?;
    bring_packages(&root, &binary, form)?;
    let machine = Machine::boot(&root)?;
    life::install(&machine)?;
    life::set_up(&machine)?;
    life::sync_agent_starts(&machine)?;
    if form == Form::Long {
        faults::disk_is_full(&machine)?;
    }
    life::upgrade(&machine)?;
    life::documentation_is_served(&machine)?;
    life::runs_with_few_rights(&machine)?;
    life::configuration_is_reloaded(&machine)?;
    faults::credential_is_missing(&machine)?;
    faults::credential_is_damaged(&machine)?;
    faults::configuration_is_of_another_version(&machine)?;
    faults::port_is_taken(&machine)?;
    if form == Form::Long {
        smb_host::serves(&machine)?;
        faults::network_is_late(&machine)?;
        faults::service_hangs(&machine)?;
        faults::key_is_encrypted(&machine)?;
        faults::installation_is_interrupted(&machine)?;
        faults::schema_is_newer(&machine)?;
    }
    life::remove_and_purge(&machine, form)?;
    drop(machine);
    drop(root);
    match form {
        Form::Short => Ok(()),
        Form::Long => {
            stranger(&pristine, &cache, &needs)?;
            other_forms(&pristine, &cache, &binary)
        }
    }
}

/// The same binary as RPM and as image.
fn other_forms(pristine: &Path, cache: &Path, binary: &Path) -> Outcome {
    setup::packaging(&["rpm", "umoci"])?;
    let folder = repository().join("target/installed");
    let (dist, work) = (folder.join("other"), folder.join("work"));
    let release = Release::of_commit()?;
    package::rpm_and_image_of(&release, binary, &work, &dist)?;
    other_forms::image_serves(&dist, &work)?;
    let root = Root::new(pristine, cache, NEEDS)?;
    other_forms::rpm_serves(&root, &dist)
}

/// A machine that has never seen the product, with this version's packages at hand.
fn stranger(pristine: &Path, cache: &Path, needs: &[&str]) -> Outcome {
    let root = Root::new(pristine, cache, needs)?;
    let folder = repository().join("target/installed/new");
    let there = root.path(PACKAGES);
    std::fs::create_dir_all(&there).map_err(|error| error.to_string())?;
    run_command(command("cp", &["-a", "--"]).arg(folder).arg(there))?;
    offer(&root, "new")?;
    stranger::opens_a_share(&root)
}

/// The exposure that `systemd-analyze` sees in the units of the service and of the sync agent: 2.0 at most.
fn units_are_hardened() -> Outcome {
    for unit in ["crossrealm.service", "crossrealm-sync@.service"] {
        let path = repository().join("packaging/systemd").join(unit);
        let mut analyze = command(
            "systemd-analyze",
            &["security", "--offline=true", "--threshold=20", "--no-pager"],
        );
        output(analyze.arg(path))?;
    }
    Ok(())
}

/// The binary that is packaged.
fn product(dist: bool) -> Result<PathBuf, String> {
    if dist {
        return Ok(repository().join("target/package/build/release/crossrealm"));
    }
    let built = crossrealm_lab::build_product().map_err(|failure| failure.to_string())?;
    let folder = repository().join("target/installed");
    let stripped = folder.join("crossrealm");
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    // Megabytes of names for a debugger would be compressed twice.
    run_command(
        command("strip", &["--output-file"])
            .arg(&stripped)
            .arg(built),
    )?;
    Ok(stripped)
}

/// Puts an earlier and the present version of the packages into the machine, and makes a source of apt of them. The earlier one is that of an
/// earlier commit, or in the short form this one under a lower version.
fn bring_packages(root: &Root, binary: &Path, form: Form) -> Outcome {
    let there = root.path(PACKAGES);
    let release = Release::of_commit()?;
    let folder = repository().join("target/installed");
    let made = |version: &str, name: &str| {
        let to = folder.join(name);
        package::debian_of(&release, binary, version, &folder.join("stage"), &to)
    };
    made("", "new")?;
    match form {
        Form::Short => made(EARLIER, "earlier")?,
        Form::Long => previous::packages(&folder.join("earlier"))?,
    }
    std::fs::create_dir_all(&there).map_err(|error| error.to_string())?;
    for name in ["earlier", "new"] {
        run_command(
            command("cp", &["-a", "--"])
                .arg(folder.join(name))
                .arg(&there),
        )?;
    }
    offer(root, "earlier")
}

/// Lets apt know the packages of one of the two folders.
fn offer(root: &Root, name: &str) -> Outcome {
    let folder = root.path(PACKAGES).join(name);
    let mut index = String::new();
    for file in package::files_of(&folder, ".deb")? {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        index += output(command("dpkg-deb", &["--field"]).arg(&file))?.trim_end();
        let sum = output(command("sha256sum", &["--"]).arg(&file))?;
        let sum = sum.split(' ').next().unwrap_or_default();
        let size = std::fs::metadata(&file)
            .map_err(|error| error.to_string())?
            .len();
        index += &format!("\nFilename: ./{name}\nSize: {size}\nSHA256: {sum}\n\n");
    }
    std::fs::write(folder.join("Packages"), index).map_err(|error| error.to_string())?;
    root.write(
        "/etc/apt/sources.list",
        &format!("deb [trusted=yes] file:{PACKAGES}/{name} ./\n"),
    )
}

/// What must hold of a text.
fn demand(text: &str, words: &[&str]) -> Outcome {
    for word in words {
        if !text.contains(word) {
            return Err(format!("expected `{word}` in: {text}"));
        }
    }
    Ok(())
}
