//! Identities found by GUID, SID or name.

use crate::db::columns::{tenant_blob, uuid_blob};
use crate::db::statement::sql_list;
use crate::directory::Directory;
use crate::error::{DirectoryError, RecordKind, Result};
use crate::identities::rows::{IdentityInfo, SELECT_IDENTITY, identity_info};
use crate::names;
use crossrealm_kdc::TenantId;
use crossrealm_types::{IdentityKind, Sid};
use sqlx::AnyConnection;
use uuid::Uuid;

impl Directory {
    /// The identity named by UPN, SID, GUID, `FLAT\name` or account name, compared case-insensitively. Deleted
    /// identities are found by SID and GUID only. `kind` narrows the search. A name that matches several is
    /// [`DirectoryError::Ambiguous`].
    ///
    /// [`DirectoryError::Ambiguous`]: crate::error::DirectoryError::Ambiguous
    pub async fn find_identity(
        &self,
        tenant: TenantId,
        principal: &str,
        kind: Option<IdentityKind>,
    ) -> Result<IdentityInfo> {
        let mut conn = self.readers().acquire().await?;
        find_identity(&mut conn, tenant, principal, kind).await
    }
}

pub(crate) async fn by_guid(
    conn: &mut AnyConnection,
    tenant: TenantId,
    guid: Uuid,
) -> Result<Option<IdentityInfo>> {
    let row = sql_list(format!(
        "{SELECT_IDENTITY} WHERE i.tenant_id = $1 AND i.guid = $2"
    ))
    .persistent(true)
    .bind(tenant_blob(tenant))
    .bind(uuid_blob(guid))
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(identity_info).transpose()
}

pub(crate) async fn by_sid(
    conn: &mut AnyConnection,
    tenant: TenantId,
    sid: &Sid,
) -> Result<Option<IdentityInfo>> {
    let row = sql_list(format!(
        "{SELECT_IDENTITY} WHERE i.tenant_id = $1 AND i.sid = $2"
    ))
    .persistent(true)
    .bind(tenant_blob(tenant))
    .bind(sid.to_string())
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(identity_info).transpose()
}

/// [`Directory::find_identity`] on the caller's connection.
pub(crate) async fn find_identity(
    conn: &mut AnyConnection,
    tenant: TenantId,
    principal: &str,
    kind: Option<IdentityKind>,
) -> Result<IdentityInfo> {
    let found = match (principal.parse::<Sid>(), Uuid::parse_str(principal)) {
        (Ok(sid), _) => by_sid(conn, tenant, &sid).await?.into_iter().collect(),
        (_, Ok(guid)) => by_guid(conn, tenant, guid).await?.into_iter().collect(),
        _ => by_name(conn, tenant, principal).await?,
    };
    let mut found: Vec<IdentityInfo> = found
        .into_iter()
        .filter(|info| kind.is_none_or(|kind| kind == info.kind))
        .collect();
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => {
            let shown = names::shown(principal);
            Err(DirectoryError::not_found(not_found_kind(kind), shown))
        }
        _ => Err(DirectoryError::Ambiguous {
            name: principal.to_owned(),
            candidates: found
                .iter()
                .map(|info| format!("`{}\\{}`", info.domain_flat_name, info.account_name))
                .collect::<Vec<_>>()
                .join(", "),
        }),
    }
}

/// The identities with this UPN, `FLAT\name` or account name that are not deleted. At most ten.
async fn by_name(
    conn: &mut AnyConnection,
    tenant: TenantId,
    name: &str,
) -> Result<Vec<IdentityInfo>> {
    if name.contains('\0') {
        return Ok(Vec::new());
    }
    let name = name.to_lowercase();
    let select = |condition: &str| {
        format!(
            "{SELECT_IDENTITY} WHERE i.tenant_id = $1 AND i.state <> 'deleted' AND {condition} LIMIT 10"
        )
    };
    let tenant_id = tenant_blob(tenant);
    if let Some((flat, account)) = name.split_once('\\') {
        let rows = sql_list(select(
            "i.name_key = $2 AND LOWER(COALESCE(d.flat_name, t.flat_name)) = $3",
        ))
        .bind(tenant_id)
        .bind(account)
        .bind(flat)
        .fetch_all(conn)
        .await?;
        return rows.iter().map(identity_info).collect();
    }
    let Some((account, suffix)) = name.rsplit_once('@') else {
        let rows = sql_list(select("i.name_key = $2"))
            .bind(tenant_id)
            .bind(name)
            .fetch_all(conn)
            .await?;
        return rows.iter().map(identity_info).collect();
    };
    let rows = sql_list(select("i.taken_upn = $2"))
        .bind(tenant_id.clone())
        .bind(name.as_str())
        .fetch_all(&mut *conn)
        .await?;
    if !rows.is_empty() {
        return rows.iter().map(identity_info).collect();
    }
    // AD's implicit UPN: the account name and the DNS name of the domain.
    let rows = sql_list(select(
        "i.kind = 'user' AND i.name_key = $2 AND i.domain = $3",
    ))
    .bind(tenant_id)
    .bind(account)
    .bind(suffix)
    .fetch_all(conn)
    .await?;
    rows.iter().map(identity_info).collect()
}

pub(crate) fn not_found_kind(kind: Option<IdentityKind>) -> RecordKind {
    match kind {
        None => RecordKind::Identity,
        Some(IdentityKind::User) => RecordKind::User,
        Some(IdentityKind::Group) => RecordKind::Group,
    }
}
