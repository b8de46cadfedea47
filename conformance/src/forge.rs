//! The bridge to the forger: runs `forge/` in the world, reads what it reports, and asks the product's own events about it.

use std::path::Path;
use std::time::{Duration, Instant};

use crossrealm_lab::story::Story;
use crossrealm_lab::{Failure, PATIENCE, Place, Run};
use crossrealm_types::Timestamp;
use serde::Deserialize;

use crate::Options;
use crate::scene::{OTHER_TENANT, ROTATION_TENANT, Scene};
use crate::table::Row;

/// Debian's own Python, which has Samba's library.
const PYTHON: &str = "/usr/bin/python3";
const LIMIT: Duration = Duration::from_secs(900);

/// A case as the forger played it.
#[derive(Debug, Deserialize)]
struct Played {
    case: String,
    by: String,
    expected: String,
    gap: String,
    #[serde(flatten)]
    asked: Asked,
    /// The honest request right after it.
    honest: Asked,
}

/// One or more requests of which the last is judged.
#[derive(Debug, Deserialize)]
struct Asked {
    tenant: String,
    got: String,
    wrong: Vec<String>,
    /// The event that the last request must have left; `None` when it must have left none.
    event: Option<Left>,
    from_ms: i64,
    to_ms: i64,
}

/// What an event must say.
#[derive(Debug, Deserialize)]
struct Left {
    outcome: String,
    reason: String,
    /// The id in the refusal that the client got.
    id: Option<String>,
}

/// An event as `crossrealm events -o json` prints it.
#[derive(Debug, Clone, Deserialize)]
struct Event {
    id: Option<String>,
    at: Timestamp,
    kind: String,
    outcome: String,
    reason: String,
}

/// The forger at a place.
pub(crate) fn python(story: &Story, place: Place) -> Run {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("forge");
    story
        .world
        .at(place, PYTHON)
        .args(["-B", "-W", "ignore"])
        .arg(folder)
}

/// Sends every case, compares answers and events.
///
/// # Errors
/// When the forger itself fails, or the events cannot be read.
pub(crate) fn rows(scene: &Scene, options: &Options) -> Result<Vec<Row>, Failure> {
    let description = scene.description(options)?.to_string();
    let output = python(&scene.story, Place::Client)
        .arg("run")
        .stdin(description)
        .timeout(LIMIT)
        .ok()?;
    eprint!("{}", output.err());
    let played: Vec<Played> = serde_json::from_slice(&output.stdout)
        .map_err(|error| output.failure(&format!("was expected to report its cases: {error}")))?;
    let mine = events(
        &scene.story,
        crossrealm_lab::story::TENANT,
        played.last().map(|last| &last.honest),
    )?;
    let others = events(&scene.story, OTHER_TENANT, None)?;
    let rotated = events(&scene.story, ROTATION_TENANT, None)?;
    let judged = played.into_iter().map(|case| {
        let events = match case.asked.tenant.as_str() {
            OTHER_TENANT => &others,
            ROTATION_TENANT => &rotated,
            _ => &mine,
        };
        row(case, events, &mine)
    });
    Ok(judged.collect())
}

fn row(played: Played, events: &[Event], honest_events: &[Event]) -> Row {
    let mut wrong = played.asked.wrong.clone();
    wrong.extend(complaint(&played.asked, events));
    wrong.extend(
        played
            .honest
            .wrong
            .iter()
            .map(|text| format!("afterwards, an honest request: {text}")),
    );
    let late = complaint(&played.honest, honest_events);
    wrong.extend(late.map(|text| format!("afterwards, an honest request: {text}")));
    Row {
        case: played.case,
        by: played.by,
        expected: played.expected,
        got: played.asked.got,
        wrong,
        gap: played.gap,
    }
}

/// What is wrong with the events of a request: the last must be the one that the client got, those before it belong to preparations.
fn complaint(asked: &Asked, events: &[Event]) -> Option<String> {
    let during = |event: &&Event| (asked.from_ms..=asked.to_ms).contains(&event.at.unix_ms());
    let last = events.iter().rfind(during);
    match (&asked.event, last) {
        (None, None) => None,
        (None, Some(event)) => Some(format!(
            "it left an event: {} {}",
            event.outcome, event.reason
        )),
        (Some(left), None) => Some(format!(
            "no event: {} {} was expected",
            left.outcome, left.reason
        )),
        (Some(left), Some(event)) => {
            let same_id = left.id.is_none() || left.id == event.id;
            let same = left.outcome == event.outcome && left.reason == event.reason && same_id;
            (!same).then(|| {
                format!(
                    "the event says {} {}, id {:?}; expected {left:?}",
                    event.outcome, event.reason, event.id
                )
            })
        }
    }
}

/// The ticket events of a tenant, oldest first; waits for that of the last request.
fn events(story: &Story, tenant: &str, last: Option<&Asked>) -> Result<Vec<Event>, Failure> {
    let began = Instant::now();
    loop {
        let list = story
            .crossrealm(Place::Admin)
            .args(["-o", "json", "events", "--since", "2h"]);
        let output = list.env("CROSSREALM_TENANT", tenant).ok()?;
        let mut events: Vec<Event> = serde_json::from_slice(&output.stdout)
            .map_err(|error| output.failure(&format!("was expected to print events: {error}")))?;
        events.retain(|event| event.kind == "ticket");
        if last.is_none_or(|last| complaint(last, &events).is_none()) || began.elapsed() > PATIENCE
        {
            return Ok(events);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(event: Option<Left>) -> Asked {
        Asked {
            tenant: "contoso".into(),
            got: String::new(),
            wrong: vec![],
            event,
            from_ms: 10,
            to_ms: 20,
        }
    }

    fn event(at_ms: i64, reason: &str) -> Event {
        let outcome = "refused".into();
        Event {
            id: Some("a1".into()),
            at: Timestamp::from_unix_ms(at_ms),
            kind: "ticket".into(),
            outcome,
            reason: reason.into(),
        }
    }

    fn left(reason: &str, id: &str) -> Option<Left> {
        Some(Left {
            outcome: "refused".into(),
            reason: reason.into(),
            id: Some(id.into()),
        })
    }

    #[test]
    fn the_event_of_a_refusal_must_be_there() {
        let events = [
            event(9, "other"),
            event(12, "done-before"),
            event(15, "pac-signature"),
            event(21, "other"),
        ];
        assert_eq!(
            complaint(&asked(left("pac-signature", "a1")), &events),
            None
        );
        for wrong in [left("pac-signature", "b2"), left("pac-missing", "a1"), None] {
            assert!(complaint(&asked(wrong), &events).is_some());
        }
        assert!(complaint(&asked(left("pac-signature", "a1")), &events[..1]).is_some());
        assert_eq!(complaint(&asked(None), &[event(9, "other")]), None);
    }
}
