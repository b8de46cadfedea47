//! What the sync agent reads and writes: the hybrid identities of one AD domain.

use crate::apply::Run;
use crate::db::{
    CHUNK, Touch, col, col_uuid, places, sql, sql_list, tenant_blob, touch, uuid_blob,
};
use crate::domains::{self, DomainInfo, NewDomain, find_domain};
use crate::error::DirectoryError;
use crate::identities::{IdentityInfo, SELECT_IDENTITY, identity_info};
use crate::tenants::load_tenant;
use crate::{Actor, Directory, Page, Paged, Result, names};
use crossrealm_kdc::{IdentityKind, IdentityState, TenantId};
use crossrealm_krb::sid::Sid;
use sqlx::AnyConnection;
use std::collections::HashMap;
use std::fmt;
use uuid::Uuid;

/// The most changes in one request.
pub const MAX_CHANGES: usize = 1000;
/// The most members added and removed by one change.
pub const MAX_MEMBER_CHANGES: usize = 5000;

/// A user or group as AD has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncedIdentity {
    /// `objectGUID`, the anchor.
    pub object_guid: Uuid,
    /// User or group. Never changes.
    pub kind: IdentityKind,
    /// `objectSid`. Never changes.
    pub sid: Sid,
    /// `sAMAccountName`.
    pub account_name: String,
    /// The user principal name; empty where there is none.
    pub upn: String,
    /// The display name; may be empty.
    pub display_name: String,
    /// Whether it may sign in.
    pub state: IdentityState,
    /// Why it may not: `disabled`, `expired`, `locked`.
    pub disabled_reason: Option<String>,
    /// The RID of a user's primary group; 0 for groups.
    pub primary_group_rid: u32,
    /// A group's direct members, on reading; not looked at on writing.
    pub members: Vec<Uuid>,
}

/// One change; a request's changes are applied in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Makes, updates or revives an identity. `members` is not looked at.
    Upsert(SyncedIdentity),
    /// Adds to and removes from a group's direct members. Adding a present one or removing an absent one is fine.
    Members {
        /// The group.
        group: Uuid,
        /// Identities to add.
        add: Vec<Uuid>,
        /// Identities to remove.
        remove: Vec<Uuid>,
    },
    /// Marks an identity deleted. Its SID stays taken, its memberships go.
    Delete(Uuid),
}

/// A request of the sync agent: all of it, but for objects that are refused, is one transaction.
#[derive(Clone, Debug)]
pub struct ApplyIdentities {
    /// The run of the agent this belongs to.
    pub run_id: Uuid,
    /// The domain; registered where it is not.
    pub domain: NewDomain,
    /// At most [`MAX_CHANGES`].
    pub changes: Vec<Change>,
    /// Objects the agent left out by its own rules.
    pub skipped: u64,
    /// The agent's place in AD's stream of changes; stored only where `last` is set.
    pub cursor: Option<String>,
    /// Whether this ends the run well: cursor, time, run and counts are stored with the changes.
    pub last: bool,
}

/// What became of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApplyOutcome {
    /// Identities made.
    pub created: u64,
    /// Identities changed, revived ones included.
    pub updated: u64,
    /// Identities marked deleted.
    pub deleted: u64,
    /// Identities that were as wanted.
    pub unchanged: u64,
    /// Direct memberships added.
    pub memberships_added: u64,
    /// Direct memberships removed, those of deleted identities included.
    pub memberships_removed: u64,
    /// Objects that were refused, each audited; the rest was applied.
    pub refused: Vec<Refusal>,
}

/// An object that was refused, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The object.
    pub object_guid: Uuid,
    /// Its account name, where known.
    pub account_name: String,
    /// The stable code.
    pub code: RefusalCode,
    /// The reason for people.
    pub message: String,
}

/// Why an object of a sync was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalCode {
    /// The object was synced with another SID before.
    SidChanged,
    /// Another object has, or had, the SID.
    SidDuplicate,
    /// The SID is not one of the connector's domain.
    SidOutsideDomain,
    /// A user with a RID below 1000, which the tenant does not allow.
    RidReserved,
    /// Another identity has the UPN or the account name.
    UpnConflict,
    /// The object is not an identity of this domain, or not one of the kind the change needs.
    UnknownObject,
    /// The object would overwrite an identity that exists only in the tenant.
    CloudOnly,
    /// A value is malformed or too long, or the kind changed.
    Invalid,
}

/// The sync of one domain, as `sync status` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncState {
    /// The agent's place in AD's stream of changes.
    pub cursor: Option<String>,
    /// The last run that ended well.
    pub last_run_id: Option<Uuid>,
    /// When that was, Unix seconds.
    pub last_success_at: Option<i64>,
    /// Hybrid users of the domain that are not deleted.
    pub users: u64,
    /// Hybrid groups of the domain that are not deleted.
    pub groups: u64,
    /// Objects the agent left out in the last run.
    pub skipped: u64,
    /// Objects refused in the last run.
    pub refused: u64,
}

