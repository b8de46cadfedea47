//! The nodes on PostgreSQL: one installation, copied.

use std::path::PathBuf;

use crossrealm_lab::story::Story;
use crossrealm_lab::{Clock, Failure, Place, Run};

use super::program::Program;
use super::{address, clock, wires};
use crate::history::NODES;

/// What `serve` says once it serves.
pub(crate) const LISTENS: &str = "listening on https";

/// One node, and whether it runs.
pub(crate) struct Node {
    number: usize,
    folder: PathBuf,
    clock: Clock,
    program: Program,
}

/// Makes the installation with an empty database, and a copy of it for each further node.
pub(crate) fn install(story: &Story) -> Result<[Node; NODES], Failure> {
    let first = story.cloud_folder();
    let init = story
        .bare(Place::Cloud)
        .args(["init", "--base-domain", "cloud.example"]);
    let init = init.args(["--https-listen", &format!("{}:443", address(0)), "--dir"]);
    init.arg(&first).args(["--store", &store(0)]).ok()?;
    let mut nodes = Vec::new();
    for number in 0..NODES {
        let folder = match number {
            0 => first.clone(),
            _ => story
                .world
                .path(Place::Cloud, &format!("crossrealm{number}")),
        };
        if number > 0 {
            Run::here("cp").arg("-a").arg(&first).arg(&folder).ok()?;
            std::fs::remove_file(folder.join("admin.token"))?;
            let file = folder.join("crossrealm.toml");
            let config = std::fs::read_to_string(&file)?;
            let config = config.replace(&address(0), &address(number));
            std::fs::write(&file, config.replace(&store(0), &store(number)))?;
        }
        nodes.push(Node {
            number,
            folder,
            clock: clock(&story.world, &format!("node{number}"))?,
            program: Program::default(),
        });
    }
    nodes
        .try_into()
        .map_err(|_| Failure::new("not as many nodes as there should be"))
}

fn store(node: usize) -> String {
    format!(
        "postgres://crossrealm@{}/crossrealm?sslmode=disable",
        wires::way(node)
    )
}

impl Node {
    pub(crate) fn start(&self, story: &Story) -> Result<(), Failure> {
        self.start_with(story, &|run| run)
    }

    /// Starts it with a clock that is so many seconds ahead.
    pub(crate) fn start_with_clock(&self, story: &Story, ahead_s: i64) -> Result<(), Failure> {
        self.clock.is_ahead(ahead_s, 0)?;
        self.start_with(story, &|run| self.clock.of(run))
    }

    /// Sets the clock right, if it runs with one.
    pub(crate) fn set_clock_right(&self) -> Result<(), Failure> {
        self.clock.is_ahead(0, 0)
    }

    fn start_with(&self, story: &Story, change: &dyn Fn(Run) -> Run) -> Result<(), Failure> {
        let serve = story.bare(Place::Cloud).args(["serve", "--config"]);
        let serve = change(serve.arg(self.folder.join("crossrealm.toml")));
        let name = format!("node {}", self.number + 1);
        self.program.start(&story.world, &name, &serve, LISTENS)
    }

    pub(crate) fn kill(&self) {
        self.program.kill();
    }

    pub(crate) fn stop(&self) -> Result<(), Failure> {
        self.program.stop()
    }

    pub(crate) fn signal(&self, name: &str) {
        self.program.signal(name);
    }
}
