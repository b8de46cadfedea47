//! What the sync agent reads and writes: the hybrid identities of one AD domain.

pub(crate) mod apply;
pub(crate) mod connectors;
pub(crate) mod deletion_guard;

use crate::audit::events;
use crate::audit::events::Actor;
use crate::audit::events::{NewEvent, Outcome, audit_event};
use crate::db::{
    CHUNK, Touch, col, col_uuid, places, sql, sql_list, tenant_blob, touch, uuid_blob,
};
use crate::directory::Directory;
use crate::error::{DirectoryError, Kind, Refusal, Result};
use crate::identities::{IdentityInfo, SELECT_IDENTITY, by_guid, identity_info};
use crate::names;
use crate::page::{Page, Paged};
use crate::sync::apply::Run;
use crate::sync::connectors::{SyncLease, check_lease, sync_lease};
use crate::tenants::domains;
use crate::tenants::domains::{DomainInfo, NewDomain, find_domain};
use crate::tenants::load_tenant;
use crossrealm_kdc::{IdentityKind, IdentityState, TenantId};
use crossrealm_types::Sid;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use uuid::Uuid;

/// The most changes in one request.
pub const MAX_CHANGES: usize = 1000;
/// The most members added and removed by one change.
pub const MAX_MEMBER_CHANGES: usize = 5000;
/// The most members that one answer carries, over all its groups.
pub const MAX_MEMBERS_READ: usize = 20_000;
/// The most failures of one request, and of all that is kept.
pub const MAX_FAILURES: usize = 1000;
/// The longest cursor, in bytes.
pub const MAX_CURSOR: usize = 64 << 10;

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
    /// A group's direct members, by GUID, on reading; not looked at on writing.
    pub members: Vec<Uuid>,
    /// Whether there are more members behind these, to be had from [`Directory::domain_members`].
    pub more_members: bool,
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
    /// Whether this ends the run well: cursor, time, run, counts and failures are stored with the changes.
    pub last: bool,
    /// The agent, where it works under a lease.
    pub holder: Option<String>,
    /// The cursor that the run started from, where it counts on it; empty where there was none.
    pub previous_cursor: Option<String>,
    /// Objects that the agent could not make sense of; at most [`MAX_FAILURES`].
    pub failures: Vec<SyncFailure>,
    /// All objects that the agent could not make sense of, those not listed too.
    pub failed: u64,
    /// How many identities the run may delete or disable, where that was declared; the domain's bound stands otherwise.
    pub accept_deletions: Option<u64>,
    /// Whether the run looked only at what changed: what it does not speak of stands as it was told before.
    pub incremental: bool,
}

/// An object that the agent could not make sense of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncFailure {
    /// The object, where that much is known.
    pub object_guid: Option<Uuid>,
    /// What the agent calls it.
    pub name: String,
    /// What is wrong with it.
    pub reason: String,
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
    /// Identities that could sign in and no longer can; they are among the updated.
    pub disabled: u64,
    /// Identities that were as wanted.
    pub unchanged: u64,
    /// Direct memberships added.
    pub memberships_added: u64,
    /// Direct memberships removed, those of deleted identities included.
    pub memberships_removed: u64,
    /// Objects that were refused, each audited; the rest was applied.
    pub refused: Vec<RefusedChange>,
}