/// A page of a domain's hybrid identities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainIdentities {
    /// The domain; `None` where it was never registered.
    pub domain: Option<DomainInfo>,
    /// The state of its sync.
    pub sync: SyncState,
    /// The identities, tombstones included, by GUID.
    pub identities: Paged<SyncedIdentity>,
}

impl RefusalCode {
    /// The stable text for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SidChanged => "sid_changed",
            Self::SidDuplicate => "sid_duplicate",
            Self::SidOutsideDomain => "sid_outside_domain",
            Self::RidReserved => "rid_reserved",
            Self::UpnConflict => "upn_conflict",
            Self::UnknownObject => "unknown_object",
            Self::CloudOnly => "cloud_only",
            Self::Invalid => "invalid",
        }
    }

    fn from_word(text: &str) -> Option<Self> {
        [
            Self::SidChanged,
            Self::SidDuplicate,
            Self::SidOutsideDomain,
            Self::RidReserved,
            Self::UpnConflict,
            Self::UnknownObject,
            Self::CloudOnly,
            Self::Invalid,
        ]
        .into_iter()
        .find(|code| code.as_str() == text)
    }
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Directory {
    /// A page of the hybrid identities of a domain, and the state of its sync. Empty where it was never synced.
    pub async fn domain_identities(
        &self,
        tenant: TenantId,
        domain: &str,
        page: &Page,
    ) -> Result<DomainIdentities> {
        let name = names::dns_name("domain", domain, 2)?;
        // One snapshot: the page and its members belong together.
        let mut tx = self.snapshot().await?;
        load_tenant(&mut tx, tenant).await?;
        let domain = find_domain(&mut tx, tenant, &name).await?;
        let sync = state(&mut tx, tenant, &name).await?;
        let after = match &page.after {
            None => Vec::new(),
            Some(text) => Uuid::parse_str(text).map(uuid_blob).map_err(|_| {
                names::invalid("page", text, "expected the `next` of the page before")
            })?,
        };
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
        let groups: Vec<Uuid> = infos
            .iter()
            .filter(|info| info.kind == IdentityKind::Group)
            .map(|info| info.guid)
            .collect();
        let mut members = direct_members(&mut tx, tenant, &groups).await?;
        let items = infos
            .into_iter()
            .map(|info| {
                let members = members.remove(&info.guid).unwrap_or_default();
                synced(info, members)
            })
            .collect();
        Ok(DomainIdentities {
            domain,
            sync,
            identities: page.paged(items, |item: &SyncedIdentity| item.object_guid.to_string()),
        })
    }

    /// Applies a request of the sync agent in one transaction. An object that breaks a rule is refused and audited,
    /// the rest goes on.
    ///
    /// Refused as a whole with `domain_sid_mismatch` where the domain is registered with another SID, and with
    /// `too_many_changes` beyond [`MAX_CHANGES`] or [`MAX_MEMBER_CHANGES`].
    pub async fn apply_identities(
        &self,
        by: &Actor,
        tenant: TenantId,
        wanted: ApplyIdentities,
    ) -> Result<ApplyOutcome> {
        let members = |change: &Change| match change {
            Change::Members { add, remove, .. } => add.len() + remove.len(),
            _ => 0,
        };
        if wanted.changes.len() > MAX_CHANGES
            || wanted
                .changes
                .iter()
                .any(|c| members(c) > MAX_MEMBER_CHANGES)
        {
            return Err(DirectoryError::Refused {
                code: "too_many_changes",
                message: format!(
                    "a request has at most {MAX_CHANGES} changes, and a change at most {MAX_MEMBER_CHANGES} members"
                ),
                hint: None,
            });
        }
        let mut tx = self.begin().await?;
        touch(&mut tx, tenant, Touch::Identities).await?;
        let domain = register_own(&mut tx, by, tenant, &wanted.domain).await?;
        let policy = load_tenant(&mut tx, tenant).await?.policy;
        let mut run = Run::new(by, tenant, &domain, policy);
        for change in &wanted.changes {
            run.apply(&mut tx, change).await?;
        }
        let outcome = run.finish(&mut tx).await?;
        if wanted.last {
            end_run(&mut tx, tenant, &domain.dns_name, &wanted).await?;
        }
        self.commit(tx).await?;
        Ok(outcome)
    }

    /// The state of a domain's sync.
    pub async fn sync_state(&self, tenant: TenantId, domain: &str) -> Result<SyncState> {
        let name = names::dns_name("domain", domain, 2)?;
        let mut conn = self.readers().acquire().await?;
        state(&mut conn, tenant, &name).await
    }

    /// The objects of a domain that the last attempt to sync them refused, by account name; at most 1000.
    pub async fn sync_refusals(&self, tenant: TenantId, domain: &str) -> Result<Vec<Refusal>> {
        let name = names::dns_name("domain", domain, 2)?;
        let rows = sql("SELECT guid, account_name, code, message FROM sync_refusals
                        WHERE tenant_id = $1 AND domain = $2 ORDER BY account_name, guid LIMIT 1000")
            .bind(tenant_blob(tenant))
            .bind(name)
            .fetch_all(self.readers())
            .await?;
        let refusal = |row: &sqlx::any::AnyRow| {
            let code: String = col(row, "code")?;
            Ok(Refusal {
                object_guid: col_uuid(row, "guid")?,
                account_name: col(row, "account_name")?,
                code: RefusalCode::from_word(&code)
                    .ok_or_else(|| DirectoryError::damaged("refusal", "an unknown code"))?,
                message: col(row, "message")?,
            })
        };
        rows.iter().map(refusal).collect()
    }
}

/// Registers the agent's domain where it is not. Of one that is registered, an agent cannot say that it belongs to
/// another forest: through which trust users may arrive is an administrator's decision.
async fn register_own(
    conn: &mut AnyConnection,
    by: &Actor,
    tenant: TenantId,
    domain: &NewDomain,
) -> Result<DomainInfo> {
    let name = names::dns_name("domain", &domain.dns_name, 2)?;
    let known = find_domain(conn, tenant, &name).await?;
    let domain = NewDomain {
        forest_root: domain.forest_root.clone().filter(|_| known.is_none()),
        ..domain.clone()
    };
    domains::register(conn, by, tenant, &domain).await
}

fn synced(info: IdentityInfo, members: Vec<Uuid>) -> SyncedIdentity {
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
        members,
    }
}

