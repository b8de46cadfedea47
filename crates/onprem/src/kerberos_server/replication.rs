//! Whether the other domain controllers have a change.
//!
//! Users sign in at any domain controller, and each issues referrals from its own replica of the trust: until a change has
//! replicated everywhere, it affects some users only. What is compared is the replication metadata of the objects ([MS-ADTS]
//! 3.1.1.1.9): it identifies the originating write of each attribute, secrets included, without the value.

use super::{COMPUTER_NAME, USER_NAME};
use crate::dc::{Choice, DomainController};
use crate::error::OnpremError;
use crate::ldap::{Entry, Filter, Ldap, Search};
use crate::session::Session;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long replication is waited for: within a site, AD notifies its partners within 15 s ([MS-ADTS] 6.1.1.2.2.1.2.1.1), and
/// they replicate at once.
pub const WAIT: Duration = Duration::from_secs(30);
/// The time limit for one round of queries to a partner.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// The pause between two rounds.
const PAUSE: Duration = Duration::from_secs(1);
/// The most partners that are queried.
const MAX_PARTNERS: usize = 64;
/// Bytes before the entries of `replPropertyMetaData`.
const META_HEADER: usize = 16;
/// The ATTRTYP of `cn` (OID 2.5.4.3). Each domain controller writes it itself: what replicates is `name`.
const ATTID_CN: u32 = 3;
/// Bytes of an entry: attribute, version, time, invocation id, two USNs ([MS-DRSR] 5.166 PROPERTY_META_DATA_VECTOR).
const META_ENTRY: usize = 48;

/// The state of a partner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It has the change, or a newer one.
    Same,
    /// It does not have the change yet; the names of the objects that differ.
    Lags(Vec<String>),
    /// It could not be queried; the reason.
    Silent(String),
}

/// A partner and its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partner {
    /// Its DNS name.
    pub host: String,
    /// Its state.
    pub seen: Seen,
}

/// The objects that are compared.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The tenant's realm, which is the name of the trusted domain object.
    pub realm: String,
    /// The tenant's flat name, which is the name of the trust's account without `$`.
    pub flat_name: String,
}

/// The objects by the names used in messages, with the originating write of each attribute.
type View = BTreeMap<String, BTreeMap<u32, Stamp>>;

/// The originating write of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    version: u32,
    invocation: [u8; 16],
    usn: u64,
}

/// Waits up to `limit` until every other writable domain controller has the objects as the session's has them. The partners
/// are queried concurrently; one that cannot be reached is not waited for.
///
/// # Errors
///
/// If the session's own domain controller cannot be read.
pub async fn settle(
    session: &Session,
    ldap: &mut Ldap,
    subject: &Subject,
    limit: Duration,
) -> Result<Vec<Partner>, OnpremError> {
    let until = Instant::now() + limit;
    let hosts = partners(ldap, session).await?;
    if hosts.is_empty() {
        return Ok(Vec::new());
    }
    let own = view(ldap, subject).await?;
    if own.values().any(BTreeMap::is_empty) {
        let reason = "the account may not read `replPropertyMetaData`";
        let unknown = |host| Partner {
            host,
            seen: Seen::Silent(reason.to_owned()),
        };
        return Ok(hosts.into_iter().map(unknown).collect());
    }
    let mut tasks = JoinSet::new();
    for host in hosts.into_iter().take(MAX_PARTNERS) {
        let (session, own, subject) = (session.clone(), own.clone(), subject.clone());
        tasks.spawn(async move {
            let seen = follow(&session, &host, &own, &subject, until).await;
            Partner { host, seen }
        });
    }
    let mut found = tasks.join_all().await;
    found.sort_by(|a, b| a.host.cmp(&b.host));
    Ok(found)
}

