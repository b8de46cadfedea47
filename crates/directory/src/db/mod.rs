//! Access to the database: connections, transactions, and conversions between rows and values.
//!
//! Statements use what SQLite and PostgreSQL have in common: numbered parameters, `ON CONFLICT`, `WITH RECURSIVE`,
//! 64-bit integers, text and bytes. The differences are in the migrations, in `dialect` and in `connect`.

pub(crate) mod change;
pub(crate) mod columns;
pub(crate) mod connect;
pub(crate) mod dialect;
pub(crate) mod file;
pub(crate) mod health;
pub(crate) mod pools;
pub(crate) mod statement;
pub(crate) mod url;
