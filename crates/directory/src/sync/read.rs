//! What the sync agent and administrators read of a domain's sync.

use crate::db::columns::{col, col_uuid, col_word, tenant_blob, uuid_blob};
use crate::db::statement::{CHUNK, on_objects, placeholders, sql, sql_list};
use crate::directory::Directory;
use crate::error::{DirectoryError, RecordKind, Refusal, Result};
use crate::identities::find::by_guid;
use crate::identities::rows::{IdentityInfo, SELECT_IDENTITY, identity_info};
use crate::names;
use crate::page::{Page, Paged};
use crate::sync::connectors::sync_lease;
use crate::sync::deletion_permits;
use crate::sync::model::{DomainIdentities, MAX_MEMBERS_READ, SyncState};
use crate::tenants::domains::find_domain;
use crate::tenants::model::load_tenant;
use crossrealm_kdc::TenantId;
use crossrealm_types::{
    IdentityKind, MAX_CHANGES, MAX_FAILURES, MAX_MEMBER_CHANGES, RefusedChange, SyncFailure,
    SyncedIdentity,
};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;
use std::collections::HashMap;
use uuid::Uuid;

impl Directory {
    /// A page of the hybrid identities of a domain, and the state of its sync. Empty if the domain was never synced.
    pub async fn domain_identities(
        &self,
        tenant: TenantId,
        domain: &str,
        page: &Page,
    ) -> Result<DomainIdentities> {
        let name = names::dns_name("domain", domain)?;
        // One snapshot: the page and its members belong together.
        let mut tx = self.snapshot().await?;
        load_tenant(&mut tx, tenant).await?;
        let domain = find_domain(&mut tx, tenant, &name).await?;
        let sync = state(&mut tx, tenant, &name).await?;
        let after = behind(page)?;
        let rows = sql_list(format!(
            "{SELECT_IDENTITY} WHERE i.tenant_id = $1 AND i.domain = $2 AND i.guid > $3 ORDER BY i.guid LIMIT $4"
        ))
        .bind(tenant_blob(tenant))
        .bind(name)
        .bind(after)
        .bind(page.limit())
        .fetch_all(&mut *tx)
        .await?;
        let infos = rows.iter().map(identity_info).collect::<Result<Vec<_>>>()?;
        let items = with_members(&mut tx, tenant, infos).await?;
        Ok(DomainIdentities {
            domain,
            sync,
            identities: page.paged(items, |item: &SyncedIdentity| item.object_guid.to_string()),
        })
    }

    /// The hybrid identities of a domain with these GUIDs, including deleted ones; at most [`MAX_CHANGES`] GUIDs.
    pub async fn lookup_domain_identities(
        &self,
        tenant: TenantId,
        domain: &str,
        guids: &[Uuid],
    ) -> Result<Vec<SyncedIdentity>> {
        let name = names::dns_name("domain", domain)?;
        if guids.len() > MAX_CHANGES {
            return Err(too_many_changes());
        }
        let mut tx = self.snapshot().await?;
        load_tenant(&mut tx, tenant).await?;
        let mut infos = Vec::new();
        for chunk in guids.chunks(CHUNK) {
            let mut statement = sql_list(format!(
                "{SELECT_IDENTITY} WHERE i.tenant_id = $1 AND i.domain = $2 AND i.source = 'hybrid' AND i.guid IN ({})
                 ORDER BY i.guid",
                placeholders(3, chunk.len())
            ))
            .bind(tenant_blob(tenant))
            .bind(name.as_str());
            for guid in chunk {
                statement = statement.bind(uuid_blob(*guid));
            }
            for row in &statement.fetch_all(&mut *tx).await? {
                infos.push(identity_info(row)?);
            }
        }
        with_members(&mut tx, tenant, infos).await
    }