/// The other domain controllers with a writable replica of the domain.
async fn partners(ldap: &mut Ldap, session: &Session) -> Result<Vec<String>, OnpremError> {
    let root = &session.dc().root_dse;
    let filter = Filter::And(vec![
        Filter::Equality("objectClass".to_owned(), "nTDSDSA".to_owned()),
        Filter::Equality("hasMasterNCs".to_owned(), ldap.base().to_owned()),
    ]);
    let sites = format!("CN=Sites,{}", root.configuration_naming_context);
    let search = Search::subtree(&sites, filter, &["hasMasterNCs"]);
    let mut hosts = Vec::new();
    for settings in ldap.search(&search).await? {
        if settings.dn().eq_ignore_ascii_case(&root.ds_service_name) {
            continue;
        }
        let server = settings
            .dn()
            .split_once(',')
            .map_or("", |(_, server)| server);
        let entry = ldap.object(server, &["dNSHostName"]).await?;
        // A domain controller that was removed leaves its settings object behind, without a name.
        let host = entry.and_then(|entry| entry.text("dNSHostName").map(str::to_lowercase));
        hosts.extend(host);
    }
    Ok(hosts)
}

/// Queries one partner until it has the objects as the session's domain controller has them, or the time is over.
async fn follow(
    session: &Session,
    host: &str,
    own: &View,
    subject: &Subject,
    until: Instant,
) -> Seen {
    let ask = async || -> Result<View, OnpremError> {
        let choice = Choice::Named(host.to_owned());
        let dc = DomainController::find(&session.dc().domain, &choice).await?;
        let mut ldap = session.beside(dc).ldap().await?;
        view(&mut ldap, subject).await
    };
    loop {
        let seen = match tokio::time::timeout(ANSWER_LIMIT, ask()).await {
            Ok(Ok(theirs)) => match differences(own, &theirs) {
                names if names.is_empty() => return Seen::Same,
                names => Seen::Lags(names),
            },
            Ok(Err(error)) => return Seen::Silent(error.to_string()),
            Err(_) => {
                let seconds = ANSWER_LIMIT.as_secs();
                return Seen::Silent(format!("no answer within {seconds} s"));
            }
        };
        if Instant::now() + PAUSE > until {
            return seen;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The objects as a domain controller has them.
async fn view(ldap: &mut Ldap, subject: &Subject) -> Result<View, OnpremError> {
    let equal = |name: &str, value: &str| Filter::Equality(name.to_owned(), value.to_owned());
    let trust = Filter::And(vec![
        equal("objectClass", "trustedDomain"),
        equal("trustPartner", &subject.realm),
    ]);
    let filter = Filter::Or(vec![
        trust,
        equal("sAMAccountName", &format!("{}$", subject.flat_name)),
        equal("sAMAccountName", &format!("{COMPUTER_NAME}$")),
        equal("cn", USER_NAME),
    ]);
    let base = ldap.base().to_owned();
    let search = Search::subtree(&base, filter, &["replPropertyMetaData"]);
    let found = ldap.search(&search).await?;
    Ok(found.iter().map(stamped).collect())
}

fn stamped(entry: &Entry) -> (String, BTreeMap<u32, Stamp>) {
    let metadata = entry.values("replPropertyMetaData").first();
    let stamps = metadata.map(|metadata| stamps(metadata));
    (entry.dn().to_lowercase(), stamps.unwrap_or_default())
}

/// The stamps of a `replPropertyMetaData`; a malformed value has none.
fn stamps(metadata: &[u8]) -> BTreeMap<u32, Stamp> {
    let is_known = metadata
        .first_chunk::<4>()
        .is_some_and(|version| u32::from_le_bytes(*version) == 1);
    let entries = metadata.get(META_HEADER..).filter(|_| is_known);
    entries
        .unwrap_or_default()
        .chunks_exact(META_ENTRY)
        .filter_map(|entry| {
            let number = |at: usize| -> Option<u32> {
                Some(u32::from_le_bytes(entry.get(at..at + 4)?.try_into().ok()?))
            };
            let stamp = Stamp {
                version: number(4)?,
                invocation: entry.get(16..32)?.try_into().ok()?,
                usn: u64::from_le_bytes(entry.get(32..40)?.try_into().ok()?),
            };
            Some((number(0)?, stamp))
        })
        .filter(|(attribute, _)| *attribute != ATTID_CN)
        .collect()
}

/// The objects that the partner does not have as in `own`: missing, not deleted yet, or with an older write.
fn differences(own: &View, theirs: &View) -> Vec<String> {
    let changed = own.iter().filter(|(name, stamps)| {
        theirs.get(*name).is_none_or(|theirs| {
            stamps.iter().any(|(attribute, stamp)| {
                theirs
                    .get(attribute)
                    .is_none_or(|their| their != stamp && their.version <= stamp.version)
            })
        })
    });
    let gone = theirs.iter().filter(|(name, _)| !own.contains_key(*name));
    changed.chain(gone).map(|(name, _)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Attribute, version, invocation id, USN.
    type Written = (u32, u32, u8, u64);

    fn metadata(entries: &[Written]) -> Vec<u8> {
        let mut out = vec![1, 0, 0, 0, 0, 0, 0, 0];
        out.extend(u32::try_from(entries.len()).unwrap().to_le_bytes());
        out.extend([0; 4]);
        for (attribute, version, invocation, usn) in entries {
            out.extend(attribute.to_le_bytes());
            out.extend(version.to_le_bytes());
            out.extend([9; 8]);
            out.extend([*invocation; 16]);
            out.extend(usn.to_le_bytes());
            // The USN of the change on this very controller, different everywhere.
            out.extend([*invocation; 8]);
        }
        out
    }

    fn view(objects: &[(&str, &[Written])]) -> View {
        let one =
            |(name, entries): &(&str, &[Written])| ((*name).to_owned(), stamps(&metadata(entries)));
        objects.iter().map(one).collect()
    }

    #[test]
    fn a_partner_lags_where_an_attribute_is_older_or_an_object_is_missing_or_left() {
        let own = view(&[("cn=tdo", &[(9, 3, 7, 100), (2, 1, 7, 90)])]);
        assert_eq!(differences(&own, &own), [""; 0]);
        let older = view(&[("cn=tdo", &[(9, 2, 7, 95), (2, 1, 7, 90)])]);
        assert_eq!(differences(&own, &older), ["cn=tdo"]);
        let partly = view(&[("cn=tdo", &[(2, 1, 7, 90)])]);
        assert_eq!(differences(&own, &partly), ["cn=tdo"]);
        assert_eq!(differences(&own, &view(&[])), ["cn=tdo"]);
        assert_eq!(differences(&view(&[]), &own), ["cn=tdo"]);
        // Made anew elsewhere at the same time: the same version, but another change.
        let other = view(&[("cn=tdo", &[(9, 3, 8, 100), (2, 1, 7, 90)])]);
        assert_eq!(differences(&own, &other), ["cn=tdo"]);
        // It was changed there since: nothing is missing.
        let newer = view(&[("cn=tdo", &[(9, 4, 8, 5), (2, 1, 7, 90)])]);
        assert_eq!(differences(&own, &newer), [""; 0]);
    }

    #[test]
    fn the_name_that_each_controller_stamps_itself_is_no_difference() {
        let own = view(&[("cn=tdo", &[(ATTID_CN, 1, 7, 100), (9, 1, 7, 99)])]);
        let theirs = view(&[("cn=tdo", &[(ATTID_CN, 1, 8, 3), (9, 1, 7, 99)])]);
        assert_eq!(differences(&own, &theirs), [""; 0]);
    }

    #[test]
    fn damaged_metadata_has_no_stamps() {
        let whole = metadata(&[(1, 1, 1, 1)]);
        assert_eq!(stamps(&whole).len(), 1);
        for cut in 0..whole.len() {
            assert!(stamps(&whole[..cut]).is_empty());
        }
        let mut other_version = whole;
        other_version[0] = 2;
        assert!(stamps(&other_version).is_empty());
    }
}