/// An object that was refused, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedChange {
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
    /// Objects that were refused the last time they were sent.
    pub refused: u64,
    /// Objects that the agent could not make sense of.
    pub failed: u64,
    /// Who works on it now.
    pub lease: Option<SyncLease>,
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

    /// The hybrid identities of a domain with these GUIDs, tombstones included; at most [`MAX_CHANGES`] are asked for.
    pub async fn lookup_domain_identities(
        &self,
        tenant: TenantId,
        domain: &str,
        guids: &[Uuid],
    ) -> Result<Vec<SyncedIdentity>> {
        let name = names::dns_name("domain", domain, 2)?;
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
                places(3, chunk.len())
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

    /// The direct members of a group of a domain, by GUID, unknown ones included.
    pub async fn domain_members(
        &self,
        tenant: TenantId,
        domain: &str,
        group: Uuid,
        page: &Page,
    ) -> Result<Paged<Uuid>> {
        let name = names::dns_name("domain", domain, 2)?;
        let mut tx = self.snapshot().await?;
        let known = by_guid(&mut tx, tenant, group)
            .await?
            .filter(|known| known.kind == IdentityKind::Group && known.domain_dns_name == name);
        if known.is_none() {
            return Err(DirectoryError::not_found(Kind::Group, group));
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

    /// Applies a request of the sync agent in one transaction. An object that breaks a rule is refused and audited,
    /// the rest goes on.
    ///
    /// Refused as a whole with `domain_sid_mismatch` where the domain is registered with another SID, with
    /// `too_many_changes` beyond [`MAX_CHANGES`], [`MAX_MEMBER_CHANGES`] or [`MAX_FAILURES`], with `lease_lost` while
    /// another agent holds the lease, with `cursor_moved` where the run started from a cursor that is no longer the
    /// stored one, and with `too_many_deletions` beyond what may go unasked; that one is audited.
    pub async fn apply_identities(
        &self,
        by: &Actor,
        tenant: TenantId,
        wanted: ApplyIdentities,
    ) -> Result<ApplyOutcome> {
        check_bounds(&wanted)?;
        match self.apply_checked(by, tenant, &wanted).await {
            Err(DirectoryError::Refused(refusal @ Refusal::TooManyDeletions { .. })) => {
                // The transaction is gone, with all it would have changed; that it was tried stays.
                self.audit_refusal(by, tenant, &wanted.domain.dns_name, &refusal)
                    .await?;
                Err(refusal.into())
            }
            done => done,
        }
    }

    async fn apply_checked(
        &self,
        by: &Actor,
        tenant: TenantId,
        wanted: &ApplyIdentities,
    ) -> Result<ApplyOutcome> {
        let mut tx = self.begin().await?;
        touch(&mut tx, tenant, Touch::Identities).await?;
        let domain = register_own(&mut tx, by, tenant, &wanted.domain).await?;
        let holder = wanted.holder.as_deref();
        check_lease(&mut tx, tenant, &domain.dns_name, holder).await?;
        check_cursor(&mut tx, tenant, &domain.dns_name, wanted).await?;
        let policy = load_tenant(&mut tx, tenant).await?.policy;
        let mut run = Run::begin(&mut tx, by, tenant, &domain, wanted.run_id, policy).await?;
        run.apply(&mut tx, &wanted.changes).await?;
        let outcome = run.finish(&mut tx).await?;
        deletion_guard::check(&mut tx, by, tenant, &domain.dns_name, wanted, &outcome).await?;
        if wanted.last {
            end_run(&mut tx, tenant, &domain.dns_name, wanted).await?;
        }
        self.commit(tx).await?;
        Ok(outcome)
    }

    async fn audit_refusal(
        &self,
        by: &Actor,
        tenant: TenantId,
        domain: &str,
        refusal: &Refusal,
    ) -> Result<()> {
        let mut tx = self.begin().await?;
        touch(&mut tx, tenant, Touch::Nothing).await?;
        let event = NewEvent {
            outcome: Outcome::Refused,
            reason: refusal.code().to_owned(),
            target: names::shown(domain),
            detail: refusal.to_string(),
            ..audit_event(by, Some(tenant), "sync.refuse")
        };
        events::record(&mut tx, &event).await?;
        self.commit(tx).await
    }

    /// The state of a domain's sync.
    pub async fn sync_state(&self, tenant: TenantId, domain: &str) -> Result<SyncState> {
        let name = names::dns_name("domain", domain, 2)?;
        let mut conn = self.readers().acquire().await?;
        state(&mut conn, tenant, &name).await
    }

    /// The objects of a domain that the last attempt to sync them refused, by account name; at most 1000.
    pub async fn sync_refusals(
        &self,
        tenant: TenantId,
        domain: &str,
    ) -> Result<Vec<RefusedChange>> {
        let name = names::dns_name("domain", domain, 2)?;
        let rows = sql("SELECT guid, account_name, code, message FROM sync_refusals
                        WHERE tenant_id = $1 AND domain = $2 ORDER BY account_name, guid LIMIT 1000")
            .bind(tenant_blob(tenant))
            .bind(name)
            .fetch_all(self.readers())
            .await?;
        let refusal = |row: &AnyRow| {
            let code: String = col(row, "code")?;
            Ok(RefusedChange {
                object_guid: col_uuid(row, "guid")?,
                account_name: col(row, "account_name")?,
                code: RefusalCode::from_word(&code)
                    .ok_or_else(|| DirectoryError::damaged("refusal", "an unknown code"))?,
                message: col(row, "message")?,
            })
        };
        rows.iter().map(refusal).collect()
    }

    /// The objects of a domain that its agent could not make sense of; at most [`MAX_FAILURES`].
    pub async fn sync_failures(&self, tenant: TenantId, domain: &str) -> Result<Vec<SyncFailure>> {
        let name = names::dns_name("domain", domain, 2)?;
        let mut conn = self.readers().acquire().await?;
        failures(&mut conn, tenant, &name).await
    }
}

/// What can be said of a request before anything is read.
fn check_bounds(wanted: &ApplyIdentities) -> Result<()> {
    let members = |change: &Change| match change {
        Change::Members { add, remove, .. } => add.len() + remove.len(),
        _ => 0,
    };
    let crowded = |change: &Change| members(change) > MAX_MEMBER_CHANGES;
    if wanted.changes.len() > MAX_CHANGES
        || wanted.changes.iter().any(crowded)
        || wanted.failures.len() > MAX_FAILURES
    {
        return Err(too_many_changes());
    }
    let cursors = [&wanted.cursor, &wanted.previous_cursor];
    if cursors
        .into_iter()
        .flatten()
        .any(|c| c.len() > MAX_CURSOR || c.contains('\0'))
    {
        let reason = "expected at most 64 KiB of text";
        return Err(names::invalid("cursor", "…", reason));
    }
    Ok(())
}

fn too_many_changes() -> DirectoryError {
    let (changes, failures, members) = (MAX_CHANGES, MAX_FAILURES, MAX_MEMBER_CHANGES);
    Refusal::TooManyChanges {
        changes,
        failures,
        members,
    }
    .into()
}

/// Refuses a run that started from a cursor which another run has moved since. A run that ended already is repeated
/// where its agent did not hear the answer: that is no other run.
async fn check_cursor(
    conn: &mut AnyConnection,
    tenant: TenantId,
    domain: &str,
    wanted: &ApplyIdentities,
) -> Result<()> {
    let Some(expected) = &wanted.previous_cursor else {
        return Ok(());
    };
    let row =
        sql("SELECT sync_cursor, sync_run FROM domains WHERE tenant_id = $1 AND dns_name = $2")
            .bind(tenant_blob(tenant))
            .bind(domain)
            .fetch_one(conn)
            .await?;
    let stored: Option<String> = col(&row, "sync_cursor")?;
    let run: Option<String> = col(&row, "sync_run")?;
    if stored.unwrap_or_default() == *expected || run == Some(wanted.run_id.to_string()) {
        return Ok(());
    }
    Err(Refusal::CursorMoved {
        domain: domain.to_owned(),
    }
    .into())
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

/// Where a page by GUID starts.
fn behind(page: &Page) -> Result<Vec<u8>> {
    let bad = |text| names::invalid("page", text, "expected the `next` of the page before");
    match &page.after {
        None => Ok(Vec::new()),
        Some(text) => Uuid::parse_str(text).map(uuid_blob).map_err(|_| bad(text)),
    }
}

/// The identities as their agent sees them, groups with their direct members, unknown ones included: the agent compares
/// with what AD has. Beyond [`MAX_MEMBERS_READ`] members, the rest is to be asked for group by group.
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
    let mut room = MAX_MEMBERS_READ;
    for chunk in groups.chunks_mut(CHUNK) {
        let guids: Vec<Uuid> = chunk.iter().map(|group| group.object_guid).collect();
        // One more than there is room for shows whether there are more.
        let mut members = direct_members(conn, tenant, &guids, room + 1).await?;
        let cut = (members.len() > room).then(|| members.split_off(room));
        let cut = cut.and_then(|rest| rest.first().map(|(group, _)| *group));
        room -= members.len();
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

fn synced(info: IdentityInfo) -> SyncedIdentity {
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
    let mut statement = sql_list(format!(
        "SELECT group_guid, member_guid FROM memberships WHERE tenant_id = $1 AND group_guid IN ({})
         ORDER BY group_guid, member_guid LIMIT {limit}",
        places(2, groups.len())
    ))
    .bind(tenant_blob(tenant));
    for guid in groups {
        statement = statement.bind(uuid_blob(*guid));
    }
    let rows = statement.fetch_all(conn).await?;
    let pair = |row: &AnyRow| Ok((col_uuid(row, "group_guid")?, col_uuid(row, "member_guid")?));
    rows.iter().map(pair).collect()
}

async fn state(conn: &mut AnyConnection, tenant: TenantId, domain: &str) -> Result<SyncState> {
    let lease = sync_lease(conn, tenant, domain).await?;
    let row = sql("SELECT sync_cursor, sync_run, sync_success_at, sync_skipped, sync_failed,
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
        cursor: col(&row, "sync_cursor")?,
        last_run_id: run.and_then(|text| Uuid::parse_str(&text).ok()),
        last_success_at: col(&row, "sync_success_at")?,
        users: count("users")?,
        groups: count("groups_")?,
        skipped: count("sync_skipped")?,
        refused: count("refused")?,
        failed: count("sync_failed")?,
        lease,
    })
}

async fn failures(
    conn: &mut AnyConnection,
    tenant: TenantId,
    domain: &str,
) -> Result<Vec<SyncFailure>> {
    let rows = sql("SELECT guid, name, reason FROM sync_failures WHERE tenant_id = $1 AND domain = $2 ORDER BY position")
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
        })
    };
    rows.iter().map(failure).collect()
}

/// Stores what the agent could not make sense of, and how many objects that are. After a run that looked only at what
/// changed, what was told before stands too, but for the objects that are told anew. Of these no earlier refusal stands.
async fn keep_failures(
    conn: &mut AnyConnection,
    tenant: TenantId,
    domain: &str,
    wanted: &ApplyIdentities,
) -> Result<u64> {
    let mut all = match wanted.incremental {
        true => failures(conn, tenant, domain).await?,
        false => Vec::new(),
    };
    let told: HashSet<Uuid> = wanted
        .failures
        .iter()
        .filter_map(|f| f.object_guid)
        .collect();
    all.retain(|old| !old.object_guid.is_some_and(|guid| told.contains(&guid)));
    for guid in &told {
        sql("DELETE FROM sync_refusals WHERE tenant_id = $1 AND domain = $2 AND guid = $3")
            .bind(tenant_blob(tenant))
            .bind(domain)
            .bind(uuid_blob(*guid))
            .execute(&mut *conn)
            .await?;
    }
    let standing = u64::try_from(all.len()).unwrap_or(u64::MAX);
    let listed = u64::try_from(wanted.failures.len()).unwrap_or(u64::MAX);
    all.extend(wanted.failures.iter().cloned());
    sql("DELETE FROM sync_failures WHERE tenant_id = $1 AND domain = $2")
        .bind(tenant_blob(tenant))
        .bind(domain)
        .execute(&mut *conn)
        .await?;
    for (position, failure) in (0_i64..).zip(all.iter().take(MAX_FAILURES)) {
        sql("INSERT INTO sync_failures (tenant_id, domain, position, guid, name, reason) VALUES ($1, $2, $3, $4, $5, $6)")
            .bind(tenant_blob(tenant))
            .bind(domain)
            .bind(position)
            .bind(failure.object_guid.map(uuid_blob))
            .bind(names::shown(&failure.name))
            .bind(names::shown(&failure.reason))
            .execute(&mut *conn)
            .await?;
    }
    Ok(standing.saturating_add(wanted.failed.max(listed)))
}

/// The cursor is stored with the data it stands behind: a run that was killed is repeated, never skipped.
async fn end_run(
    conn: &mut AnyConnection,
    tenant: TenantId,
    domain: &str,
    wanted: &ApplyIdentities,
) -> Result<()> {
    let failed = keep_failures(conn, tenant, domain, wanted).await?;
    sql("UPDATE domains SET sync_cursor = $3, sync_run = $4, sync_success_at = $5, sync_skipped = $6, sync_failed = $7
         WHERE tenant_id = $1 AND dns_name = $2")
        .bind(tenant_blob(tenant))
        .bind(domain)
        .bind(wanted.cursor.as_deref())
        .bind(wanted.run_id.to_string())
        .bind(crate::clock::now_s())
        .bind(i64::try_from(wanted.skipped).unwrap_or(i64::MAX))
        .bind(i64::try_from(failed).unwrap_or(i64::MAX))
        .execute(conn)
        .await?;
    Ok(())
}
