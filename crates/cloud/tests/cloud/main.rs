//! The service in the test's process, used like clients use it: see `../README.md`.

mod administrators;
mod callers;
mod certificate;
mod claimed_names;
mod common;
mod connectors;
mod curl;
mod docs;
mod earlier_version;
mod forgeries;
mod hosts;
mod kdc_proxy;
mod kerberos_port;
mod limits;
mod load;
mod metrics;
mod nginx;
mod nodes;
mod openapi;
mod prometheus;
mod quotas;
mod rest;
mod roles;
#[path = "../../../directory/tests/directory/scratch_postgres.rs"]
mod scratch_postgres;
mod start;
mod tickets;
