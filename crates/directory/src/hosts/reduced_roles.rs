//! Users whose role on a share is lower than the groups in their tickets imply. An SMB host believes these groups, so
//! the host state lists the role that such a user had at most and has now, until the last older ticket has expired.
//!
//! What a user had is computed from the present and the ended memberships together. That may be more than any ticket
//! says (a path through two memberships that never existed at the same time), which does no harm: only what the user
//! may not do now is refused.

use crate::db::columns::{col, col_sid, col_u32, col_uuid, tenant_blob, uuid_blob};
use crate::db::statement::{CHUNK, on_objects, placeholders, sql, sql_list};
use crate::error::Result;
use crate::hosts::model::{HostShare, MAX_REVOKED_USERS, ReducedRoles, RevokedUsers};
use crate::identities::closure;
use crate::identities::memberships::oldest_ticket;
use crate::tenant_info::TenantInfo;
use crossrealm_kdc::TenantId;
use crossrealm_types::{ReducedRole, ShareRole, Sid};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

/// The most ended memberships that are considered, the latest first.
const MAX_ENDED: usize = 20_000;

/// The most users that are considered for one account.
const MAX_USERS: usize = 20_000;

/// A membership that ended.
struct Ended {
    group: Uuid,
    member: Uuid,
    at: i64,
}

/// A user who may have lost a role.
struct Candidate {
    sid: Sid,
    primary_group: Option<Sid>,
    /// When the last of them ended.
    at: i64,
    /// The granted groups that a ticket may still contain.
    had: BTreeSet<Uuid>,
}

/// Computes the reduced roles of each share.
pub(crate) async fn find(
    conn: &mut AnyConnection,
    tenant: &TenantInfo,
    default_role: Option<ShareRole>,
    revoked_users: &RevokedUsers,
    shares: &mut [HostShare],
) -> Result<()> {
    let granted: BTreeSet<Uuid> = shares
        .iter()
        .flat_map(|share| &share.grants)
        .map(|grant| grant.identity.guid)
        .collect();
    let mut past = Past {
        tenant: tenant.id,
        granted: granted.into_iter().collect(),
        users: HashMap::new(),
        beyond: 0,
    };
    past.look(conn, oldest_ticket(&tenant.policy)).await?;
    if past.users.is_empty() && past.beyond == 0 {
        return Ok(());
    }
    past.users
        .retain(|_, user| revoked_users.sids.binary_search(&user.sid).is_err());
    let present = past.present(conn).await?;
    let capacity = MAX_REVOKED_USERS.saturating_sub(revoked_users.sids.len());
    for share in shares {
        let roles: HashMap<Uuid, ShareRole> = share
            .grants
            .iter()
            .map(|grant| (grant.identity.guid, grant.role))
            .collect();
        let highest = |groups: &BTreeSet<Uuid>| groups.iter().filter_map(|g| roles.get(g)).max();
        let mut found = Vec::new();
        for (guid, user) in &past.users {
            let of_groups = present.get(guid).and_then(highest);
            let own = [default_role, roles.get(guid).copied(), of_groups.copied()];
            let has = own.into_iter().flatten().max();
            if let Some(had) = highest(&user.had).copied().filter(|had| Some(*had) > has) {
                let sid = user.sid.clone();
                found.push((Reverse(user.at), ReducedRole { sid, had, has }));
            }
        }
        found.sort_by(|a, b| (a.0, &a.1.sid).cmp(&(b.0, &b.1.sid)));
        let over = u64::try_from(found.len().saturating_sub(capacity)).unwrap_or(u64::MAX);
        let mut listed: Vec<ReducedRole> = found.into_iter().map(|(_, role)| role).collect();
        listed.truncate(capacity);
        listed.sort_by(|a, b| a.sid.cmp(&b.sid));
        share.reduced_roles = ReducedRoles {
            roles: listed,
            beyond: over.saturating_add(past.beyond),
        };
    }
    Ok(())
}

