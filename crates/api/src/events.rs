//! The audit trail: every ticket asked for and every change made, each with who, what and why.

use serde::{Deserialize, Serialize};

/// One entry of the audit trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its id; refusals carry it to the client, and it is the `after` of a list. Ascends with time.
    pub id: String,
    /// When.
    pub at: i64,
    /// What kind of thing happened.
    pub kind: EventKind,
    /// How it ended.
    pub outcome: Outcome,
    /// What was done: `ticket.service`, `trust.prepare`, `share.grant`, …
    pub action: String,
    /// The stable reason of a refusal, such as `identity_disabled`; absent where it was done.
    #[serde(default)]
    pub reason: Option<String>,
    /// One sentence for people.
    pub message: String,
    /// Who: a UPN, an administrator's name or a connector's domain, as far as known.
    #[serde(default)]
    pub actor: Option<String>,
    /// The SID of the user, as far as known.
    #[serde(default)]
    pub sid: Option<String>,
    /// What it was done to: a service name, a share, a trust.
    #[serde(default)]
    pub target: Option<String>,
    /// The address the request came from.
    #[serde(default)]
    pub client_address: Option<String>,
}

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A ticket was asked for.
    Ticket,
    /// An administrator or connector changed or exported something.
    Change,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Done: a ticket issued, a change made.
    Done,
    /// Refused, with a reason.
    Refused,
}

/// `GET /tenants/{tenant}/events`: which events are wanted, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventQuery {
    /// Only events after the one with this id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Only events at or after this time, Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
    /// Only events of this user or administrator: a UPN, an account name or a SID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The most events wanted, at most [`crate::MAX_PAGE`]. With neither `after` nor `since`, the latest ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}
