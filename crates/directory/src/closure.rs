//! Which groups a group is in, directly or through others: kept up to date inside the transaction of each change.
//!
//! The closure is over groups alone. A user's groups are then one read, the closure of their direct groups, however
//! deep the nesting; and a change of a nesting costs the groups it touches, not the users below them. Cycles are
//! ordinary here: AD permits them.
//!
//! Additions extend the closure at once. Removals are noted, and the groups whose ancestors may have shrunk are worked
//! out anew at the end of the transaction ([`Closure::finish`]); until then the closure holds too much, never too little.

use crate::db::{CHUNK, col_uuid, places, sql, sql_list, tenant_blob, uuid_blob};
use crate::{Result, Uuid};
use crossrealm_kdc::TenantId;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;
use std::collections::{BTreeMap, BTreeSet};

/// The changes of one transaction to one tenant's closure. Nothing is right before [`Closure::finish`].
pub(crate) struct Closure {
    tenant: TenantId,
    shrunk: BTreeSet<Uuid>,
}

impl Closure {
    pub(crate) fn new(tenant: TenantId) -> Self {
        Self {
            tenant,
            shrunk: BTreeSet::new(),
        }
    }

    /// A group came to life: it is in itself, and the memberships that waited for it count.
    pub(crate) async fn group_added(&self, conn: &mut AnyConnection, group: Uuid) -> Result<()> {
        sql("INSERT INTO group_closure (tenant_id, group_guid, ancestor_guid) VALUES ($1, $2, $2) ON CONFLICT DO NOTHING")
            .bind(tenant_blob(self.tenant))
            .bind(uuid_blob(group))
            .execute(&mut *conn)
            .await?;
        let parents = sql(
            "SELECT group_guid AS guid FROM memberships WHERE tenant_id = $1 AND member_guid = $2",
        )
        .bind(tenant_blob(self.tenant))
        .bind(uuid_blob(group))
        .fetch_all(&mut *conn)
        .await?;
        for row in &parents {
            self.edge_added(conn, group, col_uuid(row, "guid")?).await?;
        }
        let members = sql(
            "SELECT member_guid AS guid FROM memberships WHERE tenant_id = $1 AND group_guid = $2",
        )
        .bind(tenant_blob(self.tenant))
        .bind(uuid_blob(group))
        .fetch_all(&mut *conn)
        .await?;
        for row in &members {
            self.edge_added(conn, col_uuid(row, "guid")?, group).await?;
        }
        Ok(())
    }

