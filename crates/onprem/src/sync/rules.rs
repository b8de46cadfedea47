//! The rules by which entries of the directory are synchronized.

use super::model::{Account, Domain, Members, Object, SkipReason};
use super::scope::{Scope, is_below};
use crate::ldap::Entry;
use crossrealm_types::{DisabledReason, IdentityKind};
use std::collections::BTreeSet;

/// `sAMAccountType` of ordinary users ([MS-SAMR] 2.2.1.9): computers and trust accounts have others.
pub(super) const NORMAL_USER: &str = "805306368";

/// Bits of `userAccountControl`, [MS-ADTS] 2.2.16.
const ACCOUNT_DISABLED: u32 = 2;

/// The bit of `groupType` that makes a security group, [MS-ADTS] 2.2.12.
const SECURITY_GROUP: u32 = 0x8000_0000;

/// RIDs below this are AD's own.
const FIRST_FREE_RID: u32 = 1000;

/// The longest name that is synchronized, in bytes. AD's own limits are lower.
const MAX_NAME_LEN: usize = 1024;

/// Where AD keeps the security principals of other forests, and the well-known ones.
const FOREIGN_CONTAINER: &str = ",cn=foreignsecurityprincipals,";

/// The attributes on which objects depend, but for `member`, which is read by ranges.
pub(super) const ATTRIBUTES: [&str; 15] = [
    "objectGUID",
    "objectSid",
    "objectClass",
    "sAMAccountName",
    "sAMAccountType",
    "userPrincipalName",
    "displayName",
    "userAccountControl",
    "accountExpires",
    "lockoutTime",
    "primaryGroupID",
    "groupType",
    "isCriticalSystemObject",
    "msDS-SecondaryKrbTgtNumber",
    "name",
];

/// What must be known to judge objects.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) domain: Domain,
    /// The DN of the domain, lower case.
    pub(super) base: String,
    /// How long a lock lasts in seconds; `None` until an administrator ends it.
    pub(super) lockout_s: Option<i64>,
    /// The controller's time, Unix seconds: by which it accepts or refuses sign-ins.
    pub(super) now_s: i64,
    /// The scope, its organizational units as the controller names them.
    pub(super) scope: Scope,
}

impl Rules {
    /// What is to be made of an entry. Membership in the groups of the scope and of administrators is judged elsewhere.
    pub(super) fn object(&self, entry: &Entry) -> Result<Object, SkipReason> {
        let unusable = SkipReason::UnusableValue;
        let guid = entry.guid("objectGUID").ok_or(unusable("objectGUID"))?;
        let sid = entry.sid("objectSid").ok_or(unusable("objectSid"))?;
        if !sid.is_in_domain(&self.domain.sid) {
            return Err(SkipReason::ForeignSid);
        }
        let is_group = is_group(entry);
        if !is_group && entry.text("sAMAccountType") != Some(NORMAL_USER) {
            return Err(SkipReason::NotAPerson);
        }
        if !is_group && sid.rid() < FIRST_FREE_RID {
            return Err(SkipReason::ReservedRid);
        }
        let dn = plain_dn(entry.dn());
        if !self.scope.ous.is_empty() && !self.scope.ous.iter().any(|ou| is_below(dn, ou)) {
            return Err(SkipReason::OutOfScope);
        }
        let account_name = text(entry, "sAMAccountName")?.ok_or(unusable("sAMAccountName"))?;
        let display_name = text(entry, "displayName")?.unwrap_or_default();
        let account = Account {
            guid,
            kind: IdentityKind::Group,
            sid,
            account_name,
            upn: String::new(),
            display_name,
            disabled: None,
            primary_group_rid: 0,
        };
        match is_group {
            true => self.group(entry, account),
            false => self.user(entry, account),
        }
    }

    fn group(&self, entry: &Entry, account: Account) -> Result<Object, SkipReason> {
        let kind = entry
            .flags("groupType")
            .ok_or(SkipReason::UnusableValue("groupType"))?;
        if kind & SECURITY_GROUP == 0 {
            return Err(SkipReason::NotASecurityGroup);
        }
        Ok(Object {
            members: self.members(entry.values("member")),
            ..Object::of(account)
        })
    }

    fn user(&self, entry: &Entry, account: Account) -> Result<Object, SkipReason> {
        if entry.text("isCriticalSystemObject") == Some("TRUE")
            || entry.has("msDS-SecondaryKrbTgtNumber")
        {
            return Err(SkipReason::SystemAccount);
        }
        let primary_group_rid = entry
            .number("primaryGroupID")
            .and_then(|rid| u32::try_from(rid).ok())
            .ok_or(SkipReason::UnusableValue("primaryGroupID"))?;
        let (disabled, turns_at) = self.disabled(entry)?;
        let account = Account {
            kind: IdentityKind::User,
            upn: self.upn(entry, &account.account_name)?,
            disabled,
            primary_group_rid,
            ..account
        };
        Ok(Object {
            turns_at,
            ..Object::of(account)
        })
    }

