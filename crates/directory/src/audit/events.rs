//! Events: changes and who made them, tickets that were issued, and requests that were refused with the reason. Their
//! number is bounded.

use crate::audit::actions;
use crate::db::columns::{col, col_tenant_of, col_word, tenant_blob};
use crate::db::pools::Tx;
use crate::db::statement::{sql, sql_list};
use crate::directory::Directory;
use crate::error::{DirectoryError, Result};
use crate::names::visible;
use crossrealm_kdc::TenantId;
use crossrealm_os::clock::now_ms;
use crossrealm_types::{ActorKind, EventKind, EventOutcome};
use sqlx::AnyConnection;
use sqlx::any::AnyRow;
use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;

/// How many events of a tenant and class are kept.
pub(crate) const KEPT_EVENTS: i64 = 100_000;
/// How many events are recorded between two trims, over all streams.
const CUT_EVERY: i64 = 61;
/// The longest text of an event, in bytes.
const MAX_TEXT: usize = 500;

/// The actor of an audited operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// What it is.
    pub kind: ActorKind,
    /// The name of the token or program.
    pub name: String,
    /// Their address, if known.
    pub address: Option<IpAddr>,
}

/// An event to record. Texts are truncated to 500 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// The id that was returned to the client, if any; unique.
    pub id: Option<String>,
    /// When, Unix milliseconds.
    pub at_ms: i64,
    /// Of which tenant.
    pub tenant: Option<TenantId>,
    /// Its kind.
    pub category: EventKind,
    /// How the operation ended.
    pub outcome: EventOutcome,
    /// What was done (`trust.prepare`, `ticket.issue`), a stable word.
    pub action: String,
    /// Why it was refused, a stable word; empty if it was not.
    pub reason: String,
    /// What the actor is; `None` in an event of before.
    pub actor_kind: Option<ActorKind>,
    /// Who did it: the token's name, or the client principal of a ticket.
    pub actor: String,
    /// The user it concerns: UPN where known, else the name or SID the client sent; may be empty.
    pub user: String,
    /// What it was done to: a service, a share, a trust.
    pub target: String,
    /// Where it came from.
    pub address: Option<IpAddr>,
    /// Details for people; never a secret.
    pub detail: String,
    /// The trust key that decrypted the presented referral; updates when that version was last seen.
    pub trust_key: Option<TrustKeySeen>,
}

/// The version of a trust key that decrypted a referral.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustKeySeen {
    /// The AD realm of the trust.
    pub realm: String,
    /// The version.
    pub version: u32,
}

/// A recorded event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its position in the order of recording; increases.
    pub sequence: i64,
    /// What was recorded. `trust_key` is not kept.
    pub event: NewEvent,
}

/// Which events to return.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Of which tenant; `None` is all, those of no tenant included.
    pub tenant: Option<TenantId>,
    /// Only those of no tenant.
    pub installation: bool,
    /// Not older than this, Unix milliseconds.
    pub since_ms: Option<i64>,
    /// Older than this, Unix milliseconds.
    pub until_ms: Option<i64>,
    /// Concerning this user, compared case-insensitively.
    pub user: Option<String>,
    /// With this id.
    pub id: Option<String>,
    /// Of what was refused, with an answer or without one.
    pub refused: bool,
    /// Of this action; with a dot at the end, of all that begin so.
    pub action: Option<String>,
    /// Recorded after this `sequence`; to follow the events.
    pub after: Option<i64>,
    /// The most events wanted, 1 to 1000. Without `after` the newest are given; always in the order of recording.
    pub limit: u32,
}

impl Actor {
    /// An actor on this machine.
    pub fn local(name: &str) -> Self {
        Self {
            kind: ActorKind::Local,
            name: name.to_owned(),
            address: None,
        }
    }
}

impl NewEvent {
    /// An audit event: `by` did `action` now. The caller fills in the other fields.
    pub fn audit(by: &Actor, tenant: Option<TenantId>, action: &str) -> Self {
        Self {
            actor_kind: Some(by.kind),
            actor: by.name.clone(),
            address: by.address,
            ..Self::empty(tenant, EventKind::Change, action)
        }
    }

    /// The event of a ticket request that is answered now. The caller fills in the other fields.
    pub fn ticket(tenant: TenantId) -> Self {
        Self {
            actor_kind: Some(ActorKind::Client),
            ..Self::empty(Some(tenant), EventKind::Ticket, "ticket.issue")
        }
    }

    /// The event with its texts as they will be recorded: also what waits in a queue is bounded in bytes.
    pub fn truncated(mut self) -> Self {
        for text in [
            &mut self.reason,
            &mut self.actor,
            &mut self.user,
            &mut self.target,
            &mut self.detail,
        ] {
            if text.len() > MAX_TEXT {
                *text = cut(text);
            }
        }
        self
    }

