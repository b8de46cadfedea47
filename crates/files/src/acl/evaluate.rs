//! What a security descriptor permits somebody: the algorithm of [MS-DTYP] 2.5.3.2 as smbd carries it out on files.

use super::descriptor::{Descriptor, Entry};
use super::{flag, mask};
use crossrealm_krb::sid::Sid;

/// Who somebody is: a user's own SID, those of the groups, and those that everybody has who comes through SMB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token(Vec<Sid>);

/// Everyone, Network, Authenticated Users: what smbd adds to the SIDs of a ticket.
const OF_EVERY_SESSION: [(u64, u32); 3] = [(1, 0), (5, 2), (5, 11)];
/// `S-1-3-4`: what its entries say replaces what an owner may do of itself.
const OWNER_RIGHTS: (u64, u32) = (3, 4);

impl Token {
    /// The token of a user who comes with a ticket.
    pub fn of(user: Sid, groups: impl IntoIterator<Item = Sid>) -> Self {
        let mut sids = vec![user];
        sids.extend(groups);
        sids.extend(OF_EVERY_SESSION.iter().filter_map(well_known));
        Self(sids)
    }

    /// Whether one of its SIDs is this.
    pub fn has(&self, sid: &Sid) -> bool {
        self.0.contains(sid)
    }
}

fn well_known((authority, rid): &(u64, u32)) -> Option<Sid> {
    Sid::new(*authority, &[*rid]).ok()
}

/// The rights that the descriptor gives, as a mask of specific rights.
///
/// The first entry that speaks of a right decides it. An owner may always read and change the permissions, even against
/// an entry that denies it, unless there are entries for Owner Rights.
pub fn granted(descriptor: &Descriptor, token: &Token) -> u32 {
    if descriptor.dacl.is_none() {
        return mask::FULL;
    }
    let owner = is_owner(descriptor, token);
    let mut decided = if owner && !has_owner_rights(descriptor) {
        mask::READ_CONTROL | mask::WRITE_DAC
    } else {
        0
    };
    let mut granted = decided;
    for entry in applying(descriptor, token) {
        let rights = mask::specific(entry.mask) & mask::FULL;
        if !entry.deny {
            granted |= rights & !decided;
        }
        decided |= rights;
    }
    granted
}

/// The entries that speak of somebody, in their order.
pub fn applying<'a>(
    descriptor: &'a Descriptor,
    token: &'a Token,
) -> impl Iterator<Item = &'a Entry> {
    let owner = is_owner(descriptor, token);
    let owner_rights = well_known(&OWNER_RIGHTS);
    descriptor.entries().filter(move |entry| {
        let by_ownership = owner && owner_rights.as_ref() == Some(&entry.sid);
        !entry.has(flag::INHERIT_ONLY) && (by_ownership || token.has(&entry.sid))
    })
}

/// Whether somebody is the owner.
pub fn is_owner(descriptor: &Descriptor, token: &Token) -> bool {
    let owner = descriptor.owner.as_ref();
    owner.is_some_and(|owner| token.has(owner))
}

fn has_owner_rights(descriptor: &Descriptor) -> bool {
    let owner_rights = well_known(&OWNER_RIGHTS);
    let mut entries = descriptor.entries();
    entries.any(|entry| !entry.has(flag::INHERIT_ONLY) && Some(&entry.sid) == owner_rights.as_ref())
}

#[cfg(test)]
mod tests {
    use super::super::sddl;
    use super::*;

    const ALICE: &str = "S-1-5-21-1-2-3-1103";
    const SALES: &str = "S-1-5-21-1-2-3-1108";

    fn rights(text: &str) -> u32 {
        let alice = Token::of(ALICE.parse().unwrap(), [SALES.parse().unwrap()]);
        granted(&sddl::parse(text).unwrap(), &alice)
    }

