//! What a run says: the table of faults with their times and results, what the clients did, and what is wrong.

use std::fmt::Write as _;

use crate::checker::service::back_at;
use crate::checker::{Judged, RECOVERY, Violation};
use crate::history::{Class, Ended, Fault, History, Ms};
use crate::schedule::Planned;

/// How many violations are shown: the first ones tell what happened.
const MOST_SHOWN: usize = 40;

/// The whole account.
pub(crate) fn account(history: &History, judged: &Judged, violations: &[Violation]) -> String {
    let mut text = format!(
        "{:46} {:>7} {:>7} {:>7}  RESULT\n",
        "FAULT", "AT s", "FOR s", "BACK s"
    );
    for fault in &history.faults {
        let lasted = fault.end - fault.begin;
        let name = named(fault.kind, fault.target);
        let result = result(fault, violations);
        let _ = writeln!(
            text,
            "{name:46} {:>7} {:>7} {:>7}  {result}",
            seconds(fault.begin),
            seconds(lasted),
            back(history, fault)
        );
    }
    text += "\nCLIENTS              DONE REFUSED  FAILED  of these with all rights, and without one, for longer than the bound\n";
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
        let name = class.name();
        let (on, off) = judged.of(class);
        let _ = writeln!(
            text,
            "{name:18} {done:>6} {refused:>7} {failed:>7} {on:>7} {off:>7}"
        );
    }
    let _ = writeln!(text, "\n{} violations", violations.len());
    for violation in violations.iter().take(MOST_SHOWN) {
        let _ = writeln!(text, "{violation}");
    }
    text
}

/// The schedule alone.
pub(crate) fn schedule(planned: &[Planned]) -> String {
    let mut text = format!("{:46} {:>7} {:>7}\n", "FAULT", "AT s", "FOR s");
    for fault in planned {
        let name = named(fault.kind.name, fault.target);
        let (at, lasts) = (fault.at.as_secs_f64(), fault.lasts.as_secs_f64());
        let _ = writeln!(text, "{name:46} {at:>7.1} {lasts:>7.1}");
    }
    text
}

fn named(kind: &str, target: usize) -> String {
    match kind.contains("node") && !kind.contains("all nodes") {
        true => format!("{kind} ({})", target + 1),
        false => kind.to_owned(),
    }
}

/// How long after its end everything was served again that it excuses, in seconds. Another fault may have a part in it.
fn back(history: &History, fault: &Fault) -> String {
    let since = |class: &Class| Some(back_at(history, *class, fault.end)? - fault.end);
    let times: Option<Vec<Ms>> = fault.excuses.iter().map(since).collect();
    times.map_or_else(
        || "never".into(),
        |times| times.into_iter().max().map_or_else(|| "-".into(), seconds),
    )
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
        let text = account(
            &planted::history(vec![], faults),
            &Judged::default(),
            &[violation],
        );
        for part in [
            "1.0     4.0       -  1 VIOLATIONS",
            "90.0     5.0       -  ok",
            "3.0 s  a rule: something",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
    }
}
