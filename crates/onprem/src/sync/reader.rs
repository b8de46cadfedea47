//! Reading a domain: a paged search, and the rules that say what is taken over.

use super::model::{Account, DisabledReason, Domain, Kind, Object, Observed, SkipReason, Skipped};
use crate::error::OnpremError;
use crate::ldap::{Control, Entry, Filter, Ldap, LdapError, Search};
use crate::os::now;
use crate::session::Session;
use std::collections::{BTreeMap, BTreeSet};

/// `sAMAccountType` of ordinary users ([MS-SAMR] 2.2.1.9): computers and trust accounts have others.
const NORMAL_USER: &str = "805306368";

/// Bits of `userAccountControl`, [MS-ADTS] 2.2.16.
const ACCOUNT_DISABLED: u32 = 2;

/// The bit of `groupType` that makes a security group, [MS-ADTS] 2.2.12.
const SECURITY_GROUP: u32 = 0x8000_0000;

/// RIDs below this are AD's own.
const FIRST_FREE_RID: u32 = 1000;

/// The longest name that is taken over, in bytes. AD's own limits are lower.
const MAX_NAME_LEN: usize = 1024;

const ATTRIBUTES: [&str; 15] = [
    "objectGUID",
    "objectSid",
    "objectClass",
    "sAMAccountName",
    "userPrincipalName",
    "displayName",
    "userAccountControl",
    "accountExpires",
    "lockoutTime",
    "primaryGroupID",
    "groupType",
    "isCriticalSystemObject",
    "msDS-SecondaryKrbTgtNumber",
    "member",
    "cn",
];

/// Reads all users, security groups and direct memberships of the session's domain. `progress` is told the number of
/// objects read so far, page by page.
pub async fn read(
    session: &Session,
    ldap: &mut Ldap,
    mut progress: impl FnMut(usize),
) -> Result<Observed, OnpremError> {
    let rules = Rules::read(session, ldap).await?;
    let filter = Filter::Or(vec![
        Filter::Equality("sAMAccountType".to_owned(), NORMAL_USER.to_owned()),
        Filter::Equality("objectClass".to_owned(), "group".to_owned()),
    ]);
    let search = Search::subtree(ldap.base(), filter, &ATTRIBUTES).with(Control::ExtendedDn);
    let mut objects = BTreeMap::new();
    let mut skipped = Vec::new();
    let mut unfinished = Vec::new();
    let mut count = 0;
    let mut pages = ldap.pages(search);
    while let Some(page) = pages.next().await? {
        count += page.len();
        for entry in &page {
            match rules.object(entry) {
                Ok(object) => {
                    if entry.ranged("member").is_some() {
                        unfinished
                            .push((plain_dn(entry.dn()).to_owned(), object.account.guid.clone()));
                    }
                    objects.insert(object.account.guid.clone(), object);
                }
                Err(reason) => skipped.push(Skipped {
                    guid: entry.guid("objectGUID"),
                    name: name(entry),
                    reason,
                }),
            }
        }
        progress(count);
    }
    for (dn, guid) in unfinished {
        let values = ldap
            .all_values(&dn, "member", &[Control::ExtendedDn])
            .await?;
        if let Some(object) = objects.get_mut(&guid) {
            object.members = members(&values);
        }
    }
    Ok(Observed {
        domain: rules.domain,
        objects,
        skipped,
    })
}

/// What must be known of the domain to judge its objects.
struct Rules {
    domain: Domain,
    /// How long a lock lasts in seconds; `None` until an administrator ends it.
    lockout_s: Option<i64>,
    now_s: i64,
}

impl Rules {
    async fn read(session: &Session, ldap: &mut Ldap) -> Result<Self, OnpremError> {
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
        Ok(Self {
            domain: Domain {
                dns_name: session.dc().domain.clone(),
                flat_name,
                sid: head.require_sid("objectSid")?,
            },
            lockout_s: lockout_s(head.number("lockoutDuration")),
            now_s: i64::try_from(now().as_secs()).unwrap_or(i64::MAX),
        })
    }

