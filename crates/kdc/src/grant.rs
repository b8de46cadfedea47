//! The rules on the identity: which clients that AD vouches for get a ticket, and with which groups
//! (`docs/design.md` 6.2, 6.3).

use crate::event::{Reason, TicketRefusal};
use crate::records::{ForestDomain, Identity};
use crossrealm_types::{IdentityKind, IdentitySource, IdentityState, Sid};

/// The most group SIDs of a ticket: the limit of a Windows access token is 1,024, from which well-known SIDs are taken.
/// More are refused, never truncated: a server that saw only some of a user's groups would miss a denial.
pub const MAX_GROUPS: usize = 1010;

/// The identity of the client, if it may have a ticket. The state is checked for every ticket, not only at sign-in
/// (RFC 4120 §3.3.3.1, [MS-KILE] 3.3.5.7.1), so that an account disabled in the directory gets no ticket for the TGT it still
/// holds.
pub(crate) fn check<'a>(
    identity: Option<&'a Identity>,
    sid: &Sid,
) -> Result<&'a Identity, TicketRefusal> {
    // The directory looked the identity up by this SID; an answer for another one must not become a ticket.
    let Some(identity) = identity.filter(|i| i.sid == *sid) else {
        return Err(Reason::IdentityNotSynced.because(format!("SID {sid}")));
    };
    let seen = || format!("{} ({sid})", identity.account_name);
    // A PAC whose user SID is a group's was forged with the trust key, or the directory is damaged.
    if identity.kind != IdentityKind::User {
        return Err(Reason::IdentityNotAUser.because(seen()));
    }
    // AD cannot vouch for an identity that exists only in the tenant.
    if identity.source != IdentitySource::Hybrid {
        return Err(Reason::IdentityCloudOnly.because(seen()));
    }
    match identity.state {
        IdentityState::Enabled => Ok(identity),
        IdentityState::Disabled => Err(Reason::IdentityDisabled.because(seen())),
        IdentityState::Deleted => Err(Reason::IdentityDeleted.because(seen())),
    }
}

/// The SID identifies the client; the name in the ticket must be one of the same account. A service that authorizes by the
/// name would otherwise take a renamed account for the one whose name it took (the class of CVE-2021-42287). KRB_AP_ERR_BADMATCH,
/// RFC 4120 §7.5.9.
///
/// Names that AD gives an account: its account name, its UPN, `account@domain` with the domain's DNS or flat name, and the
/// UPN's first part where its suffix is the domain itself. They compare without case.
pub(crate) fn check_name(identity: &Identity, name: &str) -> Result<(), TicketRefusal> {
    let name = name.to_lowercase();
    let account = identity.account_name.to_lowercase();
    let upn = identity.upn.to_lowercase();
    let domain = identity.domain_dns_name.to_lowercase();
    let prefix = upn
        .rsplit_once('@')
        .filter(|(_, suffix)| *suffix == domain)
        .map(|(prefix, _)| prefix);
    let own = name == account
        || (!upn.is_empty() && name == upn)
        || prefix == Some(name.as_str())
        || name == format!("{account}@{domain}")
        || name == format!("{account}@{}", identity.domain_flat_name.to_lowercase());
    if own {
        return Ok(());
    }
    Err(Reason::ClientNameMismatch.because(format!(
        "the ticket names {name:?}, the directory {:?} ({})",
        identity.account_name, identity.sid
    )))
}

