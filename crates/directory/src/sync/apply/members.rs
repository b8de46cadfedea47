//! The direct members that a request adds to groups and removes from them, with the closure.

use super::Run;
use crate::db::columns::{col_uuid, tenant_blob, uuid_blob};
use crate::db::statement::{CHUNK, on_objects, placeholders, rows, sql_list};
use crate::error::Result;
use crate::identities::memberships;
use crate::identities::rows::{IdentityInfo, SELECT_IDENTITY, identity_info};
use crate::sync::model::MemberChange;
use crossrealm_os::clock::now_s;
use crossrealm_types::{IdentityKind, IdentityState, RefusedChangeCode, Sid};
use sqlx::AnyConnection;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// How many members, and how many groups, are written by one statement.
const BATCH_SIZE: usize = 100;

/// A member to add to a group.
struct NewMember<'a> {
    group: Uuid,
    member: Uuid,
    /// The SID of the domain that may create the member, if it is not synced yet.
    domain: Option<&'a Sid>,
}

/// Decided changes that are not written yet.
struct PendingWrites<'a> {
    /// The groups among all members that are added or removed.
    living: &'a HashSet<Uuid>,
    /// Members to add, each after its group.
    members: Vec<NewMember<'a>>,
    /// Groups that are known to have changed.
    changed: HashSet<Uuid>,
}

