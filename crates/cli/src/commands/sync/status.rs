//! `crossrealm sync status`: the last successful sync, and what failed.

use super::exceeding;
use super::show::source;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Column, column, time_column, with_times};
use crate::sanitize::one_line;
use crate::terminal::say;
use crossrealm_api::{Client, SyncState};
use crossrealm_onprem::sync::Cursor;
use crossrealm_types::Timestamp;
use serde::Serialize;

/// The state of a sync, with what its cursor contains.
#[derive(Serialize)]
struct Status {
    #[serde(flatten, serialize_with = "with_times")]
    state: SyncState,
    #[serde(rename = "bookmark")]
    cursor_view: Option<CursorView>,
}

/// What a sync cursor contains.
#[derive(Serialize)]
struct CursorView {
    controller: String,
    source: &'static str,
    read_at: Timestamp,
    compared_at: Timestamp,
    next_turn_at: Option<Timestamp>,
    pending: usize,
}

const STATUS: &[Column] = &[
    time_column("LastSuccess", "/last_success_at"),
    column("LastRun", "/last_run_id"),
    column("Users", "/users"),
    column("Groups", "/groups"),
    column("Skipped", "/skipped"),
    column("Refused", "/refused"),
    column("Failed", "/failed"),
    column("AtWork", "/lease/holder"),
    column("Controller", "/bookmark/controller"),
    column("Source", "/bookmark/source"),
    time_column("ReadUpTo", "/bookmark/read_at"),
    time_column("ComparedAt", "/bookmark/compared_at"),
    time_column("NextByClock", "/bookmark/next_turn_at"),
];

/// Runs `crossrealm sync status`.
pub(super) async fn run(domain: &str, context: &Context) -> Result<(), Failure> {
    let client: Client = context.client()?;
    let state = client.sync_state(context.tenant()?, domain).await?;
    if state.last_success_at.is_none() {
        say!(
            "`{}` was never synchronized; run `crossrealm sync once`",
            one_line(domain)
        );
    }
    if let Some(problem) = &state.problem {
        say!("the last agent did not succeed: {}", one_line(problem));
    }
    for one in &state.refusals {
        say!(
            "refused by the tenant: `{}`: {} ({})",
            one_line(&one.account_name),
            one_line(&one.message),
            one.code
        );
    }
    for one in state.failures.iter().filter(|one| !one.exceeds) {
        say!(
            "not synchronized: `{}`: {}",
            one_line(&one.name),
            one_line(&one.reason)
        );
    }
    for line in exceeding(&state.failures) {
        say!("{line}");
    }
    let cursor = state.cursor.as_deref().and_then(Cursor::parse);
    let status = Status {
        cursor_view: cursor.map(|cursor| CursorView {
            source: source(&cursor.position),
            controller: cursor.controller,
            read_at: Timestamp::from_unix(cursor.read_at),
            compared_at: Timestamp::from_unix(cursor.compared_at),
            next_turn_at: cursor.turns_at.map(Timestamp::from_unix),
            pending: cursor.pending.len(),
        }),
        state,
    };
    context.output.record(&status, STATUS)
}
