//! What a probe found.

use crossrealm_api::Refusal;
use std::fmt::Display;

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The check passed; what was observed.
    Passed(String),
    /// The check passed, but something should be looked at; it explains no failure.
    Noted {
        /// What was observed.
        seen: String,
        /// The next step.
        next: String,
    },
    /// The check failed.
    Failed(Failed),
    /// The check could not be made; why, and what would make it possible.
    Skipped(String),
}

/// What is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failed {
    /// What was observed.
    pub seen: String,
    /// The next step, where it is more specific than the check's own.
    pub next: Option<String>,
    /// The reason of a refused ticket.
    pub reason: Option<String>,
    /// The refusal of the service, for which the caller knows the next step best.
    pub refusal: Option<Box<Refusal>>,
}

/// The check passed.
pub fn passed(seen: impl Into<String>) -> Finding {
    Finding::Passed(seen.into())
}

/// The check passed, but something should be looked at.
pub fn noted(seen: impl Into<String>, next: impl Into<String>) -> Finding {
    let (seen, next) = (seen.into(), next.into());
    Finding::Noted { seen, next }
}

/// The check failed; the check's own next step applies.
pub fn failed(seen: impl ToString) -> Finding {
    Finding::Failed(Failed {
        seen: seen.to_string(),
        ..Failed::default()
    })
}

/// The check failed; `next` is the step to take.
pub fn failed_with(seen: impl ToString, next: impl Into<String>) -> Finding {
    Finding::Failed(Failed {
        seen: seen.to_string(),
        next: Some(next.into()),
        ..Failed::default()
    })
}

/// The check could not be made.
pub fn skipped(why: impl Into<String>) -> Finding {
    Finding::Skipped(why.into())
}

/// Names in back quotes, with commas between.
pub(crate) fn quoted(names: impl IntoIterator<Item = impl Display>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

/// Unwraps an `Option`, or returns from the probe with the check skipped for this reason.
macro_rules! need {
    ($value:expr, $why:expr) => {
        match $value {
            Some(value) => value,
            None => return $crate::finding::skipped($why),
        }
    };
}
pub(crate) use need;

/// Unwraps a `Result`, or returns from the probe: with the check failed for this error, or with another finding of it.
macro_rules! try_or_fail {
    ($result:expr) => {
        $crate::finding::try_or_fail!($result, $crate::finding::failed)
    };
    ($result:expr, $finding:expr) => {
        match $result {
            Ok(value) => value,
            Err(error) => return $finding(error),
        }
    };
}
pub(crate) use try_or_fail;
