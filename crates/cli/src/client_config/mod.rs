//! Configuration of clients: pure text from what the service says of a tenant. One module for each format.

pub mod krb5;
