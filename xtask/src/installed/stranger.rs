//! A stranger's time: from an empty Debian and the packages to the first file in a share, by the README's commands, with every command
//! counted and the clock running.
//!
//! The service and the SMB host run in a booted machine, in the cloud of the lab's world; the domain controller, the administration host and
//! the workstation are the lab's. Left out of the time is what is not ours: booting, and the download of Debian's own packages.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crossrealm_lab::readme::{Machines, commands};
use crossrealm_lab::{Place, World};

use super::machine::{Machine, Root};
use crate::Outcome;

/// The README's commands, and those that a Debian adds: the packages, and its own Samba switched off.
const MOST_COMMANDS: usize = 12;
const MOST_TIME: Duration = Duration::from_secs(5 * 60);
const DEBIAN: [&str; 2] = [
    "apt-get -q -y --no-install-recommends install crossrealm crossrealm-smb-host",
    "systemctl disable --now smbd nmbd winbind",
];
const SHARE: &str = "/var/lib/crossrealm/files/acct1/shares/projects/report.txt";
const REPORT: &str = "the report of a user of AD\n";

/// Plays it in a root that holds no package of ours yet.
pub(super) fn opens_a_share(root: &Root) -> Outcome {
    let failed = |failure: crossrealm_lab::Failure| failure.to_string();
    let [service, admin, host, workstation] = commands().map_err(failed)?;
    let world = World::start().map_err(failed)?;
    world
        .add_cloud_host("acct1.file.contoso.cloud.example")
        .map_err(failed)?;
    let network = world.namespace(Place::Cloud);
    let machine = Machine::boot_in(root, Some(&network))?;
    machine.sh("apt-get -q update")?;
    let began = Instant::now();
    let mut typed = Typed(0);
    for line in DEBIAN {
        machine.sh(line)?;
    }
    let mut fingerprint = String::new();
    for line in &service {
        let printed = machine.sh(typed.line(line))?;
        let found = printed
            .lines()
            .find_map(|line| line.strip_prefix("CaFingerprint : "));
        fingerprint = found.map_or(fingerprint, str::to_owned);
    }
    let others = Machines {
        product: root.path("/usr/bin/crossrealm"),
        world: &world,
    };
    let home = others.disk("admin").join("home");
    carry(&root.path("/etc/crossrealm/admin.token"), &home)?;
    for line in &admin {
        let line = typed.line(line).replace("FINGERPRINT", &fingerprint);
        others.run("admin", &line).map_err(failed)?;
    }
    carry(&home.join("acct1.join"), &root.path("/root"))?;
    let mut serving = Vec::new();
    for line in &host {
        let mut command = machine.enter();
        command.args(["sh", "-c"]);
        command.arg(format!("cd /root && exec {}", typed.line(line)));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        serving.push(command.spawn().map_err(|error| error.to_string())?);
    }
    machine.wait_until("crossrealm storage-account hosts acct1 --server https://login.cloud.example --ca /var/lib/crossrealm/tls/ca.pem --tenant contoso --token-file /etc/crossrealm/admin.token | grep -q yes")?;
    let home = others.disk("workstation").join("home");
    std::fs::create_dir_all(&home).map_err(|error| error.to_string())?;
    std::fs::write(home.join("report.txt"), REPORT).map_err(|error| error.to_string())?;
    for line in &workstation {
        let line = typed.line(line).replace("FINGERPRINT", &fingerprint);
        others.run("workstation", &line).map_err(failed)?;
    }
    let took = began.elapsed();
    let written = std::fs::read_to_string(root.path(SHARE)).unwrap_or_default();
    drop(machine);
    for mut child in serving {
        let _ = child.wait();
    }
    eprintln!(
        "a stranger's time: {} commands of the README and {} of Debian, {} s to the first file in a share",
        typed.0,
        DEBIAN.len(),
        took.as_secs()
    );
    match written == REPORT && typed.0 <= MOST_COMMANDS && took <= MOST_TIME {
        true => Ok(()),
        false => Err(format!(
            "at most {MOST_COMMANDS} commands and {} s were promised; the share holds `{written}`",
            MOST_TIME.as_secs()
        )),
    }
}

/// Counts the commands.
struct Typed(usize);

impl Typed {
    fn line<'a>(&mut self, line: &'a str) -> &'a str {
        self.0 += 1;
        line
    }
}

/// What a person brings from one machine to another.
fn carry(file: &Path, to: &Path) -> Outcome {
    let name = file.file_name().unwrap_or_default();
    std::fs::create_dir_all(to)
        .and_then(|()| std::fs::copy(file, to.join(name)))
        .map(drop)
        .map_err(|error| format!("cannot bring `{}`: {error}", file.display()))
}
