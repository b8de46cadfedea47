//! Reading a domain: all of it, or what changed since a [`Cursor`].
//!
//! Changes come from the DirSync control ([MS-ADTS] 3.1.1.3.4.1.3), which needs the right "Replicating Directory Changes".
//! An account without it is served too: the changed objects are found by `uSNChanged` on one domain controller, deletions
//! in the container of deleted objects where it may be read, else by comparing everything now and then.
//!
//! A change only says *which* objects to look at; what is taken over is always the object as it is now, read whole by the
//! same rules as at the first time. So it does no harm to see a change twice.

mod full_sync_reason;
mod members;
mod read;

use super::cursor::{Cursor, Position};
use super::model::{Domain, Object, Observed, Seen, SkipReason, Skipped};
use super::rules::{ATTRIBUTES, NORMAL_USER, Rules, guids_of, is_group, lockout_s, name, plain_dn};
use super::scope::Scope;
use super::watched::{Closure, Graph, Node, Watched, privileged_sids};
use crate::credentials::DomainCredentials;
use crate::dc::Choice;
use crate::error::OnpremError;
use crate::ldap::{AllValues, Control, Entry, Filter, Ldap, LdapError, LdapResultCode, Search};
use crate::session::Session;
pub use full_sync_reason::FullSyncReason;
use read::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How many objects are asked for in one search.
const CHUNK: usize = 100;
/// With more changes than this, reading everything is the shorter way.
const MAX_CHANGES: usize = 50_000;
/// How often everything is compared: some ways of losing sight of an object leave no trace, such as a database that was put
/// back to an older state and has counted on since.
const COMPARE_EVERY_S: i64 = 24 * 3600;
/// The same, where deletions leave no trace that the account may read.
const COMPARE_FOR_DELETIONS_EVERY_S: i64 = 15 * 60;
/// How far a controller's clock may be behind the last run.
const CLOCK_TOLERANCE_S: i64 = 300;
/// How long one connection is used, where its ticket lasts as long: a controller that let an account in asks no more whether
/// it is disabled since, or has another password.
const MAX_AGE: Duration = Duration::from_secs(600);
/// How long before its ticket's end a connection is given up, in seconds. A controller breaks it off there, in mid-run.
const TICKET_LEFT_S: i64 = 5;
/// LDAP_DIRSYNC_INCREMENTAL_VALUES: of a group's members only those that changed come along. Which they are does not
/// matter, but a large group would come whole.
const CHANGED_VALUES: i64 = -0x8000_0000;
/// AD's "never" in `accountExpires`.
const NEVER: &str = "9223372036854775807";

/// A sync agent that is signed in to a domain controller.
pub struct Agent {
    session: Session,
    ldap: Ldap,
    /// As it was asked for; [`Rules`] hold it as the controller names things.
    scope: Scope,
    rules: Rules,
    invocation: String,
    /// Whether the account may read deleted objects: it found one.
    sees_deleted: bool,
    opened: Instant,
    opened_at_s: i64,
    watched: Option<Watched>,
    /// Where the objects of the last observation are, by `objectGUID`.
    places: BTreeMap<String, String>,
}

/// What one run does beyond an incremental sync.
#[derive(Clone, Copy, Debug, Default)]
pub struct SyncMode {
    /// A full sync: read everything, not only what changed.
    pub full: bool,
    /// Look again at what failed before.
    pub retry: bool,
}

/// What was seen.
#[derive(Debug)]
pub struct Observation {
    /// The objects.
    pub observed: Observed,
    /// The bookmark behind it.
    pub cursor: Cursor,
    /// Why this is a full sync; `None` for an incremental one.
    pub full_sync_reason: Option<FullSyncReason>,
}

/// An object that is to be looked at.
struct Changed {
    dn: String,
    deleted: bool,
    group: bool,
    /// Whether it is a container that got its name or place: the DNs of what lies below changed with it.
    container: bool,
}

