//! What was read of a domain so far, and the searches on the way.

use crate::error::OnpremError;
use crate::ldap::{
    self, AllValues, Control, Entry, Filter, Ldap, LdapError, LdapResultCode, Search,
};
use crate::session::Session;
use crate::sync::model::{Domain, Object, Observed, Seen, SkipReason, Skipped};
use crate::sync::rules::{Rules, guids_of, is_group, lockout_s, name, plain_dn};
use crate::sync::scope::Scope;
use crate::sync::watched::{Graph, Node, Watched};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// What was read so far.
#[derive(Default)]
pub(super) struct Read {
    pub(super) seen: BTreeMap<Uuid, Seen>,
    pub(super) skipped: Vec<Skipped>,
    pub(super) graph: Graph,
    pub(super) places: BTreeMap<Uuid, String>,
}

impl Read {
    pub(super) fn take(&mut self, rules: &Rules, entry: &Entry) {
        if entry.text("isDeleted") == Some("TRUE") {
            return;
        }
        let guid = entry.guid("objectGUID");
        if let Some(guid) = guid {
            if let Some(node) = is_group(entry).then(|| node(entry)).flatten() {
                self.graph.insert(guid, node);
            }
            self.places.insert(guid, plain_dn(entry.dn()).to_owned());
        }
        match rules.object(entry) {
            Ok(object) => {
                self.seen
                    .insert(object.account.guid, Seen::Present(Box::new(object)));
            }
            Err(reason) => self.leave_out(guid, name(entry), reason, rules.remains(entry)),
        }
    }

    /// Leaves out an object, of which `remains` can be read.
    fn leave_out(
        &mut self,
        guid: Option<Uuid>,
        name: String,
        reason: SkipReason,
        remains: Option<Object>,
    ) {
        if let Some(guid) = guid {
            self.seen.insert(guid, left_out(reason, remains));
        }
        self.skipped.push(Skipped { guid, name, reason });
    }

    /// Adds the members of a group. If the group kept changing, the tenant keeps its members until the next reading.
    pub(super) fn complete(&mut self, rules: &Rules, guid: Uuid, members: &AllValues) {
        if let Some(node) = self.graph.get_mut(&guid) {
            node.members = guids_of(&members.values);
        }
        let Some(seen) = self.seen.get_mut(&guid) else {
            return;
        };
        match seen {
            Seen::Present(object) | Seen::Kept(Some(object)) if members.steady => {
                object.members = rules.members(&members.values);
            }
            Seen::Present(object) => {
                let name = object.account.account_name.clone();
                self.leave_out(Some(guid), name, SkipReason::Unsteady, None);
            }
            Seen::Kept(remains) => *remains = None,
            Seen::Gone => {}
        }
    }

    /// Leaves out a user that does not match the filter of the scope.
    pub(super) fn choose(&mut self, entry: &Entry, chosen: Option<&BTreeSet<Uuid>>) {
        let (Some(chosen), Some(guid)) = (chosen, entry.guid("objectGUID")) else {
            return;
        };
        if !is_group(entry) && !chosen.contains(&guid) {
            self.skipped.retain(|one| one.guid != Some(guid));
            self.leave_out(Some(guid), name(entry), SkipReason::OutOfScope, None);
        }
    }
}

/// Leaves out the users that the watched groups exclude.
pub(super) fn leave_out_watched(observed: &mut Observed, watched: &Watched) {
    for (guid, seen) in &mut observed.seen {
        let (Seen::Present(object) | Seen::Kept(Some(object))) = &*seen else {
            continue;
        };
        if let Some(reason) = watched.skip_reason(object) {
            if matches!(seen, Seen::Kept(_)) {
                // It has been reported as such; what excludes it comes first.
                let reported = observed.skipped.iter_mut();
                for one in reported.filter(|one| one.guid == Some(*guid)) {
                    one.reason = reason;
                }
            } else {
                observed.skipped.push(Skipped {
                    guid: Some(*guid),
                    name: object.account.account_name.clone(),
                    reason,
                });
            }
            *seen = left_out(reason, None);
        }
    }
}

fn left_out(reason: SkipReason, remains: Option<Object>) -> Seen {
    match reason.keeps_existing() {
        true => Seen::Kept(remains.map(Box::new)),
        false => Seen::Gone,
    }
}

pub(super) fn next_turn(observed: &Observed) -> Option<i64> {
    let turns = |object: &Object| object.turns_at;
    observed.present().filter_map(turns).min()
}

pub(super) fn reported(skipped: &[Skipped]) -> u64 {
    let count = skipped
        .iter()
        .filter(|one| one.reason.is_reported())
        .count();
    u64::try_from(count).unwrap_or(u64::MAX)
}

pub(super) fn unusable(skipped: &[Skipped]) -> BTreeSet<Uuid> {
    skipped
        .iter()
        .filter(|one| one.reason.keeps_existing())
        .filter_map(|one| one.guid)
        .collect()
}