    /// `member` became a direct member of `group`. Does nothing where either is not a living group.
    pub(crate) async fn edge_added(
        &self,
        conn: &mut AnyConnection,
        member: Uuid,
        group: Uuid,
    ) -> Result<()> {
        sql("INSERT INTO group_closure (tenant_id, group_guid, ancestor_guid)
             SELECT $1, below.group_guid, above.ancestor_guid FROM group_closure below, group_closure above
             WHERE below.tenant_id = $1 AND below.ancestor_guid = $2 AND above.tenant_id = $1 AND above.group_guid = $3
             ON CONFLICT DO NOTHING")
            .bind(tenant_blob(self.tenant))
            .bind(uuid_blob(member))
            .bind(uuid_blob(group))
            .execute(conn)
            .await?;
        Ok(())
    }

    /// `member` is no longer a direct member of some group, or is a group that is no more.
    pub(crate) fn shrunk(&mut self, member: Uuid) {
        self.shrunk.insert(member);
    }

    /// Works out anew what may have shrunk: the memberships above it are read once and walked in memory, and what the
    /// closure holds too much is deleted.
    pub(crate) async fn finish(self, conn: &mut AnyConnection) -> Result<()> {
        let affected = self.affected(conn).await?;
        let above = self.edges_above(conn, &affected).await?;
        let living = self.living(conn, &affected).await?;
        for group in affected {
            let reached = match living.contains(&group) {
                true => reachable(group, &above),
                false => BTreeSet::new(),
            };
            self.keep_only(conn, group, &reached).await?;
        }
        Ok(())
    }

    /// Every group that is, or was, in one whose ancestors shrank.
    async fn affected(&self, conn: &mut AnyConnection) -> Result<BTreeSet<Uuid>> {
        let text = |places| {
            format!(
                "SELECT DISTINCT group_guid AS guid FROM group_closure WHERE tenant_id = $1 AND ancestor_guid IN ({places})"
            )
        };
        let rows = self.select_in(conn, text, &self.shrunk).await?;
        rows.iter().map(|row| col_uuid(row, "guid")).collect()
    }

    /// Those of the groups that are not deleted.
    async fn living(
        &self,
        conn: &mut AnyConnection,
        groups: &BTreeSet<Uuid>,
    ) -> Result<BTreeSet<Uuid>> {
        let text = |places| {
            format!(
                "SELECT guid FROM identities WHERE tenant_id = $1 AND kind = 'group' AND state <> 'deleted' AND guid IN ({places})"
            )
        };
        let rows = self.select_in(conn, text, groups).await?;
        rows.iter().map(|row| col_uuid(row, "guid")).collect()
    }

    /// The direct groups of these groups and of all that those are in. Each group is asked for once, so a cycle ends.
    async fn edges_above(
        &self,
        conn: &mut AnyConnection,
        groups: &BTreeSet<Uuid>,
    ) -> Result<BTreeMap<Uuid, Vec<Uuid>>> {
        let text = |places| {
            format!(
                "SELECT member_guid, group_guid FROM memberships WHERE tenant_id = $1 AND member_guid IN ({places})"
            )
        };
        let mut edges: BTreeMap<Uuid, Vec<Uuid>> = BTreeMap::new();
        let mut asked = groups.clone();
        let mut frontier = groups.clone();
        while !frontier.is_empty() {
            let mut next = BTreeSet::new();
            for row in &self.select_in(conn, text, &frontier).await? {
                let group = col_uuid(row, "group_guid")?;
                let member = col_uuid(row, "member_guid")?;
                edges.entry(member).or_default().push(group);
                if asked.insert(group) {
                    next.insert(group);
                }
            }
            frontier = next;
        }
        Ok(edges)
    }

    /// Makes `reached` what the closure holds of a group.
    async fn keep_only(
        &self,
        conn: &mut AnyConnection,
        group: Uuid,
        reached: &BTreeSet<Uuid>,
    ) -> Result<()> {
        let rows = sql(
            "SELECT ancestor_guid AS guid FROM group_closure WHERE tenant_id = $1 AND group_guid = $2",
        )
        .bind(tenant_blob(self.tenant))
        .bind(uuid_blob(group))
        .fetch_all(&mut *conn)
        .await?;
        let held = rows
            .iter()
            .map(|row| col_uuid(row, "guid"))
            .collect::<Result<BTreeSet<_>>>()?;
        let lost: Vec<Uuid> = held.difference(reached).copied().collect();
        for chunk in lost.chunks(CHUNK) {
            let mut statement = sql_list(format!(
                "DELETE FROM group_closure WHERE tenant_id = $1 AND group_guid = $2 AND ancestor_guid IN ({})",
                places(3, chunk.len())
            ))
            .bind(tenant_blob(self.tenant))
            .bind(uuid_blob(group));
            for guid in chunk {
                statement = statement.bind(uuid_blob(*guid));
            }
            statement.execute(&mut *conn).await?;
        }
        Ok(())
    }

    /// The rows of a statement on this tenant for each of `guids`, however many.
    async fn select_in(
        &self,
        conn: &mut AnyConnection,
        text: impl Fn(String) -> String,
        guids: &BTreeSet<Uuid>,
    ) -> Result<Vec<AnyRow>> {
        let guids: Vec<Uuid> = guids.iter().copied().collect();
        let mut rows = Vec::new();
        for chunk in guids.chunks(CHUNK) {
            let mut statement =
                sql_list(text(places(2, chunk.len()))).bind(tenant_blob(self.tenant));
            for guid in chunk {
                statement = statement.bind(uuid_blob(*guid));
            }
            rows.extend(statement.fetch_all(&mut *conn).await?);
        }
        Ok(rows)
    }
}

/// A group and everything above it.
fn reachable(group: Uuid, above: &BTreeMap<Uuid, Vec<Uuid>>) -> BTreeSet<Uuid> {
    let mut reached = BTreeSet::from([group]);
    let mut open = vec![group];
    while let Some(next) = open.pop() {
        for parent in above.get(&next).into_iter().flatten() {
            if reached.insert(*parent) {
                open.push(*parent);
            }
        }
    }
    reached
}
