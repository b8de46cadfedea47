//! The table of faults: what each is, how long it lasts, and what it may excuse. Everything that it does not excuse must go on.
//!
//! What no fault excuses: an acknowledged write that is gone (but where a store went back in time), a file that is not as it was
//! written, a ticket or a tree connect without a right beyond the bound, a SID that nobody granted.

mod acts;
mod poison;
pub(crate) mod table;

use std::time::{Duration, Instant};

use crossrealm_lab::Failure;

use crate::history::{Class, Fault, Journal, Loss, Store};
use crate::schedule::Planned;
use crate::world::Ground;

/// What is played one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// The nodes, their database, their keys.
    Service,
    /// The domain controller, the sync agent, the SMB host, the clients' network.
    Edge,
    /// The service on SQLite.
    Solo,
}

impl Lane {
    pub(crate) const ALL: [Self; 3] = [Self::Service, Self::Edge, Self::Solo];
}

/// A fault while it is played.
pub(crate) struct Playing<'a> {
    pub(crate) ground: &'a Ground,
    pub(crate) target: usize,
    pub(crate) lasts: Duration,
}

type Act = fn(&Playing) -> Result<(), Failure>;

/// One kind of fault.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) lane: Lane,
    /// How many things it can hit, such as nodes.
    pub(crate) targets: usize,
    /// The least and the most that it lasts, in seconds.
    pub(crate) lasts_s: (u64, u64),
    /// What may fail meanwhile, and for [`crate::checker::RECOVERY`] behind it.
    pub(crate) excuses: fn(usize) -> Vec<Class>,
    /// Whether a change may not reach the SMB host meanwhile.
    pub(crate) holds_back: bool,
    /// The store of which it takes changes back: those since it began.
    pub(crate) goes_back: Option<Store>,
    pub(crate) begin: Act,
    pub(crate) end: Act,
}

impl Kind {
    const fn new(name: &'static str, lane: Lane, begin: Act, end: Act) -> Self {
        Self {
            name,
            lane,
            targets: 1,
            lasts_s: (3, 10),
            excuses: nothing,
            holds_back: false,
            goes_back: None,
            begin,
            end,
        }
    }

    const fn excusing(mut self, excuses: fn(usize) -> Vec<Class>) -> Self {
        self.excuses = excuses;
        self
    }

    const fn at_nodes(mut self) -> Self {
        self.targets = crate::history::NODES;
        self
    }

    const fn lasting(mut self, least_s: u64, most_s: u64) -> Self {
        self.lasts_s = (least_s, most_s);
        self
    }

    const fn holding_back(mut self) -> Self {
        self.holds_back = true;
        self
    }

    const fn going_back(mut self, store: Store) -> Self {
        self.goes_back = Some(store);
        self
    }
}

/// Plays one fault, and records it.
pub(crate) fn play(ground: &Ground, journal: &Journal, planned: &Planned) {
    let kind = planned.kind;
    let begin = journal.now();
    let playing = Playing {
        ground,
        target: planned.target,
        lasts: planned.lasts,
    };
    let began = Instant::now();
    let mut outcome = (kind.begin)(&playing);
    std::thread::sleep(planned.lasts.saturating_sub(began.elapsed()));
    // It is ended also if it began only by half.
    outcome = outcome.and((kind.end)(&playing));
    let end = journal.now();
    journal.fault(Fault {
        kind: kind.name,
        target: planned.target,
        begin,
        end,
        excuses: (kind.excuses)(planned.target),
        holds_back: kind.holds_back,
        loss: kind.goes_back.map(|store| Loss {
            store,
            from: begin,
            until: end,
        }),
        broken: outcome.err().map(|failure| failure.to_string()),
    });
}

fn nothing(_: usize) -> Vec<Class> {
    Vec::new()
}
