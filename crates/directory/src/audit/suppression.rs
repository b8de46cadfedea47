//! Which events are recorded at a bounded rate, and the events that say how many were not.

use crate::audit::events::{Actor, NewEvent};
use crate::directory::Directory;
use crate::event_rates::{Credential, REFUSALS, TICKETS};
use crossrealm_os::token_bucket::Rate;
use crossrealm_types::{ActorKind, EventKind, EventOutcome};
use std::time::Instant;

impl Directory {
    /// Which of these events are recorded: beyond a rate per credential they are counted, and about once a minute, or
    /// where the service is `ending`, the counts are events too.
    pub fn admit_events(&self, mut events: Vec<NewEvent>, ending: bool) -> Vec<NewEvent> {
        events.retain(|event| self.admits(event));
        let suppressed = self.event_rates().suppressed(Instant::now(), ending);
        events.extend(suppressed.iter().map(|(of, count)| summary(of, *count)));
        events
    }

    /// Whether an event is within the rate of its actor; if not, it is counted.
    pub(crate) fn admits(&self, event: &NewEvent) -> bool {
        match limited(event) {
            Some((credential, rate)) => self.event_rates().admit(credential, rate, Instant::now()),
            None => true,
        }
    }
}

/// Whose event this is and at which rate it is recorded; `None` if its number is not bounded here.
fn limited(event: &NewEvent) -> Option<(Credential, &'static Rate)> {
    let rate = match (event.category, event.outcome, event.actor_kind) {
        (_, _, Some(ActorKind::Local)) => return None,
        (EventKind::Ticket, ..) => &TICKETS,
        // They belong to the transaction of the change.
        (EventKind::Change, EventOutcome::Done, _) => return None,
        (EventKind::Change, EventOutcome::Refused | EventOutcome::Dropped, _) => &REFUSALS,
    };
    // Outside of tickets a client's name is a claim, and may be another one each time.
    let is_claim =
        event.category == EventKind::Change && event.actor_kind == Some(ActorKind::Client);
    let name = match is_claim {
        true => String::new(),
        false => event.actor.clone(),
    };
    let credential = Credential {
        tenant: event.tenant,
        kind: event.actor_kind,
        name,
        of: event.category,
    };
    Some((credential, rate))
}

fn summary(of: &Credential, count: u64) -> NewEvent {
    let kind = of.kind.map_or("", ActorKind::as_str);
    let what = match of.of {
        EventKind::Ticket => "ticket requests",
        EventKind::Change => "refusals",
    };
    NewEvent {
        outcome: EventOutcome::Dropped,
        reason: "too-many".into(),
        target: format!("{kind} {}", of.name).trim().to_owned(),
        detail: format!(
            "{count} {what} were not recorded: more came than are kept of one credential"
        ),
        ..NewEvent::audit(&Actor::local("serve"), of.tenant, "events.suppressed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: ActorKind, outcome: EventOutcome) -> NewEvent {
        let by = Actor {
            kind,
            name: "mallory".into(),
            address: None,
        };
        NewEvent {
            outcome,
            ..NewEvent::audit(&by, None, "api.call")
        }
    }

    #[test]
    fn refusals_are_bounded_and_changes_are_not() {
        let done = event(ActorKind::Connector, EventOutcome::Done);
        assert!(limited(&done).is_none());
        assert!(limited(&event(ActorKind::Local, EventOutcome::Dropped)).is_none());
        let refused = event(ActorKind::Connector, EventOutcome::Refused);
        assert_eq!(limited(&refused).unwrap().0.name, "mallory");
        // A name that is only claimed does not get a count of its own.
        let claimed = event(ActorKind::Client, EventOutcome::Refused);
        assert_eq!(limited(&claimed).unwrap().0.name, "");
    }
}
