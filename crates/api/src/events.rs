//! The audit trail: every ticket request and every change.

use crossrealm_types::{ActorKind, EventKind, EventOutcome, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One entry of the audit trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Its ascending number in the order of recording; the `after` of a list.
    pub sequence: i64,
    /// The id that the refusal carried to the client; absent where the client got none.
    #[serde(default)]
    pub id: Option<String>,
    /// When.
    pub at: Timestamp,
    /// What kind of thing happened.
    pub kind: EventKind,
    /// How it ended.
    pub outcome: EventOutcome,
    /// What was done, a stable word: `ticket.issue`, `trust.prepare`, `share.grant`, …
    pub action: String,
    /// The stable reason of a refusal, such as `identity-disabled`; empty where it was done.
    pub reason: String,
    /// The text of the reason, of a refused ticket.
    #[serde(default)]
    pub reason_text: Option<String>,
    /// What to do next, where that is known.
    #[serde(default)]
    pub hint: Option<String>,
    /// What the actor is; absent in events of before version 0.3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor_kind: Option<ActorKind>,
    /// Who did it: an administrator's or connector's name, or the client principal of a ticket.
    pub actor: String,
    /// The user it concerns: a UPN where known, else the name or SID that was sent; may be empty.
    pub user: String,
    /// What it was done to: a service, a share, a trust; may be empty.
    pub target: String,
    /// The address the request came from.
    #[serde(default)]
    pub address: Option<String>,
    /// What was seen; may be empty.
    pub detail: String,
}

/// Which events are wanted, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventQuery {
    /// Only events recorded after the one with this `sequence`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<i64>,
    /// Only events at or after this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Only events before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Only the event with this id, which a refusal carried to the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Only events of what was refused, with an answer or without one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
    /// Only events of this action, such as `share.grant`; with a dot at the end, such as `share.`, all that begin so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Only events that concern this user: a UPN, an account name or a SID; or, of a user who is not known, the name that
    /// the client sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The most events wanted, at most [`crate::MAX_PAGE`]. Without `after`, the newest ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}
