//! Whether the services serve: always, but for what a fault excuses, and everything again after the last fault.

use super::{RECOVERY, Violation, is_excused, violation};
use crate::history::{Class, Ended, History, Ms, Operation};

/// An operation without an answer that no fault excuses, or a change that was refused: all clients ask for what they may.
pub(crate) fn failed_without_excuse(history: &History) -> Vec<Violation> {
    let mut found = Vec::new();
    for record in &history.records {
        let reason = match (&record.ended, &record.operation) {
            (Ended::Failed(reason), _) => reason,
            (Ended::Refused(reason), Operation::Change { .. }) => reason,
            _ => continue,
        };
        if !is_excused(history, record.class, record.begin, record.end) {
            let what = format!("{}: {:?}: {reason}", record.class.name(), record.operation);
            found.push(violation("failed without a fault", record, what));
        }
    }
    found
}

/// A class that did not serve again soon after the last fault.
pub(crate) fn not_back(history: &History) -> Vec<Violation> {
    let last = history.faults.iter().map(|fault| fault.end).max();
    let last = last.unwrap_or(0);
    let mut found = Vec::new();
    for class in Class::ALL {
        let back = back_at(history, class, last);
        if back.is_none_or(|at| at > last + RECOVERY) {
            let seconds = |at: Ms| format!("after {:.1} s", (at - last) as f64 / 1000.0);
            let when = back.map_or_else(|| "never".to_owned(), seconds);
            found.push(Violation {
                rule: "not back after the last fault",
                at: last,
                what: format!("{} served again {when}", class.name()),
            });
        }
    }
    found
}

/// When something of the class first ended well that began at this time or later.
pub(crate) fn back_at(history: &History, class: Class, from: Ms) -> Option<Ms> {
    let served = history
        .records
        .iter()
        .filter(|record| record.class == class && record.begin >= from && record.ended.is_good());
    served.map(|record| record.end).min()
}

/// A fault that could not be injected or ended: the run shows less than it says.
pub(crate) fn broken_faults(history: &History) -> Vec<Violation> {
    let broken = history.faults.iter().filter_map(|fault| {
        let reason = fault.broken.as_ref()?;
        Some(Violation {
            rule: "a fault was not played",
            at: fault.begin,
            what: format!("{}: {reason}", fault.kind),
        })
    });
    broken.collect()
}

#[cfg(test)]
mod tests {
    use super::super::planted::*;
    use super::*;
    use crate::history::Record;

    fn ticket(at: Ms, ended: Ended) -> Record {
        used(Class::Ticket, &enabled(), (at, at + 10), ended)
    }

    #[test]
    fn a_failure_that_no_fault_excuses_is_found() {
        let found = |faults| {
            let history = history(vec![ticket(50_000, failed())], faults);
            failed_without_excuse(&history).len()
        };
        assert_eq!(found(vec![]), 1);
        assert_eq!(found(vec![fault(10_000, 21_000, &[Class::Ticket])]), 0);
        assert_eq!(found(vec![fault(10_000, 21_000, &[Class::Files])]), 1);
        assert_eq!(found(vec![fault(10_000, 19_000, &[Class::Ticket])]), 1);
        let change = change(&object(), true, (10, 20), refused());
        assert_eq!(
            failed_without_excuse(&history(vec![change], vec![])).len(),
            1
        );
    }

    #[test]
    fn a_class_that_does_not_come_back_is_found() {
        let classes = |records| {
            let history = history(records, vec![fault(1_000, 5_000, &[Class::Ticket])]);
            let found = not_back(&history);
            found
                .iter()
                .any(|violation| violation.what.starts_with("tickets served"))
        };
        assert!(classes(vec![]));
        assert!(classes(vec![ticket(4_000, Ended::Done)]));
        assert!(classes(vec![ticket(35_500, Ended::Done)]));
        assert!(!classes(vec![
            ticket(6_000, failed()),
            ticket(9_000, Ended::Done)
        ]));
    }

    #[test]
    fn a_fault_that_was_not_played_is_found() {
        let mut broken = fault(1, 2, &[]);
        broken.broken = Some("no such process".into());
        assert_eq!(broken_faults(&history(vec![], vec![broken])).len(), 1);
    }
}