/// The direct members of each group, unknown ones included: the agent compares with what AD has.
async fn direct_members(
    conn: &mut AnyConnection,
    tenant: TenantId,
    groups: &[Uuid],
) -> Result<HashMap<Uuid, Vec<Uuid>>> {
    let mut members: HashMap<Uuid, Vec<Uuid>> = HashMap::new();
    for chunk in groups.chunks(CHUNK) {
        let mut statement = sql_list(format!(
            "SELECT group_guid, member_guid FROM memberships WHERE tenant_id = $1 AND group_guid IN ({})
             ORDER BY group_guid, member_guid",
            places(2, chunk.len())
        ))
        .bind(tenant_blob(tenant));
        for guid in chunk {
            statement = statement.bind(uuid_blob(*guid));
        }
        for row in &statement.fetch_all(&mut *conn).await? {
            let group = col_uuid(row, "group_guid")?;
            members
                .entry(group)
                .or_default()
                .push(col_uuid(row, "member_guid")?);
        }
    }
    Ok(members)
}

async fn state(conn: &mut AnyConnection, tenant: TenantId, domain: &str) -> Result<SyncState> {
    let row = sql("SELECT sync_cursor, sync_run, sync_success_at, sync_skipped,
          (SELECT COUNT(*) FROM identities WHERE tenant_id = $1 AND domain = $2 AND kind = 'user' AND state <> 'deleted') AS users,
          (SELECT COUNT(*) FROM identities WHERE tenant_id = $1 AND domain = $2 AND kind = 'group' AND state <> 'deleted') AS groups_,
          (SELECT COUNT(*) FROM sync_refusals WHERE tenant_id = $1 AND domain = $2) AS refused
        FROM domains WHERE tenant_id = $1 AND dns_name = $2")
        .bind(tenant_blob(tenant))
        .bind(domain)
        .fetch_optional(conn)
        .await?;
    let Some(row) = row else {
        return Ok(SyncState::default());
    };
    let run: Option<String> = col(&row, "sync_run")?;
    let count = |name| Ok::<u64, DirectoryError>(col::<i64>(&row, name)?.unsigned_abs());
    Ok(SyncState {
        cursor: col(&row, "sync_cursor")?,
        last_run_id: run.and_then(|text| Uuid::parse_str(&text).ok()),
        last_success_at: col(&row, "sync_success_at")?,
        users: count("users")?,
        groups: count("groups_")?,
        skipped: count("sync_skipped")?,
        refused: count("refused")?,
    })
}

/// The cursor is stored with the data it stands behind: a run that was killed is repeated, never skipped.
async fn end_run(
    conn: &mut AnyConnection,
    tenant: TenantId,
    domain: &str,
    wanted: &ApplyIdentities,
) -> Result<()> {
    sql("UPDATE domains SET sync_cursor = $3, sync_run = $4, sync_success_at = $5, sync_skipped = $6
         WHERE tenant_id = $1 AND dns_name = $2")
        .bind(tenant_blob(tenant))
        .bind(domain)
        .bind(wanted.cursor.as_deref())
        .bind(wanted.run_id.to_string())
        .bind(crate::db::now_s())
        .bind(i64::try_from(wanted.skipped).unwrap_or(i64::MAX))
        .execute(conn)
        .await?;
    Ok(())
}
