//! A user or group, in short.

use crate::db::columns::{col, col_sid, col_uuid, col_word};
use crate::error::Result;
use crate::identities::rows::IdentityInfo;
use crossrealm_types::{IdentityKind, Sid};
use sqlx::any::AnyRow;
use uuid::Uuid;

/// A user or group, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityRef {
    /// Its anchor.
    pub guid: Uuid,
    /// Its SID.
    pub sid: Sid,
    /// User or group.
    pub kind: IdentityKind,
    /// The UPN of a user, the account name of a group.
    pub name: String,
}

/// The identity of a row with the columns guid, sid, kind, upn, account_name.
pub(crate) fn identity_ref(row: &AnyRow) -> Result<IdentityRef> {
    let kind = col_word(row, "kind")?;
    let upn: String = col(row, "upn")?;
    let account_name: String = col(row, "account_name")?;
    Ok(IdentityRef {
        guid: col_uuid(row, "guid")?,
        sid: col_sid(row, "sid")?,
        kind,
        name: short_name(kind, &upn, &account_name),
    })
}

/// The UPN of a user that has one, otherwise the account name.
pub(crate) fn short_name(kind: IdentityKind, upn: &str, account_name: &str) -> String {
    match kind {
        IdentityKind::User if !upn.is_empty() => upn.to_owned(),
        _ => account_name.to_owned(),
    }
}

impl From<IdentityInfo> for IdentityRef {
    fn from(info: IdentityInfo) -> Self {
        Self {
            name: short_name(info.kind, &info.upn, &info.account_name),
            guid: info.guid,
            sid: info.sid,
            kind: info.kind,
        }
    }
}
