//! How this crate speaks to its database: connections, transactions, and the small conversions between rows and values.
//!
//! Statements keep to what SQLite and PostgreSQL both understand: numbered parameters, `ON CONFLICT`, `WITH RECURSIVE`,
//! 64-bit integers, text and bytes. What differs between the two lives in the migrations, in this file and in
//! `opening`.

pub(crate) mod change;
pub(crate) mod columns;
pub(crate) mod connect;
pub(crate) mod dialect;
pub(crate) mod pools;
pub(crate) mod statement;
pub(crate) mod url;
