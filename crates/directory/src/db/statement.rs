//! Statements: fixed texts and lists of parameters, nothing else.

use crate::db::columns::{tenant_blob, uuid_blob};
use crossrealm_kdc::TenantId;
use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe};
use uuid::Uuid;

/// The most values of one `IN (…)`; both databases take far more.
pub(crate) const CHUNK: usize = 500;

/// A statement of this crate.
pub(crate) type Statement<'q> = Query<'q, Any, AnyArguments>;

/// A statement of fixed text.
pub(crate) fn sql<'q>(text: &'static str) -> Statement<'q> {
    sqlx::query(text)
}

/// A statement whose text is assembled from fixed parts and lists of parameters. No value may be put into the text.
pub(crate) fn sql_list<'q>(text: String) -> Statement<'q> {
    sqlx::query(AssertSqlSafe(text)).persistent(false)
}

/// A statement on objects of a tenant, which is `$1`: `text` gets the parameters of their GUIDs, for `IN (…)`.
pub(crate) fn on_objects<'q>(
    tenant: TenantId,
    guids: &[Uuid],
    text: impl FnOnce(String) -> String,
) -> Statement<'q> {
    let mut statement = sql_list(text(placeholders(2, guids.len()))).bind(tenant_blob(tenant));
    for guid in guids {
        statement = statement.bind(uuid_blob(*guid));
    }
    statement
}

/// `$first,$first+1,…`: `count` placeholders.
pub(crate) fn placeholders(first: usize, count: usize) -> String {
    rows(count, |n| format!("${}", first + n))
}

/// `count` rows separated by commas; `row` writes the placeholders of the `n`th.
pub(crate) fn rows(count: usize, row: impl Fn(usize) -> String) -> String {
    (0..count).map(row).collect::<Vec<_>>().join(",")
}

/// Whether a statement violated a unique constraint.
pub(crate) fn is_taken(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|error| error.is_unique_violation())
}
