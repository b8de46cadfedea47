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
use std::collections::BTreeSet;

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

    /// Works out anew what may have shrunk.
    pub(crate) async fn finish(self, conn: &mut AnyConnection) -> Result<()> {
        for group in self.affected(conn).await? {
            self.recompute(conn, group).await?;
        }
        Ok(())
    }

    /// Every group that is, or was, in one whose ancestors shrank.
    async fn affected(&self, conn: &mut AnyConnection) -> Result<BTreeSet<Uuid>> {
        let shrunk: Vec<Uuid> = self.shrunk.iter().copied().collect();
        let mut affected = BTreeSet::new();
        for chunk in shrunk.chunks(CHUNK) {
            let mut statement = sql_list(format!(
                "SELECT DISTINCT group_guid FROM group_closure WHERE tenant_id = $1 AND ancestor_guid IN ({})",
                places(2, chunk.len())
            ))
            .bind(tenant_blob(self.tenant));
            for guid in chunk {
                statement = statement.bind(uuid_blob(*guid));
            }
            for row in &statement.fetch_all(&mut *conn).await? {
                affected.insert(col_uuid(row, "group_guid")?);
            }
        }
        Ok(affected)
    }

    async fn recompute(&self, conn: &mut AnyConnection, group: Uuid) -> Result<()> {
        sql("DELETE FROM group_closure WHERE tenant_id = $1 AND group_guid = $2")
            .bind(tenant_blob(self.tenant))
            .bind(uuid_blob(group))
            .execute(&mut *conn)
            .await?;
        // UNION, not UNION ALL: a group is followed once, so a cycle ends.
        sql("INSERT INTO group_closure (tenant_id, group_guid, ancestor_guid)
             WITH RECURSIVE up (guid) AS (
               SELECT guid FROM identities WHERE tenant_id = $1 AND guid = $2 AND kind = 'group' AND state <> 'deleted'
               UNION
               SELECT m.group_guid FROM up JOIN memberships m ON m.tenant_id = $1 AND m.member_guid = up.guid)
             SELECT $1, $2, guid FROM up")
            .bind(tenant_blob(self.tenant))
            .bind(uuid_blob(group))
            .execute(conn)
            .await?;
        Ok(())
    }
}
