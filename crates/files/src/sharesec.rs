//! Share permissions: what a role means to Samba, in the Security Descriptor Definition Language ([MS-DTYP] 2.5.1).

use crate::acl::mask;
use crossrealm_api::{Grant, HostShare, HostState, ShareRole};
use std::fmt::Write;

/// The permissions of a share: one entry for each grant and one for the default role.
///
/// Rights of several entries add up, so that a user has the highest role that applies. The default role goes to
/// *authenticated users*: the host lets nobody in without a ticket, and tickets are for synced users only. Where there is
/// neither grant nor default role, everyone is denied in so many words, since Samba takes a missing list as full access.
///
/// Before all of them stand those who are barred, and those who have less than their tickets say: what they are denied first
/// nothing gives.
pub(crate) fn sddl(
    share: &HostShare,
    default_role: Option<ShareRole>,
    barred: &[String],
) -> String {
    let mut text = String::from("D:");
    for sid in barred {
        // Writing to a String cannot fail.
        let _ = write!(text, "(D;;{:#010x};;;{sid})", mask::FULL);
    }
    for lowered in &share.lowered {
        let has = lowered.has.map_or(0, rights_of_role);
        let lost = rights_of_role(lowered.had) & !has;
        let _ = write!(text, "(D;;{lost:#010x};;;{})", lowered.sid);
    }
    let without = text.len();
    let mut grants: Vec<&Grant> = share.grants.iter().collect();
    grants.sort_by(|a, b| a.sid.cmp(&b.sid));
    let entries = grants
        .iter()
        .map(|grant| (grant.role, grant.sid.as_str()))
        .chain(default_role.map(|role| (role, "AU")));
    for (role, sid) in entries {
        let _ = write!(text, "(A;;{:#010x};;;{sid})", rights_of_role(role));
    }
    if text.len() == without {
        let _ = write!(text, "(D;;{:#010x};;;WD)", mask::FULL);
    }
    text
}

/// The permissions of every share of the account, by its name.
pub(crate) fn all(state: &HostState) -> impl Iterator<Item = (&str, String)> {
    state.shares.iter().map(|share| {
        (
            share.name.as_str(),
            sddl(share, state.default_role, &state.barred),
        )
    })
}

/// What a role lets a user ask for at most, whatever a file's own permissions give: `READ`, `CHANGE` and `FULL` of Samba's
/// `sharesec`.
pub fn rights_of_role(role: ShareRole) -> u32 {
    match role {
        ShareRole::Reader => mask::READ_EXECUTE,
        ShareRole::Contributor => mask::MODIFY,
        ShareRole::ElevatedContributor => mask::FULL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossrealm_api::{IdentityKind, LoweredRole};

    fn share(grants: &[(&str, ShareRole)]) -> HostShare {
        HostShare {
            name: "projects".into(),
            quota_gib: None,
            lowered: vec![],
            lowered_beyond: 0,
            grants: grants
                .iter()
                .map(|(sid, role)| Grant {
                    sid: (*sid).to_owned(),
                    name: "x".into(),
                    kind: IdentityKind::Group,
                    role: *role,
                })
                .collect(),
        }
    }

    #[test]
    fn without_grant_and_default_everyone_is_denied() {
        assert_eq!(sddl(&share(&[]), None, &[]), "D:(D;;0x001f01ff;;;WD)");
    }

    #[test]
    fn every_grant_and_the_default_become_an_entry() {
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
    fn who_is_barred_is_denied_before_anything_is_given() {
        let barred = ["S-1-5-21-1-2-3-9".to_owned()];
        let deny = "D:(D;;0x001f01ff;;;S-1-5-21-1-2-3-9)";
        assert_eq!(
            sddl(&share(&[]), Some(ShareRole::Reader), &barred),
            format!("{deny}(A;;0x001200a9;;;AU)")
        );
        // Whoever is not barred gets no more by that.
        assert_eq!(
            sddl(&share(&[]), None, &barred),
            format!("{deny}(D;;0x001f01ff;;;WD)")
        );
    }

    #[test]
    fn whose_role_is_less_than_a_ticket_says_is_denied_the_difference() {
        let mut share = share(&[("S-1-5-21-1-2-3-1", ShareRole::Contributor)]);
        let lowered = |rid: u32, had, has| LoweredRole {
            sid: format!("S-1-5-21-1-2-3-{rid}"),
            had,
            has,
        };
        share.lowered = vec![
            lowered(7, ShareRole::Contributor, Some(ShareRole::Reader)),
            lowered(8, ShareRole::Reader, None),
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
