//! Rights to single objects, judged from their security descriptors before the first change.
//!
//! A right is reported as missing only if that is certain. If the descriptor or the caller's groups cannot be read, or an
//! entry is of an unknown type, AD decides; deny entries are left to AD too.

use crate::error::OnpremError;
use crate::ldap::{Control, Ldap, Search, sd_flags};
use crossrealm_krb::security_descriptor::{Ace, SecurityDescriptor, flag, kind};
use crossrealm_types::Sid;

/// `ADS_RIGHT_DELETE`, [MS-ADTS] 5.1.3.2.
const DELETE: u32 = 0x0001_0000;
/// `ADS_RIGHT_DS_DELETE_CHILD`.
const DELETE_CHILD: u32 = 0x0000_0002;
/// `ADS_RIGHT_DS_CONTROL_ACCESS`.
const CONTROL_ACCESS: u32 = 0x0000_0100;
/// `GENERIC_ALL`, [MS-DTYP] 2.4.3.
const GENERIC_ALL: u32 = 0x1000_0000;
/// The extended right `User-Force-Change-Password`, 00299570-246d-11d0-a768-00aa006e0529, in wire order.
const RESET_PASSWORD: [u8; 16] = [
    0x70, 0x95, 0x29, 0x00, 0x6d, 0x24, 0xd0, 0x11, 0xa7, 0x68, 0x00, 0xaa, 0x00, 0x6e, 0x05, 0x29,
];

/// Whether the signed-in account may reset the password of an account; true if unknown.
///
/// # Errors
///
/// If the directory cannot be read.
pub(super) async fn may_reset_password(ldap: &mut Ldap, dn: &str) -> Result<bool, OnpremError> {
    let who = caller(ldap).await?;
    let object = permissions(ldap, dn).await?;
    Ok(grants(
        object.as_ref(),
        &who,
        CONTROL_ACCESS,
        Some(&RESET_PASSWORD),
    ))
}

/// Whether the signed-in account may delete an object, by a right to it or to its container; true if unknown.
///
/// # Errors
///
/// If the directory cannot be read.
pub(super) async fn may_delete(ldap: &mut Ldap, dn: &str) -> Result<bool, OnpremError> {
    let who = caller(ldap).await?;
    let object = permissions(ldap, dn).await?;
    if grants(object.as_ref(), &who, DELETE, None) {
        return Ok(true);
    }
    let container = dn.split_once(',').map_or("", |(_, parent)| parent);
    let container = permissions(ldap, container).await?;
    Ok(grants(container.as_ref(), &who, DELETE_CHILD, None))
}

/// The SIDs of the signed-in account and its groups, as the domain controller computes them (`tokenGroups`).
async fn caller(ldap: &mut Ldap) -> Result<Vec<Sid>, OnpremError> {
    let own = ldap.search(&Search::object("", &["tokenGroups"])).await?;
    let sids = own
        .first()
        .map(|root| root.values("tokenGroups"))
        .unwrap_or_default();
    Ok(sids
        .iter()
        .filter_map(|bytes| Sid::from_bytes(bytes).ok())
        .collect())
}

async fn permissions(ldap: &mut Ldap, dn: &str) -> Result<Option<SecurityDescriptor>, OnpremError> {
    let attribute = "nTSecurityDescriptor";
    let search = Search::object(dn, &[attribute]).with(Control::SdFlags(sd_flags::SD_FLAG_DACL));
    let found = ldap.search(&search).await?;
    let bytes = found
        .first()
        .and_then(|entry| entry.values(attribute).first());
    Ok(bytes.and_then(|bytes| SecurityDescriptor::parse(bytes).ok()))
}

/// Whether an entry may grant `wanted`; `right` is the extended right that an object ACE must name, if it names one.
fn grants(
    object: Option<&SecurityDescriptor>,
    who: &[Sid],
    wanted: u32,
    right: Option<&[u8; 16]>,
) -> bool {
    let Some(entries) = object.and_then(|object| object.dacl.as_ref()) else {
        return true;
    };
    let may_grant = |entry: &Ace| {
        let is_here = entry.flags & flag::INHERIT_ONLY == 0;
        let is_enough = entry.mask() & (wanted | GENERIC_ALL) != 0;
        let is_about_it = right.is_none_or(|right| {
            let about = entry.object_type();
            about.is_none_or(|about| about == *right)
        });
        let is_ours = match entry.kind {
            kind::ALLOWED | kind::ALLOWED_OBJECT => {
                entry.trustee().is_none_or(|sid| who.contains(&sid))
            }
            other => !matches!(other, kind::DENIED | kind::DENIED_OBJECT),
        };
        is_here && is_enough && is_about_it && is_ours
    };
    who.is_empty() || entries.iter().any(may_grant)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sid(text: &str) -> Sid {
        text.parse().unwrap()
    }

    fn object(dacl: Vec<Ace>) -> SecurityDescriptor {
        SecurityDescriptor::new(None, None, Some(dacl))
    }

    #[test]
    fn a_right_that_is_surely_lacking_is_told() {
        let (me, other) = (sid("S-1-5-21-1-2-3-1104"), sid("S-1-5-21-1-2-3-512"));
        let who = [me.clone(), sid("S-1-1-0")];
        let reset = |entries| {
            grants(
                Some(&object(entries)),
                &who,
                CONTROL_ACCESS,
                Some(&RESET_PASSWORD),
            )
        };
        let other_right = [7; 16];
        assert!(!reset(vec![]));
        assert!(!reset(vec![Ace::allow(0, u32::MAX, &other)]));
        assert!(!reset(vec![Ace::allow_right(
            0,
            CONTROL_ACCESS,
            &other_right,
            &me
        )]));
        assert!(!reset(vec![Ace::allow_right(
            flag::INHERIT_ONLY,
            CONTROL_ACCESS,
            &RESET_PASSWORD,
            &me
        )]));
        assert!(!reset(vec![Ace::allow(0, DELETE, &me)]));
        assert!(reset(vec![Ace::allow_right(
            0,
            CONTROL_ACCESS,
            &RESET_PASSWORD,
            &me
        )]));
        assert!(reset(vec![Ace::allow(0, CONTROL_ACCESS, &me)]));
        assert!(reset(vec![Ace::allow(0, GENERIC_ALL, &sid("S-1-1-0"))]));
    }

    #[test]
    fn what_cannot_be_seen_is_left_to_ad() {
        let who = [sid("S-1-5-21-1-2-3-1104")];
        let unseen = object(vec![]).with_dacl(None);
        assert!(grants(None, &who, DELETE, None));
        assert!(grants(Some(&unseen), &who, DELETE, None));
        assert!(grants(Some(&object(vec![])), &[], DELETE, None));
        // The condition of a callback entry ([MS-DTYP] 2.4.4.6) may be true; a deny entry proves nothing.
        let mut entry = Ace::allow(0, DELETE, &sid("S-1-5-32-544"));
        entry.kind = 0x09;
        assert!(grants(
            Some(&object(vec![entry.clone()])),
            &who,
            DELETE,
            None
        ));
        entry.kind = 0x01;
        assert!(!grants(Some(&object(vec![entry])), &who, DELETE, None));
    }
}
