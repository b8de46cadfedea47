//! Who holds which name when a request has been applied.
//!
//! Names change hands: two users swap theirs, an object is deleted and created again, a name is handed on. Whether a name is
//! free is therefore judged on the state after the whole request, and not on that after the change before.

use crossrealm_types::Sid;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// What one identity holds at a time: a name, for comparison without case, or its SID.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Name {
    /// A SID, which is never given to another identity.
    Sid(Sid),
    /// A `sAMAccountName` of the domain of the request.
    Account(String),
    /// A UPN.
    Upn(String),
}

/// The names that an object shall hold after the request.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    pub(super) guid: Uuid,
    pub(super) names: Vec<Name>,
}

/// The outcome.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Each name with the identity that holds it after the request.
    pub(super) holders: HashMap<Name, Uuid>,
    /// The objects that do not get their names, with the name that stands against it and the identity that holds it. Such an
    /// object keeps the names it has.
    pub(super) refused: HashMap<Uuid, (Name, Uuid)>,
}

/// Settles who holds the names. `held` are the names now, `leaving` the identities that the request deletes; there is at most
/// one claim of an object. A name stays with an object that has it and claims it; otherwise the first claim gets it whose other
/// names are to be had, too: nobody is kept from a name by an object that does not get it.
pub(super) fn settle(
    held: &HashMap<Name, Uuid>,
    claims: &[Claim],
    leaving: &HashSet<Uuid>,
) -> Settled {
    let stays = |(name, guid): &(&Name, &Uuid)| is_sid(name) || !leaving.contains(*guid);
    let mut holders: HashMap<Name, Uuid> = held
        .iter()
        .filter(stays)
        .map(|(name, guid)| (name.clone(), *guid))
        .collect();
    let mut own: HashMap<Uuid, Vec<&Name>> = HashMap::new();
    for (name, guid) in held.iter().filter(|(name, _)| !is_sid(name)) {
        own.entry(*guid).or_default().push(name);
    }
    let mut waiting: HashMap<Uuid, &Claim> =
        claims.iter().map(|claim| (claim.guid, claim)).collect();
    // What one object gives up, another one may have waited for: each round settles at least one claim.
    loop {
        let before = waiting.len();
        for claim in claims {
            if !waiting.contains_key(&claim.guid) {
                continue;
            }
            let Some(settled) = together(claim, &waiting, &holders) else {
                continue;
            };
            for name in settled
                .iter()
                .filter_map(|one| own.get(&one.guid))
                .flatten()
            {
                holders.remove(*name);
            }
            for one in settled {
                let names = one.names.iter().cloned();
                holders.extend(names.map(|name| (name, one.guid)));
                waiting.remove(&one.guid);
            }
        }
        if waiting.is_empty() || waiting.len() == before {
            break;
        }
    }
    let against = |claim: &&Claim| {
        let mut names = claim.names.iter();
        names.find_map(|name| {
            let holder = holders.get(name).filter(|holder| **holder != claim.guid)?;
            Some((claim.guid, (name.clone(), *holder)))
        })
    };
    let refused = waiting.values().filter_map(against).collect();
    Settled { holders, refused }
}

/// The claims that can only be met together with this one, as the names of one are those of the next. `None` where they cannot: a
/// name stays with its holder, or two of them want the same.
fn together<'c>(
    first: &'c Claim,
    waiting: &HashMap<Uuid, &'c Claim>,
    holders: &HashMap<Name, Uuid>,
) -> Option<Vec<&'c Claim>> {
    let mut found = vec![first];
    let mut known = HashSet::from([first.guid]);
    let mut wanted = HashSet::new();
    let mut next = 0;
    while let Some(claim) = found.get(next).copied() {
        next += 1;
        for name in &claim.names {
            if !wanted.insert(name) {
                return None;
            }
            let holder = holders.get(name).filter(|holder| **holder != claim.guid);
            if let Some(holder) = holder {
                let other = waiting.get(holder)?;
                if known.insert(*holder) {
                    found.push(other);
                }
            }
        }
    }
    Some(found)
}

