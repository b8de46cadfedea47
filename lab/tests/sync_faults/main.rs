//! The sync agent and everything that can go wrong around it, on a real Active Directory: groups too large for one answer,
//! connections that break at any byte, machines that go away in mid-run.
//!
//! After each the same holds: nobody lost access (MIT's `kvno` gets its ticket), the next run completes, and the tenant
//! holds what `ldbsearch` says that the directory holds.

mod account;
mod breaks;
mod clock;
mod controllers;
mod crowd;
#[path = "../sync/hands.rs"]
mod hands;

use std::path::PathBuf;

use hands::{Play, played};

#[test]
fn a_large_group_is_synced() {
    played(&[
        ("a large group", Play::a_large_group_comes_by_ranges),
        (
            "a changing group",
            Play::a_group_may_change_while_it_is_read,
        ),
    ]);
}

#[test]
fn a_run_that_breaks_anywhere_loses_nothing() {
    played(&[
        ("a large group", Play::a_crowd_gathers),
        ("the wire breaks", Play::the_wire_breaks_at_any_byte),
        ("the controller dies", Play::the_controller_dies_in_mid_run),
    ]);
}

#[test]
fn a_service_that_stops_in_a_run_loses_nothing() {
    played(&[
        ("a small group", Play::some_gather),
        ("the service's wire", Play::the_way_to_the_service_breaks),
        ("the service dies", Play::the_service_dies_in_mid_run),
    ]);
}

#[test]
fn an_agent_that_dies_in_a_run_loses_nothing() {
    played(&[
        ("a small group", Play::some_gather),
        ("the agent dies", Play::the_agent_dies_after_each_request),
    ]);
}

#[test]
fn the_agent_outlives_its_surroundings() {
    played(&[
        ("deletions", Play::a_right_to_see_deletions_is_enough),
        ("the account", Play::an_account_may_fail_and_be_mended),
        ("the clock", Play::the_agents_clock_may_jump),
        (
            "a day",
            Play::a_full_sync_after_a_day_finds_what_no_change_shows,
        ),
    ]);
}

#[test]
fn a_restored_or_second_controller_is_followed() {
    played(&[
        ("an older database", Play::an_older_database_is_noticed),
        ("a restore", Play::a_restored_controller_is_noticed),
        ("another controller", Play::another_controller_may_answer),
    ]);
}

/// A script beside this file.
fn script(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sync_faults")).join(name)
}
