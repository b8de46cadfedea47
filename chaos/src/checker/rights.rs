//! What is done with a right, and what is done without it.

use std::collections::BTreeMap;

use super::certainty::{Certain, certain};
use super::{AT_HOSTS, AT_NODES, Judged, REACHED, Sids, Violation, is_excused, violation};
use crate::history::{Class, Ended, History, Ms, Operation, Record, Right};

/// A use that succeeded while one of its rights was certainly off for longer than the bound.
pub(crate) fn used_without_right(history: &History) -> Vec<Violation> {
    let mut known = Known::new(history);
    let mut found = Vec::new();
    for (record, rights) in uses(history).filter(|(record, _)| record.ended.is_good()) {
        if let Some((right, since)) = known.missing(record, rights) {
            let what = format!(
                "{} worked {} ms after the end of {right:?} was acknowledged",
                record.class.name(),
                record.begin - since
            );
            found.push(violation("used without a right", record, what));
        }
    }
    found
}

/// A use that was refused while all of its rights were certainly on for longer than the bound, and no fault excuses it. That an
/// object or a token is not known is excused by nothing: it was lost.
pub(crate) fn refused_with_right(history: &History) -> Vec<Violation> {
    let mut known = Known::new(history);
    let mut found = Vec::new();
    for (record, rights) in uses(history) {
        let Ended::Refused(reason) = &record.ended else {
            continue;
        };
        let is_kept = rights
            .iter()
            .all(|right| matches!(right, Right::Object(..) | Right::Token(..)));
        let is_excused = !is_kept && is_excused(history, record.class, record.begin, record.end);
        if known.has_all(record, rights) && !is_excused {
            let rule = match is_kept {
                true => "an acknowledged write is lost",
                false => "refused although granted",
            };
            found.push(violation(rule, record, format!("{rights:?}: {reason}")));
        }
    }
    found
}

/// How many uses could be judged.
pub(crate) fn judged(history: &History) -> Judged {
    let mut known = Known::new(history);
    let mut judged = Judged::default();
    for (record, rights) in uses(history) {
        let counts = judged.0.entry(record.class).or_default();
        counts.0 += usize::from(known.has_all(record, rights));
        counts.1 += usize::from(known.missing(record, rights).is_some());
    }
    judged
}

/// A ticket that holds a SID which the directory did not grant to its user then.
pub(crate) fn sids_not_granted(history: &History, sids: &Sids) -> Vec<Violation> {
    let mut known = Known::new(history);
    let mut found = Vec::new();
    for (record, rights) in uses(history) {
        let user = rights.iter().find_map(|right| match right {
            Right::Enabled(user) => Some(user),
            _ => None,
        });
        let Some(user) = user else { continue };
        for sid in &record.sids {
            let always = |(of, own): &(String, String)| of == user && own == sid;
            if sids.always.iter().any(always) {
                continue;
            }
            let group = sids.groups.iter().find(|(_, of)| of == sid);
            let Some((group, _)) = group else {
                let what = format!("{user} got {sid}, which nobody granted");
                found.push(violation("a SID that was not granted", record, what));
                continue;
            };
            let right = Right::Member(user.clone(), group.clone());
            let off = known.of(&right, false).iter().any(|time| {
                !time.on && record.begin > time.from + AT_NODES && record.end < time.until
            });
            if off {
                let what = format!("{user} got {sid} of the group {group}, which they had left");
                found.push(violation("a SID that was not granted", record, what));
            }
        }
    }
    found
}

fn uses(history: &History) -> impl Iterator<Item = (&Record, &Vec<Right>)> {
    history
        .records
        .iter()
        .filter_map(|record| match &record.operation {
            Operation::Use { rights } => Some((record, rights)),
            _ => None,
        })
}

/// Whether a right is certain no more once the store went back: after that, users of a synchronized domain get no tickets until
/// their full sync, but an SMB host is given what the store holds, and nothing reads the changes of the API again.
fn forgets(class: Class, right: &Right) -> bool {
    match class {
        Class::Ticket => !right.is_of_ad(),
        Class::SoloTicket => *right != Right::SoloEnabled,
        _ => true,
    }
}

