//! `crossrealm serve`, the cloud: the KDC proxy, the REST API, and the first run that makes an installation.
//!
//! This crate owns what the core crates must not know: sockets, TLS, the clock, the operating system's randomness, time-outs
//! and limits. It decides nothing about tickets (that is `crossrealm-kdc`) and stores nothing itself (that is
//! `crossrealm-directory`). Requests come in over HTTPS, Kerberos also over TCP and UDP where that is
//! switched on; Kerberos messages go to the exchange, whose lookups the directory answers, and administration goes to the
//! directory. It never opens a connection to anything: not to a domain
//! controller, and not to a name that a client sends.
//!
//! Invariants: nothing from a client is buffered beyond a bound or waited for beyond a time-out; a ticket never waits for
//! its audit event; a secret is in no log and no error.

mod accept;
mod app;
mod audit;
mod check;
mod client_clocks;
mod config;
mod documentation;
mod http;
mod init;
mod kerberos;
mod key_file;
mod limits;
mod listeners;
mod master_key;
mod metrics;
mod monitoring;
mod public_configs;
mod realms;
mod recover;
mod reload;
mod rest;
mod router;
mod serve;
mod serve_error;
mod store_watch;
mod tls;

pub use check::{Checked, check};
pub use config::{Config, ConfigError, Limits};
pub use crossrealm_directory::Resealed;
pub use init::{InitError, InitOptions, InitReport, init};
pub use master_key::{RotatedMasterKey, rotate_master_key};
pub use recover::{Recovered, recover};
pub use serve::{Server, serve};
pub use serve_error::ServeError;
