//! The installation of the README: its commands, and machines that know nothing yet to type them on.
//!
//! Each machine has `/etc` and `/var/lib` of its own, so that every default path is the real one.

use std::path::PathBuf;

use crate::{ADMIN_PASSWORD, Failure, Output, PATIENCE, Place, Run, Service, USER_PASSWORD, World};

const README: &str = include_str!("../../README.md");

/// Gives a machine directories of its own above those of the host, and keeps the names that it resolves.
const OWN_DIRECTORIES: &str = r#"
disk=$1 names=/etc/netns/$2; shift 2
mkdir -p $disk/names $disk/etc $disk/etc.work $disk/lib $disk/lib.work || exit 71
mount --bind $names $disk/names || exit 71
mount -t overlay overlay -o lowerdir=/etc,upperdir=$disk/etc,workdir=$disk/etc.work /etc || exit 71
mount -t overlay overlay -o lowerdir=/var/lib,upperdir=$disk/lib,workdir=$disk/lib.work /var/lib || exit 71
mount --bind $disk/names/hosts /etc/hosts && mount --bind $disk/names/resolv.conf /etc/resolv.conf || exit 71
exec "$@"
"#;

/// The commands of the README's installation, for each machine in its order: service, administration host, SMB host, workstation.
///
/// # Errors
/// Where the README has another form.
pub fn commands() -> Result<[Vec<String>; 4], Failure> {
    let (_, section) = README
        .split_once("\n## A first installation\n")
        .ok_or_else(|| Failure::new("the README has no first installation"))?;
    let section = section.split("\n## ").next().unwrap_or_default();
    let blocks: Vec<Vec<String>> = section
        .split("```")
        .skip(1)
        .step_by(2)
        .map(|block| block.lines().skip(1).map(str::to_owned).collect())
        .collect();
    let count = blocks.len();
    blocks
        .try_into()
        .map_err(|_| Failure::new(format!("the README has commands for {count} machines")))
}

/// The words of a command line, as a shell splits them: by blanks, but for those between single quotes.
fn words(line: &str) -> Vec<String> {
    let parts = line.split('\'').enumerate();
    let words = parts.flat_map(|(number, part)| match number % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect(),
        _ => vec![part.to_owned()],
    });
    words.collect()
}

/// The machines: two in the cloud, two of administrators, and a workstation.
pub struct Machines<'a> {
    /// The binary that is typed as `crossrealm`.
    pub product: PathBuf,
    /// Where they are.
    pub world: &'a World,
}

impl Machines<'_> {
    fn place(machine: &str) -> Place {
        match machine {
            "admin" | "agent" => Place::Admin,
            "workstation" => Place::Client,
            _ => Place::Cloud,
        }
    }

    /// What the machine keeps: `etc`, `lib` (`/var/lib`) and its user's `home`.
    pub fn disk(&self, machine: &str) -> PathBuf {
        self.world.path(Self::place(machine), machine)
    }

    /// A command line as a person types it, in the user's home.
    fn typed(&self, machine: &str, line: &str) -> Result<Run, Failure> {
        let (place, disk) = (Self::place(machine), self.disk(machine));
        let home = disk.join("home");
        std::fs::create_dir_all(&home)?;
        let mut words = words(line);
        if words.first().is_some_and(|program| program == "crossrealm") {
            words[0] = self.product.display().to_string();
        }
        let run = self
            .world
            .at(place, "sh")
            .args(["-c", OWN_DIRECTORIES, "machine"])
            .arg(&disk)
            .arg(self.world.namespace(place))
            .args(["env", "--chdir"])
            .arg(&home)
            .args(words)
            .env("HOME", &home)
            .env(
                "KRB5CCNAME",
                format!("FILE:{}", home.join("ccache").display()),
            )
            .env("CROSSREALM_DOMAIN_PASSWORD", ADMIN_PASSWORD)
            .stdin(format!("{USER_PASSWORD}\n"));
        Ok(run)
    }

    /// Types a command line that must succeed.
    ///
    /// # Errors
    /// What went wrong.
    pub fn run(&self, machine: &str, line: &str) -> Result<Output, Failure> {
        self.typed(machine, line)?.ok()
    }

    /// Starts a service by its command line, and waits until it listens.
    ///
    /// # Errors
    /// What went wrong.
    pub fn start(&self, machine: &str, line: &str, port: u16) -> Result<Service, Failure> {
        let run = self.typed(machine, line)?;
        let mut service = self.world.service(Self::place(machine), machine, &run)?;
        service.wait_for_ports(&[port], PATIENCE)?;
        Ok(service)
    }

    /// The same at a terminal, which `script` makes: a service prints the next command for a person alone.
    ///
    /// # Errors
    /// What went wrong.
    pub fn start_at_terminal(
        &self,
        machine: &str,
        line: &str,
        port: u16,
    ) -> Result<Service, Failure> {
        let line = line.replacen("crossrealm", &self.product.display().to_string(), 1);
        let script = format!("script --quiet --return --command '{line}' /dev/null");
        self.start(machine, &script, port)
    }

    /// Copies a file to the home of another machine's user, with the same name.
    ///
    /// # Errors
    /// What went wrong.
    pub fn bring(&self, from: &str, file: &str, to: &str) -> Result<(), Failure> {
        let source = self.disk(from).join(file);
        let home = self.disk(to).join("home");
        std::fs::create_dir_all(&home)?;
        let name = source.file_name().unwrap_or_default();
        std::fs::copy(&source, home.join(name))?;
        Ok(())
    }
}
