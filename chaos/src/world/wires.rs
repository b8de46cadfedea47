//! The wires that can be cut, held and slowed down: from each node to the database, between the database servers, and from the
//! SMB host to the nodes. Each is a line of `relay.py`.

use std::path::PathBuf;

use crossrealm_lab::{Failure, PATIENCE, Place, Service, World};

use super::postgres::REPLICATION;
use super::{HOST_WAY, address};
use crate::history::NODES;

/// The wire of the SMB host to the nodes.
pub(crate) const HOST: &str = "host";
/// Where the wires of the nodes to the database begin.
const FIRST_PORT: u16 = 6001;

/// What a wire does.
pub(crate) enum Order {
    Pass,
    Cut,
    Hold,
    /// So many milliseconds more, each way.
    Slow(u64),
}

/// All wires.
pub(crate) struct Wires {
    folder: PathBuf,
    _relay: Service,
}

impl Wires {
    pub(crate) fn lay(world: &World, database: &str) -> Result<Self, Failure> {
        let folder = world.path(Place::Cloud, "wires");
        std::fs::create_dir(&folder)?;
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/relay.py");
        let relay = world.at(Place::Cloud, "python3").arg(script).arg(&folder);
        let nodes = (0..NODES).map(|node| format!("{}={}={database}", name(node), way(node)));
        let targets: Vec<String> = (0..NODES)
            .map(|node| format!("{}:443", address(node)))
            .collect();
        let relay = relay.args(nodes).args([
            format!("{}=127.0.0.1:{}={database}", REPLICATION.0, REPLICATION.1),
            format!("{HOST}={HOST_WAY}:443={}", targets.join(",")),
        ]);
        let mut service = world.service(Place::Cloud, "relay", &relay)?;
        service.wait_for_ports(&[443, FIRST_PORT, REPLICATION.1], PATIENCE)?;
        Ok(Self {
            folder,
            _relay: service,
        })
    }

    pub(crate) fn order(&self, wire: &str, order: &Order) -> Result<(), Failure> {
        self.order_to(wire, order, "")
    }

    /// The same, with another target from now on.
    pub(crate) fn order_to(&self, wire: &str, order: &Order, target: &str) -> Result<(), Failure> {
        let word = match order {
            Order::Pass => "pass".to_owned(),
            Order::Cut => "cut".to_owned(),
            Order::Hold => "hold".to_owned(),
            Order::Slow(ms) => format!("slow {ms}"),
        };
        let fresh = self.folder.join(format!("{wire}.new"));
        std::fs::write(&fresh, format!("{word} {target}"))?;
        std::fs::rename(fresh, self.folder.join(wire))?;
        // The relay looks every 50 ms.
        std::thread::sleep(std::time::Duration::from_millis(150));
        Ok(())
    }

    /// Leads the nodes to another database server.
    pub(crate) fn lead_to(&self, database: &str) -> Result<(), Failure> {
        (0..NODES).try_for_each(|node| self.order_to(&name(node), &Order::Pass, database))
    }
}

/// The wire of a node to the database.
pub(crate) fn name(node: usize) -> String {
    format!("database{node}")
}

/// Where it begins.
pub(crate) fn way(node: usize) -> String {
    format!("127.0.0.1:{}", usize::from(FIRST_PORT) + node)
}
