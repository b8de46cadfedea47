//! The network namespaces and the wires between them; sweeping what dead runs left.
//!
//! All names start with `xr-<pid>-<n>-`. A run that was killed leaves namespaces behind (the kernel ends its processes, not
//! the names); the next run sees that the process is gone and removes them.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::run::{Failure, Run};

const NETNS_CONFIG: &str = "/etc/netns";
const NETNS_NAMES: &str = "/run/netns";

/// One of the machines of the world: four, and a fifth in worlds that ask for a second domain controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The company's own network: the domain controller.
    Onprem,
    /// A workstation: reaches the domain controller and the cloud.
    Client,
    /// The cloud: reaches the client's and the administrator's network, never the company's.
    Cloud,
    /// An administration host of the company: the on-premises tools run here.
    Admin,
    /// A branch office of the company: the second domain controller, in worlds that ask for one.
    Branch,
}

impl Place {
    /// The machines that every world has.
    pub(crate) const USUAL: [Self; 4] = [Self::Onprem, Self::Client, Self::Cloud, Self::Admin];
    /// All machines that there may be.
    pub(crate) const ALL: [Self; 5] = [
        Self::Onprem,
        Self::Client,
        Self::Cloud,
        Self::Admin,
        Self::Branch,
    ];

    /// The short name, as in namespaces and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Onprem => "onprem",
            Self::Client => "client",
            Self::Cloud => "cloud",
            Self::Admin => "admin",
            Self::Branch => "branch",
        }
    }
}

/// The domain controller's address.
pub(crate) const DC_ADDRESS: &str = "10.77.1.1";
/// The second domain controller's address.
pub(crate) const SECOND_DC_ADDRESS: &str = "10.77.1.4";
/// The cloud's address.
pub(crate) const CLOUD_ADDRESS: &str = "10.77.2.1";

/// The hardware address of each wire's bridge: locally administered, and alone on its wire.
const BRIDGE_ADDRESS: &str = "02:00:00:00:00:01";

/// Wires: (machine, its interface, the side it is plugged into, its address there).
const WIRES: [(Place, &str, Place, &str); 4] = [
    (Place::Client, "corp0", Place::Onprem, "10.77.1.2/24"),
    (Place::Admin, "corp0", Place::Onprem, "10.77.1.3/24"),
    (Place::Client, "net0", Place::Cloud, "10.77.2.2/24"),
    (Place::Admin, "net0", Place::Cloud, "10.77.2.3/24"),
];

/// The namespaces of one world; removed on drop.
#[derive(Debug)]
pub(crate) struct Network {
    prefix: String,
}

impl Network {
    /// Makes the namespaces, wires them, and writes each machine's `resolv.conf` and `hosts`.
    pub(crate) fn build(prefix: &str) -> Result<Self, Failure> {
        let network = Self {
            prefix: prefix.into(),
        };
        for place in Place::USUAL {
            network.add_namespace(place)?;
        }
        for (switch, address) in [(Place::Onprem, DC_ADDRESS), (Place::Cloud, CLOUD_ADDRESS)] {
            let space = network.namespace(switch);
            // With a hardware address of its own, which the kernel would change when the branch office is plugged in:
            // the other machines would look for the domain controller at the old one for many seconds.
            let bridge = ["lan0", "address", BRIDGE_ADDRESS, "type", "bridge"];
            ip(&[&["-n", &space, "link", "add"][..], &bridge].concat())?;
            ip(&[
                "-n",
                &space,
                "addr",
                "add",
                &format!("{address}/24"),
                "dev",
                "lan0",
            ])?;
            ip(&["-n", &space, "link", "set", "lan0", "up"])?;
        }
        for (port, (machine, interface, switch, address)) in WIRES.into_iter().enumerate() {
            network.plug(machine, interface, switch, address, &format!("port{port}"))?;
        }
        Ok(network)
    }

    /// Adds the branch office, on the company's wire. Its interface has the name that the domain controller's has.
    pub(crate) fn add_branch(&self) -> Result<(), Failure> {
        self.add_namespace(Place::Branch)?;
        let address = format!("{SECOND_DC_ADDRESS}/24");
        self.plug(Place::Branch, "lan0", Place::Onprem, &address, "branch")?;
        // As for the first: its name server may be slow to answer while a controller starts.
        [Place::Client, Place::Admin].iter().try_for_each(|place| {
            self.add_host(*place, SECOND_DC_ADDRESS, "dc2.corp.contoso.com dc2")
        })
    }

    fn plug(
        &self,
        machine: Place,
        interface: &str,
        switch: Place,
        address: &str,
        port: &str,
    ) -> Result<(), Failure> {
        let (space, switch) = (self.namespace(machine), self.namespace(switch));
        ip(&[
            "link", "add", interface, "netns", &space, "type", "veth", "peer", "name", port,
            "netns", &switch,
        ])?;
        ip(&["-n", &switch, "link", "set", port, "master", "lan0", "up"])?;
        ip(&["-n", &space, "addr", "add", address, "dev", interface])?;
        ip(&["-n", &space, "link", "set", interface, "up"])
    }

    pub(crate) fn namespace(&self, place: Place) -> String {
        format!("{}-{}", self.prefix, place.name())
    }

