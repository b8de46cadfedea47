//! What operations of the agent report, on stderr: status and steps for a person, log lines for a service.

use crate::activity;
use crate::failure::Failure;
use crate::hints;
use crate::sanitize::one_line;
use crate::terminal::{self, say};
use crossrealm_agent::comparison::Comparison;
use crossrealm_agent::progress::{Event, Progress};
use crossrealm_onprem::sync::{SkipReason, Skipped};
use crossrealm_types::ApplyIdentitiesResult;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many names of objects that were left out are shown for each reason.
const NAMES_SHOWN: usize = 10;
/// How often a service logs its status during a long run.
const STATUS_EVERY: Duration = Duration::from_secs(10);

/// Shows progress on stderr.
pub(crate) struct Console {
    is_service: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// When the status was last logged, or would have been at the start of the run; `None` between runs.
    status_at: Option<Instant>,
    /// What was last shown of that which is reported at each run, and shown only where it changes.
    last: String,
}

impl Console {
    /// For a command that a person waits for.
    pub(crate) fn new() -> Self {
        Self::with(false)
    }

    /// For a service, whose stderr is a log.
    pub(crate) fn service() -> Self {
        Self::with(true)
    }

    fn with(is_service: bool) -> Self {
        Self {
            is_service,
            state: Mutex::default(),
        }
    }

    /// Shows the status at a terminal; a service logs it now and then.
    fn show_status(&self, state: &mut State, text: &str) {
        activity::doing(text);
        let now = Instant::now();
        let logged = *state.status_at.get_or_insert(now);
        if self.is_service && now.duration_since(logged) >= STATUS_EVERY {
            state.status_at = Some(now);
            tracing::info!("{}", one_line(text));
        }
    }

    /// Ends the status. A command goes on to its own end, a service may do nothing for long.
    fn clear_status(&self, state: &mut State) {
        state.status_at = None;
        if self.is_service {
            activity::end();
        }
    }

    fn waiting(&self, state: &mut State, holder: &str) {
        if state.last == holder {
            return;
        }
        state.last = holder.to_owned();
        let holder = one_line(holder);
        match self.is_service {
            true => {
                tracing::info!(%holder, "waiting: another sync agent works for this connector");
            }
            false => say!("waiting for another sync agent, `{holder}`"),
        }
    }

    fn synced(
        &self,
        state: &mut State,
        comparison: &Comparison,
        result: &ApplyIdentitiesResult,
        took: Duration,
    ) {
        let mut left_out = left_out(&comparison.plan.skipped);
        left_out += &normalized(&comparison.plan.normalized);
        if !left_out.is_empty() && left_out != state.last {
            terminal::ask(&left_out);
            state.last = left_out;
        }
        for refused in &result.refused {
            tracing::warn!(
                object = %one_line(&refused.account_name),
                code = refused.code.as_str(),
                "refused: {}",
                one_line(&refused.message)
            );
        }
        if comparison.is_idle() {
            return;
        }
        tracing::info!(
            domain = comparison.observed.domain.dns_name,
            controller = comparison.controller,
            compared = compared(comparison),
            created = result.created,
            updated = result.updated,
            deleted = result.deleted,
            memberships_added = result.memberships_added,
            memberships_removed = result.memberships_removed,
            refused = result.refused.len(),
            took_ms = took.as_millis(),
            "synced"
        );
    }
}