    fn object(&self, entry: &Entry) -> Result<Object, SkipReason> {
        let unusable = SkipReason::UnusableValue;
        let guid = entry.guid("objectGUID").ok_or(unusable("objectGUID"))?;
        let sid = entry.sid("objectSid").ok_or(unusable("objectSid"))?;
        if !sid.is_in_domain(&self.domain.sid) {
            return Err(SkipReason::ForeignSid);
        }
        let is_group = entry
            .texts("objectClass")
            .iter()
            .any(|class| class.eq_ignore_ascii_case("group"));
        let account_name = text(entry, "sAMAccountName")?.ok_or(unusable("sAMAccountName"))?;
        let display_name = text(entry, "displayName")?.unwrap_or_default();
        if is_group {
            let kind = entry.flags("groupType").ok_or(unusable("groupType"))?;
            if kind & SECURITY_GROUP == 0 {
                return Err(SkipReason::NotASecurityGroup);
            }
            return Ok(Object {
                account: Account {
                    guid,
                    kind: Kind::Group,
                    sid,
                    account_name,
                    upn: String::new(),
                    display_name,
                    disabled: None,
                    primary_group_rid: 0,
                },
                members: members(entry.values("member")),
            });
        }
        if sid.rid() < FIRST_FREE_RID {
            return Err(SkipReason::ReservedRid);
        }
        if entry.text("isCriticalSystemObject") == Some("TRUE")
            || entry.has("msDS-SecondaryKrbTgtNumber")
        {
            return Err(SkipReason::SystemAccount);
        }
        let primary_group_rid = entry
            .number("primaryGroupID")
            .and_then(|rid| u32::try_from(rid).ok())
            .ok_or(unusable("primaryGroupID"))?;
        Ok(Object {
            account: Account {
                guid,
                kind: Kind::User,
                sid,
                upn: match text(entry, "userPrincipalName")? {
                    Some(upn) => upn,
                    None => format!("{account_name}@{}", self.domain.dns_name),
                },
                account_name,
                display_name,
                disabled: self.disabled(entry)?,
                primary_group_rid,
            },
            members: BTreeSet::new(),
        })
    }

    fn disabled(&self, entry: &Entry) -> Result<Option<DisabledReason>, SkipReason> {
        let control = entry
            .flags("userAccountControl")
            .ok_or(SkipReason::UnusableValue("userAccountControl"))?;
        if control & ACCOUNT_DISABLED != 0 {
            return Ok(Some(DisabledReason::Disabled));
        }
        if entry
            .file_time("accountExpires")
            .is_some_and(|at| at <= self.now_s)
        {
            return Ok(Some(DisabledReason::Expired));
        }
        // `lockoutTime` stays set after the lock has run out, until the next sign-in.
        let locked = entry.file_time("lockoutTime").is_some_and(|at| {
            self.lockout_s
                .is_none_or(|lasts| at.saturating_add(lasts) > self.now_s)
        });
        Ok(locked.then_some(DisabledReason::Locked))
    }
}

/// `lockoutDuration` is a negative count of 100 ns; the most negative one (or zero) means for ever.
fn lockout_s(duration: Option<i64>) -> Option<i64> {
    match duration {
        Some(ticks) if ticks < 0 && ticks != i64::MIN => Some(ticks / -10_000_000),
        _ => None,
    }
}

/// A value that must be text if it is there at all.
fn text(entry: &Entry, attribute: &'static str) -> Result<Option<String>, SkipReason> {
    if !entry.has(attribute) {
        return Ok(None);
    }
    entry
        .text(attribute)
        .filter(|text| !text.is_empty() && text.len() <= MAX_NAME_LEN && !text.contains('\0'))
        .map(|text| Some(text.to_owned()))
        .ok_or(SkipReason::UnusableValue(attribute))
}

/// The `objectGUID`s in extended DNs (`<GUID=…>;<SID=…>;CN=…`).
fn members(values: &[Vec<u8>]) -> BTreeSet<String> {
    values
        .iter()
        .filter_map(|value| {
            let rest = value.strip_prefix(b"<GUID=")?;
            let guid = std::str::from_utf8(rest.get(..36)?).ok()?;
            Some(guid.to_lowercase())
        })
        .collect()
}

/// A DN without the GUID and SID that the extended form puts in front.
fn plain_dn(dn: &str) -> &str {
    dn.rsplit_once(">;").map_or(dn, |(_, dn)| dn)
}

