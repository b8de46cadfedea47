//! A Debian 12 that is booted by `systemd-nspawn`, with a network of its own that has a loopback interface only.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::bare::remove;
use crate::process::{command, run};

/// How long the machine may take to boot, and to end.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(100);
/// The programs of Debian that the packages need, and those of a booted machine.
const BOOTS: [&str; 4] = ["dbus", "systemd", "systemd-sysv", "libnss-systemd"];
/// Debian asks this program before it starts a service; exit code 101 means "do not".
const POLICY: &str = "usr/sbin/policy-rc.d";

/// The root folder of a machine; removed on drop.
pub(super) struct Root(PathBuf);

impl Drop for Root {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

impl Root {
    /// A copy of the pristine Debian, with the packages that ours depend on: the booted machine has no network to get them.
    pub(super) fn new(pristine: &Path, cache: &Path, packages: &[&str]) -> Result<Self, String> {
        let root = Self(cache.join(format!("run-{}", std::process::id())));
        run(command("cp", &["-aT", "--reflink=auto", "--"])
            .arg(pristine)
            .arg(&root.0))?;
        root.install(packages)?;
        Ok(root)
    }

    /// Where a path of the machine is here.
    pub(super) fn path(&self, inside: &str) -> PathBuf {
        self.0.join(inside.trim_start_matches('/'))
    }

    /// Writes a file.
    pub(super) fn write(&self, inside: &str, text: &str) -> Outcome {
        let path = self.path(inside);
        path.parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::write(&path, text))
            .map_err(|error| format!("cannot write `{}`: {error}", path.display()))
    }

    fn install(&self, packages: &[&str]) -> Outcome {
        for file in ["/etc/resolv.conf", "/etc/hosts"] {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            self.write(file, &text)?;
        }
        self.write(POLICY, "#!/bin/sh\nexit 101\n")?;
        run(command("chmod", &["755"]).arg(self.path(POLICY)))?;
        let script = "set -e\n\
            mount -t proc proc \"$1/proc\"\n\
            mount -t tmpfs -o mode=755 run \"$1/run\"\n\
            chroot \"$1\" apt-get update -q\n\
            root=$1; shift\n\
            chroot \"$root\" env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 apt-get install -q -y --no-install-recommends \"$@\"\n";
        let mut inside = command(
            "unshare",
            &["--mount", "--pid", "--fork", "--kill-child", "--"],
        );
        let shell = crossrealm_programs::shell(script);
        inside
            .arg(shell.get_program())
            .args(shell.get_args())
            .arg(&self.0)
            .args(BOOTS)
            .args(packages);
        crate::process::run_as("(in the machine) apt-get install …", &mut inside)?;
        std::fs::remove_file(self.path(POLICY)).map_err(|error| error.to_string())
    }
}

/// A booted machine; powered off on drop.
pub(super) struct Machine<'a> {
    pub(super) root: &'a Root,
    nspawn: Child,
    leader: u32,
}

impl Drop for Machine<'_> {
    fn drop(&mut self) {
        // SIGRTMIN+4 asks systemd to power off; what does not end in time is killed with its namespace.
        let leader = self.leader.to_string();
        let _ = command("kill", &["--signal", "RTMIN+4", &leader]).status();
        if !self.ends_within(PATIENCE) {
            let _ = command("kill", &["--signal", "KILL", &leader]).status();
            let _ = self.nspawn.kill();
            let _ = self.nspawn.wait();
        }
    }
}

impl<'a> Machine<'a> {
    /// Boots the root.
    pub(super) fn boot(root: &'a Root) -> Result<Self, String> {
        Self::boot_in(root, None)
    }

    /// The same in a network namespace that is there, in place of one of its own.
    pub(super) fn boot_in(root: &'a Root, network: Option<&str>) -> Result<Self, String> {
        let name = format!("crossrealm-{}", std::process::id());
        root.write("/etc/machine-id", "")?;
        root.write("/etc/hostname", "cloud\n")?;
        root.write(
            "/etc/hosts",
            "127.0.0.1 localhost login.cloud.example acct1.file.contoso.cloud.example\n",
        )?;
        let console = File::create(root.path("/console.log")).map_err(|error| error.to_string())?;
        let errors = console.try_clone().map_err(|error| error.to_string())?;
        // It ends with this process, however that ends.
        let mut nspawn = command("setpriv", &["--pdeathsig", "KILL", "--", "systemd-nspawn"]);
        nspawn
            .args(["--register=no", "--keep-unit", "--boot", "--quiet"])
            .arg(network.map_or_else(
                || "--private-network".to_owned(),
                |name| format!("--network-namespace-path=/run/netns/{name}"),
            ))
            .args(["--console=pipe", "--machine", &name, "--directory"])
            .arg(&root.0)
            .stdin(Stdio::null())
            .stdout(console)
            .stderr(errors);
        let nspawn = nspawn
            .spawn()
            .map_err(|error| format!("cannot start `systemd-nspawn`: {error}"))?;
        let mut machine = Self {
            root,
            nspawn,
            leader: 0,
        };
        machine.leader = machine.wait_for_leader()?;
        machine.wait_until("systemctl is-system-running --wait || true")?;
        Ok(machine)
    }

