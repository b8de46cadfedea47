//! One request of the sync agent, object by object: the rules for each change, and the change.

mod lookup;
mod members;
mod request;
mod settle;
mod upserts;
mod verdicts;

use crate::audit::events::{Actor, NewEvent};
use crate::db::columns::{col, col_uuid, tenant_blob, uuid_blob};
use crate::db::statement::{sql, sql_list};
use crate::error::Result;
use crate::identities::closure::Closure;
use crate::identities::rows::{IdentityInfo, SELECT_IDENTITY, identity_info};
use crate::identities::{memberships, provenance};
use crate::names;
use crate::sync::apply::lookup::TenantLookup;
use crate::sync::apply::request::{LastWord, Reason};
use crate::sync::apply::settle::Name;
use crate::sync::model::{IdentityChange, MemberChange};
use crate::tenants::domains::{DomainInfo, load_domains};
use crossrealm_kdc::{Policy, TenantId};
use crossrealm_os::clock::now_s;
use crossrealm_types::{
    ApplyIdentitiesResult, EventOutcome, IdentityKind, IdentityState, RefusedChange,
    RefusedChangeCode,
};
use sqlx::AnyConnection;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::mem::discriminant;
use uuid::Uuid;

/// The most objects of a domain whose refusal or failure is stored.
const MAX_FAILED_OBJECTS: usize = 10_000;

