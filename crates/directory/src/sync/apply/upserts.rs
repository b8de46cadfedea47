//! The users and groups of a request: writing them in batches, and taking away from those that are refused.

use super::Run;
use super::lookup::{BATCH_SIZE, account_of, upn_of};
use super::settle::Name;
use crate::db::columns::{tenant_blob, uuid_blob};
use crate::db::statement::{placeholders, rows, sql_list};
use crate::error::Result;
use crate::identities::memberships;
use crate::identities::rows::{IdentityInfo, primary_group_sid};
use crossrealm_os::clock::now_s;
use crossrealm_types::{
    DisabledReason, IdentityKind, IdentitySource, IdentityState, SyncedIdentity,
    normalized_display_name,
};
use sqlx::AnyConnection;
use uuid::Uuid;

/// The attributes of a synced identity, by the names of the API; a group has `members` too.
const ATTRIBUTES: &[&str] = &[
    "sid",
    "account_name",
    "upn",
    "display_name",
    "state",
    "primary_group",
    "domain",
];

/// Decided writes that are not made yet, in this order.
#[derive(Default)]
struct PendingWrites {
    identities: Vec<IdentityInfo>,
    /// Groups among them that are created or restored.
    groups: Vec<Uuid>,
}

impl Run<'_> {
    /// Creates, updates or restores identities, one after the other.
    pub(super) async fn upserts(
        &mut self,
        conn: &mut AnyConnection,
        objects: &[&SyncedIdentity],
    ) -> Result<()> {
        for objects in objects.chunks(BATCH_SIZE) {
            let mut pending = PendingWrites::default();
            for new in objects {
                self.upsert(conn, new, &mut pending).await?;
            }
            self.write(conn, &mut pending).await?;
        }
        Ok(())
    }

    async fn upsert(
        &mut self,
        conn: &mut AnyConnection,
        new: &SyncedIdentity,
        pending: &mut PendingWrites,
    ) -> Result<()> {
        let guid = new.object_guid;
        let known = self.lookup.get(guid).cloned();
        if let Some((code, message)) = self.refused.get(&guid).cloned() {
            if let Some(known) = known {
                self.take_away(conn, &known, new, pending).await?;
            }
            return self
                .refuse(conn, guid, &new.account_name, code, message)
                .await;
        }
        let changed = match &known {
            Some(known) => self.changed(known, new),
            None => ATTRIBUTES.to_vec(),
        };
        let before = known
            .as_ref()
            .map_or(IdentityState::Deleted, |known| known.state);
        match &known {
            None => self.outcome.created += 1,
            Some(_) if changed.is_empty() => self.outcome.unchanged += 1,
            Some(_) => self.outcome.updated += 1,
        }
        if (before, new.state) == (IdentityState::Enabled, IdentityState::Disabled) {
            self.outcome.disabled += 1;
        }
        if !changed.is_empty() {
            let wanted = self.wanted(known.as_ref(), new, &changed);
            self.put(conn, known.as_ref(), wanted, pending).await?;
        }
        if new.kind == IdentityKind::Group && before == IdentityState::Deleted {
            pending.groups.push(guid);
        }
        self.clear_failure(conn, guid).await
    }

    /// Applies what AD takes away from an identity whose object is refused: nobody keeps more than AD grants, for whichever
    /// reason the rest is refused.
    async fn take_away(
        &mut self,
        conn: &mut AnyConnection,
        known: &IdentityInfo,
        new: &SyncedIdentity,
        pending: &mut PendingWrites,
    ) -> Result<()> {
        let is_living_user =
            known.kind == IdentityKind::User && known.state != IdentityState::Deleted;
        if !self.is_own(known) || !is_living_user {
            // It is another domain's or an administrator's; the members of a group are changes of their own.
            return Ok(());
        }
        // With another SID or kind it is no longer the user that the tenant knows, and AD does not have that one.
        let same = known.sid == new.sid && known.kind == new.kind;
        let mut wanted = known.clone();
        let mut changed = Vec::new();
        if known.state == IdentityState::Enabled && !(same && new.state == IdentityState::Enabled) {
            wanted.state = IdentityState::Disabled;
            let reason = new.disabled_reason.unwrap_or(DisabledReason::Disabled);
            wanted.disabled_reason = Some(reason);
            self.outcome.disabled += 1;
            changed.push("state");
        }
        if same && known.primary_group_rid != new.primary_group_rid {
            wanted.primary_group_rid = new.primary_group_rid;
            changed.push("primary_group");
        }
        if changed.is_empty() {
            return Ok(());
        }
        self.outcome.updated += 1;
        wanted.changed_at = now_s();
        wanted.provenance = self.provenance(&known.provenance, &changed);
        self.put(conn, Some(known), wanted, pending).await
    }

    /// Adds an identity to the pending writes, and notes its former primary group.
    async fn put(
        &mut self,
        conn: &mut AnyConnection,
        known: Option<&IdentityInfo>,
        wanted: IdentityInfo,
        pending: &mut PendingWrites,
    ) -> Result<()> {
        self.lookup.put(wanted.clone());
        let left = known
            .filter(|known| known.primary_group_rid != wanted.primary_group_rid)
            .and_then(primary_group_sid);
        let again = pending.identities.iter().any(|one| one.guid == wanted.guid);
        if again || left.is_some() {
            // A statement can write an identity only once; and the former primary group may be among the pending
            // writes.
            self.write(conn, pending).await?;
        }
        if let Some(group) = left {
            memberships::primary_group_ended(conn, self.tenant, wanted.guid, &group).await?;
        }
        pending.identities.push(wanted);
        Ok(())
    }

    /// The attributes in which an object differs from its record.
    fn changed(&self, known: &IdentityInfo, new: &SyncedIdentity) -> Vec<&'static str> {
        let state = (known.state, &known.disabled_reason) != (new.state, &new.disabled_reason);
        let compared = [
            ("account_name", known.account_name != new.account_name),
            ("upn", known.upn != new.upn),
            (
                "display_name",
                known.display_name != normalized_display_name(&new.display_name),
            ),
            ("state", state),
            (
                "primary_group",
                known.primary_group_rid != new.primary_group_rid,
            ),
            ("domain", known.domain_dns_name != self.domain.dns_name),
        ];
        let changed = compared.into_iter().filter(|(_, differs)| *differs);
        changed.map(|(name, _)| name).collect()
    }

    /// The identity to write. GUID, SID, kind and source of a known one do not change.
    fn wanted(
        &self,
        known: Option<&IdentityInfo>,
        new: &SyncedIdentity,
        changed: &[&str],
    ) -> IdentityInfo {
        let now = now_s();
        IdentityInfo {
            guid: new.object_guid,
            sid: new.sid.clone(),
            kind: new.kind,
            source: IdentitySource::Hybrid,
            state: new.state,
            disabled_reason: new.disabled_reason,
            account_name: new.account_name.clone(),
            upn: new.upn.clone(),
            display_name: normalized_display_name(&new.display_name),
            domain_dns_name: self.domain.dns_name.clone(),
            domain_flat_name: self.domain.flat_name.clone(),
            primary_group_rid: new.primary_group_rid,
            created_at: known.map_or(now, |known| known.created_at),
            changed_at: now,
            provenance: self.provenance(known.map_or("", |known| &known.provenance), changed),
            awaits_sync: false,
        }
    }

    /// A name, if it is this identity's when the request has been applied. Until the end of the request nobody else has it.
    fn held(&self, guid: Uuid, name: Option<String>, kind: fn(String) -> Name) -> Option<String> {
        name.filter(|name| self.holders.get(&kind(name.clone())) == Some(&guid))
    }

    /// Makes the pending writes by one statement.
    async fn write(&self, conn: &mut AnyConnection, pending: &mut PendingWrites) -> Result<()> {
        let identities = std::mem::take(&mut pending.identities);
        if !identities.is_empty() {
            let text = format!(
                "INSERT INTO identities (tenant_id, domain, source, guid, sid, kind, state, disabled_reason, account_name, upn,
                   display_name, primary_group_rid, created_at, changed_at, name_key, taken_account, taken_upn, origins)
                 VALUES {}
                 ON CONFLICT (tenant_id, guid) DO UPDATE SET state = excluded.state, disabled_reason = excluded.disabled_reason,
                   account_name = excluded.account_name, upn = excluded.upn, display_name = excluded.display_name,
                   domain = excluded.domain, primary_group_rid = excluded.primary_group_rid, changed_at = excluded.changed_at,
                   name_key = excluded.name_key, taken_account = excluded.taken_account, taken_upn = excluded.taken_upn,
                   origins = excluded.origins,
                   barred_at = CASE WHEN excluded.state = 'enabled' OR excluded.disabled_reason = 'locked' THEN NULL
                     WHEN identities.state = 'enabled' OR identities.disabled_reason = 'locked' THEN excluded.changed_at
                     ELSE identities.barred_at END",
                rows(identities.len(), row_placeholders)
            );
            let mut statement = sql_list(text)
                .persistent(identities.len() == BATCH_SIZE)
                .bind(tenant_blob(self.tenant))
                .bind(self.domain.dns_name.as_str());
            for identity in &identities {
                statement = statement
                    .bind(uuid_blob(identity.guid))
                    .bind(identity.sid.to_string())
                    .bind(identity.kind.as_str())
                    .bind(identity.state.as_str())
                    .bind(identity.disabled_reason.map(DisabledReason::as_str))
                    .bind(identity.account_name.as_str())
                    .bind(identity.upn.as_str())
                    .bind(identity.display_name.as_str())
                    .bind(i64::from(identity.primary_group_rid))
                    .bind(identity.changed_at)
                    .bind(identity.account_name.to_lowercase())
                    .bind(self.held(
                        identity.guid,
                        account_of(self.domain, identity),
                        Name::Account,
                    ))
                    .bind(self.held(identity.guid, upn_of(identity), Name::Upn))
                    .bind(identity.provenance.as_str());
            }
            statement.execute(&mut *conn).await?;
        }
        let groups = std::mem::take(&mut pending.groups);
        self.closure.groups_added(conn, &groups).await
    }
}

/// The placeholders of the `n`th row. Values shared by all rows come first.
fn row_placeholders(n: usize) -> String {
    const SHARED: usize = 2;
    const OWN: usize = 14;
    let first = SHARED + OWN * n + 1;
    // The time is in two columns.
    let time = first + 9;
    let (before, after) = (placeholders(first, 9), placeholders(first + 10, 4));
    format!("($1,$2,'hybrid',{before},${time},${time},{after})")
}