    /// The direct members of a group of a domain, by GUID, including unknown ones.
    pub async fn domain_members(
        &self,
        tenant: TenantId,
        domain: &str,
        group: Uuid,
        page: &Page,
    ) -> Result<Paged<Uuid>> {
        let name = names::dns_name("domain", domain)?;
        let mut tx = self.snapshot().await?;
        let known = by_guid(&mut tx, tenant, group)
            .await?
            .filter(|known| known.kind == IdentityKind::Group && known.domain_dns_name == name);
        if known.is_none() {
            return Err(DirectoryError::not_found(RecordKind::Group, group));
        }
        let rows = sql("SELECT member_guid FROM memberships WHERE tenant_id = $1 AND group_guid = $2 AND member_guid > $3
                        ORDER BY member_guid LIMIT $4")
            .bind(tenant_blob(tenant))
            .bind(uuid_blob(group))
            .bind(behind(page)?)
            .bind(page.limit())
            .fetch_all(&mut *tx)
            .await?;
        let members = rows.iter().map(|row| col_uuid(row, "member_guid"));
        Ok(page.paged(members.collect::<Result<Vec<_>>>()?, Uuid::to_string))
    }

    /// The state of a domain's sync.
    pub async fn sync_state(&self, tenant: TenantId, domain: &str) -> Result<SyncState> {
        let name = names::dns_name("domain", domain)?;
        let mut conn = self.readers().acquire().await?;
        let tags = self.sealer().rows();
        let permit = deletion_permits::usable(&mut conn, tags, tenant, &name, None).await?;
        Ok(SyncState {
            deletions_allowed: permit.map_or(0, |permit| permit.deletions),
            ..state(&mut conn, tenant, &name).await?
        })
    }

    /// The objects of a domain that the last attempt to sync them refused, by account name; at most 1000.
    pub async fn sync_refusals(
        &self,
        tenant: TenantId,
        domain: &str,
    ) -> Result<Vec<RefusedChange>> {
        let name = names::dns_name("domain", domain)?;
        let rows = sql("SELECT guid, account_name, code, message FROM sync_refusals
                        WHERE tenant_id = $1 AND domain = $2 ORDER BY account_name, guid LIMIT 1000")
            .bind(tenant_blob(tenant))
            .bind(name)
            .fetch_all(self.readers())
            .await?;
        let refusal = |row: &AnyRow| {
            Ok(RefusedChange {
                object_guid: col_uuid(row, "guid")?,
                account_name: col(row, "account_name")?,
                code: col_word(row, "code")?,
                message: col(row, "message")?,
            })
        };
        rows.iter().map(refusal).collect()
    }

    /// The objects of a domain that its agent could not process; at most [`MAX_FAILURES`].
    pub async fn sync_failures(&self, tenant: TenantId, domain: &str) -> Result<Vec<SyncFailure>> {
        let name = names::dns_name("domain", domain)?;
        let mut conn = self.readers().acquire().await?;
        failures(&mut conn, tenant, &name).await
    }
}

pub(crate) fn too_many_changes() -> DirectoryError {
    let (changes, failures, members) = (MAX_CHANGES, MAX_FAILURES, MAX_MEMBER_CHANGES);
    Refusal::TooManyChanges {
        changes,
        failures,
        members,
    }
    .into()
}

/// The GUID after which a page by GUID starts.
pub(crate) fn behind(page: &Page) -> Result<Vec<u8>> {
    let bad = |text| names::invalid("page", text, "expected the `next` of the page before");
    match &page.after {
        None => Ok(Vec::new()),
        Some(text) => Uuid::parse_str(text).map(uuid_blob).map_err(|_| bad(text)),
    }
}

/// The identities for comparison with AD by their agent; groups with their direct members, including unknown ones.
/// Members beyond [`MAX_MEMBERS_READ`] are read group by group.
async fn with_members(
    conn: &mut AnyConnection,
    tenant: TenantId,
    infos: Vec<IdentityInfo>,
) -> Result<Vec<SyncedIdentity>> {
    let mut items: Vec<SyncedIdentity> = infos.into_iter().map(synced).collect();
    let mut groups: Vec<&mut SyncedIdentity> = items
        .iter_mut()
        .filter(|item| item.kind == IdentityKind::Group)
        .collect();
    let mut capacity = MAX_MEMBERS_READ;
    for chunk in groups.chunks_mut(CHUNK) {
        let guids: Vec<Uuid> = chunk.iter().map(|group| group.object_guid).collect();
        // Read one more than fits, to see whether there are more.
        let mut members = direct_members(conn, tenant, &guids, capacity + 1).await?;
        let cut = (members.len() > capacity).then(|| members.split_off(capacity));
        let cut = cut.and_then(|rest| rest.first().map(|(group, _)| *group));
        capacity -= members.len();
        let mut by_group: HashMap<Uuid, Vec<Uuid>> = HashMap::new();
        for (group, member) in members {
            by_group.entry(group).or_default().push(member);
        }
        for group in chunk {
            group.members = by_group.remove(&group.object_guid).unwrap_or_default();
            group.more_members = cut.is_some_and(|cut| cut <= group.object_guid);
        }
    }
    Ok(items)
}

pub(crate) fn synced(info: IdentityInfo) -> SyncedIdentity {
    SyncedIdentity {
        object_guid: info.guid,
        kind: info.kind,
        sid: info.sid,
        account_name: info.account_name,
        upn: info.upn,
        display_name: info.display_name,
        state: info.state,
        disabled_reason: info.disabled_reason,
        primary_group_rid: info.primary_group_rid,
        members: Vec::new(),
        more_members: false,
    }
}

/// The first `limit` direct members of these groups, at most [`CHUNK`], each with its group, by group and member.
async fn direct_members(
    conn: &mut AnyConnection,
    tenant: TenantId,
    groups: &[Uuid],
    limit: usize,
) -> Result<Vec<(Uuid, Uuid)>> {
    let statement = on_objects(tenant, groups, |guids| {
        format!(
        "SELECT group_guid, member_guid FROM memberships WHERE tenant_id = $1 AND group_guid IN ({guids})
         ORDER BY group_guid, member_guid LIMIT {limit}"
)
    });
    let rows = statement.fetch_all(conn).await?;
    let pair = |row: &AnyRow| Ok((col_uuid(row, "group_guid")?, col_uuid(row, "member_guid")?));
    rows.iter().map(pair).collect()
}

pub(crate) async fn state(
    conn: &mut AnyConnection,
    tenant: TenantId,
    domain: &str,
) -> Result<SyncState> {
    let lease = sync_lease(conn, tenant, domain).await?;
    let row = sql("SELECT sync_cursor, sync_run, sync_success_at, sync_skipped, sync_failed, awaits_sync, sync_problem,
          (SELECT COUNT(*) FROM identities WHERE tenant_id = $1 AND domain = $2 AND kind = 'user' AND state <> 'deleted') AS users,
          (SELECT COUNT(*) FROM identities WHERE tenant_id = $1 AND domain = $2 AND kind = 'group' AND state <> 'deleted') AS groups_,
          (SELECT COUNT(*) FROM sync_refusals WHERE tenant_id = $1 AND domain = $2) AS refused
        FROM domains WHERE tenant_id = $1 AND dns_name = $2")
        .bind(tenant_blob(tenant))
        .bind(domain)
        .fetch_optional(conn)
        .await?;
    let Some(row) = row else {
        return Ok(SyncState {
            lease,
            ..SyncState::default()
        });
    };
    let run: Option<String> = col(&row, "sync_run")?;
    let count = |name| Ok::<u64, DirectoryError>(col::<i64>(&row, name)?.unsigned_abs());
    Ok(SyncState {
        deletions_allowed: 0,
        problem: col(&row, "sync_problem")?,
        cursor: col(&row, "sync_cursor")?,
        last_run_id: run.and_then(|text| Uuid::parse_str(&text).ok()),
        last_success_at: col(&row, "sync_success_at")?,
        users: count("users")?,
        groups: count("groups_")?,
        skipped: count("sync_skipped")?,
        refused: count("refused")?,
        failed: count("sync_failed")?,
        awaits_full_sync: count("awaits_sync")? != 0,
        lease,
    })
}

pub(crate) async fn failures(
    conn: &mut AnyConnection,
    tenant: TenantId,
    domain: &str,
) -> Result<Vec<SyncFailure>> {
    let rows = sql("SELECT guid, name, reason, exceeds FROM sync_failures WHERE tenant_id = $1 AND domain = $2 ORDER BY position")
        .bind(tenant_blob(tenant))
        .bind(domain)
        .fetch_all(conn)
        .await?;
    let failure = |row: &AnyRow| {
        let guid: Option<Vec<u8>> = col(row, "guid")?;
        Ok(SyncFailure {
            object_guid: guid.and_then(|bytes| Uuid::from_slice(&bytes).ok()),
            name: col(row, "name")?,
            reason: col(row, "reason")?,
            exceeds: col::<i64>(row, "exceeds")? != 0,
        })
    };
    rows.iter().map(failure).collect()
}
