//! How a command fails: one line that names what failed, on which object, and the next step where one is known.

use crate::hints;
use crate::sanitize::{escaped_json, one_line};
use crossrealm_agent::error::AgentError;
use crossrealm_api::{ClientError, Refusal};
use serde_json::{Value, json};
use std::fmt;

/// The code of a failure that has none of its own.
const FAILED: &str = "failed";
/// The code of a failure for which a preflight found reasons; `details` has them with their codes.
const BLOCKED: &str = "blocked";
/// The code of wrong usage.
const USAGE: &str = "usage";

/// Why a command failed. Shown on stderr as `error: …`, a blank line, `hint: …`, or as one line of JSON; the exit code is 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// A stable word for programs: that of the service's refusal where it refused.
    code: &'static str,
    message: String,
    hint: Option<String>,
    is_shown: bool,
    /// The objects and numbers of it, an object.
    details: Value,
}

impl Failure {
    /// A failure with its message: what failed, on which object, and the value seen; without a full stop.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            code: FAILED,
            message: message.into(),
            hint: None,
            is_shown: false,
            details: json!({}),
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

    /// Wrong usage of the command line, as the parser explains it.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(message).coded(USAGE)
    }

    fn coded(mut self, code: &'static str) -> Self {
        self.code = code;
        self
    }

    fn detailed(mut self, details: Value) -> Self {
        self.details = details;
        self
    }

    /// The failure as one line of JSON, without its end.
    pub(crate) fn json_line(&self) -> String {
        escaped_json(&self.json().to_string())
    }

    fn json(&self) -> Value {
        json!({
            "code": self.code,
            "message": self.message.replace("\nerror: ", "; "),
            "hint": self.hint.as_ref().map(|hint| hint.replace("\nhint: ", "; ")),
            "details": self.details,
        })
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
        Self::from(&error)
    }
}

impl From<&ClientError> for Failure {
    fn from(error: &ClientError) -> Self {
        // The service wrote the message: it must not add lines of its own.
        let failure = Self::new(one_line(&error.to_string()))
            .maybe_hint(hints::api::of_client_error(error))
            .coded(code(error));
        match error.refusal() {
            Some(refusal) => failure.detailed(details(refusal)),
            None => failure,
        }
    }
}

fn code(error: &ClientError) -> &'static str {
    match error {
        ClientError::BadUrl { .. } => "bad_url",
        ClientError::BadCa { .. } => "bad_ca",
        ClientError::BadToken => "bad_token",
        ClientError::Unreachable { .. } => "unreachable",
        ClientError::Untrusted { .. } => "untrusted",
        ClientError::TimedOut { .. } => "timed_out",
        ClientError::Refused(refusal) => refusal.code.as_str(),
        ClientError::TooLarge { .. } => "answer_too_large",
        ClientError::Malformed { .. } => "answer_malformed",
        // The enumeration may grow.
        _ => FAILED,
    }
}

/// The details of a refusal, and the id by which the service's log has it.
fn details(refusal: &Refusal) -> Value {
    let mut details = serde_json::to_value(&refusal.details).unwrap_or_else(|_| json!({}));
    if let Some(fields) = details.as_object_mut() {
        // A proof for SMB hosts, which says nothing to a person.
        fields.remove("dismissal");
        fields.extend(
            refusal
                .request_id
                .as_ref()
                .map(|id| ("request_id".to_owned(), json!(id))),
        );
    }
    details
}

impl From<&AgentError> for Failure {
    fn from(error: &AgentError) -> Self {
        let AgentError::Blocked(found) = error else {
            let failure = match error {
                AgentError::Service(error) => Self::from(error),
                _ => Self::new(one_line(&error.to_string())),
            };
            return failure.maybe_hint(hints::of_error(error));
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
        let findings = found.findings.iter();
        let findings: Vec<Value> = findings
            .map(|one| json!({"code": one.code(), "message": one.to_string(), "hint": hints::of_finding(one)}))
            .collect();
        Self::new(messages.join("\nerror: "))
            .maybe_hint(hint)
            .coded(BLOCKED)
            .detailed(json!({ "findings": findings }))
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
    use crossrealm_api::{Code, ErrorDetails};

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

    /// F18: a refusal of the service keeps its code and its details.
    #[test]
    fn f18_a_failure_is_an_object_of_one_line() {
        let refusal = Refusal {
            status: 404,
            code: Code::ShareNotFound,
            message: "no share `acct1/x`\u{1b}[2J".to_owned(),
            details: ErrorDetails {
                account: Some("acct1".to_owned()),
                ..ErrorDetails::default()
            },
            request_id: Some("r1".to_owned()),
        };
        let failure = Failure::from(ClientError::Refused(Box::new(refusal)));
        let line = failure.json_line();
        assert_eq!(line.lines().count(), 1);
        assert!(!line.chars().any(char::is_control), "{line}");
        let json: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(json["code"], "share_not_found");
        assert_eq!(
            json["details"],
            json!({"account": "acct1", "request_id": "r1"})
        );
        assert!(json["hint"].as_str().unwrap().contains("share list acct1"));
        let plain: Value = serde_json::from_str(&Failure::new("no").json_line()).unwrap();
        assert_eq!(
            plain,
            json!({"code": "failed", "message": "no", "hint": null, "details": {}})
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
        let blocked = Failure::from(AgentError::Blocked(findings));
        let text = blocked.to_string();
        let json = blocked.json();
        assert_eq!(json["code"], BLOCKED);
        assert!(json["message"].as_str().unwrap().starts_with("one; "));
        assert_eq!(
            json["details"]["findings"][1]["code"],
            Finding::ForestLevel.code()
        );
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines[0], lines[2]), ("error: one", "error: three"));
        assert!(lines[4].starts_with("hint: use a member of Domain Admins"));
        assert_eq!(lines[5..], ["hint: raise the forest functional level"]);
    }

    #[test]
    fn too_many_deletions_get_the_hint_to_accept_their_number() {
        let refused = Failure::from(AgentError::TooManyDeletions {
            removals: 31,
            recent: 0,
            identities: 300,
            accepted: 30,
        });
        let text = refused.to_string();
        assert!(text.contains("--accept-deletions 31"), "{text}");
    }
}
