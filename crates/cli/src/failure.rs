//! How a command fails: one line that names the thing and the reason, and where one is known, the next step.

use crossrealm_api::ClientError;
use std::fmt;

/// Why a command could not do its work. Shown on stderr as `error: …`, a blank line, `hint: …`; the exit code is 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    message: String,
    hint: Option<String>,
    refused: bool,
}

impl Failure {
    /// A failure with its message: names the thing and the reason, has no full stop at its end.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
            refused: false,
        }
    }

    /// The same failure, saying what could not be done: `step` is in the imperative.
    #[must_use]
    pub fn during(mut self, step: &str) -> Self {
        self.message = format!("could not {step}: {}", self.message);
        self
    }

    /// The same failure, noted as an answer that refuses the step: nothing of it was done.
    #[must_use]
    pub fn refused(mut self, refused: bool) -> Self {
        self.refused = refused;
        self
    }

    /// Whether the step was refused, so that nothing of it was done; else it may have been.
    pub fn is_refusal(&self) -> bool {
        self.refused
    }

    /// What went wrong, in one line.
    pub fn reason(&self) -> &str {
        self.message.lines().next().unwrap_or_default()
    }

    /// The same failure with the next step for the person who reads it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same failure with the next step, where one is known.
    #[must_use]
    pub fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::new(error.to_string()).maybe_hint(error.hint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_stands_apart_from_the_error() {
        let bare = Failure::new("no such share `acct1/x`");
        assert_eq!(bare.to_string(), "error: no such share `acct1/x`");
        let hinted = bare.hint("run `crossrealm share list acct1`");
        assert_eq!(
            hinted.to_string(),
            "error: no such share `acct1/x`\n\nhint: run `crossrealm share list acct1`"
        );
    }
}
