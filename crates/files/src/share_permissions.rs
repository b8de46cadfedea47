//! Share permissions: a role as a security descriptor, in the Security Descriptor Definition Language ([MS-DTYP] 2.5.1).

use crate::acl::mask;
use crossrealm_api::{Grant, HostShare, HostState};
use crossrealm_types::{ShareRole, Sid};
use std::fmt::Write;

/// The permissions of a share: one entry for each grant and one for the default role.
///
/// The rights of several entries add up, so that a user has the highest role that applies. The default role is granted to
/// *Authenticated Users*: every session needs a ticket, and only synchronized users get tickets. Without any grant or default
/// role, Everyone is denied explicitly, since Samba treats a missing DACL as full access.
///
/// The entries that deny revoked users everything, and users with a reduced role the difference, come first: the first entry
/// for a right decides ([MS-DTYP] 2.5.3.2).
pub(crate) fn sddl(
    share: &HostShare,
    default_role: Option<ShareRole>,
    revoked_users: &[Sid],
) -> String {
    let mut text = String::from("D:");
    for sid in revoked_users {
        // Writing to a String cannot fail.
        let _ = write!(text, "(D;;{:#010x};;;{sid})", mask::FULL);
    }
    for role in &share.reduced_roles {
        let has = role.has.map_or(0, rights_of_role);
        let lost = rights_of_role(role.had) & !has;
        let _ = write!(text, "(D;;{lost:#010x};;;{})", role.sid);
    }
    let denials = text.len();
    let mut grants: Vec<&Grant> = share.grants.iter().collect();
    grants.sort_by(|a, b| a.sid.cmp(&b.sid));
    let entries = grants
        .iter()
        .map(|grant| (grant.role, grant.sid.to_string()))
        .chain(default_role.map(|role| (role, "AU".to_owned())));
    for (role, sid) in entries {
        let _ = write!(text, "(A;;{:#010x};;;{sid})", rights_of_role(role));
    }
    if text.len() == denials {
        let _ = write!(text, "(D;;{:#010x};;;WD)", mask::FULL);
    }
    text
}

/// The permissions of every share of the account, with its name.
pub(crate) fn all(state: &HostState) -> impl Iterator<Item = (&str, String)> {
    state.shares.iter().map(|share| {
        (
            share.name.as_str(),
            sddl(share, state.default_role, &state.revoked_users),
        )
    })
}

/// The rights that a role grants at most, regardless of the file's own permissions: `READ`, `CHANGE` and `FULL` of Samba's
/// `sharesec`.
pub fn rights_of_role(role: ShareRole) -> u32 {
    match role {
        ShareRole::Reader => mask::READ_EXECUTE,
        ShareRole::Contributor => mask::MODIFY,
        ShareRole::ElevatedContributor => mask::FULL,
    }
}

/// The security descriptor of a new share's root directory ([MS-DTYP] 2.5.1): Administrators and SYSTEM full control, Users
/// read and execute, Authenticated Users modify, Creator Owner full control of what they create. The rights are numbers, since
/// Samba parses `FA` without the standard rights.
pub(crate) fn root_sddl() -> String {
    let (full, modify, read) = (mask::FULL, mask::MODIFY, mask::READ_EXECUTE);
    format!(
        "O:BAG:BAD:PAI(A;OICI;{full:#010x};;;BA)(A;OICI;{full:#010x};;;SY)(A;OICI;{read:#010x};;;BU)(A;OICI;{modify:#010x};;;AU)(A;OICIIO;{full:#010x};;;CO)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossrealm_types::{IdentityKind, ReducedRole};

    fn share(grants: &[(&str, ShareRole)]) -> HostShare {
        HostShare {
            name: "projects".into(),
            quota_gib: None,
            reduced_roles: vec![],
            reduced_roles_beyond: 0,
            grants: grants
                .iter()
                .map(|(sid, role)| Grant {
                    sid: sid.parse().unwrap(),
                    name: "x".into(),
                    kind: IdentityKind::Group,
                    role: *role,
                })
                .collect(),
        }
    }

    #[test]
    fn without_grant_and_default_role_everyone_is_denied() {
        assert_eq!(sddl(&share(&[]), None, &[]), "D:(D;;0x001f01ff;;;WD)");
    }

    #[test]
    fn every_grant_and_the_default_role_become_an_entry() {
        let share = share(&[
            ("S-1-5-21-1-2-3-2", ShareRole::ElevatedContributor),
            ("S-1-5-21-1-2-3-1", ShareRole::Contributor),
        ]);
        assert_eq!(
            sddl(&share, Some(ShareRole::Reader), &[]),
            "D:(A;;0x001301bf;;;S-1-5-21-1-2-3-1)(A;;0x001f01ff;;;S-1-5-21-1-2-3-2)(A;;0x001200a9;;;AU)"
        );
    }

    #[test]
    fn revoked_users_are_denied_before_anything_is_granted() {
        let revoked = ["S-1-5-21-1-2-3-9".parse().unwrap()];
        let deny = "D:(D;;0x001f01ff;;;S-1-5-21-1-2-3-9)";
        assert_eq!(
            sddl(&share(&[]), Some(ShareRole::Reader), &revoked),
            format!("{deny}(A;;0x001200a9;;;AU)")
        );
        // Other users gain nothing by that.
        assert_eq!(
            sddl(&share(&[]), None, &revoked),
            format!("{deny}(D;;0x001f01ff;;;WD)")
        );
    }

    #[test]
    fn a_user_with_a_reduced_role_is_denied_the_difference() {
        let mut share = share(&[("S-1-5-21-1-2-3-1", ShareRole::Contributor)]);
        let reduced = |rid: u32, had, has| ReducedRole {
            sid: format!("S-1-5-21-1-2-3-{rid}").parse().unwrap(),
            had,
            has,
        };
        share.reduced_roles = vec![
            reduced(7, ShareRole::Contributor, Some(ShareRole::Reader)),
            reduced(8, ShareRole::Reader, None),
        ];
        assert_eq!(
            sddl(&share, None, &[]),
            "D:(D;;0x00010116;;;S-1-5-21-1-2-3-7)(D;;0x001200a9;;;S-1-5-21-1-2-3-8)(A;;0x001301bf;;;S-1-5-21-1-2-3-1)"
        );
    }

    #[test]
    fn the_order_of_grants_does_not_matter() {
        let (a, b) = (
            ("S-1-5-21-1-2-3-1", ShareRole::Reader),
            ("S-1-5-21-1-2-3-2", ShareRole::Reader),
        );
        assert_eq!(
            sddl(&share(&[a, b]), None, &[]),
            sddl(&share(&[b, a]), None, &[])
        );
    }
}
