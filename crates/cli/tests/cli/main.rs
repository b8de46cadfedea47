//! The binary as a person or script meets it, alone and against a running service.
#![allow(
    clippy::disallowed_macros,
    reason = "the output of tests goes to who runs them"
)]

mod activity;
mod backup;
mod client_config;
mod cloud_commands;
mod command_line;
mod common;
mod consent;
mod contexts;
mod full_disk;
mod json_output;
mod master_key;
mod overview;
mod postgres;
#[path = "../../../directory/tests/directory/scratch_postgres.rs"]
mod scratch_postgres;
mod service_log;
mod shells;
mod sign_in;
mod smb_host;
mod store_faults;