/// The groups that go into the PAC ([MS-PAC] 2.5, GroupIds and ExtraSids): sorted, without duplicates, only those of `forest`, the registered domains of the
/// client's own forest. Well-known, built-in (`S-1-5-11`, `S-1-5-32-544`, …) and foreign SIDs are filtered wherever they
/// come from ([MS-PAC] 4.1.2.2).
pub(crate) fn groups<'a>(
    identity: &'a Identity,
    forest: &[ForestDomain],
) -> Result<Vec<&'a Sid>, TicketRefusal> {
    let passes = |sid: &&Sid| forest.iter().any(|d| sid.is_in_domain(&d.sid));
    let mut groups: Vec<&Sid> = identity.groups.iter().filter(passes).collect();
    groups.sort();
    groups.dedup();
    if groups.len() > MAX_GROUPS {
        return Err(Reason::TooManyGroups.because(format!(
            "{} is in {} groups",
            identity.account_name,
            groups.len()
        )));
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity {
            sid: "S-1-5-21-1-2-3-1104".parse().unwrap(),
            kind: IdentityKind::User,
            source: IdentitySource::Hybrid,
            state: IdentityState::Enabled,
            account_name: "alice".into(),
            upn: "alice@corp.contoso.com".into(),
            display_name: String::new(),
            domain_dns_name: "corp.contoso.com".into(),
            domain_flat_name: "CORP".into(),
            primary_group_rid: 513,
            groups: vec![],
        }
    }

    #[test]
    fn each_state_has_its_own_reason() {
        let sid = identity().sid;
        let refused = |change: fn(&mut Identity)| {
            let mut changed = identity();
            change(&mut changed);
            check(Some(&changed), &sid).unwrap_err().reason
        };
        assert!(check(Some(&identity()), &sid).is_ok());
        assert_eq!(
            check(None, &sid).unwrap_err().reason,
            Reason::IdentityNotSynced
        );
        assert_eq!(
            refused(|i| i.state = IdentityState::Disabled),
            Reason::IdentityDisabled
        );
        assert_eq!(
            refused(|i| i.state = IdentityState::Deleted),
            Reason::IdentityDeleted
        );
        assert_eq!(
            refused(|i| i.source = IdentitySource::CloudOnly),
            Reason::IdentityCloudOnly
        );
        assert_eq!(
            refused(|i| i.kind = IdentityKind::Group),
            Reason::IdentityNotAUser
        );
        assert_eq!(
            refused(|i| i.sid = "S-1-5-21-1-2-3-1105".parse().unwrap()),
            Reason::IdentityNotSynced
        );
    }

    #[test]
    fn a_client_goes_by_its_own_names_only() {
        let mut identity = identity();
        identity.upn = "Alice.Archer@corp.contoso.com".into();
        let refused = |name: &str| check_name(&identity, name).err().map(|r| r.reason);
        for own in [
            "alice",
            "ALICE",
            "alice.archer",
            "alice.archer@corp.contoso.com",
            "alice@CORP.CONTOSO.COM",
            "alice@corp",
        ] {
            assert_eq!(refused(own), None, "{own}");
        }
        for other in [
            "",
            "bob",
            "alice$",
            "dc1$",
            "alice@other.example",
            "alice/admin",
        ] {
            assert_eq!(refused(other), Some(Reason::ClientNameMismatch), "{other}");
        }
        // Another organisation's UPN suffix gives no claim to a name of this domain.
        identity.upn = "bob@partner.example".into();
        assert!(check_name(&identity, "bob").is_err());
        assert!(check_name(&identity, "bob@partner.example").is_ok());
        identity.upn = String::new();
        assert!(check_name(&identity, "").is_err());
    }

    fn forest() -> [ForestDomain; 1] {
        [ForestDomain {
            realm: "CORP.CONTOSO.COM".into(),
            dns_name: "corp.contoso.com".into(),
            flat_name: "CORP".into(),
            sid: "S-1-5-21-1-2-3".parse().unwrap(),
        }]
    }

    #[test]
    fn groups_are_sorted_unique_and_never_well_known_or_foreign() {
        let mut identity = identity();
        identity.groups = [
            "S-1-5-21-1-2-3-2000",
            "S-1-5-32-544",
            "S-1-5-11",
            "S-1-1-0",
            "S-1-5-21-9-9-9-2000",
            "S-1-5-21-1-2-3-513",
            "S-1-5-21-1-2-3-2000",
        ]
        .map(|s| s.parse().unwrap())
        .to_vec();
        let names: Vec<String> = groups(&identity, &forest())
            .unwrap()
            .iter()
            .map(|s| s.to_string())
            .collect();
        assert_eq!(names, ["S-1-5-21-1-2-3-513", "S-1-5-21-1-2-3-2000"]);
        assert!(groups(&identity, &[]).unwrap().is_empty());
    }

    #[test]
    fn too_many_groups_are_refused_not_truncated() {
        let mut identity = identity();
        let domain = identity.sid.domain().unwrap();
        identity.groups = (2000..)
            .map(|rid| domain.with_rid(rid).unwrap())
            .take(MAX_GROUPS)
            .collect();
        assert_eq!(groups(&identity, &forest()).unwrap().len(), MAX_GROUPS);
        identity.groups.push(domain.with_rid(9_000_000).unwrap());
        assert_eq!(
            groups(&identity, &forest()).unwrap_err().reason,
            Reason::TooManyGroups
        );
    }
}
