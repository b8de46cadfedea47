//! Every group an identity is in, with the shortest path to it.

use crate::db::columns::{col_uuid, tenant_blob};
use crate::db::statement::{CHUNK, on_objects, sql};
use crate::error::Result;
use crate::identities::identity_ref::{IdentityRef, identity_ref};
use crate::identities::rows::{IdentityInfo, primary_group_sid};
use crossrealm_kdc::TenantId;
use sqlx::AnyConnection;
use std::collections::HashMap;
use uuid::Uuid;

/// The most steps of all paths of one answer together: a deep nesting has as many as its depth squared.
const MAX_STEPS: usize = 20_000;

/// A group that an identity is in, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectiveGroup {
    /// The group.
    pub group: IdentityRef,
    /// The shortest path to it: the direct group first, `group` last.
    pub path: Vec<IdentityRef>,
    /// How many steps after the first one are omitted from `path` because the paths are very long.
    pub omitted: usize,
    /// Whether the first step is the user's primary group.
    pub by_primary_group: bool,
}

/// The groups of an identity, found breadth first; each is visited once.
pub(crate) struct GroupWalk {
    identity: Uuid,
    found: Vec<Found>,
}

struct Found {
    group: IdentityRef,
    /// The index of the group below it; `None` for a direct one.
    below: Option<usize>,
    by_primary_group: bool,
}

impl GroupWalk {
    /// Walks up from an identity.
    pub(crate) async fn from(
        conn: &mut AnyConnection,
        tenant: TenantId,
        identity: &IdentityInfo,
    ) -> Result<Self> {
        let mut found: Vec<Found> = Vec::new();
        let mut seen: HashMap<Uuid, usize> = HashMap::new();
        if let Some(group) = primary_group(conn, tenant, identity).await? {
            seen.insert(group.guid, 0);
            found.push(Found {
                group,
                below: None,
                by_primary_group: true,
            });
        }
        let mut frontier = vec![identity.guid];
        frontier.extend(seen.keys());
        while !frontier.is_empty() {
            let mut next = Vec::new();
            for (member, group) in parents(conn, tenant, &frontier).await? {
                if seen.contains_key(&group.guid) {
                    continue;
                }
                let below = seen.get(&member).copied();
                let lower = below.and_then(|index| found.get(index));
                let by_primary_group = lower.is_some_and(|lower| lower.by_primary_group);
                seen.insert(group.guid, found.len());
                next.push(group.guid);
                found.push(Found {
                    group,
                    below,
                    by_primary_group,
                });
            }
            frontier = next;
        }
        Ok(Self {
            identity: identity.guid,
            found,
        })
    }

    /// The indices of the groups, by name. A group in a cycle is not in itself.
    pub(crate) fn indices(&self) -> Vec<usize> {
        let group = |index: &usize| self.found.get(*index).map(|found| &found.group);
        let mut indices: Vec<usize> = (0..self.found.len())
            .filter(|index| group(index).is_some_and(|group| group.guid != self.identity))
            .collect();
        indices.sort_by(|a, b| group(a).map(|g| &g.name).cmp(&group(b).map(|g| &g.name)));
        indices
    }

    /// The group at an index.
    pub(crate) fn group(&self, index: usize) -> Option<&IdentityRef> {
        self.found.get(index).map(|found| &found.group)
    }

    /// The path to the group at an index: the direct group first.
    pub(crate) fn path(&self, index: usize) -> Vec<&IdentityRef> {
        let mut path = Vec::new();
        let mut at = Some(index);
        while let Some(found) = at.and_then(|index| self.found.get(index)) {
            path.push(&found.group);
            at = found.below;
        }
        path.reverse();
        path
    }

    /// All groups with their paths. Once the paths have more than [`MAX_STEPS`] steps, the others are abbreviated to
    /// their ends.
    pub(crate) fn effective(&self) -> Vec<EffectiveGroup> {
        let mut left = MAX_STEPS;
        let mut all = Vec::new();
        for index in self.indices() {
            let Some(found) = self.found.get(index) else {
                continue;
            };
            let mut path = self.path(index);
            let mut omitted = 0;
            match left.checked_sub(path.len()) {
                Some(rest) => left = rest,
                None => {
                    omitted = path.len().saturating_sub(2);
                    path.drain(1..=omitted);
                }
            }
            all.push(EffectiveGroup {
                group: found.group.clone(),
                path: path.into_iter().cloned().collect(),
                omitted,
                by_primary_group: found.by_primary_group,
            });
        }
        all
    }
}

async fn primary_group(
    conn: &mut AnyConnection,
    tenant: TenantId,
    identity: &IdentityInfo,
) -> Result<Option<IdentityRef>> {
    let Some(sid) = primary_group_sid(identity) else {
        return Ok(None);
    };
    let row = sql("SELECT guid, sid, kind, upn, account_name FROM identities
                   WHERE tenant_id = $1 AND sid = $2 AND kind = 'group' AND state <> 'deleted'")
    .bind(tenant_blob(tenant))
    .bind(sid.to_string())
    .fetch_optional(conn)
    .await?;
    row.as_ref().map(identity_ref).transpose()
}

/// The groups that identities are direct members of, each with the member.
async fn parents(
    conn: &mut AnyConnection,
    tenant: TenantId,
    members: &[Uuid],
) -> Result<Vec<(Uuid, IdentityRef)>> {
    let mut parents = Vec::new();
    for chunk in members.chunks(CHUNK) {
        let statement = on_objects(tenant, chunk, |guids| {
            format!(
            "SELECT m.member_guid, g.guid, g.sid, g.kind, g.upn, g.account_name FROM memberships m
             JOIN identities g ON g.tenant_id = m.tenant_id AND g.guid = m.group_guid
             WHERE m.tenant_id = $1 AND g.kind = 'group' AND g.state <> 'deleted' AND m.member_guid IN ({guids})
             ORDER BY g.name_key, g.guid, m.member_guid"
)
        });
        for row in &statement.fetch_all(&mut *conn).await? {
            parents.push((col_uuid(row, "member_guid")?, identity_ref(row)?));
        }
    }
    Ok(parents)
}
