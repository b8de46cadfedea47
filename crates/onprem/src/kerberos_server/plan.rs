//! What has to change in the object, or why nothing may.

use super::{COMPUTER_FLAGS, Computer, Object, ObjectStep, RevealGroups};

/// The bit of `userAccountControl` that disables an account.
const DISABLED: u32 = 0x2;

/// Why the object must not be changed. Nothing has been changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObjectRefusal {
    /// Another object has the name.
    #[error("`{dn}` exists, and was not made by this product")]
    Foreign {
        /// The DN of that object.
        dn: String,
    },
}

impl ObjectRefusal {
    /// The next step.
    pub fn hint(&self) -> &'static str {
        "if nothing uses it, rename or delete it in AD"
    }
}

/// The steps to a complete object, with a new key if `rotate`; none if nothing differs.
///
/// # Errors
///
/// If another object has the name of the account or of the computer.
pub fn plan(seen: &Object, rotate: bool) -> Result<Vec<ObjectStep>, ObjectRefusal> {
    check_owner(seen)?;
    let mut steps = Vec::new();
    match &seen.user {
        // The key of a new account needs no rotation.
        None => steps.push(ObjectStep::CreateUser {
            dn: seen.user_dn.clone(),
        }),
        Some(user) => {
            if user.flags & DISABLED == 0 {
                steps.push(ObjectStep::DisableUser {
                    dn: seen.user_dn.clone(),
                });
            }
            if rotate || user.key_version == 0 || user.key_updated_at.is_none() {
                steps.push(ObjectStep::NewKey {
                    dn: seen.user_dn.clone(),
                });
            }
        }
    }
    match &seen.computer {
        None => steps.push(ObjectStep::CreateComputer {
            dn: seen.computer_dn.clone(),
            user_dn: seen.user_dn.clone(),
            groups: seen.groups.clone(),
        }),
        Some(computer) => {
            let what = differences(computer, seen);
            if !what.is_empty() {
                steps.push(ObjectStep::RepairComputer {
                    dn: seen.computer_dn.clone(),
                    user_dn: seen.user_dn.clone(),
                    groups: seen.groups.clone(),
                    what,
                });
            }
        }
    }
    Ok(steps)
}

/// The steps that delete the object; none if there is none. What this product did not make stays.
pub fn plan_removal(seen: &Object) -> Vec<ObjectStep> {
    let mut steps = Vec::new();
    if seen
        .computer
        .as_ref()
        .is_some_and(|computer| computer.is_ours)
    {
        steps.push(ObjectStep::DeleteComputer {
            dn: seen.computer_dn.clone(),
        });
    }
    if seen.user.as_ref().is_some_and(|user| user.is_ours) {
        steps.push(ObjectStep::DeleteUser {
            dn: seen.user_dn.clone(),
        });
    }
    steps
}

fn check_owner(seen: &Object) -> Result<(), ObjectRefusal> {
    let user = seen.user.as_ref().map(|user| user.is_ours);
    let computer = seen.computer.as_ref().map(|computer| computer.is_ours);
    for (is_ours, dn) in [(user, &seen.user_dn), (computer, &seen.computer_dn)] {
        if is_ours == Some(false) {
            return Err(ObjectRefusal::Foreign { dn: dn.clone() });
        }
    }
    Ok(())
}

fn differences(computer: &Computer, seen: &Object) -> Vec<&'static str> {
    let RevealGroups { reveal, never } = &seen.groups;
    let linked = computer
        .link
        .as_ref()
        // The account does not exist yet, so nothing can be linked to it.
        .is_some_and(|link| seen.user.is_some() && link.eq_ignore_ascii_case(&seen.user_dn));
    let mut what = Vec::new();
    if computer.flags & COMPUTER_FLAGS != COMPUTER_FLAGS {
        what.push("userAccountControl");
    }
    if !linked {
        what.push("msDS-KrbTgtLink");
    }
    if !same(&computer.reveal, reveal) {
        what.push("msDS-RevealOnDemandGroup");
    }
    if !same(&computer.never, never) {
        what.push("msDS-NeverRevealGroup");
    }
    what
}

fn same(a: &[String], b: &[String]) -> bool {
    let normal = |dns: &[String]| {
        let mut dns: Vec<String> = dns.iter().map(|dn| dn.to_lowercase()).collect();
        dns.sort();
        dns
    };
    normal(a) == normal(b)
}

#[cfg(test)]
mod tests {
    use super::super::{COMPUTER_NAME, USER_FLAGS, USER_NAME, User};
    use super::*;
    use crossrealm_types::AdObject;
    use uuid::Uuid;