    fn add_namespace(&self, place: Place) -> Result<(), Failure> {
        let space = self.namespace(place);
        let folder = Path::new(NETNS_CONFIG).join(&space);
        std::fs::create_dir_all(&folder)?;
        // The cloud has no name server at all: the product must know every name there without one.
        let resolver = if place == Place::Cloud {
            String::new()
        } else {
            format!("nameserver {DC_ADDRESS}\nsearch corp.contoso.com\n")
        };
        std::fs::write(folder.join("resolv.conf"), resolver)?;
        std::fs::write(folder.join("hosts"), hosts(place))?;
        ip(&["netns", "add", &space])?;
        ip(&["-n", &space, "link", "set", "lo", "up"])?;
        // A new namespace may inherit forwarding from the machine; without IPv6 there is one address family to reason about.
        let quiet = "echo 0 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6 2>/dev/null || true";
        ip(&["netns", "exec", &space, "sh", "-c", quiet])
    }

    /// Adds a name to one machine's `hosts`; the file keeps its inode, so running programs see it too.
    pub(crate) fn add_host(&self, place: Place, address: &str, name: &str) -> Result<(), Failure> {
        let path = Path::new(NETNS_CONFIG)
            .join(self.namespace(place))
            .join("hosts");
        let mut file = OpenOptions::new().append(true).open(path)?;
        Ok(writeln!(file, "{address} {name}")?)
    }

    /// Replaces what one machine's `hosts` says of a name; the file keeps its inode.
    pub(crate) fn set_host(
        &self,
        place: Place,
        name: &str,
        addresses: &[&str],
    ) -> Result<(), Failure> {
        let path = Path::new(NETNS_CONFIG)
            .join(self.namespace(place))
            .join("hosts");
        let before = std::fs::read_to_string(&path)?;
        let others = before
            .lines()
            .filter(|line| line.split_whitespace().nth(1) != Some(name));
        let own = addresses.iter().map(|address| format!("{address} {name}"));
        let lines: Vec<String> = others.map(str::to_owned).chain(own).collect();
        Ok(std::fs::write(path, lines.join("\n") + "\n")?)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for place in Place::ALL {
            // Most worlds have no branch office.
            remove_namespace(&self.namespace(place));
        }
    }
}

fn hosts(place: Place) -> String {
    let mut lines = String::from("127.0.0.1 localhost\n");
    if matches!(place, Place::Client | Place::Admin | Place::Branch) {
        lines += &format!("{DC_ADDRESS} dc1.corp.contoso.com dc1\n");
    }
    if !matches!(place, Place::Onprem | Place::Branch) {
        lines += &format!("{CLOUD_ADDRESS} login.cloud.example\n");
    }
    lines
}

fn ip(arguments: &[&str]) -> Result<(), Failure> {
    let run = Run::here("ip").args(arguments);
    let hint =
        "hint: network namespaces need root with CAP_SYS_ADMIN and a kernel with veth and bridge";
    run.ok().map(drop).map_err(|failure| failure.with(hint))
}

fn remove_namespace(space: &str) {
    // Best effort by design: this runs in Drop, and a second sweep follows at the next start.
    let _ = Run::here("ip").args(["netns", "del", space]).output();
    let _ = std::fs::remove_dir_all(Path::new(NETNS_CONFIG).join(space));
    let _ = std::fs::remove_dir(NETNS_CONFIG);
}

/// The process id in a name `xr-<pid>-<n>-<rest>` of ours; `None` for everybody else's names.
fn owner(name: &str) -> Option<u32> {
    let mut parts = name.strip_prefix("xr-")?.splitn(3, '-');
    let pid = parts.next()?.parse().ok()?;
    parts.next()?.parse::<u32>().ok()?;
    let rest = parts.next()?;
    (rest.starts_with("scratch") || Place::ALL.iter().any(|place| place.name() == rest))
        .then_some(pid)
}

/// Removes namespaces and scratch folders of runs whose process is gone.
pub(crate) fn sweep(scratch_parent: &Path) {
    let dead =
        |name: &str| owner(name).is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists());
    for space in names_in(Path::new(NETNS_NAMES))
        .into_iter()
        .chain(names_in(Path::new(NETNS_CONFIG)))
        .filter(|name| dead(name))
    {
        remove_namespace(&space);
    }
    for folder in names_in(scratch_parent)
        .into_iter()
        .filter(|name| dead(name))
    {
        let _ = std::fs::remove_dir_all(scratch_parent.join(folder));
    }
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder)
        .map(|entries| entries.flatten().collect::<Vec<_>>())
        .unwrap_or_default();
    entries
        .iter()
        .map(|entry| PathBuf::from(entry.file_name()).display().to_string())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_ever_swept() {
        assert_eq!(owner("xr-123-0-onprem"), Some(123));
        assert_eq!(owner("xr-123-0-branch"), Some(123));
        assert_eq!(owner("xr-123-0-scratch.Ab3"), Some(123));
        for foreign in [
            "xr-client-dc",
            "xr-123-onprem",
            "xr-123-0-other",
            "xr-12a-0-cloud",
            "onprem",
            "xr-",
            "xr--0-cloud",
        ] {
            assert_eq!(owner(foreign), None, "{foreign}");
        }
    }
}
