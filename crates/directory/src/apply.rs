//! One request of the sync agent, object by object: the rules that decide whether a change may be made, and the change.

use crate::access::short_name;
use crate::closure::Closure;
use crate::db::{CHUNK, col, col_uuid, now_s, places, sql, sql_list, tenant_blob, uuid_blob};
use crate::domains::DomainInfo;
use crate::events::{self, Outcome, audit_event};
use crate::identities::{
    IdentityInfo, SELECT_IDENTITY, identity_info, kind_word, primary_group_sid, state_word,
};
use crate::sync::{ApplyOutcome, Change, Refusal, RefusalCode, SyncedIdentity};
use crate::{Actor, Result, memberships, names, origins};
use crossrealm_kdc::{IdentityKind, IdentitySource, IdentityState, Policy, TenantId};
use sqlx::AnyConnection;
use std::collections::HashSet;
use uuid::Uuid;

/// Below this are built-in accounts, [MS-DTYP] 2.4.2.4.
const FIRST_ORDINARY_RID: u32 = 1000;

/// The most objects of a domain of which it is kept that they were refused or failed.
const MAX_BLAMED: usize = 10_000;

/// What a synced identity is made of, by the names of the API; a group has `members` beside it.
const ATTRIBUTES: &[&str] = &[
    "sid",
    "account_name",
    "upn",
    "display_name",
    "state",
    "primary_group",
    "domain",
];

/// The request under way.
pub(crate) struct Run<'a> {
    by: &'a Actor,
    tenant: TenantId,
    domain: &'a DomainInfo,
    run_id: Uuid,
    policy: Policy,
    closure: Closure,
    /// The objects that were refused or failed before: the few of which more is known than their record.
    blamed: HashSet<Uuid>,
    outcome: ApplyOutcome,
}

/// Why an object is refused.
type Verdict = std::result::Result<(), (RefusalCode, String)>;

