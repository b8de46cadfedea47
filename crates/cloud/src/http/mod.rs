//! HTTP/1 and HTTP/2 over TLS, with bounds on everything a client sends or keeps open.

mod activity;
pub(crate) mod body;
pub(crate) mod connection;