/// When a change that was acknowledged at this time is in force where the class is decided. An SMB host that did not run or
/// reach the service learns of it after that.
fn in_force(history: &History, class: Class, from: Ms) -> Ms {
    match class {
        Class::Tree => {}
        // One process, which made the change.
        Class::SoloTicket | Class::SoloApi => return from,
        _ => return from + AT_NODES,
    }
    let mut at = from;
    // By their begin, so that a later one may hold back what an earlier one held back.
    for fault in history.faults.iter().filter(|fault| fault.holds_back) {
        if fault.begin <= at + AT_HOSTS && at <= fault.end + REACHED {
            at = fault.end + REACHED;
        }
    }
    at + AT_HOSTS
}

/// When which right is certain, computed once for each.
struct Known<'a> {
    history: &'a History,
    times: BTreeMap<(Right, bool), Vec<Certain>>,
}

impl<'a> Known<'a> {
    fn new(history: &'a History) -> Self {
        Self {
            history,
            times: BTreeMap::new(),
        }
    }

    /// A right that was certainly off for longer than the bound, and since when.
    fn missing<'r>(&mut self, record: &Record, rights: &'r [Right]) -> Option<(&'r Right, Ms)> {
        rights.iter().find_map(|right| {
            let off = self.during(record, right, forgets(record.class, right), false);
            off.map(|since| (right, since))
        })
    }

    /// Whether all rights were certainly on for longer than the bound.
    fn has_all(&mut self, record: &Record, rights: &[Right]) -> bool {
        let mut rights = rights.iter();
        rights.all(|right| self.during(record, right, true, true).is_some())
    }

    /// Since when the right was certainly on or off, if it was all the time and for longer than the bound.
    fn during(&mut self, record: &Record, right: &Right, forgets: bool, on: bool) -> Option<Ms> {
        let history = self.history;
        let times = self.of(right, forgets).iter();
        let mut times = times.filter(|time| time.on == on && record.end < time.until);
        let time = times.find(|time| record.begin > in_force(history, record.class, time.from));
        time.map(|time| time.from)
    }

    fn of(&mut self, right: &Right, forgets: bool) -> &[Certain] {
        let history = self.history;
        self.times
            .entry((right.clone(), forgets))
            .or_insert_with(|| certain(history, right, forgets))
    }
}

#[cfg(test)]
mod tests {
    use super::super::planted::*;
    use super::*;
    use crate::history::Store;

    fn disabled() -> Vec<Record> {
        vec![
            change(&enabled(), false, (100, 110), Ended::Done),
            seen(&enabled(), false, (200, 210)),
        ]
    }

    fn with(mut records: Vec<Record>, more: Record) -> Vec<Record> {
        records.push(more);
        records
    }

