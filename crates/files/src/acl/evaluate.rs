//! The rights that a security descriptor grants a user: the algorithm of [MS-DTYP] 2.5.3.2 as smbd applies it to files.

use super::{Entry, SecurityDescriptor, flag, mask};
use crossrealm_types::Sid;

/// A user's token: their own SID, those of their groups, and those of every SMB session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token(Vec<Sid>);

/// Everyone, Network, Authenticated Users: smbd adds them to the SIDs of a ticket.
const OF_EVERY_SESSION: [(u64, u32); 3] = [(1, 0), (5, 2), (5, 11)];
/// `S-1-3-4`: its entries replace the implicit rights of an owner.
const OWNER_RIGHTS: (u64, u32) = (3, 4);

impl Token {
    /// The token of a user with a ticket.
    pub fn of(user: Sid, groups: impl IntoIterator<Item = Sid>) -> Self {
        let mut sids = vec![user];
        sids.extend(groups);
        sids.extend(OF_EVERY_SESSION.iter().filter_map(well_known));
        Self(sids)
    }

    /// Whether it contains this SID.
    pub fn has(&self, sid: &Sid) -> bool {
        self.0.contains(sid)
    }
}

fn well_known((authority, rid): &(u64, u32)) -> Option<Sid> {
    Sid::new(*authority, &[*rid]).ok()
}

/// The rights that the descriptor grants, as a mask of specific rights.
///
/// The first entry that contains a right decides it. An owner may always read and change the permissions, even if an entry denies
/// it, unless there are entries for Owner Rights.
pub fn granted(descriptor: &SecurityDescriptor, token: &Token) -> u32 {
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

/// The entries that apply to a token, in order.
pub fn applying<'a>(
    descriptor: &'a SecurityDescriptor,
    token: &'a Token,
) -> impl Iterator<Item = Entry> + 'a {
    let owner = is_owner(descriptor, token);
    let owner_rights = well_known(&OWNER_RIGHTS);
    descriptor.entries().filter(move |entry| {
        let by_ownership = owner && owner_rights.as_ref() == Some(&entry.sid);
        !entry.has(flag::INHERIT_ONLY) && (by_ownership || token.has(&entry.sid))
    })
}

/// Whether the token contains the owner.
pub fn is_owner(descriptor: &SecurityDescriptor, token: &Token) -> bool {
    let owner = descriptor.owner.as_ref();
    owner.is_some_and(|owner| token.has(owner))
}

fn has_owner_rights(descriptor: &SecurityDescriptor) -> bool {
    let owner_rights = well_known(&OWNER_RIGHTS);
    let mut entries = descriptor.entries();
    entries.any(|entry| !entry.has(flag::INHERIT_ONLY) && Some(&entry.sid) == owner_rights.as_ref())
}

#[cfg(test)]
mod tests {
    use super::super::sddl;
    use super::*;
    use crossrealm_programs::command;
    use std::io::{Seek, SeekFrom, Write};

    const ALICE: &str = "S-1-5-21-1-2-3-1103";
    const SALES: &str = "S-1-5-21-1-2-3-1108";

    fn rights(text: &str) -> u32 {
        let alice = Token::of(ALICE.parse().unwrap(), [SALES.parse().unwrap()]);
        granted(&sddl::parse(text).unwrap(), &alice)
    }

    #[test]
    fn the_first_entry_with_a_right_decides() {
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

    /// An independent implementation: for each right alone, the first entry that contains it.
    fn one_by_one(descriptor: &SecurityDescriptor, token: &Token) -> u32 {
        let owner = descriptor.owner.as_ref().is_some_and(|o| token.has(o));
        let in_force: Vec<Entry> = descriptor
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

    /// Pseudo-random descriptors (xorshift): the same ones in every run.
    fn generated(count: usize, with_generic: bool) -> Vec<SecurityDescriptor> {
        let sids = [
            ALICE,
            SALES,
            "S-1-1-0",
            "S-1-5-11",
            "S-1-3-4",
            "S-1-3-0",
            "S-1-5-32-544",
        ];
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move |below: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed % below
        };
        let pick = |n: u64| sids[usize::try_from(n).unwrap()].parse::<Sid>().unwrap();
        let generic = [0, 0, 0, 0x1000_0000, 0x2000_0000, 0x4000_0000, 0x8000_0000];
        let mut all = Vec::new();
        while all.len() < count {
            let mut entries = Vec::new();
            for _ in 0..next(7) {
                let generic: u32 = generic[usize::try_from(next(7)).unwrap()];
                entries.push(super::super::Ace::from(Entry {
                    deny: next(3) == 0,
                    flags: u8::try_from(next(32)).unwrap(),
                    mask: u32::try_from(next(0x20_0000)).unwrap()
                        | if with_generic { generic } else { 0 },
                    sid: pick(next(7)),
                }));
            }
            all.push(SecurityDescriptor::new(
                Some(pick(next(7))),
                Some(pick(0)),
                Some(entries),
            ));
        }
        all
    }

    fn alice() -> Token {
        Token::of(ALICE.parse().unwrap(), [SALES.parse().unwrap()])
    }

    #[test]
    fn two_implementations_agree_on_any_descriptor() {
        for descriptor in generated(20_000, true) {
            assert_eq!(
                granted(&descriptor, &alice()),
                one_by_one(&descriptor, &alice()),
                "{}",
                sddl::text(&descriptor)
            );
        }
    }

    /// Where Samba's Python is not installed, this says so and passes, unless `CROSSREALM_REQUIRE_WORLD` is set.
    #[test]
    fn samba_agrees_on_any_descriptor() {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/acl/access_check.py");
        let samba = "import samba.security";
        let there = command("python3").args(["-c", samba]).output();
        if !there.is_ok_and(|output| output.status.success()) {
            let required = std::env::var_os("CROSSREALM_REQUIRE_WORLD").is_some();
            assert!(!required, "needs python3-samba");
            println!("skipped: needs python3-samba");
            return;
        }
        let descriptors = generated(3_000, false);
        let text: Vec<String> = descriptors.iter().map(sddl::text).collect();
        let mut asked = tempfile::tempfile().unwrap();
        asked
            .write_all((text.join("\n") + "\n").as_bytes())
            .unwrap();
        asked.seek(SeekFrom::Start(0)).unwrap();
        let sids: Vec<String> = alice().0.iter().map(Sid::to_string).collect();
        let output = command("python3")
            .arg("-B")
            .arg(script)
            .args(sids)
            .stdin(asked)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        let answers = String::from_utf8(output.stdout).unwrap();
        assert_eq!(answers.lines().count(), descriptors.len());
        for ((descriptor, text), answer) in descriptors.iter().zip(&text).zip(answers.lines()) {
            assert_eq!(granted(descriptor, &alice()).to_string(), answer, "{text}");
        }
    }
}
