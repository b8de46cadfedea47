//! What a run says: the table of faults with their times and results, what the clients did, and what is wrong.

use std::fmt::Write as _;

use crate::checker::{RECOVERY, Violation};
use crate::history::{Class, Ended, Fault, History, Ms};
use crate::schedule::Planned;

/// The whole account.
pub(crate) fn account(history: &History, violations: &[Violation]) -> String {
    let mut text =
        String::from("FAULT                                        AT s     FOR s   RESULT\n");
    for fault in &history.faults {
        let lasted = fault.end - fault.begin;
        let name = named(fault.kind, fault.target);
        let result = result(fault, violations);
        let _ = writeln!(
            text,
            "{name:40} {:>8} {:>8}   {result}",
            seconds(fault.begin),
            seconds(lasted)
        );
    }
    text += "\nCLIENTS              DONE  REFUSED  FAILED\n";
    for class in Class::ALL {
        let of = |wanted: fn(&Ended) -> bool| {
            let own = history
                .records
                .iter()
                .filter(|record| record.class == class);
            own.filter(|record| wanted(&record.ended)).count()
        };
        let (done, refused, failed) = (
            of(Ended::is_good),
            of(|ended| matches!(ended, Ended::Refused(_))),
            of(|ended| matches!(ended, Ended::Failed(_))),
        );
        let _ = writeln!(
            text,
            "{:18} {done:>6} {refused:>8} {failed:>7}",
            class.name()
        );
    }
    let _ = writeln!(text, "\n{} violations", violations.len());
    for violation in violations {
        let _ = writeln!(text, "{violation}");
    }
    text
}

/// The schedule alone.
pub(crate) fn schedule(planned: &[Planned]) -> String {
    let mut text = String::from("FAULT                                        AT s     FOR s\n");
    for fault in planned {
        let name = named(fault.kind.name, fault.target);
        let (at, lasts) = (fault.at.as_secs_f64(), fault.lasts.as_secs_f64());
        let _ = writeln!(text, "{name:40} {at:>8.1} {lasts:>8.1}");
    }
    text
}

fn named(kind: &str, target: usize) -> String {
    match kind.contains("node") && !kind.contains("all nodes") {
        true => format!("{kind} ({})", target + 1),
        false => kind.to_owned(),
    }
}

/// What went wrong while the fault, or what it may excuse, lasted.
fn result(fault: &Fault, violations: &[Violation]) -> String {
    if fault.broken.is_some() {
        return "NOT PLAYED".into();
    }
    let near = |violation: &&Violation| {
        fault.begin <= violation.at && violation.at <= fault.end + RECOVERY
    };
    match violations.iter().filter(near).count() {
        0 => "ok".into(),
        count => format!("{count} VIOLATIONS near it"),
    }
}

fn seconds(ms: Ms) -> String {
    format!("{:.1}", ms as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::planted;

    #[test]
    fn the_account_names_faults_and_what_is_wrong() {
        let faults = vec![
            planted::fault(1_000, 5_000, &[]),
            planted::fault(90_000, 95_000, &[]),
        ];
        let violation = Violation {
            rule: "a rule",
            at: 3_000,
            what: "something".into(),
        };
        let text = account(&planted::history(vec![], faults), &[violation]);
        for part in [
            "1.0      4.0   1 VIOLATIONS",
            "90.0      5.0   ok",
            "3.0 s  a rule: something",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }
}
