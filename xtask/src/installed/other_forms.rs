//! The RPM, installed by rpm into the root of a machine that then boots, and the image, started as a container runtime would start it.

use std::path::{Path, PathBuf};

use super::demand;
use super::machine::{Machine, Root};
use crate::Outcome;
use crate::process::{command, output, run};

/// Asks the service in a machine whether it can serve.
const READY: &str = "https://login.cloud.example/readyz";

/// The RPM brings users, directories and units; the service that it installs answers. An erased one leaves the data.
pub(super) fn rpm_serves(root: &Root, dist: &Path) -> Outcome {
    let file = the_one(dist, "x86_64.rpm")?;
    let rpm = |arguments: &[&str]| {
        // Debian's rpm refuses to install without the first option; what the RPM requires, Debian's packages hold.
        let mut rpm = command("rpm", &["--force-debian", "--nodeps", "--root"]);
        rpm.arg(root.path("/")).args(arguments);
        rpm
    };
    run(rpm(&["--install"]).arg(&file))?;
    let machine = Machine::boot(root)?;
    for user in ["crossrealm", "crossrealm-sync"] {
        demand(&machine.sh(&format!("getent passwd {user}"))?, &["nologin"])?;
    }
    machine.sh("crossrealm init --base-domain cloud.example --tenant contoso")?;
    machine.sh("systemctl enable --now crossrealm")?;
    let mut curl = machine.on_its_network("curl");
    curl.args(["--silent", "--show-error", "--fail", "--insecure"])
        .args(["--resolve", "login.cloud.example:443:127.0.0.1", READY]);
    demand(&output(&mut curl)?, &["\"ok\""])?;
    drop(machine);
    run(rpm(&["--erase"]).arg("crossrealm"))?;
    match (
        root.path("/usr/bin/crossrealm").exists(),
        root.path("/var/lib/crossrealm/crossrealm.db").exists(),
    ) {
        (false, true) => Ok(()),
        found => Err(format!(
            "after the removal: program {}, database {}",
            found.0, found.1
        )),
    }
}

/// What a container runtime does: a network of its own with a free choice of ports, the image's user and the image's command.
const CONTAINER: &str = r#"
set -e
ip link set lo up
echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start
rootfs=$1; user=$2; shift 2
inside="chroot --userspec=$user $rootfs"
$inside /usr/bin/crossrealm init --dir /var/lib/crossrealm --base-domain cloud.example >/dev/null
$inside "$@" &
service=$!
attempt=0
while [ $attempt -lt 300 ]; do
    attempt=$((attempt + 1))
    kill -0 $service
    if curl --silent --fail --insecure --resolve login.cloud.example:443:127.0.0.1 https://login.cloud.example/readyz; then
        kill -TERM $service
        wait $service
        exit 0
    fi
    sleep 0.1
done
exit 1
"#;

/// The image, unpacked by `umoci`, with an installation in its volume.
pub(super) fn image_serves(dist: &Path, folder: &Path) -> Outcome {
    let archive = the_one(dist, ".oci.tar")?;
    let (layout, bundle) = (folder.join("layout"), folder.join("bundle"));
    for old in [&layout, &bundle] {
        run(command("rm", &["-rf", "--one-file-system", "--"]).arg(old))?;
    }
    std::fs::create_dir_all(&layout).map_err(|error| error.to_string())?;
    run(command("tar", &["--extract", "--file"])
        .arg(&archive)
        .arg("-C")
        .arg(&layout))?;
    let tag = archive.file_name().unwrap_or_default().to_string_lossy();
    let tag = tag
        .trim_start_matches("crossrealm-")
        .trim_end_matches(".oci.tar");
    run(command("umoci", &["unpack", "--image"])
        .arg(format!("{}:{tag}", layout.display()))
        .arg(&bundle))?;
    let config = std::fs::read_to_string(bundle.join("config.json"))
        .map_err(|error| format!("cannot read the bundle: {error}"))?;
    let config: serde_json::Value =
        serde_json::from_str(&config).map_err(|error| error.to_string())?;
    let process = &config["process"];
    let user = format!("{}:{}", process["user"]["uid"], process["user"]["gid"]);
    let words = process["args"].as_array().cloned().unwrap_or_default();
    let words = words.iter().filter_map(serde_json::Value::as_str);
    let mut container = command(
        "unshare",
        &[
            "--net",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "--",
        ],
    );
    let shell = crossrealm_programs::shell(CONTAINER);
    container.arg(shell.get_program()).args(shell.get_args());
    container.arg(bundle.join("rootfs")).arg(user).args(words);
    let printed = output(&mut container)?;
    run(command("rm", &["-rf", "--one-file-system", "--"]).arg(folder))?;
    demand(&printed, &["\"ok\""])
}

fn the_one(dist: &Path, end: &str) -> Result<PathBuf, String> {
    let mut files = crate::package::files_of(dist, end)?;
    match (files.pop(), files.as_slice()) {
        (Some(file), []) => Ok(file),
        (found, _) => Err(format!(
            "`{}` holds {} files `*{end}`",
            dist.display(),
            usize::from(found.is_some()) + files.len()
        )),
    }
}