/// The request under way.
pub(crate) struct Run<'a> {
    by: &'a Actor,
    tenant: TenantId,
    domain: &'a DomainInfo,
    /// The DNS names of the tenant's other domains.
    other_domains: HashSet<String>,
    run_id: Uuid,
    policy: Policy,
    closure: Closure,
    /// The identities that the request is about, kept as they are written.
    lookup: TenantLookup<'a>,
    /// Why objects of the request are refused.
    refused: HashMap<Uuid, Reason>,
    /// Who holds the names of the request when it has been applied.
    holders: HashMap<Name, Uuid>,
    /// The objects that were refused or failed before. Only these have records to clear.
    failed_objects: HashSet<Uuid>,
    /// Refusals of this request that no request before it had.
    new_refusals: Vec<RefusedChange>,
    outcome: ApplyIdentitiesResult,
}

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
            .fetch_all(&mut *conn)
            .await?;
        let mut others = load_domains(conn, tenant).await?;
        others.retain(|other| other.dns_name != domain.dns_name);
        let failed = rows.iter().map(|row| col_uuid(row, "guid"));
        Ok(Self {
            by,
            tenant,
            domain,
            other_domains: others.into_iter().map(|other| other.dns_name).collect(),
            run_id,
            policy,
            closure: Closure::new(tenant),
            lookup: TenantLookup::empty(domain),
            refused: HashMap::new(),
            holders: HashMap::new(),
            failed_objects: failed.collect::<Result<_>>()?,
            new_refusals: Vec::new(),
            outcome: ApplyIdentitiesResult::default(),
        })
    }

    /// Applies the changes in order, names on the state after all of them. Consecutive changes of one kind share statements.
    pub(crate) async fn apply(
        &mut self,
        conn: &mut AnyConnection,
        changes: &[IdentityChange],
    ) -> Result<()> {
        let last = LastWord::of(changes);
        self.judge(conn, &last).await?;
        for alike in changes.chunk_by(|a, b| discriminant(a) == discriminant(b)) {
            let (mut objects, mut groups) = (Vec::new(), Vec::new());
            for change in alike {
                match change {
                    IdentityChange::Upsert(object) => {
                        objects.extend(last.object(object.object_guid));
                    }
                    IdentityChange::Members {
                        group,
                        add,
                        remove,
                        elsewhere,
                    } => groups.push(MemberChange {
                        group: *group,
                        add,
                        remove,
                        elsewhere: elsewhere.as_ref(),
                    }),
                    IdentityChange::Delete(guid) => self.delete(conn, *guid).await?,
                }
            }
            self.upserts(conn, &objects).await?;
            self.members(conn, &groups).await?;
        }
        Ok(())
    }

    /// Completes the request. Returns one event of all new refusals, if there are any.
    pub(crate) async fn finish(
        self,
        conn: &mut AnyConnection,
    ) -> Result<(ApplyIdentitiesResult, Option<NewEvent>)> {
        self.closure.finish(conn).await?;
        memberships::forget(conn, self.tenant, &self.policy).await?;
        let event = refusal_event(self.by, self.tenant, self.domain, &self.new_refusals);
        Ok((self.outcome, event))
    }

    /// The provenance to store after this run wrote these attributes.
    fn provenance(&self, stored: &str, changed: &[&str]) -> String {
        provenance::written(stored, changed, &self.by.name, Some(self.run_id))
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

    /// Marks the identity deleted: its SID stays reserved, its names are free, its memberships end. Its roles stay
    /// without effect, in case the object is restored.
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
        // For a deleted identity too: it may have been added to a group since, and must not be restored with that
        // membership.
        let removed = memberships::end_all(conn, self.tenant, guid).await?;
        self.outcome.memberships_removed += removed;
        if known.state == IdentityState::Deleted {
            self.outcome.unchanged += 1;
            return self.clear_failure(conn, guid).await;
        }
        let provenance = self.provenance(&known.provenance, &["state"]);
        place("UPDATE identities SET state = 'deleted', disabled_reason = NULL, taken_account = NULL, taken_upn = NULL,
               barred_at = CASE WHEN state = 'enabled' OR disabled_reason = 'locked' THEN $3 ELSE barred_at END, changed_at = $3, origins = $4 WHERE tenant_id = $1 AND guid = $2")
            .bind(now_s())
            .bind(provenance.as_str())
            .execute(&mut *conn)
            .await?;
        self.lookup.change(guid, |identity| {
            identity.state = IdentityState::Deleted;
            identity.disabled_reason = None;
            identity.provenance = provenance;
        });
        self.outcome.deleted += 1;
        self.clear_failure(conn, guid).await
    }

    /// An unknown object, such as a refused one, need not be deleted; an object of another domain may not be.
    async fn delete_unknown(&mut self, conn: &mut AnyConnection, guid: Uuid) -> Result<()> {
        let other = sql("SELECT guid FROM identities WHERE tenant_id = $1 AND guid = $2")
            .bind(tenant_blob(self.tenant))
            .bind(uuid_blob(guid))
            .fetch_optional(&mut *conn)
            .await?;
        if other.is_some() {
            let message = format!("it is not an identity of domain `{}`", self.domain.dns_name);
            return self
                .refuse(conn, guid, "", RefusedChangeCode::UnknownObject, message)
                .await;
        }
        self.outcome.unchanged += 1;
        self.clear_failure(conn, guid).await
    }

    /// Stores a refusal. It is audited when it is new, not each time an agent tries again.
    async fn refuse(
        &mut self,
        conn: &mut AnyConnection,
        guid: Uuid,
        account_name: &str,
        code: RefusedChangeCode,
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
        let failed_before = self.failed_objects.contains(&guid);
        if failed_before {
            // The latest refusal or failure of an object replaces earlier ones.
            place("DELETE FROM sync_failures WHERE tenant_id = $1 AND domain = $2 AND guid = $3")
                .execute(&mut *conn)
                .await?;
        }
        let refused = RefusedChange {
            object_guid: guid,
            account_name: name,
            code,
            message,
        };
        // Returned to the agent and audited in any case, but the number of stored ones is bounded.
        let is_stored = failed_before || self.failed_objects.len() < MAX_FAILED_OBJECTS;
        if is_stored && !known {
            place("INSERT INTO sync_refusals (tenant_id, domain, guid, account_name, code, message, refused_at)
                   VALUES ($1, $2, $3, $4, $5, $6, $7)
                   ON CONFLICT (tenant_id, domain, guid) DO UPDATE SET account_name = $4, code = $5, message = $6, refused_at = $7")
                .bind(refused.account_name.as_str())
                .bind(code.as_str())
                .bind(refused.message.as_str())
                .bind(now_s())
                .execute(&mut *conn)
                .await?;
            self.failed_objects.insert(guid);
        }
        if !is_stored || !known {
            self.new_refusals.push(refused.clone());
        }
        self.outcome.refused.push(refused);
        Ok(())
    }

    /// Deletes the stored refusal or failure of an object that is now in sync.
    async fn clear_failure(&mut self, conn: &mut AnyConnection, guid: Uuid) -> Result<()> {
        if !self.failed_objects.remove(&guid) {
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

/// One event of the refused objects of a request: of a single one with its name, else with their number by code.
fn refusal_event(
    by: &Actor,
    tenant: TenantId,
    domain: &DomainInfo,
    refused: &[RefusedChange],
) -> Option<NewEvent> {
    let first = refused.first()?;
    let event = NewEvent {
        outcome: EventOutcome::Refused,
        reason: first.code.as_str().to_owned(),
        ..NewEvent::audit(by, Some(tenant), "sync.refuse")
    };
    if refused.len() == 1 {
        return Some(NewEvent {
            user: first.account_name.clone(),
            target: first.object_guid.to_string(),
            detail: first.message.clone(),
            ..event
        });
    }
    let mut by_code: BTreeMap<&str, usize> = BTreeMap::new();
    for one in refused {
        *by_code.entry(one.code.as_str()).or_default() += 1;
    }
    let counts: Vec<String> = by_code
        .iter()
        .map(|(code, count)| format!("{count} {code}"))
        .collect();
    Some(NewEvent {
        target: domain.dns_name.clone(),
        detail: format!(
            "{} objects: {}; the first is {}: {}",
            refused.len(),
            counts.join(", "),
            first.object_guid,
            first.message
        ),
        ..event
    })
}
