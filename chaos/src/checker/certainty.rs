//! When a right was certainly on, and when it was certainly off: from an acknowledgement to the next attempt to change it.
//! Between the two it may be either, and nothing is said of it.

use super::MAY_STILL_HAPPEN;
use crate::history::{Ended, History, Ms, Operation, Record, Right};

/// A time in which a right was certainly on or off, as far as the directory is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Certain {
    pub(crate) on: bool,
    /// When it was acknowledged.
    pub(crate) from: Ms,
    /// When the next change to the contrary was tried.
    pub(crate) until: Ms,
}

/// All such times of a right, by when they begin. `forgets` is whether they end where the store went back in time: a change of
/// AD is read again before a ticket is issued, one of the API is not.
pub(crate) fn certain(history: &History, right: &Right, forgets: bool) -> Vec<Certain> {
    let changes: Vec<(&Record, bool)> = history
        .records
        .iter()
        .filter_map(|record| change_of(record, right).map(|on| (record, on)))
        .collect();
    let mut found = Vec::new();
    for record in &history.records {
        let Some(on) = acknowledged(record, right) else {
            continue;
        };
        let contrary = || changes.iter().filter(|(_, to)| *to != on);
        // A change to the contrary that was begun and may happen yet.
        let pending = contrary()
            .any(|(other, _)| other.begin <= record.end && may_happen_until(other) > record.begin);
        // The last thing that was asked for must be what was seen.
        let last = changes
            .iter()
            .filter(|(change, _)| change.begin <= record.end)
            .max_by_key(|(change, _)| change.begin);
        if pending || last.is_some_and(|(_, to)| *to != on) {
            continue;
        }
        if forgets && is_lost(history, right, record) {
            continue;
        }
        let next = contrary().map(|(other, _)| other.begin);
        let until = next.filter(|begin| *begin > record.end).min();
        found.push(Certain {
            on,
            from: record.end,
            until: until.unwrap_or(Ms::MAX),
        });
    }
    found
}

/// Whether the change that was acknowledged may be gone, since the store went back in time.
fn is_lost(history: &History, right: &Right, acknowledged: &Record) -> bool {
    let losses = history.faults.iter().filter_map(|fault| fault.loss);
    let mut losses = losses.filter(|loss| loss.store == right.store());
    losses.any(|loss| loss.from <= acknowledged.end && acknowledged.begin <= loss.until)
}

fn change_of(record: &Record, wanted: &Right) -> Option<bool> {
    match &record.operation {
        Operation::Change { right, on } if right == wanted => Some(*on),
        _ => None,
    }
}

/// What the service said of a right: an answer, or the acknowledgement of a change that is made in the directory itself.
fn acknowledged(record: &Record, wanted: &Right) -> Option<bool> {
    match (&record.operation, &record.ended) {
        (Operation::Seen { right, on }, Ended::Done) if right == wanted => Some(*on),
        (Operation::Change { right, on }, Ended::Done) if right == wanted && !right.is_of_ad() => {
            Some(*on)
        }
        _ => None,
    }
}

/// When a change has happened or will not: an unacknowledged one may be on its way for a while.
fn may_happen_until(change: &Record) -> Ms {
    match change.ended {
        Ended::Failed(_) => change.end + MAY_STILL_HAPPEN,
        _ => change.end,
    }
}

#[cfg(test)]
mod tests {
    use super::super::planted::*;
    use super::*;

    fn off(from: Ms, until: Ms) -> Certain {
        Certain {
            on: false,
            from,
            until,
        }
    }

    #[test]
    fn a_right_is_certain_from_the_acknowledgement_to_the_next_attempt() {
        let right = enabled();
        let records = vec![
            change(&right, false, (10, 11), Ended::Done),
            // Of AD: that it was changed there says nothing yet.
            seen(&right, false, (20, 21)),
            change(&right, true, (50, 51), failed()),
        ];
        let history = history(records, vec![]);
        assert_eq!(certain(&history, &right, true), [off(21, 50)]);
    }

    #[test]
    fn what_was_seen_before_a_change_arrived_is_not_certain() {
        let right = enabled();
        let records = vec![
            change(&right, false, (10, 11), Ended::Done),
            seen(&right, true, (12, 13)),
        ];
        assert_eq!(certain(&history(records, vec![]), &right, true), []);
    }

    #[test]
    fn a_change_without_an_answer_may_still_happen() {
        let right = object();
        let records = vec![
            change(&right, true, (10, 20), failed()),
            change(&right, false, (30, 40), Ended::Done),
        ];
        assert_eq!(certain(&history(records, vec![]), &right, true), []);
    }

    #[test]
    fn what_a_store_may_have_lost_is_not_certain() {
        let right = object();
        let records = vec![change(&right, false, (30, 40), Ended::Done)];
        let lossy = history(records, vec![loss(35, 90)]);
        assert_eq!(certain(&lossy, &right, true), []);
        assert_eq!(certain(&lossy, &right, false), [off(40, Ms::MAX)]);
    }
}