    fn upn(&self, entry: &Entry, account_name: &str) -> Result<String, SkipReason> {
        if let Some(attribute) = &self.scope.upn_attribute {
            let mapped = usable(entry, attribute).flatten();
            return mapped.ok_or(SkipReason::NoMappedUpn);
        }
        Ok(match text(entry, "userPrincipalName")? {
            Some(upn) => upn,
            None => format!("{account_name}@{}", self.domain.dns_name),
        })
    }

    /// Why the user may not sign in, and when the clock alone changes that.
    fn disabled(&self, entry: &Entry) -> Result<(Option<DisabledReason>, Option<i64>), SkipReason> {
        let control = entry
            .flags("userAccountControl")
            .ok_or(SkipReason::UnusableValue("userAccountControl"))?;
        // Read as "never", a damaged time would admit a user that the controller refuses.
        for time in ["accountExpires", "lockoutTime"] {
            if entry.has(time) && entry.number(time).is_none() {
                return Err(SkipReason::UnusableValue(time));
            }
        }
        let expires_at = entry.file_time("accountExpires");
        let unlocks_at = self.unlocks_at(entry);
        let turns_at = [expires_at, unlocks_at]
            .into_iter()
            .flatten()
            // A lock that only an administrator ends has no end by the clock.
            .filter(|at| *at > self.now_s && *at != i64::MAX)
            .min();
        let reason = if control & ACCOUNT_DISABLED != 0 {
            Some(DisabledReason::Disabled)
        } else if expires_at.is_some_and(|at| at <= self.now_s) {
            Some(DisabledReason::Expired)
        } else {
            unlocks_at
                .is_some_and(|at| at > self.now_s)
                .then_some(DisabledReason::Locked)
        };
        Ok((reason, turns_at))
    }

    /// When the user's lock ends; far away where only an administrator ends it. `lockoutTime` stays set after the lock
    /// has run out, until the next sign-in.
    pub(super) fn unlocks_at(&self, entry: &Entry) -> Option<i64> {
        let locked_at = entry.file_time("lockoutTime")?;
        Some(
            self.lockout_s
                .map_or(i64::MAX, |lasts| locked_at.saturating_add(lasts)),
        )
    }

    /// The members in extended DNs (`<GUID=…>;<SID=…>;CN=…`).
    pub(super) fn members(&self, values: &[Vec<u8>]) -> Members {
        let mut members = Members::default();
        for value in values {
            let Some(guid) = guid_of_dn(value) else {
                continue;
            };
            let text = String::from_utf8_lossy(value);
            let dn = plain_dn(&text);
            let lower = dn.to_lowercase();
            if lower.contains(FOREIGN_CONTAINER) {
                let name = dn.split(',').next().unwrap_or(dn);
                members
                    .foreign
                    .insert(name.trim_start_matches("CN=").to_owned());
                continue;
            }
            // A member of the domain that is deleted or damaged is found out where it is looked up.
            if !is_below(&lower, &self.base) || self.is_of_child(&lower) {
                members.elsewhere.insert(guid.clone());
            }
            members.guids.insert(guid);
        }
        members
    }

    /// Whether a DN below the base is one of a child domain: those begin with another `DC=`.
    fn is_of_child(&self, lower: &str) -> bool {
        let head = lower.strip_suffix(&self.base).unwrap_or_default();
        let last = head.trim_end_matches(',').rsplit(',').next();
        last.is_some_and(|part| part.starts_with("dc="))
    }
}

pub(super) fn is_group(entry: &Entry) -> bool {
    entry
        .texts("objectClass")
        .iter()
        .any(|class| class.eq_ignore_ascii_case("group"))
}

/// The `objectGUID`s in extended DNs.
pub(super) fn guids_of(values: &[Vec<u8>]) -> BTreeSet<String> {
    values
        .iter()
        .filter_map(|value| guid_of_dn(value))
        .collect()
}

/// The `objectGUID` in an extended DN.
pub(super) fn guid_of_dn(value: &[u8]) -> Option<String> {
    let rest = value.strip_prefix(b"<GUID=")?;
    let guid = std::str::from_utf8(rest.get(..36)?).ok()?;
    Some(guid.to_lowercase())
}

/// `lockoutDuration` is a negative count of 100 ns; the most negative one (or zero) means for ever.
pub(super) fn lockout_s(duration: Option<i64>) -> Option<i64> {
    match duration {
        Some(ticks) if ticks < 0 && ticks != i64::MIN => Some(ticks / -10_000_000),
        _ => None,
    }
}

/// A value that must be text if it is there at all.
fn text(entry: &Entry, attribute: &'static str) -> Result<Option<String>, SkipReason> {
    usable(entry, attribute).ok_or(SkipReason::UnusableValue(attribute))
}

