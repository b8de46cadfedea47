//! Which events a filter returns.

use crate::support::{World, by};
use crossrealm_directory::{EventFilter, NewEvent};
use crossrealm_kdc::TenantId;
use crossrealm_types::EventOutcome::{self, Done, Dropped, Refused};

fn event(tenant: TenantId, id: &str, at_ms: i64, outcome: EventOutcome, action: &str) -> NewEvent {
    NewEvent {
        id: Some(id.to_owned()),
        at_ms,
        outcome,
        ..NewEvent::audit(&by(), Some(tenant), action)
    }
}

/// F22: events are found by id, by action or the noun of it, by their end, and by being refused; each filter alone and together.
#[tokio::test]
async fn f22_events_are_filtered() {
    let world = World::new().await;
    let tenant = world.tenant("contoso").await.id;
    let other = world.tenant("fabrikam").await.id;
    let d = &world.directory;
    d.record_events(vec![
        event(tenant, "a", 1_000, Done, "share.grant"),
        event(tenant, "b", 2_000, Refused, "ticket.issue"),
        event(tenant, "c", 3_000, Dropped, "ticket.issue"),
        event(tenant, "d", 4_000, Done, "share.revoke"),
        event(tenant, "e", 5_000, Refused, "api.call"),
        event(other, "f", 2_500, Refused, "ticket.issue"),
    ])
    .await
    .unwrap();
    let all = EventFilter {
        tenant: Some(tenant),
        // Those of the set-up are of now.
        until_ms: Some(6_000),
        limit: 1000,
        ..EventFilter::default()
    };
    let text = |text: &str| Some(text.to_owned());
    let cases = [
        (all.clone(), "abcde"),
        (
            EventFilter {
                id: text("c"),
                ..all.clone()
            },
            "c",
        ),
        // The id of another tenant's event finds nothing.
        (
            EventFilter {
                id: text("f"),
                ..all.clone()
            },
            "",
        ),
        (
            EventFilter {
                id: text("no"),
                ..all.clone()
            },
            "",
        ),
        (
            EventFilter {
                refused: true,
                ..all.clone()
            },
            "bce",
        ),
        (
            EventFilter {
                action: text("share.grant"),
                ..all.clone()
            },
            "a",
        ),
        (
            EventFilter {
                action: text("share."),
                ..all.clone()
            },
            "ad",
        ),
        // A part of a word is none.
        (
            EventFilter {
                action: text("share"),
                ..all.clone()
            },
            "",
        ),
        (
            EventFilter {
                action: text("share.r"),
                ..all.clone()
            },
            "",
        ),
        (
            EventFilter {
                action: text("%"),
                ..all.clone()
            },
            "",
        ),
        (
            EventFilter {
                until_ms: Some(3_000),
                ..all.clone()
            },
            "ab",
        ),
        (
            EventFilter {
                since_ms: Some(2_000),
                until_ms: Some(5_000),
                ..all.clone()
            },
            "bcd",
        ),
        (
            EventFilter {
                refused: true,
                action: text("ticket.issue"),
                until_ms: Some(3_000),
                after: Some(0),
                ..all.clone()
            },
            "b",
        ),
    ];
    for (filter, expected) in cases {
        let found = d.events(&filter).await.unwrap();
        let ids = found.iter().filter_map(|one| one.event.id.as_deref());
        assert_eq!(ids.collect::<String>(), expected, "{filter:?}");
    }
}
