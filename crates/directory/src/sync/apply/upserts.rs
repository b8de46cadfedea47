//! The users and groups of a request: the rules for each, by itself and against what the tenant holds, and writing them
//! in batches.

use super::Run;
use super::lookup::{BATCH_SIZE, TenantLookup, upn_of};
use crate::db::columns::{tenant_blob, uuid_blob};
use crate::db::statement::{placeholders, rows, sql_list};
use crate::error::Result;
use crate::identities::identity_ref::short_name;
use crate::identities::memberships;
use crate::identities::rows::{IdentityInfo, primary_group_sid};
use crate::names;
use crate::sync::model::SyncedIdentity;
use crossrealm_os::clock::now_s;
use crossrealm_types::{
    DisabledReason, IdentityKind, IdentitySource, IdentityState, RefusedChangeCode, Sid,
};
use sqlx::AnyConnection;
use uuid::Uuid;

/// RIDs below this belong to built-in accounts, [MS-DTYP] 2.4.2.4.
const FIRST_ORDINARY_RID: u32 = 1000;

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

/// Why an object is refused.
type Verdict = std::result::Result<(), (RefusedChangeCode, String)>;

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
            let checked: Vec<(&SyncedIdentity, Verdict)> = objects
                .iter()
                .map(|new| (*new, self.check_object(new)))
                .collect();
            // Malformed objects are not looked up: PostgreSQL does not accept every text.
            let well_formed = checked.iter().filter(|(_, form)| form.is_ok());
            let well_formed: Vec<_> = well_formed.map(|(new, _)| *new).collect();
            let mut lookup = TenantLookup::of(conn, self.tenant, self.domain, &well_formed).await?;
            let mut pending = PendingWrites::default();
            for (new, form) in checked {
                self.upsert(conn, new, form, &mut lookup, &mut pending)
                    .await?;
            }
            self.write(conn, &mut pending).await?;
        }
        Ok(())
    }

    async fn upsert(
        &mut self,
        conn: &mut AnyConnection,
        new: &SyncedIdentity,
        form: Verdict,
        lookup: &mut TenantLookup<'_>,
        pending: &mut PendingWrites,
    ) -> Result<()> {
        let guid = new.object_guid;
        let known = lookup.get(guid);
        let verdict = form.and_then(|()| self.check_conflicts(new, known, lookup.other(new)));
        if let Err((code, message)) = verdict {
            return self
                .refuse(conn, guid, &new.account_name, code, message)
                .await;
        }
        let changed = match known {
            Some(known) => self.changed(known, new),
            None => ATTRIBUTES.to_vec(),
        };
        let before = known.map_or(IdentityState::Deleted, |known| known.state);
        match known {
            None => self.outcome.created += 1,
            Some(_) if changed.is_empty() => self.outcome.unchanged += 1,
            Some(_) => self.outcome.updated += 1,
        }
        if (before, new.state) == (IdentityState::Enabled, IdentityState::Disabled) {
            self.outcome.disabled += 1;
        }
        if !changed.is_empty() {
            let left = known
                .filter(|_| changed.contains(&"primary_group"))
                .and_then(primary_group_sid);
            let wanted = self.wanted(known, new, &changed);
            lookup.put(wanted.clone());
            self.put(conn, wanted, left, pending).await?;
        }
        if new.kind == IdentityKind::Group && before == IdentityState::Deleted {
            pending.groups.push(guid);
        }
        self.clear_failure(conn, guid).await
    }

    /// Adds an identity to the pending writes. `left` is the SID of its former primary group, if that changed.
    async fn put(
        &self,
        conn: &mut AnyConnection,
        wanted: IdentityInfo,
        left: Option<Sid>,
        pending: &mut PendingWrites,
    ) -> Result<()> {
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

    /// Checks an object by itself.
    fn check_object(&self, new: &SyncedIdentity) -> Verdict {
        let invalid =
            |error: crate::error::DirectoryError| (RefusedChangeCode::Invalid, error.to_string());
        names::plain_text("account name", &new.account_name, 256, false).map_err(invalid)?;
        names::plain_text("display name", &new.display_name, 256, true).map_err(invalid)?;
        if !new.upn.is_empty() {
            names::upn(&new.upn).map_err(invalid)?;
        }
        if new.state == IdentityState::Deleted {
            let message = "a deletion must be sent as a deletion".to_owned();
            return Err((RefusedChangeCode::Invalid, message));
        }
        if !new.sid.is_in_domain(&self.domain.sid) {
            let message = format!(
                "its SID `{}` is not one of domain `{}` (`{}`)",
                new.sid, self.domain.dns_name, self.domain.sid
            );
            return Err((RefusedChangeCode::SidOutsideDomain, message));
        }
        let reserved = new.kind == IdentityKind::User && new.sid.rid() < FIRST_ORDINARY_RID;
        if reserved && !self.policy.allow_low_rids {
            let message = format!(
                "its RID {} is that of a built-in account, which the tenant's policy excludes",
                new.sid.rid()
            );
            return Err((RefusedChangeCode::RidReserved, message));
        }
        Ok(())
    }

    /// Checks an object against what the tenant holds.
    fn check_conflicts(
        &self,
        new: &SyncedIdentity,
        known: Option<&IdentityInfo>,
        other: Option<&IdentityInfo>,
    ) -> Verdict {
        if let Some(known) = known {
            if known.source == IdentitySource::CloudOnly {
                let message = "an identity that exists only in the tenant has its GUID".to_owned();
                return Err((RefusedChangeCode::CloudOnly, message));
            }
            if known.sid != new.sid {
                let message = format!(
                    "it was synced with SID `{}` and now has `{}`; a SID never changes",
                    known.sid, new.sid
                );
                return Err((RefusedChangeCode::SidChanged, message));
            }
            if known.kind != new.kind {
                let message = format!("it was synced as a {}", known.kind.as_str());
                return Err((RefusedChangeCode::Invalid, message));
            }
        }
        other.map_or(Ok(()), |other| Err(self.conflict(new, other)))
    }

    /// Another identity has the object's SID, UPN or account name.
    fn conflict(&self, new: &SyncedIdentity, other: &IdentityInfo) -> (RefusedChangeCode, String) {
        let kind = other.kind.as_str();
        let name = short_name(other.kind, &other.upn, &other.account_name);
        if other.sid == new.sid {
            let tombstone = match other.state {
                IdentityState::Deleted => "deleted ",
                _ => "",
            };
            let message = format!(
                "its SID `{}` belongs to the {tombstone}{kind} `{name}`",
                new.sid
            );
            return (RefusedChangeCode::SidDuplicate, message);
        }
        let same_upn = !new.upn.is_empty() && other.upn.to_lowercase() == new.upn.to_lowercase();
        let what = match same_upn {
            true => format!("UPN `{}`", new.upn),
            false => format!("account name `{}`", new.account_name),
        };
        let (code, whose) = match other.source {
            IdentitySource::CloudOnly => (RefusedChangeCode::CloudOnly, "cloud-only "),
            IdentitySource::Hybrid => (RefusedChangeCode::UpnConflict, ""),
        };
        (
            code,
            format!("its {what} belongs to the {whose}{kind} `{name}`"),
        )
    }

    /// The attributes in which an object differs from its record.
    fn changed(&self, known: &IdentityInfo, new: &SyncedIdentity) -> Vec<&'static str> {
        let state = (known.state, &known.disabled_reason) != (new.state, &new.disabled_reason);
        let compared = [
            ("account_name", known.account_name != new.account_name),
            ("upn", known.upn != new.upn),
            ("display_name", known.display_name != new.display_name),
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
            display_name: new.display_name.clone(),
            domain_dns_name: self.domain.dns_name.clone(),
            domain_flat_name: self.domain.flat_name.clone(),
            primary_group_rid: new.primary_group_rid,
            created_at: known.map_or(now, |known| known.created_at),
            changed_at: now,
            provenance: self.provenance(known.map_or("", |known| &known.provenance), changed),
        }
    }

    /// Creates the pending writes by one statement, in order: a name may have moved from one identity to another.
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
                    .bind(upn_of(identity))
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
    const OWN: usize = 13;
    let first = SHARED + OWN * n + 1;
    // Time and name are in two columns each.
    let [time, name, upn, provenance] = [9, 10, 11, 12].map(|k| first + k);
    let before = placeholders(first, 9);
    format!("($1,$2,'hybrid',{before},${time},${time},${name},${name},${upn},${provenance})")
}
