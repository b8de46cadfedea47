//! What a request makes of each object.

use crate::sync::model::IdentityChange;
use crossrealm_types::{RefusedChangeCode, SyncedIdentity};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// Why an object is refused.
pub(super) type Reason = (RefusedChangeCode, String);

/// What a request makes of each object: an object that is written several times is written as the last time.
#[derive(Default)]
pub(super) struct LastWord<'a> {
    written: HashMap<Uuid, &'a SyncedIdentity>,
    /// The written objects in the order in which they are first written.
    order: Vec<Uuid>,
    /// The objects that the request deletes and does not write again.
    pub(super) deleted: HashSet<Uuid>,
}

impl<'a> LastWord<'a> {
    pub(super) fn of(changes: &'a [IdentityChange]) -> Self {
        let mut last = Self::default();
        for change in changes {
            match change {
                IdentityChange::Upsert(object) => {
                    let guid = object.object_guid;
                    if last.written.insert(guid, object).is_none() {
                        last.order.push(guid);
                    }
                    last.deleted.remove(&guid);
                }
                IdentityChange::Delete(guid) => {
                    last.deleted.insert(*guid);
                }
                IdentityChange::Members { .. } => {}
            }
        }
        last
    }

    /// What the request makes of a written object.
    pub(super) fn object(&self, guid: Uuid) -> Option<&'a SyncedIdentity> {
        self.written.get(&guid).copied()
    }

    /// The written objects, as the request leaves them.
    pub(super) fn objects(&self) -> impl Iterator<Item = &'a SyncedIdentity> {
        self.order.iter().filter_map(|guid| self.object(*guid))
    }
}
