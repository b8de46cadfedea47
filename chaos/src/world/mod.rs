//! The world of a run: a domain controller, three nodes on PostgreSQL with a replica, an SMB host on a disk of its own, a sync agent,
//! people with tickets, and a service on SQLite. Built on the lab's story; what can be killed stands behind a lock each.

pub(crate) mod edge;
pub(crate) mod nodes;
pub(crate) mod people;
pub(crate) mod postgres;
mod program;
pub(crate) mod solo;
pub(crate) mod wires;

use std::sync::{Mutex, MutexGuard, PoisonError};

use crossrealm_lab::story::{Account, FILES_HOST, Story, TRUST_STEPS};
use crossrealm_lab::{Clock, Failure, Place, World, build_product};

use crate::history::NODES;
use edge::Edge;
use nodes::Node;
use postgres::Database;
use solo::Solo;
use wires::Wires;

/// The name of the service.
pub(crate) const LOGIN: &str = "login.cloud.example";
/// Where the SMB host's wire to the nodes begins.
pub(crate) const HOST_WAY: &str = "10.77.2.20";

/// The address of a node.
pub(crate) fn address(node: usize) -> String {
    format!("10.77.2.{}", 11 + node)
}

/// The fields' order is the order of destruction: what runs, then what it runs on.
pub(crate) struct Ground {
    pub(crate) solo: Solo,
    pub(crate) edge: Edge,
    pub(crate) nodes: [Node; NODES],
    pub(crate) database: Mutex<Database>,
    pub(crate) wires: Wires,
    pub(crate) story: Story,
}

impl Ground {
    /// Builds it all; one to two minutes.
    pub(crate) fn build() -> Result<Self, Failure> {
        let binary = build_product()?;
        let mut story = Story::begin_in(World::start()?, &binary, Account::silent());
        addresses(&story.world)?;
        let wires = Wires::lay(&story.world, "127.0.0.1:5432")?;
        let database = Database::make(&story.world, &wires)?;
        let nodes = nodes::install(&story)?;
        for node in &nodes {
            node.start(&story)?;
        }
        story.read_token()?;
        story.play_steps(&["tenant_create"])?;
        people::arrive(&story)?;
        story.play_steps(TRUST_STEPS)?;
        people::settle(&story)?;
        let edge = Edge::start(&story)?;
        let solo = Solo::start(&story)?;
        Ok(Self {
            solo,
            edge,
            nodes,
            database: Mutex::new(database),
            wires,
            story,
        })
    }

    pub(crate) fn world(&self) -> &World {
        &self.story.world
    }

    pub(crate) fn database(&self) -> MutexGuard<'_, Database> {
        held(&self.database)
    }

    /// Starts all nodes, which do not run.
    pub(crate) fn start_nodes(&self) -> Result<(), Failure> {
        self.nodes
            .iter()
            .try_for_each(|node| node.start(&self.story))
    }

    /// The tails of the logs of what was disturbed, for a run that failed.
    pub(crate) fn logs(&self) -> Vec<std::path::PathBuf> {
        let places =
            [Place::Cloud, Place::Admin, Place::Onprem].map(|place| self.world().folder(place));
        let entries = places
            .iter()
            .filter_map(|folder| std::fs::read_dir(folder).ok());
        let files = entries.flatten().flatten().map(|entry| entry.path());
        files
            .filter(|path| path.extension().is_some_and(|ending| ending == "log"))
            .collect()
    }
}

/// What a lock guards, also if somebody panicked with it.
pub(crate) fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A program's own clock, which is right as yet.
pub(crate) fn clock(world: &World, name: &str) -> Result<Clock, Failure> {
    Clock::named(world, &format!("clock-{name}"))
}

/// Gives each node and the SMB host's wire an address, and the name of the service to the nodes: in another order at each
/// place, so that none is everybody's first.
fn addresses(world: &World) -> Result<(), Failure> {
    let nodes: Vec<String> = (0..NODES).map(address).collect();
    for address in nodes.iter().map(String::as_str).chain([HOST_WAY]) {
        let add = world.at(Place::Cloud, "ip").args(["address", "add"]);
        add.arg(format!("{address}/24"))
            .args(["dev", "lan0"])
            .ok()?;
    }
    let order = |first: usize| -> Vec<&str> {
        let all = nodes.iter().cycle().skip(first).take(NODES);
        all.map(String::as_str).collect()
    };
    world.resolve(Place::Client, LOGIN, &order(0))?;
    world.resolve(Place::Admin, LOGIN, &order(1))?;
    world.resolve(Place::Cloud, LOGIN, &[HOST_WAY])?;
    world.resolve(Place::Client, FILES_HOST, &["10.77.2.1"])
}