impl Run<'_> {
    /// Adds and removes direct members, group by group. Adding a present one and removing an absent one are not errors.
    pub(super) async fn members(
        &mut self,
        conn: &mut AnyConnection,
        changes: &[MemberChange<'_>],
    ) -> Result<()> {
        for changes in changes.chunks(CHUNK) {
            let groups = self.own_groups(conn, changes).await?;
            let living = self.groups_among(conn, changes).await?;
            let mut pending = PendingWrites {
                living: &living,
                members: Vec::new(),
                changed: HashSet::new(),
            };
            for change in changes {
                match groups.contains_key(&change.group) {
                    true => self.change(conn, change, &mut pending).await?,
                    false => self.no_group(conn, change.group).await?,
                }
            }
            self.add(conn, &mut pending).await?;
            let changed = pending.changed.iter().filter_map(|guid| groups.get(guid));
            let changed: Vec<&IdentityInfo> = changed.collect();
            for groups in changed.chunks(BATCH_SIZE) {
                self.members_changed(conn, groups).await?;
            }
        }
        Ok(())
    }

    async fn change<'b>(
        &mut self,
        conn: &mut AnyConnection,
        change: &MemberChange<'b>,
        pending: &mut PendingWrites<'b>,
    ) -> Result<()>
    where
        Self: 'b,
    {
        let MemberChange {
            group,
            add,
            remove,
            elsewhere,
        } = *change;
        if !remove.is_empty() {
            // A member to remove may be among the pending additions.
            self.add(conn, pending).await?;
        }
        for chunk in remove.chunks(CHUNK) {
            for member in chunk {
                if pending.living.contains(member) {
                    self.closure.shrunk(*member);
                }
            }
            let ended = memberships::end(conn, self.tenant, group, chunk).await?;
            if ended > 0 {
                pending.changed.insert(group);
            }
            self.outcome.memberships_removed += ended;
        }
        for member in add {
            let own = &self.domain.sid;
            pending.members.push(NewMember {
                group,
                member: *member,
                domain: elsewhere.map(|domains| domains.get(member).unwrap_or(own)),
            });
            if pending.members.len() >= BATCH_SIZE {
                self.add(conn, pending).await?;
            }
        }
        Ok(())
    }

    /// Writes the pending additions.
    async fn add(
        &mut self,
        conn: &mut AnyConnection,
        pending: &mut PendingWrites<'_>,
    ) -> Result<()> {
        let members = std::mem::take(&mut pending.members);
        if members.is_empty() {
            return Ok(());
        }
        let mut statement = sql_list(format!(
            "INSERT INTO memberships (tenant_id, group_guid, member_guid, member_domain) VALUES {} ON CONFLICT DO NOTHING RETURNING group_guid",
            rows(members.len(), |n| format!("($1,${},${},${})", 3 * n + 2, 3 * n + 3, 3 * n + 4))
        ))
        .persistent(members.len() == BATCH_SIZE)
        .bind(tenant_blob(self.tenant));
        for new in &members {
            statement = statement
                .bind(uuid_blob(new.group))
                .bind(uuid_blob(new.member))
                .bind(new.domain.map(Sid::to_string));
        }
        for row in &statement.fetch_all(&mut *conn).await? {
            pending.changed.insert(col_uuid(row, "group_guid")?);
            self.outcome.memberships_added += 1;
        }
        for new in members {
            if pending.living.contains(&new.member) {
                self.closure.edge_added(conn, new.member, new.group).await?;
            }
        }
        Ok(())
    }

    /// Records in these groups that this run wrote their members.
    async fn members_changed(
        &mut self,
        conn: &mut AnyConnection,
        groups: &[&IdentityInfo],
    ) -> Result<()> {
        let mut statement = sql_list(format!(
            "UPDATE identities SET changed_at = $2, origins = new.column2 FROM (VALUES {}) AS new
             WHERE tenant_id = $1 AND guid = new.column1",
            rows(groups.len(), |n| format!("(${},${})", 2 * n + 3, 2 * n + 4))
        ))
        .persistent(groups.len() == BATCH_SIZE)
        .bind(tenant_blob(self.tenant))
        .bind(now_s());
        for group in groups {
            let provenance = self.provenance(&group.provenance, &["members"]);
            statement = statement
                .bind(uuid_blob(group.guid))
                .bind(provenance.clone());
            self.lookup
                .change(group.guid, |known| known.provenance = provenance);
        }
        statement.execute(conn).await?;
        Ok(())
    }

    async fn no_group(&mut self, conn: &mut AnyConnection, guid: Uuid) -> Result<()> {
        if self.failed_objects.contains(&guid) {
            // The group is missing because it was refused itself: that refusal stands.
            return Ok(());
        }
        let domain = &self.domain.dns_name;
        let message = format!("no synced group of domain `{domain}` has this GUID");
        let code = RefusedChangeCode::UnknownObject;
        self.refuse(conn, guid, "", code, message).await
    }

    /// The groups of this domain that the changes are about; at most [`CHUNK`] changes are given.
    async fn own_groups(
        &self,
        conn: &mut AnyConnection,
        changes: &[MemberChange<'_>],
    ) -> Result<HashMap<Uuid, IdentityInfo>> {
        if changes.is_empty() {
            return Ok(HashMap::new());
        }
        let mut statement = sql_list(format!(
            "{SELECT_IDENTITY} WHERE i.tenant_id = $1 AND i.source = 'hybrid' AND i.domain = $2 AND i.guid IN ({})",
            placeholders(3, changes.len())
        ))
        .bind(tenant_blob(self.tenant))
        .bind(self.domain.dns_name.as_str());
        for change in changes {
            statement = statement.bind(uuid_blob(change.group));
        }
        let rows = statement.fetch_all(conn).await?;
        let mut groups = HashMap::new();
        for row in &rows {
            let known = identity_info(row)?;
            if known.kind == IdentityKind::Group && known.state != IdentityState::Deleted {
                groups.insert(known.guid, known);
            }
        }
        Ok(groups)
    }

    /// The groups among all members that the changes add or remove.
    async fn groups_among(
        &self,
        conn: &mut AnyConnection,
        changes: &[MemberChange<'_>],
    ) -> Result<HashSet<Uuid>> {
        let all = changes
            .iter()
            .flat_map(|change| change.add.iter().chain(change.remove));
        let all: HashSet<Uuid> = all.copied().collect();
        let all: Vec<Uuid> = all.into_iter().collect();
        let mut groups = HashSet::new();
        for chunk in all.chunks(CHUNK) {
            let statement = on_objects(self.tenant, chunk, |guids| {
                format!(
                    "SELECT guid FROM identities WHERE tenant_id = $1 AND kind = 'group' AND state <> 'deleted' AND guid IN ({guids})"
                )
            });
            for row in &statement.fetch_all(&mut *conn).await? {
                groups.insert(col_uuid(row, "guid")?);
            }
        }
        Ok(groups)
    }
}
