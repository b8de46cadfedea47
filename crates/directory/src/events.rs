//! Events: what was changed by whom, and which tickets were issued or refused and why. Bounded.

use crate::{Directory, Result};
use crossrealm_kdc::TenantId;
use std::net::IpAddr;

/// Who does something, for the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The name of the token or program.
    pub name: String,
    /// Where from, where that is known.
    pub address: Option<IpAddr>,
}

/// What kind of event it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventCategory {
    /// A request to the KDC.
    Ticket,
    /// A change of the directory, an export of keys, a refused attempt.
    Audit,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Issued or done.
    Done,
    /// Refused with an answer.
    Refused,
    /// Dropped without an answer.
    Dropped,
}

/// An event to be recorded. Texts are cut to 500 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// The id that the client was told, where there is one; unique.
    pub id: Option<String>,
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// Of which tenant.
    pub tenant: Option<TenantId>,
    /// Its kind.
    pub category: EventCategory,
    /// How it ended.
    pub outcome: Outcome,
    /// What was done (`trust.prepare`, `ticket.issue`), a stable word.
    pub action: String,
    /// Why it was refused, a stable word; empty where it was not.
    pub reason: String,
    /// Who did it: the token's name, or the client principal of a ticket.
    pub actor: String,
    /// The user it concerns: UPN where known, else the name or SID the client sent; may be empty.
    pub user: String,
    /// What it was done to: a service, a share, a trust.
    pub target: String,
    /// Where it came from.
    pub address: Option<IpAddr>,
    /// More for people; never a secret.
    pub detail: String,
    /// The trust key that opened the presented referral; sets when that version was last seen.
    pub trust_key: Option<TrustKeySeen>,
}

/// Which version of a trust key opened a referral.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustKeySeen {
    /// The AD realm of the trust.
    pub realm: String,
    /// The version.
    pub version: u32,
}

/// A recorded event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its place in the order of recording; rises.
    pub sequence: i64,
    /// What was recorded. `trust_key` is not kept.
    pub event: NewEvent,
}

/// Which events are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Of which tenant; `None` is all, those of no tenant included.
    pub tenant: Option<TenantId>,
    /// Not older than this, Unix milliseconds.
    pub since_ms: Option<i64>,
    /// Concerning this user, compared without case.
    pub user: Option<String>,
    /// Recorded behind this `sequence`; for following.
    pub after: Option<i64>,
    /// The most events wanted, 1 to 1000. Without `after` the newest are given; always in the order of recording.
    pub limit: u32,
}

impl Actor {
    /// An actor on this machine.
    pub fn local(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            address: None,
        }
    }
}

impl Directory {
    /// Records events in one transaction, and cuts each tenant's to the newest that are kept.
    pub async fn record_events(&self, events: Vec<NewEvent>) -> Result<()> {
        todo!()
    }

    /// The events that pass the filter, in the order of recording.
    pub async fn events(&self, filter: &EventFilter) -> Result<Vec<Event>> {
        todo!()
    }
}