/// The value, or that there is none; `None` where it is unusable.
fn usable(entry: &Entry, attribute: &str) -> Option<Option<String>> {
    if !entry.has(attribute) {
        return Some(None);
    }
    entry
        .text(attribute)
        .filter(|text| !text.is_empty() && text.len() <= MAX_NAME_LEN && !text.contains('\0'))
        .map(|text| Some(text.to_owned()))
}

/// A DN without the GUID and SID that the extended form puts in front.
pub(super) fn plain_dn(dn: &str) -> &str {
    dn.rsplit_once(">;").map_or(dn, |(_, dn)| dn)
}

/// What to call an object that is left out.
pub(super) fn name(entry: &Entry) -> String {
    ["sAMAccountName", "name"]
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
            base: "dc=corp,dc=contoso,dc=com".into(),
            now_s: 1_700_000_000,
            scope: Scope::default(),
        }
    }

    fn sid(text: &str) -> Vec<u8> {
        text.parse::<crossrealm_types::Sid>().unwrap().to_bytes()
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
            ("sAMAccountType", &[b"805306368"]),
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
    fn accounts_that_cannot_sign_in_are_disabled_with_their_reason() {
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
    fn entries_that_are_left_out_have_a_reason() {
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
        for time in ["accountExpires", "lockoutTime"] {
            let damaged = user(1104, &[(time, &[b"13333333E7"])]);
            assert_eq!(why(&damaged), SkipReason::UnusableValue(time));
        }
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
            ("member", &[
                b"<GUID=00112233-4455-6677-8899-AABBCCDDEEFF>;<SID=S-1-5-21-1-2-3-1104>;CN=a,DC=corp,DC=contoso,DC=com",
                b"<GUID=10112233-4455-6677-8899-AABBCCDDEEFF>;<SID=S-1-5-21-9-2-3-1104>;CN=b,DC=child,DC=corp,DC=contoso,DC=com",
                b"<GUID=20112233-4455-6677-8899-AABBCCDDEEFF>;<SID=S-1-5-11>;CN=S-1-5-11,CN=ForeignSecurityPrincipals,DC=corp,DC=contoso,DC=com",
                b"CN=plain",
            ]),
        ]);
        let object = rules().object(&users).unwrap();
        assert_eq!(object.account.kind, IdentityKind::Group);
        assert_eq!(
            object.members.guids.iter().collect::<Vec<_>>(),
            [
                "00112233-4455-6677-8899-aabbccddeeff",
                "10112233-4455-6677-8899-aabbccddeeff"
            ]
        );
        assert_eq!(
            object.members.elsewhere.iter().collect::<Vec<_>>(),
            ["10112233-4455-6677-8899-aabbccddeeff"]
        );
        assert_eq!(
            object.members.foreign.iter().collect::<Vec<_>>(),
            ["S-1-5-11"]
        );
    }

    #[test]
    fn the_next_change_by_the_clock_is_known() {
        let turns = |more: &[(&str, &[&[u8]])]| rules().object(&user(1104, more)).unwrap().turns_at;
        assert_eq!(turns(&[]), None);
        let later = ticks(1_700_000_100);
        assert_eq!(turns(&[("accountExpires", &[&later])]), Some(1_700_000_100));
        let locked = ticks(1_699_999_990);
        assert_eq!(
            turns(&[("accountExpires", &[&later]), ("lockoutTime", &[&locked])]),
            Some(1_700_000_100)
        );
        assert_eq!(
            turns(&[
                ("accountExpires", &[b"9223372036854775807"]),
                ("lockoutTime", &[&locked])
            ]),
            Some(1_700_001_790)
        );
    }

    #[test]
    fn the_scope_and_the_mapped_name() {
        let mut rules = rules();
        rules.scope.ous = vec!["OU=Sales,DC=corp".into()];
        assert_eq!(rules.object(&user(1104, &[])), Err(SkipReason::OutOfScope));
        rules.scope.ous = vec!["DC=corp".into()];
        rules.scope.upn_attribute = Some("mail".into());
        assert_eq!(rules.object(&user(1104, &[])), Err(SkipReason::NoMappedUpn));
        let mail = user(1104, &[("mail", &[b"a@contoso.com"])]);
        assert_eq!(rules.object(&mail).unwrap().account.upn, "a@contoso.com");
        let computer = user(1104, &[("sAMAccountType", &[b"805306369"])]);
        assert_eq!(rules.object(&computer), Err(SkipReason::NotAPerson));
    }

    #[test]
    fn extended_names() {
        assert_eq!(plain_dn("<GUID=x>;<SID=S-1>;CN=a,DC=b"), "CN=a,DC=b");
        assert_eq!(plain_dn("CN=a,DC=b"), "CN=a,DC=b");
    }
}