    fn ad_object() -> AdObject {
        AdObject {
            guid: Uuid::nil(),
            sid: "S-1-5-21-1-2-3-1000".parse().unwrap(),
        }
    }

    fn groups() -> RevealGroups {
        RevealGroups {
            reveal: vec!["CN=Allowed,DC=x".to_owned()],
            never: vec!["CN=Denied,DC=x".to_owned(), "CN=Admins,DC=x".to_owned()],
        }
    }

    fn empty() -> Object {
        Object {
            user_dn: format!("CN={USER_NAME},CN=Users,DC=x"),
            user: None,
            computer_dn: format!("CN={COMPUTER_NAME},OU=Domain Controllers,DC=x"),
            computer: None,
            groups: groups(),
            microsoft: Vec::new(),
        }
    }

    fn whole() -> Object {
        let mut seen = empty();
        seen.user = Some(User {
            object: ad_object(),
            is_ours: true,
            account_name: "krbtgt_56754".to_owned(),
            number: Some(56754),
            flags: USER_FLAGS,
            key_version: 1,
            key_updated_at: Some(1),
            key_updated_from: None,
        });
        seen.computer = Some(Computer {
            object: ad_object(),
            is_ours: true,
            flags: COMPUTER_FLAGS,
            link: Some(seen.user_dn.to_uppercase()),
            reveal: groups().reveal,
            never: groups().never.into_iter().rev().collect(),
        });
        seen
    }

    #[test]
    fn an_empty_domain_gets_both_and_a_whole_one_nothing() {
        let steps = plan(&empty(), false).unwrap();
        assert!(matches!(
            steps[..],
            [
                ObjectStep::CreateUser { .. },
                ObjectStep::CreateComputer { .. }
            ]
        ));
        // The account comes with a new key.
        assert_eq!(plan(&empty(), true).unwrap(), steps);
        assert_eq!(plan(&whole(), false).unwrap(), []);
    }

    #[test]
    fn a_rotation_makes_a_key_and_nothing_else() {
        let dn = whole().user_dn;
        assert_eq!(
            plan(&whole(), true).unwrap(),
            [ObjectStep::NewKey { dn: dn.clone() }]
        );
        let mut keyless = whole();
        keyless.user.as_mut().unwrap().key_version = 0;
        assert_eq!(plan(&keyless, false).unwrap(), [ObjectStep::NewKey { dn }]);
    }

    #[test]
    fn what_differs_is_repaired() {
        let mut seen = whole();
        seen.user.as_mut().unwrap().flags = 0x200;
        let computer = seen.computer.as_mut().unwrap();
        computer.flags = 0x1000;
        computer.link = None;
        computer.reveal.push("CN=Domain Users,DC=x".to_owned());
        computer.never.pop();
        let steps = plan(&seen, false).unwrap();
        assert!(matches!(steps[0], ObjectStep::DisableUser { .. }));
        let ObjectStep::RepairComputer { what, .. } = &steps[1] else {
            panic!("{steps:?}");
        };
        assert_eq!(what.len(), 4);
        // A run was killed between the two, and only the computer is missing; or the account alone was deleted.
        let mut seen = whole();
        seen.computer = None;
        assert_eq!(plan(&seen, false).unwrap().len(), 1);
        let mut seen = whole();
        seen.user = None;
        let steps = plan(&seen, false).unwrap();
        assert!(matches!(
            &steps[..],
            [ObjectStep::CreateUser { .. }, ObjectStep::RepairComputer { what, .. }]
                if what == &["msDS-KrbTgtLink"]
        ));
    }

    #[test]
    fn removal_takes_what_is_there() {
        assert_eq!(plan_removal(&empty()), []);
        assert_eq!(plan_removal(&whole()).len(), 2);
        let mut half = whole();
        half.computer = None;
        assert_eq!(plan_removal(&half).len(), 1);
    }

    /// F19: neither is changed, and neither is deleted.
    #[test]
    fn f19_what_others_made_is_not_touched() {
        let mut seen = whole();
        seen.user.as_mut().unwrap().is_ours = false;
        assert!(plan(&seen, false).is_err() && plan(&seen, true).is_err());
        let dn = seen.computer_dn.clone();
        assert_eq!(plan_removal(&seen), [ObjectStep::DeleteComputer { dn }]);
        seen.computer.as_mut().unwrap().is_ours = false;
        assert_eq!(plan_removal(&seen), []);
        let mut seen = whole();
        seen.computer.as_mut().unwrap().is_ours = false;
        assert!(plan(&seen, false).is_err());
    }
}