impl<'a> Run<'a> {
    pub(crate) async fn begin(
        conn: &mut AnyConnection,
        by: &'a Actor,
        tenant: TenantId,
        domain: &'a DomainInfo,
        run_id: Uuid,
        policy: Policy,
    ) -> Result<Self> {
        let rows = sql("SELECT guid FROM sync_refusals WHERE tenant_id = $1 AND domain = $2
                        UNION SELECT guid FROM sync_failures WHERE tenant_id = $1 AND domain = $2 AND guid IS NOT NULL")
            .bind(tenant_blob(tenant))
            .bind(domain.dns_name.as_str())
            .fetch_all(conn)
            .await?;
        let blamed = rows.iter().map(|row| col_uuid(row, "guid"));
        Ok(Self {
            by,
            tenant,
            domain,
            run_id,
            policy,
            closure: Closure::new(tenant),
            blamed: blamed.collect::<Result<_>>()?,
            outcome: ApplyOutcome::default(),
        })
    }

    pub(crate) async fn apply(&mut self, conn: &mut AnyConnection, change: &Change) -> Result<()> {
        match change {
            Change::Upsert(identity) => self.upsert(conn, identity).await,
            Change::Members { group, add, remove } => self.members(conn, *group, add, remove).await,
            Change::Delete(guid) => self.delete(conn, *guid).await,
        }
    }

    pub(crate) async fn finish(self, conn: &mut AnyConnection) -> Result<ApplyOutcome> {
        self.closure.finish(conn).await?;
        memberships::forget(conn, self.tenant, &self.policy).await?;
        Ok(self.outcome)
    }

    async fn upsert(&mut self, conn: &mut AnyConnection, new: &SyncedIdentity) -> Result<()> {
        if let Err((code, message)) = self.form(new) {
            return self
                .refuse(conn, new.object_guid, &new.account_name, code, message)
                .await;
        }
        let near = self.near(conn, new).await?;
        let (same, others): (Vec<_>, Vec<_>) = near
            .into_iter()
            .partition(|known| known.guid == new.object_guid);
        let known = same.into_iter().next();
        if let Err((code, message)) = self.against(new, known.as_ref(), &others) {
            return self
                .refuse(conn, new.object_guid, &new.account_name, code, message)
                .await;
        }
        match &known {
            Some(known) => {
                let changed = self.changed(known, new);
                match changed.is_empty() {
                    true => self.outcome.unchanged += 1,
                    false => {
                        if changed.contains(&"primary_group")
                            && let Some(group) = primary_group_sid(known)
                        {
                            let user = known.guid;
                            memberships::primary_group_ended(conn, self.tenant, user, &group)
                                .await?;
                        }
                        self.write(conn, new, &known.origins, &changed).await?;
                        self.outcome.updated += 1;
                    }
                }
                if (known.state, new.state) == (IdentityState::Enabled, IdentityState::Disabled) {
                    self.outcome.disabled += 1;
                }
            }
            None => {
                self.write(conn, new, "", ATTRIBUTES).await?;
                self.outcome.created += 1;
            }
        }
        let lives = known.is_some_and(|known| known.state != IdentityState::Deleted);
        if new.kind == IdentityKind::Group && !lives {
            self.closure.group_added(conn, new.object_guid).await?;
        }
        self.absolve(conn, new.object_guid).await
    }

    /// What can be said of an object alone.
    fn form(&self, new: &SyncedIdentity) -> Verdict {
        let invalid = |error: crate::DirectoryError| (RefusalCode::Invalid, error.to_string());
        names::plain_text("account name", &new.account_name, 256, false).map_err(invalid)?;
        names::plain_text("display name", &new.display_name, 256, true).map_err(invalid)?;
        names::plain_text(
            "reason",
            new.disabled_reason.as_deref().unwrap_or_default(),
            64,
            true,
        )
        .map_err(invalid)?;
        if !new.upn.is_empty() {
            names::upn(&new.upn).map_err(invalid)?;
        }
        if new.state == IdentityState::Deleted {
            let message = "a deletion is a change of its own".to_owned();
            return Err((RefusalCode::Invalid, message));
        }
        if !new.sid.is_in_domain(&self.domain.sid) {
            let message = format!(
                "its SID `{}` does not lie in domain `{}` (`{}`)",
                new.sid, self.domain.dns_name, self.domain.sid
            );
            return Err((RefusalCode::SidOutsideDomain, message));
        }
        let reserved = new.kind == IdentityKind::User && new.sid.rid() < FIRST_ORDINARY_RID;
        if reserved && !self.policy.allow_low_rids {
            let message = format!(
                "its RID {} is that of a built-in account, which the tenant's policy leaves out",
                new.sid.rid()
            );
            return Err((RefusalCode::RidReserved, message));
        }
        Ok(())
    }

    /// The identities that have the object's GUID, SID, UPN or account name.
    async fn near(
        &self,
        conn: &mut AnyConnection,
        new: &SyncedIdentity,
    ) -> Result<Vec<IdentityInfo>> {
        let rows = sql_list(format!(
            "{SELECT_IDENTITY} WHERE i.tenant_id = $1 AND i.guid = $2
             UNION {SELECT_IDENTITY} WHERE i.tenant_id = $1 AND i.sid = $3
             UNION {SELECT_IDENTITY} WHERE i.tenant_id = $1 AND i.domain = $4 AND i.taken_account = $5
             UNION {SELECT_IDENTITY} WHERE i.tenant_id = $1 AND i.taken_upn = $6"
        ))
        .persistent(true)
        .bind(tenant_blob(self.tenant))
        .bind(uuid_blob(new.object_guid))
        .bind(new.sid.to_string())
        .bind(self.domain.dns_name.as_str())
        .bind(new.account_name.to_lowercase())
        .bind(taken_upn(new))
        .fetch_all(conn)
        .await?;
        rows.iter().map(identity_info).collect()
    }

    /// What can be said of an object beside what is there.
    fn against(
        &self,
        new: &SyncedIdentity,
        known: Option<&IdentityInfo>,
        others: &[IdentityInfo],
    ) -> Verdict {
        if let Some(known) = known {
            if known.source == IdentitySource::CloudOnly {
                let message = "an identity that exists only in the tenant has its GUID".to_owned();
                return Err((RefusalCode::CloudOnly, message));
            }
            if known.sid != new.sid {
                let message = format!(
                    "it was synced with SID `{}` and now has `{}`; a SID never changes",
                    known.sid, new.sid
                );
                return Err((RefusalCode::SidChanged, message));
            }
            if known.kind != new.kind {
                let message = format!("it was synced as a {}", kind_word(known.kind));
                return Err((RefusalCode::Invalid, message));
            }
        }
        match others.first() {
            Some(other) => Err(self.taken(new, other)),
            None => Ok(()),
        }
    }

    /// Another identity has the object's SID, UPN or account name.
    fn taken(&self, new: &SyncedIdentity, other: &IdentityInfo) -> (RefusalCode, String) {
        let kind = kind_word(other.kind);
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
            return (RefusalCode::SidDuplicate, message);
        }
        let same_upn = !new.upn.is_empty() && other.upn.to_lowercase() == new.upn.to_lowercase();
        let what = match same_upn {
            true => format!("UPN `{}`", new.upn),
            false => format!("account name `{}`", new.account_name),
        };
        let (code, whose) = match other.source {
            IdentitySource::CloudOnly => (RefusalCode::CloudOnly, "cloud-only "),
            IdentitySource::Hybrid => (RefusalCode::UpnConflict, ""),
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

    /// Inserts or updates; GUID, SID, kind and source of a known identity are what they were.
    async fn write(
        &self,
        conn: &mut AnyConnection,
        new: &SyncedIdentity,
        origins: &str,
        changed: &[&str],
    ) -> Result<()> {
        let name_key = new.account_name.to_lowercase();
        sql("INSERT INTO identities (tenant_id, guid, sid, kind, source, state, disabled_reason, account_name, upn,
               display_name, domain, primary_group_rid, created_at, changed_at, name_key, taken_account, taken_upn, origins)
             VALUES ($1, $2, $3, $4, 'hybrid', $5, $6, $7, $8, $9, $10, $11, $12, $12, $13, $13, $14, $15)
             ON CONFLICT (tenant_id, guid) DO UPDATE SET state = $5, disabled_reason = $6, account_name = $7, upn = $8,
               display_name = $9, domain = $10, primary_group_rid = $11, changed_at = $12, name_key = $13,
               taken_account = $13, taken_upn = $14, origins = $15,
               barred_at = CASE WHEN $5 = 'enabled' OR $6 = 'locked' THEN NULL
                 WHEN identities.state = 'enabled' OR identities.disabled_reason = 'locked' THEN $12
                 ELSE identities.barred_at END")
            .bind(tenant_blob(self.tenant))
            .bind(uuid_blob(new.object_guid))
            .bind(new.sid.to_string())
            .bind(kind_word(new.kind))
            .bind(state_word(new.state))
            .bind(new.disabled_reason.as_deref())
            .bind(new.account_name.as_str())
            .bind(new.upn.as_str())
            .bind(new.display_name.as_str())
            .bind(self.domain.dns_name.as_str())
            .bind(i64::from(new.primary_group_rid))
            .bind(now_s())
            .bind(name_key)
            .bind(taken_upn(new))
            .bind(self.origins(origins, changed))
            .execute(conn)
            .await?;
        Ok(())
    }

    /// What is stored of where attributes came from, once this run wrote these.
    fn origins(&self, stored: &str, changed: &[&str]) -> String {
        origins::written(stored, changed, &self.by.name, Some(self.run_id))
    }

    /// The hybrid identity of this domain with this GUID.
    async fn own(&self, conn: &mut AnyConnection, guid: Uuid) -> Result<Option<IdentityInfo>> {
        let row = sql_list(format!(
            "{SELECT_IDENTITY} WHERE i.tenant_id = $1 AND i.guid = $2 AND i.source = 'hybrid' AND i.domain = $3"
        ))
        .persistent(true)
        .bind(tenant_blob(self.tenant))
        .bind(uuid_blob(guid))
        .bind(self.domain.dns_name.as_str())
        .fetch_optional(conn)
        .await?;
        row.as_ref().map(identity_info).transpose()
    }

    async fn members(
        &mut self,
        conn: &mut AnyConnection,
        group: Uuid,
        add: &[Uuid],
        remove: &[Uuid],
    ) -> Result<()> {
        let known = self.own(conn, group).await?.filter(|known| {
            known.kind == IdentityKind::Group && known.state != IdentityState::Deleted
        });
        let Some(known) = known else {
            if self.blamed.contains(&group) {
                // It is not here because it was refused itself: that reason stands.
                return Ok(());
            }
            let message = format!(
                "no synced group of domain `{}` has this GUID",
                self.domain.dns_name
            );
            let code = RefusalCode::UnknownObject;
            return self.refuse(conn, group, "", code, message).await;
        };
        let before = self.outcome.memberships_added + self.outcome.memberships_removed;
        for chunk in remove.chunks(CHUNK) {
            for member in self.groups_among(conn, chunk).await? {
                self.closure.shrunk(member);
            }
            self.outcome.memberships_removed +=
                memberships::end(conn, self.tenant, group, chunk).await?;
        }
        for chunk in add.chunks(CHUNK) {
            self.outcome.memberships_added += self.add_members(conn, group, chunk).await?;
            for member in self.groups_among(conn, chunk).await? {
                self.closure.edge_added(conn, member, group).await?;
            }
        }
        if self.outcome.memberships_added + self.outcome.memberships_removed == before {
            return Ok(());
        }
        sql("UPDATE identities SET origins = $3, changed_at = $4 WHERE tenant_id = $1 AND guid = $2")
            .bind(tenant_blob(self.tenant))
            .bind(uuid_blob(group))
            .bind(self.origins(&known.origins, &["members"]))
            .bind(now_s())
            .execute(conn)
            .await?;
        Ok(())
    }

    async fn add_members(
        &self,
        conn: &mut AnyConnection,
        group: Uuid,
        members: &[Uuid],
    ) -> Result<u64> {
        let rows: Vec<String> = (0..members.len())
            .map(|index| format!("($1, $2, ${})", index + 3))
            .collect();
        let mut statement = sql_list(format!(
            "INSERT INTO memberships (tenant_id, group_guid, member_guid) VALUES {} ON CONFLICT DO NOTHING",
            rows.join(",")
        ))
        .bind(tenant_blob(self.tenant))
        .bind(uuid_blob(group));
        for member in members {
            statement = statement.bind(uuid_blob(*member));
        }
        Ok(statement.execute(conn).await?.rows_affected())
    }

    /// The living groups among these identities; at most [`CHUNK`] are given.
    async fn groups_among(&self, conn: &mut AnyConnection, guids: &[Uuid]) -> Result<Vec<Uuid>> {
        if guids.is_empty() {
            return Ok(Vec::new());
        }
        let mut statement = sql_list(format!(
            "SELECT guid FROM identities WHERE tenant_id = $1 AND kind = 'group' AND state <> 'deleted' AND guid IN ({})",
            places(2, guids.len())
        ))
        .bind(tenant_blob(self.tenant));
        for guid in guids {
            statement = statement.bind(uuid_blob(*guid));
        }
        let rows = statement.fetch_all(conn).await?;
        rows.iter().map(|row| col_uuid(row, "guid")).collect()
    }

    /// A tombstone: the SID stays taken for ever, the names are free again, the memberships are gone. Roles stay with
    /// the SID without effect, for the day the object is restored.
    async fn delete(&mut self, conn: &mut AnyConnection, guid: Uuid) -> Result<()> {
        let Some(known) = self.own(conn, guid).await? else {
            return self.delete_unknown(conn, guid).await;
        };
        if known.kind == IdentityKind::Group {
            self.closure.shrunk(guid);
        }
        let place = |text| {
            sql(text)
                .bind(tenant_blob(self.tenant))
                .bind(uuid_blob(guid))
        };
        // Of a tombstone too: a group may have been given it as a member since, and it must not come back with that.
        let removed = memberships::end_all(conn, self.tenant, guid).await?;
        self.outcome.memberships_removed += removed;
        if known.state == IdentityState::Deleted {
            self.outcome.unchanged += 1;
            return self.absolve(conn, guid).await;
        }
        place("UPDATE identities SET state = 'deleted', disabled_reason = NULL, taken_account = NULL, taken_upn = NULL,
               barred_at = CASE WHEN state = 'enabled' OR disabled_reason = 'locked' THEN $3 ELSE barred_at END, changed_at = $3, origins = $4 WHERE tenant_id = $1 AND guid = $2")
            .bind(now_s())
            .bind(self.origins(&known.origins, &["state"]))
            .execute(&mut *conn)
            .await?;
        self.outcome.deleted += 1;
        self.absolve(conn, guid).await
    }

    /// What is not here need not be deleted, a refused object for one; what is another's may not be.
    async fn delete_unknown(&mut self, conn: &mut AnyConnection, guid: Uuid) -> Result<()> {
        let other = sql("SELECT guid FROM identities WHERE tenant_id = $1 AND guid = $2")
            .bind(tenant_blob(self.tenant))
            .bind(uuid_blob(guid))
            .fetch_optional(&mut *conn)
            .await?;
        if other.is_some() {
            let message = format!("it is not an identity of domain `{}`", self.domain.dns_name);
            return self
                .refuse(conn, guid, "", RefusalCode::UnknownObject, message)
                .await;
        }
        self.outcome.unchanged += 1;
        self.absolve(conn, guid).await
    }

    /// Notes a refusal; audited when it is new, not each time an agent tries again.
    async fn refuse(
        &mut self,
        conn: &mut AnyConnection,
        guid: Uuid,
        account_name: &str,
        code: RefusalCode,
        message: String,
    ) -> Result<()> {
        let place = |text| {
            sql(text)
                .bind(tenant_blob(self.tenant))
                .bind(self.domain.dns_name.as_str())
                .bind(uuid_blob(guid))
        };
        let name = names::shown(account_name);
        let message = names::visible(&message);
        let before = place("SELECT code, message FROM sync_refusals WHERE tenant_id = $1 AND domain = $2 AND guid = $3")
            .fetch_optional(&mut *conn)
            .await?;
        let known = match &before {
            Some(row) => {
                col::<String>(row, "code")? == code.as_str()
                    && col::<String>(row, "message")? == message
            }
            None => false,
        };
        let blamed = self.blamed.contains(&guid);
        if blamed {
            // The newest word about an object is the one that stands.
            place("DELETE FROM sync_failures WHERE tenant_id = $1 AND domain = $2 AND guid = $3")
                .execute(&mut *conn)
                .await?;
        }
        if !blamed && self.blamed.len() >= MAX_BLAMED {
            // Told to the agent and the audit, which has a bound of its own; not kept.
            self.audit_refusal(conn, guid, &name, code, &message)
                .await?;
        } else if !known {
            place("INSERT INTO sync_refusals (tenant_id, domain, guid, account_name, code, message, refused_at)
                   VALUES ($1, $2, $3, $4, $5, $6, $7)
                   ON CONFLICT (tenant_id, domain, guid) DO UPDATE SET account_name = $4, code = $5, message = $6, refused_at = $7")
                .bind(name.as_str())
                .bind(code.as_str())
                .bind(message.as_str())
                .bind(now_s())
                .execute(&mut *conn)
                .await?;
            self.audit_refusal(conn, guid, &name, code, &message)
                .await?;
            self.blamed.insert(guid);
        }
        self.outcome.refused.push(Refusal {
            object_guid: guid,
            account_name: name,
            code,
            message,
        });
        Ok(())
    }

    async fn audit_refusal(
        &self,
        conn: &mut AnyConnection,
        guid: Uuid,
        name: &str,
        code: RefusalCode,
        message: &str,
    ) -> Result<()> {
        let event = events::NewEvent {
            outcome: Outcome::Refused,
            reason: code.as_str().to_owned(),
            user: name.to_owned(),
            target: guid.to_string(),
            detail: message.to_owned(),
            ..audit_event(self.by, Some(self.tenant), "sync.refuse")
        };
        events::record(conn, &event).await
    }

    /// An object that is as it should be is no longer one that was refused or failed.
    async fn absolve(&mut self, conn: &mut AnyConnection, guid: Uuid) -> Result<()> {
        if !self.blamed.remove(&guid) {
            return Ok(());
        }
        let texts = [
            "DELETE FROM sync_refusals WHERE tenant_id = $1 AND domain = $2 AND guid = $3",
            "DELETE FROM sync_failures WHERE tenant_id = $1 AND domain = $2 AND guid = $3",
        ];
        for text in texts {
            sql(text)
                .bind(tenant_blob(self.tenant))
                .bind(self.domain.dns_name.as_str())
                .bind(uuid_blob(guid))
                .execute(&mut *conn)
                .await?;
        }
        Ok(())
    }
}

/// The UPN that the identity holds for itself, for comparison.
fn taken_upn(new: &SyncedIdentity) -> Option<String> {
    (!new.upn.is_empty()).then(|| new.upn.to_lowercase())
}
