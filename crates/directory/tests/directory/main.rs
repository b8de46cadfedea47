//! The directory through its public interface, on real database files.

mod administrators;
mod batches;
mod closure;
mod connect;
mod connectors;
mod kdc_records;
mod kerberos_servers;
mod load;
mod postgres;
mod reduced_roles;
mod repeated_runs;
mod revoked_users;
mod rotation;
mod safety;
mod scratch_postgres;
mod services;
mod shares;
mod support;
mod sync;
mod tenants;
mod trusts;