    fn rules(found: &[Violation]) -> Vec<&'static str> {
        found.iter().map(|violation| violation.rule).collect()
    }

    #[test]
    fn a_ticket_after_the_bound_is_found() {
        let ticket = |at: Ms| used(Class::Ticket, &enabled(), (at, at + 10), Ended::Done);
        let early = history(with(disabled(), ticket(2_100)), vec![]);
        assert_eq!(used_without_right(&early), []);
        let late = history(with(disabled(), ticket(2_300)), vec![]);
        assert_eq!(rules(&used_without_right(&late)), ["used without a right"]);
        // A store that went back excuses no ticket: the domain waits for its full sync.
        let lossy = history(with(disabled(), ticket(2_300)), vec![loss(150, 400)]);
        assert_eq!(rules(&used_without_right(&lossy)), ["used without a right"]);
        // While she is being enabled again, both are right.
        let mut both = with(disabled(), ticket(2_300));
        both.push(change(&enabled(), true, (2_305, 2_320), Ended::Done));
        assert_eq!(used_without_right(&history(both, vec![])), []);
    }

    #[test]
    fn a_tree_connect_after_the_bound_is_found_unless_the_host_could_not_know() {
        let ls = used(Class::Tree, &enabled(), (25_000, 25_010), Ended::Done);
        let records = with(disabled(), ls);
        let found = used_without_right(&history(records.clone(), vec![]));
        assert_eq!(rules(&found), ["used without a right"]);
        let mut away = fault(0, 14_000, &[]);
        away.holds_back = true;
        assert_eq!(used_without_right(&history(records, vec![away])), []);
    }

    #[test]
    fn a_revoked_token_that_works_is_found() {
        let token = Right::Token(Store::Postgres, "t1".into());
        let records = vec![
            change(&token, true, (10, 20), Ended::Done),
            change(&token, false, (100, 120), Ended::Done),
            used(Class::Api(1), &token, (3_000, 3_010), Ended::Done),
        ];
        let plain = history(records.clone(), vec![]);
        assert_eq!(used_without_right(&plain).len(), 1);
        assert_eq!(judged(&plain).of(Class::Api(1)), (0, 1));
        // The backup knows the token, and not that it was revoked.
        let restored = history(records, vec![loss(50, 500)]);
        assert_eq!(used_without_right(&restored), []);
    }

    #[test]
    fn a_lost_write_is_found_and_no_fault_excuses_it() {
        let read = |ended| used(Class::Api(0), &object(), (5_000, 5_010), ended);
        let made = vec![change(&object(), true, (10, 20), Ended::Done)];
        let down = || vec![fault(0, 9_000, &[Class::Api(0)])];
        let lost = history(with(made.clone(), read(refused())), down());
        let found = refused_with_right(&lost);
        assert_eq!(rules(&found), ["an acknowledged write is lost"]);
        let there = history(with(made.clone(), read(Ended::Done)), vec![]);
        assert_eq!(refused_with_right(&there), []);
        let away = history(with(made.clone(), read(failed())), down());
        assert_eq!(refused_with_right(&away), []);
        let restored = history(with(made, read(refused())), vec![loss(0, 4_000)]);
        assert_eq!(refused_with_right(&restored), []);
    }

    #[test]
    fn a_user_who_is_refused_although_enabled_is_found_unless_excused() {
        let records = vec![
            seen(&enabled(), true, (10, 20)),
            used(Class::Ticket, &enabled(), (5_000, 5_010), refused()),
        ];
        let found = refused_with_right(&history(records.clone(), vec![]));
        assert_eq!(rules(&found), ["refused although granted"]);
        let excused = vec![fault(1_000, 2_000, &[Class::Ticket])];
        assert_eq!(refused_with_right(&history(records, excused)), []);
    }

    #[test]
    fn a_sid_that_was_not_granted_is_found() {
        let sids = Sids {
            always: vec![("dora".into(), "S-1-1".into())],
            groups: vec![("Rotating".into(), "S-1-2".into())],
        };
        let member = Right::Member("dora".into(), "Rotating".into());
        let ticket = |at: Ms, sid: &str| {
            let mut ticket = used(Class::Ticket, &enabled(), (at, at + 10), Ended::Done);
            ticket.sids = vec!["S-1-1".into(), sid.into()];
            ticket
        };
        let left = || {
            vec![
                change(&member, false, (100, 110), Ended::Done),
                seen(&member, false, (200, 210)),
            ]
        };
        let found = |record| sids_not_granted(&history(with(left(), record), vec![]), &sids);
        assert_eq!(found(ticket(2_100, "S-1-2")), []);
        assert_eq!(found(ticket(9_000, "S-1-1")), []);
        let stale = found(ticket(9_000, "S-1-2"));
        assert_eq!(rules(&stale), ["a SID that was not granted"]);
        let foreign = found(ticket(150, "S-1-9"));
        assert_eq!(rules(&foreign), ["a SID that was not granted"]);
    }
}