/// What to call an object that is left out.
fn name(entry: &Entry) -> String {
    ["sAMAccountName", "cn"]
        .into_iter()
        .find_map(|attribute| entry.text(attribute))
        .unwrap_or(plain_dn(entry.dn()))
        .chars()
        .take(MAX_NAME_LEN)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUID: &[u8] = &[1; 16];

    fn rules() -> Rules {
        Rules {
            domain: Domain {
                dns_name: "corp.contoso.com".into(),
                flat_name: "CORP".into(),
                sid: "S-1-5-21-1-2-3".parse().unwrap(),
            },
            lockout_s: Some(1800),
            now_s: 1_700_000_000,
        }
    }

    fn sid(text: &str) -> Vec<u8> {
        text.parse::<crossrealm_krb::sid::Sid>().unwrap().to_bytes()
    }

    fn user(rid: u32, more: &[(&str, &[&[u8]])]) -> Entry {
        let sid = sid(&format!("S-1-5-21-1-2-3-{rid}"));
        let mut attributes: Vec<(&str, &[&[u8]])> = more.to_vec();
        let sid_values: [&[u8]; 1] = [&sid];
        attributes.extend([
            ("objectGUID", &[GUID] as &[&[u8]]),
            ("objectSid", &sid_values),
            ("objectClass", &[b"top", b"user"]),
            ("sAMAccountName", &[b"m\xc3\xbcller"]),
            ("userAccountControl", &[b"512"]),
            ("primaryGroupID", &[b"513"]),
        ]);
        Entry::from_parts("CN=x,DC=corp", &attributes)
    }

    /// Unix seconds as AD writes them.
    fn ticks(seconds: i64) -> Vec<u8> {
        ((seconds + 11_644_473_600) * 10_000_000)
            .to_string()
            .into_bytes()
    }

    #[test]
    fn a_user_is_taken_over() {
        let object = rules().object(&user(1104, &[])).unwrap();
        assert_eq!(object.account.upn, "müller@corp.contoso.com");
        assert_eq!(object.account.guid, "01010101-0101-0101-0101-010101010101");
        assert_eq!(
            (object.account.primary_group_rid, object.account.disabled),
            (513, None)
        );
    }

    #[test]
    fn who_may_not_sign_in() {
        let reason =
            |more: &[(&str, &[&[u8]])]| rules().object(&user(1104, more)).unwrap().account.disabled;
        // The first attribute of a name wins, so these come before the defaults.
        assert_eq!(
            reason(&[("userAccountControl", &[b"514"])]),
            Some(DisabledReason::Disabled)
        );
        assert_eq!(
            reason(&[("accountExpires", &[&ticks(1_699_999_999)])]),
            Some(DisabledReason::Expired)
        );
        assert_eq!(
            reason(&[("accountExpires", &[&ticks(1_700_000_001)])]),
            None
        );
        assert_eq!(reason(&[("accountExpires", &[b"0"])]), None);
        assert_eq!(
            reason(&[("lockoutTime", &[&ticks(1_700_000_000 - 1799)])]),
            Some(DisabledReason::Locked)
        );
        assert_eq!(
            reason(&[("lockoutTime", &[&ticks(1_700_000_000 - 1801)])]),
            None
        );
        let mut forever = rules();
        forever.lockout_s = lockout_s(Some(i64::MIN));
        let locked = user(1104, &[("lockoutTime", &[&ticks(1)])]);
        assert_eq!(
            forever.object(&locked).unwrap().account.disabled,
            Some(DisabledReason::Locked)
        );
        assert_eq!(lockout_s(Some(-18_000_000_000)), Some(1800));
    }

    #[test]
    fn what_is_left_out() {
        let why = |entry: &Entry| rules().object(entry).unwrap_err();
        assert_eq!(why(&user(500, &[])), SkipReason::ReservedRid);
        assert_eq!(
            why(&user(1104, &[("isCriticalSystemObject", &[b"TRUE"])])),
            SkipReason::SystemAccount
        );
        assert_eq!(
            why(&user(1104, &[("msDS-SecondaryKrbTgtNumber", &[b"7"])])),
            SkipReason::SystemAccount
        );
        assert_eq!(
            why(&user(1104, &[("sAMAccountName", &[b"\xff\xfe"])])),
            SkipReason::UnusableValue("sAMAccountName")
        );
        assert_eq!(
            why(&user(1104, &[("userAccountControl", &[b"x"])])),
            SkipReason::UnusableValue("userAccountControl")
        );
        let builtin = sid("S-1-5-32-544");
        assert_eq!(
            why(&user(1104, &[("objectSid", &[&builtin])])),
            SkipReason::ForeignSid
        );
        let mail = user(
            1105,
            &[("objectClass", &[b"group"]), ("groupType", &[b"2"])],
        );
        assert_eq!(why(&mail), SkipReason::NotASecurityGroup);
    }

    #[test]
    fn groups_of_the_domain_with_small_rids_are_kept() {
        let users = user(513, &[
            ("objectClass", &[b"top", b"group"]),
            ("groupType", &[b"-2147483646"]),
            ("member", &[b"<GUID=00112233-4455-6677-8899-AABBCCDDEEFF>;<SID=S-1-5-21-1-2-3-1104>;CN=a", b"CN=plain"]),
        ]);
        let object = rules().object(&users).unwrap();
        assert_eq!(object.account.kind, Kind::Group);
        assert_eq!(
            object.members.into_iter().collect::<Vec<_>>(),
            ["00112233-4455-6677-8899-aabbccddeeff"]
        );
    }

    #[test]
    fn extended_names() {
        assert_eq!(plain_dn("<GUID=x>;<SID=S-1>;CN=a,DC=b"), "CN=a,DC=b");
        assert_eq!(plain_dn("CN=a,DC=b"), "CN=a,DC=b");
    }
}