/// The memberships within the longest life of a ticket.
struct Past {
    tenant: TenantId,
    /// Users and groups with a role on a share of the account.
    granted: Vec<Uuid>,
    users: HashMap<Uuid, Candidate>,
    beyond: u64,
}

impl Past {
    /// Finds the users who were in a granted group by a membership that ended since then.
    async fn look(&mut self, conn: &mut AnyConnection, since: i64) -> Result<()> {
        let ended = self.ended(conn, since).await?;
        if ended.is_empty() {
            return Ok(());
        }
        let had = self.had_above(conn, &ended).await?;
        let carrying = ended
            .iter()
            .filter_map(|end| Some((end, had.get(&end.group)?)));
        let carrying: Vec<_> = carrying.filter(|(_, had)| !had.is_empty()).collect();
        let members: BTreeSet<Uuid> = carrying.iter().map(|(end, _)| end.member).collect();
        let users = self.users_at(conn, &members).await?;
        for (end, had) in carrying {
            for (guid, sid, primary_group) in users.get(&end.member).into_iter().flatten() {
                let user = self.users.entry(*guid).or_insert_with(|| Candidate {
                    sid: sid.clone(),
                    primary_group: primary_group.clone(),
                    at: end.at,
                    had: BTreeSet::new(),
                });
                user.at = user.at.max(end.at);
                user.had.extend(had);
            }
        }
        Ok(())
    }

    /// The latest ended memberships that may have led to a granted group.
    async fn ended(&mut self, conn: &mut AnyConnection, since: i64) -> Result<Vec<Ended>> {
        let any = sql("SELECT 1 AS one FROM ended_memberships WHERE tenant_id = $1 AND ended_at >= $2 LIMIT 1")
            .bind(tenant_blob(self.tenant))
            .bind(since)
            .fetch_optional(&mut *conn)
            .await?;
        let mut leading: BTreeMap<(Uuid, Uuid), i64> = BTreeMap::new();
        if any.is_none() {
            return Ok(Vec::new());
        }
        for granted in self.granted.chunks(CHUNK) {
            let mut statement = sql_list(format!(
                "SELECT e.group_guid, e.member_guid, e.ended_at FROM ended_memberships e
                 WHERE e.tenant_id = $1 AND e.ended_at >= $2 AND (
                   EXISTS (SELECT 1 FROM group_closure c WHERE c.tenant_id = $1 AND c.group_guid = e.group_guid AND c.ancestor_guid IN ({}))
                   OR EXISTS (SELECT 1 FROM ended_memberships up JOIN group_closure c ON c.tenant_id = $1 AND c.ancestor_guid = up.member_guid
                              WHERE up.tenant_id = $1 AND up.ended_at >= $2 AND c.group_guid = e.group_guid)
                   OR EXISTS (SELECT 1 FROM ended_memberships up
                              WHERE up.tenant_id = $1 AND up.ended_at >= $2 AND up.member_guid = e.group_guid))
                 ORDER BY e.ended_at DESC LIMIT $3",
                placeholders(4, granted.len())
            ))
            .bind(tenant_blob(self.tenant))
            .bind(since)
            .bind(i64::try_from(MAX_ENDED + 1).unwrap_or(i64::MAX));
            for granted in granted {
                statement = statement.bind(uuid_blob(*granted));
            }
            for row in &statement.fetch_all(&mut *conn).await? {
                let pair = (col_uuid(row, "group_guid")?, col_uuid(row, "member_guid")?);
                leading.insert(pair, col(row, "ended_at")?);
            }
        }
        let mut ended: Vec<Ended> = leading
            .into_iter()
            .map(|((group, member), at)| Ended { group, member, at })
            .collect();
        ended.sort_by_key(|end| (Reverse(end.at), end.group, end.member));
        let over = ended.len().saturating_sub(MAX_ENDED);
        self.beyond += u64::try_from(over).unwrap_or(u64::MAX);
        ended.truncate(MAX_ENDED);
        Ok(ended)
    }

