//! The groups that a group is in, directly or through others; kept up to date in the transaction of each change.
//!
//! The closure has groups only. The groups of a user are one read, the closure of their direct groups, at any depth of
//! nesting; and a change of a nesting costs in proportion to the groups it affects, not to the users below them. Cycles
//! occur: AD permits them.
//!
//! Additions extend the closure at once. Removals are noted, and pairs that depended on them are deleted at the end of
//! the transaction ([`Closure::finish`]); until then the closure holds too much, never too little. Only pairs with a
//! path through a noted group can be lost, so only those are examined.

use crate::db::columns::{col_uuid, tenant_blob, uuid_blob};
use crate::db::statement::{CHUNK, Statement, on_objects, placeholders, rows, sql, sql_list};
use crate::error::Result;
use crossrealm_kdc::TenantId;
use sqlx::AnyConnection;
use sqlx::any::AnyRow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use uuid::Uuid;

/// Groups, each with groups above it.
type Pairs = BTreeMap<Uuid, BTreeSet<Uuid>>;

/// The changes of one transaction to one tenant's closure. It is correct only after [`Closure::finish`].
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

    /// Groups were created or restored: each is in itself, and memberships that were stored before them take effect.
    pub(crate) async fn groups_added(
        &self,
        conn: &mut AnyConnection,
        groups: &[Uuid],
    ) -> Result<()> {
        for groups in groups.chunks(CHUNK) {
            let mut statement = sql_list(format!(
                "INSERT INTO group_closure (tenant_id, group_guid, ancestor_guid) VALUES {} ON CONFLICT DO NOTHING",
                rows(groups.len(), |n| format!("($1,${0},${0})", n + 2))
            ))
            .bind(tenant_blob(self.tenant));
            for group in groups {
                statement = statement.bind(uuid_blob(*group));
            }
            statement.execute(&mut *conn).await?;
        }
        let mut waited = Pairs::new();
        for column in ["member_guid", "group_guid"] {
            let text = |placeholders| {
                format!(
                    "SELECT member_guid AS low, group_guid AS high FROM memberships WHERE tenant_id = $1 AND {column} IN ({placeholders})"
                )
            };
            for (member, above) in pairs(&self.select_in(conn, text, groups.iter()).await?)? {
                waited.entry(member).or_default().extend(above);
            }
        }
        for (member, above) in waited {
            for group in above {
                self.edge_added(conn, member, group).await?;
            }
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

    /// `member` is no longer a direct member of some group, or was deleted.
    pub(crate) fn shrunk(&mut self, member: Uuid) {
        self.shrunk.insert(member);
    }

    /// Deletes the pairs that no longer hold.
    ///
    /// A pair may be lost only if a path of it led through a noted group: its lower end is below one, its upper end
    /// above one. These pairs are recomputed from the present memberships; no others are examined.
    pub(crate) async fn finish(self, conn: &mut AnyConnection) -> Result<()> {
        if self.shrunk.is_empty() {
            return Ok(());
        }
        let above = self.pairs_at(conn, "group_guid", &self.shrunk).await?;
        let mut doubtful = Pairs::new();
        for (group, noted) in self.pairs_at(conn, "ancestor_guid", &self.shrunk).await? {
            let ends = noted.iter().filter_map(|noted| above.get(noted)).flatten();
            doubtful.insert(group, ends.copied().collect());
        }
        let living = self.living(conn, &self.shrunk).await?;
        let reached = self.still_reached(conn, &doubtful).await?;
        // Groups that lose the same ancestors are handled together.
        let mut cuts: HashMap<Vec<Uuid>, Vec<Uuid>> = HashMap::new();
        for (group, ends) in doubtful {
            let dead = self.shrunk.contains(&group) && !living.contains(&group);
            let kept = reached.get(&group).filter(|_| !dead);
            let is_kept = |end: &Uuid| {
                (*end == group && !dead) || kept.is_some_and(|kept| kept.contains(end))
            };
            let lost: Vec<Uuid> = ends.into_iter().filter(|end| !is_kept(end)).collect();
            if !lost.is_empty() {
                cuts.entry(lost).or_default().push(group);
            }
        }
        for (lost, groups) in cuts {
            for (groups, lost) in blocks(&groups, &lost) {
                let statement = self.at_block("DELETE FROM group_closure", groups, lost);
                statement.execute(&mut *conn).await?;
            }
        }
        Ok(())
    }

    /// For each of these groups, the groups it reaches by the present memberships, among those in doubt. The closure is
    /// right for a parent that is not in doubt; the others are propagated downwards.
    async fn still_reached(
        &self,
        conn: &mut AnyConnection,
        doubtful: &Pairs,
    ) -> Result<HashMap<Uuid, HashSet<Uuid>>> {
        let ends: BTreeSet<Uuid> = doubtful.values().flatten().copied().collect();
        let parents = self.parents(conn, doubtful.keys()).await?;
        let all = parents.values().flatten();
        let sound: BTreeSet<Uuid> = all.filter(|p| !doubtful.contains_key(p)).copied().collect();
        let beyond = self.pairs_between(conn, &sound, &ends).await?;
        let mut reached: HashMap<Uuid, HashSet<Uuid>> = HashMap::new();
        let mut children: HashMap<Uuid, Vec<Uuid>> = HashMap::new();
        for (group, parents) in &parents {
            let own = reached.entry(*group).or_default();
            for parent in parents {
                own.extend(ends.get(parent));
                own.extend(beyond.get(parent).into_iter().flatten());
                children.entry(*parent).or_default().push(*group);
            }
        }
        // Repeat until nothing is new; this terminates in cycles too, since sets only grow.
        let own = |(group, own): (&Uuid, &HashSet<Uuid>)| (*group, own.iter().copied().collect());
        let mut open: Vec<(Uuid, Vec<Uuid>)> = reached.iter().map(own).collect();
        while let Some((group, news)) = open.pop() {
            for child in children.get(&group).into_iter().flatten() {
                let known = reached.entry(*child).or_default();
                let news: Vec<Uuid> = news.iter().copied().filter(|e| known.insert(*e)).collect();
                if !news.is_empty() {
                    open.push((*child, news));
                }
            }
        }
        Ok(reached)
    }

    /// The closure's pairs with one of `guids` in this column: each lower end with its upper ends.
    async fn pairs_at(
        &self,
        conn: &mut AnyConnection,
        column: &'static str,
        guids: &BTreeSet<Uuid>,
    ) -> Result<Pairs> {
        let text = |placeholders| {
            format!(
                "SELECT group_guid AS low, ancestor_guid AS high FROM group_closure WHERE tenant_id = $1 AND {column} IN ({placeholders})"
            )
        };
        pairs(&self.select_in(conn, text, guids.iter()).await?)
    }

    /// The closure's pairs of one of `groups` and one of `ends`.
    async fn pairs_between(
        &self,
        conn: &mut AnyConnection,
        groups: &BTreeSet<Uuid>,
        ends: &BTreeSet<Uuid>,
    ) -> Result<Pairs> {
        let text = "SELECT group_guid AS low, ancestor_guid AS high FROM group_closure";
        let groups: Vec<Uuid> = groups.iter().copied().collect();
        let ends: Vec<Uuid> = ends.iter().copied().collect();
        let mut rows = Vec::new();
        for (groups, ends) in blocks(&groups, &ends) {
            let statement = self.at_block(text, groups, ends);
            rows.extend(statement.fetch_all(&mut *conn).await?);
        }
        pairs(&rows)
    }

    /// Each of these groups with those that it is a direct member of.
    async fn parents(
        &self,
        conn: &mut AnyConnection,
        groups: impl Iterator<Item = &Uuid>,
    ) -> Result<Pairs> {
        let text = |placeholders| {
            format!(
                "SELECT member_guid AS low, group_guid AS high FROM memberships WHERE tenant_id = $1 AND member_guid IN ({placeholders})"
            )
        };
        pairs(&self.select_in(conn, text, groups).await?)
    }

    /// The groups among these that are not deleted.
    async fn living(
        &self,
        conn: &mut AnyConnection,
        groups: &BTreeSet<Uuid>,
    ) -> Result<BTreeSet<Uuid>> {
        let text = |placeholders| {
            format!(
                "SELECT guid FROM identities WHERE tenant_id = $1 AND kind = 'group' AND state <> 'deleted' AND guid IN ({placeholders})"
            )
        };
        let rows = self.select_in(conn, text, groups.iter()).await?;
        rows.iter().map(|row| col_uuid(row, "guid")).collect()
    }

    /// A statement on the closure's pairs between `groups` and `ends`, together at most twice [`CHUNK`].
    fn at_block(&self, text: &'static str, groups: &[Uuid], ends: &[Uuid]) -> Statement<'static> {
        let (first, second) = (
            placeholders(2, groups.len()),
            placeholders(2 + groups.len(), ends.len()),
        );
        let mut statement = sql_list(format!(
            "{text} WHERE tenant_id = $1 AND group_guid IN ({first}) AND ancestor_guid IN ({second})"
        ))
        .bind(tenant_blob(self.tenant));
        for guid in groups.iter().chain(ends) {
            statement = statement.bind(uuid_blob(*guid));
        }
        statement
    }

    /// The rows of a statement on this tenant for each of `guids`, however many.
    async fn select_in(
        &self,
        conn: &mut AnyConnection,
        text: impl Fn(String) -> String,
        guids: impl Iterator<Item = &Uuid>,
    ) -> Result<Vec<AnyRow>> {
        let guids: Vec<Uuid> = guids.copied().collect();
        let mut rows = Vec::new();
        for chunk in guids.chunks(CHUNK) {
            let statement = on_objects(self.tenant, chunk, &text);
            rows.extend(statement.fetch_all(&mut *conn).await?);
        }
        Ok(rows)
    }
}

/// For each of these groups that is not deleted: itself and the groups it is in, directly or through others.
pub(crate) async fn above(
    conn: &mut AnyConnection,
    tenant: TenantId,
    groups: &BTreeSet<Uuid>,
) -> Result<BTreeMap<Uuid, BTreeSet<Uuid>>> {
    let closure = Closure::new(tenant);
    closure.pairs_at(conn, "group_guid", groups).await
}

/// The pairs of `left` and `right`, in blocks that fit into a statement.
fn blocks<'a>(
    left: &'a [Uuid],
    right: &'a [Uuid],
) -> impl Iterator<Item = (&'a [Uuid], &'a [Uuid])> {
    left.chunks(CHUNK)
        .flat_map(move |left| right.chunks(CHUNK).map(move |right| (left, right)))
}

/// The upper ends in these rows, by lower end.
fn pairs(rows: &[AnyRow]) -> Result<Pairs> {
    let mut pairs = Pairs::new();
    for row in rows {
        let upper = pairs.entry(col_uuid(row, "low")?).or_default();
        upper.insert(col_uuid(row, "high")?);
    }
    Ok(pairs)
}