    fn empty(tenant: Option<TenantId>, category: EventKind, action: &str) -> Self {
        Self {
            id: None,
            at_ms: now_ms(),
            tenant,
            category,
            outcome: EventOutcome::Done,
            action: action.to_owned(),
            reason: String::new(),
            actor_kind: None,
            actor: String::new(),
            user: String::new(),
            target: String::new(),
            address: None,
            detail: String::new(),
            trust_key: None,
        }
    }
}

impl Directory {
    /// Records events in one transaction, and trims each tenant's events of each class to about the newest
    /// 100,000.
    pub async fn record_events(&self, events: Vec<NewEvent>) -> Result<()> {
        let mut tx = self.begin().await?;
        let tenants: BTreeSet<TenantId> = events.iter().filter_map(|event| event.tenant).collect();
        for tenant in tenants {
            lock(&mut tx, tenant).await?;
        }
        let mut streams = HashSet::new();
        for event in &events {
            insert(&mut tx, event).await?;
            streams.insert((event.tenant, class(event)));
            if let (Some(tenant), Some(seen)) = (event.tenant, &event.trust_key) {
                note_seen(&mut tx, tenant, seen, event.at_ms / 1000).await?;
            }
        }
        for (tenant, class) in streams {
            trim(&mut tx, tenant, class).await?;
        }
        // Nothing that is cached has changed, so the caches need not be invalidated.
        self.commit_events(tx).await
    }

    /// The events that pass the filter, in the order of recording.
    pub async fn events(&self, filter: &EventFilter) -> Result<Vec<Event>> {
        let mut text = "SELECT sequence, id, at_ms, tenant_id, category, outcome, action, reason, actor_kind, actor, user_name,
            target, address, detail FROM events WHERE at_ms >= $1 AND sequence > $2"
            .to_owned();
        let (first_action, last_action) = filter.action.as_deref().map(action_range).unzip();
        // Only the conditions in use are in the statement, so that the database can use its indexes.
        let mut next = 4;
        for (condition, wanted) in [
            ("tenant_id =", filter.tenant.is_some()),
            ("user_key =", filter.user.is_some()),
            ("at_ms <", filter.until_ms.is_some()),
            ("id =", filter.id.is_some()),
            ("action >=", first_action.is_some()),
            ("action <=", last_action.is_some()),
        ] {
            if wanted {
                text.push_str(&format!(" AND {condition} ${next}"));
                next += 1;
            }
        }
        if filter.refused {
            text.push_str(" AND outcome <> 'done'");
        }
        if filter.installation {
            text.push_str(" AND tenant_id IS NULL");
        }
        // Followers continue from `after`; otherwise the newest are read backwards and reversed.
        text.push_str(match filter.after {
            Some(_) => " ORDER BY sequence LIMIT $3",
            None => " ORDER BY sequence DESC LIMIT $3",
        });
        let mut statement = sql_list(text)
            .bind(filter.since_ms.unwrap_or(i64::MIN))
            .bind(filter.after.unwrap_or(i64::MIN))
            .bind(i64::from(filter.limit.clamp(1, 1000)));
        if let Some(tenant) = filter.tenant {
            statement = statement.bind(tenant_blob(tenant));
        }
        if let Some(user) = &filter.user {
            statement = statement.bind(visible(user).to_lowercase());
        }
        if let Some(until) = filter.until_ms {
            statement = statement.bind(until);
        }
        let id = filter.id.as_deref().map(visible);
        for text in [id, first_action, last_action].into_iter().flatten() {
            statement = statement.bind(text);
        }
        let rows = statement.fetch_all(self.readers()).await?;
        let mut events = rows.iter().map(event).collect::<Result<Vec<_>>>()?;
        if filter.after.is_none() {
            events.reverse();
        }
        Ok(events)
    }
}

/// The first and the last action that a filter names. Actions are letters, hyphens and dots.
fn action_range(wanted: &str) -> (String, String) {
    let first = visible(wanted);
    let last = match first.strip_suffix('.') {
        Some(_) => format!("{first}~"),
        None => first.clone(),
    };
    (first, last)
}

/// Records a change, in the transaction that makes it.
pub(crate) async fn audit(
    conn: &mut AnyConnection,
    by: &Actor,
    tenant: Option<TenantId>,
    action: &'static str,
    target: &str,
    detail: &str,
) -> Result<()> {
    let event = NewEvent {
        target: target.to_owned(),
        detail: detail.to_owned(),
        ..NewEvent::audit(by, tenant, action)
    };
    record(conn, &event).await
}

/// Records an event in the caller's transaction. Every so often its stream is trimmed; the interval is a prime, so that
/// two alternating streams are both trimmed.
pub(crate) async fn record(conn: &mut AnyConnection, event: &NewEvent) -> Result<()> {
    let sequence = insert(conn, event).await?;
    if sequence % CUT_EVERY == 0 {
        trim(conn, event.tenant, class(event)).await?;
    }
    Ok(())
}