/// A SID stays with its object, also when that is refused.
fn is_sid(name: &Name) -> bool {
    matches!(name, Name::Sid(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OBJECTS: u128 = 6;

    fn account(name: u8) -> Name {
        Name::Account(name.to_string())
    }

    fn claim(guid: u128, account_name: u8, upn: Option<u8>) -> Claim {
        let upn = upn.map(|upn| Name::Upn(upn.to_string()));
        Claim {
            guid: Uuid::from_u128(guid),
            names: [account(account_name)].into_iter().chain(upn).collect(),
        }
    }

    fn held(names: &[(u128, u8)]) -> HashMap<Name, Uuid> {
        let names = names.iter();
        names
            .map(|(guid, name)| (account(*name), Uuid::from_u128(*guid)))
            .collect()
    }

    /// F2: what one object is refused, it does not hand on.
    #[test]
    fn a_refusal_refuses_those_who_wait_for_the_name() {
        // 1 → b, 2 → c, 3 → d, but d belongs to 4, who keeps it.
        let held = held(&[(1, 1), (2, 2), (3, 3), (4, 4)]);
        let claims = [claim(1, 2, None), claim(2, 3, None), claim(3, 4, None)];
        let settled = settle(&held, &claims, &HashSet::new());
        assert_eq!(settled.refused.len(), 3);
        assert_eq!(settled.holders, held);
        let leaving = HashSet::from([Uuid::from_u128(4)]);
        let settled = settle(&held, &claims, &leaving);
        assert_eq!(settled.refused.len(), 0);
        assert_eq!(settled.holders[&account(4)], Uuid::from_u128(3));
    }

    /// F2: an object that does not get its names keeps nobody else from them.
    #[test]
    fn two_that_want_one_name_do_not_refuse_each_other() {
        // 1 wants the name of 2 and the UPN 9; 2 would give its name up, and wants the UPN 9, too.
        let held = held(&[(1, 1), (2, 2)]);
        let claims = [claim(1, 2, Some(9)), claim(2, 3, Some(9))];
        let settled = settle(&held, &claims, &HashSet::new());
        let upn = Name::Upn("9".to_owned());
        let second = Uuid::from_u128(2);
        assert_eq!(settled.holders[&upn], second);
        assert_eq!(settled.holders[&account(3)], second);
        let refused = HashMap::from([(Uuid::from_u128(1), (upn, second))]);
        assert_eq!(settled.refused, refused);
    }

    proptest! {
        /// F2: however names move, nobody is refused for a name that is free in the end, everybody holds either all that they
        /// claim or all that they had, and any permutation of the names is accepted.
        #[test]
        fn names_are_settled_on_the_state_after_the_request(
            wanted in prop::collection::vec((0..8_u8, prop::option::of(0..8_u8)), OBJECTS as usize),
            claiming in prop::collection::vec(any::<bool>(), OBJECTS as usize),
            leaving in prop::collection::vec(prop::bool::weighted(0.2), OBJECTS as usize),
            order in Just((0..OBJECTS).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let own = |guid: u128| claim(guid, guid as u8, Some(guid as u8));
            let held: HashMap<Name, Uuid> = (0..OBJECTS)
                .flat_map(|n| own(n).names.into_iter().map(move |name| (name, Uuid::from_u128(n))))
                .collect();
            let leaves = |n: u128| leaving[n as usize];
            let claims: Vec<Claim> = order
                .iter()
                .filter(|n| claiming[**n as usize] && !leaves(**n))
                .map(|n| claim(*n, wanted[*n as usize].0, wanted[*n as usize].1))
                .collect();
            let gone: HashSet<Uuid> = (0..OBJECTS).filter(|n| leaves(*n)).map(Uuid::from_u128).collect();
            let settled = settle(&held, &claims, &gone);
            for claim in &claims {
                let has = |name: &Name| settled.holders.get(name) == Some(&claim.guid);
                match settled.refused.get(&claim.guid) {
                    None => prop_assert!(claim.names.iter().all(has)),
                    Some((name, other)) => {
                        prop_assert_ne!(*other, claim.guid);
                        prop_assert_eq!(settled.holders.get(name), Some(other));
                        prop_assert!(claim.names.contains(name));
                        prop_assert!(own(claim.guid.as_u128()).names.iter().all(has));
                    }
                }
            }
            for n in (0..OBJECTS).filter(|n| !claiming[*n as usize] && !leaves(*n)) {
                let has = |name: &Name| settled.holders.get(name) == Some(&Uuid::from_u128(n));
                prop_assert!(own(n).names.iter().all(has));
            }
            // A permutation of all names, in any order of the objects.
            let moved: Vec<Claim> = (0..OBJECTS)
                .map(|n| claim(n, order[n as usize] as u8, Some(order[n as usize] as u8)))
                .collect();
            prop_assert!(settle(&held, &moved, &HashSet::new()).refused.is_empty());
        }
    }
}