    /// For the group of each ended membership: the granted groups among it and those above it.
    async fn had_above(
        &self,
        conn: &mut AnyConnection,
        ended: &[Ended],
    ) -> Result<HashMap<Uuid, BTreeSet<Uuid>>> {
        let groups: BTreeSet<Uuid> = ended.iter().map(|end| end.group).collect();
        let now = closure::above(conn, self.tenant, &groups).await?;
        let mut ways: HashMap<Uuid, Vec<Uuid>> = HashMap::new();
        for end in ended {
            ways.entry(end.member).or_default().push(end.group);
        }
        let granted: BTreeSet<Uuid> = self.granted.iter().copied().collect();
        let mut all = HashMap::new();
        for group in groups {
            let mut seen = BTreeSet::from([group]);
            let mut open = vec![group];
            while let Some(at) = open.pop() {
                // The closure already holds everything above a group; ended memberships lead on from each of those.
                let above = now.get(&at).into_iter().flatten();
                for next in above.chain(ways.get(&at).into_iter().flatten()) {
                    if seen.insert(*next) {
                        open.push(*next);
                    }
                }
            }
            all.insert(group, seen.intersection(&granted).copied().collect());
        }
        Ok(all)
    }

    /// For each of these members, the synced users that it is or that are in it now.
    async fn users_at(
        &mut self,
        conn: &mut AnyConnection,
        members: &BTreeSet<Uuid>,
    ) -> Result<HashMap<Uuid, Vec<User>>> {
        let mut users: HashMap<Uuid, Vec<User>> = HashMap::new();
        let members: Vec<Uuid> = members.iter().copied().collect();
        for chunk in members.chunks(CHUNK) {
            let statement = on_objects(self.tenant, chunk, |guids| {
                format!(
                "SELECT guid, sid, primary_group_rid FROM identities
                 WHERE tenant_id = $1 AND kind = 'user' AND source = 'hybrid' AND state <> 'deleted' AND guid IN ({guids})"
)
            });
            for row in &statement.fetch_all(&mut *conn).await? {
                let user = user(row)?;
                users.entry(user.0).or_default().push(user);
            }
        }
        let mut read = users.len();
        for group in members {
            if users.contains_key(&group) {
                continue;
            }
            if read > MAX_USERS {
                self.beyond += 1;
                continue;
            }
            let found = self.users_in(conn, group).await?;
            read += found.len();
            users.insert(group, found);
        }
        Ok(users)
    }

    /// The synced users that are in a group now; of a deleted group, those whose primary group it is.
    async fn users_in(&mut self, conn: &mut AnyConnection, group: Uuid) -> Result<Vec<User>> {
        let limit = i64::try_from(MAX_USERS + 1).unwrap_or(i64::MAX);
        let mut rows = sql(USERS_IN)
            .bind(tenant_blob(self.tenant))
            .bind(uuid_blob(group))
            .bind(limit)
            .fetch_all(&mut *conn)
            .await?;
        let groups = sql(SIDS_IN)
            .bind(tenant_blob(self.tenant))
            .bind(uuid_blob(group))
            .fetch_all(&mut *conn)
            .await?;
        let groups: Result<BTreeSet<Sid>> = groups.iter().map(|row| col_sid(row, "sid")).collect();
        let groups = groups?;
        let rids: BTreeSet<u32> = groups.iter().map(Sid::rid).collect();
        let rids: Vec<u32> = rids.into_iter().collect();
        for rids in rids.chunks(CHUNK) {
            let mut statement = sql_list(format!(
                "SELECT guid, sid, primary_group_rid FROM identities WHERE tenant_id = $1 AND primary_group_rid <> 0
                 AND kind = 'user' AND source = 'hybrid' AND state <> 'deleted' AND primary_group_rid IN ({}) LIMIT $2",
                placeholders(3, rids.len())
            ))
            .bind(tenant_blob(self.tenant))
            .bind(limit);
            for rid in rids {
                statement = statement.bind(i64::from(*rid));
            }
            for row in statement.fetch_all(&mut *conn).await? {
                // The same RID is another group in another domain.
                if user(&row)?.2.is_some_and(|sid| groups.contains(&sid)) {
                    rows.push(row);
                }
            }
        }
        self.beyond += u64::from(rows.len() > MAX_USERS);
        rows.iter().take(MAX_USERS).map(user).collect()
    }