async fn insert(conn: &mut AnyConnection, event: &NewEvent) -> Result<i64> {
    debug_assert!(
        actions::is_known(&event.action),
        "audit/actions.rs lacks `{}`",
        event.action
    );
    let user = cut(&event.user);
    let row = sql("INSERT INTO events (id, at_ms, tenant_id, category, outcome, action, reason, actor, user_name, user_key,
         target, address, detail, actor_kind)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) RETURNING sequence")
        .bind(event.id.as_deref().map(cut))
        .bind(event.at_ms)
        .bind(event.tenant.map(tenant_blob))
        .bind(class(event))
        .bind(event.outcome.as_str())
        .bind(cut(&event.action))
        .bind(cut(&event.reason))
        .bind(cut(&event.actor))
        .bind(user.as_str())
        .bind(user.to_lowercase())
        .bind(cut(&event.target))
        .bind(event.address.map(|address| address.to_string()))
        .bind(cut(&event.detail))
        .bind(event.actor_kind.map_or("", ActorKind::as_str))
        .fetch_one(conn)
        .await?;
    col(&row, "sequence")
}

/// Locks the tenant until the transaction ends, as every change does before it records an event: the same order of
/// locks prevents deadlocks.
async fn lock(conn: &mut AnyConnection, tenant: TenantId) -> Result<()> {
    sql("UPDATE tenants SET name = name WHERE id = $1")
        .bind(tenant_blob(tenant))
        .execute(conn)
        .await?;
    Ok(())
}

/// The database's word for the class of an event. Each class is kept by itself, so that nobody pushes out what they
/// cannot make: administrators' changes, what machines do, tickets, and refusals of both, which cost their sender nothing.
fn class(event: &NewEvent) -> &'static str {
    let is_done = event.outcome == EventOutcome::Done;
    match (event.category, event.actor_kind) {
        (EventKind::Ticket, _) if is_done => "ticket",
        (EventKind::Ticket, _) => "ticket.refused",
        (EventKind::Change, Some(ActorKind::Local)) => "audit",
        (EventKind::Change, _) if !is_done => "audit.refused",
        (EventKind::Change, Some(ActorKind::Connector | ActorKind::Host)) => "audit.machine",
        (EventKind::Change, _) => "audit",
    }
}

/// Keeps the newest [`KEPT_EVENTS`] of a tenant and class.
async fn trim(conn: &mut AnyConnection, tenant: Option<TenantId>, class: &str) -> Result<()> {
    sql("DELETE FROM events WHERE tenant_id IS NOT DISTINCT FROM $1 AND category = $2 AND sequence <= (
           SELECT sequence FROM events WHERE tenant_id IS NOT DISTINCT FROM $1 AND category = $2
           ORDER BY sequence DESC LIMIT 1 OFFSET $3)")
        .bind(tenant.map(tenant_blob))
        .bind(class)
        .bind(KEPT_EVENTS)
        .execute(conn)
        .await?;
    Ok(())
}

async fn note_seen(tx: &mut Tx, tenant: TenantId, seen: &TrustKeySeen, at: i64) -> Result<()> {
    sql("UPDATE trust_secrets SET last_seen_at = $4 WHERE version = $3 AND (last_seen_at IS NULL OR last_seen_at < $4)
         AND trust_id IN (SELECT id FROM trusts WHERE tenant_id = $1 AND dns_name = $2)")
        .bind(tenant_blob(tenant))
        .bind(seen.realm.to_ascii_lowercase())
        .bind(i64::from(seen.version))
        .bind(at)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// At most [`MAX_TEXT`] bytes, truncated between characters. Control characters, which a client can put into a name,
/// are replaced: they could act on an administrator's terminal, and PostgreSQL does not store NUL.
fn cut(text: &str) -> String {
    let end = text
        .char_indices()
        .map(|(start, c)| start + c.len_utf8())
        .take_while(|end| *end <= MAX_TEXT)
        .last()
        .unwrap_or_default();
    visible(text.get(..end).unwrap_or_default())
}

fn event(row: &AnyRow) -> Result<Event> {
    let address: Option<String> = col(row, "address")?;
    Ok(Event {
        sequence: col(row, "sequence")?,
        event: NewEvent {
            id: col(row, "id")?,
            at_ms: col(row, "at_ms")?,
            tenant: col_tenant_of(row)?,
            category: match col::<String>(row, "category")?.as_str() {
                "ticket" | "ticket.refused" => EventKind::Ticket,
                "audit" | "audit.machine" | "audit.refused" => EventKind::Change,
                _ => return Err(DirectoryError::damaged("category", "an unknown word")),
            },
            outcome: col_word(row, "outcome")?,
            action: col(row, "action")?,
            reason: col(row, "reason")?,
            actor_kind: col::<String>(row, "actor_kind")?.parse().ok(),
            actor: col(row, "actor")?,
            user: col(row, "user_name")?,
            target: col(row, "target")?,
            address: address.and_then(|text| text.parse().ok()),
            detail: col(row, "detail")?,
            trust_key: None,
        },
    })
}