impl Agent {
    /// Finds a domain controller, signs in and reads what must be known to judge objects.
    pub async fn open(
        domain: &str,
        choice: &Choice,
        credentials: &DomainCredentials,
        scope: &Scope,
    ) -> Result<Self, OnpremError> {
        let session = Session::open(domain, choice, credentials).await?;
        let mut ldap = Ldap::connect(&session).await?;
        let rules = rules(&session, &mut ldap, scope).await?;
        let own = session.dc().root_dse.ds_service_name.clone();
        let invocation = ldap
            .object(&own, &["invocationId"])
            .await?
            .and_then(|entry| entry.guid("invocationId"))
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

    /// Whether it is time for a new connection.
    pub fn is_old(&self) -> bool {
        let ticket_left_s = self.session.tgt().end_time.saturating_sub(self.now_s());
        self.opened.elapsed() > MAX_AGE || ticket_left_s < TICKET_LEFT_S
    }

    /// Now, by the controller's clock: jumps of this computer's clock change nothing.
    fn now_s(&self) -> i64 {
        let elapsed = i64::try_from(self.opened.elapsed().as_secs()).unwrap_or(i64::MAX);
        self.opened_at_s.saturating_add(elapsed)
    }

    /// Reads what changed since `before`, or everything where that is not possible. `progress` is told the number of
    /// objects read so far.
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
                        // Read in another way it comes in smaller messages; the rest of this one is still on its way.
                        self.ldap = Ldap::connect(&self.session).await?;
                        FullSyncReason::Many
                    }
                    Err(error) => return Err(error),
                },
            },
        };
        self.full(reason, highest, before, progress).await
    }

    /// Why a cursor cannot be continued.
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
        // The scope's organizational units may be others by now, or gone: then nothing is concluded from that.
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
            losses: before.map_or((0, 0), |before| before.losses),
            pending: unusable(&observed.skipped),
        };
        self.watched = Some(watched);
        Ok(Observation {
            observed,
            cursor,
            full_sync_reason: Some(reason),
        })
    }

    /// Reads all users and groups, and the position from which changes will be seen that came meanwhile.
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
                    // From before the objects: what changed meanwhile is seen again.
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

    /// what changed since `before`; or why everything must be read instead.
    async fn changes(
        &mut self,
        before: &Cursor,
        highest_usn: i64,
        retry: bool,
    ) -> Result<Result<Observation, FullSyncReason>, OnpremError> {
        let (position, mut changed) =
            match self.changed_since(&before.position, highest_usn).await? {
                Ok(found) => found,
                Err(reason) => return Ok(Err(reason)),
            };
        if changed.len() > MAX_CHANGES {
            return Ok(Err(FullSyncReason::Many));
        }
        if changed.values().any(|one| one.container) {
            return Ok(Err(FullSyncReason::Moved));
        }
        let touched: Vec<&String> = changed
            .iter()
            .filter(|(_, one)| one.group)
            .map(|(guid, _)| guid)
            .collect();
        let again = match self.watch(&touched, &before.watched).await? {
            Ok(again) => again,
            Err(reason) => return Ok(Err(reason)),
        };
        let mut turns_at = before.turns_at;
        let mut extra = again;
        if before.turns_at.is_some_and(|at| at <= self.rules.now_s) {
            let (due, next) = self.turned(before.read_at).await?;
            extra.extend(due);
            turns_at = next;
        }
        if retry || !changed.is_empty() {
            extra.extend(before.pending.iter().cloned());
        }
        extra.retain(|guid| !changed.contains_key(guid));
        for (guid, dn) in self.places_of(&extra).await? {
            changed.insert(guid, Changed::live(dn));
        }
        let mut observed = self.look_at(changed).await?;
        if let Some(watched) = &self.watched {
            leave_out_watched(&mut observed, watched);
        }
        observed.failed_before.clone_from(&before.pending);
        let mut pending = before.pending.clone();
        pending.retain(|guid| !observed.seen.contains_key(guid));
        pending.extend(unusable(&observed.skipped));
        let turns = [turns_at, next_turn(&observed)];
        let cursor = Cursor {
            position,
            highest_usn,
            watched: self
                .watched
                .as_ref()
                .map_or_else(|| before.watched.clone(), Watched::fingerprint),
            read_at: self.rules.now_s,
            turns_at: turns.into_iter().flatten().min(),
            pending,
            ..before.clone()
        };
        Ok(Ok(Observation {
            observed,
            cursor,
            full_sync_reason: None,
        }))
    }

    /// The objects that changed, by `objectGUID`, and the position behind them.
    async fn changed_since(
        &mut self,
        position: &Position,
        highest_usn: i64,
    ) -> Result<Result<(Position, BTreeMap<String, Changed>), FullSyncReason>, OnpremError> {
        let mut changed = BTreeMap::new();
        let mut take = |entry: Entry| {
            if let Some(guid) = entry.guid("objectGUID") {
                changed.insert(guid, Changed::of(&entry));
            }
        };
        match position {
            Position::DirSync {
                cookie,
                sees_deleted,
            } => {
                let mut attributes = self.attributes();
                attributes.push("member".to_owned());
                let search = self.search(self.followed(), attributes);
                let cookie = cookie.clone();
                match dirsync(&mut self.ldap, &search, CHANGED_VALUES, cookie, &mut take).await {
                    Ok(cookie) => {
                        let position = Position::DirSync {
                            cookie,
                            sees_deleted: *sees_deleted,
                        };
                        Ok(Ok((position, changed)))
                    }
                    Err(OnpremError::Ldap(error)) if is_refusal(&error) => {
                        Ok(Err(FullSyncReason::Refused(error.to_string())))
                    }
                    Err(error) => Err(error),
                }
            }
            Position::Usn { usn, sees_deleted } => {
                let since = Filter::GreaterOrEqual("uSNChanged".to_owned(), next(*usn));
                let attributes = ["objectGUID", "objectClass", "name", "isDeleted"];
                let search = self.search(
                    Filter::And(vec![since, self.followed()]),
                    attributes.map(str::to_owned).to_vec(),
                );
                let mut pages = self.ldap.pages(search);
                while let Some(page) = pages.next().await? {
                    page.into_iter().for_each(&mut take);
                }
                if *sees_deleted {
                    for entry in deleted_since(&mut self.ldap, usn.saturating_add(1)).await? {
                        if let Some(guid) = entry.guid("objectGUID") {
                            changed.insert(guid, Changed::of(&entry));
                        }
                    }
                }
                let position = Position::Usn {
                    usn: highest_usn,
                    sees_deleted: *sees_deleted,
                };
                Ok(Ok((position, changed)))
            }
        }
    }

    /// The objects whose changes are followed. Containers only where DNs decide.
    fn followed(&self) -> Filter {
        let people = Filter::And(vec![
            class("user"),
            Filter::Not(Box::new(class("computer"))),
        ]);
        let mut all = vec![people, class("group")];
        if !self.rules.scope.ous.is_empty() {
            all.push(class("organizationalUnit"));
            all.push(class("container"));
        }
        Filter::Or(all)
    }

    /// Brings the watched sets up to date where one of the `touched` groups belongs to them, and says which objects are to
    /// be judged anew.
    async fn watch(
        &mut self,
        touched: &[&String],
        fingerprint: &str,
    ) -> Result<Result<BTreeSet<String>, FullSyncReason>, OnpremError> {
        let known = self.watched.take();
        let current = match &known {
            Some(known) if !touched.iter().any(|group| known.depends_on(group)) => known.clone(),
            _ => self.watched_now().await?,
        };
        let again = match &known {
            Some(known) if known.fingerprint() == fingerprint => known.difference(&current),
            _ if current.fingerprint() == fingerprint => Some(BTreeSet::new()),
            _ => None,
        };
        self.watched = Some(current);
        Ok(again.ok_or(FullSyncReason::Groups))
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
                    return Err(OnpremError::NoScope {
                        option: "--scope-group",
                        name: group.clone(),
                    });
                }
                Some(found)
            }
        };
        Ok(Watched {
            privileged: Closure::from(graph, |node| privileged.contains(&node.sid)),
            scope: chosen,
        })
    }

    /// Reads the watched groups and the groups in them, level by level.
    async fn watched_now(&mut self) -> Result<Watched, OnpremError> {
        let scope = &self.rules.scope;
        let mut roots = Vec::new();
        if !scope.include_privileged {
            for sid in privileged_sids(&self.rules.domain.sid) {
                roots.push(Filter::Equality("objectSid".to_owned(), sid.to_string()));
            }
        }
        if let Some(group) = &scope.group {
            roots.push(Filter::Equality("sAMAccountName".to_owned(), group.clone()));
        }
        let mut graph = Graph::new();
        let mut asked = BTreeSet::new();
        let mut open = roots;
        while !open.is_empty() {
            let mut members = BTreeSet::new();
            for chunk in open.chunks(CHUNK) {
                let filter = Filter::And(vec![class("group"), Filter::Or(chunk.to_vec())]);
                for entry in self.query(filter, self.attributes()).await? {
                    let values = self.members_of(&entry).await?.values;
                    for value in &values {
                        let text = String::from_utf8_lossy(value);
                        members.insert(plain_dn(&text).to_owned());
                    }
                    if let (Some(guid), Some(mut node)) = (entry.guid("objectGUID"), node(&entry)) {
                        node.members = guids_of(&values);
                        graph.insert(guid, node);
                    }
                }
            }
            open = members
                .into_iter()
                .filter(|dn| asked.insert(dn.clone()))
                .map(by_dn)
                .collect();
        }
        self.watched_in(&graph)
    }

    /// The users whom the clock has changed since `since_s`, and when it will next change one.
    async fn turned(
        &mut self,
        since_s: i64,
    ) -> Result<(BTreeSet<String>, Option<i64>), OnpremError> {
        let ticks = since_s
            .saturating_add(11_644_473_600)
            .saturating_mul(10_000_000);
        let never = Filter::Equality("accountExpires".to_owned(), NEVER.to_owned());
        let filter = Filter::And(vec![
            Filter::Equality("sAMAccountType".to_owned(), NORMAL_USER.to_owned()),
            Filter::Or(vec![
                Filter::And(vec![
                    Filter::GreaterOrEqual("accountExpires".to_owned(), ticks.to_string()),
                    Filter::Not(Box::new(never)),
                ]),
                Filter::GreaterOrEqual("lockoutTime".to_owned(), "1".to_owned()),
            ]),
        ]);
        let attributes = ["objectGUID", "accountExpires", "lockoutTime"];
        let attributes = attributes.map(str::to_owned).to_vec();
        let mut due = BTreeSet::new();
        let mut next: Option<i64> = None;
        for entry in self.query(filter, attributes).await? {
            let turns = [
                entry.file_time("accountExpires"),
                self.rules.unlocks_at(&entry),
            ];
            for at in turns.into_iter().flatten().filter(|at| *at != i64::MAX) {
                if at > self.rules.now_s {
                    next = Some(next.map_or(at, |next| next.min(at)));
                } else if at > since_s {
                    due.extend(entry.guid("objectGUID"));
                }
            }
        }
        Ok((due, next))
    }

    /// Where objects are that are known by `objectGUID` alone. One that is not found is left out: if it was deleted, that
    /// is a change of its own.
    async fn places_of(
        &mut self,
        guids: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, String>, OnpremError> {
        let mut places = BTreeMap::new();
        for guid in guids {
            let found = self
                .ldap
                .object(&format!("<GUID={guid}>"), &["objectGUID"])
                .await;
            match found {
                Ok(Some(entry)) => {
                    places.insert(guid.clone(), entry.dn().to_owned());
                }
                Ok(None) => {}
                Err(OnpremError::Ldap(error)) if is_refusal(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(places)
    }

    /// Reads the changed objects as they are now.
    async fn look_at(
        &mut self,
        changed: BTreeMap<String, Changed>,
    ) -> Result<Observed, OnpremError> {
        let mut read = Read::default();
        let live: Vec<(String, String)> = changed
            .iter()
            .filter(|(_, one)| !one.deleted)
            .map(|(guid, one)| (guid.clone(), one.dn.clone()))
            .collect();
        for chunk in live.chunks(CHUNK) {
            let filter = Filter::Or(chunk.iter().map(|(_, dn)| by_dn(dn.clone())).collect());
            let entries = self.query(filter.clone(), self.attributes()).await?;
            let chosen = self.chosen(filter).await?;
            for entry in entries {
                read.take(&self.rules, &entry);
                if is_group(&entry)
                    && let Some(guid) = entry.guid("objectGUID")
                {
                    let members = self.members_of(&entry).await?;
                    read.complete(&self.rules, &guid, &members);
                }
                read.choose(&entry, chosen.as_ref());
            }
        }
        // What was not found has another name by now: its next change is on its way, and nothing is concluded till then.
        for (guid, one) in changed {
            let seen = match one.deleted {
                true => Seen::Gone,
                false => Seen::Kept,
            };
            read.seen.entry(guid).or_insert(seen);
        }
        self.places = read.places;
        Ok(Observed {
            domain: self.rules.domain.clone(),
            seen: read.seen,
            complete: false,
            groups_of: BTreeMap::new(),
            failed_before: BTreeSet::new(),
            skipped: read.skipped,
        })
    }

    /// Which of these objects the scope's filter chooses; `None` where there is none.
    async fn chosen(&mut self, of: Filter) -> Result<Option<BTreeSet<String>>, OnpremError> {
        let Some(filter) = self.rules.scope.filter.as_ref().map(|one| one.filter()) else {
            return Ok(None);
        };
        // A DirSync answer holds only objects of which a wanted attribute is replicated, as `objectGUID` is not.
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

    /// The groups in which these objects of the last observation are, by `objectGUID`.
    pub async fn groups_of(
        &mut self,
        guids: &BTreeSet<String>,
    ) -> Result<BTreeMap<String, BTreeSet<String>>, OnpremError> {
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

    /// What a search of the domain finds: by DirSync from its beginning where the account may, which sees what ordinary
    /// reading may not.
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

impl Changed {
    fn of(entry: &Entry) -> Self {
        let group = is_group(entry);
        let classes = entry.texts("objectClass");
        let container = ["organizationalUnit", "container"]
            .iter()
            .any(|class| classes.iter().any(|one| one.eq_ignore_ascii_case(class)));
        Self {
            dn: plain_dn(entry.dn()).to_owned(),
            deleted: entry.text("isDeleted") == Some("TRUE"),
            group,
            container: container && entry.has("name"),
        }
    }

    fn live(dn: String) -> Self {
        Self {
            dn,
            deleted: false,
            group: false,
            container: false,
        }
    }
}
