//! The directory through its public interface, on real database files.

mod administrators;
mod barred;
mod closure;
mod connectors;
mod kerberos_servers;
mod load;
mod lowered;
mod opening;
mod postgres;
mod records;
mod repeats;
mod rotation;
mod safety;
mod scratch_postgres;
mod services;
mod shares;
mod support;
mod sync;
mod tenants;
mod together;
mod trusts;
