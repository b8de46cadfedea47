//! `crossrealm events`: who requested what, who changed what, and why something was refused.

use crate::context::Context;
use crate::failure::Failure;
use crate::hints;
use crate::output::{Column, column, time_column};
use crate::terminal::say;
use crossrealm_api::{Client, ClientError, Event, EventQuery, MAX_PAGE};
use crossrealm_os::clock;
use crossrealm_types::Timestamp;
use std::time::Duration;

/// The length of a full page.
const PAGE: usize = 1000;
/// How often `--follow` polls.
const POLL: Duration = Duration::from_secs(1);

/// The arguments of `crossrealm events`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Events since this time: `15m`, `2h`, `3d` ago, an RFC 3339 time or Unix seconds [default: the newest 1000]
    #[arg(long, value_name = "T", value_parser = moment)]
    since: Option<Timestamp>,
    /// Events before this time, given as for `--since`
    #[arg(long, value_name = "T", value_parser = moment, conflicts_with = "follow")]
    until: Option<Timestamp>,
    /// The event with this id, as a client's log or trace shows it
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Only what was refused, with or without an answer
    #[arg(long)]
    refused: bool,
    /// Only this action, e.g. `share.grant`; with a dot at the end, e.g. `share.`, all that begin so
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Events of this user or administrator: a UPN, an account name or a SID
    #[arg(long, value_name = "UPN")]
    user: Option<String>,
    /// Events of the installation instead of a tenant: sign-ins and changes of administrators
    #[arg(long)]
    installation: bool,
    /// Keep showing events as they happen
    #[arg(long)]
    follow: bool,
}

const COLUMNS: &[Column] = &[
    time_column("At", "/at"),
    column("Outcome", "/outcome"),
    column("Action", "/action"),
    column("ActorKind", "/actor_kind"),
    column("Actor", "/actor"),
    column("User", "/user"),
    column("Target", "/target"),
    column("Reason", "/reason"),
    column("Address", "/address"),
    column("Detail", "/detail"),
    column("Id", "/id"),
    column("Next", "/hint"),
];

/// Runs `crossrealm events`.
pub(crate) async fn run(args: Args, context: &Context) -> Result<(), Failure> {
    let client = context.client()?;
    let tenant = match args.installation {
        true => None,
        false => Some(context.tenant()?),
    };
    let mut query = EventQuery {
        // With a sequence number to start from the server returns the oldest first, so that no event is missed however many there are.
        after: args.since.map(|_| 0),
        since: args.since,
        until: args.until,
        user: args.user,
        id: args.id,
        refused: args.refused,
        action: args.action,
        limit: Some(MAX_PAGE),
    };
    let events = fetch(&client, tenant, &mut query).await?;
    if !args.follow {
        return context.output.list(&events, COLUMNS, "no events");
    }
    for event in &events {
        context.output.line(event, COLUMNS)?;
    }
    query.after = query.after.or(Some(0));
    loop {
        tokio::time::sleep(POLL).await;
        match fetch(&client, tenant, &mut query).await {
            Ok(events) => {
                for event in &events {
                    context.output.line(event, COLUMNS)?;
                }
            }
            Err(error) if error.is_transient() => say!("warning: {error}; trying again"),
            Err(error) => return Err(error.into()),
        }
    }
}

/// All events from where `query` starts, and moves it behind them. Without a time to start from, the newest ones.
async fn fetch(
    client: &Client,
    tenant: Option<&str>,
    query: &mut EventQuery,
) -> Result<Vec<Event>, ClientError> {
    let mut all = Vec::new();
    loop {
        let mut page = match tenant {
            Some(tenant) => client.events(tenant, query).await?,
            None => client.installation_events(query).await?,
        };
        for event in &mut page {
            let hint = hints::reason::of_reason(&event.reason);
            event.hint = hint.map(str::to_owned).or(event.hint.take());
        }
        let full = query.after.is_some() && page.len() >= PAGE;
        query.after = page.last().map(|last| last.sequence).or(query.after);
        all.extend(page);
        if !full {
            return Ok(all);
        }
    }
}

/// A time as given to `--since`.
fn moment(text: &str) -> Result<Timestamp, String> {
    moment_at(text, clock::now_s())
        .ok_or_else(|| "expected e.g. `15m`, `2h`, `3d`, an RFC 3339 time or Unix seconds".into())
}

/// An event's own time is taken to the millisecond.
fn moment_at(text: &str, now: i64) -> Option<Timestamp> {
    if let Ok(seconds) = text.parse::<i64>() {
        return (seconds >= 0).then(|| Timestamp::from_unix(seconds));
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    let (count, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit_s: i64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86400,
        _ => return None,
    };
    let count: u32 = count.parse().ok()?;
    now.checked_sub(i64::from(count).checked_mul(unit_s)?)
        .map(Timestamp::from_unix)
}

#[cfg(test)]
mod tests {
    use super::{Timestamp, moment_at};
    use crate::output::Format;
    use serde_json::json;

    #[test]
    fn a_refusal_is_shown_with_its_id_and_hint() {
        let event = json!({"at": "1970-01-01T00:00:00.000Z", "outcome": "refused", "reason": "clock-skew", "id": "4f0c", "hint": "set the clock"});
        let table = Format::Table.render_list(&json!([event]), super::COLUMNS);
        assert!(table.trim_end().ends_with("4f0c  set the clock"), "{table}");
    }

    #[test]
    fn the_page_length_is_the_maximum_of_the_api() {
        assert_eq!(u32::try_from(super::PAGE).unwrap(), super::MAX_PAGE);
    }

    #[test]
    fn times_are_parsed_in_every_format() {
        let seconds = |text: &str, now: i64| moment_at(text, now).map(Timestamp::unix);
        assert_eq!(seconds("15m", 10_000), Some(9_100));
        assert_eq!(seconds("3d", 1_000_000), Some(740_800));
        assert_eq!(seconds("1700000000", 0), Some(1_700_000_000));
        assert_eq!(seconds("2023-11-14T22:13:20Z", 0), Some(1_700_000_000));
        for bad in ["", "m", "-5m", "5 weeks", "ä", "-1", "99999999999d"] {
            assert_eq!(moment_at(bad, 0), None, "{bad}");
        }
    }

    /// F22: what an event shows as its time chooses that event.
    #[test]
    fn f22_the_time_of_an_event_is_taken_to_the_millisecond() {
        let shown = "2023-11-14T22:13:20.345Z";
        let moment = moment_at(shown, 0).unwrap();
        assert_eq!(json!(moment), json!(shown));
    }
}
