//! The rules by which an LDAP entry is synchronized.

use super::model::{Account, Domain, Members, Object, SkipReason};
use super::scope::{Scope, is_below};
use crate::ldap::Entry;
use crossrealm_types::{
    DisabledReason, IdentityKind, Sid, Upn, is_sam_account_name, normalized_display_name,
};
use std::collections::BTreeSet;
use uuid::Uuid;

/// `sAMAccountType` of users ([MS-SAMR] 2.2.1.9); computers and trust accounts have others.
pub(super) const NORMAL_USER: &str = "805306368";

/// Bits of `userAccountControl`, [MS-ADTS] 2.2.16.
const ACCOUNT_DISABLED: u32 = 2;

/// The bit of `groupType` of a security group, [MS-ADTS] 2.2.12.
const SECURITY_GROUP: u32 = 0x8000_0000;

/// The lowest RID that AD allocates; those below are built in.
const FIRST_FREE_RID: u32 = 1000;

/// The longest name that is shown of an object that is left out, in characters.
const MAX_NAME_LEN: usize = 1024;

/// The container of security principals of other forests, and of well-known ones.
const FOREIGN_CONTAINER: &str = ",cn=foreignsecurityprincipals,";

/// The attributes that are read, without `member`, which is read by ranges.
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

/// What the decision on an object depends on.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) domain: Domain,
    /// The DN of the domain, lower case.
    pub(super) base: String,
    /// The lockout duration, in seconds; `None` if only an administrator ends a lockout.
    pub(super) lockout_s: Option<i64>,
    /// The domain controller's time in Unix seconds, by which it accepts or refuses a sign-in.
    pub(super) now_s: i64,
    /// The scope, with the organizational units in the domain controller's spelling.
    pub(super) scope: Scope,
}

impl Rules {
    /// The object of an entry. The watched groups (of the scope, and of administrators) are considered elsewhere.
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
        // What a rule leaves out goes, however damaged its values are: the rules come before the values.
        match is_group {
            true => security_group(entry)?,
            false => ordinary_user(entry)?,
        }
        let account_name = entry
            .text("sAMAccountName")
            .filter(|name| is_sam_account_name(name))
            .ok_or(unusable("sAMAccountName"))?;
        let mut object = Object::of(Account {
            guid,
            kind: IdentityKind::Group,
            sid,
            account_name: account_name.to_owned(),
            upn: String::new(),
            display_name: String::new(),
            disabled: None,
            primary_group_rid: 0,
        });
        match is_group {
            true => object.members = self.members(entry.values("member")),
            false => self.fill_user(entry, &mut object)?,
        }
        fill_display_name(entry, &mut object);
        Ok(object)
    }

    fn fill_user(&self, entry: &Entry, object: &mut Object) -> Result<(), SkipReason> {
        object.account.kind = IdentityKind::User;
        object.account.primary_group_rid =
            primary_group(entry).ok_or(SkipReason::UnusableValue("primaryGroupID"))?;
        (object.account.disabled, object.turns_at) = self.disabled(entry)?;
        if let Some(attribute) = &self.scope.upn_attribute {
            let mapped = entry.text(attribute).filter(|text| is_upn(text));
            object.account.upn = mapped.ok_or(SkipReason::NoMappedUpn)?.to_owned();
            return Ok(());
        }
        // The UPN that every user of AD has besides an explicit one, [MS-ADTS] 5.1.1.1.1.
        let implicit = || format!("{}@{}", object.account.account_name, self.domain.dns_name);
        let given = entry.text("userPrincipalName").filter(|upn| is_upn(upn));
        let upn = given.map_or_else(implicit, str::to_owned);
        if given.is_none() && entry.has("userPrincipalName") {
            object.normalized.push("userPrincipalName");
        }
        object.account.upn = upn;
        Ok(())
    }

    /// What can be read of an entry that cannot be synchronized as it is: what AD takes away is applied all the same. `None`
    /// if it is not known whether the user may sign in.
    pub(super) fn remains(&self, entry: &Entry) -> Option<Object> {
        let is_group = is_group(entry);
        let mut object = Object::of(Account {
            guid: entry.guid("objectGUID")?,
            kind: IdentityKind::Group,
            sid: entry.sid("objectSid")?,
            account_name: String::new(),
            upn: String::new(),
            display_name: String::new(),
            disabled: None,
            primary_group_rid: 0,
        });
        if is_group {
            object.members = self.members(entry.values("member"));
            return Some(object);
        }
        object.account.kind = IdentityKind::User;
        object.account.primary_group_rid = primary_group(entry).unwrap_or_default();
        (object.account.disabled, object.turns_at) = self.disabled(entry).ok()?;
        Some(object)
    }

    /// Why the user may not sign in, and when the clock changes that.
    fn disabled(&self, entry: &Entry) -> Result<(Option<DisabledReason>, Option<i64>), SkipReason> {
        let control = entry
            .flags("userAccountControl")
            .ok_or(SkipReason::UnusableValue("userAccountControl"))?;
        if control & ACCOUNT_DISABLED != 0 {
            return Ok((Some(DisabledReason::Disabled), None));
        }
        // A malformed time that was taken for "never" would admit a user that AD refuses.
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
            // A lockout that only an administrator ends has no end.
            .filter(|at| *at > self.now_s && *at != i64::MAX)
            .min();
        let reason = if expires_at.is_some_and(|at| at <= self.now_s) {
            Some(DisabledReason::Expired)
        } else {
            unlocks_at
                .is_some_and(|at| at > self.now_s)
                .then_some(DisabledReason::Locked)
        };
        Ok((reason, turns_at))
    }

    /// When the user's lockout ends; in the far future if only an administrator ends it. `lockoutTime` stays set after the
    /// lockout has expired, until the next sign-in.
    pub(super) fn unlocks_at(&self, entry: &Entry) -> Option<i64> {
        let locked_at = entry.file_time("lockoutTime")?;
        Some(
            self.lockout_s
                .map_or(i64::MAX, |lasts| locked_at.saturating_add(lasts)),
        )
    }

    /// The members in extended DNs (`<GUID=…>;<SID=…>;CN=…`), [MS-ADTS] 3.1.1.3.4.1.5.
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
            // Whether a member of this domain was deleted or is unusable is decided where it is looked up.
            if !is_below(&lower, &self.base) || self.is_of_child(&lower) {
                members.elsewhere.insert(guid, domain_of_dn(&text));
            }
            members.guids.insert(guid);
        }
        members
    }

    /// Whether a DN below the base belongs to a child domain: then another `DC=` follows.
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
pub(super) fn guids_of(values: &[Vec<u8>]) -> BTreeSet<Uuid> {
    values
        .iter()
        .filter_map(|value| guid_of_dn(value))
        .collect()
}