/// A group without its members, which are read later.
pub(super) fn node(entry: &Entry) -> Option<Node> {
    Some(Node {
        sid: entry.sid("objectSid")?,
        name: entry
            .text("sAMAccountName")
            .unwrap_or_default()
            .to_lowercase(),
        members: BTreeSet::new(),
    })
}

pub(super) fn class(name: &str) -> Filter {
    Filter::Equality("objectClass".to_owned(), name.to_owned())
}

pub(super) fn by_dn(dn: String) -> Filter {
    Filter::Equality("distinguishedName".to_owned(), dn)
}

pub(super) fn next(usn: i64) -> String {
    usn.saturating_add(1).to_string()
}

pub(super) async fn highest_usn(ldap: &mut Ldap) -> Result<i64, OnpremError> {
    let root = ldap.root_dse().await?;
    root.highest_committed_usn
        .ok_or_else(|| LdapError::Protocol("it lacks highestCommittedUSN".to_owned()).into())
}

/// Whether the account may read deleted objects: whether it finds one.
pub(super) async fn sees_deleted(ldap: &mut Ldap) -> Result<bool, OnpremError> {
    let search = deleted(ldap, Vec::new());
    match ldap.pages_of(1, search).next().await {
        Ok(page) => Ok(page.is_some_and(|page| !page.is_empty())),
        Err(OnpremError::Ldap(error)) if is_refusal(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The objects deleted since `usn`, if the account may read them.
pub(super) async fn deleted_since(ldap: &mut Ldap, usn: i64) -> Result<Vec<Entry>, OnpremError> {
    let since = Filter::GreaterOrEqual("uSNChanged".to_owned(), usn.to_string());
    let search = deleted(ldap, vec![since]);
    let mut pages = ldap.pages(search);
    let mut all = Vec::new();
    loop {
        match pages.next().await {
            Ok(Some(page)) => all.extend(page),
            Ok(None) => return Ok(all),
            Err(OnpremError::Ldap(error)) if is_refusal(&error) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        }
    }
}

/// A search of the Deleted Objects container for objects that also match `more`. The scope is one level: deleted objects have
/// no children, and Samba has an index for that scope but not for a subtree.
fn deleted(ldap: &Ldap, more: Vec<Filter>) -> Search {
    let base = format!("CN=Deleted Objects,{}", ldap.base());
    let mut filters = vec![
        Filter::Equality("isDeleted".to_owned(), "TRUE".to_owned()),
        Filter::Present("lastKnownParent".to_owned()),
    ];
    filters.extend(more);
    let attributes = ["objectGUID", "objectClass", "isDeleted"];
    Search {
        scope: ldap::Scope::OneLevel,
        ..Search::subtree(&base, Filter::And(filters), &attributes)
    }
    .with(Control::ShowDeleted)
}

/// All pages of a DirSync search from `cookie` on, and the last cookie.
pub(super) async fn dirsync(
    ldap: &mut Ldap,
    search: &Search,
    flags: i64,
    mut cookie: Vec<u8>,
    take: &mut (dyn FnMut(Entry) + Send),
) -> Result<Vec<u8>, OnpremError> {
    loop {
        let (more, next) = ldap.dirsync(search, flags, cookie.clone(), take).await?;
        if !more {
            return Ok(next);
        }
        if next == cookie {
            return Err(LdapError::Protocol("its DirSync pages do not end".to_owned()).into());
        }
        cookie = next;
    }
}

/// Whether the account lacks the right to replicate.
pub(super) fn is_denied(error: &OnpremError) -> bool {
    matches!(error, OnpremError::Ldap(error) if error.is_access_denied())
}

/// Whether the domain controller refused the request, rather than being busy or disconnecting.
pub(super) fn is_refusal(error: &LdapError) -> bool {
    error.code().is_some_and(|code| {
        !matches!(
            code,
            LdapResultCode::Busy
                | LdapResultCode::Unavailable
                | LdapResultCode::TimeLimitExceeded
                | LdapResultCode::AdminLimitExceeded
        )
    })
}

pub(super) async fn rules(
    session: &Session,
    ldap: &mut Ldap,
    scope: &Scope,
) -> Result<Rules, OnpremError> {
    let base = ldap.base().to_owned();
    let head = ldap
        .object(&base, &["objectSid", "lockoutDuration"])
        .await?
        .ok_or_else(|| LdapError::Missing(base.clone()))?;
    let partitions = format!(
        "CN=Partitions,{}",
        session.dc().root_dse.configuration_naming_context
    );
    let of_domain = Filter::Equality("nCName".to_owned(), base.clone());
    let search = Search::subtree(&partitions, of_domain, &["nETBIOSName"]);
    let flat_name = ldap
        .search(&search)
        .await?
        .first()
        .map(|entry| entry.require_text("nETBIOSName").map(str::to_owned))
        .ok_or(LdapError::Missing(partitions))??;
    let mut ous = Vec::new();
    for ou in &scope.ous {
        let found = match ldap.object(ou, &["objectClass"]).await {
            Ok(found) => found,
            Err(OnpremError::Ldap(error))
                if error.code() == Some(&LdapResultCode::InvalidDNSyntax) =>
            {
                None
            }
            Err(error) => return Err(error),
        };
        let found = found.ok_or_else(|| OnpremError::NoScopeOu(ou.clone()))?;
        ous.push(found.dn().to_owned());
    }
    let root = ldap.root_dse().await?;
    let now_s = root
        .time_s()
        .ok_or_else(|| LdapError::Protocol("it does not say its time".to_owned()))?;
    Ok(Rules {
        domain: Domain {
            dns_name: session.dc().domain.clone(),
            flat_name,
            sid: head.require_sid("objectSid")?,
        },
        base: base.to_lowercase(),
        lockout_s: lockout_s(head.number("lockoutDuration")),
        now_s,
        scope: Scope {
            ous,
            ..scope.clone()
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ldap::{Connection, Scope};
    use ldap3_proto::control::LdapControl;
    use ldap3_proto::proto::{LdapMsg, LdapOp, LdapResult};
    use ldap3_proto::{LdapCodec, LdapPartialAttribute, LdapSearchResultEntry};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_util::bytes::BytesMut;
    use tokio_util::codec::{Decoder, Encoder};

    /// Answers each search with one object and the next of these pages: whether there is more, and the cookie. Returns the
    /// cookies that were received.
    async fn serve(mut stream: TcpStream, pages: &[(i64, &[u8])]) -> Vec<Vec<u8>> {
        let (mut codec, mut asked) = (LdapCodec::default(), Vec::new());
        let mut incoming = BytesMut::new();
        for (more, cookie) in pages {
            let request = loop {
                match codec.decode(&mut incoming).unwrap() {
                    Some(request) => break request,
                    None if stream.read_buf(&mut incoming).await.unwrap() == 0 => return asked,
                    None => {}
                }
            };
            asked.extend(request.ctrl.iter().find_map(|control| match control {
                LdapControl::AdDirsync { cookie, .. } => cookie.clone(),
                _ => None,
            }));
            let entry = LdapSearchResultEntry {
                dn: format!("CN={}", asked.len()),
                attributes: vec![LdapPartialAttribute {
                    atype: "cn".into(),
                    vals: Vec::new(),
                }],
            };
            let done = LdapResult {
                code: LdapResultCode::Success,
                matcheddn: String::new(),
                message: String::new(),
                referral: Vec::new(),
            };
            let page = LdapControl::AdDirsync {
                flags: *more,
                max_bytes: 0,
                cookie: Some(cookie.to_vec()),
            };
            let mut outgoing = BytesMut::new();
            for (op, ctrl) in [
                (LdapOp::SearchResultEntry(entry), Vec::new()),
                (LdapOp::SearchResultDone(done), vec![page]),
            ] {
                let msgid = request.msgid;
                codec
                    .encode(LdapMsg { msgid, op, ctrl }, &mut outgoing)
                    .unwrap();
            }
            stream.write_all(&outgoing).await.unwrap();
        }
        asked
    }

    /// What the agent reads from these pages: the names of the objects, and the last cookie; and the cookies that it sent.
    async fn read(
        pages: &'static [(i64, &[u8])],
    ) -> (Vec<String>, Result<Vec<u8>, OnpremError>, Vec<Vec<u8>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server =
            tokio::spawn(async move { serve(listener.accept().await.unwrap().0, pages).await });
        let mut ldap = Ldap::over(
            Connection::open("dc", address).await.unwrap(),
            String::new(),
        );
        let search = Search {
            base: "DC=corp".into(),
            scope: Scope::Subtree,
            filter: class("user"),
            attributes: Vec::new(),
            controls: Vec::new(),
        };
        let mut names = Vec::new();
        let mut take = |entry: Entry| names.push(entry.dn().to_owned());
        let read = dirsync(&mut ldap, &search, 0, b"before".to_vec(), &mut take).await;
        drop(ldap);
        (names, read, server.await.unwrap())
    }

    #[tokio::test]
    async fn pages_are_read_as_long_as_there_are_more() {
        let (names, last, asked) = read(&[(1, b"one"), (1, b"two"), (0, b"three")]).await;
        assert_eq!(names, ["CN=1", "CN=2", "CN=3"]);
        assert_eq!(last.unwrap(), b"three");
        assert_eq!(asked, [&b"before"[..], b"one", b"two"]);
    }

    #[tokio::test]
    async fn a_page_that_leads_nowhere_is_refused() {
        let (_, refused, _) = read(&[(1, b"one"), (1, b"one")]).await;
        let refused = refused.unwrap_err().to_string();
        assert!(
            refused.contains("its DirSync pages do not end"),
            "{refused}"
        );
    }
}