impl Progress for Console {
    fn report(&self, event: Event<'_>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        if let Event::Status(text) = event {
            return self.show_status(state, text);
        }
        self.clear_status(state);
        match event {
            Event::Status(_) | Event::Idle => {}
            Event::StepDone(step) => say!("done: {step}"),
            Event::Warning(error) => {
                let text = error.to_string();
                say!("warning: {}", text.lines().next().unwrap_or_default());
            }
            Event::Note(finding) => say!("note: {finding}"),
            Event::ObjectKept(realms) => say!(
                "note: the service account is kept, because AD trusts other tenants: `{}`; the last one's `remove` removes it, or `--force`",
                realms.join("`, `")
            ),
            Event::ReplicationUnknown(error) => say!(
                "note: whether the other domain controllers see the change is not known: {error}"
            ),
            Event::Waiting(holder) => self.waiting(state, holder),
            Event::Synced {
                comparison,
                result,
                took,
            } => self.synced(state, comparison, result, took),
            Event::SyncFailed { error, retry_in } => {
                let failure = Failure::from(error);
                tracing::error!(retry_in_s = retry_in.as_secs(), "{failure}");
            }
            Event::CredentialsRefused { error } => {
                let failure = Failure::from(error);
                tracing::error!(
                    "stopped until the password file or keytab changes, so that the account is not locked: {failure}"
                );
            }
            Event::TrustKeyRotated { domain, version } => {
                tracing::info!(domain, version, "trust key rotated");
            }
            Event::RotationFailed { error, retry_in } => {
                let (failure, pause_s) = (Failure::from(error), retry_in.as_secs());
                tracing::error!(
                    "the trust key was not rotated, next try in {pause_s} s: {failure}"
                );
            }
        }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        let mut state = std::mem::take(state.unwrap_or_else(PoisonError::into_inner));
        self.clear_status(&mut state);
    }
}

/// What a run compared.
pub(crate) fn compared(comparison: &Comparison) -> String {
    match &comparison.full_sync_reason {
        None => "what changed since the last run".to_owned(),
        Some(reason) => format!("everything: {reason}"),
    }
}

/// The objects that were left out, by reason, one line for each.
pub(crate) fn left_out(skipped: &[Skipped]) -> String {
    let mut by_reason: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for one in skipped.iter().filter(|one| one.reason.is_reported()) {
        by_reason.entry(one.reason).or_default().push(&one.name);
    }
    let line = |(reason, names): (SkipReason, Vec<&str>)| {
        let option = hints::of_skip(reason);
        format!("left out, {reason}{option}: {}\n", some_of(names))
    };
    by_reason.into_iter().map(line).collect()
}

/// The values of AD that were stored in another form, by attribute.
pub(crate) fn normalized(values: &[(String, &'static str)]) -> String {
    let mut by_attribute: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for (name, attribute) in values {
        by_attribute.entry(*attribute).or_default().push(name);
    }
    let line = |(attribute, names): (&str, Vec<&str>)| {
        let instead = match attribute {
            "userPrincipalName" => "the implicit UPN is used instead",
            _ => "it is stored without control characters, and cut",
        };
        let names = some_of(names);
        format!("note: `{attribute}` cannot be stored as it is, {instead}: {names}\n")
    };
    by_attribute.into_iter().map(line).collect()
}

/// The first of these names in order, and how many more there are.
fn some_of(mut names: Vec<&str>) -> String {
    names.sort_unstable();
    let shown = names.iter().take(NAMES_SHOWN).map(|name| one_line(name));
    let shown: Vec<_> = shown.collect();
    match names.len().saturating_sub(NAMES_SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F1: a value that was not stored as it is in AD is noted.
    #[test]
    fn normalized_values_are_listed_by_attribute() {
        let of = |name: &str, attribute| (name.to_owned(), attribute);
        let notes = normalized(&[
            of("bob", "displayName"),
            of("al\nice", "displayName"),
            of("bob", "userPrincipalName"),
        ]);
        let lines: Vec<&str> = notes.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].contains("`displayName`") && lines[0].ends_with("ice, bob"));
        assert!(lines[1].contains("implicit UPN") && lines[1].ends_with(": bob"));
    }

    #[test]
    fn objects_left_out_are_listed_by_reason() {
        let one = |name: String, reason| Skipped {
            guid: None,
            name,
            reason,
        };
        let mut all = vec![one("krbtgt".into(), SkipReason::ReservedRid)];
        all.extend((0..12).map(|n| one(format!("g{n:02}"), SkipReason::ForeignSid)));
        assert_eq!(
            left_out(&all),
            "left out, a built-in account (RID below 1000): krbtgt\n\
             left out, built-in or of another domain (by its SID): g00, g01, g02, g03, g04, g05, g06, g07, g08, g09 and 2 more\n"
        );
        assert_eq!(left_out(&[]), "");
    }
}
