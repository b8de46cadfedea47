//! HTTP/1 and HTTP/2 over TLS, with bounds on everything a client sends or keeps open.

pub(crate) mod connection;
