//! Conversions between columns and values.

use crate::error::{DirectoryError, Result};
use crossrealm_kdc::TenantId;
use crossrealm_types::{Sid, Timestamp};
use sqlx::any::AnyRow;
use sqlx::{Any, Decode, Row, Type};
use std::str::FromStr;
use uuid::Uuid;

/// A column of a row.
pub(crate) fn col<'r, T>(row: &'r AnyRow, name: &str) -> Result<T>
where
    T: Decode<'r, Any> + Type<Any>,
{
    Ok(row.try_get(name)?)
}

/// A column that holds a number which fits `u32`: a version, a RID, a length in seconds.
pub(crate) fn col_u32(row: &AnyRow, name: &str) -> Result<u32> {
    u32::try_from(col::<i64>(row, name)?).map_err(|_| DirectoryError::damaged(name, "out of range"))
}

/// A column that holds a time in Unix seconds.
pub(crate) fn col_time(row: &AnyRow, name: &str) -> Result<Timestamp> {
    col(row, name).map(Timestamp::from_unix)
}

/// A column that holds a time in Unix seconds, or nothing.
pub(crate) fn col_time_of(row: &AnyRow, name: &str) -> Result<Option<Timestamp>> {
    Ok(col::<Option<i64>>(row, name)?.map(Timestamp::from_unix))
}

/// A column that holds a UUID.
pub(crate) fn col_uuid(row: &AnyRow, name: &str) -> Result<Uuid> {
    let bytes: Vec<u8> = col(row, name)?;
    Uuid::from_slice(&bytes).map_err(|_| DirectoryError::damaged(name, "not a UUID"))
}

/// The column `tenant_id`, where every row has a tenant.
pub(crate) fn col_tenant(row: &AnyRow) -> Result<TenantId> {
    col_tenant_of(row)?.ok_or_else(|| DirectoryError::damaged("tenant_id", "missing"))
}

/// The column `tenant_id`, where a row may belong to the installation.
pub(crate) fn col_tenant_of(row: &AnyRow) -> Result<Option<TenantId>> {
    let bytes: Option<Vec<u8>> = col(row, "tenant_id")?;
    bytes
        .map(|id| id.try_into().map(TenantId))
        .transpose()
        .map_err(|_| DirectoryError::damaged("tenant_id", "not a UUID"))
}

/// A column that holds a SID.
pub(crate) fn col_sid(row: &AnyRow, name: &str) -> Result<Sid> {
    let text: String = col(row, name)?;
    text.parse()
        .map_err(|_| DirectoryError::damaged(name, "not a SID"))
}

/// A column that holds a value of an enumeration.
pub(crate) fn col_word<T: FromStr>(row: &AnyRow, name: &str) -> Result<T> {
    let text: String = col(row, name)?;
    text.parse()
        .map_err(|_| DirectoryError::damaged(name, "an unknown word"))
}

/// A column that holds names joined by commas.
pub(crate) fn col_names(row: &AnyRow, name: &str) -> Result<Vec<String>> {
    let text: String = col(row, name)?;
    Ok(text
        .split(',')
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect())
}

pub(crate) fn tenant_blob(tenant: TenantId) -> Vec<u8> {
    tenant.as_bytes().to_vec()
}

pub(crate) fn uuid_blob(uuid: Uuid) -> Vec<u8> {
    uuid.as_bytes().to_vec()
}