/// The `objectGUID` in an extended DN.
pub(super) fn guid_of_dn(value: &[u8]) -> Option<Uuid> {
    let rest = value.strip_prefix(b"<GUID=")?;
    Uuid::try_parse_ascii(rest.get(..36)?).ok()
}

/// The SID of the domain of an object, from its extended DN.
fn domain_of_dn(text: &str) -> Option<Sid> {
    let (_, rest) = text.split_once(";<SID=")?;
    let sid: Sid = rest.split_once('>')?.0.parse().ok()?;
    sid.domain().filter(Sid::is_account_domain)
}

/// `lockoutDuration` in seconds: it is a negative count of 100 ns; the smallest value, and zero, mean that only an
/// administrator ends a lockout.
pub(super) fn lockout_s(duration: Option<i64>) -> Option<i64> {
    match duration {
        Some(ticks) if ticks < 0 && ticks != i64::MIN => Some(ticks / -10_000_000),
        _ => None,
    }
}

/// Leaves out distribution groups, which grant no rights.
fn security_group(entry: &Entry) -> Result<(), SkipReason> {
    match entry.flags("groupType") {
        None => Err(SkipReason::UnusableValue("groupType")),
        Some(kind) if kind & SECURITY_GROUP == 0 => Err(SkipReason::NotASecurityGroup),
        Some(_) => Ok(()),
    }
}

/// Leaves out the accounts of AD itself.
fn ordinary_user(entry: &Entry) -> Result<(), SkipReason> {
    let of_system = entry.text("isCriticalSystemObject") == Some("TRUE")
        || entry.has("msDS-SecondaryKrbTgtNumber");
    match of_system {
        true => Err(SkipReason::SystemAccount),
        false => Ok(()),
    }
}

fn primary_group(entry: &Entry) -> Option<u32> {
    u32::try_from(entry.number("primaryGroupID")?).ok()
}

/// Sets the display name. It grants nothing, so that any value is made usable: AD stores UTF-16 that need not be well-formed.
fn fill_display_name(entry: &Entry, object: &mut Object) {
    let Some(value) = entry.values("displayName").first() else {
        return;
    };
    let text = String::from_utf8_lossy(value);
    object.account.display_name = normalized_display_name(&text);
    if object.account.display_name.as_bytes() != value.as_slice() {
        object.normalized.push("displayName");
    }
}

fn is_upn(text: &str) -> bool {
    text.parse::<Upn>().is_ok()
}

/// A DN without the GUID and SID of the extended form.
pub(super) fn plain_dn(dn: &str) -> &str {
    dn.rsplit_once(">;").map_or(dn, |(_, dn)| dn)
}

