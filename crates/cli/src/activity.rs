//! What a command is doing, in one line at a terminal: shown once it takes longer than a moment, and gone before anything else is
//! written.
//!
//! There is one line in the process. `crate::terminal` writes everything through [`suspended`], so that no text is mixed with it; a
//! question holds it back until it is answered. A pipe, a file, a journal and JSON output never see it.

use crate::sanitize::one_line;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A command that ends sooner shows nothing: a line that flashes up says nothing.
const DELAY: Duration = Duration::from_millis(500);
/// How often the line is drawn.
const TICK: Duration = Duration::from_millis(120);
/// How it looks. Text that does not fit is cut, so that the line stays one. ASCII alone: every terminal has it.
const LINE: &str = "{spinner} {elapsed} {wide_msg}";
const SPINNER: &str = "-\\|/ ";

static STATE: Mutex<State> = Mutex::new(State {
    is_allowed: false,
    activity: None,
    begun: 0,
    holds: 0,
    bar: None,
});

struct State {
    /// Whether anybody sees it: a person at a terminal, who did not ask for JSON.
    is_allowed: bool,
    activity: Option<Activity>,
    /// Counts the activities, so that the delay of one that ended shows no other.
    begun: u64,
    /// How many questions wait for their answers.
    holds: usize,
    /// The line, while it is shown.
    bar: Option<ProgressBar>,
}

struct Activity {
    text: String,
    since: Instant,
    /// Whether the delay is over.
    is_due: bool,
}

impl State {
    /// Shows the line or takes it away, as it should be now.
    fn arrange(&mut self) {
        let shown = self.activity.as_ref();
        let shown = shown.filter(|activity| activity.is_due && self.holds == 0);
        match (shown, &self.bar) {
            (Some(activity), Some(bar)) => bar.set_message(activity.text.clone()),
            (Some(activity), None) => self.bar = Some(line(activity)),
            (None, Some(bar)) => {
                bar.finish_and_clear();
                self.bar = None;
            }
            (None, None) => {}
        }
    }
}

fn line(activity: &Activity) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    // The template is a constant, which a test reads.
    if let Ok(style) = ProgressStyle::with_template(LINE) {
        bar.set_style(style.tick_chars(SPINNER));
    }
    bar.set_elapsed(activity.since.elapsed());
    bar.set_message(activity.text.clone());
    bar.enable_steady_tick(TICK);
    bar
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets this process show a line: a person looks at its stderr, which is a terminal.
pub(crate) fn allow() {
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    state().is_allowed = !is_dumb;
}

/// Says what is being done from now on, in place of what was. The text needs no full stop.
pub(crate) fn doing(text: &str) {
    let mut state = state();
    if !state.is_allowed {
        return;
    }
    let text = one_line(text);
    if let Some(activity) = &mut state.activity {
        activity.text = text;
        return state.arrange();
    }
    state.activity = Some(Activity {
        text,
        since: Instant::now(),
        is_due: false,
    });
    state.begun += 1;
    let begun = state.begun;
    thread::spawn(move || {
        thread::sleep(DELAY);
        show(begun);
    });
}

/// The delay of this activity is over.
fn show(begun: u64) {
    let mut state = state();
    if state.begun == begun
        && let Some(activity) = &mut state.activity
    {
        activity.is_due = true;
        state.arrange();
    }
}

/// Nothing takes time any more: the line goes.
pub(crate) fn end() {
    let mut state = state();
    state.activity = None;
    state.arrange();
}

/// Writes to the terminal while the line is away.
pub(crate) fn suspended<T>(write: impl FnOnce() -> T) -> T {
    match &state().bar {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// While this lives, a person is asked something, and nothing is drawn over the question.
#[must_use = "the line comes back when it is dropped"]
pub(crate) struct Hold(());

/// Holds the line back.
pub(crate) fn hold() -> Hold {
    let mut state = state();
    state.holds += 1;
    state.arrange();
    Hold(())
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut state = state();
        state.holds = state.holds.saturating_sub(1);
        state.arrange();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_one() {
        assert!(ProgressStyle::with_template(LINE).is_ok());
    }

    /// Nobody called `allow`.
    #[test]
    fn nothing_is_shown_where_nobody_allowed_it() {
        doing("x");
        assert!(state().activity.is_none());
        let held = hold();
        assert_eq!(suspended(|| 5), 5);
        drop(held);
        end();
    }
}