    #[test]
    fn the_first_entry_that_speaks_of_a_right_decides() {
        assert_eq!(rights("O:BAD:(A;;0x3;;;AU)"), 3);
        assert_eq!(rights(&format!("O:BAD:(D;;0x2;;;{SALES})(A;;0x3;;;AU)")), 1);
        assert_eq!(rights(&format!("O:BAD:(A;;0x3;;;AU)(D;;0x2;;;{SALES})")), 3);
        assert_eq!(rights("O:BAD:(A;;0x3;;;BU)(A;;0x3;;;BA)"), 0);
        assert_eq!(rights("O:BAD:(A;OICIIO;0x3;;;AU)"), 0);
        assert_eq!(rights("O:BAD:(A;;GR;;;WD)"), mask::READ);
    }

    #[test]
    fn an_owner_may_read_and_change_permissions() {
        let own = mask::READ_CONTROL | mask::WRITE_DAC;
        assert_eq!(rights(&format!("O:{ALICE}D:")), own);
        assert_eq!(rights(&format!("O:{SALES}D:(D;;FA;;;WD)")), own);
        assert_eq!(rights(&format!("O:{ALICE}D:(A;;0x1;;;OW)")), 1);
        assert_eq!(rights("O:BAD:(A;;0x1;;;OW)"), 0);
        assert_eq!(rights("O:BAD:NO_ACCESS_CONTROL"), mask::FULL);
        assert_eq!(rights("O:BAD:"), 0);
    }

    /// A second formulation: for each right alone, look for the first entry that speaks of it.
    fn one_by_one(descriptor: &Descriptor, token: &Token) -> u32 {
        let owner = descriptor.owner.as_ref().is_some_and(|o| token.has(o));
        let in_force: Vec<&Entry> = descriptor
            .entries()
            .filter(|e| e.flags & flag::INHERIT_ONLY == 0)
            .collect();
        let owner_rights: Sid = "S-1-3-4".parse().unwrap();
        let overridden = in_force.iter().any(|e| e.sid == owner_rights);
        let mut sum = 0;
        for bit in (0..21)
            .map(|n| 1_u32 << n)
            .filter(|bit| mask::FULL & bit != 0)
        {
            let implicit =
                owner && !overridden && (bit == mask::READ_CONTROL || bit == mask::WRITE_DAC);
            let first = in_force.iter().find(|e| {
                mask::specific(e.mask) & bit != 0
                    && (token.has(&e.sid) || owner && e.sid == owner_rights)
            });
            if implicit || first.is_some_and(|e| !e.deny) {
                sum |= bit;
            }
        }
        sum
    }

    #[test]
    fn two_formulations_agree_on_any_descriptor() {
        let sids = [
            ALICE,
            SALES,
            "S-1-1-0",
            "S-1-5-11",
            "S-1-3-4",
            "S-1-3-0",
            "S-1-5-32-544",
        ];
        // A generator of our own (xorshift): the same cases at every run.
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move |below: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed % below
        };
        for case in 0..20_000 {
            let pick = |n: u64| sids[usize::try_from(n).unwrap()].parse::<Sid>().unwrap();
            let entries = (0..next(7))
                .map(|_| {
                    let generic = [0, 0, 0, 0x1000_0000, 0x2000_0000, 0x4000_0000, 0x8000_0000];
                    let generic: u32 = generic[usize::try_from(next(7)).unwrap()];
                    super::super::Ace::Entry(Entry {
                        deny: next(3) == 0,
                        flags: u8::try_from(next(32)).unwrap(),
                        mask: u32::try_from(next(0x20_0000)).unwrap() | generic,
                        sid: pick(next(7)),
                    })
                })
                .collect();
            let descriptor = Descriptor::new(Some(pick(next(7))), None, Some(entries));
            let alice = Token::of(ALICE.parse().unwrap(), [SALES.parse().unwrap()]);
            let text = sddl::text(&descriptor);
            assert_eq!(
                granted(&descriptor, &alice),
                one_by_one(&descriptor, &alice),
                "case {case}: {text}"
            );
        }
    }
}
