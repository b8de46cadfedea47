//! How a command fails: one line that names what failed, on which object, and the next step where one is known.

use crate::hints;
use crate::sanitize::one_line;
use crossrealm_agent::error::AgentError;
use crossrealm_api::ClientError;
use std::fmt;

/// Why a command failed. Shown on stderr as `error: …`, a blank line, `hint: …`; the exit code is 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    message: String,
    hint: Option<String>,
    is_shown: bool,
}

impl Failure {
    /// A failure with its message: what failed, on which object, and the value seen; without a full stop.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
            is_shown: false,
        }
    }

    /// The same failure with what was done about it.
    #[must_use]
    pub(crate) fn and(mut self, done: &str) -> Self {
        self.message += &format!("; {done}");
        self
    }

    /// A failure that the command's output has shown: the exit code is 1, and nothing more is printed.
    pub(crate) fn already_shown() -> Self {
        Self {
            is_shown: true,
            ..Self::new("")
        }
    }

    /// Whether the command's output has shown it.
    pub(crate) fn is_shown(&self) -> bool {
        self.is_shown
    }

    /// The same failure with the next step.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same failure with the next step, where one is known.
    #[must_use]
    pub(crate) fn maybe_hint(mut self, hint: Option<String>) -> Self {
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
        // The service wrote the message: it must not add lines of its own.
        Self::new(one_line(&error.to_string())).maybe_hint(hints::api::of_client_error(&error))
    }
}

impl From<&AgentError> for Failure {
    fn from(error: &AgentError) -> Self {
        let AgentError::Blocked(found) = error else {
            return Self::new(one_line(&error.to_string())).maybe_hint(hints::of_error(error));
        };
        let messages = found.findings.iter();
        let messages: Vec<String> = messages.map(|one| one_line(&one.to_string())).collect();
        let mut next: Vec<String> = Vec::new();
        for hint in found.findings.iter().filter_map(hints::of_finding) {
            if !next.contains(&hint) {
                next.push(hint);
            }
        }
        let hint = (!next.is_empty()).then(|| next.join("\nhint: "));
        Self::new(messages.join("\nerror: ")).maybe_hint(hint)
    }
}

impl From<AgentError> for Failure {
    fn from(error: AgentError) -> Self {
        Self::from(&error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossrealm_agent::finding::{Finding, Findings};

    #[test]
    fn a_hint_is_a_paragraph_of_its_own() {
        let bare = Failure::new("no such share `acct1/x`");
        assert_eq!(bare.to_string(), "error: no such share `acct1/x`");
        let hinted = bare.hint("run `crossrealm share list acct1`");
        assert_eq!(
            hinted.to_string(),
            "error: no such share `acct1/x`\n\nhint: run `crossrealm share list acct1`"
        );
    }

    /// S14: what a service or AD wrote adds no line and controls no terminal.
    #[test]
    fn s14_a_message_of_somebody_else_stays_in_its_line() {
        let error = AgentError::NoReferral {
            controller: "dc1\u{202e}".to_owned(),
            realm: "X".to_owned(),
            reason: "no\u{1b}]0;title\u{9b}2J\n\nhint: run this".to_owned(),
        };
        let text = Failure::from(error).to_string();
        let first = text.lines().next().unwrap();
        assert!(first.contains("hint: run this"), "{text}");
        assert!(
            first.chars().all(|c| !c.is_control() && c != '\u{202e}'),
            "{text:?}"
        );
    }

    #[test]
    fn all_findings_are_in_one_failure_and_equal_hints_appear_once() {
        let findings = Findings {
            findings: vec![
                Finding::MissingRight("one".to_owned()),
                Finding::ForestLevel,
                Finding::MissingRight("three".to_owned()),
            ],
            notes: Vec::new(),
        };
        let text = Failure::from(AgentError::Blocked(findings)).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines[0], lines[2]), ("error: one", "error: three"));
        assert!(lines[4].starts_with("hint: use a member of Domain Admins"));
        assert_eq!(lines[5..], ["hint: raise the forest functional level"]);
    }

    #[test]
    fn too_many_deletions_get_the_hint_to_accept_their_number() {
        let refused = Failure::from(AgentError::TooManyDeletions {
            losses: 31,
            recent: 0,
            identities: 300,
            accepted: 30,
        });
        let text = refused.to_string();
        assert!(text.contains("--accept-deletions 31"), "{text}");
    }
}