    /// For each of the users, the granted groups that they are in now.
    async fn present(&self, conn: &mut AnyConnection) -> Result<HashMap<Uuid, BTreeSet<Uuid>>> {
        let mut present: HashMap<Uuid, BTreeSet<Uuid>> = HashMap::new();
        let mut direct: HashMap<Uuid, BTreeSet<Uuid>> = HashMap::new();
        let users: Vec<Uuid> = self.users.keys().copied().collect();
        for chunk in users.chunks(CHUNK) {
            let statement = on_objects(self.tenant, chunk, |guids| {
                format!(
                    "SELECT member_guid, group_guid FROM memberships WHERE tenant_id = $1 AND member_guid IN ({guids})"
                )
            });
            for row in &statement.fetch_all(&mut *conn).await? {
                let groups = direct.entry(col_uuid(row, "member_guid")?).or_default();
                groups.insert(col_uuid(row, "group_guid")?);
            }
        }
        let mut primary: HashMap<Sid, Option<Uuid>> = HashMap::new();
        for (guid, user) in &self.users {
            let Some(sid) = &user.primary_group else {
                continue;
            };
            if !primary.contains_key(sid) {
                let row = sql("SELECT guid FROM identities WHERE tenant_id = $1 AND sid = $2 AND kind = 'group' AND state <> 'deleted'")
                    .bind(tenant_blob(self.tenant))
                    .bind(sid.to_string())
                    .fetch_optional(&mut *conn)
                    .await?;
                let group = row.as_ref().map(|row| col_uuid(row, "guid")).transpose()?;
                primary.insert(sid.clone(), group);
            }
            let group = primary.get(sid).copied().flatten();
            direct.entry(*guid).or_default().extend(group);
        }
        let groups: BTreeSet<Uuid> = direct.values().flatten().copied().collect();
        let above = closure::above(conn, self.tenant, &groups).await?;
        let granted: BTreeSet<Uuid> = self.granted.iter().copied().collect();
        for (user, groups) in direct {
            let all = groups.iter().filter_map(|group| above.get(group)).flatten();
            let all = all.filter(|group| granted.contains(*group)).copied();
            present.insert(user, all.collect());
        }
        Ok(present)
    }
}

/// At most $3 synced users of tenant $1 that are in group $2 now, directly or through others.
const USERS_IN: &str = "SELECT DISTINCT u.guid, u.sid, u.primary_group_rid FROM group_closure c
    JOIN memberships m ON m.tenant_id = c.tenant_id AND m.group_guid = c.group_guid
    JOIN identities u ON u.tenant_id = m.tenant_id AND u.guid = m.member_guid
    WHERE c.tenant_id = $1 AND c.ancestor_guid = $2
    AND u.kind = 'user' AND u.source = 'hybrid' AND u.state <> 'deleted' LIMIT $3";

/// The SIDs of group $2 of tenant $1, deleted or not, and of the groups that are in it now.
const SIDS_IN: &str = "SELECT sid FROM identities WHERE tenant_id = $1 AND guid = $2 AND kind = 'group'
    UNION SELECT g.sid FROM group_closure c JOIN identities g ON g.tenant_id = c.tenant_id AND g.guid = c.group_guid
    WHERE c.tenant_id = $1 AND c.ancestor_guid = $2";

/// A synced user: GUID, SID, and that of the primary group.
type User = (Uuid, Sid, Option<Sid>);

pub(crate) fn user(row: &AnyRow) -> Result<User> {
    let sid = col_sid(row, "sid")?;
    let rid = col_u32(row, "primary_group_rid")?;
    let domain = sid.domain().filter(|_| rid != 0);
    let primary_group = domain.and_then(|domain| domain.with_rid(rid).ok());
    Ok((col_uuid(row, "guid")?, sid, primary_group))
}
