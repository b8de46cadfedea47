//! Lists of identities, of members and of the groups that an identity is in.

use crate::db::columns::{col, tenant_blob, uuid_blob};
use crate::db::statement::{sql, sql_list};
use crate::directory::Directory;
use crate::error::{DirectoryError, RecordKind, Result};
use crate::identities::find::by_guid;
use crate::identities::group_paths::{EffectiveGroup, GroupWalk};
use crate::identities::identity_ref::{IdentityRef, identity_ref};
use crate::identities::rows::{IdentityInfo, SELECT_IDENTITY, identity_info};
use crate::names::invalid;
use crate::page::{Page, Paged};
use crossrealm_kdc::TenantId;
use crossrealm_types::IdentityKind;
use sqlx::any::AnyRow;
use uuid::Uuid;

/// Which identities a list shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdentityFilter {
    /// Users or groups; `None` is both.
    pub kind: Option<IdentityKind>,
    /// Whether deleted ones are shown too.
    pub deleted: bool,
}

impl Directory {
    /// The identities, by account name.
    pub async fn identities(
        &self,
        tenant: TenantId,
        filter: &IdentityFilter,
        page: &Page,
    ) -> Result<Paged<IdentityInfo>> {
        let (after_guid, after_name) = place_of(page)?;
        let mut text =
            format!("{SELECT_IDENTITY} WHERE i.tenant_id = $1 AND (i.name_key, i.guid) > ($2, $3)");
        if let Some(kind) = filter.kind {
            text.push_str(match kind {
                IdentityKind::User => " AND i.kind = 'user'",
                IdentityKind::Group => " AND i.kind = 'group'",
            });
        }
        if !filter.deleted {
            text.push_str(" AND i.state <> 'deleted'");
        }
        text.push_str(" ORDER BY i.name_key, i.guid LIMIT $4");
        let rows = sql_list(text)
            .bind(tenant_blob(tenant))
            .bind(after_name)
            .bind(after_guid)
            .bind(page.limit())
            .fetch_all(self.readers())
            .await?;
        let items = rows.iter().map(identity_info).collect::<Result<Vec<_>>>()?;
        Ok(page.paged(items, |info| {
            format!("{}{}", info.guid, info.account_name.to_lowercase())
        }))
    }

    /// A group's direct members, by account name.
    pub async fn members(
        &self,
        tenant: TenantId,
        group: Uuid,
        page: &Page,
    ) -> Result<Paged<IdentityRef>> {
        let (after_guid, after_name) = place_of(page)?;
        let rows = sql("SELECT i.guid, i.sid, i.kind, i.upn, i.account_name, i.name_key FROM memberships m
                        JOIN identities i ON i.tenant_id = m.tenant_id AND i.guid = m.member_guid
                        WHERE m.tenant_id = $1 AND m.group_guid = $2 AND (i.name_key, i.guid) > ($3, $4)
                        AND i.state <> 'deleted' ORDER BY i.name_key, i.guid LIMIT $5")
            .bind(tenant_blob(tenant))
            .bind(uuid_blob(group))
            .bind(after_name)
            .bind(after_guid)
            .bind(page.limit())
            .fetch_all(self.readers())
            .await?;
        let keyed = |row: &AnyRow| Ok((identity_ref(row)?, col::<String>(row, "name_key")?));
        let items = rows.iter().map(keyed).collect::<Result<Vec<_>>>()?;
        let paged = page.paged(items, |(member, key)| format!("{}{key}", member.guid));
        Ok(Paged {
            items: paged.items.into_iter().map(|(member, _)| member).collect(),
            next: paged.next,
        })
    }

    /// Every group an identity is in, directly or through others, each with the shortest path to it, by name.
    pub async fn effective_groups(
        &self,
        tenant: TenantId,
        identity: Uuid,
    ) -> Result<Vec<EffectiveGroup>> {
        let mut conn = self.readers().acquire().await?;
        let info = by_guid(&mut conn, tenant, identity)
            .await?
            .ok_or_else(|| DirectoryError::not_found(RecordKind::Identity, identity))?;
        let walk = GroupWalk::from(&mut conn, tenant, &info).await?;
        Ok(walk.effective())
    }
}

/// The GUID and name after which a page by name starts.
pub(crate) fn place_of(page: &Page) -> Result<(Vec<u8>, String)> {
    let Some(after) = &page.after else {
        return Ok((Vec::new(), String::new()));
    };
    let bad = || invalid("page", after, "expected the `next` of the page before");
    let (guid, name) = after.split_at_checked(36).ok_or_else(bad)?;
    let guid = Uuid::parse_str(guid).map_err(|_| bad())?;
    Ok((uuid_blob(guid), name.to_owned()))
}
