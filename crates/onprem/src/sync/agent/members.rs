//! Reading the members of groups by ranges, which bounds each message.
//!
//! If ordinary reading returns no member, DirSync is asked too: it also returns the members of a group that are hidden from
//! ordinary users.

use super::read::{Read, by_dn, class, is_refusal};
use super::{Agent, CHUNK};
use crate::error::OnpremError;
use crate::ldap::{AllValues, Control, Entry, Filter, LdapError, range};
use crate::sync::rules::plain_dn;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// How many members are requested together with the group: the most that Windows returns.
const FIRST: u64 = 1_500;
/// Groups in a page; with [`FIRST`] it bounds the size of a page.
const GROUPS_IN_PAGE: i64 = 200;

impl Agent {
    /// Reads the members of one group.
    pub(super) async fn members_of(&mut self, group: &Entry) -> Result<AllValues, OnpremError> {
        let dn = plain_dn(group.dn()).to_owned();
        let found = self
            .ldap
            .all_values(&dn, "member", &[Control::ExtendedDn])
            .await;
        match found {
            Ok(members) if !members.values.is_empty() => return Ok(members),
            Ok(_) | Err(OnpremError::Ldap(LdapError::Missing(_))) => {}
            Err(OnpremError::Ldap(error)) if is_refusal(&error) => {}
            Err(error) => return Err(error),
        }
        let hidden = self.hidden_members(&[dn]).await?;
        Ok(hidden.into_values().next().unwrap_or_else(unread))
    }

    /// Reads the members of all groups that were read.
    pub(super) async fn read_members(&mut self, read: &mut Read) -> Result<(), OnpremError> {
        let mut open: BTreeSet<Uuid> = read.graph.keys().copied().collect();
        let mut large = Vec::new();
        let attributes = vec!["objectGUID".to_owned(), range("member", 0, FIRST)];
        let search = self.search(class("group"), attributes);
        let mut pages = self.ldap.pages_of(GROUPS_IN_PAGE, search);
        while let Some(page) = pages.next().await? {
            for entry in page {
                let Some(guid) = entry.guid("objectGUID") else {
                    continue;
                };
                let (values, end) = match entry.ranged("member") {
                    Some(part) => part,
                    None => (entry.values("member"), None),
                };
                if values.is_empty() {
                    continue;
                }
                open.remove(&guid);
                if end.is_some() {
                    large.push((guid, plain_dn(entry.dn()).to_owned()));
                } else {
                    let values = values.to_vec();
                    let steady = true;
                    read.complete(&self.rules, guid, &AllValues { values, steady });
                }
            }
        }
        for (guid, dn) in large {
            let all = self.ldap.all_values(&dn, "member", &[Control::ExtendedDn]);
            let members = match all.await {
                Ok(members) => members,
                Err(OnpremError::Ldap(error)) if is_refusal(&error) => unread(),
                Err(error) => return Err(error),
            };
            read.complete(&self.rules, guid, &members);
        }
        let places: Vec<String> = open
            .iter()
            .filter_map(|guid| read.places.get(guid).cloned())
            .collect();
        let mut hidden = self.hidden_members(&places).await?;
        for guid in open {
            let members = hidden.remove(&guid).unwrap_or_else(unread);
            read.complete(&self.rules, guid, &members);
        }
        Ok(())
    }

    /// The members that DirSync returns for the groups with these DNs, by `objectGUID`. A group that was returned in part is
    /// not steady.
    async fn hidden_members(
        &mut self,
        places: &[String],
    ) -> Result<BTreeMap<Uuid, AllValues>, OnpremError> {
        let mut found = BTreeMap::new();
        for chunk in places.chunks(CHUNK) {
            let filter = Filter::Or(chunk.iter().cloned().map(by_dn).collect());
            let attributes = ["objectGUID", "name", "member"].map(str::to_owned);
            for entry in self.query(filter, attributes.to_vec()).await? {
                let Some(guid) = entry.guid("objectGUID") else {
                    continue;
                };
                let (values, end) = match entry.ranged("member") {
                    Some(part) => part,
                    None => (entry.values("member"), None),
                };
                let members = AllValues {
                    values: values.to_vec(),
                    steady: end.is_none(),
                };
                found.insert(guid, members);
            }
        }
        Ok(found)
    }
}

/// A group that is no longer at its DN was moved, renamed or deleted. That change is still to come, and decides.
fn unread() -> AllValues {
    AllValues {
        values: Vec::new(),
        steady: false,
    }
}
