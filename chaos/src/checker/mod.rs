//! The checker: pure functions from a history to what is wrong with it. The tests of each plant what it must find.

mod certainty;
mod files;
mod rights;
pub(crate) mod service;

use std::collections::BTreeMap;
use std::fmt;

use crate::history::{Class, Fault, History, Ms, Record};

/// How long after a fault things may still fail that it excuses, and after the last one until everything serves again.
pub(crate) const RECOVERY: Ms = 30_000;
/// A change is effective at every node within two seconds (docs/design.md).
pub(crate) const AT_NODES: Ms = 2_000;
/// A change is in effect on an SMB host that runs and reaches the service "about a second later" (docs/guide/shares.md): it is
/// informed within one, applies it by two programs of Samba's, and these may take some seconds on a busy machine.
pub(crate) const AT_HOSTS: Ms = 10_000;
/// How long after a fault an SMB host has reached the service again: it tries every two seconds, each time for some.
pub(crate) const REACHED: Ms = 10_000;
/// For how long a change that was not acknowledged may still happen: the longest that a statement may take
/// (docs/guide/operations.md).
pub(crate) const MAY_STILL_HAPPEN: Ms = 30_000;

/// Something that must not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) rule: &'static str,
    pub(crate) at: Ms,
    pub(crate) what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.at as f64 / 1000.0;
        write!(f, "{:7.1} s  {}: {}", seconds, self.rule, self.what)
    }
}

/// Which SIDs a ticket of a user may hold.
pub(crate) struct Sids {
    /// User and SID: what the directory grants all the time.
    pub(crate) always: Vec<(String, String)>,
    /// Group and SID: those whose members change.
    pub(crate) groups: Vec<(String, String)>,
}

/// By class: how many uses had all rights for longer than the bound, and how many certainly lacked one for longer.
#[derive(Default)]
pub(crate) struct Judged(BTreeMap<Class, (usize, usize)>);

impl Judged {
    pub(crate) fn of(&self, class: Class) -> (usize, usize) {
        self.0.get(&class).copied().unwrap_or_default()
    }

    /// The classes of which nothing was judged that had to be refused: the run shows nothing of them.
    pub(crate) fn blind(&self) -> Vec<Class> {
        let decided = [Class::Ticket, Class::Tree, Class::SoloTicket];
        let blind = decided.into_iter().filter(|class| self.of(*class).1 == 0);
        blind.collect()
    }
}

/// How much could be judged.
pub(crate) fn judged(history: &History) -> Judged {
    rights::judged(history)
}

/// All that is wrong.
pub(crate) fn check(history: &History, sids: &Sids) -> Vec<Violation> {
    let mut found = rights::used_without_right(history);
    found.extend(rights::refused_with_right(history));
    found.extend(rights::sids_not_granted(history, sids));
    found.extend(files::lost_or_changed(history));
    found.extend(service::failed_without_excuse(history));
    found.extend(service::not_back(history));
    found.extend(service::broken_faults(history));
    found.sort_by_key(|violation| violation.at);
    found
}

/// Whether a fault excuses that something of this class failed in this time.
fn is_excused(history: &History, class: Class, begin: Ms, end: Ms) -> bool {
    let excuses = |fault: &&Fault| fault.excuses.contains(&class);
    let mut faults = history.faults.iter().filter(excuses);
    faults.any(|fault| fault.begin <= end && begin <= fault.end + RECOVERY)
}

fn violation(rule: &'static str, record: &Record, what: String) -> Violation {
    Violation {
        rule,
        at: record.begin,
        what,
    }
}

#[cfg(test)]
pub(crate) mod planted {
    //! Histories for tests.

    use super::*;
    use crate::history::{Ended, Loss, Operation, Right, Store};

    pub(crate) fn enabled() -> Right {
        Right::Enabled("dora".into())
    }

    pub(crate) fn object() -> Right {
        Right::Object(Store::Postgres, "shares/a".into())
    }

    pub(crate) fn change(right: &Right, on: bool, at: (Ms, Ms), ended: Ended) -> Record {
        let right = right.clone();
        Record::new(Class::Api(0), at, Operation::Change { right, on }, ended)
    }

    pub(crate) fn seen(right: &Right, on: bool, at: (Ms, Ms)) -> Record {
        let right = right.clone();
        Record::new(Class::Sync, at, Operation::Seen { right, on }, Ended::Done)
    }

    pub(crate) fn used(class: Class, right: &Right, at: (Ms, Ms), ended: Ended) -> Record {
        let rights = vec![right.clone()];
        Record::new(class, at, Operation::Use { rights }, ended)
    }

    pub(crate) fn refused() -> Ended {
        Ended::Refused("no".into())
    }

    pub(crate) fn failed() -> Ended {
        Ended::Failed("no answer".into())
    }

    pub(crate) fn fault(begin: Ms, end: Ms, excuses: &[Class]) -> Fault {
        Fault {
            kind: "planted",
            target: 0,
            begin,
            end,
            excuses: excuses.to_vec(),
            holds_back: false,
            loss: None,
            broken: None,
        }
    }

    pub(crate) fn loss(from: Ms, until: Ms) -> Fault {
        let store = Store::Postgres;
        Fault {
            loss: Some(Loss { store, from, until }),
            ..fault(from, until, &[])
        }
    }

    pub(crate) fn history(records: Vec<Record>, faults: Vec<Fault>) -> History {
        History { records, faults }
    }
}