    /// The first process in the machine: the child of `systemd-nspawn` in a process namespace of its own.
    fn wait_for_leader(&mut self) -> Result<u32, String> {
        let began = Instant::now();
        let own = pid_namespace(self.nspawn.id());
        while began.elapsed() < PATIENCE {
            if let Ok(Some(status)) = self.nspawn.try_wait() {
                return Err(format!(
                    "`systemd-nspawn` ended ({status}): {}",
                    self.console()
                ));
            }
            let id = self.nspawn.id();
            let children = format!("/proc/{id}/task/{id}/children");
            let children = std::fs::read_to_string(children).unwrap_or_default();
            let mut leader = children
                .split_whitespace()
                .filter_map(|pid| pid.parse().ok());
            if let Some(pid) = leader.find(|pid| pid_namespace(*pid) != own) {
                return Ok(pid);
            }
            sleep(LOOK);
        }
        Err(format!("the machine did not boot: {}", self.console()))
    }

    fn console(&self) -> String {
        std::fs::read_to_string(self.root.path("/console.log")).unwrap_or_default()
    }

    fn ends_within(&mut self, limit: Duration) -> bool {
        let began = Instant::now();
        while began.elapsed() < limit {
            if !matches!(self.nspawn.try_wait(), Ok(None)) {
                return true;
            }
            sleep(LOOK);
        }
        false
    }

    /// A command that runs in the namespaces of the machine, in its root folder.
    pub(super) fn enter(&self) -> Command {
        let mut enter = command("nsenter", &["--target", &self.leader.to_string(), "--all"]);
        enter.args([
            "--root",
            "--wd",
            "--",
            "env",
            "-i",
            "HOME=/root",
            "LC_ALL=C.UTF-8",
        ]);
        enter.args([
            "DEBIAN_FRONTEND=noninteractive",
            "SYSTEMD_COLORS=0",
            "SYSTEMD_PAGER=",
        ]);
        enter.arg(format!("PATH={}", crossrealm_programs::PATH));
        enter
    }

    /// A program of this machine, with the network of the booted one.
    pub(super) fn on_its_network(&self, program: &str) -> Command {
        let mut enter = command(
            "nsenter",
            &["--target", &self.leader.to_string(), "--net", "--"],
        );
        enter.arg(program);
        enter
    }

    /// Runs a shell script in the machine.
    pub(super) fn try_sh(&self, script: &str) -> Result<Output, String> {
        let mut enter = self.enter();
        // Its programs are those of the packages that are tested, not of the table.
        enter.args(["/bin/sh", "-c"]).arg(script);
        enter
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("cannot enter the machine: {error}"))
    }

    /// The same, which must succeed; returns what it printed.
    pub(super) fn sh(&self, script: &str) -> Result<String, String> {
        eprintln!("(in the machine) $ {}", script.trim());
        let output = self.try_sh(script)?;
        let text = text_of(&output);
        match output.status.success() {
            true => Ok(text),
            false => Err(format!("`{script}` failed ({}): {text}", output.status)),
        }
    }

    /// The same, which must fail; returns what it printed.
    pub(super) fn refused(&self, script: &str) -> Result<String, String> {
        eprintln!("(in the machine, to fail) $ {}", script.trim());
        let output = self.try_sh(script)?;
        let text = text_of(&output);
        match output.status.success() {
            false => Ok(text),
            true => Err(format!("`{script}` succeeded: {text}")),
        }
    }

    /// Waits until a script succeeds.
    pub(super) fn wait_until(&self, script: &str) -> Outcome {
        let began = Instant::now();
        loop {
            let output = self.try_sh(script)?;
            if output.status.success() {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                return Err(format!(
                    "waited too long for `{script}`: {}",
                    text_of(&output)
                ));
            }
            sleep(LOOK);
        }
    }
}

fn text_of(output: &Output) -> String {
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    text
}

/// The process namespace of a process.
fn pid_namespace(pid: u32) -> Option<u64> {
    let data = std::fs::metadata(format!("/proc/{pid}/ns/pid")).ok()?;
    Some(data.ino())
}
