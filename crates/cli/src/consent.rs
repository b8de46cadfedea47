//! Consent to what cannot be undone: `--dry-run` prints what would be lost, and a person at a terminal is asked.

use crate::failure::Failure;
use crate::output::Format;
use crate::prompt;
use crate::sanitize::one_line;
use crate::terminal::{say, write_stdout};
use serde_json::json;
use std::io::IsTerminal as _;
use std::sync::OnceLock;

/// The options of a command that cannot be undone.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct ConsentArgs {
    /// Do not ask at a terminal
    #[arg(long)]
    yes: bool,
    /// Print what would be lost, and change nothing
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// With `--yes`, or by a script.
    GoOn,
    DryRun,
    Ask,
}

/// A question that is put before the first change.
pub(crate) struct Question {
    how: How,
    format: Format,
    lost: OnceLock<Vec<String>>,
}

impl ConsentArgs {
    /// The question of a command that prints in `format`.
    pub(crate) fn question(self, format: Format) -> Question {
        let how = match (self.dry_run, self.yes) {
            (true, _) => How::DryRun,
            (false, false) if std::io::stdin().is_terminal() => How::Ask,
            (false, _) => How::GoOn,
        };
        Question {
            how,
            format,
            lost: OnceLock::new(),
        }
    }
}

impl Question {
    /// Whether what is lost is shown to anybody; it need not be found out otherwise.
    pub(crate) fn is_put(&self) -> bool {
        self.how != How::GoOn
    }

    /// Whether the command goes on, at the loss of these.
    pub(crate) fn is_consented(&self, lost: &[String]) -> bool {
        self.lost.get_or_init(|| lost.to_vec());
        match self.how {
            How::GoOn => true,
            How::DryRun => false,
            How::Ask => prompt::is_confirmed(&format!("{}Type `yes` to go on: ", lines(lost))),
        }
    }

    /// How the command ends without consent.
    pub(crate) fn not_consented(&self) -> Result<(), Failure> {
        let lost = self.lost.get().map(Vec::as_slice).unwrap_or_default();
        match (self.how, self.format) {
            (How::DryRun, Format::Json) => {
                let all = json!({ "dry_run": true, "lost": lost });
                self.format.record(&all, &[])
            }
            (How::DryRun, Format::Table) => {
                write_stdout(&lines(lost))?;
                say!("nothing was changed (`--dry-run`)");
                Ok(())
            }
            (How::GoOn | How::Ask, _) => {
                let declined = Failure::new("nothing was changed: the answer was not `yes`");
                Err(declined.hint("`--yes` goes on without a question"))
            }
        }
    }
}

fn lines(lost: &[String]) -> String {
    let line = |line: &String| one_line(line) + "\n";
    lost.iter().map(line).collect()
}
