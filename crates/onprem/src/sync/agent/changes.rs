//! An incremental sync: which objects changed since a cursor, and their state now.

use super::read::{
    Read, by_dn, class, deleted_since, dirsync, is_refusal, leave_out_watched, next, next_turn,
    node, unusable,
};
use super::{Agent, CHUNK, FullSyncReason, Observation};
use crate::error::OnpremError;
use crate::ldap::{Entry, Filter};
use crate::sync::cursor::{Cursor, Position};
use crate::sync::model::{Observed, Seen};
use crate::sync::rules::{NORMAL_USER, guids_of, is_group, plain_dn};
use crate::sync::watched::{Graph, Watched, privileged_sids};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// With more changes, a full sync is faster.
const MAX_CHANGES: usize = 50_000;
/// LDAP_DIRSYNC_INCREMENTAL_VALUES: of a group, only the changed members are returned. Their names are not used, but without
/// the flag a large group would be returned whole.
const CHANGED_VALUES: i64 = -0x8000_0000;
/// AD's "never" in `accountExpires`.
const NEVER: &str = "9223372036854775807";

/// An object to be read.
struct Changed {
    dn: String,
    deleted: bool,
    group: bool,
    /// Whether it is a container that was renamed or moved: the DNs of the objects below it changed too.
    container: bool,
}

impl Agent {
    /// What changed since `before`, or the reason for a full sync.
    pub(super) async fn changes(
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
        let touched: Vec<&Uuid> = changed
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
            extra.extend(&before.pending);
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

    /// The changed objects by `objectGUID`, and the position behind the changes.
    async fn changed_since(
        &mut self,
        position: &Position,
        highest_usn: i64,
    ) -> Result<Result<(Position, BTreeMap<Uuid, Changed>), FullSyncReason>, OnpremError> {
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

    /// The objects whose changes are followed; containers only if the scope depends on DNs.
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

    /// Updates the watched sets if one of the `touched` groups belongs to them; returns the objects for which the decision may
    /// differ now.
    async fn watch(
        &mut self,
        touched: &[&Uuid],
        fingerprint: &str,
    ) -> Result<Result<BTreeSet<Uuid>, FullSyncReason>, OnpremError> {
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

    /// Reads the watched groups and the groups nested in them, level by level.
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

    /// The users whose state the clock has changed since `since_s`, and when it will next change one.
    async fn turned(&mut self, since_s: i64) -> Result<(BTreeSet<Uuid>, Option<i64>), OnpremError> {
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

    /// The DNs of objects that are known by `objectGUID` only. An object that is not found is omitted: its deletion is a
    /// change of its own.
    async fn places_of(
        &mut self,
        guids: &BTreeSet<Uuid>,
    ) -> Result<BTreeMap<Uuid, String>, OnpremError> {
        let mut places = BTreeMap::new();
        for guid in guids {
            let found = self
                .ldap
                .object(&format!("<GUID={guid}>"), &["objectGUID"])
                .await;
            match found {
                Ok(Some(entry)) => {
                    places.insert(*guid, entry.dn().to_owned());
                }
                Ok(None) => {}
                Err(OnpremError::Ldap(error)) if is_refusal(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(places)
    }

    /// Reads the current state of the changed objects.
    async fn look_at(&mut self, changed: BTreeMap<Uuid, Changed>) -> Result<Observed, OnpremError> {
        let mut read = Read::default();
        let live: Vec<String> = changed
            .values()
            .filter(|one| !one.deleted)
            .map(|one| one.dn.clone())
            .collect();
        for chunk in live.chunks(CHUNK) {
            let filter = Filter::Or(chunk.iter().cloned().map(by_dn).collect());
            let entries = self.query(filter.clone(), self.attributes()).await?;
            let chosen = self.chosen(filter).await?;
            for entry in entries {
                read.take(&self.rules, &entry);
                if is_group(&entry)
                    && let Some(guid) = entry.guid("objectGUID")
                {
                    let members = self.members_of(&entry).await?;
                    read.complete(&self.rules, guid, &members);
                }
                read.choose(&entry, chosen.as_ref());
            }
        }
        // An object that is not found was renamed or deleted meanwhile. That change is still to come, and decides.
        for (guid, one) in changed {
            let seen = match one.deleted {
                true => Seen::Gone,
                false => Seen::Kept(None),
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
