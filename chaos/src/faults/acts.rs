//! What faults do that takes more than a line of the table.

use crossrealm_lab::story::Story;
use crossrealm_lab::{Failure, Place, World};
use std::sync::MutexGuard;
use std::time::Duration;

use super::Playing;
use crate::world::address;
use crate::world::edge::Edge;
use crate::world::nodes::Node;
use crate::world::postgres::Database;
use crate::world::solo::Solo;
use crate::world::wires::{Order, name};

type Outcome = Result<(), Failure>;

/// A hardware address that nobody has: what is sent there is lost without a word.
const NOBODY: &str = "02:00:00:00:00:fe";

/// What the table names.
impl Playing<'_> {
    pub(super) fn story(&self) -> &Story {
        &self.ground.story
    }

    pub(super) fn world(&self) -> &World {
        &self.ground.story.world
    }

    pub(super) fn node(&self) -> Result<&Node, Failure> {
        let node = self.ground.nodes.get(self.target);
        node.ok_or_else(|| Failure::new("no such node"))
    }

    pub(super) fn database(&self) -> MutexGuard<'_, Database> {
        self.ground.database()
    }

    pub(super) fn edge(&self) -> &Edge {
        &self.ground.edge
    }

    pub(super) fn solo(&self) -> &Solo {
        &self.ground.solo
    }

    /// Orders the wire from a node to the database.
    pub(super) fn wire(&self, node: usize, order: &Order) -> Outcome {
        self.ground.wires.order(&name(node), order)
    }

    /// A command of the administrator, which succeeds or is refused in these words.
    pub(super) fn admin(&self, words: &[&str], refused: &str) -> Outcome {
        let run = self.story().crossrealm(Place::Admin).args(words);
        let output = run.output()?;
        match output.code == Some(0) || (!refused.is_empty() && output.err().contains(refused)) {
            true => Ok(()),
            false => Err(output.failure("was expected to succeed")),
        }
    }

    /// Takes an interface of a machine down, or up.
    pub(super) fn link(&self, place: Place, interface: &str, state: &str) -> Outcome {
        let ip = self.world().at(place, "ip").args(["link", "set"]);
        ip.args([interface, state]).ok().map(drop)
    }
}

/// Cuts a node off from clients and administrators, or ends that.
pub(super) fn cut_node(playing: &Playing, is_cut: bool) -> Outcome {
    for place in [Place::Client, Place::Admin] {
        let ip = playing.world().at(place, "ip").arg("neighbour");
        let node = address(playing.target);
        let ip = match is_cut {
            true => ip.args(["replace", &node, "lladdr", NOBODY, "nud", "permanent"]),
            false => ip.args(["delete", &node]),
        };
        ip.args(["dev", "net0"]).ok()?;
    }
    Ok(())
}

pub(super) fn node_with_clock(playing: &Playing, ahead_s: i64) -> Outcome {
    let node = playing.node()?;
    node.kill();
    node.start_with_clock(playing.story(), ahead_s)
}

pub(super) fn fail_over(playing: &Playing) -> Outcome {
    playing
        .database()
        .fail_over(playing.world(), &playing.ground.wires)
}

pub(super) fn replicate(playing: &Playing) -> Outcome {
    playing
        .database()
        .replicate(playing.world(), &playing.ground.wires)
}

/// As docs/guide/backup.md has it.
pub(super) fn restore(playing: &Playing) -> Outcome {
    playing.ground.nodes.iter().try_for_each(Node::stop)?;
    playing.database().restore(playing.world())?;
    playing.ground.start_nodes()
}

/// Beside a fault of the service it may be refused, or be too soon after the one before.
pub(super) fn rotate_trust_key(playing: &Playing) -> Outcome {
    let words = [
        "kerberos-server",
        "set",
        "--setup-cloud-trust",
        "--rotate-server-key",
    ];
    let output = playing.story().with_domain_admin(&words)?.output()?;
    let log = playing
        .world()
        .write(Place::Admin, "rotation.log", output.both());
    log.map(drop)
}

/// Under the running service. Then it is started without that clock, so that its disk can fail again.
pub(super) fn solo_clock_right(playing: &Playing) -> Outcome {
    playing.solo().set_clock_right()?;
    std::thread::sleep(Duration::from_secs(2));
    playing.solo().run(playing.story(), None)
}

pub(super) fn give_file(playing: &Playing) -> Outcome {
    playing.solo().service.kill();
    playing.solo().move_database(false)?;
    playing.solo().run(playing.story(), None)
}
