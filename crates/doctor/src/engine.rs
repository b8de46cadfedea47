//! The examination: checks in order, what each found, and which failure is the cause.
//!
//! Pure: no network, no clock. A check that needs a failed one is not run, so that one fault is reported once and first, and
//! every check behind it is skipped with the name of that one.

use crate::finding::{Finding, skipped};
use crossrealm_api::Refusal;
use serde::Serialize;

/// One check, for the documentation and the examination.
#[derive(Debug)]
pub struct Check {
    /// The stable id.
    pub id: &'static str,
    /// What is checked: a statement that holds where the check passes.
    pub title: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// What to do where it fails and the probe knows nothing more specific.
    pub next: &'static str,
    /// The ids of the checks that must not have failed before.
    pub needs: &'static [&'static str],
    /// The row of the table of prerequisites, where it has one.
    pub prerequisite: Option<&'static str>,
}

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It passed.
    Passed,
    /// It passed, but something should be looked at.
    Noted,
    /// It failed.
    Failed,
    /// It was not made.
    Skipped,
}

/// A check with its result.
#[derive(Clone, Debug, Serialize)]
pub struct CheckResult {
    /// The check's stable id.
    pub id: &'static str,
    /// What was checked.
    pub title: &'static str,
    /// The result.
    pub verdict: Verdict,
    /// What was observed, or why nothing was.
    pub seen: String,
    /// Why it matters.
    pub why: &'static str,
    /// What to do next; of a failure or a note.
    pub next: Option<String>,
    /// The failed check that this one needs.
    pub because: Option<&'static str>,
    /// The reason of a refused ticket.
    pub reason: Option<String>,
    /// The refusal of the service, for which the caller knows the next step best.
    #[serde(skip)]
    pub refusal: Option<Refusal>,
    /// The documentation of the failure: the title of a page of the reference, and the section.
    pub page: Option<String>,
    /// The row of the table of prerequisites.
    #[serde(skip)]
    pub prerequisite: Option<&'static str>,
}

/// The results so far.
#[derive(Debug, Default)]
pub struct Examination {
    results: Vec<CheckResult>,
}

impl Examination {
    /// The failed check that blocks this one, followed back to the first.
    pub fn blocked_by(&self, check: &Check) -> Option<&'static str> {
        check.needs.iter().find_map(|need| {
            let result = self.results.iter().find(|result| result.id == *need)?;
            match result.verdict {
                Verdict::Failed => Some(result.id),
                _ => result.because,
            }
        })
    }

    /// Replaces the placeholders in the next step of the newest result by the values that are known.
    pub fn fill_placeholders(&mut self, known: &[(&str, Option<String>)]) {
        let last = self.results.last_mut();
        let Some(next) = last.and_then(|result| result.next.as_mut()) else {
            return;
        };
        for (placeholder, value) in known {
            if let Some(value) = value {
                *next = next.replace(placeholder, value);
            }
        }
    }

    /// Records the finding of a probe.
    pub fn record(&mut self, check: &Check, finding: Finding) {
        let mut result = CheckResult {
            id: check.id,
            title: check.title,
            verdict: Verdict::Passed,
            seen: String::new(),
            why: check.why,
            next: None,
            because: None,
            reason: None,
            refusal: None,
            page: None,
            prerequisite: check.prerequisite,
        };
        match finding {
            Finding::Passed(seen) => result.seen = seen,
            Finding::Noted { seen, next } => {
                (result.verdict, result.seen, result.next) = (Verdict::Noted, seen, Some(next));
            }
            Finding::Skipped(why) => {
                (result.verdict, result.seen) = (Verdict::Skipped, why);
            }
            Finding::Failed(failed) => {
                result.verdict = Verdict::Failed;
                result.seen = failed.seen;
                result.next = Some(failed.next.unwrap_or_else(|| check.next.to_owned()));
                result.page = Some(match &failed.reason {
                    Some(reason) => format!("Refusal reasons: {reason}"),
                    None => format!("Doctor checks: {}", check.id),
                });
                result.reason = failed.reason;
                result.refusal = failed.refusal.map(|refusal| *refusal);
            }
        }
        self.results.push(result);
    }

    /// Records that a check was not run because another one failed.
    pub fn record_blocked(&mut self, check: &Check, because: &'static str) {
        self.record(check, skipped(format!("because `{because}` failed")));
        if let Some(last) = self.results.last_mut() {
            last.because = Some(because);
        }
    }

    /// Every result, in order.
    pub fn into_results(self) -> Vec<CheckResult> {
        self.results
    }

    /// The first failure: the cause of what follows.
    pub fn cause(&self) -> Option<&CheckResult> {
        let failed = |result: &&CheckResult| result.verdict == Verdict::Failed;
        self.results.iter().find(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::{Failed, failed, failed_with};

    const fn check(id: &'static str, needs: &'static [&'static str]) -> Check {
        Check {
            id,
            title: "",
            why: "",
            next: "do this",
            needs,
            prerequisite: None,
        }
    }

    #[test]
    fn a_check_behind_a_failed_one_is_skipped_with_its_name() {
        let (a, b, c, d) = (
            check("a", &[]),
            check("b", &["a"]),
            check("c", &["b"]),
            check("d", &[]),
        );
        let mut exam = Examination::default();
        exam.record(&a, failed("broken"));
        for blocked in [&b, &c] {
            let because = exam.blocked_by(blocked).unwrap();
            exam.record_blocked(blocked, because);
        }
        assert_eq!(exam.blocked_by(&d), None);
        exam.record(&d, failed_with("too", "do that"));
        assert_eq!(exam.cause().unwrap().id, "a");
        assert_eq!(exam.cause().unwrap().next.as_deref(), Some("do this"));
        let results = exam.into_results();
        let because: Vec<_> = results.iter().map(|result| result.because).collect();
        assert_eq!(because, [None, Some("a"), Some("a"), None]);
        let failed = |result: &&CheckResult| result.verdict == Verdict::Failed;
        assert_eq!(results.iter().filter(failed).count(), 2);
    }

    #[test]
    fn known_placeholders_are_filled_into_the_next_step() {
        let mut exam = Examination::default();
        exam.record(
            &check("a", &[]),
            failed_with("x", "sync --domain DOMAIN --user USER"),
        );
        exam.fill_placeholders(&[
            ("DOMAIN", Some("corp.contoso.com".to_owned())),
            ("USER", None),
        ]);
        let next = exam.cause().and_then(|cause| cause.next.clone());
        assert_eq!(next.unwrap(), "sync --domain corp.contoso.com --user USER");
    }

    #[test]
    fn a_skipped_check_blocks_nothing() {
        let (a, b) = (check("a", &[]), check("b", &["a"]));
        let mut exam = Examination::default();
        exam.record(&a, skipped("no token"));
        assert_eq!(exam.blocked_by(&b), None);
        assert!(exam.cause().is_none());
    }

    #[test]
    fn a_refused_ticket_links_to_the_page_of_its_reason() {
        let mut exam = Examination::default();
        let reason = Some("identity-disabled".to_owned());
        let failed = Failed {
            reason,
            ..Failed::default()
        };
        exam.record(&check("ticket", &[]), Finding::Failed(failed));
        let page = exam.cause().unwrap().page.as_deref();
        assert_eq!(page, Some("Refusal reasons: identity-disabled"));
    }
}