/// The display name of an object that is left out.
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

    /// Unix seconds as a FILETIME in decimal, as LDAP has it.
    fn ticks(seconds: i64) -> Vec<u8> {
        ((seconds + 11_644_473_600) * 10_000_000)
            .to_string()
            .into_bytes()
    }

    #[test]
    fn a_user_is_taken_over() {
        let object = rules().object(&user(1104, &[])).unwrap();
        assert_eq!(object.account.upn, "müller@corp.contoso.com");
        assert_eq!(
            object.account.guid.to_string(),
            "01010101-0101-0101-0101-010101010101"
        );
        assert_eq!(
            (object.account.primary_group_rid, object.account.disabled),
            (513, None)
        );
    }

    #[test]
    fn accounts_that_cannot_sign_in_are_disabled_with_their_reason() {
        let reason =
            |more: &[(&str, &[&[u8]])]| rules().object(&user(1104, more)).unwrap().account.disabled;
        // The first of two attributes with the same name counts, so these precede the defaults.
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
        // F1: what is certain is not withheld for a damaged value beside it.
        let certain = user(
            1104,
            &[
                ("userAccountControl", &[b"514"]),
                ("accountExpires", &[b"never"]),
            ],
        );
        let certain = rules().object(&certain).unwrap().account.disabled;
        assert_eq!(certain, Some(DisabledReason::Disabled));
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

    /// F1: a display name never keeps a user out, and neither does a UPN that is none: AD's implicit one takes its place.
    #[test]
    fn hostile_names_that_grant_nothing_are_normalized_and_noted() {
        let long = "x".repeat(20_480);
        let cases: [(&[u8], &str); 6] = [
            (b"Alice\r\n", "Alice"),
            (b"a\tb", "a b"),
            (b"\0", ""),
            // An unpaired surrogate of UTF-16.
            (b"\xed\xa0\x80!", "\u{fffd}\u{fffd}\u{fffd}!"),
            (long.as_bytes(), &long[..256]),
            ("Zoe\u{308}".as_bytes(), "Zoe\u{308}"),
        ];
        for (value, stored) in cases {
            let object = rules().object(&user(1104, &[("displayName", &[value])]));
            let object = object.unwrap();
            assert_eq!(object.account.display_name, stored);
            let noted = object.normalized.contains(&"displayName");
            assert_eq!(noted, value != stored.as_bytes(), "{stored}");
        }
        for upn in [b"no-at-sign" as &[u8], b"a\n@b", b"\xed\xa0\x80@b", b" "] {
            let object = rules().object(&user(1104, &[("userPrincipalName", &[upn])]));
            let object = object.unwrap();
            assert_eq!(object.account.upn, "müller@corp.contoso.com");
            assert_eq!(object.normalized, ["userPrincipalName"]);
        }
    }

    /// F1: of an object whose name cannot be used, what AD takes away is read all the same; and a rule that leaves an object
    /// out comes before its values.
    #[test]
    fn an_unusable_name_hides_neither_a_disabled_account_nor_a_rule() {
        let nameless: (&str, &[&[u8]]) = ("sAMAccountName", &[b"a\nb"]);
        let disabled = user(
            1104,
            &[
                nameless,
                ("userAccountControl", &[b"514"]),
                ("primaryGroupID", &[b"x"]),
            ],
        );
        assert_eq!(
            rules().object(&disabled),
            Err(SkipReason::UnusableValue("sAMAccountName"))
        );
        let remains = rules().remains(&disabled).unwrap();
        let Account {
            disabled,
            primary_group_rid,
            ..
        } = remains.account;
        assert_eq!(
            (disabled, primary_group_rid),
            (Some(DisabledReason::Disabled), 0)
        );
        let unknown = user(1104, &[nameless, ("userAccountControl", &[b"x"])]);
        assert_eq!(rules().remains(&unknown), None);
        let system = user(1104, &[nameless, ("isCriticalSystemObject", &[b"TRUE"])]);
        assert_eq!(rules().object(&system), Err(SkipReason::SystemAccount));
        let mail = [
            nameless,
            ("objectClass", &[b"group"]),
            ("groupType", &[b"2"]),
        ];
        let mail = user(1105, &mail);
        assert_eq!(rules().object(&mail), Err(SkipReason::NotASecurityGroup));
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
            object
                .members
                .guids
                .iter()
                .map(Uuid::to_string)
                .collect::<Vec<_>>(),
            [
                "00112233-4455-6677-8899-aabbccddeeff",
                "10112233-4455-6677-8899-aabbccddeeff"
            ]
        );
        assert_eq!(
            object.members.elsewhere.into_iter().collect::<Vec<_>>(),
            [(
                "10112233-4455-6677-8899-aabbccddeeff".parse().unwrap(),
                Some("S-1-5-21-9-2-3".parse().unwrap())
            )]
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
