//! The examination: checks in the order of the ticket's way, what each found, and which failure is the cause.
//!
//! Pure: it knows no network and no clock. A check whose need has failed is not run, so that one broken thing is named once
//! and first, and everything behind it is skipped with its name.

use serde::Serialize;

/// One check, as the documentation and the examination know it.
#[derive(Debug)]
pub struct Check {
    /// Its stable name.
    pub id: &'static str,
    /// What is looked at, for people.
    pub title: &'static str,
    /// Why it matters.
    pub why: &'static str,
    /// What to do where it fails and nothing more exact is known.
    pub next: &'static str,
    /// The checks that must not have failed before.
    pub needs: &'static [&'static str],
    /// The row of the table of prerequisites, where it stands in that.
    pub prerequisite: Option<&'static str>,
}

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It is as it should be; what was seen.
    Passed(String),
    /// It is not.
    Failed(Failed),
    /// It could not be looked at; why, and how it could be.
    Skipped(String),
}

/// What is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failed {
    /// What was seen.
    pub seen: String,
    /// The exact next step, where it is another than the check's own.
    pub next: Option<String>,
    /// The reason of a refused ticket.
    pub reason: Option<String>,
}

/// It is as it should be.
pub fn passed(seen: impl Into<String>) -> Finding {
    Finding::Passed(seen.into())
}

/// It is not as it should be; the check's own next step helps.
pub fn failed(seen: impl Into<String>) -> Finding {
    Finding::Failed(Failed {
        seen: seen.into(),
        ..Failed::default()
    })
}

/// It is not as it should be; this helps.
pub fn failed_with(seen: impl Into<String>, next: impl Into<String>) -> Finding {
    Finding::Failed(Failed {
        seen: seen.into(),
        next: Some(next.into()),
        reason: None,
    })
}

/// It could not be looked at.
pub fn skipped(why: impl Into<String>) -> Finding {
    Finding::Skipped(why.into())
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Passed,
    /// Not as it should be.
    Failed,
    /// Not looked at.
    Skipped,
}

/// A check with what was found.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The check's stable name.
    pub id: &'static str,
    /// What was looked at.
    pub title: &'static str,
    /// How it ended.
    pub verdict: Verdict,
    /// What was seen, or why nothing was.
    pub seen: String,
    /// Why it matters.
    pub why: &'static str,
    /// What to do next; of a failure.
    pub next: Option<String>,
    /// The failed check that this one needs.
    pub because: Option<&'static str>,
    /// The reason of a refused ticket, and the page about it.
    pub reason: Option<String>,
    /// Where to read on.
    pub page: Option<String>,
    /// The row of the table of prerequisites.
    #[serde(skip)]
    pub prerequisite: Option<&'static str>,
}

/// What has been found so far.
#[derive(Debug, Default)]
pub struct Examination {
    outcomes: Vec<Outcome>,
}

impl Examination {
    /// The failed check that stands in the way of this one, followed back to the first.
    pub fn blocked_by(&self, check: &Check) -> Option<&'static str> {
        check.needs.iter().find_map(|need| {
            let outcome = self.outcomes.iter().find(|outcome| outcome.id == *need)?;
            match outcome.verdict {
                Verdict::Failed => Some(outcome.id),
                _ => outcome.because,
            }
        })
    }

    /// Fills what is known into the next step of the newest outcome.
    pub fn fill_in(&mut self, known: &[(&str, Option<String>)]) {
        let last = self.outcomes.last_mut();
        let Some(next) = last.and_then(|outcome| outcome.next.as_mut()) else {
            return;
        };
        for (blank, value) in known {
            if let Some(value) = value {
                *next = next.replace(blank, value);
            }
        }
    }

    /// Records what a probe found.
    pub fn record(&mut self, check: &Check, finding: Finding) {
        let mut outcome = Outcome {
            id: check.id,
            title: check.title,
            verdict: Verdict::Passed,
            seen: String::new(),
            why: check.why,
            next: None,
            because: None,
            reason: None,
            page: None,
            prerequisite: check.prerequisite,
        };
        match finding {
            Finding::Passed(seen) => outcome.seen = seen,
            Finding::Skipped(why) => {
                (outcome.verdict, outcome.seen) = (Verdict::Skipped, why);
            }
            Finding::Failed(failed) => {
                outcome.verdict = Verdict::Failed;
                outcome.seen = failed.seen;
                outcome.next = Some(failed.next.unwrap_or_else(|| check.next.to_owned()));
                outcome.page = Some(match &failed.reason {
                    Some(reason) => format!("docs/reference/refusal-reasons.md#{reason}"),
                    None => format!("docs/reference/doctor-checks.md#{}", check.id),
                });
                outcome.reason = failed.reason;
            }
        }
        self.outcomes.push(outcome);
    }

    /// Records that a check was not run because of a failed one.
    pub fn record_blocked(&mut self, check: &Check, because: &'static str) {
        self.record(check, skipped(format!("because `{because}` failed")));
        if let Some(last) = self.outcomes.last_mut() {
            last.because = Some(because);
        }
    }

    /// Everything, in order.
    pub fn outcomes(&self) -> &[Outcome] {
        &self.outcomes
    }

    /// The first failure: the cause of what follows.
    pub fn cause(&self) -> Option<&Outcome> {
        self.failures().next()
    }

    /// Every failure, the cause first.
    pub fn failures(&self) -> impl Iterator<Item = &Outcome> {
        let failed = |outcome: &&Outcome| outcome.verdict == Verdict::Failed;
        self.outcomes.iter().filter(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn what_needs_a_failed_check_is_skipped_with_the_first_ones_name() {
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
        let because: Vec<_> = exam.outcomes().iter().map(|o| o.because).collect();
        assert_eq!(because, [None, Some("a"), Some("a"), None]);
        assert_eq!(exam.cause().unwrap().id, "a");
        assert_eq!(exam.cause().unwrap().next.as_deref(), Some("do this"));
        assert_eq!(exam.failures().count(), 2);
    }

    #[test]
    fn what_is_known_is_filled_into_the_next_step() {
        let mut exam = Examination::default();
        exam.record(
            &check("a", &[]),
            failed_with("x", "sync --domain DOMAIN --user USER"),
        );
        exam.fill_in(&[
            ("DOMAIN", Some("corp.contoso.com".to_owned())),
            ("USER", None),
        ]);
        let next = exam.cause().and_then(|cause| cause.next.clone());
        assert_eq!(next.unwrap(), "sync --domain corp.contoso.com --user USER");
    }

    #[test]
    fn what_was_skipped_for_want_of_means_stops_nothing() {
        let (a, b) = (check("a", &[]), check("b", &["a"]));
        let mut exam = Examination::default();
        exam.record(&a, skipped("no token"));
        assert_eq!(exam.blocked_by(&b), None);
        assert!(exam.cause().is_none());
    }

    #[test]
    fn a_refused_ticket_leads_to_the_page_of_its_reason() {
        let mut exam = Examination::default();
        let reason = Some("identity-disabled".to_owned());
        let failed = Failed {
            reason,
            ..Failed::default()
        };
        exam.record(&check("ticket", &[]), Finding::Failed(failed));
        let page = exam.cause().unwrap().page.as_deref();
        assert_eq!(
            page,
            Some("docs/reference/refusal-reasons.md#identity-disabled")
        );
    }
}
