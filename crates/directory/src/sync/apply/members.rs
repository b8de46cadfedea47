//! The direct members that a request adds to groups and removes from them, with the closure.

use super::Run;
use crate::db::columns::{col_uuid, tenant_blob, uuid_blob};
use crate::db::statement::{CHUNK, placeholders, rows, sql_list};
use crate::error::Result;
use crate::identities::memberships;
use crate::identities::rows::{IdentityInfo, SELECT_IDENTITY, identity_info};
use crossrealm_os::clock::now_s;
use crossrealm_types::{IdentityKind, IdentityState, RefusedChangeCode};
use sqlx::AnyConnection;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// How many members, and how many groups, are written by one statement.
const BATCH_SIZE: usize = 100;

/// A group, the members to add, the members to remove.
pub(super) type MemberChange<'a> = (Uuid, &'a Vec<Uuid>, &'a Vec<Uuid>);

/// Decided changes that are not written yet.
struct PendingWrites<'a> {
    /// The groups among all members that are added or removed.
    living: &'a HashSet<Uuid>,
    /// Members to add, each after its group.
    pairs: Vec<(Uuid, Uuid)>,
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
                pairs: Vec::new(),
                changed: HashSet::new(),
            };
            for change in changes {
                match groups.contains_key(&change.0) {
                    true => self.change(conn, change, &mut pending).await?,
                    false => self.no_group(conn, change.0).await?,
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

    async fn change(
        &mut self,
        conn: &mut AnyConnection,
        (group, add, remove): &MemberChange<'_>,
        pending: &mut PendingWrites<'_>,
    ) -> Result<()> {
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
            let ended = memberships::end(conn, self.tenant, *group, chunk).await?;
            if ended > 0 {
                pending.changed.insert(*group);
            }
            self.outcome.memberships_removed += ended;
        }
        for member in *add {
            pending.pairs.push((*group, *member));
            if pending.pairs.len() >= BATCH_SIZE {
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
        let pairs = std::mem::take(&mut pending.pairs);
        if pairs.is_empty() {
            return Ok(());
        }
        let mut statement = sql_list(format!(
            "INSERT INTO memberships (tenant_id, group_guid, member_guid) VALUES {} ON CONFLICT DO NOTHING RETURNING group_guid",
            rows(pairs.len(), |n| format!("($1,${},${})", 2 * n + 2, 2 * n + 3))
        ))
        .persistent(pairs.len() == BATCH_SIZE)
        .bind(tenant_blob(self.tenant));
        for (group, member) in &pairs {
            statement = statement.bind(uuid_blob(*group)).bind(uuid_blob(*member));
        }
        for row in &statement.fetch_all(&mut *conn).await? {
            pending.changed.insert(col_uuid(row, "group_guid")?);
            self.outcome.memberships_added += 1;
        }
        for (group, member) in pairs {
            if pending.living.contains(&member) {
                self.closure.edge_added(conn, member, group).await?;
            }
        }
        Ok(())
    }

    /// Records in these groups that this run wrote their members.
    async fn members_changed(
        &self,
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
            statement = statement
                .bind(uuid_blob(group.guid))
                .bind(self.provenance(&group.provenance, &["members"]));
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
        for (group, ..) in changes {
            statement = statement.bind(uuid_blob(*group));
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
            .flat_map(|(_, add, remove)| add.iter().chain(*remove));
        let all: HashSet<Uuid> = all.copied().collect();
        let all: Vec<Uuid> = all.into_iter().collect();
        let mut groups = HashSet::new();
        for chunk in all.chunks(CHUNK) {
            let mut statement = sql_list(format!(
                "SELECT guid FROM identities WHERE tenant_id = $1 AND kind = 'group' AND state <> 'deleted' AND guid IN ({})",
                placeholders(2, chunk.len())
            ))
            .bind(tenant_blob(self.tenant));
            for guid in chunk {
                statement = statement.bind(uuid_blob(*guid));
            }
            for row in &statement.fetch_all(&mut *conn).await? {
                groups.insert(col_uuid(row, "guid")?);
            }
        }
        Ok(groups)
    }
}
