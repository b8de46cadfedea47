//! Reading a domain: all of it, or what changed since a [`Cursor`].
//!
//! Changes come from the DirSync control ([MS-ADTS] 3.1.1.3.4.1.3), which requires the right "Replicating Directory Changes".
//! For an account without that right, changed objects are found by `uSNChanged` on one domain controller, and deletions in the
//! Deleted Objects container if the account may read it, else by a periodic full sync.
//!
//! A change only identifies an object; the object is then read whole, as it is now, by the same rules as in a full sync. A
//! change that is seen twice therefore does no harm.

mod changes;
mod full_sync_reason;
#[cfg(test)]
mod history_tests;
mod members;
mod read;

use super::cursor::{Cursor, Position};
use super::model::{Domain, Observed};
use super::rules::{ATTRIBUTES, NORMAL_USER, Rules, guids_of, plain_dn};
use super::scope::Scope;
use super::watched::{Closure, Graph, Watched, privileged_sids};
use crate::credentials::DomainCredentials;
use crate::dc::Choice;
use crate::error::OnpremError;
use crate::ldap::{Control, Entry, Filter, Ldap, LdapError, Search};
use crate::session::Session;
pub use full_sync_reason::FullSyncReason;
use read::{
    Read, by_dn, class, dirsync, highest_usn, is_denied, leave_out_watched, next_turn, reported,
    rules, sees_deleted, unusable,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How many objects one search asks for.
const CHUNK: usize = 100;
/// The interval between full syncs. Some changes leave no trace that an incremental sync could see, such as a database that
/// was restored to an older state and has since passed the cursor's USN.
const COMPARE_EVERY_S: i64 = 24 * 3600;
/// The interval for an account that cannot see deletions.
const COMPARE_FOR_DELETIONS_EVERY_S: i64 = 15 * 60;
/// How far a domain controller's clock may be behind the last run.
const CLOCK_TOLERANCE_S: i64 = 300;
/// How long a connection is used, if its ticket lasts as long: a domain controller does not check again whether the account of
/// a bound connection was disabled or its password changed.
const MAX_AGE: Duration = Duration::from_secs(600);
/// How long before the end of its ticket a connection is closed, in seconds: at the end the domain controller would close it
/// in mid-run.
const TICKET_LEFT_S: i64 = 5;

/// A sync agent that is bound to a domain controller.
pub struct Agent {
    session: Session,
    ldap: Ldap,
    /// The scope as configured; [`Rules`] have it in the domain controller's spelling.
    scope: Scope,
    rules: Rules,
    invocation: String,
    /// Whether the account may read deleted objects, which is so if it finds one.
    sees_deleted: bool,
    opened: Instant,
    opened_at_s: i64,
    watched: Option<Watched>,
    /// The DNs of the objects of the last observation, by `objectGUID`.
    places: BTreeMap<Uuid, String>,
}

/// What a run does beyond an incremental sync.
#[derive(Clone, Copy, Debug, Default)]
pub struct SyncMode {
    /// A full sync: read everything instead of what changed.
    pub full: bool,
    /// Read the objects that failed before again.
    pub retry: bool,
}

/// What a run read.
#[derive(Debug)]
pub struct Observation {
    /// The objects.
    pub observed: Observed,
    /// The sync cursor behind what was read.
    pub cursor: Cursor,
    /// Why this is a full sync; `None` for an incremental one.
    pub full_sync_reason: Option<FullSyncReason>,
}

impl Agent {
    /// Locates a domain controller, binds, and reads what the rules depend on.
    pub async fn open(
        domain: &str,
        choice: &Choice,
        credentials: &DomainCredentials,
        scope: &Scope,
    ) -> Result<Self, OnpremError> {
        let session = Session::open(domain, choice, credentials).await?;
        let mut ldap = session.ldap().await?;
        let rules = rules(&session, &mut ldap, scope).await?;
        let own = session.dc().root_dse.ds_service_name.clone();
        let invocation = ldap
            .object(&own, &["invocationId"])
            .await?
            .and_then(|entry| entry.guid("invocationId"))
            .map(|guid| guid.to_string())
            .ok_or(LdapError::BadValue {
                dn: own,
                attribute: "invocationId".to_owned(),
            })?;
        let sees_deleted = sees_deleted(&mut ldap).await?;
        Ok(Self {
            session,
            ldap,
            invocation,
            sees_deleted,
            opened: Instant::now(),
            opened_at_s: rules.now_s,
            scope: scope.clone(),
            rules,
            watched: None,
            places: BTreeMap::new(),
        })
    }

    /// The domain controller's host name.
    pub fn controller(&self) -> &str {
        &self.session.dc().host
    }

    /// The domain.
    pub fn domain(&self) -> &Domain {
        &self.rules.domain
    }

    /// Whether the connection should be replaced.
    pub fn is_old(&self) -> bool {
        let ticket_left_s = self.session.tgt().end_time.saturating_sub(self.now_s());
        self.opened.elapsed() > MAX_AGE || ticket_left_s < TICKET_LEFT_S
    }

    /// The domain controller's time, unaffected by changes of this computer's clock.
    fn now_s(&self) -> i64 {
        let elapsed = i64::try_from(self.opened.elapsed().as_secs()).unwrap_or(i64::MAX);
        self.opened_at_s.saturating_add(elapsed)
    }

    /// Reads what changed since `before`, or everything if that is not possible. `progress` receives the number of objects
    /// read so far.
    pub async fn observe(
        &mut self,
        before: Option<&Cursor>,
        mode: SyncMode,
        progress: &mut (dyn FnMut(usize) + Send),
    ) -> Result<Observation, OnpremError> {
        self.rules.now_s = self.now_s();
        let highest = highest_usn(&mut self.ldap).await?;
        let reason = match before {
            _ if mode.full => FullSyncReason::Requested,
            None => FullSyncReason::NoCursor,
            Some(before) => match self.usable(before, highest, mode.retry) {
                Some(reason) => reason,
                None => match self.changes(before, highest, mode.retry).await {
                    Ok(Ok(observation)) => return Ok(observation),
                    Ok(Err(reason)) => reason,
                    Err(OnpremError::Ldap(LdapError::TooLarge)) => {
                        // The other way of reading has smaller messages. The rest of the large one is still arriving on this
                        // connection.
                        self.ldap = self.session.ldap().await?;
                        FullSyncReason::Many
                    }
                    Err(error) => return Err(error),
                },
            },
        };
        self.full(reason, highest, before, progress).await
    }

    /// Why reading cannot continue from a cursor.
    fn usable(&self, before: &Cursor, highest_usn: i64, retry: bool) -> Option<FullSyncReason> {
        let now_s = self.rules.now_s;
        let other = before.invocation != self.invocation || before.controller != self.controller();
        if other || highest_usn < before.highest_usn {
            return Some(FullSyncReason::Controller(self.controller().to_owned()));
        }
        if before.scope != self.scope_fingerprint() {
            return Some(FullSyncReason::Rules);
        }
        if now_s.saturating_add(CLOCK_TOLERANCE_S) < before.read_at {
            return Some(FullSyncReason::Clock);
        }
        if before.position.sees_deleted() != self.sees_deleted {
            return Some(FullSyncReason::Deleted(self.sees_deleted));
        }
        if retry && before.all_pending() {
            return Some(FullSyncReason::Many);
        }
        let every = match before.position.sees_deleted() {
            true => COMPARE_EVERY_S,
            false => COMPARE_FOR_DELETIONS_EVERY_S,
        };
        (before.compared_at.saturating_add(every) <= now_s).then_some(FullSyncReason::Periodic)
    }

    fn scope_fingerprint(&self) -> String {
        let lockout = format!("{:?}", self.rules.lockout_s);
        self.rules.scope.fingerprint(&lockout)
    }

    async fn full(
        &mut self,
        reason: FullSyncReason,
        highest_usn: i64,
        before: Option<&Cursor>,
        progress: &mut (dyn FnMut(usize) + Send),
    ) -> Result<Observation, OnpremError> {
        // The organizational units of the scope may have been moved or deleted: an error here must not look like deletions.
        self.rules = rules(&self.session, &mut self.ldap, &self.scope).await?;
        self.sees_deleted = sees_deleted(&mut self.ldap).await?;
        let (position, read) = self.read_all(highest_usn, progress).await?;
        let watched = self.watched_in(&read.graph)?;
        let mut observed = Observed {
            domain: self.rules.domain.clone(),
            seen: read.seen,
            complete: true,
            groups_of: BTreeMap::new(),
            failed_before: before.map_or_else(BTreeSet::new, |before| before.pending.clone()),
            skipped: read.skipped,
        };
        leave_out_watched(&mut observed, &watched);
        self.places = read.places;
        let now_s = self.rules.now_s;
        let cursor = Cursor {
            controller: self.controller().to_owned(),
            invocation: self.invocation.clone(),
            position,
            highest_usn,
            scope: self.scope_fingerprint(),
            watched: watched.fingerprint(),
            read_at: now_s,
            compared_at: now_s,
            turns_at: next_turn(&observed),
            left_out: reported(&observed.skipped),
            removals: before.map_or((0, 0), |before| before.removals),
            pending: unusable(&observed.skipped),
            more_pending: false,
        };
        self.watched = Some(watched);
        Ok(Observation {
            observed,
            cursor,
            full_sync_reason: Some(reason),
        })
    }

    /// Reads all users and groups, and the position from which later changes are visible.
    async fn read_all(
        &mut self,
        highest_usn: i64,
        progress: &mut (dyn FnMut(usize) + Send),
    ) -> Result<(Position, Read), OnpremError> {
        let people = Filter::Equality("sAMAccountType".to_owned(), NORMAL_USER.to_owned());
        let people = match &self.rules.scope.filter {
            Some(filter) => Filter::And(vec![people, filter.filter()]),
            None => people,
        };
        let filter = Filter::Or(vec![people, class("group")]);
        let search = self.search(filter, self.attributes());
        let mut read = Read::default();
        let mut count = 0;
        let rules = &self.rules;
        let mut take = |entry: Entry| {
            count += 1;
            if count % 500 == 0 {
                progress(count);
            }
            read.take(rules, &entry);
        };
        let position = match dirsync(&mut self.ldap, &search, 0, Vec::new(), &mut take).await {
            Ok(cookie) => Position::DirSync {
                cookie,
                sees_deleted: self.sees_deleted,
            },
            Err(error) if is_denied(&error) => {
                let mut pages = self.ldap.pages(search);
                while let Some(page) = pages.next().await? {
                    page.into_iter().for_each(&mut take);
                }
                Position::Usn {
                    // As of before the reading: a change that was made meanwhile is seen again.
                    usn: highest_usn,
                    sees_deleted: self.sees_deleted,
                }
            }
            Err(error) => return Err(error),
        };
        progress(count);
        self.read_members(&mut read).await?;
        Ok((position, read))
    }

    fn watched_in(&self, graph: &Graph) -> Result<Watched, OnpremError> {
        let scope = &self.rules.scope;
        let privileged = match scope.include_privileged {
            true => Vec::new(),
            false => privileged_sids(&self.rules.domain.sid),
        };
        let chosen = match &scope.group {
            None => None,
            Some(group) => {
                let wanted = group.to_lowercase();
                let found = Closure::from(graph, |node| node.name == wanted);
                if found.groups.is_empty() {
                    return Err(OnpremError::NoScopeGroup(group.clone()));
                }
                Some(found)
            }
        };
        Ok(Watched {
            privileged: Closure::from(graph, |node| privileged.contains(&node.sid)),
            scope: chosen,
        })
    }

    /// Which of these objects match the filter of the scope; `None` without a filter.
    async fn chosen(&mut self, of: Filter) -> Result<Option<BTreeSet<Uuid>>, OnpremError> {
        let Some(filter) = self.rules.scope.filter.as_ref().map(|one| one.filter()) else {
            return Ok(None);
        };
        // DirSync returns only objects with a replicated attribute among those requested, and `objectGUID` is not replicated.
        let attributes = ["objectGUID", "name"].map(str::to_owned).to_vec();
        let found = self
            .query(Filter::And(vec![of, filter]), attributes)
            .await?;
        Ok(Some(
            found
                .iter()
                .filter_map(|entry| entry.guid("objectGUID"))
                .collect(),
        ))
    }

    /// The groups that these objects of the last observation are members of, by `objectGUID`.
    pub async fn groups_of(
        &mut self,
        guids: &BTreeSet<Uuid>,
    ) -> Result<BTreeMap<Uuid, BTreeSet<Uuid>>, OnpremError> {
        let places: Vec<String> = guids
            .iter()
            .filter_map(|guid| self.places.get(guid).cloned())
            .collect();
        let mut groups = BTreeMap::new();
        for chunk in places.chunks(CHUNK) {
            let filter = Filter::Or(chunk.iter().cloned().map(by_dn).collect());
            let attributes = ["objectGUID", "memberOf"].map(str::to_owned).to_vec();
            let search = self.search(filter, attributes);
            for entry in self.ldap.few(&search).await? {
                let values = match entry.ranged("memberOf") {
                    None => entry.values("memberOf").to_vec(),
                    Some(_) => {
                        let dn = plain_dn(entry.dn()).to_owned();
                        let all = self
                            .ldap
                            .all_values(&dn, "memberOf", &[Control::ExtendedDn]);
                        all.await?.values
                    }
                };
                if let Some(guid) = entry.guid("objectGUID") {
                    groups.insert(guid, guids_of(&values));
                }
            }
        }
        Ok(groups)
    }

    /// The results of a search of the domain: by DirSync without a cookie if the account may, since it returns objects that
    /// ordinary searches hide from the account.
    async fn query(
        &mut self,
        filter: Filter,
        attributes: Vec<String>,
    ) -> Result<Vec<Entry>, OnpremError> {
        let search = self.search(filter, attributes);
        let mut found = Vec::new();
        let mut take = |entry: Entry| {
            if entry.text("isDeleted") != Some("TRUE") {
                found.push(entry);
            }
        };
        match dirsync(&mut self.ldap, &search, 0, Vec::new(), &mut take).await {
            Ok(_) => Ok(found),
            Err(error) if is_denied(&error) => self.ldap.search(&search).await,
            Err(error) => Err(error),
        }
    }

    fn search(&self, filter: Filter, attributes: Vec<String>) -> Search {
        Search {
            attributes,
            ..Search::subtree(self.ldap.base(), filter, &[])
        }
        .with(Control::ExtendedDn)
    }

    fn attributes(&self) -> Vec<String> {
        let own = ATTRIBUTES.iter().map(|name| (*name).to_owned());
        own.chain(["isDeleted".to_owned()])
            .chain(self.rules.scope.attributes())
            .collect()
    }
}
