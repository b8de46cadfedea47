//! The binary as a person or script meets it, alone and against a running service.

mod client_config;
mod cloud_commands;
mod command_line;
mod common;
mod postgres;
mod sign_in;
mod smb_host;
